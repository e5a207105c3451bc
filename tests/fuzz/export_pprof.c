/* SPDX-License-Identifier: MIT */
/*
 * export_pprof.c: the profile can be unpacked, and all that its messages name is there.
 */
#include "fuzz_command.h"

#include "export.h"
#include "pprof.pb-c.h"

#include <zlib.h>

#define MOST (16u << 20) /* bytes: more than a fuzzer's input can come to */

static const char *const words[] = {"--format=pprof", "--no-lines", NULL};

/* The packed message, to be freed. */
static uint8_t *decompress(const char *compressed, size_t size, size_t *length)
{
	z_stream stream = {.next_in = (unsigned char *)compressed, .avail_in = (uInt)size};
	uint8_t *message = malloc(MOST);

	stream.next_out = message;
	stream.avail_out = MOST;
	if (!message || inflateInit2(&stream, MAX_WBITS + 16) != Z_OK ||
	    inflate(&stream, Z_FINISH) != Z_STREAM_END || stream.avail_in > 0)
		abort();
	*length = stream.total_out;
	inflateEnd(&stream);
	return message;
}

static void check_text(const Perftools__Profiles__Profile *profile, int64_t text)
{
	if (text < 0 || (uint64_t)text >= profile->n_string_table)
		abort();
}

/* Identifiers count from 1 in the order in which locations and functions are written. */
static void check_sample(
    const Perftools__Profiles__Profile *profile, const Perftools__Profiles__Sample *sample)
{
	if (sample->n_value != profile->n_sample_type || sample->n_location_id == 0)
		abort();
	for (size_t i = 0; i < sample->n_location_id; i++)
		if (sample->location_id[i] == 0 || sample->location_id[i] > profile->n_location)
			abort();
	for (size_t i = 0; i < sample->n_label; i++) {
		check_text(profile, sample->label[i]->key);
		check_text(profile, sample->label[i]->str);
	}
}

static void check_location(
    const Perftools__Profiles__Profile *profile, const Perftools__Profiles__Location *location)
{
	bool is_mapped = location->mapping_id == 0;

	for (size_t i = 0; i < profile->n_mapping; i++)
		is_mapped |= profile->mapping[i]->id == location->mapping_id;
	if (!is_mapped)
		abort();
	for (size_t i = 0; i < location->n_line; i++)
		if (location->line[i]->function_id == 0 ||
		    location->line[i]->function_id > profile->n_function)
			abort();
}

static void check_profile(const Perftools__Profiles__Profile *profile)
{
	if (profile->n_sample_type != EXPORT_VALUE_COUNT || profile->string_table[0][0] != '\0')
		abort();
	for (size_t i = 0; i < profile->n_sample; i++)
		check_sample(profile, profile->sample[i]);
	for (size_t i = 0; i < profile->n_location; i++)
		check_location(profile, profile->location[i]);
	for (size_t i = 0; i < profile->n_function; i++) {
		check_text(profile, profile->function[i]->name);
		check_text(profile, profile->function[i]->system_name);
		check_text(profile, profile->function[i]->filename);
	}
	for (size_t i = 0; i < profile->n_mapping; i++) {
		check_text(profile, profile->mapping[i]->filename);
		check_text(profile, profile->mapping[i]->build_id);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t written, length;
	char *text = fuzz_command(&export_command, words, data, size, &written);

	if (text) {
		uint8_t *message = decompress(text, written, &length);
		Perftools__Profiles__Profile *profile =
		    perftools__profiles__profile__unpack(NULL, length, message);

		if (!profile)
			abort();
		check_profile(profile);
		perftools__profiles__profile__free_unpacked(profile, NULL);
		free(message);
	}
	free(text);
	return 0;
}
