/* SPDX-License-Identifier: MIT */
/*
 * watch.c: the one loop of `faultline record`. Signals arrive as reads of a signalfd, so nothing
 * here runs inside a handler. The terminal sends its signals to the program as well: what comes
 * from it (SI_KERNEL) is never passed on; what another process sent to faultline is.
 */
#include "watch.h"

#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the program's descendants may go on before the user is told what is waited for. */
#define TELL_AFTER_MS 2000

static const int watched_signals[] = {
    SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP};

int watch_take_signals(struct signal_state *before)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(watched_signals) / sizeof(watched_signals[0]); i++)
		sigaddset(&set, watched_signals[i]);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		sigaddset(&set, number);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	/* an ignored SIGCHLD, perhaps inherited, would throw away the program's status */
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigaction(SIGCHLD, &action, &before->child);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, &before->pipe);
	sigprocmask(SIG_BLOCK, &set, &before->mask);
	return fd;
}

static bool ends_waiting(int number)
{
	return number == SIGINT || number == SIGQUIT || number == SIGTERM || number == SIGHUP;
}

/* The program stopped: stop with it, so that the shell notices; go on with it. */
static void stop_with_program(struct watch *watch)
{
	if (!watch->terminal)
		return;
	kill(getpid(), SIGSTOP);
	kill(watch->child->pid, SIGCONT);
}

static void reap_program(struct watch *watch)
{
	int status;
	while (!watch->root_ended &&
	       waitpid(watch->child->pid, &status, WNOHANG | WUNTRACED) == watch->child->pid) {
		if (WIFSTOPPED(status)) {
			stop_with_program(watch);
			continue;
		}
		watch->root_ended = true;
		watch->root_status = status;
		watch->child->pid = -1;
		monitor_process_root_exited(watch->monitor);
	}
}

static void handle_signal(struct watch *watch, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;
	if (number == SIGCHLD) {
		reap_program(watch);
	} else if (watch->root_ended) {
		watch->gave_up |= ends_waiting(number);
	} else if (number != SIGINT && number != SIGQUIT && info->ssi_code <= 0) {
		kill(watch->child->pid, number);
	}
}

/* The next packet, when there is one: false after a hang-up. */
static bool receive(struct watch *watch, struct fl_launch_message *packet)
{
	int result = monitor_process_receive(watch->monitor, packet);
	if (result == 1)
		return true;
	if (result < 0)
		message("cannot understand the monitor: %s", strerror(-result));
	return false;
}

int watch_until_ready(struct watch *watch, int *signal_number)
{
	struct fl_launch_message packet;
	for (;;) {
		struct pollfd polled[] = {
		    {.fd = watch->signals, .events = POLLIN},
		    {.fd = watch->monitor->socket, .events = POLLIN},
		};
		if (poll(polled, 2, -1) < 0)
			continue;
		struct signalfd_siginfo info;
		if (polled[0].revents != 0 &&
		    read(watch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
		    ends_waiting((int)info.ssi_signo)) {
			*signal_number = (int)info.ssi_signo;
			return -EINTR;
		}
		if (polled[1].revents == 0)
			continue;
		if (!receive(watch, &packet)) {
			int status = monitor_process_wait(watch->monitor);
			if (WIFSIGNALED(status))
				message("the monitor was killed by signal %d before it was ready; "
					"nothing was run",
				    WTERMSIG(status));
			else
				message("the monitor ended before it was ready; nothing was run");
			return -ECANCELED;
		}
		switch (packet.kind) {
		case FL_LAUNCH_READY:
			watch->ready = packet;
			return 0;
		case FL_LAUNCH_WARNING:
			message("%s", packet.text);
			break;
		case FL_LAUNCH_ERROR:
			message("%s", packet.text);
			return -ECANCELED;
		}
	}
}

static void handle_packet(struct watch *watch)
{
	struct fl_launch_message packet;
	if (receive(watch, &packet)) {
		if (packet.kind == FL_LAUNCH_WARNING || packet.kind == FL_LAUNCH_ERROR)
			message("%s", packet.text);
		if (packet.kind == FL_LAUNCH_FINISHED) {
			watch->finished = true;
			watch->totals = packet;
		}
		return;
	}
	if (watch->finished)
		return;
	int status = monitor_process_wait(watch->monitor);
	char how[64] = "ended early";
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	message("the monitor %s: the trace ends there%s", how,
	    watch->root_ended ? "" : ", the program goes on untraced");
}

void watch_until_finished(struct watch *watch)
{
	bool told = false;
	reap_program(watch);
	while (!watch->gave_up &&
	       !(watch->root_ended && (watch->finished || watch->monitor->socket < 0))) {
		/* poll passes over negative descriptors */
		int socket = watch->finished ? -1 : watch->monitor->socket;
		struct pollfd polled[] = {
		    {.fd = watch->signals, .events = POLLIN},
		    {.fd = socket, .events = POLLIN},
		};
		bool tell = watch->root_ended && watch->may_tell && !told;
		int count = poll(polled, 2, tell ? TELL_AFTER_MS : -1);
		if (count == 0) {
			message("waiting for processes that the program left running (Ctrl-C: do "
				"not wait, the trace goes on)");
			told = true;
		}
		if (count <= 0)
			continue;
		struct signalfd_siginfo info;
		while (read(watch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			handle_signal(watch, &info);
		if (polled[1].revents != 0)
			handle_packet(watch);
	}
}
