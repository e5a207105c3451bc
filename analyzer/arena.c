/* SPDX-License-Identifier: MIT */
/*
 * arena.c: hands out pieces of large chunks.
 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64u << 10)
#define ALIGNMENT   sizeof(max_align_t)

struct arena_chunk {
	struct arena_chunk *next;
	_Alignas(max_align_t) char bytes[];
};

void *arena_alloc(struct arena *arena, size_t size)
{
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!arena->chunks || size > arena->size - arena->used) {
		size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
		struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		*arena = (struct arena){.chunks = chunk, .size = room};
	}
	void *piece = arena->chunks->bytes + arena->used;
	arena->used += size;
	return piece;
}

char *arena_text(struct arena *arena, const char *text, size_t size)
{
	char *copy = arena_alloc(arena, size + 1);
	return copy ? memcpy(copy, text, size) : NULL;
}

void arena_clear(struct arena *arena)
{
	for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = (struct arena){0};
}
