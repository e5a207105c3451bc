/* SPDX-License-Identifier: MIT */
/*
 * machine.h: asks the running kernel what recording needs, by trying it. Nothing is changed;
 * child processes made for a trial are waited for.
 */
#ifndef FAULTLINE_MACHINE_H
#define FAULTLINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The features the kernel offers (UFFD_FEATURE_ bits). 0 or negative errno; takes a descriptor
 * that has not been asked yet.
 */
int machine_userfaultfd_features(int fd, uint64_t *features);

/*
 * The ioctls that the kernel has for a registered page of private memory, as bits 1 << _UFFDIO_;
 * with `protect` registered for write protection, too. 0 or negative errno.
 */
int machine_userfaultfd_ioctls(bool protect, uint64_t *ioctls);

/* PAGEMAP_SCAN of /proc/PID/pagemap: 0 or negative errno. */
int machine_pagemap_scan(void);

/* Does the kernel grant `features` to this user? Opens its own descriptor. 0 or negative errno. */
int machine_userfaultfd_grants(uint64_t features);

/*
 * May page faults of another process of this user be sampled with its registers? With `kernel`,
 * those inside system calls too. 0 or negative errno.
 */
int machine_perf(bool kernel);

/* May a process read the memory of another that allows it by PR_SET_PTRACER? 0 or negative errno.
 */
int machine_read_memory(void);

/* Would a child of this process be the first of a new PID namespace, or in another than this? */
bool machine_children_elsewhere(void);

#endif
