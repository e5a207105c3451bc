/* SPDX-License-Identifier: MIT */
/*
 * export_speedscope.c: frames are named by places that there are, and every stack has a weight.
 */
#include "fuzz_json.h"

#include "export.h"

static const char *const words[] = {"--format=speedscope", "--no-lines", NULL};

static void check_profile(const json_t *profile, size_t frames)
{
	const json_t *samples = json_object_get(profile, "samples");
	const json_t *weights = json_object_get(profile, "weights");
	size_t count = json_array_size(samples);

	if (!json_is_array(samples) || !json_is_array(weights) || json_array_size(weights) != count)
		abort();
	for (size_t i = 0; i < count; i++)
		if (!all_below(json_array_get(samples, i), (json_int_t)frames, false))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = fuzz_json_command(&export_command, words, data, size);
	const json_t *profiles = json_object_get(json, "profiles");
	const json_t *frames = json_object_get(json_object_get(json, "shared"), "frames");

	if (json && json_array_size(profiles) != EXPORT_VALUE_COUNT)
		abort();
	for (size_t i = 0; i < json_array_size(profiles); i++)
		check_profile(json_array_get(profiles, i), json_array_size(frames));
	json_decref(json);
	return 0;
}
