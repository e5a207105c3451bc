/* SPDX-License-Identifier: MIT */
/*
 * main.c: the table of commands, and the three that speak about it: --help, --version and
 * completion. Everything else is in cmd_<name>.c.
 */
#include "arguments.h"
#include "command.h"
#include "message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where the help of options begins. */
#define HELP_COLUMN 29

static const struct fl_option no_options[] = {{.flag = NULL}};

static int run_help(const struct command *command, int argc, char **argv);
static int run_completion(const struct command *command, int argc, char **argv);

static const struct command help_command = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "what faultline, or one of its commands, does",
    .options = no_options,
    .operand = OPERAND_COMMAND,
    .usage_status = STATUS_USAGE,
    .run = run_help,
};

static const struct command completion_command = {
    .name = "completion",
    .operands = "",
    .summary = "print a completion script for bash",
    .details = "Use it at once with:\n\n    source <(faultline completion)\n",
    .options = no_options,
    .operand = OPERAND_NONE,
    .usage_status = STATUS_USAGE,
    .run = run_completion,
};

const struct command *const command_table[] = {
    &record_command,
    &stop_command,
    &report_command,
    &top_command,
    &html_command,
    &filter_command,
    &merge_command,
    &diff_command,
    &export_command,
    &check_command,
    &help_command,
    &completion_command,
    NULL,
};

const struct command *command_find(const char *name)
{
	for (const struct command *const *row = command_table; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}

const struct fl_option *command_option(const struct command *command, size_t index)
{
	const struct fl_option *rows = command->options;
	const struct option_group *const *group = command->groups;
	for (;; rows = (*group++)->rows) {
		for (; rows->flag && index > 0; index--)
			rows++;
		if (rows->flag)
			return rows;
		if (!group || !*group)
			return NULL;
	}
}

int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return STATUS_OK;
	message("cannot write to standard output: %s", strerror(errno));
	return STATUS_FAILED;
}

static void print_option(const struct fl_option *option)
{
	char left[64];
	char letter[5] = "    ";
	if (option->letter != 0)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	snprintf(left, sizeof(left), "  %s--%s%s%s", letter, option->flag,
	    option->argument ? "=" : "", option->argument ? option->argument : "");
	printf("%-*s%s\n", HELP_COLUMN, left, option->help);
	if (!option->variable && !option->shown_default)
		return;
	printf("%*s", HELP_COLUMN, "");
	if (option->variable)
		printf("%s%s%s", option->variable, option->flag_value ? "=" : "",
		    option->flag_value ? option->flag_value : "");
	if (option->shown_default)
		printf("%s[%s]", option->variable ? " " : "", option->shown_default);
	putchar('\n');
}

int command_help(const struct command *command)
{
	printf("usage: faultline %s [OPTIONS]%s%s\n", command->name,
	    command->operands[0] ? " " : "", command->operands);
	printf("%s\n\n", command->summary);
	for (const struct fl_option *option = command->options; option->flag; option++)
		print_option(option);
	printf("%-*s%s\n", HELP_COLUMN, "  -h, --help", "this text");
	for (const struct option_group *const *group = command->groups; group && *group; group++) {
		printf("\n%s\n", (*group)->title);
		for (const struct fl_option *option = (*group)->rows; option->flag; option++)
			print_option(option);
	}
	if (command->print_table) {
		putchar('\n');
		command->print_table();
	}
	if (command->details)
		printf("\n%s", command->details);
	return finish_output();
}

static int general_help(void)
{
	printf("usage: faultline COMMAND [OPTIONS]\n"
	       "Which code touches which memory, page by page, in a program nobody changed.\n\n");
	for (const struct command *const *row = command_table; *row; row++)
		printf("  %-12s %s\n", (*row)->name, (*row)->summary);
	printf("\n"
	       "  %-12s %s\n"
	       "  %-12s %s\n\n"
	       "Each command has --help. To begin:\n\n"
	       "    faultline record -o first.jsonl ls -lR /usr\n"
	       "    faultline report first.jsonl\n",
	    "--help", "this text", "--version", "the version, and that of the trace format");
	return finish_output();
}

static int unknown_command(const char *name)
{
	const char *names[16];
	size_t count = 0;
	for (const struct command *const *row = command_table; *row && count < 16; row++)
		names[count++] = (*row)->name;
	const char *meant = closest_name(name, names, count);
	if (meant)
		message("unknown command \"%s\"; did you mean \"%s\"?", name, meant);
	else
		message("unknown command \"%s\"; see faultline --help", name);
	return STATUS_USAGE;
}

static int run_help(const struct command *command, int argc, char **argv)
{
	const char *name = NULL;
	struct arguments arguments;
	arguments_start(&arguments, command, argc, argv);
	for (;;) {
		switch (arguments_next(&arguments)) {
		case ARGUMENT_END: {
			const struct command *about = name ? command_find(name) : NULL;
			if (about)
				return command_help(about);
			return name ? unknown_command(name) : general_help();
		}
		case ARGUMENT_HELP:
			return command_help(command);
		case ARGUMENT_OPERAND:
			if (name) {
				message("help: one command at a time");
				return STATUS_USAGE;
			}
			name = arguments.value;
			break;
		case ARGUMENT_OPTION:
		case ARGUMENT_WRONG:
			return STATUS_USAGE;
		}
	}
}

static int run_completion(const struct command *command, int argc, char **argv)
{
	struct arguments arguments;
	arguments_start(&arguments, command, argc, argv);
	switch (arguments_next(&arguments)) {
	case ARGUMENT_END:
		completion_print();
		return finish_output();
	case ARGUMENT_HELP:
		return command_help(command);
	case ARGUMENT_OPERAND:
		message("completion: unexpected \"%s\": it takes no operand", arguments.value);
		return STATUS_USAGE;
	case ARGUMENT_OPTION:
	case ARGUMENT_WRONG:
		break;
	}
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		message("what shall it do? see faultline --help");
		return STATUS_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return general_help();
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		printf("faultline %s (trace format 1)\n", FAULTLINE_VERSION);
		return finish_output();
	}
	const struct command *command = command_find(name);
	if (command)
		return command->run(command, argc - 1, argv + 1);
	if (name[0] == '-') {
		message("unknown option %s; see faultline --help", name);
		return STATUS_USAGE;
	}
	return unknown_command(name);
}
