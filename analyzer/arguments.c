/* SPDX-License-Identifier: MIT */
/*
 * arguments.c: the parser of command lines. It prints what is wrong, names the flag that was
 * likely meant, and leaves the meaning of values to the commands.
 */
#include "arguments.h"

#include "message.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 48 /* longer words are not compared with names */

void arguments_start(
    struct arguments *arguments, const struct command *command, int argc, char **argv)
{
	*arguments = (struct arguments){.command = command, .argc = argc, .argv = argv, .next = 1};
}

/* The number of letters to insert, delete or replace between the two words. */
static size_t edit_distance(const char *from, const char *to)
{
	size_t row[NAME_LIMIT + 1];
	size_t width = strlen(to);
	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 1; from[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= width; j++) {
			size_t best = diagonal + (from[i - 1] != to[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[width];
}

const char *closest_name(const char *word, const char *const *names, size_t count)
{
	size_t length = strlen(word);
	if (length < 2 || length > NAME_LIMIT)
		return NULL;
	const char *closest = NULL;
	size_t least = length / 3 + 2;
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) > NAME_LIMIT)
			continue;
		size_t distance =
		    strncmp(names[i], word, length) == 0 ? 1 : edit_distance(word, names[i]);
		if (distance < least) {
			least = distance;
			closest = names[i];
		}
	}
	return closest;
}

static enum argument unknown_flag(const struct command *command, const char *word, size_t length)
{
	const char *names[64] = {"help"};
	size_t count = 1;
	const struct fl_option *row;
	for (size_t i = 0; (row = command_option(command, i)) && count < 64; i++)
		names[count++] = row->flag;
	char name[NAME_LIMIT + 1];
	const char *meant = NULL;
	if (length <= NAME_LIMIT) {
		memcpy(name, word, length);
		name[length] = '\0';
		meant = closest_name(name, names, count);
	}
	if (meant)
		message("%s: unknown option --%.*s; did you mean --%s?", command->name, (int)length,
		    word, meant);
	else
		message("%s: unknown option --%.*s; see faultline %s --help", command->name,
		    (int)length, word, command->name);
	return ARGUMENT_WRONG;
}

static enum argument long_option(struct arguments *arguments, const char *word)
{
	const struct command *command = arguments->command;
	size_t length = strcspn(word, "=");
	const char *value = word[length] == '=' ? word + length + 1 : NULL;
	if (strcmp(word, "help") == 0)
		return ARGUMENT_HELP;
	const struct fl_option *option;
	for (size_t i = 0; (option = command_option(command, i)); i++)
		if (strlen(option->flag) == length && memcmp(option->flag, word, length) == 0)
			break;
	if (!option)
		return unknown_flag(command, word, length);
	if (!option->argument && value) {
		message("%s: --%s takes no value", command->name, option->flag);
		return ARGUMENT_WRONG;
	}
	if (option->argument && !value) {
		if (arguments->next >= arguments->argc) {
			message("%s: --%s needs a value: --%s=%s", command->name, option->flag,
			    option->flag, option->argument);
			return ARGUMENT_WRONG;
		}
		value = arguments->argv[arguments->next++];
	}
	arguments->option = option;
	arguments->value = value;
	return ARGUMENT_OPTION;
}

/* Takes one letter off arguments->cluster. */
static enum argument short_option(struct arguments *arguments)
{
	const struct command *command = arguments->command;
	char letter = *arguments->cluster++;
	if (letter == 'h')
		return ARGUMENT_HELP;
	const struct fl_option *option;
	for (size_t i = 0; (option = command_option(command, i)); i++)
		if (option->letter == letter)
			break;
	if (!option) {
		message("%s: unknown option -%c; see faultline %s --help", command->name, letter,
		    command->name);
		return ARGUMENT_WRONG;
	}
	arguments->option = option;
	arguments->value = NULL;
	if (!option->argument)
		return ARGUMENT_OPTION;
	if (*arguments->cluster != '\0') {
		arguments->value = arguments->cluster;
	} else if (arguments->next < arguments->argc) {
		arguments->value = arguments->argv[arguments->next++];
	} else {
		message("%s: -%c needs a value: -%c %s", command->name, letter, letter,
		    option->argument);
		return ARGUMENT_WRONG;
	}
	arguments->cluster = NULL;
	return ARGUMENT_OPTION;
}

enum argument arguments_next(struct arguments *arguments)
{
	if (arguments->cluster && *arguments->cluster != '\0')
		return short_option(arguments);
	if (arguments->next >= arguments->argc)
		return ARGUMENT_END;
	const char *word = arguments->argv[arguments->next];
	bool program = arguments->command->operand == OPERAND_PROGRAM;
	if (!arguments->operands_only && strcmp(word, "--") == 0) {
		arguments->next++;
		if (program)
			return ARGUMENT_END;
		arguments->operands_only = true;
		return arguments_next(arguments);
	}
	if (arguments->operands_only || word[0] != '-' || word[1] == '\0') {
		if (program)
			return ARGUMENT_END;
		arguments->next++;
		arguments->value = word;
		return ARGUMENT_OPERAND;
	}
	arguments->next++;
	if (word[1] == '-')
		return long_option(arguments, word + 2);
	arguments->cluster = word + 1;
	return short_option(arguments);
}

int arguments_limit(const struct arguments *arguments, size_t *limit)
{
	const char *value = arguments->value;
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (strcmp(value, "all") == 0) {
		*limit = SIZE_MAX;
		return 0;
	}
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number == 0) {
		message("%s: --%s=%s: must be a number from 1, or all", arguments->command->name,
		    arguments->option->flag, value);
		return -EINVAL;
	}
	*limit = number;
	return 0;
}
