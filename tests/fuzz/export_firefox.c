/* SPDX-License-Identifier: MIT */
/*
 * export_firefox.c: the columns of a table are as long as it says, and name places that there are.
 */
#include "fuzz_json.h"

static const char *const words[] = {"--format=firefox", "--no-lines", NULL};

static json_int_t length_of(const json_t *table)
{
	json_int_t length = json_integer_value(json_object_get(table, "length"));
	const json_t *column;
	const char *name;

	if (!json_is_object(table))
		abort();
	json_object_foreach((json_t *)table, name,
	    column) if (json_is_array(column) && (json_int_t)json_array_size(column) != length)
	    abort();
	return length;
}

static void check_column(const json_t *table, const char *name, json_int_t limit, bool may_be_null)
{
	if (!all_below(json_object_get(table, name), limit, may_be_null))
		abort();
}

static void check_thread(const json_t *thread, json_int_t stacks, json_int_t strings)
{
	const json_t *samples = json_object_get(thread, "samples");
	const json_t *allocations = json_object_get(thread, "nativeAllocations");
	const json_t *markers = json_object_get(thread, "markers");

	if (length_of(samples) != length_of(allocations))
		abort();
	length_of(markers);
	check_column(samples, "stack", stacks, true);
	check_column(allocations, "stack", stacks, true);
	check_column(markers, "name", strings, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = fuzz_json_command(&export_command, words, data, size);
	const json_t *shared = json_object_get(json, "shared");
	const json_t *threads = json_object_get(json, "threads");
	const json_t *stacks = json_object_get(shared, "stackTable");
	const json_t *frames = json_object_get(shared, "frameTable");
	const json_t *functions = json_object_get(shared, "funcTable");
	json_int_t strings = (json_int_t)json_array_size(json_object_get(shared, "stringArray"));

	if (json) {
		length_of(json_object_get(shared, "resourceTable"));
		check_column(stacks, "frame", length_of(frames), false);
		check_column(stacks, "prefix", length_of(stacks), true);
		check_column(frames, "func", length_of(functions), false);
		check_column(functions, "name", strings, false);
		check_column(
		    functions, "source", length_of(json_object_get(shared, "sources")), true);
	}
	for (size_t i = 0; i < json_array_size(threads); i++)
		check_thread(json_array_get(threads, i), length_of(stacks), strings);
	json_decref(json);
	return 0;
}
