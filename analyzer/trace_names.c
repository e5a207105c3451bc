/* SPDX-License-Identifier: MIT */
/*
 * trace_names.c: the session, processes and threads of a trace, and texts, of which each is kept
 * once.
 */
#include "trace_private.h"

#include "filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_PAGE   512
#define LARGEST_PAGE (UINT64_C(1) << 40)

int taking_no_memory(struct taking *taking)
{
	return trace_reader_no_memory(taking->reader);
}

bool trace_is_page_size(int64_t size)
{
	return size >= LEAST_PAGE && (uint64_t)size <= LARGEST_PAGE && (size & (size - 1)) == 0;
}

int taking_text(struct taking *taking, const char *key, const char *otherwise, const char **text)
{
	int result = trace_string(taking->reader, taking->json, key, false, &otherwise);
	if (result < 0)
		return result;
	const char *copy = text_pool_add(&taking->trace->texts, otherwise);
	if (!copy)
		return taking_no_memory(taking);
	*text = copy;
	return 0;
}

/* Words with spaces between, in the pool; none leave *command as it is. */
static int join_words(struct taking *taking, const json_t *words, const char **command)
{
	size_t size = 1, at = 0;
	if (!words)
		return 0;
	for (size_t i = 0; i < json_array_size(words); i++)
		size += json_string_length(json_array_get(words, i)) + 1;
	char *joined = malloc(size);
	if (!joined)
		return taking_no_memory(taking);
	for (size_t i = 0; i < json_array_size(words); i++) {
		const json_t *word = json_array_get(words, i);
		if (i > 0)
			joined[at++] = ' ';
		if (json_is_string(word)) {
			memcpy(joined + at, json_string_value(word), json_string_length(word));
			at += json_string_length(word);
		}
	}
	joined[at] = '\0';
	*command = text_pool_add(&taking->trace->texts, joined);
	free(joined);
	return *command ? 0 : taking_no_memory(taking);
}

static int take_command(struct taking *taking, const char **command)
{
	return join_words(taking, json_object_get(taking->json, "command"), command);
}

/* What ran, of a merged trace: the commands of its parts, with semicolons between. */
static int take_merged(struct taking *taking, const char **command)
{
	const json_t *merged = json_object_get(taking->json, "merged");
	size_t size = 0;
	char *joined = NULL;
	FILE *out = open_memstream(&joined, &size);
	int result = out ? 0 : taking_no_memory(taking);
	for (size_t i = 0; result == 0 && i < json_array_size(merged); i++) {
		const json_t *part = json_array_get(merged, i);
		const char *own = "";
		result = join_words(taking, json_object_get(part, "command"), &own);
		fprintf(out, "%s%s", i > 0 ? "; " : "", own);
	}
	if (out && fclose(out) != 0 && result == 0)
		result = taking_no_memory(taking);
	if (result == 0 && !(*command = text_pool_add(&taking->trace->texts, joined)))
		result = taking_no_memory(taking);
	free(joined);
	return result;
}

int trace_names_session(struct trace *trace, const json_t *json)
{
	struct trace_session *session = &trace->session;
	struct taking taking = {.trace = trace, .reader = trace->reader, .json = json};
	int64_t page_size = 4096, granularity = 0;
	const struct {
		const char *key;
		const char **text;
	} texts[] = {{"tool", &session->tool}, {"time", &session->time},
	    {"kernel", &session->kernel}, {"machine", &session->machine}, {"mode", &session->mode},
	    {"capture", &session->capture}};
	session->command = "";
	int result = json_is_array(json_object_get(json, "merged"))
			 ? take_merged(&taking, &session->command)
			 : take_command(&taking, &session->command);
	for (size_t i = 0; result >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		result = taking_text(&taking, texts[i].key, "", texts[i].text);
	if (result >= 0)
		result = trace_integer(trace->reader, json, "page_size", false, &page_size);
	if (result >= 0)
		result = trace_integer(trace->reader, json, "granularity", false, &granularity);
	if (result >= 0)
		result = trace_integer(trace->reader, json, "cpus", false, &session->cpus);
	if (result >= 0)
		result = trace_integer(trace->reader, json, "ts", false, &session->ts);
	if (result < 0)
		return result;
	if (granularity < page_size)
		granularity = page_size;
	if (!trace_is_page_size(page_size) || !trace_is_page_size(granularity))
		return trace_reader_refuse(trace->reader, "impossible page_size or granularity");
	session->page_size = (uint64_t)page_size;
	session->granularity = (uint64_t)granularity;
	return 0;
}

int taking_check_pid(struct taking *taking, const char *key, int64_t pid)
{
	if (pid < 0 || pid > INT32_MAX)
		return trace_reader_refuse(taking->reader, "\"%s\" is no possible number", key);
	return 1;
}

/* A process or thread ID. 1, 0 when it is not there, or -EBADMSG. */
static int take_pid(struct taking *taking, const char *key, bool required, int64_t *pid)
{
	int result = trace_integer(taking->reader, taking->json, key, required, pid);
	return result > 0 ? taking_check_pid(taking, key, *pid) : result;
}

/* Makes room for one more pointer in a list whose capacity doubles. 0 or -ENOMEM. */
static int grow_list(void *list_address, size_t *room, size_t count)
{
	if (count < *room)
		return 0;
	size_t larger = *room > 0 ? *room * 2 : 16;
	void **list = realloc(*(void ***)list_address, larger * sizeof(*list));
	if (!list)
		return -ENOMEM;
	*(void ***)list_address = list;
	*room = larger;
	return 0;
}

static struct trace_process *new_process(struct trace *trace, int64_t pid)
{
	struct trace_process *process = arena_alloc(&trace->arena, sizeof(*process));
	if (!process ||
	    grow_list(&trace->process_list, &trace->process_room, trace->process_count) < 0)
		return NULL;
	*process = (struct trace_process){
	    .index = trace->process_count,
	    .pid = pid,
	    .exe = "",
	    .command = "",
	    .ended_by = "",
	    .start_ns = trace->last_ns,
	    .end_ns = -1,
	    .status = -1,
	    .signal = -1,
	    .kept = !trace->filter,
	};
	if (id_map_put(&trace->processes, (uint64_t)pid, process) < 0)
		return NULL;
	trace->process_list[trace->process_count++] = process;
	return process;
}

/* The process that has the number now, made if it is new; NULL without memory. */
static struct trace_process *find_process(struct trace *trace, int64_t pid)
{
	struct trace_process *process = id_map_get(&trace->processes, (uint64_t)pid);
	return process ? process : new_process(trace, pid);
}

static void match_name(struct trace *trace, struct trace_thread *thread)
{
	thread->name_matches = trace->filter && filter_matches_name(trace->filter, thread->name);
}

struct trace_thread *trace_find_thread(struct trace *trace, int64_t pid, int64_t tid)
{
	uint64_t id = (uint64_t)pid << 32 | (uint64_t)tid;
	struct trace_process *process = find_process(trace, pid);
	struct trace_thread *thread = id_map_get(&trace->threads, id);
	if (!process || (thread && thread->process == process))
		return process ? thread : NULL;
	thread = arena_alloc(&trace->arena, sizeof(*thread));
	if (!thread ||
	    grow_list(&trace->thread_list, &trace->thread_room, trace->thread_count) < 0 ||
	    id_map_put(&trace->threads, id, thread) < 0)
		return NULL;
	*thread = (struct trace_thread){
	    .index = trace->thread_count,
	    .process = process,
	    .tid = tid,
	    .name = "",
	    .kept = !trace->filter,
	};
	match_name(trace, thread);
	trace->thread_list[trace->thread_count++] = thread;
	return thread;
}

int taking_who(
    struct taking *taking, struct trace_process **process, const struct trace_thread **thread)
{
	int64_t pid, tid;
	int result = take_pid(taking, "pid", true, &pid);
	if (result < 0)
		return result;
	*process = find_process(taking->trace, pid);
	*thread = NULL;
	if (!*process)
		return taking_no_memory(taking);
	result = take_pid(taking, "tid", false, &tid);
	if (result > 0) {
		*thread = trace_find_thread(taking->trace, pid, tid);
		if (!*thread)
			return taking_no_memory(taking);
	}
	return result < 0 ? result : 0;
}

int taking_process(struct taking *taking)
{
	struct trace *trace = taking->trace;
	int64_t pid, ppid = 0, ns_pid = 0, status = -1, signal = -1;
	const char *event = "", *exe = NULL;
	int result = take_pid(taking, "pid", true, &pid);
	if (result >= 0)
		result = take_pid(taking, "ppid", false, &ppid);
	if (result >= 0)
		result = take_pid(taking, "ns_pid", false, &ns_pid);
	if (result >= 0)
		result = trace_string(taking->reader, taking->json, "event", false, &event);
	if (result >= 0)
		result = trace_string(taking->reader, taking->json, "exe", false, &exe);
	if (result >= 0)
		result = trace_integer(taking->reader, taking->json, "status", false, &status);
	if (result >= 0)
		result = trace_integer(taking->reader, taking->json, "signal", false, &signal);
	if (result < 0)
		return result;
	bool begins = strcmp(event, "start") == 0 || strcmp(event, "fork") == 0;
	bool ends = strcmp(event, "exit") == 0 || strcmp(event, "detach") == 0;
	struct trace_process *process = find_process(trace, pid);
	/* numbers come again */
	if (process && begins && process->ended_by[0] != '\0')
		process = new_process(trace, pid);
	if (!process)
		return taking_no_memory(taking);
	if (ppid > 0)
		process->ppid = ppid;
	if (ns_pid > 0)
		process->ns_pid = ns_pid;
	if (exe && taking_text(taking, "exe", "", &process->exe) < 0)
		return -ENOMEM;
	if (take_command(taking, &process->command) < 0)
		return -ENOMEM;
	if (ends) {
		process->ended_by = strcmp(event, "exit") == 0 ? "exit" : "detach";
		process->end_ns = taking->event->time_ns;
		process->status = status;
		process->signal = signal;
	}
	taking->event->process = process;
	return 0;
}

int taking_thread(struct taking *taking)
{
	int64_t pid, tid;
	int result = take_pid(taking, "pid", true, &pid);
	if (result >= 0)
		result = take_pid(taking, "tid", true, &tid);
	if (result < 0)
		return result;
	struct trace_thread *thread = trace_find_thread(taking->trace, pid, tid);
	if (!thread)
		return taking_no_memory(taking);
	result = taking_text(taking, "name", "", &thread->name);
	match_name(taking->trace, thread);
	taking->event->thread = thread;
	return result;
}
