/* SPDX-License-Identifier: MIT */
/*
 * child.c: fork, wait at the gate, restore signals, execute. Between fork and execve the child
 * must leave everything else as faultline found it: descriptors (ours are close-on-exec), process
 * group, umask; and with --user it takes that user's rights at last.
 */
#include "child.h"

#include "user_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_ABANDONED 125

/* execve, with execvp's answer to a text that has no "#!": the shell. Returns only on failure. */
static int execute(const char *path, char *const *argv, char *const *environment)
{
	execve(path, argv, environment);
	if (errno != ENOEXEC)
		return errno;
	size_t count = 0;
	while (argv[count])
		count++;
	char **shell = calloc(count + 2, sizeof(char *));
	if (!shell)
		return ENOMEM;
	shell[0] = _PATH_BSHELL;
	shell[1] = (char *)path;
	for (size_t i = 1; i < count; i++)
		shell[i + 1] = argv[i];
	execve(_PATH_BSHELL, shell, environment);
	return errno;
}

static ssize_t read_all(int fd, void *buffer, size_t size)
{
	ssize_t length;
	do
		length = read(fd, buffer, size);
	while (length < 0 && errno == EINTR);
	return length;
}

int child_start(struct child *child, const char *path, char *const *argv, char *const *environment,
    const struct signal_state *before, const struct fl_user *user)
{
	int gate[2], report[2];
	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(report, O_CLOEXEC) < 0) {
		int result = -errno;
		close(gate[0]);
		close(gate[1]);
		return result;
	}
	pid_t pid = fork();
	if (pid == 0) {
		close(gate[1]);
		close(report[0]);
		sigaction(SIGCHLD, &before->child, NULL);
		sigprocmask(SIG_SETMASK, &before->mask, NULL);
		char go;
		if (read_all(gate[0], &go, 1) != 1)
			_exit(STATUS_ABANDONED);
		/* only now: a starter that is gone must not end this write with a signal */
		sigaction(SIGPIPE, &before->pipe, NULL);
		struct child_failure failure = {.error = user ? -rights_become(user) : 0};
		failure.as_itself = failure.error != 0;
		if (failure.error == 0)
			failure.error = execute(path, argv, environment);
		ssize_t ignored = write(report[1], &failure, sizeof(failure));
		(void)ignored;
		_exit(STATUS_ABANDONED);
	}
	int result = pid < 0 ? -errno : 0;
	close(gate[0]);
	close(report[1]);
	if (result < 0) {
		close(gate[1]);
		close(report[0]);
		return result;
	}
	*child = (struct child){.pid = pid, .gate = gate[1], .report = report[0]};
	return 0;
}

static void close_pipes(struct child *child)
{
	if (child->gate >= 0)
		close(child->gate);
	if (child->report >= 0)
		close(child->report);
	child->gate = child->report = -1;
}

struct child_failure child_release(struct child *child)
{
	struct child_failure failure = {0};
	if (write(child->gate, "", 1) == 1 &&
	    read_all(child->report, &failure, sizeof(failure)) != (ssize_t)sizeof(failure))
		failure = (struct child_failure){0};
	close_pipes(child);
	return failure;
}

void child_abandon(struct child *child)
{
	if (child->pid < 0)
		return;
	close_pipes(child);
	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = -1;
}
