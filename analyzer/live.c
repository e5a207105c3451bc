/* SPDX-License-Identifier: MIT */
/*
 * live.c: starts the screen and waits for its end. Ctrl-C and Ctrl-\ on the terminal are meant for
 * the program, which has them as without a screen.
 */
#include "live.h"

#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct fl_option rows[] = {
    {.flag = "live", .help = "show the report on the terminal meanwhile"},
    {.flag = NULL},
};

const struct option_group live_options = {.title = "Screen, see faultline-top(1):", .rows = rows};

int live_open(struct live *live)
{
	static const char *const names[] = {"input", "output", "error"};
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (!isatty(fd))
			continue;
		message("record: --live draws on the terminal, which is the program's standard %s: "
			"redirect all three (</dev/null >out 2>&1), or run `faultline top` in "
			"another terminal",
		    names[fd]);
		return -ENOTTY;
	}
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (terminal < 0) {
		message("record: --live: there is no terminal to draw on");
		return -ENOTTY;
	}
	if (tcgetpgrp(terminal) != getpgrp()) {
		message("record: --live: the terminal is another command's: this one is in the "
			"background");
		close(terminal);
		return -ENOTTY;
	}
	live->terminal = terminal;
	return 0;
}

/* In the new process. Never returns. */
static void become_screen(int terminal, const char *trace, const struct signal_state *before)
{
	static const int programs[] = {SIGINT, SIGQUIT};
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		signal(programs[i], SIG_IGN);
	sigaction(SIGCHLD, &before->child, NULL);
	sigaction(SIGPIPE, &before->pipe, NULL);
	sigprocmask(SIG_SETMASK, &before->mask, NULL);
	dup2(terminal, STDIN_FILENO);
	dup2(terminal, STDOUT_FILENO);
	execl("/proc/self/exe", "faultline", "top", "--exit", "--", trace, (char *)NULL);
	message("record: --live: %s", strerror(errno));
	_exit(1);
}

void live_start(struct live *live, const char *trace, const struct signal_state *before)
{
	if (live->terminal < 0)
		return;
	pid_t pid = fork();
	if (pid == 0)
		become_screen(live->terminal, trace, before);
	if (pid < 0)
		message("record: --live: %s", strerror(errno));
	else
		live->pid = pid;
	close(live->terminal);
	live->terminal = -1;
}

void live_finish(struct live *live, bool ended)
{
	int status = 0;
	if (live->terminal >= 0)
		close(live->terminal);
	live->terminal = -1;
	if (live->pid < 0)
		return;
	if (!ended)
		kill(live->pid, SIGTERM);
	/* one that was stopped, because it is in the background, has given the terminal back */
	while (waitpid(live->pid, &status, WUNTRACED) < 0 ? errno == EINTR : WIFSTOPPED(status))
		if (WIFSTOPPED(status))
			kill(live->pid, SIGKILL);
	live->pid = -1;
}
