/* SPDX-License-Identifier: MIT */
/*
 * fuzz_command.h: what the fuzzers of commands share: a command is run on a trace of any bytes as a
 * user would run it. It does what it should, or says in one line what is wrong, and in which line
 * of the trace. What it prints then is for the fuzzer to check.
 */
#ifndef FAULTLINE_FUZZ_COMMAND_H
#define FAULTLINE_FUZZ_COMMAND_H

#include "command.h"

#include <ctype.h>
#include <jansson.h>
#include <sanitizer/common_interface_defs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_MOST_WORDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A new file in memory. */
static inline int fuzz_file(const void *data, size_t size)
{
	int file = memfd_create("trace", MFD_CLOEXEC);

	if (file < 0 || write(file, data, size) != (ssize_t)size)
		abort();
	return file;
}

/* All of the file with a NUL behind it, to be freed. Closes it. */
static inline char *fuzz_content(int file, size_t *size)
{
	off_t length = lseek(file, 0, SEEK_END);
	char *text = malloc((size_t)length + 1);

	if (!text || pread(file, text, (size_t)length, 0) != length)
		abort();
	close(file);
	text[length] = '\0';
	*size = (size_t)length;
	return text;
}

/* Can it do nothing to a terminal? Newlines are the only controls, and all is UTF-8. */
static inline bool fuzz_is_harmless(const char *text, size_t size)
{
	static const char *const marks[] = {"\u061c", "\u200e", "\u200f", "\u2028", "\u2029",
	    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068",
	    "\u2069"};
	json_t *utf8 = json_stringn(text, size);
	bool harmless = utf8 != NULL;

	json_decref(utf8);
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte < 0x20 && byte != '\n') || byte == 0x7f ||
		    (byte == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			harmless = false;
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		harmless = harmless && !strstr(text, marks[i]);
	return harmless;
}

/* Is it "faultline: TRACE:LINE: REASON", a line, and no more? */
static inline bool fuzz_is_refusal(const char *said, size_t size)
{
	int line = 0, reason = 0;

	sscanf(said, "faultline: /proc/self/fd/%*d:%d: %n", &line, &reason);
	return line > 0 && reason > 0 && isgraph((unsigned char)said[reason]) &&
	       strchr(said, '\n') == said + size - 1;
}

/*
 * Runs the command with the words (ended by NULL) and the trace in `data`. Returns what it printed,
 * with a NUL behind it, to be freed; NULL when the trace was refused, or the words were.
 */
static inline char *fuzz_command(const struct command *command, const char *const words[],
    const void *data, size_t size, size_t *written)
{
	int trace = fuzz_file(data, size), out = fuzz_file("", 0), err = fuzz_file("", 0);
	int kept_out = dup(STDOUT_FILENO), kept_err = dup(STDERR_FILENO), argc = 0;
	char *argv[FUZZ_MOST_WORDS + 3], path[32];

	argv[argc++] = (char *)command->name;
	while (*words && argc <= FUZZ_MOST_WORDS)
		argv[argc++] = (char *)*words++;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", trace);
	argv[argc++] = path;
	argv[argc] = NULL;

	/* What an engine printed is not the command's; what a sanitizer says is for its user. */
	fflush(stdout);
	__sanitizer_set_report_fd((void *)(intptr_t)kept_err);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	int status = command->run(command, argc, argv);
	fflush(stdout);
	dup2(kept_out, STDOUT_FILENO);
	dup2(kept_err, STDERR_FILENO);
	__sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
	close(kept_out);
	close(kept_err);
	close(trace);

	size_t said_size;
	char *printed = fuzz_content(out, written), *said = fuzz_content(err, &said_size);

	if (!fuzz_is_harmless(said, said_size) ||
	    (status == STATUS_FAILED && !fuzz_is_refusal(said, said_size)) ||
	    (status != STATUS_OK && status != STATUS_FAILED && status != STATUS_USAGE)) {
		fprintf(stderr, "status %d: %s", status, said);
		abort();
	}
	free(said);
	if (status != STATUS_OK) {
		free(printed);
		printed = NULL;
	}
	return printed;
}

#endif
