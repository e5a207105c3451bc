/* SPDX-License-Identifier: MIT */
/* line_often.c: the lines that are written by hand against jansson's for the same values. */
#include "check.h"
#include "line.h"

#include <inttypes.h>

static const char *const access_words[] = {NULL, "read", "write"};
static const char *const kind_words[] = {"missing", "write-protect", "minor"};
static const char *const origin_words[] = {NULL, "user", "kernel"};
static const char *const served_words[] = {
    "zero", "copy", "continue", "unprotect", "move", "native"};

static uint64_t state = 88172645463325252u;

static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Of every length, and often one of the values where formatters fail. */
static uint64_t any64(void)
{
	static const uint64_t special[] = {0, 1, 9, 10, 99, 100, 0xf, 0x10, 999999999, 1000000000,
	    UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX,
	    UINT64_C(9999999999999999999), UINT64_C(1000000000000000000)};
	uint64_t choice = random64();

	if (choice % 4 == 0)
		return special[choice / 4 % (sizeof(special) / sizeof(special[0]))];
	return random64() >> choice / 4 % 64;
}

static json_t *integer(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static void set(json_t *json, const char *key, json_t *value)
{
	json_object_set_new(json, key, value);
}

static void set_address(json_t *json, const char *key, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	set(json, key, json_string(text));
}

static json_t *json_of_fault(const struct event_fault *fault)
{
	json_t *json = json_object();

	set(json, "type", json_string("fault"));
	set(json, "ts", integer(fault->head.ts));
	set(json, "pid", json_integer(fault->pid));
	set(json, "tid", json_integer(fault->tid));
	set_address(json, "addr", fault->addr);
	if (access_words[fault->access])
		set(json, "access", json_string(access_words[fault->access]));
	set(json, "kind", json_string(kind_words[fault->kind]));
	if (origin_words[fault->origin])
		set(json, "origin", json_string(origin_words[fault->origin]));
	if (fault->region) {
		set(json, "region", integer(fault->region));
		set(json, "offset", integer(fault->offset));
	}
	if (fault->alloc)
		set(json, "alloc", integer(fault->alloc));
	if (fault->stack)
		set(json, "stack", integer(fault->stack));
	set(json, "served", json_string(served_words[fault->served]));
	if (fault->service_ns)
		set(json, "service_ns", integer(fault->service_ns));
	return json;
}

static json_t *json_of_alloc(const struct event_alloc *alloc)
{
	json_t *json = json_object();

	set(json, "type", json_string("alloc"));
	set(json, "id", integer(alloc->id));
	set(json, "ts", integer(alloc->head.ts));
	set(json, "pid", json_integer(alloc->pid));
	if (alloc->tid)
		set(json, "tid", json_integer(alloc->tid));
	set_address(json, "addr", alloc->addr);
	set(json, "size", integer(alloc->size));
	set(json, "func", json_string(fl_function_names[alloc->func]));
	if (alloc->stack)
		set(json, "stack", integer(alloc->stack));
	return json;
}

static json_t *json_of_free(const struct event_free *event)
{
	json_t *json = json_object();

	set(json, "type", json_string("free"));
	set(json, "ts", integer(event->head.ts));
	set(json, "pid", json_integer(event->pid));
	if (event->tid)
		set(json, "tid", json_integer(event->tid));
	if (event->alloc)
		set(json, "alloc", integer(event->alloc));
	return json;
}

/* True when line_often wrote what jansson writes, and jansson reads it. Takes over `json`. */
static bool check_line(const struct event *event, json_t *json)
{
	char buffer[LINE_OFTEN_MAX + 1];
	char *expected = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	size_t size = line_often(buffer, event);
	json_t *parsed;
	bool same;

	buffer[size] = '\0';
	same = size == strlen(expected) + 1 && !strncmp(buffer, expected, size - 1) &&
	       buffer[size - 1] == '\n';
	CHECK(same, "\n# got      %s# expected %s", buffer, expected);
	parsed = json_loadb(buffer, size, JSON_REJECT_DUPLICATES, NULL);
	CHECK(parsed != NULL, "jansson cannot read %s", buffer);
	json_decref(parsed);
	free(expected);
	json_decref(json);
	return same && parsed;
}

static bool check_fault(const struct event_fault *fault)
{
	return check_line(&fault->head, json_of_fault(fault));
}

static void random_allocations(void)
{
	for (int i = 0; i < 100000; i++) {
		struct event_alloc alloc = {
		    .head = {.size = sizeof(alloc), .type = EVENT_ALLOC, .ts = any64()},
		    .id = any64(),
		    .pid = (int32_t)any64(),
		    .tid = (int32_t)any64(),
		    .addr = any64(),
		    .size = any64(),
		    .stack = any64(),
		    .func = random64() % FL_FUNCTION_COUNT,
		};
		struct event_free event = {
		    .head = {.size = sizeof(event), .type = EVENT_FREE, .ts = any64()},
		    .pid = (int32_t)any64(),
		    .tid = (int32_t)any64(),
		    .alloc = any64(),
		};

		if (!check_line(&alloc.head, json_of_alloc(&alloc)) ||
		    !check_line(&event.head, json_of_free(&event)))
			break;
	}
}

static void random_faults(void)
{
	for (int i = 0; i < 100000; i++) {
		struct event_fault fault = {
		    .head = {.size = sizeof(fault), .type = EVENT_FAULT, .ts = any64()},
		    .pid = (int32_t)any64(),
		    .tid = (int32_t)any64(),
		    .addr = any64(),
		    .region = any64(),
		    .offset = any64(),
		    .alloc = any64(),
		    .stack = any64(),
		    .service_ns = any64(),
		    .access = random64() % 3,
		    .kind = random64() % 3,
		    .origin = random64() % 3,
		    .served = random64() % 6,
		};

		if (!check_fault(&fault))
			break;
	}
}

static void longest(void)
{
	struct event_fault fault;

	memset(&fault, 0xff, sizeof(fault));
	fault.pid = fault.tid = INT32_MIN;
	fault.access = ACCESS_WRITE;
	fault.kind = FAULT_WRITE_PROTECT;
	fault.origin = ORIGIN_KERNEL;
	fault.served = SERVED_UNPROTECT;
	fault.head.type = EVENT_FAULT;
	check_fault(&fault);
}

static void check_text(const struct event *event, const char *expected)
{
	char buffer[LINE_OFTEN_MAX];
	size_t size = line_often(buffer, event);

	CHECK(
	    size == strlen(expected) && !memcmp(buffer, expected, size), "%.*s", (int)size, buffer);
}

static void unknown_words(void)
{
	struct event_fault fault = {.head = {.type = EVENT_FAULT, .ts = 1},
	    .pid = 2,
	    .tid = 3,
	    .addr = 0xabc,
	    .access = 200,
	    .kind = 200,
	    .origin = 200,
	    .served = 200};
	struct event_alloc alloc = {
	    .head = {.type = EVENT_ALLOC, .ts = 1}, .id = 5, .pid = 2, .size = 7, .func = 1000};

	check_text(
	    &fault.head, "{\"type\":\"fault\",\"ts\":1,\"pid\":2,\"tid\":3,\"addr\":\"0xabc\"}\n");
	check_text(&alloc.head, "{\"type\":\"alloc\",\"id\":5,\"ts\":1,\"pid\":2,\"addr\":\"0x0\","
				"\"size\":7}\n");
}

/* The examples of the trace's description: keys, their order, and what is left out. */
static void example(void)
{
	struct event_fault fault = {.head = {.type = EVENT_FAULT, .ts = 81530211},
	    .pid = 4100,
	    .tid = 4100,
	    .addr = 0x7f24bf69f00a,
	    .region = 1,
	    .offset = 651274,
	    .stack = 1,
	    .service_ns = 24700,
	    .access = ACCESS_WRITE,
	    .origin = ORIGIN_USER,
	    .bytes = 4096};
	struct event_alloc alloc = {.head = {.type = EVENT_ALLOC, .ts = 9},
	    .id = 5,
	    .pid = 1,
	    .tid = 2,
	    .addr = 0x55d0c0ffee00,
	    .size = 1234567,
	    .func = FL_MALLOC,
	    .stack = 6};
	struct event_free event = {
	    .head = {.type = EVENT_FREE, .ts = 10}, .pid = 1, .tid = 2, .alloc = 5};

	check_text(&fault.head,
	    "{\"type\":\"fault\",\"ts\":81530211,\"pid\":4100,\"tid\":4100,"
	    "\"addr\":\"0x7f24bf69f00a\",\"access\":\"write\",\"kind\":\"missing\","
	    "\"origin\":\"user\",\"region\":1,\"offset\":651274,\"stack\":1,"
	    "\"served\":\"zero\",\"service_ns\":24700}\n");
	check_text(&alloc.head,
	    "{\"type\":\"alloc\",\"id\":5,\"ts\":9,\"pid\":1,\"tid\":2,"
	    "\"addr\":\"0x55d0c0ffee00\",\"size\":1234567,\"func\":\"malloc\",\"stack\":6}\n");
	check_text(&event.head, "{\"type\":\"free\",\"ts\":10,\"pid\":1,\"tid\":2,\"alloc\":5}\n");
}

int main(void)
{
	check_case("the examples of the trace's description", example);
	check_case("random faults are formatted as jansson does", random_faults);
	check_case("random allocations and frees, too", random_allocations);
	check_case("the longest line fits", longest);
	check_case("values without a word are left out", unknown_words);
	return check_result();
}
