/* SPDX-License-Identifier: MIT */
/*
 * unwind.h: from registers and stack bytes to frames.
 *
 * Nearly every instruction pointer has a plain rule: the caller's frame lies at the stack or base
 * pointer plus a constant. The rule is learned once, by stepping libunwind over made-up registers
 * and an accessor that notes what it reads, and then applied in a few nanoseconds. What has no
 * plain rule goes to libunwind with the real registers. The service thread's alone.
 */
#ifndef FAULTLINE_UNWIND_H
#define FAULTLINE_UNWIND_H

#include "arch.h"
#include "event.h"
#include "space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The stack as far as it was read: `size` bytes from address `start`. `more`, when not NULL,
 * reads on: it copies up to `size` bytes at `address` and returns how many; the thread must
 * still be asleep. What it brings is kept in `extra`.
 */
struct stack_view {
	uint64_t start;
	const uint8_t *bytes;
	size_t size;
	size_t (*more)(void *context, uint64_t address, void *to, size_t size);
	void *context;
	uint8_t *extra; /* STACK_EXTRA_BYTES, the caller's; may be NULL when more is */
	uint64_t extra_start;
	size_t extra_size;
};
#define STACK_EXTRA_BYTES 16384u

struct unwound {
	struct event_frame frames[512];
	uint32_t count;
	bool truncated;
};

struct unwinder;

/* `announce` is told of modules first seen, with `context`. */
int unwind_create(
    struct unwinder **unwinder, uint32_t max_frames, space_announce announce, void *context);
void unwind_destroy(struct unwinder *unwinder);

struct elf_files *unwind_files(struct unwinder *unwinder);

/*
 * By known rules only, which takes about a microsecond. False when a frame needs unwind_fully;
 * the result is then undefined.
 */
bool unwind_by_rules(struct unwinder *unwinder, struct space *space,
    const struct registers *registers, struct stack_view *view, struct unwound *result);

/* Learns what is missing; reads the modules again when an address is in none. */
void unwind_fully(struct unwinder *unwinder, struct space **space, pid_t pid,
    const struct registers *registers, struct stack_view *view, struct unwound *result);

/* By libunwind alone, without rules: what the others are tested against. */
void unwind_by_libunwind(struct unwinder *unwinder, struct space *space,
    const struct registers *registers, struct stack_view *view, struct unwound *result);

#endif
