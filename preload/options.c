/* SPDX-License-Identifier: MIT */
/*
 * options.c: the table of a recording's settings and the parsers of their values. Linked into
 * the faultline command and the monitor; never into the shim. Keeps no state.
 */
#include "options.h"

#include "launch.h"
#include "uffd_features.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE_PREFIX "FAULTLINE_"
#define ALL_SOURCES	((1u << FL_SOURCE_COUNT) - 1)
#define SECONDS_LIMIT	1000000000u

static const char *const mode_names[] = {
    [FL_MODE_MISSING] = "missing",
    [FL_MODE_WRITE] = "write",
    [FL_MODE_SIGBUS] = "sigbus",
};

static const char *const capture_names[] = {
    [FL_CAPTURE_AUTO] = "auto",
    [FL_CAPTURE_PERF] = "perf",
    [FL_CAPTURE_SIGNAL] = "signal",
    [FL_CAPTURE_NONE] = "none",
};

const char *const fl_source_names[FL_SOURCE_COUNT] = {
    [FL_SOURCE_MMAP] = "mmap",
    [FL_SOURCE_MREMAP] = "mremap",
    [FL_SOURCE_BRK] = "brk",
    [FL_SOURCE_ARENA] = "arena",
    [FL_SOURCE_MALLOC_MMAP] = "malloc-mmap",
    [FL_SOURCE_SHM] = "shm",
    [FL_SOURCE_MEMFD] = "memfd",
    [FL_SOURCE_BSS] = "bss",
    [FL_SOURCE_STACK] = "stack",
    [FL_SOURCE_LATE] = "late",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *fl_mode_name(enum fl_mode mode)
{
	return (size_t)mode < COUNT(mode_names) ? mode_names[mode] : NULL;
}

const char *fl_capture_name(enum fl_capture capture)
{
	return (size_t)capture < COUNT(capture_names) ? capture_names[capture] : NULL;
}

/* The index of the `length` bytes at `text` in names, or -1. */
static int find_name(const char *const *names, size_t count, const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0)
			return (int)i;
	return -1;
}

/* Writes "INTRODUCTION a, b, c" to error. */
static int refuse_name(
    char *error, size_t size, const char *introduction, const char *const *names, size_t count)
{
	size_t used = (size_t)snprintf(error, size, "%s", introduction);
	for (size_t i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(
		    error + used, size - used, "%s%s", i > 0 ? ", " : " ", names[i]);
	return -EINVAL;
}

int fl_parse_size(const char *text, uint64_t *bytes)
{
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	unsigned shift = 0;
	switch (*end) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	case '\0':
		break;
	default:
		return -EINVAL;
	}
	if (*end != '\0' && end[1] != '\0')
		return -EINVAL;
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)number << shift;
	return 0;
}

static int parse_output(struct fl_options *options, const char *value, char *error, size_t size)
{
	if (strcmp(value, "-") == 0) {
		snprintf(error, size, "must be a file: standard output is the program's");
		return -EINVAL;
	}
	size_t length = strlen(value);
	if (length == 0 || value[length - 1] == '/') {
		snprintf(error, size, "must be the name of a file");
		return -EINVAL;
	}
	options->output = value;
	return 0;
}

static int parse_mode(struct fl_options *options, const char *value, char *error, size_t size)
{
	int mode = find_name(mode_names, COUNT(mode_names), value, strlen(value));
	if (mode < 0)
		return refuse_name(error, size, "must be one of", mode_names, COUNT(mode_names));
	options->mode = (enum fl_mode)mode;
	return 0;
}

static int parse_capture(struct fl_options *options, const char *value, char *error, size_t size)
{
	int capture = find_name(capture_names, COUNT(capture_names), value, strlen(value));
	if (capture < 0)
		return refuse_name(
		    error, size, "must be one of", capture_names, COUNT(capture_names));
	options->capture = (enum fl_capture)capture;
	return 0;
}

static int parse_max_frames(struct fl_options *options, const char *value, char *error, size_t size)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || number < 1 ||
	    number > FL_MAX_FRAMES_LIMIT) {
		snprintf(error, size, "must be a number from 1 to %d", FL_MAX_FRAMES_LIMIT);
		return -EINVAL;
	}
	options->max_frames = (uint32_t)number;
	return 0;
}

static int parse_threshold(struct fl_options *options, const char *value, char *error, size_t size)
{
	uint64_t bytes;
	if (strcmp(value, "off") == 0) {
		bytes = FL_THRESHOLD_OFF;
	} else if (fl_parse_size(value, &bytes) < 0 || bytes == FL_THRESHOLD_OFF) {
		snprintf(error, size, "must be a size such as 4096, 64K or 1M, 0 for all, or off");
		return -EINVAL;
	}
	options->alloc_threshold = bytes;
	return 0;
}

static int parse_granularity(
    struct fl_options *options, const char *value, char *error, size_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t bytes;
	if (fl_parse_size(value, &bytes) < 0 || bytes < page || bytes > FL_GRANULARITY_LIMIT ||
	    (bytes & (bytes - 1)) != 0) {
		snprintf(error, size, "must be a power of two from %lluK to %uM",
		    (unsigned long long)page >> 10, FL_GRANULARITY_LIMIT >> 20);
		return -EINVAL;
	}
	options->granularity = bytes;
	return 0;
}

static int parse_sources(struct fl_options *options, const char *value, char *error, size_t size)
{
	uint32_t sources = 0;
	for (const char *word = value;;) {
		size_t length = strcspn(word, ",");
		int source = find_name(fl_source_names, FL_SOURCE_COUNT, word, length);
		if (source >= 0)
			sources |= 1u << source;
		else if (length == 3 && memcmp(word, "all", 3) == 0)
			sources = ALL_SOURCES;
		else
			return refuse_name(error, size, "must be all, or a list with commas of",
			    fl_source_names, FL_SOURCE_COUNT);
		if (word[length] == '\0')
			break;
		word += length + 1;
	}
	options->sources = sources;
	return 0;
}

static int parse_without(struct fl_options *options, const char *value, char *error, size_t size)
{
	uint64_t without = 0;
	for (const char *word = value;;) {
		size_t length = strcspn(word, ",");
		uint64_t bit = fl_feature_bit(word, length);
		if (!bit) {
			snprintf(error, size,
			    "must be a list with commas of userfaultfd's "
			    "features, as `faultline check` names them");
			return -EINVAL;
		}
		without |= bit;
		if (word[length] == '\0')
			break;
		word += length + 1;
	}
	options->without = without;
	return 0;
}

/* A decimal number of seconds, to the nanosecond. */
static int parse_seconds(uint64_t *ns, uint64_t least, const char *value, char *error, size_t size)
{
	uint64_t whole = 0, part = 0, unit = 1000000000;
	const char *at = value;

	for (; isdigit((unsigned char)*at) && whole < SECONDS_LIMIT; at++)
		whole = whole * 10 + (uint64_t)(*at - '0');
	if (at > value && *at == '.')
		for (at++; isdigit((unsigned char)*at) && unit > 1; at++)
			part += (uint64_t)(*at - '0') * (unit /= 10);
	if (at == value || *at != '\0' || whole > SECONDS_LIMIT ||
	    whole * 1000000000 + part < least) {
		snprintf(error, size, "must be a number of seconds such as 10 or 0.5");
		return -EINVAL;
	}
	*ns = whole * 1000000000 + part;
	return 0;
}

static int parse_delay(struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_seconds(&options->delay_ns, 0, value, error, size);
}

static int parse_duration(struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_seconds(&options->duration_ns, 1, value, error, size);
}

static int parse_switch(bool *setting, const char *value, char *error, size_t size)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
		snprintf(error, size, "must be 0 or 1");
		return -EINVAL;
	}
	*setting = value[0] == '1';
	return 0;
}

static int parse_follow(struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_switch(&options->follow, value, error, size);
}

static int parse_quiet(struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_switch(&options->quiet, value, error, size);
}

static int parse_unprivileged(
    struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_switch(&options->unprivileged, value, error, size);
}

static int parse_allow_idle(struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_switch(&options->allow_idle, value, error, size);
}

static int parse_verify_stacks(
    struct fl_options *options, const char *value, char *error, size_t size)
{
	return parse_switch(&options->verify_stacks, value, error, size);
}

static int parse_user(struct fl_options *options, const char *value, char *error, size_t size)
{
	if (value[0] == '\0') {
		snprintf(error, size, "must be the name of a user");
		return -EINVAL;
	}
	options->user = value;
	return 0;
}

const struct fl_option fl_option_table[] = {
    {.flag = "output",
	.letter = 'o',
	.variable = "FAULTLINE_OUTPUT",
	.argument = "FILE",
	.shown_default = "faultline.PROGRAM.PID.jsonl",
	.help = "the trace's name; one ending in .zst is compressed",
	.parse = parse_output},
    {.flag = "mode",
	.variable = "FAULTLINE_MODE",
	.argument = "MODE",
	.shown_default = "missing",
	.help = "missing, write or sigbus: see the manual page",
	.parse = parse_mode},
    {.flag = "capture",
	.variable = "FAULTLINE_CAPTURE",
	.argument = "HOW",
	.shown_default = "auto",
	.help = "how stacks are read: auto, perf, signal or none",
	.parse = parse_capture},
    {.flag = "max-frames",
	.variable = "FAULTLINE_MAX_FRAMES",
	.argument = "N",
	.shown_default = "64",
	.help = "frames to keep of each stack, 1 to 512",
	.parse = parse_max_frames},
    {.flag = "alloc-threshold",
	.variable = "FAULTLINE_ALLOC_THRESHOLD",
	.argument = "SIZE",
	.shown_default = "one page",
	.help = "log allocations of at least SIZE; 0: all; off: none",
	.parse = parse_threshold},
    {.flag = "granularity",
	.variable = "FAULTLINE_GRANULARITY",
	.argument = "SIZE",
	.shown_default = "one page",
	.help = "serve SIZE at each fault: a power of two up to 2M",
	.parse = parse_granularity},
    {.flag = "sources",
	.variable = "FAULTLINE_SOURCES",
	.argument = "LIST",
	.shown_default = "all",
	.help = "kinds of memory to trace, with commas between",
	.parse = parse_sources},
    {.flag = "delay",
	.variable = "FAULTLINE_DELAY",
	.argument = "SECONDS",
	.shown_default = "0",
	.help = "begin to trace after so long",
	.parse = parse_delay},
    {.flag = "duration",
	.variable = "FAULTLINE_DURATION",
	.argument = "SECONDS",
	.shown_default = "to the end",
	.help = "end tracing after so long; the program goes on",
	.parse = parse_duration},
    {.flag = "no-follow",
	.variable = "FAULTLINE_FOLLOW",
	.flag_value = "0",
	.help = "do not trace children, nor what exec runs",
	.parse = parse_follow},
    {.flag = "quiet",
	.letter = 'q',
	.variable = "FAULTLINE_QUIET",
	.flag_value = "1",
	.help = "no closing line on standard error",
	.parse = parse_quiet},
    {.flag = "unprivileged",
	.variable = "FAULTLINE_UNPRIVILEGED",
	.flag_value = "1",
	.help = "by what any user may have: see the manual page",
	.parse = parse_unprivileged},
    {.flag = "user",
	.variable = "FAULTLINE_USER",
	.argument = "NAME",
	.help = "run PROGRAM as this user; for root alone",
	.parse = parse_user},
    {.flag = "without",
	.variable = "FAULTLINE_WITHOUT",
	.argument = "LIST",
	.help = "do without these features of userfaultfd",
	.parse = parse_without},
    {.flag = "allow-idle",
	.variable = "FAULTLINE_ALLOW_IDLE",
	.flag_value = "1",
	.help = "let processors sleep deeply between faults: slower",
	.parse = parse_allow_idle},
    {.flag = "verify-stacks",
	.variable = "FAULTLINE_VERIFY_STACKS",
	.flag_value = "1",
	.help = "unwind by libunwind alone, too; tell what differs",
	.parse = parse_verify_stacks},
    {.flag = NULL},
};

void fl_options_default(struct fl_options *options)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	*options = (struct fl_options){
	    .mode = FL_MODE_MISSING,
	    .capture = FL_CAPTURE_AUTO,
	    .max_frames = 64,
	    .alloc_threshold = page,
	    .granularity = page,
	    .sources = ALL_SOURCES,
	    .follow = true,
	};
}

const struct fl_option *fl_option_by_variable(const char *name, size_t length)
{
	for (const struct fl_option *option = fl_option_table; option->flag; option++)
		if (strlen(option->variable) == length &&
		    memcmp(option->variable, name, length) == 0)
			return option;
	return NULL;
}

static int refuse_variable(char *error, size_t size, const char *name, size_t length)
{
	size_t used = (size_t)snprintf(
	    error, size, "%.*s is not a setting: unset it; there are", (int)length, name);
	for (const struct fl_option *option = fl_option_table; option->flag && used < size;
	     option++)
		used += (size_t)snprintf(error + used, size - used, "%s%s",
		    option == fl_option_table ? " " : ", ", option->variable);
	return -EINVAL;
}

int fl_options_from_environment(
    struct fl_options *options, char *const *environment, char *error, size_t size)
{
	for (; *environment; environment++) {
		const char *name = *environment;
		if (strncmp(name, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
			continue;
		size_t length = strcspn(name, "=");
		if (name[length] == '\0' || (length == strlen(FL_MONITOR_VARIABLE) &&
						memcmp(name, FL_MONITOR_VARIABLE, length) == 0))
			continue;
		const struct fl_option *option = fl_option_by_variable(name, length);
		if (!option)
			return refuse_variable(error, size, name, length);
		char reason[256];
		if (option->parse(options, name + length + 1, reason, sizeof(reason)) < 0) {
			snprintf(error, size, "%s: %s", name, reason);
			return -EINVAL;
		}
	}
	return 0;
}
