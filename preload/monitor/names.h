/* SPDX-License-Identifier: MIT */
/*
 * names.h: which function a stack frame lies in. Remembers the modules that went through the
 * queue (frames only have their identifiers) and asks symbols.h. Used by the writer thread only.
 */
#ifndef FAULTLINE_NAMES_H
#define FAULTLINE_NAMES_H

#include "event.h"

struct names;

struct names *names_create(void);	 /* NULL: no memory */
void names_destroy(struct names *names); /* accepts NULL */

/* 0 or -ENOMEM: frames in that module stay without names. */
int names_add_module(struct names *names, const struct event_module *module);
void names_remove_module(struct names *names, uint32_t id);

/*
 * The name as in the file, valid until the next call, and how far into the function frame->ip
 * lies; NULL when nothing names it. Return addresses are looked up one byte before: a call may be
 * a function's last instruction.
 */
const char *names_of_frame(struct names *names, const struct event_stack *stack,
    const struct event_frame *frame, uint64_t *symbol_offset);

#endif
