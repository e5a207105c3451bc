/* SPDX-License-Identifier: MIT */
/*
 * numbering.h: gives things new numbers, from 0 without gaps: things that have a number already,
 * such as an index of the trace, as they are first asked for, and things that are alike the same
 * one.
 */
#ifndef FAULTLINE_HTML_NUMBERING_H
#define FAULTLINE_HTML_NUMBERING_H

#include <stddef.h>
#include <stdint.h>

/* A zeroed one is empty. */
struct numbering {
	uint32_t *number; /* + 1, by the thing's own number; 0: none yet */
	uint32_t *thing;  /* by the number given */
	uint32_t count;
	size_t number_room, thing_room;
};

/* The number of a thing. 0 or -ENOMEM. */
int numbering_of(struct numbering *numbering, uint32_t thing, uint32_t *number);

void numbering_free(struct numbering *numbering);

/*
 * Keeps one of those that are alike, of `count` items of `size` bytes each, without gaps at the
 * beginning of the array. numbers[i] becomes where what was items[i] is now, *kept their number.
 * 0 or -ENOMEM.
 */
int numbering_join(void *items, size_t size, uint32_t count, uint32_t *numbers, uint32_t *kept);

#endif
