/* SPDX-License-Identifier: MIT */
/*
 * event_line.c: names and texts of any bytes must make lines that jansson reads. The first byte
 * chooses the event, the rest goes where the traced program's bytes go.
 */
#include "line.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct event *event)
{
	json_t *json = line_of_event(event), *parsed;
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	parsed = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!parsed || !json_equal(parsed, json) || strchr(text, '\n'))
		abort();
	json_decref(parsed);
	free(text);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_process *process = calloc(1, sizeof(*process) + size);
	struct event_module *module = calloc(1, sizeof(*module) + size);
	struct event_lost *lost = calloc(1, sizeof(*lost) + size);
	struct event_thread thread = {.head.type = EVENT_THREAD};

	if (size > 2) {
		process->head.type = EVENT_PROCESS;
		process->event = data[0] % 8;
		process->argc = data[1];
		process->exe_size = data[0] & 1;
		process->text_size = (uint32_t)size - 2;
		memcpy(process->text, data + 2, size - 2);
		check(&process->head);
		module->head.type = EVENT_MODULE;
		module->build_id_size = data[0];
		module->path_size = (uint32_t)size - 1;
		memcpy(module->path, data + 1, size - 1);
		check(&module->head);
		lost->head.type = EVENT_LOST;
		lost->what = data[0];
		lost->why_size = (uint32_t)size - 1;
		memcpy(lost->why, data + 1, size - 1);
		check(&lost->head);
		memcpy(thread.name, data, size < sizeof(thread.name) ? size : sizeof(thread.name));
		check(&thread.head);
	}
	free(process);
	free(module);
	free(lost);
	return 0;
}
