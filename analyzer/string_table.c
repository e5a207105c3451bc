/* SPDX-License-Identifier: MIT */
/*
 * string_table.c: a list, and a set that finds the places in it.
 */
#include "string_table.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct numbered_text {
	int64_t number;
	char text[];
};

static bool is_text(const void *item, const void *key)
{
	const struct numbered_text *numbered = item;
	return strcmp(numbered->text, key) == 0;
}

int64_t string_table_add(struct string_table *table, const char *text)
{
	size_t size = strlen(text) + 1;
	uint64_t hash = hash_bytes(text, size);
	struct numbered_text *numbered = hash_set_find(&table->set, hash, is_text, text);
	if (numbered)
		return numbered->number;
	if (table->count == table->room) {
		size_t room = 2 * table->room + 256;
		const char **grown = reallocarray(table->texts, room, sizeof(const char *));
		if (!grown)
			return -ENOMEM;
		table->texts = grown;
		table->room = room;
	}
	numbered = arena_alloc(&table->arena, sizeof(*numbered) + size);
	if (!numbered || hash_set_add(&table->set, hash, numbered) < 0)
		return -ENOMEM;
	memcpy(numbered->text, text, size);
	numbered->number = (int64_t)table->count;
	table->texts[table->count++] = numbered->text;
	return numbered->number;
}

void string_table_clear(struct string_table *table)
{
	arena_clear(&table->arena);
	hash_set_clear(&table->set);
	free(table->texts);
	*table = (struct string_table){0};
}
