/* SPDX-License-Identifier: MIT */
/*
 * fault_line.c: the recorder's fault lines are read without jansson, and what is read is what
 * jansson reads, of these lines and of some that only look like them.
 */
#include "check.h"
#include "line.h"
#include "trace_reader.h"

#define LINES 20000

static const char session[] =
    "{\"type\":\"session\",\"format\":\"faultline-trace\",\"version\":1}\n";

/* Of every length, as far as a trace has such numbers. */
static uint64_t any63(void)
{
	uint64_t bits = (uint64_t)random() << 32 ^ (uint64_t)random() << 16 ^ (uint64_t)random();

	return random() % 4 == 0 ? (uint64_t)(random() % 3) : bits >> (1 + random() % 63);
}

static void random_fault(struct event_fault *fault)
{
	*fault = (struct event_fault){
	    .head = {.ts = any63()},
	    .pid = (int32_t)(any63() & INT32_MAX),
	    .tid = (int32_t)(any63() & INT32_MAX),
	    .addr = any63() << (random() % 2),
	    .region = any63(),
	    .offset = any63(),
	    .alloc = any63(),
	    .stack = any63(),
	    .service_ns = any63(),
	    .access = (uint8_t)(random() % 3),
	    .kind = (uint8_t)(random() % 3),
	    .origin = (uint8_t)(random() % 3),
	    .served = (uint8_t)(random() % 6),
	};
}

/* The whole trace in one file, each line as it is and again with a key more. */
static void write_traces(const char *plain_path, const char *foreign_path)
{
	FILE *plain = fopen(plain_path, "we"), *foreign = fopen(foreign_path, "we");
	struct event_fault fault;
	char line[LINE_OFTEN_MAX];

	fputs(session, plain);
	fputs(session, foreign);
	for (int i = 0; i < LINES; i++) {
		random_fault(&fault);
		size_t size = line_often(line, &fault.head);

		fwrite(line, 1, size, plain);
		fprintf(foreign, "%.*s,\"later\":[1]}\n", (int)size - 2, line);
	}
	fclose(plain);
	fclose(foreign);
}

static bool same_fault(const struct fault_line *a, const struct fault_line *b)
{
	return a->ts == b->ts && a->pid == b->pid && a->tid == b->tid && a->addr == b->addr &&
	       a->region == b->region && a->offset == b->offset && a->alloc == b->alloc &&
	       a->stack == b->stack && a->epoch == b->epoch && a->service_ns == b->service_ns &&
	       a->has == b->has && a->access == b->access && a->kind == b->kind &&
	       a->origin == b->origin && a->served == b->served;
}

static void test_recorder(void)
{
	struct trace_reader *plain, *foreign;
	struct trace_line fast, slow;
	int by_hand = 0, lines = 0;

	write_traces("plain.jsonl", "foreign.jsonl");
	if (!CHECK(trace_reader_open(&plain, "plain.jsonl", NULL) == 0 &&
		       trace_reader_open(&foreign, "foreign.jsonl", NULL) == 0,
		"cannot open the traces"))
		return;
	CHECK(trace_reader_next(plain, &fast) == 1 && trace_reader_next(foreign, &slow) == 1,
	    "no session");
	while (trace_reader_next(plain, &fast) == 1 && trace_reader_next(foreign, &slow) == 1) {
		lines++;
		by_hand += !fast.json;
		CHECK(slow.json, "line %d: a key more, and not jansson's", lines);
		if (!CHECK(same_fault(&fast.fault, &slow.fault), "line %d: %.*s", lines,
			(int)fast.size, fast.text))
			break;
	}
	CHECK(lines == LINES, "%d lines: %s", lines, trace_reader_error(plain));
	/* Numbers of nineteen digits are left to jansson. */
	CHECK(by_hand > LINES / 2, "only %d of %d lines were read by hand", by_hand, lines);
	trace_reader_close(plain);
	trace_reader_close(foreign);
}

/* Lines of the recorder, written again, are what they were. */
static void test_writing(void)
{
	struct event_fault event;
	struct fault_line fault;
	char line[LINE_OFTEN_MAX], again[FAULT_LINE_MAX];
	int lines = 0;

	for (int i = 0; i < LINES; i++) {
		random_fault(&event);
		size_t size = line_often(line, &event.head) - 1;

		if (!fault_line_parse(line, size, &fault))
			continue;
		lines++;
		if (!CHECK(fault_line_write(again, &fault) == size && !memcmp(again, line, size),
			"%.*s", (int)size, line))
			break;
	}
	CHECK(lines > LINES / 2, "only %d lines", lines);
	/* the longest */
	fault = (struct fault_line){INT64_MIN, INT64_MIN, INT64_MIN, UINT64_MAX, INT64_MIN,
	    INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, UINT32_MAX, FAULT_ACCESS_WRITE,
	    FAULT_KIND_WRITE_PROTECT, FAULT_ORIGIN_KERNEL, FAULT_SERVED_UNPROTECT};
	CHECK(fault_line_write(again, &fault) < FAULT_LINE_MAX, "too long");
}

#define BEGIN "{\"type\":\"fault\",\"ts\":1,\"pid\":2,\"tid\":3,\"addr\":\"0x"

static void test_all_keys(void)
{
	static const char text[] = BEGIN "ff\",\"access\":\"write\",\"kind\":\"write-protect\","
					 "\"origin\":\"kernel\",\"region\":4,\"offset\":5,"
					 "\"alloc\":6,\"stack\":7,\"served\":\"unprotect\","
					 "\"service_ns\":8,\"epoch\":9}";
	struct fault_line fault;

	if (!CHECK(fault_line_parse(text, strlen(text), &fault), "refused"))
		return;
	CHECK(fault.ts == 1 && fault.pid == 2 && fault.tid == 3 && fault.addr == 255, "who");
	CHECK(fault.region == 4 && fault.offset == 5 && fault.alloc == 6 && fault.stack == 7,
	    "identifiers");
	CHECK(fault.service_ns == 8 && fault.epoch == 9 && fault.has == 63, "the rest");
	CHECK(fault.access == FAULT_ACCESS_WRITE && fault.kind == FAULT_KIND_WRITE_PROTECT &&
		  fault.origin == FAULT_ORIGIN_KERNEL && fault.served == FAULT_SERVED_UNPROTECT,
	    "words");
}

/* What jansson would refuse, or read as something else, is left to it. */
static void test_left_to_jansson(void)
{
	static const char *const lines[] = {
	    "",
	    "{",
	    BEGIN "f\"",
	    BEGIN "\"}",
	    BEGIN "f\"}}",
	    BEGIN "f\"} ",
	    BEGIN "f\" }",
	    BEGIN "F\"}",
	    BEGIN "12345678901234567\"}",
	    BEGIN "f\",\"access\":\"execute\"}",
	    BEGIN "f\",\"access\":\"read}",
	    BEGIN "f\",\"access\":\"\"}",
	    BEGIN "f\",\"kind\":\"minor\",\"access\":\"read\"}",
	    BEGIN "f\",\"stack\":}",
	    BEGIN "f\",\"stack\":01}",
	    BEGIN "f\",\"stack\":-1}",
	    BEGIN "f\",\"stack\":1.5}",
	    BEGIN "f\",\"stack\":1e3}",
	    BEGIN "f\",\"stack\":1,\"stack\":2}",
	    BEGIN "f\",\"stack\":9999999999999999999}",
	    BEGIN "f\",\"stack\":\"1\"}",
	    BEGIN "f\",\"stack\":1,}",
	    "{\"type\":\"fault\",\"ts\":01,\"pid\":2,\"tid\":3,\"addr\":\"0xf\"}",
	    "{\"type\":\"fault\",\"pid\":2,\"tid\":3,\"addr\":\"0xf\"}",
	};
	struct fault_line fault;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK(!fault_line_parse(lines[i], strlen(lines[i]), &fault), "%s", lines[i]);
	CHECK(fault_line_parse(BEGIN "f\"}", strlen(BEGIN "f\"}"), &fault), "the shortest");
}

int main(void)
{
	char folder[64];

	check_enter_folder(folder);
	check_case("the recorder's lines, without jansson and with it", test_recorder);
	check_case("the recorder's lines, written again", test_writing);
	check_case("a line with all keys", test_all_keys);
	check_case("other lines are left to jansson", test_left_to_jansson);
	check_leave_folder(folder);
	return check_result();
}
