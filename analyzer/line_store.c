/* SPDX-License-Identifier: MIT */
/*
 * line_store.c: lines one behind the other, each after its length.
 */
#include "line_store.h"

#include "temporary_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES  (64u << 10)
#define MEMORY_BYTES (16u << 20)

/* Empties the buffer into the file. */
static int flush(struct line_store *store)
{
	if (store->filed == 0) {
		int file = temporary_file_open();
		if (file < 0)
			return file;
		store->file = file;
	}
	int result = temporary_file_write(store->file, store->buffer, store->used, store->filed);
	if (result < 0 && store->filed == 0)
		close(store->file);
	if (result < 0)
		return result;
	store->filed += (int64_t)store->used;
	store->used = 0;
	return 0;
}

static int make_room(struct line_store *store, size_t size)
{
	if (store->used > 0 && store->used + size > MEMORY_BYTES) {
		int result = flush(store);
		if (result < 0)
			return result;
	}
	if (store->used + size <= store->capacity)
		return 0;
	size_t capacity = store->capacity > 0 ? store->capacity : FIRST_BYTES;
	while (capacity < store->used + size)
		capacity *= 2;
	char *buffer = realloc(store->buffer, capacity);
	if (!buffer)
		return -ENOMEM;
	store->buffer = buffer;
	store->capacity = capacity;
	return 0;
}

int64_t line_store_put(struct line_store *store, const char *text, size_t size)
{
	uint64_t length = size;
	int result = make_room(store, sizeof(length) + size);
	if (result < 0)
		return result;
	int64_t place = store->filed + (int64_t)store->used;
	memcpy(store->buffer + store->used, &length, sizeof(length));
	memcpy(store->buffer + store->used + sizeof(length), text, size);
	store->used += sizeof(length) + size;
	return place;
}

static int read_at(struct line_store *store, int64_t place, void *bytes, size_t size)
{
	if (place < store->filed)
		return temporary_file_read(store->file, bytes, size, place);
	memcpy(bytes, store->buffer + (place - store->filed), size);
	return 0;
}

int64_t line_store_get(struct line_store *store, int64_t place, char **text, size_t *capacity)
{
	uint64_t length;
	int result = read_at(store, place, &length, sizeof(length));
	if (result < 0)
		return result;
	if (length + 1 > *capacity) {
		char *larger = realloc(*text, length + 1);
		if (!larger)
			return -ENOMEM;
		*text = larger;
		*capacity = length + 1;
	}
	result = read_at(store, place + (int64_t)sizeof(length), *text, length);
	return result < 0 ? result : (int64_t)length;
}

void line_store_clear(struct line_store *store)
{
	if (store->filed > 0)
		close(store->file);
	free(store->buffer);
	*store = (struct line_store){0};
}
