/* SPDX-License-Identifier: MIT */
/*
 * monitor_process.h: faultline-monitor as its starter sees it (preload/launch.h).
 */
#ifndef FAULTLINE_MONITOR_PROCESS_H
#define FAULTLINE_MONITOR_PROCESS_H

#include "../preload/launch.h"

#include <stddef.h>
#include <sys/types.h>

struct monitor_process {
	pid_t pid;  /* -1: none */
	int socket; /* -1: hung up */
};

/*
 * Starts the monitor at `path` in a session of its own, with /dev/null for its standard
 * descriptors and no other but its end of the socket. `words` is the program's command. 0 or
 * negative errno; what goes wrong later arrives as FL_LAUNCH_ERROR.
 */
int monitor_process_start(struct monitor_process *monitor, const char *path,
    const char *socket_name, pid_t program, char *const *words, char *const *environment);

/* One packet: 1, 0 when the monitor hung up, or negative errno. Waits for it. */
int monitor_process_receive(struct monitor_process *monitor, struct fl_launch_message *message);

/* Says that the program has ended. Failures show as a hang-up later. */
void monitor_process_root_exited(struct monitor_process *monitor);

/*
 * What FL_LAUNCH_FINISHED tells, in words, written to `text` of `size` bytes, which is returned.
 * FL_TOTALS_SIZE is enough.
 */
#define FL_TOTALS_SIZE (sizeof(struct fl_launch_message) + 256)
const char *monitor_process_totals(const struct fl_launch_message *totals, char *text, size_t size);

/* Hangs up and waits for the monitor's end. Returns its wait status, -1 when there was none. */
int monitor_process_wait(struct monitor_process *monitor);

#endif
