/* SPDX-License-Identifier: MIT */
/*
 * command.h: what a command of faultline is. main.c holds the table of them; usage errors, help
 * and completion are printed from the rows.
 */
#ifndef FAULTLINE_COMMAND_H
#define FAULTLINE_COMMAND_H

#include "../preload/options.h"

#ifndef FAULTLINE_VERSION
#define FAULTLINE_VERSION "0.1.0"
#endif

/* Exit statuses of commands; those of `record` are env(1)'s. */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_GREW = 3,
	STATUS_NOT_TRACED = 125,
	STATUS_NOT_RUN = 126,
	STATUS_NOT_FOUND = 127,
};

/* What stands after the options: for the parser and for completion. */
enum operand { OPERAND_NONE, OPERAND_PROGRAM, OPERAND_TRACE, OPERAND_COMMAND, OPERAND_PROCESS };

/* Options that several commands have in common. */
struct option_group {
	const char *title;	      /* as help has it above them */
	const struct fl_option *rows; /* ended by one without a flag */
};

struct command {
	const char *name;
	const char *operands;	   /* as usage shows them, "" for none */
	const char *summary;	   /* half a line */
	const char *details;	   /* what --help says after the options, lines of at most 80 */
	void (*print_table)(void); /* prints what else there is to choose from; NULL: nothing */
	/* Rows ended by one without a flag. Only `record` uses variable, flag_value and parse. */
	const struct fl_option *options;
	const struct option_group *const *groups; /* ended by NULL; NULL: none */
	enum operand operand;
	int usage_status; /* the exit status of wrong usage */
	/* argv[0] is the command's name. Returns the exit status. */
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command record_command, stop_command, report_command, top_command, html_command,
    filter_command, merge_command, diff_command, export_command, check_command;

/* The rows of main.c, ended by one without a name. */
extern const struct command *const command_table[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* The options of a command, its own first, by index from 0; NULL behind the last. */
const struct fl_option *command_option(const struct command *command, size_t index);

/* Prints what --help prints. Returns STATUS_OK. */
int command_help(const struct command *command);

/* Prints a completion script for bash on standard output. */
void completion_print(void);

/*
 * Flushes standard output. Returns STATUS_OK, or STATUS_FAILED after a message when something
 * could not be written.
 */
int finish_output(void);

#endif
