/* SPDX-License-Identifier: MIT */
/*
 * fault_line.c: reads a line in the order in which the recorder writes the keys. Nothing is
 * accepted that jansson would refuse, or read as something else: numbers have no leading zeros and
 * few enough digits for 63 bits, words are the known ones, and there is no white space.
 */
#include "fault_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MOST_DIGITS 18 /* fit 63 bits, whatever they are */

const char *const fault_access_words[] = {"", "read", "write", "other"};
const char *const fault_kind_words[] = {"", "missing", "write-protect", "minor", "other"};
const char *const fault_origin_words[] = {"", "user", "kernel", "other"};
const char *const fault_served_words[] = {
    "", "zero", "copy", "continue", "unprotect", "move", "native", "other"};

unsigned fault_word(const char *const *words, unsigned other, const char *word)
{
	unsigned index = 1;
	while (index < other && strcmp(words[index], word) != 0)
		index++;
	return index;
}

struct cursor {
	const char *at, *end;
};

static bool take_literal(struct cursor *cursor, const char *literal, size_t size)
{
	if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, literal, size) != 0)
		return false;
	cursor->at += size;
	return true;
}
#define TAKE(cursor, literal) take_literal(cursor, literal, sizeof(literal) - 1)

static bool take_number(struct cursor *cursor, int64_t *value)
{
	const char *first = cursor->at;
	int64_t number = 0;
	for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
		if (cursor->at - first == MOST_DIGITS)
			return false;
		number = number * 10 + (*cursor->at - '0');
	}
	*value = number;
	return cursor->at > first && (*first != '0' || cursor->at == first + 1);
}

static bool take_address(struct cursor *cursor, uint64_t *value)
{
	const char *first = cursor->at;
	uint64_t number = 0;
	for (; cursor->at < cursor->end; cursor->at++) {
		char letter = *cursor->at;
		if (letter >= '0' && letter <= '9')
			number = number << 4 | (uint64_t)(letter - '0');
		else if (letter >= 'a' && letter <= 'f')
			number = number << 4 | (uint64_t)(letter - 'a' + 10);
		else
			break;
		if (cursor->at - first == 16)
			return false;
	}
	*value = number;
	return cursor->at > first && TAKE(cursor, "\"");
}

/* A known word and the quotation mark behind it. */
static bool take_word(
    struct cursor *cursor, const char *const *words, unsigned other, unsigned *index)
{
	for (*index = 1; *index < other; ++*index) {
		size_t size = strlen(words[*index]);
		if ((size_t)(cursor->end - cursor->at) > size && cursor->at[size] == '"' &&
		    memcmp(cursor->at, words[*index], size) == 0) {
			cursor->at += size + 1;
			return true;
		}
	}
	return false;
}

/* Numbers that may be left out, in the order of the line from "region" on. */
static bool take_ids(struct cursor *cursor, struct fault_line *fault)
{
	if (TAKE(cursor, ",\"region\":")) {
		fault->has |= FAULT_HAS_REGION;
		if (!take_number(cursor, &fault->region))
			return false;
	}
	if (TAKE(cursor, ",\"offset\":")) {
		fault->has |= FAULT_HAS_OFFSET;
		if (!take_number(cursor, &fault->offset))
			return false;
	}
	if (TAKE(cursor, ",\"alloc\":")) {
		fault->has |= FAULT_HAS_ALLOC;
		if (!take_number(cursor, &fault->alloc))
			return false;
	}
	if (TAKE(cursor, ",\"stack\":")) {
		fault->has |= FAULT_HAS_STACK;
		if (!take_number(cursor, &fault->stack))
			return false;
	}
	return true;
}

bool fault_line_parse(const char *text, size_t size, struct fault_line *fault)
{
	struct cursor cursor = {text, text + size};
	unsigned access = 0, kind = 0, origin = 0, served = 0;
	*fault = (struct fault_line){.has = FAULT_HAS_TS};
	if (!TAKE(&cursor, "{\"type\":\"fault\",\"ts\":") || !take_number(&cursor, &fault->ts) ||
	    !TAKE(&cursor, ",\"pid\":") || !take_number(&cursor, &fault->pid) ||
	    !TAKE(&cursor, ",\"tid\":") || !take_number(&cursor, &fault->tid) ||
	    !TAKE(&cursor, ",\"addr\":\"0x") || !take_address(&cursor, &fault->addr))
		return false;
	if (TAKE(&cursor, ",\"access\":\"") &&
	    !take_word(&cursor, fault_access_words, FAULT_ACCESS_OTHER, &access))
		return false;
	if (TAKE(&cursor, ",\"kind\":\"") &&
	    !take_word(&cursor, fault_kind_words, FAULT_KIND_OTHER, &kind))
		return false;
	if (TAKE(&cursor, ",\"origin\":\"") &&
	    !take_word(&cursor, fault_origin_words, FAULT_ORIGIN_OTHER, &origin))
		return false;
	if (!take_ids(&cursor, fault))
		return false;
	if (TAKE(&cursor, ",\"served\":\"") &&
	    !take_word(&cursor, fault_served_words, FAULT_SERVED_OTHER, &served))
		return false;
	if (TAKE(&cursor, ",\"service_ns\":") && !take_number(&cursor, &fault->service_ns))
		return false;
	if (TAKE(&cursor, ",\"epoch\":")) {
		fault->has |= FAULT_HAS_EPOCH;
		if (!take_number(&cursor, &fault->epoch))
			return false;
	}
	fault->access = access;
	fault->kind = kind;
	fault->origin = origin;
	fault->served = served;
	return TAKE(&cursor, "}") && cursor.at == cursor.end;
}

/* ,"KEY":"WORD" where there is a word. */
static char *put_word(char *at, const char *key, const char *word)
{
	return word[0] != '\0' ? at + sprintf(at, ",\"%s\":\"%s\"", key, word) : at;
}

static char *put_number(char *at, const char *key, bool is_there, int64_t number)
{
	return is_there ? at + sprintf(at, ",\"%s\":%" PRId64, key, number) : at;
}

size_t fault_line_write(char *buffer, const struct fault_line *fault)
{
	char *at = buffer;
	at += sprintf(at,
	    "{\"type\":\"fault\",\"ts\":%" PRId64 ",\"pid\":%" PRId64 ",\"tid\":%" PRId64
	    ",\"addr\":\"0x%" PRIx64 "\"",
	    fault->ts, fault->pid, fault->tid, fault->addr);
	at = put_word(at, "access", fault_access_words[fault->access]);
	at = put_word(at, "kind", fault_kind_words[fault->kind]);
	at = put_word(at, "origin", fault_origin_words[fault->origin]);
	at = put_number(at, "region", fault->has & FAULT_HAS_REGION, fault->region);
	at = put_number(at, "offset", fault->has & FAULT_HAS_OFFSET, fault->offset);
	at = put_number(at, "alloc", fault->has & FAULT_HAS_ALLOC, fault->alloc);
	at = put_number(at, "stack", fault->has & FAULT_HAS_STACK, fault->stack);
	at = put_word(at, "served", fault_served_words[fault->served]);
	at = put_number(at, "service_ns", fault->service_ns != 0, fault->service_ns);
	at = put_number(at, "epoch", fault->has & FAULT_HAS_EPOCH, fault->epoch);
	*at++ = '}';
	return (size_t)(at - buffer);
}
