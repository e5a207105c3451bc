/* SPDX-License-Identifier: MIT */
/*
 * text_pool.c: a set of texts in an arena.
 */
#include "text_pool.h"

#include "hash.h"

#include <string.h>

static bool same_text(const void *item, const void *key)
{
	return strcmp(item, key) == 0;
}

const char *text_pool_add(struct text_pool *pool, const char *text)
{
	size_t size = strlen(text);
	uint64_t hash = hash_bytes(text, size);
	char *found = hash_set_find(&pool->texts, hash, same_text, text);
	if (found)
		return found;
	char *copy = arena_text(&pool->arena, text, size);
	return copy && hash_set_add(&pool->texts, hash, copy) == 0 ? copy : NULL;
}

void text_pool_clear(struct text_pool *pool)
{
	hash_set_clear(&pool->texts);
	arena_clear(&pool->arena);
}
