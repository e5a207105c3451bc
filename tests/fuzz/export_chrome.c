/* SPDX-License-Identifier: MIT */
/*
 * export_chrome.c: every event has a name and a process, and stacks and their callers are there.
 */
#include "fuzz_json.h"

static const char *const words[] = {"--format=chrome", "--no-lines", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = fuzz_json_command(&export_command, words, data, size);
	json_t *frames = json_object_get(json, "stackFrames"), *frame;
	const json_t *events = json_object_get(json, "traceEvents");
	const char *key;

	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *event = json_array_get(events, i);
		const json_t *stack = json_object_get(event, "sf");

		if (!json_is_string(json_object_get(event, "name")) ||
		    !json_is_integer(json_object_get(event, "pid")))
			abort();
		if (stack && !json_object_get(frames, json_string_value(stack)))
			abort();
	}
	json_object_foreach(frames, key, frame)
	{
		const json_t *parent = json_object_get(frame, "parent");

		if (parent && !json_object_get(frames, json_string_value(parent)))
			abort();
	}
	json_decref(json);
	return 0;
}
