/* SPDX-License-Identifier: MIT */
/*
 * hash_set.c: open addressing with linear probing.
 */
#include "hash_set.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

static struct hash_entry *free_entry(const struct hash_set *set, uint64_t hash)
{
	size_t index = (size_t)hash & (set->capacity - 1);
	while (set->entries[index].item)
		index = (index + 1) & (set->capacity - 1);
	return &set->entries[index];
}

void *hash_set_find(const struct hash_set *set, uint64_t hash, hash_equal *equal, const void *key)
{
	if (set->capacity == 0)
		return NULL;
	for (size_t index = (size_t)hash;; index++) {
		const struct hash_entry *entry = &set->entries[index & (set->capacity - 1)];
		if (!entry->item)
			return NULL;
		if (entry->hash == hash && equal(entry->item, key))
			return entry->item;
	}
}

static int grow(struct hash_set *set)
{
	struct hash_set larger = {
	    .capacity = set->capacity > 0 ? set->capacity * 2 : FIRST_CAPACITY,
	    .count = set->count,
	};
	larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
	if (!larger.entries)
		return -ENOMEM;
	for (size_t i = 0; i < set->capacity; i++)
		if (set->entries[i].item)
			*free_entry(&larger, set->entries[i].hash) = set->entries[i];
	free(set->entries);
	*set = larger;
	return 0;
}

int hash_set_add(struct hash_set *set, uint64_t hash, void *item)
{
	if ((set->count + 1) * 4 > set->capacity * 3) {
		int result = grow(set);
		if (result < 0)
			return result;
	}
	*free_entry(set, hash) = (struct hash_entry){hash, item};
	set->count++;
	return 0;
}

void hash_set_clear(struct hash_set *set)
{
	free(set->entries);
	*set = (struct hash_set){0};
}
