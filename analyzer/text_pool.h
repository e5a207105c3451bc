/* SPDX-License-Identifier: MIT */
/*
 * text_pool.h: texts, each kept once: two texts of a pool are equal when their addresses are.
 */
#ifndef FAULTLINE_TEXT_POOL_H
#define FAULTLINE_TEXT_POOL_H

#include "arena.h"
#include "hash_set.h"

/* A zeroed pool is empty. */
struct text_pool {
	struct arena arena;
	struct hash_set texts;
};

/* The pool's own copy, which lives as long as the pool; NULL without memory. */
const char *text_pool_add(struct text_pool *pool, const char *text);

void text_pool_clear(struct text_pool *pool);

#endif
