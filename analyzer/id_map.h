/* SPDX-License-Identifier: MIT */
/*
 * id_map.h: finds things by a number, such as the identifiers of a trace. Open addressing, so that
 * an entry costs its key and its pointer; any 64-bit key is good, however sparse.
 */
#ifndef FAULTLINE_ID_MAP_H
#define FAULTLINE_ID_MAP_H

#include <stddef.h>
#include <stdint.h>

struct id_map {
	struct id_entry {
		uint64_t id;
		void *value; /* NULL: the entry is free */
	} * entries;
	size_t capacity; /* zero or a power of two */
	size_t count;
};

/* The value, or NULL. A zeroed map is empty. */
void *id_map_get(const struct id_map *map, uint64_t id);

/* Puts a value that is not NULL in the place of what was there. 0 or -ENOMEM. */
int id_map_put(struct id_map *map, uint64_t id, void *value);

/* Takes the value out: returns it, or NULL. */
void *id_map_remove(struct id_map *map, uint64_t id);

/* Calls `release` (may be NULL) for each value and frees the map's own memory. */
void id_map_clear(struct id_map *map, void (*release)(void *value));

#endif
