/* SPDX-License-Identifier: MIT */
/*
 * hash_set.h: finds things by what they are, so that equal ones are kept once. Things are never
 * taken out. The set owns its table only.
 */
#ifndef FAULTLINE_HASH_SET_H
#define FAULTLINE_HASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed set is empty. */
struct hash_set {
	struct hash_entry {
		uint64_t hash;
		void *item; /* NULL: the entry is free */
	} * entries;
	size_t capacity; /* zero or a power of two */
	size_t count;
};

/* Is the item what the key describes? */
typedef bool hash_equal(const void *item, const void *key);

/* The item, or NULL. `hash` must come from hash.h. */
void *hash_set_find(const struct hash_set *set, uint64_t hash, hash_equal *equal, const void *key);

/* Adds an item that hash_set_find did not find. 0 or -ENOMEM. */
int hash_set_add(struct hash_set *set, uint64_t hash, void *item);

void hash_set_clear(struct hash_set *set);

#endif
