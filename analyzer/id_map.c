/* SPDX-License-Identifier: MIT */
/*
 * id_map.c: a hash table with linear probing; removal shifts the entries behind back, so there are
 * no tombstones and look-ups stay short however many come and go.
 */
#include "id_map.h"

#include "hash.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

/* Where the search for an id begins. */
static size_t home(const struct id_map *map, uint64_t id)
{
	return (size_t)hash_number(id) & (map->capacity - 1);
}

/* The entry of the id, or the free one where it belongs. */
static struct id_entry *find(const struct id_map *map, uint64_t id)
{
	size_t index = home(map, id);
	while (map->entries[index].value && map->entries[index].id != id)
		index = (index + 1) & (map->capacity - 1);
	return &map->entries[index];
}

void *id_map_get(const struct id_map *map, uint64_t id)
{
	return map->capacity > 0 ? find(map, id)->value : NULL;
}

static int grow(struct id_map *map)
{
	struct id_map larger = {
	    .capacity = map->capacity > 0 ? map->capacity * 2 : FIRST_CAPACITY,
	    .count = map->count,
	};
	larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
	if (!larger.entries)
		return -ENOMEM;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->entries[i].value)
			*find(&larger, map->entries[i].id) = map->entries[i];
	free(map->entries);
	*map = larger;
	return 0;
}

int id_map_put(struct id_map *map, uint64_t id, void *value)
{
	if ((map->count + 1) * 4 > map->capacity * 3) {
		int result = grow(map);
		if (result < 0)
			return result;
	}
	struct id_entry *entry = find(map, id);
	if (!entry->value)
		map->count++;
	*entry = (struct id_entry){id, value};
	return 0;
}

void *id_map_remove(struct id_map *map, uint64_t id)
{
	if (map->capacity == 0)
		return NULL;
	struct id_entry *entry = find(map, id);
	void *value = entry->value;
	if (!value)
		return NULL;
	size_t mask = map->capacity - 1;
	size_t hole = (size_t)(entry - map->entries);
	for (size_t index = hole;;) {
		index = (index + 1) & mask;
		if (!map->entries[index].value)
			break;
		/* an entry may move into the hole unless it belongs behind it */
		size_t distance = (index - home(map, map->entries[index].id)) & mask;
		if (distance >= ((index - hole) & mask)) {
			map->entries[hole] = map->entries[index];
			hole = index;
		}
	}
	map->entries[hole].value = NULL;
	map->count--;
	return value;
}

void id_map_clear(struct id_map *map, void (*release)(void *value))
{
	for (size_t i = 0; release && i < map->capacity; i++)
		if (map->entries[i].value)
			release(map->entries[i].value);
	free(map->entries);
	*map = (struct id_map){0};
}
