/* SPDX-License-Identifier: MIT */
/*
 * arguments.h: reads a command's arguments by its table of options: --flag, --flag=VALUE,
 * --flag VALUE, -f, -fVALUE, -f VALUE, -fg, and -- for the end of the options.
 */
#ifndef FAULTLINE_ARGUMENTS_H
#define FAULTLINE_ARGUMENTS_H

#include "command.h"

enum argument {
	ARGUMENT_END,	  /* no more; `next` is the index of the first word not read */
	ARGUMENT_OPTION,  /* `option`, and `value` when it takes one (else NULL) */
	ARGUMENT_OPERAND, /* `value` */
	ARGUMENT_HELP,	  /* --help or -h */
	ARGUMENT_WRONG,	  /* a message was printed: exit with the command's usage_status */
};

struct arguments {
	const struct command *command;
	char **argv;
	int argc;
	int next;
	const char *cluster; /* the letters left of "-qo" */
	bool operands_only;  /* "--" was seen */
	const struct fl_option *option;
	const char *value; /* borrowed from argv */
};

/* argv[0] is the command's name. */
void arguments_start(
    struct arguments *arguments, const struct command *command, int argc, char **argv);

/*
 * The next argument. The options of a command whose operand is OPERAND_PROGRAM end at the first
 * word that is none; those of the others may stand between the operands.
 */
enum argument arguments_next(struct arguments *arguments);

/*
 * The value of the option that was found as a number of rows, SIZE_MAX for "all". 0, or -EINVAL
 * after a message.
 */
int arguments_limit(const struct arguments *arguments, size_t *limit);

/* The name in `names` most like `word`, NULL when none is close. For "did you mean". */
const char *closest_name(const char *word, const char *const *names, size_t count);

#endif
