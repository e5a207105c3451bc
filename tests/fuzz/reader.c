/* SPDX-License-Identifier: MIT */
/*
 * reader.c: a trace of any bytes is read to its end or to a line that is told. Compressed, it is
 * the same events, and so it is when jansson reads the faults that are read without it else.
 */
#include "fuzz_command.h"

#include "hash.h"
#include "trace.h"

#include <zstd.h>

/* What was read: equal for traces that say the same. */
struct reading {
	int result;
	uint64_t events, hash;
	char error[1024];
};

static void add(struct reading *reading, uint64_t number)
{
	reading->hash = hash_pair(reading->hash, number);
}

static void add_fault(struct reading *reading, const struct trace_fault *fault)
{
	add(reading, fault->thread->index);
	add(reading, fault->addr);
	add(reading, (uint64_t)fault->access << 24 | (uint64_t)fault->kind << 16 |
			 (uint64_t)fault->origin << 8 | (uint64_t)fault->served);
	add(reading, fault->region ? (uint64_t)fault->region->id : UINT64_MAX);
	add(reading, fault->alloc ? (uint64_t)fault->alloc->id : UINT64_MAX);
	add(reading, fault->stack ? fault->stack->index : UINT64_MAX);
	add(reading, fault->from);
	add(reading, fault->bytes);
	add(reading, fault->region_news.touched);
	add(reading, fault->region_news.written);
	add(reading, fault->alloc_news.touched);
	add(reading, fault->alloc_news.written);
	add(reading, (uint64_t)fault->service_ns);
	add(reading, (uint64_t)fault->epoch);
}

/* What trace.h promises of every stack. */
static void check_stacks(const struct trace *trace)
{
	for (uint32_t i = 0; i < trace_stack_count(trace); i++) {
		const struct trace_stack *stack = trace_stack_at(trace, i);

		if (stack->index != i || !stack->frame || !stack->site ||
		    stack->frame->index >= trace_frame_count(trace) ||
		    stack->depth != (stack->caller ? stack->caller->depth : 0) + 1 ||
		    (stack->caller && stack->caller->index >= i))
			abort();
	}
}

static struct reading read_trace(const void *data, size_t size)
{
	struct reading reading = {0};
	struct trace *trace;
	struct trace_event event;
	char path[32];
	int file = fuzz_file(data, size);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	reading.result = trace_open(&trace, path, NULL, 0);
	while (reading.result >= 0 && (reading.result = trace_next(trace, &event)) > 0) {
		reading.events++;
		add(&reading, event.type);
		add(&reading, (uint64_t)event.time_ns);
		if (event.type == TRACE_FAULT)
			add_fault(&reading, &event.fault);
	}
	check_stacks(trace);
	add(&reading, trace_undefined(trace));
	add(&reading, trace_is_cut(trace));
	if (reading.result < 0)
		snprintf(reading.error, sizeof(reading.error), "%s", trace_error(trace));
	trace_close(trace);
	close(file);
	return reading;
}

static void compare(const struct reading *reading, const void *data, size_t size)
{
	struct reading other = read_trace(data, size);

	if (other.result != reading->result || other.events != reading->events ||
	    other.hash != reading->hash || strcmp(other.error, reading->error) != 0) {
		fprintf(stderr, "%d, %llu events: %s\n%d, %llu events: %s\n", reading->result,
		    (unsigned long long)reading->events, reading->error, other.result,
		    (unsigned long long)other.events, other.error);
		abort();
	}
}

static void compare_compressed(const struct reading *reading, const uint8_t *data, size_t size)
{
	size_t room = ZSTD_compressBound(size);
	void *compressed = malloc(room);

	if (!compressed)
		abort();
	compare(reading, compressed, ZSTD_compress(compressed, room, data, size, 1));
	free(compressed);
}

/* With a key more, faults are jansson's. */
static void compare_parsers(const struct reading *reading, const uint8_t *data, size_t size)
{
	char *text = NULL;
	size_t written, taken = 0;
	FILE *out = open_memstream(&text, &written);
	struct fault_line fault;

	for (const uint8_t *line = data, *end = data + size; line < end;) {
		const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
		size_t length = (size_t)((newline ? newline : end) - line);
		bool is_fault = fault_line_parse((const char *)line, length, &fault);

		fwrite(line, 1, length - is_fault, out);
		fputs(is_fault ? ",\"later\":[1]}" : "", out);
		fputs(newline ? "\n" : "", out);
		taken += is_fault;
		line += length + (newline != NULL);
	}
	fclose(out);
	if (taken > 0)
		compare(reading, text, written);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading reading = read_trace(data, size);

	/* What is compressed itself is none when it is compressed again. */
	if (size > 0 && data[0] == '{') {
		compare_compressed(&reading, data, size);
		compare_parsers(&reading, data, size);
	}
	return 0;
}
