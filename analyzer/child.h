/* SPDX-License-Identifier: MIT */
/*
 * child.h: the process that becomes the traced program. It is made first, so that the monitor can
 * be told its number, and waits until it is let go.
 */
#ifndef FAULTLINE_CHILD_H
#define FAULTLINE_CHILD_H

#include "../preload/user.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* What faultline changed for itself and the program must find as it was. */
struct signal_state {
	sigset_t mask;
	struct sigaction child, pipe; /* SIGCHLD, SIGPIPE */
};

/* Why there is no program. */
struct child_failure {
	int error;	/* errno; 0: there is one */
	bool as_itself; /* it could not become the user */
};

struct child {
	pid_t pid;  /* -1: none */
	int gate;   /* closing it unwritten makes the child leave */
	int report; /* a child_failure when it could not execute the program */
};

/*
 * Makes the child; it waits. Before it executes the program it becomes `user`, unless that is NULL.
 * All strings must live until child_release. 0 or negative errno.
 */
int child_start(struct child *child, const char *path, char *const *argv, char *const *environment,
    const struct signal_state *before, const struct fl_user *user);

/*
 * Lets the child execute the program, and waits until it has (or a signal has ended it), or has
 * failed.
 */
struct child_failure child_release(struct child *child);

/* Ends a child that was not released, and waits for it. */
void child_abandon(struct child *child);

#endif
