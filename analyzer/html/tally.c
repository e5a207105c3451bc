/* SPDX-License-Identifier: MIT */
/*
 * tally.c: rows in an array, found by a hash table of their numbers.
 */
#include "tally.h"

#include "../hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_STEP_SHIFT 10   /* about a microsecond */
#define FORGET_STEPS	 256  /* with fewer steps a tally forgets, if it may */
#define FORGET_SHIFT	 4    /* the same for blocks: parts of 16 pages */
#define LAST_SHIFT	 20   /* parts of 4 GiB */
#define MOST_PARTS	 4096 /* of one fault */

int tally_start(struct tally *tally, size_t limit, unsigned flags)
{
	*tally = (struct tally){
	    .limit = limit,
	    .is_map = flags & TALLY_MAP,
	    .may_forget = flags & TALLY_MAY_FORGET,
	    .step_shift = FIRST_STEP_SHIFT,
	    .first_step = UINT32_MAX,
	};
	tally->slot_count = 1;
	while (tally->slot_count < 2 * limit)
		tally->slot_count *= 2;
	tally->rows = malloc(limit * sizeof(*tally->rows));
	tally->slots = calloc(tally->slot_count, sizeof(*tally->slots));
	return tally->rows && tally->slots ? 0 : -ENOMEM;
}

void tally_free(struct tally *tally)
{
	free(tally->rows);
	free(tally->slots);
	*tally = (struct tally){0};
}

/* Everything but time and block. */
static bool same_things(const struct tally_key *a, const struct tally_key *b)
{
	return a->thread == b->thread && a->place == b->place && a->origin == b->origin &&
	       a->owner == b->owner && a->source == b->source && a->access == b->access;
}

/* The slot of the key's row, or the free one where it belongs. */
static uint32_t *find_slot(const struct tally *tally, const struct tally_key *key)
{
	bool whole = !(tally->is_map && tally->forgets);
	uint64_t hash =
	    hash_pair(key->block, (uint64_t)key->step << 32 | (whole ? key->thread : 0));
	if (whole) {
		hash = hash_pair(hash, (uint64_t)key->place << 32 | key->origin);
		hash = hash_pair(
		    hash, (uint64_t)key->owner << 32 | (uint32_t)key->source << 16 | key->access);
	}
	size_t at = hash & (tally->slot_count - 1);
	for (; tally->slots[at] != 0; at = (at + 1) & (tally->slot_count - 1)) {
		const struct tally_key *other = &tally->rows[tally->slots[at] - 1].key;
		if (other->block == key->block && other->step == key->step &&
		    (!whole || same_things(other, key)))
			break;
	}
	return &tally->slots[at];
}

/* Who has most of it? Right for sure when somebody has more than half. */
static void vote(struct tally_row *to, const struct tally_row *row)
{
	if (same_things(&to->key, &row->key)) {
		to->lead += row->lead;
	} else if (to->lead >= row->lead) {
		to->lead -= row->lead;
	} else {
		to->key = row->key;
		to->lead = row->lead - to->lead;
	}
}

/* Adds the row to that of its key; there is room. */
static void put_row(struct tally *tally, const struct tally_row *row)
{
	uint32_t *slot = find_slot(tally, &row->key);
	if (*slot == 0) {
		tally->rows[tally->count] = *row;
		*slot = (uint32_t)++tally->count;
		return;
	}
	struct tally_row *to = &tally->rows[*slot - 1];
	to->count += row->count;
	to->bytes += row->bytes;
	if (tally->is_map) {
		to->parts |= row->parts;
		vote(to, row);
	} else {
		to->touched += row->touched;
		to->present += row->present;
	}
}

void tally_join(struct tally *tally)
{
	size_t count = tally->count;
	memset(tally->slots, 0, tally->slot_count * sizeof(*tally->slots));
	tally->count = 0;
	for (size_t i = 0; i < count; i++) {
		/* it may overwrite itself */
		struct tally_row row = tally->rows[i];
		put_row(tally, &row);
	}
}

static uint32_t step_count(const struct tally *tally)
{
	return tally->first_step > tally->last_step ? 0 : tally->last_step - tally->first_step + 1;
}

static void double_steps(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++)
		tally->rows[i].key.step /= 2;
	if (step_count(tally) > 0) {
		tally->first_step /= 2;
		tally->last_step /= 2;
	}
	tally->step_shift++;
	tally_join(tally);
}

/* Two parts become one, two blocks too. */
static void double_blocks(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++) {
		struct tally_row *row = &tally->rows[i];
		uint64_t parts = 0;
		for (unsigned pair = 0; pair < TALLY_BLOCK_PARTS / 2; pair++)
			if (row->parts >> (2 * pair) & 3)
				parts |= 1ull << pair;
		row->parts = row->key.block % 2 ? parts << TALLY_BLOCK_PARTS / 2 : parts;
		row->key.block /= 2;
	}
	tally->block_shift++;
	tally_join(tally);
}

static void forget(struct tally *tally)
{
	tally->forgets = true;
	for (size_t i = 0; i < tally->count && !tally->is_map; i++)
		tally->rows[i].key.thread = 0;
	tally_join(tally);
}

/* Steps and blocks are halved in turn until they are this coarse: blocks twice as often. */
static bool make_coarser(struct tally *tally, uint32_t least_steps, unsigned last_shift)
{
	bool steps_left = step_count(tally) > least_steps;
	bool blocks_left = tally->is_map && tally->block_shift < last_shift;
	unsigned halved = 0;
	if (!steps_left && !blocks_left)
		return false;
	while (step_count(tally) << halved <= TALLY_MOST_STEPS / 2)
		halved++;
	if (blocks_left && (!steps_left || tally->block_shift < 2 * halved))
		double_blocks(tally);
	else
		double_steps(tally);
	return true;
}

bool tally_reduce(struct tally *tally, size_t limit, uint32_t least_steps)
{
	while (tally->count > limit) {
		if (make_coarser(tally, FORGET_STEPS, FORGET_SHIFT))
			continue;
		if (tally->may_forget && !tally->forgets)
			forget(tally);
		else if (!make_coarser(tally, least_steps, LAST_SHIFT))
			return false;
	}
	return true;
}

void tally_widen(struct tally *tally, unsigned step_shift)
{
	while (tally->step_shift < step_shift)
		double_steps(tally);
}

/* Makes the steps so large that they reach to that time. */
static void reach(struct tally *tally, uint64_t time_ns)
{
	while (time_ns >> tally->step_shift >= UINT32_MAX)
		double_steps(tally);
	for (;;) {
		uint32_t step = (uint32_t)(time_ns >> tally->step_shift);
		uint32_t first = step < tally->first_step ? step : tally->first_step;
		uint32_t last = step > tally->last_step ? step : tally->last_step;
		if (last - first < TALLY_MOST_STEPS) {
			tally->first_step = first;
			tally->last_step = last;
			return;
		}
		double_steps(tally);
	}
}

/* Room for one more row. */
static int make_room(struct tally *tally)
{
	if (tally->count < tally->limit ||
	    tally_reduce(tally, tally->limit / 4 * 3, TALLY_LEAST_STEPS))
		return 0;
	struct tally_row *rows = reallocarray(tally->rows, tally->limit, 2 * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	tally->rows = rows;
	uint32_t *slots = reallocarray(tally->slots, tally->slot_count, 2 * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	tally->slots = slots;
	tally->slot_count *= 2;
	tally->limit *= 2;
	tally_join(tally);
	return 0;
}

int tally_add(struct tally *tally, const struct tally_row *row, int64_t time_ns)
{
	uint64_t time = time_ns > 0 ? (uint64_t)time_ns : 0;
	struct tally_row added = *row;
	int result = make_room(tally);
	if (result < 0)
		return result;
	reach(tally, time);
	added.key.step = (uint32_t)(time >> tally->step_shift);
	if (tally->forgets)
		added.key.thread = 0;
	put_row(tally, &added);
	return 0;
}

int tally_map(struct tally *tally, const struct tally_row *row, int64_t time_ns, uint64_t page,
    uint64_t pages)
{
	uint64_t time = time_ns > 0 ? (uint64_t)time_ns : 0;
	struct tally_row part = *row;
	int result = 0;
	reach(tally, time);
	/* one fault shall not become many rows */
	while (pages >> tally->block_shift > MOST_PARTS)
		double_blocks(tally);
	while (pages > 0 && (result = make_room(tally)) == 0) {
		uint64_t first = page >> tally->block_shift;
		uint64_t last = (page + pages - 1) >> tally->block_shift;
		part.key.block = first / TALLY_BLOCK_PARTS;
		if (last / TALLY_BLOCK_PARTS > part.key.block)
			last = first | (TALLY_BLOCK_PARTS - 1);
		part.parts = UINT64_MAX >> (TALLY_BLOCK_PARTS - 1 - (last - first))
					       << first % TALLY_BLOCK_PARTS;
		part.lead = part.count;
		part.key.step = (uint32_t)(time >> tally->step_shift);
		put_row(tally, &part);
		part.count = part.bytes = 0;
		uint64_t next = (last + 1) << tally->block_shift;
		pages = page + pages > next ? page + pages - next : 0;
		page = next;
	}
	return result;
}

static int compare_rows(const void *left, const void *right)
{
	const struct tally_row *a = left, *b = right;
	if (a->key.step != b->key.step)
		return a->key.step < b->key.step ? -1 : 1;
	/* any order, but always the same: the hashes differ each time */
	int order =
	    memcmp(&a->key.step, &b->key.step, sizeof(a->key) - offsetof(struct tally_key, step));
	if (order != 0)
		return order;
	return a->key.block < b->key.block ? -1 : 1;
}

void tally_sort(struct tally *tally)
{
	qsort(tally->rows, tally->count, sizeof(*tally->rows), compare_rows);
}
