/* SPDX-License-Identifier: MIT */
/* stacks.c: a hash table of 128-bit stack hashes; the frames themselves are not kept. */
#include "stacks.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096u

struct entry {
	uint64_t low, high; /* the hash; both 0: empty */
	uint64_t id;
};

struct stacks {
	struct entry *entries;
	size_t room, count; /* room: a power of two */
};

struct stacks *stacks_create(void)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));

	if (!stacks)
		return NULL;
	stacks->room = ROOM_FIRST;
	stacks->entries = calloc(stacks->room, sizeof(*stacks->entries));
	if (!stacks->entries) {
		free(stacks);
		return NULL;
	}
	return stacks;
}

void stacks_destroy(struct stacks *stacks)
{
	if (!stacks)
		return;
	free(stacks->entries);
	free(stacks);
}

/* Two independent multiply-and-fold rounds a word; 128 bits make a collision unthinkable. */
static uint64_t fold(uint64_t hash, uint64_t word, uint64_t factor)
{
	unsigned __int128 product = (unsigned __int128)(hash ^ word) * factor;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static struct entry *place(struct entry *entries, size_t room, uint64_t low, uint64_t high)
{
	size_t i = low & (room - 1);

	while ((entries[i].low || entries[i].high) &&
	       (entries[i].low != low || entries[i].high != high))
		i = (i + 1) & (room - 1);
	return &entries[i];
}

static bool grow(struct stacks *stacks)
{
	size_t room = stacks->room * 2;
	struct entry *entries = calloc(room, sizeof(*entries));

	if (!entries)
		return false;
	for (size_t i = 0; i < stacks->room; i++) {
		const struct entry *e = &stacks->entries[i];

		if (e->low || e->high)
			*place(entries, room, e->low, e->high) = *e;
	}
	free(stacks->entries);
	stacks->entries = entries;
	stacks->room = room;
	return true;
}

uint64_t stacks_intern(
    struct stacks *stacks, uint64_t generation, const struct unwound *unwound, bool *is_new)
{
	uint64_t low = fold(generation, unwound->truncated, UINT64_C(0x9e3779b97f4a7c15));
	uint64_t high = fold(~generation, unwound->count, UINT64_C(0xd1b54a32d192ed03));
	struct entry *entry;

	*is_new = false;
	if (!unwound->count)
		return 0;
	for (uint32_t i = 0; i < unwound->count; i++) {
		low = fold(low, unwound->frames[i].ip, UINT64_C(0x9e3779b97f4a7c15));
		high = fold(high + i, unwound->frames[i].ip, UINT64_C(0xd1b54a32d192ed03));
	}
	low |= !(low | high);
	if (stacks->count * 2 >= stacks->room && !grow(stacks))
		return 0;
	entry = place(stacks->entries, stacks->room, low, high);
	if (!entry->id) {
		*entry = (struct entry){low, high, ++stacks->count};
		*is_new = true;
	}
	return entry->id;
}
