/* SPDX-License-Identifier: MIT */
/*
 * line_often.c: the lines of faults, allocations and frees, by hand: they come by the million, and
 * the writer must keep up with those who serve and tell them. See line.h. Runs in the monitor's
 * writer thread; may not allocate. A unit test compares them with what jansson makes of the same
 * values.
 */
#include "line.h"

#include <string.h>

#define COUNT(array)	   (sizeof(array) / sizeof((array)[0]))
#define WORD(table, index) ((size_t)(index) < COUNT(table) ? (table)[index] : NULL)

static const char *const access_words[] = {
    [ACCESS_READ] = "read",
    [ACCESS_WRITE] = "write",
};
static const char *const kind_words[] = {
    [FAULT_MISSING] = "missing",
    [FAULT_WRITE_PROTECT] = "write-protect",
    [FAULT_MINOR] = "minor",
};
static const char *const origin_words[] = {
    [ORIGIN_USER] = "user",
    [ORIGIN_KERNEL] = "kernel",
};
static const char *const served_words[] = {
    [SERVED_ZERO] = "zero",
    [SERVED_COPY] = "copy",
    [SERVED_CONTINUE] = "continue",
    [SERVED_UNPROTECT] = "unprotect",
    [SERVED_MOVE] = "move",
    [SERVED_NATIVE] = "native",
};

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
				  "25262728293031323334353637383940414243444546474849"
				  "50515253545556575859606162636465666768697071727374"
				  "75767778798081828384858687888990919293949596979899";

static char *put_bytes(char *at, const char *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}
#define PUT(at, literal) put_bytes(at, literal, sizeof(literal) - 1)

static char *put_word(char *at, const char *word)
{
	return put_bytes(at, word, strlen(word));
}

static char *put_decimal(char *at, uint64_t value)
{
	char digits[20];
	size_t first = sizeof(digits);

	if (value > INT64_MAX)
		value = INT64_MAX;
	/* Two digits a division: most of the line is numbers. */
	for (; value >= 10; value /= 100) {
		first -= 2;
		memcpy(digits + first, digit_pairs + value % 100 * 2, 2);
	}
	if (value > 0 || first == sizeof(digits))
		digits[--first] = (char)('0' + value);
	return put_bytes(at, digits + first, sizeof(digits) - first);
}

static char *put_signed(char *at, int64_t value)
{
	if (value >= 0)
		return put_decimal(at, (uint64_t)value);
	*at++ = '-';
	return put_decimal(at, -(uint64_t)value);
}

static char *put_hex(char *at, uint64_t value)
{
	int shift = value ? (63 - __builtin_clzll(value)) & ~3 : 0;

	for (; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[value >> shift & 15];
	return at;
}

/* A line begins with its type; each key after it is left out where it has no value. */
#define BEGIN(at, type)		    PUT(at, "{\"type\":\"" type "\"")
#define PUT_INTEGER(at, key, value) put_decimal(PUT(at, ",\"" key "\":"), value)
#define PUT_SIGNED(at, key, value)  put_signed(PUT(at, ",\"" key "\":"), value)
#define PUT_SOME(at, key, value)    ((value) ? PUT_INTEGER(at, key, value) : (at))
#define PUT_ADDRESS(at, key, value) PUT(put_hex(PUT(at, ",\"" key "\":\"0x"), value), "\"")
#define PUT_WORD(at, key, word)                                                                    \
	((word) ? PUT(put_word(PUT(at, ",\"" key "\":\""), word), "\"") : (at))
#define END(at) PUT(at, "}\n")

static size_t line_fault(char *buffer, const struct event_fault *fault)
{
	const char *access = WORD(access_words, fault->access);
	const char *kind = WORD(kind_words, fault->kind);
	const char *origin = WORD(origin_words, fault->origin);
	const char *served = WORD(served_words, fault->served);
	char *at = buffer;

	at = BEGIN(at, "fault");
	at = PUT_INTEGER(at, "ts", fault->head.ts);
	at = PUT_SIGNED(at, "pid", fault->pid);
	at = PUT_SIGNED(at, "tid", fault->tid);
	at = PUT_ADDRESS(at, "addr", fault->addr);
	at = PUT_WORD(at, "access", access);
	at = PUT_WORD(at, "kind", kind);
	at = PUT_WORD(at, "origin", origin);
	if (fault->region) {
		at = PUT_INTEGER(at, "region", fault->region);
		at = PUT_INTEGER(at, "offset", fault->offset);
	}
	at = PUT_SOME(at, "alloc", fault->alloc);
	at = PUT_SOME(at, "stack", fault->stack);
	at = PUT_WORD(at, "served", served);
	at = PUT_SOME(at, "service_ns", fault->service_ns);
	return (size_t)(END(at) - buffer);
}

/* Without a thread that is known the key is left out. */
static char *put_thread(char *at, int32_t pid, int32_t tid)
{
	at = PUT_SIGNED(at, "pid", pid);
	return tid ? PUT_SIGNED(at, "tid", tid) : at;
}

static size_t line_alloc(char *buffer, const struct event_alloc *alloc)
{
	const char *function = WORD(fl_function_names, alloc->func);
	char *at = buffer;

	at = BEGIN(at, "alloc");
	at = PUT_INTEGER(at, "id", alloc->id);
	at = PUT_INTEGER(at, "ts", alloc->head.ts);
	at = put_thread(at, alloc->pid, alloc->tid);
	at = PUT_ADDRESS(at, "addr", alloc->addr);
	at = PUT_INTEGER(at, "size", alloc->size);
	at = PUT_WORD(at, "func", function);
	at = PUT_SOME(at, "stack", alloc->stack);
	return (size_t)(END(at) - buffer);
}

static size_t line_free(char *buffer, const struct event_free *event)
{
	char *at = buffer;

	at = BEGIN(at, "free");
	at = PUT_INTEGER(at, "ts", event->head.ts);
	at = put_thread(at, event->pid, event->tid);
	at = PUT_SOME(at, "alloc", event->alloc);
	return (size_t)(END(at) - buffer);
}

size_t line_often(char *buffer, const struct event *event)
{
	switch (event->type) {
	case EVENT_ALLOC:
		return line_alloc(buffer, (const struct event_alloc *)event);
	case EVENT_FREE:
		return line_free(buffer, (const struct event_free *)event);
	default:
		return line_fault(buffer, (const struct event_fault *)event);
	}
}
