/* SPDX-License-Identifier: MIT */
/*
 * merge_session.c: what the sessions of several traces have in common, and when they were.
 */
#include "merge_session.h"

#include "message.h"
#include "trace_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000
/* The calendar's seconds are cut off; and a clock that is set while recording may move a little. */
#define SAME_CLOCK_NS (2 * (int64_t)SECOND_NS)
/* Times further apart are those of a damaged trace: 2^61 ns are 73 years. */
#define LATEST_NS (INT64_C(1) << 61)

/* One trace's. */
struct part {
	const char *path;
	json_t *line;
	int64_t ts;	  /* by its own clock */
	int64_t calendar; /* ns since 1970, 0: not told */
	int64_t clock_ns; /* from its own clock to the common one */
};

struct merge_session {
	struct part *parts;
	size_t count;
	json_t *line; /* of the merged trace */
	int64_t ts;   /* its start */
};

static int no_memory(void)
{
	message("merge: out of memory");
	return -ENOMEM;
}

struct merge_session *merge_session_create(void)
{
	return calloc(1, sizeof(struct merge_session));
}

void merge_session_destroy(struct merge_session *session)
{
	if (!session)
		return;
	for (size_t i = 0; i < session->count; i++)
		json_decref(session->parts[i].line);
	free(session->parts);
	json_decref(session->line);
	free(session);
}

/* RFC 3339 in UTC; 0 when it is something else. */
static int64_t parse_calendar(const char *text)
{
	struct tm calendar = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &calendar);
	int64_t seconds = rest && strcmp(rest, "Z") == 0 ? timegm(&calendar) : 0;
	return seconds > 0 && seconds < LATEST_NS / SECOND_NS ? seconds * SECOND_NS : 0;
}

/* What must be alike, because bytes are counted by it. */
static int check_sizes(const struct merge_session *session, const struct part *part)
{
	static const char *const keys[] = {"page_size", "granularity"};
	const struct part *first = &session->parts[0];
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *one = json_object_get(first->line, keys[i]);
		const json_t *other = json_object_get(part->line, keys[i]);
		if (one != other && !json_equal(one, other)) {
			message("merge: \"%s\" and \"%s\" do not go together: they have different "
				"%s",
			    trace_request_name(first->path), trace_request_name(part->path),
			    keys[i]);
			return -EINVAL;
		}
	}
	return 0;
}

int merge_session_add(struct merge_session *session, struct trace *trace, const char *path)
{
	const struct trace_session *facts = trace_session_of(trace);
	struct trace_event event;
	int result = trace_next(trace, &event);
	if (result <= 0) {
		message("%s", trace_error(trace));
		return -EBADMSG;
	}
	if (facts->ts < 0 || facts->ts > LATEST_NS) {
		message("merge: \"%s\" begins at an impossible time", trace_request_name(path));
		return -EINVAL;
	}
	struct part *parts = realloc(session->parts, (session->count + 1) * sizeof(*parts));
	if (!parts)
		return no_memory();
	session->parts = parts;
	struct part *part = &parts[session->count];
	*part = (struct part){
	    .path = path,
	    .line = json_loadb(event.text, event.text_size, 0, NULL),
	    .ts = facts->ts,
	    .calendar = parse_calendar(facts->time),
	};
	if (!part->line)
		return no_memory();
	session->count++;
	return check_sizes(session, part);
}

/* How the clock of a part differs from the first one's. */
static int64_t compare_clocks(const struct part *first, const struct part *part)
{
	int64_t by_clock = part->ts - first->ts, by_calendar = part->calendar - first->calendar;
	int64_t apart = by_calendar - by_clock;
	bool told = first->calendar > 0 && part->calendar > 0;
	return !told || (apart <= SAME_CLOCK_NS && apart >= -SAME_CLOCK_NS) ? 0 : apart;
}

/* Sets all clocks; the part that began first. */
static const struct part *set_clocks(struct merge_session *session)
{
	const struct part *earliest = &session->parts[0];
	for (size_t i = 0; i < session->count; i++) {
		struct part *part = &session->parts[i];
		part->clock_ns = compare_clocks(&session->parts[0], part);
		if (part->ts + part->clock_ns < earliest->ts + earliest->clock_ns)
			earliest = part;
	}
	int64_t start = earliest->ts + earliest->clock_ns;
	for (size_t i = 0; start < 0 && i < session->count; i++)
		session->parts[i].clock_ns -= start;
	return earliest;
}

/*
 * What was merged: of a part that is itself merged, its parts. 0 or -ENOMEM. Their keys that speak
 * of the format alone are left out.
 */
static int add_merged(json_t *merged, const struct part *part)
{
	static const char *const keys[] = {
	    "tool", "time", "kernel", "machine", "cpus", "mode", "capture", "command", "filters"};
	json_t *before = json_object_get(part->line, "merged");
	if (json_is_array(before))
		return json_array_extend(merged, before) < 0 ? -ENOMEM : 0;
	json_t *object = json_object();
	if (json_array_append_new(merged, object) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *value = json_object_get(part->line, keys[i]);
		if (value && json_object_set(object, keys[i], value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Keys that are not the same in all parts say nothing of the whole; times are set apart. */
static int drop_differences(const struct merge_session *session, json_t *line)
{
	const char *key;
	void *next;
	json_t *value;
	bool same_mode = true;
	json_object_foreach_safe(line, next, key, value)
	{
		bool alike = true;
		for (size_t i = 0; i < session->count; i++)
			alike &= json_equal(value, json_object_get(session->parts[i].line, key));
		if (alike || strcmp(key, "ts") == 0 || strcmp(key, "time") == 0)
			continue;
		same_mode &= strcmp(key, "mode") != 0;
		json_object_del(line, key);
	}
	/* which is a word that readers show */
	if (!same_mode && json_object_set_new(line, "mode", json_string("mixed")) < 0)
		return -ENOMEM;
	return 0;
}

int merge_session_finish(struct merge_session *session, const struct filter *filter)
{
	const struct part *earliest = set_clocks(session);
	json_t *merged = json_array();
	int result = merged ? 0 : -ENOMEM;
	session->line = json_deep_copy(earliest->line);
	if (!session->line)
		result = -ENOMEM;
	for (size_t i = 0; result == 0 && i < session->count; i++)
		result = add_merged(merged, &session->parts[i]);
	if (result == 0)
		result = drop_differences(session, session->line);
	session->ts = earliest->ts + earliest->clock_ns;
	if (result == 0 && json_object_set_new(session->line, "ts", json_integer(session->ts)) < 0)
		result = -ENOMEM;
	if (result == 0 && json_object_set(session->line, "merged", merged) < 0)
		result = -ENOMEM;
	if (result == 0)
		result = filter_note(filter, session->line);
	json_decref(merged);
	return result < 0 ? no_memory() : 0;
}

int64_t merge_session_clock(const struct merge_session *session, size_t index)
{
	return session->parts[index].clock_ns;
}

int merge_session_write(const struct merge_session *session, struct trace_output *output)
{
	return trace_output_json(output, session->line);
}

void merge_totals_add(struct merge_totals *totals, const struct trace_event *event)
{
	totals->faults += event->type == TRACE_FAULT;
	totals->regions += event->type == TRACE_REGION;
	totals->stacks += event->type == TRACE_STACK;
	if (event->type == TRACE_LOST)
		totals->lost += (int64_t)event->loss.count;
}

void merge_totals_end(struct merge_totals *totals, const struct trace *trace,
    const struct trace_event *event, int64_t clock_ns)
{
	int64_t end_ns = trace_session_of(trace)->ts + clock_ns;
	if (__builtin_add_overflow(end_ns, (int64_t)event->end.duration_ns, &end_ns))
		end_ns = INT64_MAX;
	if (end_ns > totals->end_ns)
		totals->end_ns = end_ns;
	for (uint32_t i = 0; i < trace_process_count(trace); i++)
		totals->processes += trace_process_at(trace, i)->kept;
	totals->ended++;
}

int merge_totals_write(const struct merge_totals *totals, const struct merge_session *session,
    struct trace_output *output)
{
	json_t *line = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "end", "ts",
	    (json_int_t)totals->end_ns, "faults", (json_int_t)totals->faults, "regions",
	    (json_int_t)totals->regions, "stacks", (json_int_t)totals->stacks, "lost",
	    (json_int_t)totals->lost, "duration_ns", (json_int_t)(totals->end_ns - session->ts),
	    "processes", (json_int_t)totals->processes);
	int result = line ? trace_output_json(output, line) : no_memory();
	json_decref(line);
	return result;
}
