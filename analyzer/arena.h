/* SPDX-License-Identifier: MIT */
/*
 * arena.h: memory for many small things that are all freed at once.
 */
#ifndef FAULTLINE_ARENA_H
#define FAULTLINE_ARENA_H

#include <stddef.h>

/* A zeroed arena is empty. */
struct arena {
	struct arena_chunk *chunks; /* the newest first */
	size_t used, size;	    /* bytes of the newest */
};

/* Zeroed memory, aligned for any type; NULL when there is none. It does not move. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of `size` bytes and a NUL behind them. */
char *arena_text(struct arena *arena, const char *text, size_t size);

void arena_clear(struct arena *arena);

#endif
