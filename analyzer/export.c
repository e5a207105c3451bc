/* SPDX-License-Identifier: MIT */
/*
 * export.c: the tables of formats and values, and what formats have in common.
 */
#include "export.h"

#include <time.h>

#define SECOND_NS 1000000000

const struct export_format *const export_formats[] = {
    &folded_format,
    &speedscope_format,
    &chrome_format,
    &firefox_format,
    &pprof_format,
    &csv_format,
    NULL,
};

const char *const export_value_names[EXPORT_VALUE_COUNT] = {
    [EXPORT_FAULTS] = "faults",
    [EXPORT_TOUCHED] = "touched",
    [EXPORT_ALLOCATED] = "allocated",
};

const char *const export_value_units[EXPORT_VALUE_COUNT] = {
    [EXPORT_FAULTS] = "count",
    [EXPORT_TOUCHED] = "bytes",
    [EXPORT_ALLOCATED] = "bytes",
};

const char *export_thread_name(const struct trace_thread *thread, char buffer[EXPORT_NAME_SIZE])
{
	if (!thread)
		return "[no thread]";
	if (thread->name[0] != '\0')
		return thread->name;
	snprintf(buffer, EXPORT_NAME_SIZE, "thread %lld", (long long)thread->tid);
	return buffer;
}

int64_t export_start_time(const struct trace_session *session)
{
	struct tm calendar = {0};
	const char *rest = strptime(session->time, "%Y-%m-%dT%H:%M:%S", &calendar);
	int64_t seconds = rest ? timegm(&calendar) : 0;
	return seconds > 0 && seconds <= INT64_MAX / SECOND_NS ? seconds * SECOND_NS : 0;
}

const char *export_format_name(size_t index)
{
	return export_formats[index] ? export_formats[index]->name : NULL;
}

const char *export_value_name(size_t index)
{
	return index < EXPORT_VALUE_COUNT ? export_value_names[index] : NULL;
}
