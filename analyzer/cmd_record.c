/* SPDX-License-Identifier: MIT */
/*
 * cmd_record.c: `faultline record` runs a program and has it traced. It refuses what cannot be
 * traced before anything is started, and afterwards is as the program would be: its exit status,
 * its signals, nothing on standard output.
 */
#include "arguments.h"
#include "child.h"
#include "environment.h"
#include "installation.h"
#include "live.h"
#include "machine.h"
#include "message.h"
#include "monitor_process.h"
#include "program.h"
#include "user_rights.h"
#include "watch.h"

#include "../preload/uffd_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETTINGS_LIMIT 64

extern char **environ;

/* What the command line and the environment ask for. */
struct request {
	struct fl_options options;
	struct setting settings[SETTINGS_LIMIT]; /* the flags, as variables for the monitor */
	size_t setting_count;
	char **words; /* PROGRAM and its arguments */
	char path[PATH_MAX];
	struct installation installation;
	struct fl_user user; /* who --user names; else all zero */
	bool wants_live;
	struct live live; /* the screen */
};

static void add_setting(struct request *request, const char *variable, const char *value)
{
	size_t i = 0;
	while (i < request->setting_count && strcmp(request->settings[i].variable, variable) != 0)
		i++;
	if (i == SETTINGS_LIMIT)
		return; /* there are fewer rows in the table than that */
	request->settings[i] = (struct setting){variable, value};
	if (i == request->setting_count)
		request->setting_count++;
}

/* Reads the environment, then the flags, which win. 0; -EINVAL after a message; 1: help wanted. */
static int read_request(
    struct request *request, const struct command *command, int argc, char **argv)
{
	char reason[1024];
	struct arguments arguments;
	fl_options_default(&request->options);
	arguments_start(&arguments, command, argc, argv);
	/* --help helps whatever the environment holds, so a mistake there is told after it */
	int environment =
	    fl_options_from_environment(&request->options, environ, reason, sizeof(reason));
	for (;;) {
		switch (arguments_next(&arguments)) {
		case ARGUMENT_HELP:
			return 1;
		case ARGUMENT_WRONG:
			return -EINVAL;
		case ARGUMENT_OPTION: {
			const struct fl_option *option = arguments.option;
			const char *value = arguments.value ? arguments.value : option->flag_value;
			if (option == live_options.rows) {
				request->wants_live = true;
				break;
			}
			char error[256];
			if (option->parse(&request->options, value, error, sizeof(error)) < 0) {
				message("record: --%s=%s: %s", option->flag, value, error);
				return -EINVAL;
			}
			add_setting(request, option->variable, value);
			break;
		}
		case ARGUMENT_OPERAND:
		case ARGUMENT_END:
			if (environment < 0) {
				message("%s", reason);
				return -EINVAL;
			}
			request->words = argv + arguments.next;
			if (request->words[0])
				return 0;
			message("record: which program? usage: faultline record [OPTIONS] %s",
			    command->operands);
			return -EINVAL;
		}
	}
}

/*
 * 0, or -errno after a message that says why nothing can be traced here. `device`: that of
 * /dev/userfaultfd as root opened it for the user, or the negative errno; -EACCES without --user.
 */
static int check_machine(const struct request *request, int device)
{
	bool user_mode = request->options.unprivileged ||
			 (request->user.name && request->options.mode == FL_MODE_SIGBUS);
	int fd = user_mode ? fl_uffd_user_mode() : fl_uffd_open();
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || (!user_mode && device >= 0))
		return 0;
	if (fd == -ENOSYS)
		message("cannot trace: userfaultfd is missing in this kernel or refused by a "
			"container filter; `faultline check` tells which and what to do");
	else if (request->user.name && !user_mode)
		message("cannot trace as user \"%s\": /dev/userfaultfd, which root would hand on, "
			"cannot be opened (%s; Linux 6.1 has it), and the system call is refused "
			"to that user; `sysctl -w vm.unprivileged_userfaultfd=1` permits it, "
			"--unprivileged does without",
		    request->user.name, strerror(-device));
	else
		message("cannot trace: userfaultfd is refused (%s; /dev/userfaultfd: %s); "
			"`faultline check` prints the command that grants it; "
			"--unprivileged does without",
		    strerror(-fd), strerror(-device));
	return fd;
}

/* The loader would only warn about a shim that it cannot read, and the program run untraced. */
static int check_shim(const struct request *request, char *error, size_t size)
{
	const char *shim = request->installation.shim;
	int fd = open(shim, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	snprintf(error, size,
	    "user \"%s\" cannot read \"%s\" (%s), which is loaded into the program: install "
	    "faultline where everybody can (make install), or open each folder on the way with "
	    "chmod o+x",
	    request->user.name, shim, strerror(errno));
	return STATUS_NOT_TRACED;
}

/* What depends on who runs the program, tried with that one's rights. 0 or the exit status. */
static int try_program(struct request *request, int device)
{
	char error[3 * PATH_MAX];
	int status = program_find(request->words[0], request->path, error, sizeof(error));
	if (status == 0 && request->user.name)
		status = check_shim(request, error, sizeof(error));
	if (status != 0) {
		message("%s", error);
		return status;
	}
	return check_machine(request, device) < 0 ? STATUS_NOT_TRACED : 0;
}

/* 0, or the exit status after a message. */
static int find_user(struct request *request)
{
	char error[1024];
	const char *name = request->options.user;
	if (getuid() != 0 || geteuid() != 0) {
		message("record: --user=%s: only root can run a program as another user: use sudo",
		    name);
		return STATUS_NOT_TRACED;
	}
	if (fl_user_find(&request->user, name, error, sizeof(error)) == 0)
		return 0;
	message("record: --user=%s: %s", name, error);
	return STATUS_NOT_TRACED;
}

static int try_as_user(struct request *request)
{
	struct rights before;
	int device = fl_uffd_device();
	int result = rights_borrow(&before, &request->user);
	int status = STATUS_NOT_TRACED;
	if (result < 0) {
		message("cannot take the rights of user \"%s\": %s", request->user.name,
		    strerror(-result));
	} else {
		status = try_program(request, device);
		rights_return(&before);
	}
	if (device >= 0)
		close(device);
	return status;
}

/* Everything that can be refused before a process is made. 0 or the exit status. */
static int prepare(struct request *request)
{
	char error[3 * PATH_MAX];
	if (request->options.user) {
		int status = find_user(request);
		if (status != 0)
			return status;
	}
	if (machine_children_elsewhere()) {
		message("cannot trace: children of this process would be in another PID namespace "
			"than itself; `unshare --fork` makes one for all of them");
		return STATUS_NOT_TRACED;
	}
	if (installation_find(&request->installation, error, sizeof(error)) < 0) {
		message("%s", error);
		return STATUS_NOT_TRACED;
	}
	if (request->wants_live && live_open(&request->live) < 0)
		return STATUS_NOT_TRACED;
	return request->user.name ? try_as_user(request) : try_program(request, -EACCES);
}

/* Standard descriptors that are closed would be given to our own files: hold their places. */
static void hold_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void name_socket(char *name, size_t size)
{
	unsigned char bytes[8];
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		memset(bytes, 0, sizeof(bytes));
	int used = snprintf(name, size, FL_SOCKET_PREFIX "%d-", (int)getpid());
	for (size_t i = 0; i < sizeof(bytes); i++)
		used += snprintf(name + used, size - (size_t)used, "%02x", bytes[i]);
}

static void tell_totals(const struct fl_launch_message *totals)
{
	char text[FL_TOTALS_SIZE];
	message("%s", monitor_process_totals(totals, text, sizeof(text)));
}

static int exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* The program was let go but not executed: tell why, as env(1) does. Returns the exit status. */
static int tell_not_run(const struct request *request, struct child_failure failure)
{
	if (failure.as_itself) {
		message("cannot become user \"%s\": %s; nothing was run", request->user.name,
		    strerror(failure.error));
		return STATUS_NOT_TRACED;
	}
	message("cannot run \"%s\": %s", request->path, strerror(failure.error));
	return failure.error == ENOENT || failure.error == ENOTDIR ? STATUS_NOT_FOUND
								   : STATUS_NOT_RUN;
}

/* With the child at its gate and the monitor started: the rest. Returns the exit status. */
static int run(struct request *request, struct watch *watch, const struct signal_state *before)
{
	int number = 0;
	int result = watch_until_ready(watch, &number);
	if (result < 0) {
		child_abandon(watch->child);
		monitor_process_wait(watch->monitor);
		return result == -EINTR ? 128 + number : STATUS_NOT_TRACED;
	}
	live_start(&request->live, watch->ready.text, before);
	struct child_failure not_run = child_release(watch->child);
	watch->may_tell = !request->options.quiet && isatty(STDERR_FILENO);
	watch_until_finished(watch);
	live_finish(&request->live, watch->finished);
	if (not_run.error != 0)
		return tell_not_run(request, not_run);
	if (watch->finished && !request->options.quiet)
		tell_totals(&watch->totals);
	if (!watch->gave_up)
		monitor_process_wait(watch->monitor);
	else if (!request->options.quiet)
		message("processes that the program left running are still traced");
	return exit_status(watch->root_status);
}

/* With everything tried: starts both processes. Returns the exit status. */
static int start(struct request *request)
{
	int status = STATUS_NOT_TRACED;
	const struct fl_user *user = request->user.name ? &request->user : NULL;
	struct signal_state before;
	struct child child = {.pid = -1, .gate = -1, .report = -1};
	struct monitor_process monitor = {.pid = -1, .socket = -1};
	struct watch watch = {.child = &child, .monitor = &monitor, .terminal = has_terminal()};
	char socket_name[64];
	name_socket(socket_name, sizeof(socket_name));
	/* what login(1), su(1) and sudo(8) set */
	const struct setting identity[] = {{"HOME", request->user.home},
	    {"SHELL", request->user.shell}, {"USER", request->user.name},
	    {"LOGNAME", request->user.name}};
	char **for_program = environment_for_program(environ, request->installation.shim,
	    socket_name, identity, user ? sizeof(identity) / sizeof(identity[0]) : 0);
	char **for_monitor =
	    environment_for_monitor(environ, request->settings, request->setting_count);
	int result = for_program && for_monitor ? 0 : -ENOMEM;
	if (result < 0)
		goto out;
	watch.signals = watch_take_signals(&before);
	if (watch.signals < 0) {
		result = watch.signals;
		goto out;
	}
	result = child_start(&child, request->path, request->words, for_program, &before, user);
	if (result < 0)
		goto out;
	result = monitor_process_start(&monitor, request->installation.monitor, socket_name,
	    child.pid, request->words, for_monitor);
	if (result < 0)
		child_abandon(&child);
	else
		status = run(request, &watch, &before);
out:
	if (result < 0) {
		message("cannot start the recording: %s", strerror(-result));
		status = STATUS_NOT_TRACED;
	}
	environment_free(for_program);
	environment_free(for_monitor);
	return status;
}

static int run_record(const struct command *command, int argc, char **argv)
{
	struct request request = {.live = LIVE_NONE};
	int wanted = read_request(&request, command, argc, argv);
	if (wanted != 0)
		return wanted > 0 ? command_help(command) : command->usage_status;
	hold_standard_descriptors();
	int status = prepare(&request);
	if (status == 0)
		status = start(&request);
	fl_user_free(&request.user);
	return status;
}

static const struct option_group *const groups[] = {&live_options, NULL};

const struct command record_command = {
    .name = "record",
    .operands = "[--] PROGRAM [ARGS]",
    .summary = "run a program and trace the first touch of every page",
    .details = "SIZE takes K, M or G. LIST is of mmap, mremap, brk, arena, malloc-mmap, shm,\n"
	       "memfd, bss, stack, late. A flag wins over its variable; [default].\n\n"
	       "Exit status: that of PROGRAM, 128+N when signal N ended it; 125 when it could\n"
	       "not be traced, 126 when it could not be run, 127 when it was not found.\n",
    .options = fl_option_table,
    .groups = groups,
    .operand = OPERAND_PROGRAM,
    .usage_status = STATUS_NOT_TRACED,
    .run = run_record,
};
