/* SPDX-License-Identifier: MIT */
/*
 * rights.h: what the monitor may do when root has started it for a program of another user
 * (--user). It stays root's process, which that user can neither signal nor trace; but files are
 * open to it as to the user, so that no link or name that the program made leads it further.
 */
#ifndef FAULTLINE_RIGHTS_H
#define FAULTLINE_RIGHTS_H

#include "../user.h"

/*
 * Takes the user's rights on files and drops every capability but those that watching a process
 * takes. Before any thread is started. 0 or a negative errno.
 */
int rights_limit(const struct fl_user *user);

/*
 * open(2), for reading, of a file of /proc/PID. The kernel shows those of a program that may not be
 * dumped to root alone: there, and only there, root's rights help. A descriptor or -1 and errno.
 */
int rights_open_proc(const char *path);

#endif
