/* SPDX-License-Identifier: MIT */
/*
 * completion.c: writes the completion script for bash from the table of commands, so that a new
 * flag is completed without being written twice. The script needs nothing but bash itself.
 */
#include "command.h"
#include "export.h"
#include "fault_line.h"
#include "report.h"

#include <stdio.h>
#include <string.h>

static void print_names(const char *(*name_of)(size_t index))
{
	for (size_t i = 0; name_of(i); i++)
		printf("%s%s", i > 0 ? " " : "", name_of(i));
}

static const char *mode_of(size_t index)
{
	return fl_mode_name((enum fl_mode)index);
}

static const char *capture_of(size_t index)
{
	return fl_capture_name((enum fl_capture)index);
}

static const char *source_of(size_t index)
{
	if (index == 0)
		return "all";
	return index <= FL_SOURCE_COUNT ? fl_source_names[index - 1] : NULL;
}

static const char *region_source_of(size_t index)
{
	return index < FL_SOURCE_COUNT ? fl_source_names[index] : NULL;
}

static const char *kind_of(size_t index)
{
	return index + 1 < FAULT_KIND_OTHER ? fault_kind_words[index + 1] : NULL;
}

static const char *access_of(size_t index)
{
	return index + 1 < FAULT_ACCESS_OTHER ? fault_access_words[index + 1] : NULL;
}

static const char *section_of(size_t index)
{
	if (index == 0)
		return "all";
	return report_sections[index - 1] ? report_sections[index - 1]->name : NULL;
}

/* A `case` branch that completes the value of one option. */
static void print_values(const char *command, const struct fl_option *option)
{
	static const struct {
		const char *argument;
		const char *(*name_of)(size_t index);
	} kinds[] = {{"MODE", mode_of}, {"HOW", capture_of}, {"LIST", source_of},
	    {"SOURCES", region_source_of}, {"KINDS", kind_of}, {"ACCESS", access_of},
	    {"FORMAT", export_format_name}, {"VALUE", export_value_name}, {"SECTIONS", section_of}};
	printf("\t%s:--%s", command, option->flag);
	if (option->letter != 0)
		printf(" | %s:-%c", command, option->letter);
	printf(")\n\t\t");
	if (strcmp(option->argument, "FILE") == 0 || strcmp(option->argument, "DIR") == 0) {
		printf("mapfile -t COMPREPLY < <(compgen -%c -- \"$word\")\n"
		       "\t\tcompopt -o filenames 2>/dev/null\n",
		    option->argument[0] == 'F' ? 'f' : 'd');
	} else if (strcmp(option->argument, "NAME") == 0) {
		printf("mapfile -t COMPREPLY < <(compgen -u -- \"$word\")\n");
	} else {
		printf("mapfile -t COMPREPLY < <(compgen -W '");
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (strcmp(option->argument, kinds[i].argument) == 0)
				print_names(kinds[i].name_of);
		printf("' -- \"$word\")\n");
	}
	printf("\t\treturn\n\t\t;;\n");
}

static void print_flags(const struct command *command)
{
	printf("\t%s) flags='", command->name);
	const struct fl_option *option;
	for (size_t i = 0; (option = command_option(command, i)); i++)
		printf("--%s%s ", option->flag, option->argument ? "=" : "");
	printf("--help' ;;\n");
}

/* A pattern of the options that take a value in the word after them. */
static void print_options_with_value(const struct command *command)
{
	const char *separator = "";
	const struct fl_option *option;
	for (size_t i = 0; (option = command_option(command, i)); i++) {
		if (!option->argument)
			continue;
		printf("%s--%s", separator, option->flag);
		if (option->letter != 0)
			printf(" | -%c", option->letter);
		separator = " | ";
	}
}

static const struct command *find_operand(enum operand operand)
{
	const struct command *const *row = command_table;
	while ((*row)->operand != operand)
		row++;
	return *row;
}

void completion_print(void)
{
	const struct command *record = find_operand(OPERAND_PROGRAM);
	printf("# bash completion for faultline; made by `faultline completion`\n\n"
	       "_faultline() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal command=${COMP_WORDS[1]} flags='' operand='' i\n"
	       "\tCOMPREPLY=()\n"
	       "\tif ((COMP_CWORD == 1)); then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W '");
	for (const struct command *const *row = command_table; *row; row++)
		printf("%s ", (*row)->name);
	printf("--help --version' -- \"$word\")\n\t\treturn\n\tfi\n\n");

	printf("\t# once the program of `%s` is named, its own words follow\n"
	       "\tif [[ $command == %s ]]; then\n"
	       "\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	       "\t\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t\t",
	    record->name, record->name);
	print_options_with_value(record);
	printf(")\n"
	       "\t\t\t\t[[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
	       "\t\t\t\t((i++)) ;;\n"
	       "\t\t\t-?*) ;;\n"
	       "\t\t\t*)\n"
	       "\t\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	       "\t\t\t\tcompopt -o filenames 2>/dev/null\n"
	       "\t\t\t\treturn\n"
	       "\t\t\t\t;;\n"
	       "\t\t\tesac\n"
	       "\t\tdone\n"
	       "\tfi\n\n"
	       "\t# bash breaks words at \"=\": --flag, =, value\n"
	       "\tif [[ $word == = ]]; then\n\t\tword=\n"
	       "\telif [[ $before == = ]]; then\n\t\tbefore=${COMP_WORDS[COMP_CWORD - 2]}\n\tfi\n"
	       "\tcase $command:$before in\n");
	for (const struct command *const *row = command_table; *row; row++) {
		const struct fl_option *option;
		for (size_t i = 0; (option = command_option(*row, i)); i++)
			if (option->argument)
				print_values((*row)->name, option);
	}
	printf("\tesac\n\n\tcase $command in\n");
	for (const struct command *const *row = command_table; *row; row++)
		print_flags(*row);
	printf("\tesac\n"
	       "\tif [[ $word == -* ]]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\")\n"
	       "\t\t[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
	       "\t\treturn\n"
	       "\tfi\n\n"
	       "\tcase $command in\n");
	static const char *const operands[] = {
	    [OPERAND_PROGRAM] = "-c",
	    [OPERAND_TRACE] = "-f",
	    [OPERAND_COMMAND] = "commands",
	    [OPERAND_PROCESS] = "recordings",
	};
	for (const struct command *const *row = command_table; *row; row++) {
		if ((*row)->operand == OPERAND_NONE)
			continue;
		printf("\t%s) operand='%s' ;;\n", (*row)->name, operands[(*row)->operand]);
	}
	printf("\tesac\n"
	       "\tcase $operand in\n"
	       "\tcommands)\n\t\tmapfile -t COMPREPLY < <(compgen -W '");
	for (const struct command *const *row = command_table; *row; row++)
		printf("%s ", (*row)->name);
	printf("' -- \"$word\")\n\t\t;;\n"
	       "\trecordings)\n"
	       "\t\tlocal comm pids=()\n"
	       "\t\tfor comm in /proc/[0-9]*/comm; do\n"
	       "\t\t\t[[ $(<\"$comm\") == faultline ]] &&\n"
	       "\t\t\t\tcomm=${comm%%/comm} && pids+=(\"${comm#/proc/}\")\n"
	       "\t\tdone 2>/dev/null\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"${pids[*]}\" -- \"$word\")\n"
	       "\t\t;;\n"
	       "\t-?)\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen \"$operand\" -- \"$word\")\n"
	       "\t\tcompopt -o filenames 2>/dev/null\n"
	       "\t\t;;\n"
	       "\tesac\n"
	       "}\n"
	       "complete -F _faultline faultline\n");
}
