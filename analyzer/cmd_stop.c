/* SPDX-License-Identifier: MIT */
/*
 * cmd_stop.c: `faultline stop PID` ends the recording that a process is part of, while the process
 * goes on. Every recording's monitor listens on an abstract socket of its own; all of them are
 * asked; the one that has the process among its own says so, ends, and tells its totals.
 */
#include "arguments.h"
#include "message.h"
#include "monitor_process.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MONITORS_MAX   256
#define ANSWER_MS      5000
#define SOCKET_PREFIX  " @" FL_SOCKET_PREFIX
#define SOCKET_LISTENS 0x10000ul /* __SO_ACCEPTCON in the flags: Linux, include/linux/net.h */

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	if (length + 1 > sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path + 1, name, length);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Asks every monitor on this machine about `pid`. The number of those that were asked. */
static size_t ask_all(pid_t pid, struct pollfd *polled)
{
	struct fl_launch_message request = {.kind = FL_LAUNCH_STOP, .pid = pid};
	char line[512];
	size_t count = 0;
	FILE *sockets = fopen("/proc/net/unix", "re");
	while (sockets && count < MONITORS_MAX && fgets(line, sizeof(line), sockets)) {
		unsigned long flags;
		char *name = strstr(line, SOCKET_PREFIX);
		if (!name || sscanf(line, "%*s %*s %*s %lx", &flags) != 1 ||
		    !(flags & SOCKET_LISTENS))
			continue;
		name += 2;
		name[strcspn(name, "\n")] = '\0';
		int fd = connect_to(name);
		if (fd >= 0 && send(fd, &request, sizeof(request), MSG_NOSIGNAL) > 0)
			polled[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
		else if (fd >= 0)
			close(fd);
	}
	if (sockets)
		fclose(sockets);
	return count;
}

/*
 * Waits for the answers. 0 with the socket of the monitor that ends its recording; or what a
 * refusal said, else -ESRCH; -ETIMEDOUT when the others all refused, and some did not answer.
 */
static int await_answer(struct pollfd *polled, size_t count, int *socket)
{
	int refusal = -ESRCH;
	for (size_t left = count; left > 0;) {
		int ready = poll(polled, count, ANSWER_MS);
		if (ready == 0)
			return refusal == -ESRCH ? -ETIMEDOUT : refusal;
		for (size_t i = 0; ready > 0 && i < count; i++) {
			struct monitor_process monitor = {.pid = -1, .socket = polled[i].fd};
			struct fl_launch_message message;
			if (polled[i].fd < 0 || polled[i].revents == 0)
				continue;
			int got = monitor_process_receive(&monitor, &message);
			if (got == 1 && message.kind == FL_LAUNCH_READY) {
				*socket = polled[i].fd;
				return 0;
			}
			if (got == 1 && message.status != -ESRCH)
				refusal = message.status;
			close(polled[i].fd);
			polled[i].fd = -1;
			left--;
		}
	}
	return refusal;
}

/* The trace's last lines may take their time to be written. */
static int await_end(int socket)
{
	struct monitor_process monitor = {.pid = -1, .socket = socket};
	struct fl_launch_message totals;
	char text[FL_TOTALS_SIZE];
	if (monitor_process_receive(&monitor, &totals) != 1 || totals.kind != FL_LAUNCH_FINISHED) {
		message("stop: the monitor was killed: the trace ends there");
		return STATUS_FAILED;
	}
	printf("%s\n", monitor_process_totals(&totals, text, sizeof(text)));
	return finish_output();
}

static int stop(pid_t pid)
{
	struct pollfd polled[MONITORS_MAX];
	int socket = -1;
	int result = await_answer(polled, ask_all(pid, polled), &socket);
	if (result == 0)
		return await_end(socket);
	if (result == -EPERM)
		message("stop: the recording of process %d is another user's: ask as that user or "
			"as root",
		    (int)pid);
	else if (result == -ESRCH)
		message("stop: no recording has process %d: name a traced process, or its "
			"`faultline record`",
		    (int)pid);
	else if (result == -ETIMEDOUT)
		message("stop: no recording has process %d, but some do not answer: are their "
			"monitors stopped?",
		    (int)pid);
	else
		message("stop: process %d: %s", (int)pid, strerror(-result));
	return STATUS_FAILED;
}

static int run_stop(const struct command *command, int argc, char **argv)
{
	pid_t pid = 0;
	struct arguments arguments;
	arguments_start(&arguments, command, argc, argv);
	for (;;) {
		switch (arguments_next(&arguments)) {
		case ARGUMENT_END:
			if (pid != 0)
				return stop(pid);
			message("stop: which process? usage: faultline stop %s", command->operands);
			return STATUS_USAGE;
		case ARGUMENT_HELP:
			return command_help(command);
		case ARGUMENT_OPERAND: {
			char *end;
			errno = 0;
			long number = strtol(arguments.value, &end, 10);
			if (!isdigit((unsigned char)arguments.value[0]) || *end != '\0' ||
			    errno != 0 || number < 1 || number > INT32_MAX) {
				message("stop: \"%s\" is no process ID", arguments.value);
				return STATUS_USAGE;
			}
			if (pid != 0) {
				message("stop: one process at a time");
				return STATUS_USAGE;
			}
			pid = (pid_t)number;
			break;
		}
		case ARGUMENT_OPTION:
		case ARGUMENT_WRONG:
			return STATUS_USAGE;
		}
	}
}

static const struct fl_option no_options[] = {{.flag = NULL}};

const struct command stop_command = {
    .name = "stop",
    .operands = "PID",
    .summary = "end a recording; its program goes on as if never traced",
    .details = "PID is that of any process that is traced, or of `faultline record`. Returns\n"
	       "when the trace is complete, and prints what it holds.\n",
    .options = no_options,
    .operand = OPERAND_PROCESS,
    .usage_status = STATUS_USAGE,
    .run = run_stop,
};
