/* SPDX-License-Identifier: MIT */
/* line_fault.c: the fault line that is written by hand against jansson's for the same values. */
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

static char *expected_line(const struct event_fault *fault)
{
	json_t *json = json_object();
	char address[24];
	char *text;

	json_object_set_new(json, "type", json_string("fault"));
	json_object_set_new(json, "ts", integer(fault->head.ts));
	json_object_set_new(json, "pid", json_integer(fault->pid));
	json_object_set_new(json, "tid", json_integer(fault->tid));
	snprintf(address, sizeof(address), "0x%" PRIx64, fault->addr);
	json_object_set_new(json, "addr", json_string(address));
	if (access_words[fault->access])
		json_object_set_new(json, "access", json_string(access_words[fault->access]));
	json_object_set_new(json, "kind", json_string(kind_words[fault->kind]));
	if (origin_words[fault->origin])
		json_object_set_new(json, "origin", json_string(origin_words[fault->origin]));
	if (fault->region) {
		json_object_set_new(json, "region", integer(fault->region));
		json_object_set_new(json, "offset", integer(fault->offset));
	}
	if (fault->alloc)
		json_object_set_new(json, "alloc", integer(fault->alloc));
	if (fault->stack)
		json_object_set_new(json, "stack", integer(fault->stack));
	json_object_set_new(json, "served", json_string(served_words[fault->served]));
	if (fault->service_ns)
		json_object_set_new(json, "service_ns", integer(fault->service_ns));
	text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(json);
	return text;
}

/* True when line_fault wrote what jansson writes, and jansson reads it. */
static bool check_fault(const struct event_fault *fault)
{
	char buffer[LINE_FAULT_MAX + 1];
	char *expected = expected_line(fault);
	size_t size = line_fault(buffer, fault);
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
	return same && parsed;
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
	check_fault(&fault);
}

static void unknown_words(void)
{
	struct event_fault fault = {.head = {.ts = 1},
	    .pid = 2,
	    .tid = 3,
	    .addr = 0xabc,
	    .access = 200,
	    .kind = 200,
	    .origin = 200,
	    .served = 200};
	const char *expected =
	    "{\"type\":\"fault\",\"ts\":1,\"pid\":2,\"tid\":3,\"addr\":\"0xabc\"}\n";
	char buffer[LINE_FAULT_MAX];
	size_t size = line_fault(buffer, &fault);

	CHECK(
	    size == strlen(expected) && !memcmp(buffer, expected, size), "%.*s", (int)size, buffer);
}

/* The example of trace-format: keys, their order, and what is left out. */
static void example(void)
{
	struct event_fault fault = {.head = {.ts = 81530211},
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
	const char *expected =
	    "{\"type\":\"fault\",\"ts\":81530211,\"pid\":4100,\"tid\":4100,"
	    "\"addr\":\"0x7f24bf69f00a\",\"access\":\"write\",\"kind\":\"missing\","
	    "\"origin\":\"user\",\"region\":1,\"offset\":651274,\"stack\":1,"
	    "\"served\":\"zero\",\"service_ns\":24700}\n";
	char buffer[LINE_FAULT_MAX];
	size_t size = line_fault(buffer, &fault);

	CHECK(
	    size == strlen(expected) && !memcmp(buffer, expected, size), "%.*s", (int)size, buffer);
}

int main(void)
{
	check_case("the example of the trace's description", example);
	check_case("random faults are formatted as jansson does", random_faults);
	check_case("the longest line fits", longest);
	check_case("values without a word are left out", unknown_words);
	return check_result();
}
