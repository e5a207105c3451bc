/* SPDX-License-Identifier: MIT */
/*
 * monitor_process.c: starts faultline-monitor and speaks with it. The monitor must not show in the
 * program: it shares no descriptor, no session and no terminal with it.
 */
#include "monitor_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB	      (1024.0 * 1024.0)
#define STARTER_FD    3 /* the monitor's end of the socket, in the monitor */
#define OWN_ARGUMENTS 6 /* words of the monitor's command before those of the program's */

/*
 * In the new process, after fork: from here on nothing of faultline's is left. Never returns. Why
 * no session of its own: become_monitor in preload/shim/start.c.
 */
static void become_monitor(
    const char *path, char *const *argv, char *const *environment, int socket)
{
	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* first out of the way of the numbers that are given away below */
	int starter = fcntl(socket, F_DUPFD, STARTER_FD + 1);
	int null = open("/dev/null", O_RDWR);
	if (starter < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	dup2(starter, STARTER_FD);
	close_range(STARTER_FD + 1, UINT_MAX, 0);
	execve(path, argv, environment);
	struct fl_launch_message message = {.kind = FL_LAUNCH_ERROR};
	snprintf(message.text, sizeof(message.text), "cannot run \"%.3000s\": %s", path,
	    strerror(errno));
	send(STARTER_FD, &message, sizeof(message), MSG_NOSIGNAL);
	_exit(1);
}

int monitor_process_start(struct monitor_process *monitor, const char *path,
    const char *socket_name, pid_t program, char *const *words, char *const *environment)
{
	size_t count = 0;
	while (words[count])
		count++;
	char socket_word[128], pid_word[32], starter_word[32];
	snprintf(socket_word, sizeof(socket_word), "--socket=%s", socket_name);
	snprintf(pid_word, sizeof(pid_word), "--pid=%d", (int)program);
	snprintf(starter_word, sizeof(starter_word), "--starter-fd=%d", STARTER_FD);
	char **argv = calloc(count + OWN_ARGUMENTS, sizeof(char *));
	if (!argv)
		return -ENOMEM;
	size_t used = 0;
	argv[used++] = "faultline-monitor";
	argv[used++] = socket_word;
	argv[used++] = pid_word;
	argv[used++] = starter_word;
	argv[used++] = "--";
	memcpy(argv + used, words, count * sizeof(char *));

	int pair[2];
	int result = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		result = -errno;
		goto out;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_monitor(path, argv, environment, pair[1]);
	if (pid < 0) {
		result = -errno;
		close(pair[0]);
	} else {
		*monitor = (struct monitor_process){.pid = pid, .socket = pair[0]};
	}
	close(pair[1]);
out:
	free(argv);
	return result;
}

int monitor_process_receive(struct monitor_process *monitor, struct fl_launch_message *message)
{
	ssize_t length;
	do
		length = recv(monitor->socket, message, sizeof(*message), 0);
	while (length < 0 && errno == EINTR);
	if (length < 0 && errno != ECONNRESET)
		return -errno;
	if (length <= 0)
		return 0;
	if (length != (ssize_t)sizeof(*message))
		return -EPROTO;
	message->text[sizeof(message->text) - 1] = '\0';
	return 1;
}

void monitor_process_root_exited(struct monitor_process *monitor)
{
	struct fl_launch_message message = {.kind = FL_LAUNCH_ROOT_EXITED};
	if (monitor->socket >= 0)
		send(monitor->socket, &message, sizeof(message), MSG_NOSIGNAL);
}

const char *monitor_process_totals(const struct fl_launch_message *totals, char *text, size_t size)
{
	char processes[48] = "", lost[64] = "";
	if (totals->processes > 1)
		snprintf(processes, sizeof(processes), " in %u processes", totals->processes);
	if (totals->lost > 0)
		snprintf(
		    lost, sizeof(lost), "; %llu not recorded", (unsigned long long)totals->lost);
	snprintf(text, size, "%llu faults, %.2f MiB, %.2f s%s; trace in %s%s",
	    (unsigned long long)totals->faults, (double)totals->bytes / MIB,
	    (double)totals->duration_ns / 1e9, processes, totals->text, lost);
	return text;
}

int monitor_process_wait(struct monitor_process *monitor)
{
	int status = -1;
	if (monitor->socket >= 0)
		close(monitor->socket);
	monitor->socket = -1;
	if (monitor->pid > 0)
		while (waitpid(monitor->pid, &status, 0) < 0 && errno == EINTR)
			;
	monitor->pid = -1;
	return status;
}
