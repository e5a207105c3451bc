/* SPDX-License-Identifier: MIT */
/*
 * control.h: when tracing begins and when it ends, other than with the program: --delay,
 * --duration and `faultline stop`. Runs in the service thread.
 *
 *   waiting --(delay over)--> tracing --(duration over, stop)--> ended
 *
 * While waiting, shims have announced themselves and know (fl_area.paused) that there is nothing
 * to report. Once ended, every registration is taken back and the monitor finishes its trace.
 */
#ifndef FAULTLINE_CONTROL_H
#define FAULTLINE_CONTROL_H

#include "service.h"

/* From now on the delay runs. */
void control_start(struct service *s);

/* Begins or ends tracing when its time has come. True once tracing has ended. */
bool control_turn(struct service *s, uint64_t now);

/* Registers what an announced process has: tracing has begun. */
void control_begin_process(struct service *s, struct process *p, uint64_t ts);

/* A connection that begins with an fl_launch_message: `faultline stop`. Owns it from now on. */
void control_accept(struct service *s, int socket);

/* What the closing line tells, for those who asked for the end. */
void control_finished(struct service *s, const struct fl_launch_message *message);

#endif
