/* SPDX-License-Identifier: MIT */
/*
 * filter.c: reads the filters' options and asks them. Keeps no more than what was typed.
 */
#include "filter.h"

#include "demangle.h"
#include "message.h"
#include "utf8.h"

#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fl_option rows[] = {
    {.flag = "pid", .argument = "IDS", .help = "processes, by number"},
    {.flag = "tid", .argument = "IDS", .help = "threads, by number"},
    {.flag = "thread-name", .argument = "GLOB", .help = "threads whose name matches"},
    {.flag = "kind", .argument = "KINDS", .help = "missing, write-protect, minor"},
    {.flag = "access", .argument = "ACCESS", .help = "read or write"},
    {.flag = "source", .argument = "SOURCES", .help = "where the memory is from: brk, mmap, ..."},
    {.flag = "region", .argument = "IDS", .help = "regions, by their identifiers"},
    {.flag = "addr", .argument = "LO-HI", .help = "addresses from LO up to HI, not included"},
    {.flag = "from", .argument = "TIME", .help = "from that time after the start: 1.5, 200ms, 2m"},
    {.flag = "to", .argument = "TIME", .help = "up to that time, not included"},
    {.flag = "symbol", .argument = "REGEX", .help = "a function on the stack matches"},
    {.flag = "module", .argument = "GLOB", .help = "... and its file's path or name matches"},
    {.flag = NULL},
};

const struct option_group filter_options = {
    .title = "Filters, see faultline-filters(7):",
    .rows = rows,
};

/* What was given more than once adds up. */
struct values {
	uint64_t *numbers;
	size_t count;
};

struct words {
	char **texts;
	size_t count;
};

struct filter {
	struct values pids, tids, regions;
	struct values addresses; /* in pairs: from, to */
	struct words names, modules, sources;
	struct words typed;
	unsigned kinds, accesses; /* bits 1 << enum; 0: not given */
	int64_t from_ns, to_ns;	  /* INT64_MIN, INT64_MAX: not given */
	regex_t *symbols;
	size_t symbol_count;
};

struct filter *filter_create(void)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	if (filter) {
		filter->from_ns = INT64_MIN;
		filter->to_ns = INT64_MAX;
	}
	return filter;
}

static void free_words(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->texts[i]);
	free(words->texts);
}

void filter_destroy(struct filter *filter)
{
	if (!filter)
		return;
	for (size_t i = 0; i < filter->symbol_count; i++)
		regfree(&filter->symbols[i]);
	free(filter->symbols);
	free(filter->pids.numbers);
	free(filter->tids.numbers);
	free(filter->regions.numbers);
	free(filter->addresses.numbers);
	free_words(&filter->names);
	free_words(&filter->modules);
	free_words(&filter->sources);
	free_words(&filter->typed);
	free(filter);
}

static int add_number(struct values *values, uint64_t number)
{
	uint64_t *grown = realloc(values->numbers, (values->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	values->numbers = grown;
	values->numbers[values->count++] = number;
	return 0;
}

static int add_word(struct words *words, const char *text, size_t size)
{
	char **grown = realloc(words->texts, (words->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	words->texts = grown;
	words->texts[words->count] = strndup(text, size);
	return words->texts[words->count] ? (int)(words->count++, 0) : -ENOMEM;
}

/* A number that fills the text up to *end, in decimal or, with 0x, hexadecimal. */
static bool parse_number(const char *text, const char **end, uint64_t *number)
{
	bool hexadecimal = text[0] == '0' && text[1] == 'x';
	const char *digits = hexadecimal ? text + 2 : text;
	size_t count = strspn(digits, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789");
	errno = 0;
	*number = count > 0 ? strtoull(digits, NULL, hexadecimal ? 16 : 10) : 0;
	*end = digits + count;
	return count > 0 && errno == 0;
}

/* The length of the first word of a list. */
static size_t word_length(const char *list)
{
	return strcspn(list, ",");
}

/* What is wrong with an option's value, and what would be right. */
static int refuse(const struct arguments *arguments, const char *right)
{
	message("%s: --%s=%s: must be %s", arguments->command->name, arguments->option->flag,
	    arguments->value, right);
	return -EINVAL;
}

static int take_numbers(struct values *values, const struct arguments *arguments, const char *right)
{
	for (const char *at = arguments->value;;) {
		uint64_t number;
		if (!parse_number(at, &at, &number) || number > INT64_MAX ||
		    (*at != ',' && *at != '\0'))
			return refuse(arguments, right);
		if (add_number(values, number) < 0)
			return -ENOMEM;
		if (*at++ == '\0')
			return 0;
	}
}

/* Words of a table, from its index 1 on, up to `other`. */
static int take_words(unsigned *bits, const char *const *words, unsigned other,
    const struct arguments *arguments, const char *right)
{
	for (const char *at = arguments->value;; at++) {
		size_t length = word_length(at);
		unsigned i = 1;
		while (
		    i < other && (strlen(words[i]) != length || memcmp(words[i], at, length) != 0))
			i++;
		if (i == other)
			return refuse(arguments, right);
		*bits |= 1u << i;
		at += length;
		if (*at == '\0')
			return 0;
	}
}

static int take_sources(struct words *sources, const struct arguments *arguments)
{
	for (const char *at = arguments->value;; at++) {
		size_t length = word_length(at), i = 0;
		while (i < FL_SOURCE_COUNT && (strlen(fl_source_names[i]) != length ||
						  memcmp(fl_source_names[i], at, length) != 0))
			i++;
		if (i == FL_SOURCE_COUNT)
			return refuse(arguments, "a list of mmap, mremap, brk, arena, malloc-mmap, "
						 "shm, memfd, bss, stack, late");
		if (add_word(sources, at, length) < 0)
			return -ENOMEM;
		at += length;
		if (*at == '\0')
			return 0;
	}
}

static int take_addresses(struct values *addresses, const struct arguments *arguments)
{
	const char *at = arguments->value;
	uint64_t from, to;
	if (!parse_number(at, &at, &from) || *at++ != '-' || !parse_number(at, &at, &to) ||
	    *at != '\0' || from >= to)
		return refuse(
		    arguments, "two addresses, the lower first: 0x7f0000000000-0x7f0000200000");
	if (add_number(addresses, from) < 0 || add_number(addresses, to) < 0)
		return -ENOMEM;
	return 0;
}

static int take_time(int64_t *time_ns, const struct arguments *arguments)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {
	    {"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}, {"h", 3600e9}};
	char *end = NULL;
	size_t unit = 0;
	errno = 0;
	double number = strtod(arguments->value, &end);
	while (unit < sizeof(units) / sizeof(units[0]) && strcmp(units[unit].name, end) != 0)
		unit++;
	/* strtod takes spaces, signs, hexadecimal and "inf", too */
	if (strspn(arguments->value, "0123456789.") != (size_t)(end - arguments->value) ||
	    end == arguments->value || unit == sizeof(units) / sizeof(units[0]) || errno != 0 ||
	    number * units[unit].ns > 9e18)
		return refuse(
		    arguments, "a time after the start: 1.5, 200ms, 2m (units ns us ms s m h)");
	*time_ns = (int64_t)(number * units[unit].ns + 0.5);
	return 0;
}

static int take_symbol(struct filter *filter, const struct arguments *arguments)
{
	regex_t *grown = realloc(filter->symbols, (filter->symbol_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	filter->symbols = grown;
	regex_t *regex = &grown[filter->symbol_count];
	int code = regcomp(regex, arguments->value, REG_EXTENDED | REG_NOSUB);
	if (code != 0) {
		char reason[256];
		regerror(code, regex, reason, sizeof(reason));
		message("%s: --symbol=%s: is no extended regular expression: %s",
		    arguments->command->name, arguments->value, reason);
		return -EINVAL;
	}
	filter->symbol_count++;
	return 0;
}

static int take(struct filter *filter, const struct arguments *arguments)
{
	const char *flag = arguments->option->flag, *value = arguments->value;
	const char *numbers = "a number, or a list of numbers: 7,8";
	if (strcmp(flag, "pid") == 0)
		return take_numbers(&filter->pids, arguments, numbers);
	if (strcmp(flag, "tid") == 0)
		return take_numbers(&filter->tids, arguments, numbers);
	if (strcmp(flag, "region") == 0)
		return take_numbers(&filter->regions, arguments, numbers);
	if (strcmp(flag, "thread-name") == 0)
		return add_word(&filter->names, value, strlen(value));
	if (strcmp(flag, "module") == 0)
		return add_word(&filter->modules, value, strlen(value));
	if (strcmp(flag, "kind") == 0)
		return take_words(&filter->kinds, fault_kind_words, FAULT_KIND_OTHER, arguments,
		    "a list of missing, write-protect, minor");
	if (strcmp(flag, "access") == 0)
		return take_words(&filter->accesses, fault_access_words, FAULT_ACCESS_OTHER,
		    arguments, "read, write or both: read,write");
	if (strcmp(flag, "source") == 0)
		return take_sources(&filter->sources, arguments);
	if (strcmp(flag, "addr") == 0)
		return take_addresses(&filter->addresses, arguments);
	if (strcmp(flag, "from") == 0)
		return take_time(&filter->from_ns, arguments);
	if (strcmp(flag, "to") == 0)
		return take_time(&filter->to_ns, arguments);
	return take_symbol(filter, arguments);
}

int filter_option(struct filter *filter, const struct arguments *arguments)
{
	const struct fl_option *option = arguments->option;
	if (option < rows || option >= rows + sizeof(rows) / sizeof(rows[0]))
		return 0;
	int result = take(filter, arguments);
	if (result == 0) {
		char *typed = NULL;
		result = asprintf(&typed, "--%s=%s", option->flag, arguments->value) < 0
			     ? -ENOMEM
			     : add_word(&filter->typed, typed, strlen(typed));
		free(typed);
	}
	if (result == -ENOMEM)
		message("%s: out of memory", arguments->command->name);
	return result < 0 ? result : 1;
}

int filter_finish(const struct filter *filter, const char *command)
{
	if (filter->from_ns < filter->to_ns)
		return 0;
	message("%s: --from must be a time before that of --to", command);
	return -EINVAL;
}

bool filter_keeps_all(const struct filter *filter)
{
	return !filter || filter->typed.count == 0;
}

const char *const *filter_words(const struct filter *filter, size_t *count)
{
	*count = filter ? filter->typed.count : 0;
	return filter ? (const char *const *)filter->typed.texts : NULL;
}

int filter_note(const struct filter *filter, json_t *session)
{
	json_t *filters = json_object_get(session, "filters");
	if (filter_keeps_all(filter))
		return 0;
	if (!json_is_array(filters)) {
		filters = json_array();
		if (json_object_set_new(session, "filters", filters) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < filter->typed.count; i++)
		if (json_array_append_new(filters, utf8_json(filter->typed.texts[i])) < 0)
			return -ENOMEM;
	return 0;
}

static bool has_number(const struct values *values, int64_t number)
{
	for (size_t i = 0; i < values->count; i++)
		if (values->numbers[i] == (uint64_t)number)
			return true;
	return false;
}

static bool matches_address(const struct values *addresses, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < addresses->count; i += 2)
		if (from < addresses->numbers[i + 1] && to > addresses->numbers[i])
			return true;
	return false;
}

static bool matches_glob(const struct words *globs, const char *text)
{
	for (size_t i = 0; i < globs->count; i++)
		if (fnmatch(globs->texts[i], text, 0) == 0)
			return true;
	return false;
}

static bool matches_source(const struct words *sources, const struct trace_region *region)
{
	for (size_t i = 0; region && i < sources->count; i++)
		if (strcmp(sources->texts[i], region->source) == 0)
			return true;
	return false;
}

bool filter_matches(const struct filter *filter, const struct filter_subject *subject)
{
	const struct trace_process *process = subject->process;
	const struct trace_thread *thread = subject->thread;
	if (subject->time_ns < filter->from_ns || subject->time_ns >= filter->to_ns)
		return false;
	if (filter->pids.count > 0 && !(process && has_number(&filter->pids, process->pid)))
		return false;
	if (filter->tids.count > 0 && !(thread && has_number(&filter->tids, thread->tid)))
		return false;
	if (filter->names.count > 0 && !(thread && thread->name_matches))
		return false;
	if (filter->kinds != 0 && !(filter->kinds & 1u << subject->kind))
		return false;
	if (filter->accesses != 0 && !(filter->accesses & 1u << subject->access))
		return false;
	if (filter->sources.count > 0 && !matches_source(&filter->sources, subject->region))
		return false;
	if (filter->regions.count > 0 &&
	    !(subject->region && has_number(&filter->regions, subject->region->id)))
		return false;
	if (filter->addresses.count > 0 &&
	    !matches_address(&filter->addresses, subject->from, subject->to))
		return false;
	bool asks_code = filter->symbol_count > 0 || filter->modules.count > 0;
	return !asks_code || subject->matches_code;
}

bool filter_matches_name(const struct filter *filter, const char *thread_name)
{
	return matches_glob(&filter->names, thread_name);
}

static bool matches_symbol(const struct filter *filter, const char *symbol)
{
	char *name = symbol ? demangle(symbol) : NULL;
	bool matches = false;
	for (size_t i = 0; name && i < filter->symbol_count && !matches; i++)
		matches = regexec(&filter->symbols[i], name, 0, NULL, 0) == 0;
	free(name);
	return matches;
}

bool filter_matches_frame(const struct filter *filter, const struct trace_frame *frame)
{
	const char *path = frame->file ? frame->file->path : "";
	const char *slash = strrchr(path, '/');
	if (filter->modules.count > 0 && !matches_glob(&filter->modules, path) &&
	    !(slash && matches_glob(&filter->modules, slash + 1)))
		return false;
	return filter->symbol_count == 0 || matches_symbol(filter, frame->symbol);
}
