/* SPDX-License-Identifier: MIT */
/*
 * page.c: the page of any trace has the markup of an empty trace's page and no other, whatever is
 * in the trace, and all faults are in each of its tables.
 */
#include "fuzz_command.h"

#include "html/page.h"

static const char *const words[] = {"--no-lines", NULL};

/* What could begin a tag or a comment. */
static size_t count_markup(const char *text)
{
	size_t found = 0;
	for (text = strchr(text, '<'); text; text = strchr(text + 1, '<'))
		found++;
	return found;
}

static size_t markup_of_empty(void)
{
	static const char empty[] =
	    "{\"type\":\"session\",\"format\":\"faultline-trace\",\"version\":1}\n";
	static size_t found;
	size_t written;
	if (found == 0) {
		char *text = fuzz_command(&html_command, words, empty, strlen(empty), &written);
		if (!text)
			abort();
		found = count_markup(text);
		free(text);
	}
	return found;
}

static void check_sums(const struct collection *collection)
{
	const struct tally *tallies[] = {
	    &collection->code, &collection->origins, &collection->shares, &collection->map};
	for (size_t t = 0; t < sizeof(tallies) / sizeof(tallies[0]); t++) {
		uint64_t faults = 0, bytes = 0;
		for (size_t i = 0; i < tallies[t]->count; i++) {
			faults += tallies[t]->rows[i].count;
			bytes += tallies[t]->rows[i].bytes;
		}
		if (faults != collection->profile->sum.faults ||
		    bytes != collection->profile->sum.bytes)
			abort();
	}
}

static void check_collection(const uint8_t *data, size_t size)
{
	struct collection collection = {0};
	struct trace *trace;
	int file = fuzz_file(data, size);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (trace_open(&trace, path, NULL, 0) < 0 || collection_start(&collection, trace) < 0 ||
	    collection_read(&collection, trace) < 0)
		abort();
	check_sums(&collection);
	collection_free(&collection);
	trace_close(trace);
	close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t written;
	char *text = fuzz_command(&html_command, words, data, size, &written);

	if (text) {
		if (strlen(text) != written || count_markup(text) != markup_of_empty())
			abort();
		check_collection(data, size);
	}
	free(text);
	return 0;
}
