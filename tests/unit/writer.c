/* SPDX-License-Identifier: MIT */
/* writer.c: the writer thread from its first line to its last, and on a full disk. */
#include "writer.h"

#include "check.h"
#include "event.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>
#include <zstd.h>

static const struct writer_session session = {.mode = "missing",
    .capture = "none",
    .thp = "never",
    .features = (const char *const[]){"thread-id", NULL},
    .command = (const char *const[]){"program", NULL},
    .granularity = 4096};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct writer *started(const char *path)
{
	struct writer *writer = NULL;
	char error[1024];

	if (!CHECK(!writer_create(&writer, path, error, sizeof(error)), "%s", error))
		exit(2);
	CHECK(!writer_start(writer, &session), "cannot start");
	return writer;
}

static void put_process(struct writer *writer, uint32_t what, uint64_t ts)
{
	struct event_process *event = writer_reserve(writer, EVENT_PROCESS, sizeof(*event), ts);
	struct event head = event->head;

	*event = (struct event_process){.head = head, .pid = 10, .event = what, .status = -1};
	writer_commit(writer);
}

static void put_fault(struct writer *writer, uint64_t number)
{
	struct event_fault *event = writer_reserve(writer, EVENT_FAULT, sizeof(*event), number);
	struct event head = event->head;

	/* Multiplied so that zstd finds little to take away. */
	*event = (struct event_fault){.head = head,
	    .pid = 10,
	    .tid = 10,
	    .addr = number * UINT64_C(0x9e3779b97f4a7c15),
	    .access = ACCESS_WRITE,
	    .offset = number * UINT64_C(0xbf58476d1ce4e5b9),
	    .region = 1,
	    .bytes = 4096};
	writer_commit(writer);
}

static void put_stack(struct writer *writer, uint32_t id, uint32_t frames)
{
	struct event_stack *event = writer_reserve(
	    writer, EVENT_STACK, sizeof(*event) + frames * sizeof(event->frames[0]), id);

	event->id = id;
	event->pid = 10;
	event->truncated = 0;
	event->count = frames;
	for (uint32_t i = 0; i < frames; i++)
		event->frames[i] = (struct event_frame){UINT64_MAX - i, 0, 0, i == 0};
	writer_commit(writer);
}

static void put_region(struct writer *writer, uint32_t id)
{
	struct event_region *event = writer_reserve(writer, EVENT_REGION, sizeof(*event), id);
	struct event head = event->head;

	*event = (struct event_region){.head = head, .id = id, .pid = 10, .size = 4096};
	writer_commit(writer);
}

static void put_lost(struct writer *writer, uint64_t count)
{
	struct event_lost *event = writer_reserve(writer, EVENT_LOST, sizeof(*event), 1);

	event->what = LOST_EVENTS;
	event->why_size = 0;
	event->count = count;
	writer_commit(writer);
}

/* A trace as a reader finds it. */
struct trace {
	uint64_t lines, faults, lost_lines;
	bool valid; /* every line is JSON, the first is a session, the last ends with a newline */
	json_t *last;
};

static char *text_of(const char *path, size_t *size)
{
	char *bytes = check_read(path, size), *text = NULL;
	ZSTD_inBuffer in = {.src = bytes, .size = *size};
	ZSTD_DCtx *context;
	size_t used = 0;

	if (!strstr(path, ".zst"))
		return bytes;
	context = ZSTD_createDCtx();
	while (in.pos < in.size) {
		ZSTD_outBuffer out = {.size = 1 << 20};

		text = realloc(text, used + out.size);
		out.dst = text + used;
		if (ZSTD_isError(ZSTD_decompressStream(context, &out, &in)))
			break;
		used += out.pos;
	}
	/* A frame's end may leave text behind in the decoder. */
	for (;;) {
		ZSTD_outBuffer out = {.size = 1 << 20};

		text = realloc(text, used + out.size);
		out.dst = text + used;
		if (ZSTD_isError(ZSTD_decompressStream(context, &out, &in)) || out.pos == 0)
			break;
		used += out.pos;
	}
	ZSTD_freeDCtx(context);
	free(bytes);
	*size = used;
	return text;
}

static struct trace read_trace(const char *path)
{
	struct trace trace = {.valid = true};
	size_t size;
	char *text = text_of(path, &size), *line = text, *end = text + size, *newline;

	while (line < end && (newline = memchr(line, '\n', (size_t)(end - line)))) {
		json_t *json =
		    json_loadb(line, (size_t)(newline - line), JSON_REJECT_DUPLICATES, NULL);
		const char *type = json_string_value(json_object_get(json, "type"));

		if (!type || (trace.lines == 0) != !strcmp(type, "session"))
			trace.valid = false;
		else if (!strcmp(type, "fault"))
			trace.faults++;
		else if (!strcmp(type, "lost"))
			trace.lost_lines +=
			    (uint64_t)json_integer_value(json_object_get(json, "count"));
		trace.lines++;
		json_decref(trace.last);
		trace.last = json;
		line = newline + 1;
	}
	trace.valid &= line == end && trace.lines > 0;
	free(text);
	return trace;
}

static bool type_is(const json_t *line, const char *type)
{
	const char *found = json_string_value(json_object_get(line, "type"));

	return found && !strcmp(found, type);
}

static long long number_of(const json_t *line, const char *key)
{
	return json_integer_value(json_object_get(line, key));
}

static void check_whole_trace(const char *path)
{
	struct writer *writer = started(path);
	struct writer_totals totals;
	struct trace trace;
	uint64_t start = now_ns();

	put_process(writer, PROCESS_START, start);
	put_process(writer, PROCESS_FORK, start + 1);
	put_process(writer, PROCESS_EXEC, start + 2);
	put_stack(writer, 1, 3);
	/* Longer than any batch. */
	put_stack(writer, 2, 30000);
	put_region(writer, 1);
	for (uint64_t i = 0; i < 20000; i++)
		put_fault(writer, i);
	put_lost(writer, 7);
	put_process(writer, PROCESS_EXIT, start + 3);
	CHECK(writer_finish(writer, NULL, &totals) == 0, "finish failed");
	CHECK(!writer_complaint(writer), "a complaint about nothing");
	writer_destroy(writer);

	CHECK(totals.faults == 20000 && totals.regions == 1 && totals.stacks == 2 &&
		  totals.lost == 7 && totals.bytes == 20000 * 4096 && totals.processes == 2,
	    "other totals");
	CHECK(totals.duration_ns > 0 && totals.duration_ns <= now_ns() - start, "duration");
	trace = read_trace(path);
	CHECK(trace.valid && trace.lines == 20010 && trace.faults == 20000,
	    "%s: valid %d, %lu lines, %lu faults", path, trace.valid, (unsigned long)trace.lines,
	    (unsigned long)trace.faults);
	CHECK(type_is(trace.last, "end") && number_of(trace.last, "faults") == 20000 &&
		  number_of(trace.last, "lost") == 7 && number_of(trace.last, "processes") == 2 &&
		  number_of(trace.last, "duration_ns") == (long long)totals.duration_ns,
	    "other end line");
	json_decref(trace.last);
}

static void whole_trace(void)
{
	check_whole_trace("whole.jsonl");
	check_whole_trace("whole.jsonl.zst");
	check_whole_trace("whole.jsonl"); /* replaces the first */
}

static void nothing_happens(void)
{
	struct writer *writer = started("short.jsonl");
	struct writer_totals totals;
	struct trace trace;

	CHECK(writer_finish(writer, NULL, &totals) == 0, "finish failed");
	CHECK(totals.faults == 0 && totals.lost == 0, "totals of nothing");
	writer_destroy(writer);
	trace = read_trace("short.jsonl");
	CHECK(trace.valid && trace.lines == 2 && type_is(trace.last, "end"), "not two lines");
	json_decref(trace.last);

	CHECK(!writer_create(&writer, "never.jsonl", (char[64]){0}, 64), "create");
	writer_destroy(writer);
	CHECK(access("never.jsonl", F_OK), "a file is left of a writer that never started");
	/* Not finished: as when starting the rest fails. */
	writer_destroy(started("dropped.jsonl"));
	writer_destroy(NULL);
}

/* Lines reach the file without the next event or the end, as tail -f and kill -9 need it. */
static void check_prompt(const char *path)
{
	struct writer *writer = started(path);
	struct trace trace = {0};

	put_fault(writer, 1);
	for (int i = 0; i < 1000 && trace.faults == 0; i++) {
		usleep(10000);
		json_decref(trace.last);
		trace = read_trace(path);
	}
	CHECK(trace.faults == 1, "%s: the line does not come", path);
	json_decref(trace.last);
	writer_destroy(writer);
}

static void prompt(void)
{
	check_prompt("prompt.jsonl");
	check_prompt("prompt.zst");
}

/* After a failure: the trace's state against the totals and what was put in. */
static void check_failed_trace(const char *path, struct writer *writer, uint64_t put, int code)
{
	const char *complaint;
	struct writer_totals totals;
	struct trace trace;

	CHECK(writer_finish(writer, NULL, &totals) == code, "another error than %d", code);
	complaint = writer_complaint(writer);
	if (CHECK(complaint != NULL, "no complaint")) {
		CHECK(strstr(complaint, path) && strstr(complaint, strerror(-code)) &&
			  !strchr(complaint, '\n'),
		    "%s", complaint);
		printf("# %s\n", complaint);
	}
	CHECK(!writer_complaint(writer), "it complains twice");
	writer_destroy(writer);
	trace = read_trace(path);
	CHECK(trace.valid, "%s cannot be read", path);
	CHECK(trace.faults == totals.faults && totals.bytes == 4096 * totals.faults,
	    "%lu faults are in it, %lu were counted", (unsigned long)trace.faults,
	    (unsigned long)totals.faults);
	CHECK(totals.faults > 0 && totals.faults + totals.lost == put, "%lu + %lu are not %lu",
	    (unsigned long)totals.faults, (unsigned long)totals.lost, (unsigned long)put);
	/* There may have been no room for the last words. */
	CHECK(!type_is(trace.last, "end"), "it ends as if whole");
	if (type_is(trace.last, "lost"))
		CHECK(trace.lost_lines == totals.lost, "it says that %lu were lost",
		    (unsigned long)trace.lost_lines);
	json_decref(trace.last);
}

static void limited(void)
{
	const struct rlimit small = {500000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	static const char *const paths[] = {"limited.jsonl", "limited.zst"};

	for (int i = 0; i < 2; i++) {
		struct writer *writer = started(paths[i]);

		/* The writer itself must see to it that no SIGXFSZ ends the process. */
		setrlimit(RLIMIT_FSIZE, &small);
		for (uint64_t n = 0; n < 50000; n++)
			put_fault(writer, n);
		check_failed_trace(paths[i], writer, 50000, -EFBIG);
		setrlimit(RLIMIT_FSIZE, &none);
	}
}

static bool small_disk(const char *name)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		check_skip("mounting a tmpfs of 1 MiB needs root");
		return false;
	}
	mkdir(name, 0755);
	return CHECK(!mount("tmpfs", name, "tmpfs", 0, "size=1M"), "mount: %s", strerror(errno));
}

static void full_disk(void)
{
	static const char *const paths[] = {"disk/trace.jsonl", "disk/trace.zst"};

	for (int i = 0; i < 2; i++) {
		struct writer *writer;

		if (!small_disk("disk"))
			return;
		writer = started(paths[i]);
		for (uint64_t n = 0; n < 200000; n++)
			put_fault(writer, n);
		check_failed_trace(paths[i], writer, 200000, -ENOSPC);
		umount("disk");
	}
}

/* Space that comes back does not make a trace with a hole. */
static void no_resuming(void)
{
	static char filler[900 << 10];
	const char *path = "disk/trace.jsonl", *complaint = NULL;
	struct writer *writer;
	struct writer_totals totals;
	struct trace trace;
	uint64_t put = 0;
	size_t size;
	char *text;

	if (!small_disk("disk"))
		return;
	check_write("disk/filler", filler, sizeof(filler));
	writer = started(path);
	while (!complaint && put < 1000000) {
		put_fault(writer, put++);
		complaint = writer_complaint(writer);
	}
	CHECK(complaint != NULL, "no complaint while the disk is full");
	unlink("disk/filler");
	for (int i = 0; i < 1000; i++)
		put_fault(writer, put++);
	CHECK(writer_finish(writer, NULL, &totals) == -ENOSPC, "finish");
	writer_destroy(writer);
	trace = read_trace(path);
	CHECK(trace.valid && trace.faults == totals.faults && totals.faults + totals.lost == put,
	    "%lu faults of %lu", (unsigned long)trace.faults, (unsigned long)put);
	CHECK(type_is(trace.last, "lost") && trace.lost_lines == totals.lost &&
		  trace.lines == trace.faults + 2,
	    "the last line does not say what was lost");
	json_decref(trace.last);
	/* ts numbers the faults. */
	text = check_read(path, &size);
	text[size - 1] = '\0';
	char *last = strrchr(text, '\n'), *before;
	*last = '\0';
	before = strstr(strrchr(text, '\n'), "\"ts\":");
	CHECK(strtoull(before + 5, NULL, 10) == totals.faults - 1, "%s", before);
	free(text);
	umount("disk");
}

int main(void)
{
	char folder[64];

	check_enter_folder(folder);
	check_case("a whole trace, plain and zstd", whole_trace);
	check_case("a trace of nothing, and writers that never start", nothing_happens);
	check_case("lines reach the file soon", prompt);
	check_case("a file that may not grow", limited);
	check_case("a full disk", full_disk);
	check_case("space that comes back is not used", no_resuming);
	check_leave_folder(folder);
	return check_result();
}
