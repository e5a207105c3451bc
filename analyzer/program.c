/* SPDX-License-Identifier: MIT */
/*
 * program.c: the search of execvp(3) and the "#!" lines of execve(2), done beforehand in
 * `faultline record`, so that a program that cannot run or cannot be traced is never started.
 */
#include "program.h"

#include "command.h"
#include "elf_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT_DEPTH	  4   /* interpreters of interpreters, as in Linux's fs/exec.c */
#define SCRIPT_LINE_BYTES 256 /* BINPRM_BUF_SIZE */

/* 0 when execve would get as far as reading the file; else a negative errno. */
static int check_executable(const char *path)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!S_ISREG(status.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

/* The interpreter's path of a "#!" line, without its argument. 0, or -ENOEXEC as execve says. */
static int script_interpreter(const char *line, char path[PATH_MAX])
{
	const char *start = line + 2 + strspn(line + 2, " \t");
	size_t length = strcspn(start, " \t\n");
	/* a line that the kernel read only half of may hold half a path */
	if (length == 0 || (start[length] == '\0' && strlen(line) == SCRIPT_LINE_BYTES - 1))
		return -ENOEXEC;
	memcpy(path, start, length);
	path[length] = '\0';
	return 0;
}

static int refuse_missing(
    const char *what, const char *path, const char *missing, char *error, size_t error_size)
{
	snprintf(error, error_size, "cannot run \"%s\": its %s \"%s\" does not exist", path, what,
	    missing);
	return STATUS_NOT_FOUND;
}

/*
 * Inspects the executable file at `path`; `depth` counts the interpreters before it. `original`
 * is what the user asked for.
 */
static int inspect(
    const char *path, const char *original, int depth, char *error, size_t error_size)
{
	char reason[PATH_MAX + 128];
	int status = 0;
	char line[SCRIPT_LINE_BYTES] = "";
	int result = 0;
	ssize_t length = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What may be run but not read shows its rights alone. */
	bool readable = fd >= 0;
	if (!readable)
		fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (readable)
		length = pread(fd, line, sizeof(line) - 1, 0);
	if (length >= 2 && line[0] == '#' && line[1] == '!') {
		char interpreter[PATH_MAX];
		if (depth >= SCRIPT_DEPTH || script_interpreter(line, interpreter) < 0) {
			snprintf(error, error_size, "cannot run \"%s\": \"%s\" %s", original, path,
			    depth >= SCRIPT_DEPTH ? "is one interpreter too many"
						  : "has no usable interpreter after #!");
			status = STATUS_NOT_RUN;
			goto out;
		}
		result = check_executable(interpreter);
		if (result == -ENOENT || result == -ENOTDIR) {
			status =
			    refuse_missing("interpreter", path, interpreter, error, error_size);
		} else if (result < 0) {
			snprintf(error, error_size,
			    "cannot run \"%s\": its interpreter \"%s\" is not executable", original,
			    interpreter);
			status = STATUS_NOT_RUN;
		} else {
			status = inspect(interpreter, original, depth + 1, error, error_size);
		}
		goto out;
	}
	if (readable)
		result = elf_check(fd, reason, sizeof(reason));
	if (result == -ENOENT) {
		status = refuse_missing("loader", path, reason, error, error_size);
		goto out;
	}
	/* A text without "#!" is run by the shell, which is judged in its place. */
	if (result == -ENOEXEC && depth == 0)
		status = inspect("/bin/sh", original, SCRIPT_DEPTH, error, error_size);
	if (result == 0)
		result = elf_check_privileges(fd, reason, sizeof(reason));
	if (result == 1) {
		if (strcmp(path, original) == 0)
			snprintf(error, error_size, "cannot trace \"%s\": it %s", path, reason);
		else
			snprintf(error, error_size, "cannot trace \"%s\": \"%s\" %s", original,
			    path, reason);
		status = STATUS_NOT_TRACED;
	}
out:
	close(fd);
	return status;
}

/* Tells one candidate's fate: 0 and `path` is it, or the status. */
static int try_path(const char *path, char *error, size_t error_size)
{
	int result = check_executable(path);
	if (result == 0)
		return inspect(path, path, 0, error, error_size);
	const char *reason = result == -EISDIR ? "it is a directory" : strerror(-result);
	if (result == -EACCES)
		reason = "it is not executable; chmod +x it, or name its interpreter";
	snprintf(error, error_size, "cannot run \"%s\": %s", path, reason);
	return result == -ENOENT || result == -ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_RUN;
}

int program_find(const char *name, char *path, char *error, size_t error_size)
{
	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX) {
			snprintf(error, error_size, "cannot run the program: its path is too long");
			return STATUS_NOT_RUN;
		}
		strcpy(path, name);
		return try_path(path, error, error_size);
	}
	const char *directories = getenv("PATH");
	if (!directories)
		directories = "/bin:/usr/bin"; /* glibc's _CS_PATH */
	int status = STATUS_NOT_FOUND;
	snprintf(error, error_size, "cannot find \"%s\" in PATH", name);
	for (const char *directory = directories; name[0] != '\0';) {
		size_t length = strcspn(directory, ":");
		char candidate_error[2 * PATH_MAX];
		int size = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, directory,
		    length > 0 ? "/" : "", name);
		if (size < PATH_MAX) {
			int result = try_path(path, candidate_error, sizeof(candidate_error));
			if (result == 0)
				return 0;
			/* execvp goes on after ENOENT and EACCES, and remembers EACCES */
			bool exists = faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
			if (exists && (status == STATUS_NOT_FOUND || result == STATUS_NOT_TRACED)) {
				snprintf(error, error_size, "%s", candidate_error);
				status = result;
			}
			if (result == STATUS_NOT_TRACED)
				return status;
		}
		if (directory[length] == '\0')
			break;
		directory += length + 1;
	}
	return status;
}
