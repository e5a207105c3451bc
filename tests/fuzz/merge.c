/* SPDX-License-Identifier: MIT */
/*
 * merge.c: a trace and the same again are merged: that is a trace, which has each fault twice.
 */
#include "fuzz_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const counted[] = {"--no-lines", "--json", NULL};
	int again = fuzz_file(data, size);
	char path[32];
	const char *const words[] = {path, NULL};
	size_t written;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	char *merged = fuzz_command(&merge_command, words, data, size, &written);

	if (merged && fuzz_faults(counted, merged, written) != 2 * fuzz_faults(counted, data, size))
		abort();
	free(merged);
	close(again);
	return 0;
}
