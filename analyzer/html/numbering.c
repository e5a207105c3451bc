/* SPDX-License-Identifier: MIT */
/*
 * numbering.c: two arrays that point into each other; and a set of bytes.
 */
#include "numbering.h"

#include "../hash.h"
#include "../hash_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int reserve(uint32_t **array, size_t *room, size_t index)
{
	if (index < *room)
		return 0;
	size_t larger = index * 2 + 64;
	uint32_t *grown = reallocarray(*array, larger, sizeof(**array));
	if (!grown)
		return -ENOMEM;
	memset(grown + *room, 0, (larger - *room) * sizeof(*grown));
	*array = grown;
	*room = larger;
	return 0;
}

int numbering_of(struct numbering *numbering, uint32_t thing, uint32_t *number)
{
	if (reserve(&numbering->number, &numbering->number_room, thing) < 0 ||
	    reserve(&numbering->thing, &numbering->thing_room, numbering->count) < 0)
		return -ENOMEM;
	if (numbering->number[thing] == 0) {
		numbering->thing[numbering->count++] = thing;
		numbering->number[thing] = numbering->count;
	}
	*number = numbering->number[thing] - 1;
	return 0;
}

void numbering_free(struct numbering *numbering)
{
	free(numbering->number);
	free(numbering->thing);
	*numbering = (struct numbering){0};
}

struct wanted {
	const void *bytes;
	size_t size;
};

static bool same_bytes(const void *item, const void *key)
{
	const struct wanted *wanted = key;
	return memcmp(item, wanted->bytes, wanted->size) == 0;
}

int numbering_join(void *items, size_t size, uint32_t count, uint32_t *numbers, uint32_t *kept)
{
	struct hash_set set = {0};
	char *first = items;
	int result = 0;
	*kept = 0;
	for (uint32_t i = 0; i < count && result == 0; i++) {
		const struct wanted wanted = {first + i * size, size};
		uint64_t hash = hash_bytes(wanted.bytes, size);
		char *place = hash_set_find(&set, hash, same_bytes, &wanted);
		if (!place) {
			/* what stood there is kept further down already */
			place = first + *kept * size;
			memmove(place, wanted.bytes, size);
			result = hash_set_add(&set, hash, place);
			++*kept;
		}
		numbers[i] = (uint32_t)((size_t)(place - first) / size);
	}
	hash_set_clear(&set);
	return result;
}
