/* SPDX-License-Identifier: MIT */
/*
 * diff.c: nothing has changed from a trace to itself, and that is said in text that does nothing to
 * a terminal, in Markdown without markup of the trace's, and in JSON.
 */
#include "fuzz_json.h"

static void check_markdown(const char *text, size_t size)
{
	if (!fuzz_is_harmless(text, size))
		abort();
	for (const char *at = strchr(text, '<'); at; at = strchr(at + 1, '<'))
		if (strncmp(at, "<code>", 6) != 0 && strncmp(at, "</code>", 7) != 0)
			abort();
}

static void check_changes(const json_t *totals)
{
	const json_t *total;
	const char *key;

	if (!json_is_object(totals))
		abort();
	json_object_foreach((json_t *)totals, key, total)
	{
		if (json_integer_value(json_object_get(total, "change")) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int again = fuzz_file(data, size);
	char path[32];
	const char *const as_text[] = {path, NULL};
	const char *const as_markdown[] = {"--markdown", path, NULL};
	const char *const as_json[] = {"--json", path, NULL};
	size_t text_size, markdown_size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	char *text = fuzz_command(&diff_command, as_text, data, size, &text_size);
	char *markdown = fuzz_command(&diff_command, as_markdown, data, size, &markdown_size);
	json_t *json = fuzz_json_command(&diff_command, as_json, data, size);

	if (!text != !json || !markdown != !json || (text && !fuzz_is_harmless(text, text_size)))
		abort();
	if (json) {
		check_markdown(markdown, markdown_size);
		check_changes(json_object_get(json, "totals"));
	}
	json_decref(json);
	free(markdown);
	free(text);
	close(again);
	return 0;
}
