/* SPDX-License-Identifier: MIT */
/*
 * report.c: all sections of a report, as text that does nothing to a terminal, and as JSON in which
 * each way of telling who touched the memory comes to the same totals.
 */
#include "fuzz_json.h"

static const char *const as_text[] = {"--by=all", "--no-lines", NULL};
static const char *const as_json[] = {
    "--by=all", "--limit=all", "--min-percent=0", "--no-lines", "--json", NULL};

static json_int_t sum_of(const json_t *rows, const char *key)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < json_array_size(rows); i++)
		sum += (uint64_t)json_integer_value(json_object_get(json_array_get(rows, i), key));
	return (json_int_t)sum;
}

static void check_totals(const json_t *report)
{
	static const struct {
		const char *section, *faults, *bytes;
	} sums[] = {
	    {"site", "faults", "bytes"},
	    {"stack", "self_faults", "self_bytes"},
	    {"thread", "faults", "bytes"},
	    {"process", "faults", "bytes"},
	    {"time", "faults", "bytes"},
	};
	const json_t *totals = json_object_get(report, "totals");
	json_int_t faults = json_integer_value(json_object_get(totals, "faults"));
	json_int_t bytes = json_integer_value(json_object_get(totals, "bytes"));

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		const json_t *rows = json_object_get(report, sums[i].section);

		if (!json_is_array(rows) || sum_of(rows, sums[i].faults) != faults ||
		    sum_of(rows, sums[i].bytes) != bytes)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t written;
	char *text = fuzz_command(&report_command, as_text, data, size, &written);
	json_t *json = fuzz_json_command(&report_command, as_json, data, size);

	if (!text != !json || (text && !fuzz_is_harmless(text, written)))
		abort();
	if (json)
		check_totals(json);
	json_decref(json);
	free(text);
	return 0;
}
