/* SPDX-License-Identifier: MIT */
/*
 * live.h: the screen of `faultline record --live`: `faultline top` in a process of its own, which
 * follows the trace as anybody could. The program keeps its standard descriptors; the screen is on
 * the terminal, and so there is none when one of them is that terminal.
 */
#ifndef FAULTLINE_LIVE_H
#define FAULTLINE_LIVE_H

#include "arguments.h"
#include "child.h"

/* For the `groups` of a command: --live, the only one. */
extern const struct option_group live_options;

struct live {
	int terminal; /* -1: none */
	pid_t pid;    /* -1: none */
};
#define LIVE_NONE ((struct live){.terminal = -1, .pid = -1})

/* Before anything is started: is there a terminal to draw on? 0, or -ENOTTY after a message. */
int live_open(struct live *live);

/*
 * Shows a trace that is being recorded; `before` says what signals were to faultline. It is no harm
 * when that cannot be, but for a message. Does nothing when nothing is open.
 */
void live_start(struct live *live, const char *trace, const struct signal_state *before);

/* The recording is over: waits until the screen is gone. `ended`: the trace has its last line. */
void live_finish(struct live *live, bool ended);

#endif
