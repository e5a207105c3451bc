/* SPDX-License-Identifier: MIT */
/*
 * line_fault.c: the line of a fault, by hand: faults come by the million, and the writer must
 * keep up with the service of faults. See line.h. Runs in the monitor's writer thread; may not
 * allocate. A unit test compares it with what jansson makes of the same values.
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

size_t line_fault(char *buffer, const struct event_fault *fault)
{
	const char *access = WORD(access_words, fault->access);
	const char *kind = WORD(kind_words, fault->kind);
	const char *origin = WORD(origin_words, fault->origin);
	const char *served = WORD(served_words, fault->served);
	char *at = buffer;

	at = PUT(at, "{\"type\":\"fault\",\"ts\":");
	at = put_decimal(at, fault->head.ts);
	at = PUT(at, ",\"pid\":");
	at = put_signed(at, fault->pid);
	at = PUT(at, ",\"tid\":");
	at = put_signed(at, fault->tid);
	at = PUT(at, ",\"addr\":\"0x");
	at = put_hex(at, fault->addr);
	*at++ = '"';
	if (access) {
		at = PUT(at, ",\"access\":\"");
		at = put_word(at, access);
		*at++ = '"';
	}
	if (kind) {
		at = PUT(at, ",\"kind\":\"");
		at = put_word(at, kind);
		*at++ = '"';
	}
	if (origin) {
		at = PUT(at, ",\"origin\":\"");
		at = put_word(at, origin);
		*at++ = '"';
	}
	if (fault->region) {
		at = PUT(at, ",\"region\":");
		at = put_decimal(at, fault->region);
		at = PUT(at, ",\"offset\":");
		at = put_decimal(at, fault->offset);
	}
	if (fault->alloc) {
		at = PUT(at, ",\"alloc\":");
		at = put_decimal(at, fault->alloc);
	}
	if (fault->stack) {
		at = PUT(at, ",\"stack\":");
		at = put_decimal(at, fault->stack);
	}
	if (served) {
		at = PUT(at, ",\"served\":\"");
		at = put_word(at, served);
		*at++ = '"';
	}
	if (fault->service_ns) {
		at = PUT(at, ",\"service_ns\":");
		at = put_decimal(at, fault->service_ns);
	}
	at = PUT(at, "}\n");
	return (size_t)(at - buffer);
}
