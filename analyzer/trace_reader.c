/* SPDX-License-Identifier: MIT */
/*
 * trace_reader.c: splits the text into lines, has jansson parse each, and keeps the number of the
 * line for error messages. Memory holds one line at a time.
 */
#include "trace_reader.h"

#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_BYTES (64u << 10)
/* The longest line is a stack of 512 frames; C++ names go to some ten thousand letters. */
#define LINE_LIMIT_BYTES (64u << 20)
/* What jansson makes of a value takes up to a hundred times the text. No line has that many. */
#define VALUE_LIMIT    (1u << 20)
#define DENSE_BYTES    VALUE_LIMIT /* shorter lines cannot have more values */
#define PROGRESS_LINES 16384	   /* between looks at the clock */
#define PROGRESS_NS    200000000

struct trace_reader {
	struct trace_input *input;
	char *name; /* as messages call it */
	uint64_t line_number;
	json_t *line;
	char *buffer;
	size_t capacity, start, end; /* the text not yet used */
	bool at_end;
	bool unfinished; /* the present line has no newline */
	bool cut;
	bool progress; /* standard error is a terminal */
	bool shown;    /* a progress line is on it */
	int64_t shown_ns;
	char error[1024];
};

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int trace_reader_refuse(struct trace_reader *reader, const char *format, ...)
{
	int used = snprintf(reader->error, sizeof(reader->error), "%.300s:%llu: ", reader->name,
	    (unsigned long long)reader->line_number);
	va_list values;
	va_start(values, format);
	vsnprintf(reader->error + used, sizeof(reader->error) - (size_t)used, format, values);
	va_end(values);
	return -EBADMSG;
}

int trace_reader_no_memory(struct trace_reader *reader)
{
	trace_reader_refuse(reader, "out of memory");
	return -ENOMEM;
}

const char *trace_reader_error(const struct trace_reader *reader)
{
	return reader ? reader->error : "out of memory";
}

bool trace_reader_cut(const struct trace_reader *reader)
{
	return reader->cut || trace_input_cut(reader->input);
}

int trace_reader_open(
    struct trace_reader **result_reader, const char *path, const struct trace_growth *growth)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	*result_reader = reader;
	if (!reader)
		return -ENOMEM;
	reader->name = strdup(strcmp(path, "-") == 0 ? "standard input" : path);
	reader->buffer = malloc(FIRST_BYTES);
	reader->capacity = FIRST_BYTES;
	if (!reader->name || !reader->buffer) {
		snprintf(reader->error, sizeof(reader->error), "out of memory");
		return -ENOMEM;
	}
	reader->progress = !growth && isatty(STDERR_FILENO) == 1;
	reader->shown_ns = now_ns();
	int result = trace_input_open(&reader->input, path, growth);
	if (result < 0)
		snprintf(reader->error, sizeof(reader->error), "cannot read \"%.300s\": %s", path,
		    strerror(-result));
	return result;
}

static void show_progress(struct trace_reader *reader, bool end)
{
	if (!reader->progress || (end && !reader->shown))
		return;
	if (end) {
		fputs("\r\033[K", stderr);
		reader->shown = false;
		return;
	}
	int64_t now = now_ns();
	if (now - reader->shown_ns < PROGRESS_NS)
		return;
	reader->shown_ns = now;
	reader->shown = true;
	int percent = trace_input_percent(reader->input);
	if (percent >= 0)
		fprintf(stderr, "\rreading: %3d %%", percent);
	else
		fprintf(stderr, "\rreading: line %llu", (unsigned long long)reader->line_number);
}

void trace_reader_close(struct trace_reader *reader)
{
	if (!reader)
		return;
	show_progress(reader, true);
	json_decref(reader->line);
	trace_input_close(reader->input);
	free(reader->buffer);
	free(reader->name);
	free(reader);
}

/* More text behind the unused. 0 or negative errno, noted. */
static int read_more(struct trace_reader *reader)
{
	if (reader->start > 0) {
		reader->end -= reader->start;
		memmove(reader->buffer, reader->buffer + reader->start, reader->end);
		reader->start = 0;
	}
	if (reader->end == reader->capacity) {
		if (reader->capacity >= LINE_LIMIT_BYTES)
			return trace_reader_refuse(
			    reader, "line longer than %u MiB: not a trace", LINE_LIMIT_BYTES >> 20);
		char *larger = realloc(reader->buffer, reader->capacity * 2);
		if (!larger)
			return trace_reader_no_memory(reader);
		reader->buffer = larger;
		reader->capacity *= 2;
	}
	ssize_t length = trace_input_read(
	    reader->input, reader->buffer + reader->end, reader->capacity - reader->end);
	if (length == -EFBIG)
		return trace_reader_refuse(reader,
		    "compressed with a window of more than %u MiB, which reading would take as "
		    "memory: give what `zstd -dc --long=31` makes of it",
		    1u << (TRACE_INPUT_WINDOW_LOG - 20));
	if (length < 0)
		return trace_reader_refuse(reader, "%s",
		    length == -EBADMSG	? "the compressed data is damaged here or soon after"
		    : length == -ESTALE ? "the file became shorter: another recording began in it"
					: strerror((int)-length));
	reader->at_end = length == 0;
	reader->end += (size_t)length;
	return 0;
}

/* The next line without its newline, in the buffer. 1, 0 at the end, or negative errno. */
static int next_text(struct trace_reader *reader, const char **text, size_t *size)
{
	size_t searched = 0;
	reader->line_number++;
	for (;;) {
		char *from = reader->buffer + reader->start;
		size_t length = reader->end - reader->start;
		char *newline = memchr(from + searched, '\n', length - searched);
		if (newline) {
			*text = from;
			*size = (size_t)(newline - from);
			reader->start += *size + 1;
			return 1;
		}
		if (reader->at_end) {
			*text = from;
			*size = length;
			reader->start = reader->end;
			reader->unfinished = length > 0;
			return reader->unfinished;
		}
		searched = length;
		int result = read_more(reader);
		if (result < 0)
			return result;
	}
}

static int check_session(struct trace_reader *reader, const char *type)
{
	const char *format = json_string_value(json_object_get(reader->line, "format"));
	int64_t version;
	if (strcmp(type, "session") != 0 || !format || strcmp(format, "faultline-trace") != 0)
		return trace_reader_refuse(reader, "not a faultline trace: no session line");
	int result = trace_integer(reader, reader->line, "version", true, &version);
	if (result < 0)
		return result;
	if (version > TRACE_VERSION)
		return trace_reader_refuse(reader,
		    "trace version %lld is newer than %d, the one this faultline (%s) reads; use a "
		    "newer faultline",
		    (long long)version, TRACE_VERSION, FAULTLINE_VERSION);
	return 0;
}

/* The values of a fault that jansson has read. */
static int read_fault(struct trace_reader *reader, const json_t *line, struct fault_line *fault)
{
	const struct {
		const char *key;
		bool required;
		unsigned has;
		int64_t *value;
	} numbers[] = {
	    {"ts", false, FAULT_HAS_TS, &fault->ts},
	    {"pid", true, 0, &fault->pid},
	    {"tid", true, 0, &fault->tid},
	    {"region", false, FAULT_HAS_REGION, &fault->region},
	    {"offset", false, FAULT_HAS_OFFSET, &fault->offset},
	    {"alloc", false, FAULT_HAS_ALLOC, &fault->alloc},
	    {"stack", false, FAULT_HAS_STACK, &fault->stack},
	    {"service_ns", false, 0, &fault->service_ns},
	    {"epoch", false, FAULT_HAS_EPOCH, &fault->epoch},
	};
	*fault = (struct fault_line){0};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int result = trace_integer(
		    reader, line, numbers[i].key, numbers[i].required, numbers[i].value);
		if (result < 0)
			return result;
		fault->has |= result > 0 ? numbers[i].has : 0;
	}
	const char *access = NULL, *kind = NULL, *origin = NULL, *served = NULL;
	int result = trace_address(reader, line, "addr", true, &fault->addr);
	if (result >= 0)
		result = trace_string(reader, line, "access", false, &access);
	if (result >= 0)
		result = trace_string(reader, line, "kind", false, &kind);
	if (result >= 0)
		result = trace_string(reader, line, "origin", false, &origin);
	if (result >= 0)
		result = trace_string(reader, line, "served", false, &served);
	if (result < 0)
		return result;
	if (access)
		fault->access = fault_word(fault_access_words, FAULT_ACCESS_OTHER, access);
	if (kind)
		fault->kind = fault_word(fault_kind_words, FAULT_KIND_OTHER, kind);
	if (origin)
		fault->origin = fault_word(fault_origin_words, FAULT_ORIGIN_OTHER, origin);
	if (served)
		fault->served = fault_word(fault_served_words, FAULT_SERVED_OTHER, served);
	return 0;
}

/* More values than any line of a trace has? */
static bool too_dense(const char *text, size_t size)
{
	unsigned values = 0;
	bool quoted = false;
	if (size < DENSE_BYTES)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted && text[i] == '\\')
			i++;
		else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
			values++;
	}
	return values > VALUE_LIMIT;
}

/* The first line is not JSON. It may be a trace all the same, which someone has compressed. */
static int refuse_first(struct trace_reader *reader, const struct trace_line *line)
{
	static const struct {
		const char *begin, *command;
	} compressed[] = {{"\x1f\x8b", "gzip"}, {"\xfd\x37zXZ", "xz"}};
	for (size_t i = 0; i < sizeof(compressed) / sizeof(compressed[0]); i++) {
		size_t size = strlen(compressed[i].begin);
		if (line->size >= size && memcmp(line->text, compressed[i].begin, size) == 0)
			return trace_reader_refuse(reader,
			    "compressed with %s: give what `%s -dc` makes of it",
			    compressed[i].command, compressed[i].command);
	}
	return trace_reader_refuse(reader, "not a faultline trace: no session line");
}

/* The present line by jansson. 1; 0 where the trace was cut; or negative errno, noted. */
static int parse(struct trace_reader *reader, struct trace_line *line)
{
	json_error_t error;
	bool first = reader->line_number == 1;
	if (too_dense(line->text, line->size))
		return trace_reader_refuse(
		    reader, "more than %u values in a line: not a trace", VALUE_LIMIT);
	reader->line = json_loadb(line->text, line->size, 0, &error);
	/* the last line of a recording that was killed may be half a line */
	if (!reader->line && reader->unfinished && !first) {
		reader->cut = true;
		return 0;
	}
	if (!reader->line && first)
		return refuse_first(reader, line);
	if (!reader->line)
		return trace_reader_refuse(reader, "not JSON: %s", error.text);
	line->json = reader->line;
	line->type = json_string_value(json_object_get(reader->line, "type"));
	if (!line->type)
		return trace_reader_refuse(reader, "no object with a \"type\"");
	if (!first && strcmp(line->type, "session") == 0)
		return trace_reader_refuse(reader, "another trace begins here: give each a file of "
						   "its own; faultline merge makes one of several");
	int result = first ? check_session(reader, line->type) : 0;
	if (result == 0 && strcmp(line->type, "fault") == 0)
		result = read_fault(reader, reader->line, &line->fault);
	return result < 0 ? result : 1;
}

int trace_reader_next(struct trace_reader *reader, struct trace_line *line)
{
	json_decref(reader->line);
	reader->line = NULL;
	if (reader->line_number % PROGRESS_LINES == PROGRESS_LINES - 1)
		show_progress(reader, false);
	int result = next_text(reader, &line->text, &line->size);
	if (result == 0 && reader->line_number == 1)
		return trace_reader_refuse(reader, "empty: nothing was recorded");
	if (result <= 0)
		return result;
	if (reader->line_number > 1 && fault_line_parse(line->text, line->size, &line->fault)) {
		line->json = NULL;
		line->type = "fault";
		return 1;
	}
	return parse(reader, line);
}

static int missing(struct trace_reader *reader, const char *key, bool required)
{
	return required ? trace_reader_refuse(reader, "\"%s\" is missing", key) : 0;
}

int trace_integer(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    int64_t *value)
{
	const json_t *item = json_object_get(object, key);
	if (!item)
		return missing(reader, key, required);
	if (!json_is_integer(item))
		return trace_reader_refuse(reader, "\"%s\" is not an integer", key);
	*value = json_integer_value(item);
	return 1;
}

int trace_string(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    const char **value)
{
	const json_t *item = json_object_get(object, key);
	if (!item)
		return missing(reader, key, required);
	if (!json_is_string(item))
		return trace_reader_refuse(reader, "\"%s\" is not a string", key);
	*value = json_string_value(item);
	return 1;
}

int trace_address(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    uint64_t *value)
{
	const char *text;
	int result = trace_string(reader, object, key, required, &text);
	if (result <= 0)
		return result;
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 16);
	if (strncmp(text, "0x", 2) != 0 || end == text + 2 || *end != '\0' || errno != 0)
		return trace_reader_refuse(reader, "\"%s\" is not a hexadecimal address", key);
	*value = number;
	return 1;
}
