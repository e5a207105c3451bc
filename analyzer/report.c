/* SPDX-License-Identifier: MIT */
/*
 * report.c: the table of sections, printed one after the other.
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>

const struct report_section *const report_sections[] = {
    &report_site,
    &report_stack,
    &report_alloc,
    &report_region,
    &report_thread,
    &report_process,
    &report_time,
    NULL,
};

static bool wants(const struct report *report, size_t section)
{
	return report->request->sections >> section & 1;
}

/* Prints the tables of a section, or adds them to the root. */
static int add_section(
    const struct report *report, const struct report_section *section, json_t *root)
{
	struct report_table tables[REPORT_TABLES] = {0};
	for (size_t i = 0; i < REPORT_TABLES; i++)
		tables[i].kind = &section->tables[i];
	int result = section->fill(report, tables);
	for (size_t i = 0; i < REPORT_TABLES; i++) {
		const char *key = section->tables[i].key;
		/* people are shown a second table only when there is something in it */
		if (result == 0 && key && (root || i == 0 || tables[i].row_count > 0)) {
			report_table_arrange(&tables[i], report);
			result = root
				     ? json_object_set_new(root, key, report_table_json(&tables[i]))
				     : report_table_print(&tables[i], report);
		}
		report_table_free(&tables[i]);
	}
	return result < 0 ? -ENOMEM : 0;
}

static int print_text(const struct report *report)
{
	int result = report_summary_print(report);
	for (size_t i = 0; result == 0 && report_sections[i]; i++)
		if (wants(report, i))
			result = report_sections[i]->fill
				     ? add_section(report, report_sections[i], NULL)
				     : report_stack_print(report);
	return result;
}

static int print_json(const struct report *report)
{
	json_t *root = json_object();
	int result = root ? report_summary_json(report, root) : -ENOMEM;
	for (size_t i = 0; result == 0 && report_sections[i]; i++) {
		if (!wants(report, i))
			continue;
		result = report_sections[i]->fill
			     ? add_section(report, report_sections[i], root)
			     : json_object_set_new(root, "stack", report_stack_json(report));
	}
	/* that it could not be written is told when the output is finished */
	if (result == 0 && json_dumpf(root, stdout, JSON_INDENT(2)) < 0 && !ferror(stdout))
		result = -ENOMEM;
	if (result == 0)
		printf("\n");
	json_decref(root);
	return result < 0 ? -ENOMEM : 0;
}

int report_print(const struct report *report)
{
	return report->request->json ? print_json(report) : print_text(report);
}
