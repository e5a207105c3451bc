/* SPDX-License-Identifier: MIT */
/* line.c: every line that jansson makes: keys, their order, values, and what is left out. */
#include "line.h"

#include "../options.h"
#include "check.h"
#include <time.h>

/* Where events with tails are put together; zeroed for each. */
static union {
	struct event head;
	uint64_t align;
	char bytes[4096];
} space;

static void *new_event(uint32_t type, uint64_t ts)
{
	memset(&space, 0, sizeof(space));
	space.head = (struct event){.size = sizeof(space), .type = type, .ts = ts};
	return &space;
}

/* Checks the text, and that jansson reads from it what it was made of. Takes over `json`. */
static void check_json(json_t *json, const char *expected)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_t *parsed = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	CHECK(text && !strcmp(text, expected), "\n# got      %s\n# expected %s",
	    text ? text : "nothing", expected);
	CHECK(parsed && json_equal(parsed, json), "jansson reads something else from %s",
	    text ? text : "nothing");
	json_decref(parsed);
	free(text);
	json_decref(json);
}

static void check_line(const char *expected)
{
	check_json(line_of_event(&space.head), expected);
}

/* exe and words into the event's text. */
static struct event_process *process_event(
    uint32_t what, const char *exe, uint32_t argc, const char *words, size_t words_size)
{
	struct event_process *event = new_event(EVENT_PROCESS, 81520211);

	event->pid = 4100;
	event->ppid = 4099;
	event->event = what;
	event->status = -1;
	if (exe) {
		event->exe_size = (uint32_t)strlen(exe) + 1;
		memcpy(event->text, exe, event->exe_size);
	}
	event->argc = argc;
	if (words_size > 0)
		memcpy(event->text + event->exe_size, words, words_size);
	event->text_size = event->exe_size + (uint32_t)words_size;
	return event;
}

static void processes(void)
{
	static const char words[] = "python3\0x.py\0";
	struct event_process *event;

	process_event(PROCESS_START, "/usr/bin/python3.11", 3, words, sizeof(words));
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"start\",\"exe\":\"/usr/bin/python3.11\","
		   "\"command\":[\"python3\",\"x.py\",\"\"]}");
	process_event(PROCESS_EXEC, NULL, 1, "sh", 3);
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"exec\",\"command\":[\"sh\"]}");
	process_event(PROCESS_FORK, NULL, 0, NULL, 0);
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"fork\"}");
	process_event(PROCESS_DETACH, NULL, 0, NULL, 0)->ppid = 0;
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"event\":\"detach\"}");
	event = process_event(PROCESS_EXIT, NULL, 0, NULL, 0);
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"exit\"}");
	event->status = 0;
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"exit\",\"status\":0}");
	event->signal = 9;
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"exit\",\"signal\":9}");
	/* More words announced than there are, and none of them ended. */
	process_event(PROCESS_START, NULL, 9, "ab", 2);
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"start\",\"command\":[\"ab\"]}");
}

static void threads(void)
{
	struct event_thread *event = new_event(EVENT_THREAD, 81520400);

	event->pid = 4100;
	event->tid = 4101;
	strcpy(event->name, "python3");
	check_line("{\"type\":\"thread\",\"ts\":81520400,\"pid\":4100,\"tid\":4101,"
		   "\"name\":\"python3\"}");
	event->group = 4200;
	check_line("{\"type\":\"thread\",\"ts\":81520400,\"pid\":4100,\"tid\":4101,"
		   "\"name\":\"python3\",\"process\":4200}");
	event->group = 0;
	memcpy(event->name, "0123456789abcdef", 16);
	check_line("{\"type\":\"thread\",\"ts\":81520400,\"pid\":4100,\"tid\":4101,"
		   "\"name\":\"0123456789abcdef\"}");
	memset(event->name, 0, 16);
	check_line("{\"type\":\"thread\",\"ts\":81520400,\"pid\":4100,\"tid\":4101}");
}

/* Each name with what the trace must have for it. */
static void names_of_any_bytes(void)
{
	static const struct {
		const char *bytes, *json;
	} names[] = {
	    {"\xff", "\xef\xbf\xbd"},
	    {"a\x80z", "a\xef\xbf\xbdz"},
	    {"\xc3\xa9", "\xc3\xa9"},		      /* é */
	    {"\xc3", "\xef\xbf\xbd"},		      /* cut */
	    {"\xe2\x82\xac", "\xe2\x82\xac"},	      /* the euro sign */
	    {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut */
	    {"\xe2\x82x", "\xef\xbf\xbd\xef\xbf\xbdx"},
	    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},		      /* overlong */
	    {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
	    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
	    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	    {"\"\\\n\t\x01\x7f", "\\\"\\\\\\n\\t\\u0001\x7f"},
	};
	struct event_thread *event = new_event(EVENT_THREAD, 1);
	char expected[256];

	event->pid = event->tid = 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		strcpy(event->name, names[i].bytes);
		snprintf(expected, sizeof(expected),
		    "{\"type\":\"thread\",\"ts\":1,\"pid\":1,\"tid\":1,\"name\":\"%s\"}",
		    names[i].json);
		check_line(expected);
	}
	process_event(PROCESS_EXEC, "/tmp/\xff", 1, "\xfe", 2);
	check_line("{\"type\":\"process\",\"ts\":81520211,\"pid\":4100,\"ppid\":4099,"
		   "\"event\":\"exec\",\"exe\":\"/tmp/\xef\xbf\xbd\","
		   "\"command\":[\"\xef\xbf\xbd\"]}");
}

/* Every string of two bytes, and of one: always valid JSON, as long as it has to be. */
static void every_pair_of_bytes(void)
{
	struct event_thread *event = new_event(EVENT_THREAD, 1);
	bool fine = true;

	for (unsigned pair = 0x100; pair < 0x10000 && fine; pair++) {
		json_t *json, *parsed;
		char *text;

		event->name[0] = (char)(pair >> 8);
		event->name[1] = (char)pair;
		json = line_of_event(&event->head);
		text = json ? json_dumps(json, JSON_COMPACT) : NULL;
		parsed = text ? json_loads(text, 0, NULL) : NULL;
		fine = parsed && json_equal(json, parsed);
		CHECK(fine, "bytes %04x", pair);
		json_decref(parsed);
		free(text);
		json_decref(json);
	}
}

static void modules(void)
{
	struct event_module *event = new_event(EVENT_MODULE, 5);

	event->id = 1;
	event->pid = 4100;
	event->start = 0x400000;
	event->end = 0x71f000;
	event->build_id_size = 3;
	memcpy(event->build_id, "\x5f\x00\xa1", 3);
	strcpy(event->path, "/usr/bin/p\xff");
	event->path_size = (uint32_t)strlen(event->path) + 1;
	check_line("{\"type\":\"module\",\"id\":1,\"pid\":4100,\"path\":\"/usr/bin/p\xef\xbf\xbd\","
		   "\"build_id\":\"5f00a1\",\"start\":\"0x400000\",\"end\":\"0x71f000\","
		   "\"offset\":0}");
	event->build_id_size = 0;
	event->offset = 4096;
	check_line("{\"type\":\"module\",\"id\":1,\"pid\":4100,\"path\":\"/usr/bin/p\xef\xbf\xbd\","
		   "\"start\":\"0x400000\",\"end\":\"0x71f000\",\"offset\":4096}");
	event->build_id_size = sizeof(event->build_id);
	memset(event->build_id, 0xee, sizeof(event->build_id));
	json_t *json = line_of_event(&space.head);
	CHECK(json_string_length(json_object_get(json, "build_id")) == 128, "the longest build-id");
	json_decref(json);
	event->head.type = EVENT_MODULE_END;
	CHECK(!line_of_event(&space.head), "a line for a module's end");
}

static unsigned asked; /* for names */

static const char *name_of_frame(void *context, const struct event_stack *stack,
    const struct event_frame *frame, uint64_t *symbol_offset)
{
	CHECK(context == &space && stack->pid == 4100, "the context is another one");
	asked++;
	if (frame->ip == 0x20)
		return NULL;
	*symbol_offset = frame->exact ? 65 : 66;
	return frame->module ? "_PyObject_Malloc" : "LazyCompile:~f\xff";
}

/* The line of the stack in the space, `known` of whose frames were told before. */
static void check_stack(struct line_stacks *lines, unsigned known, const char *expected)
{
	const struct event_stack *event = (const struct event_stack *)&space;
	size_t size = 0;
	const char *line;

	asked = 0;
	line = line_stack(lines, event, &size);
	CHECK(line && size == strlen(expected) && !memcmp(line, expected, size),
	    "\n# got      %.*s# expected %s", (int)size, line ? line : "nothing\n", expected);
	CHECK(asked == event->count - known, "asked for %u names of %u", asked, event->count);
}

static void stacks(void)
{
	const struct line_names names = {.name = name_of_frame, .context = &space};
	struct line_stacks *lines = line_stacks_create(&names);
	struct event_stack *event = new_event(EVENT_STACK, 5);

	event->id = 7;
	event->pid = 4100;
	check_stack(lines, 0, "{\"type\":\"stack\",\"id\":7,\"frames\":[]}\n");
	event->count = 3;
	event->frames[0] = (struct event_frame){0x4c1b02, 0xc1b02, 3, 1};
	event->frames[1] = (struct event_frame){0x20, 0x10, 2, 0};
	event->frames[2] = (struct event_frame){UINT64_MAX, 0x10, 0, 0};
	/* Generated code is asked for again, the rest is known. */
	for (unsigned known = 0; known <= 2; known += 2)
		check_stack(lines, known,
		    "{\"type\":\"stack\",\"id\":7,\"frames\":[{\"ip\":\"0x4c1b02\",\"module\":3,"
		    "\"offset\":\"0xc1b02\",\"symbol\":\"_PyObject_Malloc\",\"symbol_offset\":65},"
		    "{\"ip\":\"0x20\",\"module\":2,\"offset\":\"0x10\"},"
		    "{\"ip\":\"0xffffffffffffffff\",\"symbol\":\"LazyCompile:~f\xef\xbf\xbd\","
		    "\"symbol_offset\":66}]}\n");
	event->truncated = 1;
	event->count = 1;
	check_stack(lines, 1,
	    "{\"type\":\"stack\",\"id\":7,\"frames\":[{\"ip\":\"0x4c1b02\",\"module\":3,"
	    "\"offset\":\"0xc1b02\",\"symbol\":\"_PyObject_Malloc\",\"symbol_offset\":65}],"
	    "\"truncated\":true}\n");
	/* Each part of a frame makes it another one. */
	for (unsigned part = 0; part < 4; part++) {
		struct event_frame *frame = &event->frames[0];
		char expected[256];

		*frame = (struct event_frame){
		    0x4c1b02 + (part == 0), 0xc1b02 + (part == 1), 3 + (part == 2), part != 3};
		snprintf(expected, sizeof(expected),
		    "{\"type\":\"stack\",\"id\":7,\"frames\":[{\"ip\":\"0x%llx\",\"module\":%u,"
		    "\"offset\":\"0x%llx\",\"symbol\":\"_PyObject_Malloc\",\"symbol_offset\":%u}],"
		    "\"truncated\":true}\n",
		    (unsigned long long)frame->ip, frame->module, (unsigned long long)frame->offset,
		    frame->exact ? 65 : 66);
		check_stack(lines, 0, expected);
	}
	line_stacks_destroy(lines);
}

/* More frames than are kept, twice over, some with names that are too long to be kept. */
static const char *long_name(void *context, const struct event_stack *stack,
    const struct event_frame *frame, uint64_t *symbol_offset)
{
	static char name[2000];

	(void)context;
	(void)stack;
	memset(name, 'a', sizeof(name) - 1);
	name[frame->ip % 16 ? 8 : sizeof(name) - 1] = '\0';
	snprintf(name, 9, "%08llx", (unsigned long long)frame->ip);
	if (frame->ip % 16 == 0)
		name[8] = 'a';
	*symbol_offset = 1;
	return name;
}

static void more_frames_than_are_kept(void)
{
	struct line_stacks *lines = line_stacks_create(&(struct line_names){.name = long_name});
	struct event_stack *event = new_event(EVENT_STACK, 5);
	bool fine = true;
	size_t size;

	event->count = 1;
	for (uint64_t i = 0; i < 40000 && fine; i++) {
		uint64_t ip = i % 20000;
		char expected[64];
		const char *line, *symbol;

		event->frames[0] = (struct event_frame){ip, ip, 1, 0};
		line = line_stack(lines, event, &size);
		snprintf(expected, sizeof(expected), "\"symbol\":\"%08llx", (unsigned long long)ip);
		symbol = line ? memmem(line, size, expected, strlen(expected)) : NULL;
		fine = symbol && (symbol[strlen(expected)] == (ip % 16 ? '"' : 'a'));
		CHECK(fine, "frame %llu", (unsigned long long)ip);
	}
	line_stacks_destroy(lines);
}

static void regions(void)
{
	struct event_region *event = new_event(EVENT_REGION, 81521000);
	struct event_region_end *end;
	char expected[512];

	event->id = 1;
	event->pid = event->tid = 4100;
	event->source = FL_SOURCE_MMAP;
	event->page_size = 4096;
	event->prot = 3;
	event->flags = 34;
	event->start = 0x7f24bf600000;
	event->size = 1048576;
	event->stack = 1;
	check_line("{\"type\":\"region\",\"id\":1,\"ts\":81521000,\"pid\":4100,\"tid\":4100,"
		   "\"start\":\"0x7f24bf600000\",\"size\":1048576,\"source\":\"mmap\","
		   "\"memory\":\"anon\",\"page_size\":4096,\"prot\":3,\"flags\":34,\"stack\":1}");
	event->tid = 0;
	event->prot = event->flags = -1;
	event->stack = 0;
	for (uint32_t source = 0; source < FL_SOURCE_COUNT; source++) {
		static const char *const memory[] = {"anon", "shmem", "hugetlb"};

		event->source = source;
		event->memory = source % 3;
		snprintf(expected, sizeof(expected),
		    "{\"type\":\"region\",\"id\":1,\"ts\":81521000,\"pid\":4100,"
		    "\"start\":\"0x7f24bf600000\",\"size\":1048576,\"source\":\"%s\","
		    "\"memory\":\"%s\",\"page_size\":4096}",
		    fl_source_names[source], memory[source % 3]);
		check_line(expected);
	}
	end = new_event(EVENT_REGION_END, 6);
	end->id = 3;
	end->pid = 4100;
	end->start = 0x1000;
	end->size = 4096;
	end->reason = REGION_END_REPLACE;
	check_line("{\"type\":\"region_end\",\"id\":3,\"ts\":6,\"pid\":4100,"
		   "\"reason\":\"replace\"}");
	end->partial = 1;
	end->reason = REGION_END_UNMAP;
	check_line("{\"type\":\"region_end\",\"id\":3,\"ts\":6,\"pid\":4100,"
		   "\"reason\":\"unmap\",\"start\":\"0x1000\",\"size\":4096}");
}

static void moves(void)
{
	struct event_remap *remap = new_event(EVENT_REMAP, 7);
	struct event_remove *removed;

	remap->pid = 1;
	remap->tid = 2;
	remap->region = 3;
	remap->from = 0x1000;
	remap->to = 0x2000;
	remap->size = 4096;
	check_line("{\"type\":\"remap\",\"ts\":7,\"pid\":1,\"tid\":2,\"region\":3,"
		   "\"from\":\"0x1000\",\"to\":\"0x2000\",\"size\":4096}");
	remap->tid = 0;
	remap->region = 0;
	check_line("{\"type\":\"remap\",\"ts\":7,\"pid\":1,\"from\":\"0x1000\","
		   "\"to\":\"0x2000\",\"size\":4096}");
	removed = new_event(EVENT_REMOVE, 8);
	removed->pid = 1;
	removed->tid = 2;
	removed->start = 0x3000;
	removed->size = UINT64_MAX;
	check_line("{\"type\":\"remove\",\"ts\":8,\"pid\":1,\"tid\":2,\"start\":\"0x3000\","
		   "\"size\":9223372036854775807}");
	removed->size = 4096;
	removed->lazy = 1;
	check_line("{\"type\":\"remove\",\"ts\":8,\"pid\":1,\"tid\":2,\"start\":\"0x3000\","
		   "\"size\":4096,\"lazy\":true}");
}

static void losses(void)
{
	struct event_lost *event = new_event(EVENT_LOST, 11);

	event->what = LOST_EVENTS;
	event->count = 12;
	check_line("{\"type\":\"lost\",\"ts\":11,\"what\":\"events\",\"count\":12}");
	event->what = LOST_STACKS;
	strcpy(event->why, "no room");
	event->why_size = 8;
	check_line("{\"type\":\"lost\",\"ts\":11,\"what\":\"stacks\",\"count\":12,"
		   "\"why\":\"no room\"}");
	check_json(line_lost(1, LOST_LINES, 2, "disk"),
	    "{\"type\":\"lost\",\"ts\":1,\"what\":\"lines\",\"count\":2,\"why\":\"disk\"}");
}

static void session(void)
{
	static const char *const keys[] = {"type", "format", "version", "tool", "time", "ts",
	    "clock", "page_size", "kernel", "machine", "cpus", "mode", "capture", "granularity",
	    "thp", "features", "command"};
	const struct writer_session told = {.mode = "missing",
	    .capture = "perf",
	    .thp = "madvise",
	    .features = (const char *const[]){"thread-id", "event-fork", NULL},
	    .command = (const char *const[]){"a.out", "\xff", "", NULL},
	    .granularity = 8192};
	json_t *json = line_session(&told, 42), *value;
	struct tm tm = {0};
	const char *key;
	time_t then;
	size_t i = 0;

	json_object_foreach(json, key, value)
	{
		CHECK(i < 17 && !strcmp(key, keys[i]), "key %zu is %s", i, key);
		i++;
	}
	CHECK(i == 17, "%zu keys", i);
#define IS(key, text)                                                                              \
	CHECK(!strcmp(json_string_value(json_object_get(json, key)), text), "%s",                  \
	    json_string_value(json_object_get(json, key)))
	IS("format", "faultline-trace");
	IS("clock", "monotonic");
	IS("mode", "missing");
	IS("capture", "perf");
	IS("thp", "madvise");
	CHECK(!strncmp(json_string_value(json_object_get(json, "tool")), "faultline ", 10), "tool");
	CHECK(json_integer_value(json_object_get(json, "version")) == 1, "version");
	CHECK(json_integer_value(json_object_get(json, "ts")) == 42, "ts");
	CHECK(json_integer_value(json_object_get(json, "granularity")) == 8192, "granularity");
	CHECK(json_integer_value(json_object_get(json, "page_size")) == sysconf(_SC_PAGESIZE),
	    "page_size");
	CHECK(json_array_size(json_object_get(json, "features")) == 2, "features");
	value = json_object_get(json, "command");
	CHECK(json_array_size(value) == 3 &&
		  !strcmp(json_string_value(json_array_get(value, 1)), "\xef\xbf\xbd"),
	    "command");
	key = strptime(json_string_value(json_object_get(json, "time")), "%Y-%m-%dT%H:%M:%SZ", &tm);
	then = timegm(&tm);
	CHECK(key && !*key && llabs((long long)(time(NULL) - then)) < 60, "time");
	json_decref(json);
}

static void end(void)
{
	struct writer_totals totals = {.faults = 1,
	    .regions = 2,
	    .stacks = 3,
	    .lost = 4,
	    .bytes = 5,
	    .duration_ns = 18000000,
	    .processes = 6};

	check_json(line_end(&totals, 99520211),
	    "{\"type\":\"end\",\"ts\":99520211,\"faults\":1,\"regions\":2,\"stacks\":3,"
	    "\"lost\":4,\"duration_ns\":18000000,\"processes\":6}");
	totals.ended_by = "stop";
	check_json(line_end(&totals, 99520211),
	    "{\"type\":\"end\",\"ts\":99520211,\"faults\":1,\"regions\":2,\"stacks\":3,"
	    "\"lost\":4,\"duration_ns\":18000000,\"processes\":6,\"ended_by\":\"stop\"}");
}

int main(void)
{
	check_case("session", session);
	check_case("process", processes);
	check_case("thread", threads);
	check_case("names that are not UTF-8", names_of_any_bytes);
	check_case("every name of two bytes is valid JSON", every_pair_of_bytes);
	check_case("module", modules);
	check_case("stack", stacks);
	check_case("more frames than are kept", more_frames_than_are_kept);
	check_case("region and region_end", regions);
	check_case("remap and remove", moves);
	check_case("lost", losses);
	check_case("end", end);
	return check_result();
}
