/* SPDX-License-Identifier: MIT */
/*
 * export_csv.c: every row has as many fields as the heading, quotes are closed, and there are no
 * control characters.
 */
#include "fuzz_command.h"

static const char *const words[] = {"--format=csv", "--no-lines", NULL};

/* The number of fields in a row; moves *text behind it. */
static size_t read_row(const char **text)
{
	const char *next = *text;
	size_t fields = 1;
	bool quoted = false;

	for (; *next != '\0' && (quoted || *next != '\n'); next++) {
		if ((unsigned char)*next < 0x20 || *next == 0x7f)
			abort();
		if (*next == '"')
			quoted = !quoted;
		if (*next == ',' && !quoted)
			fields++;
	}
	if (quoted || *next != '\n')
		abort();
	*text = next + 1;
	return fields;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t written, fields;
	char *text = fuzz_command(&export_command, words, data, size, &written);
	const char *next = text;

	if (text) {
		fields = read_row(&next);
		while (*next != '\0')
			if (read_row(&next) != fields)
				abort();
	}
	free(text);
	return 0;
}
