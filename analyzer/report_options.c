/* SPDX-License-Identifier: MIT */
/*
 * report_options.c: the options that say what a report shows.
 */
#include "report_options.h"

#include "message.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sections of a report that asks for none. */
static const struct report_section *const default_sections[] = {
    &report_site, &report_alloc, &report_thread, NULL};

static const struct fl_option rows[] = {
    {.flag = "by",
	.argument = "SECTIONS",
	.shown_default = "site,alloc,thread",
	.help = "all, or site, stack, alloc, region, ... (below)"},
    {.flag = "sort", .argument = "KEY", .help = "sort by a key of the JSON: bytes, faults, name"},
    {.flag = "limit",
	.letter = 'n',
	.argument = "N",
	.shown_default = "15; stack 40, time 20",
	.help = "rows of each section; all: every row"},
    {.flag = "min-percent",
	.argument = "P",
	.shown_default = "0; stack 1",
	.help = "leave out what has less of all bytes"},
    {.flag = "upwards", .help = "stack: from what touched memory to its callers"},
    {.flag = NULL},
};

const struct option_group report_options = {
    .title = "What is shown:",
    .rows = rows,
};

static int take_percent(const struct arguments *arguments, double *percent)
{
	const char *value = arguments->value;
	char *end;
	double number = strtod(value, &end);
	if (strspn(value, "0123456789.") != strlen(value) || *end != '\0' || end == value ||
	    number > 100) {
		message("%s: --min-percent=%s: must be a number from 0 to 100",
		    arguments->command->name, value);
		return -EINVAL;
	}
	*percent = number;
	return 0;
}

/* The bit of a section's name; 0: there is none such. */
static unsigned section_bit(const char *name, size_t length)
{
	for (size_t i = 0; report_sections[i]; i++)
		if (strlen(report_sections[i]->name) == length &&
		    memcmp(report_sections[i]->name, name, length) == 0)
			return 1u << i;
	return 0;
}

static int take_sections(const struct arguments *arguments, unsigned *sections)
{
	const char *value = arguments->value;
	for (const char *at = value;; at++) {
		size_t length = strcspn(at, ",");
		unsigned bit = section_bit(at, length);
		if (length == 3 && memcmp(at, "all", 3) == 0)
			bit = UINT_MAX;
		if (bit == 0) {
			message(
			    "%s: --by=%s: must be all, or a list of site, stack, alloc, region, "
			    "thread, process, time",
			    arguments->command->name, value);
			return -EINVAL;
		}
		*sections |= bit;
		at += length;
		if (*at == '\0')
			return 0;
	}
}

int report_option(struct report_request *request, const struct arguments *arguments)
{
	const char *flag = arguments->option->flag;
	int result = 0;
	if (arguments->option < rows || arguments->option >= rows + sizeof(rows) / sizeof(rows[0]))
		return 0;
	if (strcmp(flag, "by") == 0)
		result = take_sections(arguments, &request->sections);
	else if (strcmp(flag, "limit") == 0)
		result = arguments_limit(arguments, &request->limit);
	else if (strcmp(flag, "min-percent") == 0)
		result = take_percent(arguments, &request->min_percent);
	else if (strcmp(flag, "sort") == 0)
		request->sort = arguments->value;
	else
		request->upwards = true;
	return result < 0 ? result : 1;
}

static bool has_key(const struct report_section *section, const char *key)
{
	for (size_t i = 0; i < REPORT_TABLES; i++)
		for (size_t j = 0; j < section->tables[i].column_count; j++) {
			const char *name = section->tables[i].columns[j].key;
			if (name && strcmp(name, key) == 0)
				return true;
		}
	return false;
}

/* Is there a section to sort by that key? Says which keys there are when not. */
static int check_sort(const struct report_request *request, const char *command)
{
	char keys[512] = "";
	size_t used = 0;
	if (!request->sort)
		return 0;
	for (size_t i = 0; report_sections[i]; i++) {
		if (!(request->sections >> i & 1))
			continue;
		if (has_key(report_sections[i], request->sort))
			return 0;
		const struct report_table_kind *table = &report_sections[i]->tables[0];
		for (size_t j = 0; j < table->column_count; j++)
			if (table->columns[j].key && !strstr(keys, table->columns[j].key) &&
			    used < sizeof(keys))
				used += (size_t)snprintf(
				    keys + used, sizeof(keys) - used, " %s", table->columns[j].key);
	}
	message("%s: --sort=%s: must be one of:%s", command, request->sort, keys);
	return -EINVAL;
}

int report_options_finish(struct report_request *request, const char *command)
{
	bool told = request->sections != 0;
	for (size_t i = 0; !told && default_sections[i]; i++)
		request->sections |=
		    section_bit(default_sections[i]->name, strlen(default_sections[i]->name));
	return check_sort(request, command);
}

unsigned report_options_profile(const struct report_request *request)
{
	for (size_t i = 0; report_sections[i]; i++)
		if (report_sections[i] == &report_region && request->sections >> i & 1)
			return PROFILE_REGIONS;
	return 0;
}
