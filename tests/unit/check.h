/* SPDX-License-Identifier: MIT */
/*
 * check.h: what every unit test program needs: cases that print "ok NAME" or "not ok NAME", and a
 * folder of their own. A program exits with 1 when a case failed. Each program is one file.
 */
#ifndef FAULTLINE_CHECK_H
#define FAULTLINE_CHECK_H

#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_case_failed, check_any_failed;
static char check_skipped[256];

/* Says what is wrong when `condition` does not hold; the case goes on. True when it holds. */
#define CHECK(condition, ...) check_that((condition), #condition, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 5, 6))) static inline bool check_that(
    bool holds, const char *condition, const char *file, int line, const char *format, ...)
{
	va_list arguments;

	if (holds)
		return true;
	check_case_failed = true;
	printf("# %s:%d: %s does not hold: ", file, line, condition);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	return false;
}

/* For a case that this machine cannot run; the case returns after it. */
static inline void check_skip(const char *reason)
{
	snprintf(check_skipped, sizeof(check_skipped), "%s", reason);
}

static inline void check_case(const char *name, void (*run)(void))
{
	check_case_failed = false;
	check_skipped[0] = '\0';
	run();
	printf("%s %s%s%s\n", check_case_failed ? "not ok" : "ok", name,
	    check_skipped[0] ? " # skip " : "", check_skipped);
	fflush(stdout);
	check_any_failed |= check_case_failed;
}

/* Goes to a new, empty folder. */
static inline void check_enter_folder(char folder[64])
{
	snprintf(folder, 64, "/tmp/faultline-unit.XXXXXX");
	if (!mkdtemp(folder) || chdir(folder)) {
		perror("mkdtemp");
		exit(2);
	}
}

static inline int check_remove(const char *path, const struct stat *status, int kind, struct FTW *w)
{
	(void)status, (void)kind, (void)w;
	return remove(path);
}

static inline void check_leave_folder(const char *folder)
{
	if (!chdir("/"))
		nftw(folder, check_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The whole file, NUL-terminated, to be freed; exits when it cannot be read. */
static inline char *check_read(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t used = 0, n;

	if (!file) {
		perror(path);
		exit(2);
	}
	do {
		text = realloc(text, used + 65536 + 1);
		n = fread(text + used, 1, 65536, file);
		used += n;
	} while (n > 0);
	fclose(file);
	text[used] = '\0';
	*size = used;
	return text;
}

static inline void check_write(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "we");

	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
		perror(path);
		exit(2);
	}
}

static inline int check_result(void)
{
	return check_any_failed ? 1 : 0;
}

#endif
