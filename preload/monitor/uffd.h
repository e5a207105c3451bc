/* SPDX-License-Identifier: MIT */
/*
 * uffd.h: userfaultfd's ioctls, as the service uses them. Each returns 0 or a negative errno.
 */
#ifndef FAULTLINE_UFFD_H
#define FAULTLINE_UFFD_H

#include "../userfaultfd.h"

#include <stdbool.h>
#include <stdint.h>

/* Agrees on features with the kernel: all that serve us and that it has and permits. */
int uffd_negotiate(int fd, bool follow_forks, uint64_t *features);

int uffd_register(int fd, uint64_t start, uint64_t size, uint64_t *ioctls);
int uffd_unregister(int fd, uint64_t start, uint64_t size);

/*
 * Puts zero bytes into pages that are missing, and wakes who waits for them. -EEXIST: the first
 * page is there already. -EAGAIN: an event has to be read first.
 */
int uffd_zeropage(int fd, uint64_t start, uint64_t size);
int uffd_copy_zero(int fd, uint64_t start, uint64_t size);

/* uffd_zeropage for one page, without waking anyone: -EAGAIN tells that an event comes first. */
int uffd_fill_asleep(int fd, uint64_t page, uint64_t size);

int uffd_wake(int fd, uint64_t start, uint64_t size);

/* Spelled as in the trace; NULL after the last. */
struct uffd_feature {
	uint64_t bit;
	const char *name;
};
extern const struct uffd_feature uffd_features[];

#endif
