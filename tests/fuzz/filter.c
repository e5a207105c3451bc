/* SPDX-License-Identifier: MIT */
/*
 * filter.c: the first line is the filters, the rest the trace. What they keep is a trace again,
 * with as many faults in it as a report of the whole trace counts when it is told the same filters.
 */
#include "fuzz_json.h"

#include "filter.h"

/*
 * Only filters: what is written to where is not the input's to say. A regular expression is the
 * user's own, and may be as slow as the user likes: here it is of the simple kind.
 */
static bool is_filter(const char *word)
{
	for (const struct fl_option *row = filter_options.rows; row->flag; row++) {
		size_t length = strlen(row->flag);

		if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, row->flag, length) == 0 &&
		    word[2 + length] == '=')
			return strcmp(row->flag, "symbol") != 0 || !strpbrk(word, "{\\*+");
	}
	return false;
}

/* Puts the words of the line, ended by NULL, behind the `count` that there are: all filters? */
static bool split(char *line, const char **words, size_t count)
{
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		if (count == FUZZ_MOST_WORDS - 1 || !is_filter(word))
			return false;
		words[count++] = word;
	}
	words[count] = NULL;
	return true;
}

static void check_filter(const char *const *words, size_t own, const uint8_t *data, size_t size)
{
	static const char *const none[] = {"--no-lines", "--json", NULL};
	size_t written;
	char *kept = fuzz_command(&filter_command, words + own, data, size, &written);

	if (kept && fuzz_faults(none, kept, written) != fuzz_faults(words, data, size))
		abort();
	free(kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *words[FUZZ_MOST_WORDS] = {"--no-lines", "--json"};
	const uint8_t *newline = memchr(data, '\n', size);
	size_t length = newline ? (size_t)(newline - data) : 0;
	char *line = strndup((const char *)data, length);

	if (!line)
		abort();
	if (newline && split(line, words, 2))
		check_filter(words, 2, newline + 1, size - length - 1);
	free(line);
	return 0;
}
