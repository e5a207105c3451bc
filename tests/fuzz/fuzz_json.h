/* SPDX-License-Identifier: MIT */
/*
 * fuzz_json.h: for commands that print JSON: jansson must be able to read it, and no key comes
 * twice.
 */
#ifndef FAULTLINE_FUZZ_JSON_H
#define FAULTLINE_FUZZ_JSON_H

#include "fuzz_command.h"

/* As fuzz_command, what was printed as JSON, to be freed. */
static inline json_t *fuzz_json_command(
    const struct command *command, const char *const words[], const void *data, size_t size)
{
	size_t written;
	json_error_t error;
	char *text = fuzz_command(command, words, data, size, &written);
	json_t *json = text ? json_loadb(text, written, JSON_REJECT_DUPLICATES, &error) : NULL;

	if (text && !json) {
		fprintf(stderr, "byte %d: %s\n", error.position, error.text);
		abort();
	}
	free(text);
	return json;
}

/* How many faults a report counts; the words are its options, among them --json. */
static inline json_int_t fuzz_faults(const char *const words[], const void *data, size_t size)
{
	json_t *report = fuzz_json_command(&report_command, words, data, size);

	if (!report)
		abort();
	json_int_t faults =
	    json_integer_value(json_object_get(json_object_get(report, "totals"), "faults"));
	json_decref(report);
	return faults;
}

/* Do all members of an array lie in [0, limit)? Those that are null do where that is allowed. */
static inline bool all_below(const json_t *numbers, json_int_t limit, bool may_be_null)
{
	for (size_t i = 0; i < json_array_size(numbers); i++) {
		const json_t *number = json_array_get(numbers, i);
		bool is_place = json_is_integer(number) && json_integer_value(number) >= 0 &&
				json_integer_value(number) < limit;

		if (!is_place && !(may_be_null && json_is_null(number)))
			return false;
	}
	return true;
}

#endif
