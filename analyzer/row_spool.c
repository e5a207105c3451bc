/* SPDX-License-Identifier: MIT */
/*
 * row_spool.c: each list is a chain of blocks in one file. A block's place is known before it is
 * full, so that the one before can name it:
 *
 *     list 0:  [next|rows...] ------> [next|rows...] ------> the block in memory
 */
#include "row_spool.h"

#include "temporary_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_ROWS 64

struct block {
	int64_t next; /* where the list's next block will be */
	unsigned char rows[];
};

struct list {
	int64_t first, last; /* blocks; the last one is in memory */
	uint64_t count;	     /* rows */
	struct block *block; /* NULL: the list is empty */
};

struct row_spool {
	size_t row_size;
	int fd;
	int64_t end; /* the next new block's place */
	struct list *lists;
	uint32_t list_count;
	/* reading */
	const struct list *list;
	uint64_t row;
	int64_t next;
	struct block *block;
};

static size_t block_size(const struct row_spool *spool)
{
	return sizeof(struct block) + BLOCK_ROWS * spool->row_size;
}

int row_spool_create(struct row_spool **result_spool, size_t row_size)
{
	struct row_spool *spool = calloc(1, sizeof(*spool));
	*result_spool = spool;
	if (!spool)
		return -ENOMEM;
	spool->row_size = row_size;
	spool->fd = temporary_file_open();
	if (spool->fd < 0)
		return spool->fd;
	spool->block = malloc(block_size(spool));
	return spool->block ? 0 : -ENOMEM;
}

void row_spool_destroy(struct row_spool *spool)
{
	if (!spool)
		return;
	if (spool->fd >= 0)
		close(spool->fd);
	for (uint32_t i = 0; i < spool->list_count; i++)
		free(spool->lists[i].block);
	free(spool->lists);
	free(spool->block);
	free(spool);
}

static int make_list(struct row_spool *spool, uint32_t index)
{
	if (index < spool->list_count)
		return 0;
	uint32_t count = index + 1 > 2 * spool->list_count ? index + 1 : 2 * spool->list_count;
	struct list *lists = reallocarray(spool->lists, count, sizeof(*lists));
	if (!lists)
		return -ENOMEM;
	memset(lists + spool->list_count, 0, (count - spool->list_count) * sizeof(*lists));
	spool->lists = lists;
	spool->list_count = count;
	return 0;
}

/* Gives the block in memory its place in the file. */
static int64_t new_place(struct row_spool *spool)
{
	int64_t place = spool->end;
	spool->end += (int64_t)block_size(spool);
	return place;
}

int row_spool_add(struct row_spool *spool, uint32_t index, const void *row)
{
	int result = make_list(spool, index);
	if (result < 0)
		return result;
	struct list *list = &spool->lists[index];
	if (!list->block) {
		list->block = malloc(block_size(spool));
		if (!list->block)
			return -ENOMEM;
		list->first = list->last = new_place(spool);
	} else if (list->count % BLOCK_ROWS == 0) {
		int64_t next = new_place(spool);
		list->block->next = next;
		result =
		    temporary_file_write(spool->fd, list->block, block_size(spool), list->last);
		if (result < 0)
			return result;
		list->last = next;
	}
	memcpy(
	    list->block->rows + list->count % BLOCK_ROWS * spool->row_size, row, spool->row_size);
	list->count++;
	return 0;
}

uint64_t row_spool_count(const struct row_spool *spool, uint32_t list)
{
	return list < spool->list_count ? spool->lists[list].count : 0;
}

void row_spool_rewind(struct row_spool *spool, uint32_t list)
{
	spool->list = list < spool->list_count ? &spool->lists[list] : NULL;
	spool->row = 0;
	spool->next = spool->list ? spool->list->first : 0;
}

int row_spool_next(struct row_spool *spool, void *row)
{
	const struct list *list = spool->list;
	if (!list || spool->row >= list->count)
		return 0;
	const struct block *block = spool->block;
	size_t in_block = spool->row % BLOCK_ROWS;
	if (spool->row - in_block + BLOCK_ROWS >= list->count) {
		block = list->block;
	} else if (in_block == 0) {
		int result =
		    temporary_file_read(spool->fd, spool->block, block_size(spool), spool->next);
		if (result < 0)
			return result;
		spool->next = block->next;
	}
	memcpy(row, block->rows + in_block * spool->row_size, spool->row_size);
	spool->row++;
	return 1;
}
