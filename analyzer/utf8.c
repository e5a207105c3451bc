/* SPDX-License-Identifier: MIT */
/*
 * utf8.c: decodes UTF-8 and judges letters. Keeps no state.
 */
#include "utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t utf8_letter(const char *text, uint32_t *letter)
{
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned char first = bytes[0];
	size_t size = first < 0x80   ? 1
		      : first < 0xc2 ? 0
		      : first < 0xe0 ? 2
		      : first < 0xf0 ? 3
		      : first < 0xf5 ? 4
				     : 0;
	*letter = first;
	if (size <= 1)
		return size;
	uint32_t value = first & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (bytes[i] & 0x3f);
	}
	/* overlong forms, surrogates, and what Unicode does not have */
	if ((size == 3 && value < 0x800) || (size == 4 && value < 0x10000) ||
	    (value >= 0xd800 && value < 0xe000) || value > 0x10ffff)
		return 0;
	*letter = value;
	return size;
}

static bool is_printable(uint32_t letter)
{
	/* C0, DEL and C1; C1 holds one-letter forms of escape sequences */
	if (letter < 0x20 || (letter >= 0x7f && letter < 0xa0))
		return false;
	/* line and paragraph separators, marks and controls of direction (Unicode, UAX 9) */
	return !(letter == 0x200e || letter == 0x200f || (letter >= 0x2028 && letter <= 0x202e) ||
		 (letter >= 0x2066 && letter <= 0x2069) || letter == 0x61c);
}

void utf8_make_printable(char *text)
{
	char *to = text;
	uint32_t letter;
	while (*text != '\0') {
		size_t size = utf8_letter(text, &letter);
		bool printable = size > 0 && is_printable(letter);
		if (size == 0)
			size = 1;
		if (printable) {
			memmove(to, text, size);
			to += size;
		} else {
			*to++ = '?';
		}
		text += size;
	}
	*to = '\0';
}

json_t *utf8_json(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	json_t *value = json_string(text);
	if (value)
		return value;
	char *clean = malloc(strlen(text) * 3 + 1), *at = clean;
	uint32_t letter;
	if (!clean)
		return NULL;
	while (*text != '\0') {
		size_t size = utf8_letter(text, &letter);
		memcpy(at, size > 0 ? text : replacement, size > 0 ? size : 3);
		at += size > 0 ? size : 3;
		text += size > 0 ? size : 1;
	}
	*at = '\0';
	value = json_string(clean);
	free(clean);
	return value;
}
