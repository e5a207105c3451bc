/* SPDX-License-Identifier: MIT */
/*
 * fault_line.h: the values of a fault's line. Faults come by the million, and the recorder writes
 * them all in one shape: lines in exactly that shape are read here without jansson, about twenty
 * times as fast. Every other line is jansson's (trace_reader.h); both say the same of a line that
 * both can read, which a unit test and a fuzzer check.
 */
#ifndef FAULTLINE_FAULT_LINE_H
#define FAULTLINE_FAULT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero: the line does not say. OTHER: a word that this version does not know. */
enum touch_access { FAULT_ACCESS_NONE, FAULT_ACCESS_READ, FAULT_ACCESS_WRITE, FAULT_ACCESS_OTHER };
enum touch_kind {
	FAULT_KIND_NONE,
	FAULT_KIND_MISSING,
	FAULT_KIND_WRITE_PROTECT,
	FAULT_KIND_MINOR,
	FAULT_KIND_OTHER,
};
enum touch_origin { FAULT_ORIGIN_NONE, FAULT_ORIGIN_USER, FAULT_ORIGIN_KERNEL, FAULT_ORIGIN_OTHER };
enum touch_served {
	FAULT_SERVED_NONE,
	FAULT_SERVED_ZERO,
	FAULT_SERVED_COPY,
	FAULT_SERVED_CONTINUE,
	FAULT_SERVED_UNPROTECT,
	FAULT_SERVED_MOVE,
	FAULT_SERVED_NATIVE,
	FAULT_SERVED_OTHER,
};

/* The words of the trace; index 0 is "", the last is "other". */
extern const char *const fault_access_words[FAULT_ACCESS_OTHER + 1];
extern const char *const fault_kind_words[FAULT_KIND_OTHER + 1];
extern const char *const fault_origin_words[FAULT_ORIGIN_OTHER + 1];
extern const char *const fault_served_words[FAULT_SERVED_OTHER + 1];

/* Which of the values that may be left out are there. */
enum {
	FAULT_HAS_TS = 1,
	FAULT_HAS_REGION = 2,
	FAULT_HAS_OFFSET = 4,
	FAULT_HAS_ALLOC = 8,
	FAULT_HAS_STACK = 16,
	FAULT_HAS_EPOCH = 32,
};

/* As in faultline-trace(5). What is not there is zero. */
struct fault_line {
	int64_t ts, pid, tid;
	uint64_t addr;
	int64_t region, offset, alloc, stack, epoch;
	int64_t service_ns;
	unsigned has; /* FAULT_HAS_ bits */
	enum touch_access access;
	enum touch_kind kind;
	enum touch_origin origin;
	enum touch_served served;
};

/* True: the line has the recorder's shape, and *fault is filled. False: it is for jansson. */
bool fault_line_parse(const char *text, size_t size, struct fault_line *fault);

/* Bytes that a line may take, without a newline or NUL. */
#define FAULT_LINE_MAX 640

/*
 * The other way round: writes the line that fault_line_parse reads, which has no words of a later
 * version, into a buffer of FAULT_LINE_MAX bytes. Returns its length.
 */
size_t fault_line_write(char *buffer, const struct fault_line *fault);

/* The index of a word in one of the tables above, whose last index is `other`. */
unsigned fault_word(const char *const *words, unsigned other, const char *word);

#endif
