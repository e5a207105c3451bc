/* SPDX-License-Identifier: MIT */
/*
 * export_text.c: reads names as UTF-8, a character at a time, and writes them escaped.
 */
#include "export_text.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffd /* stands for bytes that are no UTF-8 */

/* Moves *text behind its first character (it has one), and returns that. */
static uint32_t next_character(const unsigned char **text)
{
	const unsigned char *byte = *text;
	uint32_t character = byte[0];
	unsigned more = character < 0x80    ? 0
			: character < 0xc2  ? 4
			: character < 0xe0  ? 1
			: character < 0xf0  ? 2
			: character <= 0xf4 ? 3
					    : 4;
	*text = byte + 1;
	if (more == 0)
		return character;
	if (more > 3)
		return REPLACEMENT;
	character &= 0x3fu >> more;
	for (unsigned i = 1; i <= more; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		character = character << 6 | (byte[i] & 0x3f);
	}
	/* longer than need be, half of a UTF-16 pair, or beyond the last one */
	if (character < (more == 2	? 0x800u
			    : more == 3 ? 0x10000u
					: 0) ||
	    (character >= 0xd800 && character < 0xe000) || character > 0x10ffff)
		return REPLACEMENT;
	*text = byte + more + 1;
	return character;
}

static bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

/* Writes the character that ends before `end` and began at `start`. */
static void put_character(
    FILE *out, uint32_t character, const unsigned char *start, const unsigned char *end)
{
	if (character == REPLACEMENT)
		fputs_unlocked("\xef\xbf\xbd", out);
	else
		fwrite_unlocked(start, 1, (size_t)(end - start), out);
}

void export_json_text(FILE *out, const char *text)
{
	const unsigned char *next = (const unsigned char *)text;
	putc_unlocked('"', out);
	while (*next != '\0') {
		const unsigned char *start = next;
		uint32_t character = next_character(&next);
		if (is_control(character)) {
			fprintf(out, "\\u%04x", (unsigned)character);
			continue;
		}
		if (character == '"' || character == '\\')
			putc_unlocked('\\', out);
		put_character(out, character, start, next);
	}
	putc_unlocked('"', out);
}

/* Tabs and carriage returns would, too, but become "?". Some spreadsheets take wide signs as well.
 */
static bool starts_formula(const char *text)
{
	static const char *const signs[] = {
	    "=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"};
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strncmp(text, signs[i], strlen(signs[i])) == 0)
			return true;
	return false;
}

/* Where a text stands: in a field of CSV, in a folded stack, or in both. */
enum { IN_FIELD = 1, IN_STACK = 2 };

static void put_line_text(FILE *out, const char *text, unsigned where)
{
	const unsigned char *next = (const unsigned char *)text;
	while (*next != '\0') {
		const unsigned char *start = next;
		uint32_t character = next_character(&next);
		if (is_control(character)) {
			putc_unlocked('?', out);
		} else if (character == ';' && (where & IN_STACK)) {
			putc_unlocked(':', out);
		} else {
			if (character == '"' && (where & IN_FIELD))
				putc_unlocked('"', out);
			put_character(out, character, start, next);
		}
	}
}

void export_csv_text(FILE *out, const char *text)
{
	putc_unlocked('"', out);
	if (starts_formula(text))
		putc_unlocked('\'', out);
	put_line_text(out, text, IN_FIELD);
	putc_unlocked('"', out);
}

void export_folded_text(FILE *out, const char *text)
{
	put_line_text(out, text, IN_STACK);
}

void export_csv_folded_text(FILE *out, const char *text, bool is_first)
{
	if (is_first && starts_formula(text))
		putc_unlocked('\'', out);
	put_line_text(out, text, IN_FIELD | IN_STACK);
}

char *export_plain_text(const char *text)
{
	char *plain = NULL;
	size_t size;
	FILE *memory = open_memstream(&plain, &size);
	if (!memory)
		return NULL;
	put_line_text(memory, text, 0);
	bool failed = ferror(memory);
	if (fclose(memory) == 0 && !failed)
		return plain;
	free(plain);
	return NULL;
}

void export_decimal(FILE *out, int64_t value, unsigned decimals)
{
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, unit = 1;
	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	fprintf(out, "%s%llu.%0*llu", value < 0 ? "-" : "", (unsigned long long)(magnitude / unit),
	    (int)decimals, (unsigned long long)(magnitude % unit));
}
