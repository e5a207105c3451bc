/* SPDX-License-Identifier: MIT */
/*
 * export_folded.c: each line of folded stacks ends in a number and has no control characters.
 */
#include "fuzz_command.h"

static const char *const words[] = {"--format=folded", "--no-lines", NULL};

static void check_line(const char *line, size_t size)
{
	size_t digits = 0;

	while (digits < size && line[size - 1 - digits] >= '0' && line[size - 1 - digits] <= '9')
		digits++;
	if (digits == 0 || digits + 1 >= size || line[size - 1 - digits] != ' ')
		abort();
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t written;
	char *text = fuzz_command(&export_command, words, data, size, &written);

	for (char *line = text; line && *line != '\0'; line = strchr(line, '\n') + 1) {
		if (!strchr(line, '\n'))
			abort();
		check_line(line, strcspn(line, "\n"));
	}
	free(text);
	return 0;
}
