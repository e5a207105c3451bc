/* SPDX-License-Identifier: MIT */
/*
 * export_speedscope.c: speedscope's own file format (its file-format-schema.json): a sampled
 * profile for each kind of value, whose stacks name frames by their place in one list. That list
 * holds the threads, which are the outermost frames, and then the functions:
 *
 *     0               no thread
 *     1 to T          thread 0 to T - 1
 *     T + 1 and more  function 0 and more
 */
#include "code_names.h"
#include "command.h"
#include "export_sums.h"
#include "export_text.h"

#include <errno.h>
#include <stdlib.h>

struct speedscope {
	const struct export_job *export;
	struct export_sums sums;
};

static void *start(const struct export_job *export)
{
	struct speedscope *speedscope = calloc(1, sizeof(*speedscope));
	if (speedscope)
		speedscope->export = export;
	return speedscope;
}

static int take(void *state, const struct trace_event *event)
{
	struct speedscope *speedscope = state;
	return export_sums_take(&speedscope->sums, event);
}

/* [1,7,8],[2,7]: a stack for each sum that has a value. 0 or -ENOMEM. */
static int put_stacks(const struct speedscope *speedscope, enum export_value value)
{
	const struct export_job *export = speedscope->export;
	uint32_t first_function = trace_thread_count(export->trace) + 1;
	const char *separator = "";
	for (const struct export_sum *sum = speedscope->sums.first; sum; sum = sum->next) {
		size_t count;
		if (sum->values[value] == 0)
			continue;
		const struct code_frame *const *frames =
		    code_names_stack(export->names, sum->stack, &count);
		if (!frames)
			return -ENOMEM;
		fprintf(export->out, "%s[%u", separator, sum->thread ? sum->thread->index + 1 : 0);
		for (size_t i = 0; i < count; i++)
			for (unsigned j = frames[i]->line_count; j-- > 0;)
				fprintf(export->out, ",%u",
				    first_function + frames[i]->lines[j].function->index);
		putc_unlocked(']', export->out);
		separator = ",\n";
	}
	return 0;
}

/* The same stacks' values. Returns their sum. */
static uint64_t put_weights(const struct speedscope *speedscope, enum export_value value)
{
	uint64_t total = 0;
	const char *separator = "";
	for (const struct export_sum *sum = speedscope->sums.first; sum; sum = sum->next) {
		if (sum->values[value] == 0)
			continue;
		fprintf(speedscope->export->out, "%s%llu", separator,
		    (unsigned long long)sum->values[value]);
		total += sum->values[value];
		separator = ",";
	}
	return total;
}

static int put_profile(const struct speedscope *speedscope, enum export_value value)
{
	FILE *out = speedscope->export->out;
	fprintf(out, "{\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"samples\":[",
	    export_value_names[value], value == EXPORT_FAULTS ? "none" : "bytes");
	int result = put_stacks(speedscope, value);
	fputs("],\n\"weights\":[", out);
	uint64_t total = put_weights(speedscope, value);
	fprintf(out, "],\n\"startValue\":0,\"endValue\":%llu}", (unsigned long long)total);
	return result;
}

static void put_frames(const struct export_job *export)
{
	FILE *out = export->out;
	char name[EXPORT_NAME_SIZE];
	fputs("{\"name\":", out);
	export_json_text(out, export_thread_name(NULL, name));
	for (uint32_t i = 0; i < trace_thread_count(export->trace); i++) {
		fputs("},\n{\"name\":", out);
		export_json_text(out, export_thread_name(trace_thread_at(export->trace, i), name));
	}
	for (uint32_t i = 0; i < code_names_function_count(export->names); i++) {
		const struct code_function *function = code_names_function_at(export->names, i);
		fputs("},\n{\"name\":", out);
		export_json_text(out, function->name);
		if (!function->file && !function->module)
			continue;
		fputs(",\"file\":", out);
		export_json_text(out, function->file ? function->file : function->module->path);
	}
	fputs("}", out);
}

static int finish(void *state)
{
	const struct speedscope *speedscope = state;
	FILE *out = speedscope->export->out;
	int result = 0;
	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
	      "\"exporter\":\"faultline " FAULTLINE_VERSION "\",\"name\":",
	    out);
	export_json_text(out, trace_session_of(speedscope->export->trace)->command);
	fprintf(out, ",\n\"activeProfileIndex\":%d,\"profiles\":[\n", EXPORT_TOUCHED);
	for (unsigned value = 0; result == 0 && value < EXPORT_VALUE_COUNT; value++) {
		if (value > 0)
			fputs(",\n", out);
		result = put_profile(speedscope, value);
	}
	fputs("],\n\"shared\":{\"frames\":[\n", out);
	put_frames(speedscope->export);
	fputs("]}}\n", out);
	return result;
}

static void destroy(void *state)
{
	struct speedscope *speedscope = state;
	export_sums_clear(&speedscope->sums);
	free(speedscope);
}

const struct export_format speedscope_format = {
    .name = "speedscope",
    .summary = "speedscope's file format: touched, faults and allocated",
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
