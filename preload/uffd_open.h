/* SPDX-License-Identifier: MIT */
/*
 * uffd_open.h: the two ways to a userfaultfd that serves the kernel's own accesses too, and their
 * order: /dev/userfaultfd first, then the system call. Both give the same; the device is a matter
 * of a file's rights, needs no capability, and works where a filter refuses the call. The shim does
 * the same by raw system calls (start.c). Linked into the faultline command and the monitor.
 */
#ifndef FAULTLINE_UFFD_OPEN_H
#define FAULTLINE_UFFD_OPEN_H

/* Each returns a descriptor (close-on-exec; the caller closes it), or a negative errno. */

/* The device: what a process needs to make userfaultfds of its own from. */
int fl_uffd_device(void);

/* A userfaultfd of this process, non-blocking, by one way. */
int fl_uffd_by_device(void);
int fl_uffd_by_call(void);

/* By the first way that works; the errno is that of the system call. */
int fl_uffd_open(void);

/* UFFD_USER_MODE_ONLY: for anybody. */
int fl_uffd_user_mode(void);

#endif
