/* SPDX-License-Identifier: MIT */
/*
 * stacks.h: gives each distinct stack one identifier, so that a fault line names a stack by a
 * number. The service thread's alone.
 */
#ifndef FAULTLINE_STACKS_H
#define FAULTLINE_STACKS_H

#include "unwind.h"

#include <stdbool.h>
#include <stdint.h>

struct stacks;

struct stacks *stacks_create(void);
void stacks_destroy(struct stacks *stacks);

/*
 * The identifier of these frames in an address space of this generation; *is_new tells that it
 * was made now and has to be defined in the trace. 0 for no frames, or when there is no memory.
 */
uint64_t stacks_intern(
    struct stacks *stacks, uint64_t generation, const struct unwound *unwound, bool *is_new);

#endif
