/* SPDX-License-Identifier: MIT */
/*
 * watch.h: waits for the program and the monitor of a recording, and passes on the signals sent
 * to faultline.
 */
#ifndef FAULTLINE_WATCH_H
#define FAULTLINE_WATCH_H

#include "child.h"
#include "monitor_process.h"

#include <stdbool.h>

struct watch {
	struct child *child;
	struct monitor_process *monitor;
	int signals; /* signalfd */
	bool
	    terminal; /* faultline has a controlling terminal: the shell may stop and continue it */
	bool root_ended;
	int root_status;		/* of waitpid, once root_ended */
	struct fl_launch_message ready; /* once the monitor is: names the trace */
	bool finished;			/* `totals` are final */
	struct fl_launch_message totals;
	bool gave_up;  /* the user did not want to wait for processes left running */
	bool may_tell; /* that it waits for them */
};

/*
 * Takes over the signals of this process: writes to `before` what they were. SIGPIPE is ignored
 * from here on. Returns the signalfd, or a negative errno.
 */
int watch_take_signals(struct signal_state *before);

/*
 * Waits until the monitor is ready. 0; -ECANCELED after the message of what went wrong; -EINTR
 * when the user sent a signal that ends, its number in *signal_number.
 */
int watch_until_ready(struct watch *watch, int *signal_number);

/*
 * Waits until the program has ended and the monitor has finished, died, or the user gave up.
 * Tells warnings as they come.
 */
void watch_until_finished(struct watch *watch);

#endif
