/* SPDX-License-Identifier: MIT */
/*
 * uffd.h: userfaultfd's ioctls, as the service uses them. Each returns 0 or a negative errno.
 */
#ifndef FAULTLINE_UFFD_H
#define FAULTLINE_UFFD_H

#include "../userfaultfd.h"

#include <stdbool.h>
#include <stdint.h>

/* A userfaultfd of this process's own, which the caller closes; or a negative errno. */
int uffd_open(void);

/* The features that this kernel has; 0 when it does not say. */
uint64_t uffd_supported(void);

/*
 * Agrees on features with the kernel: of `wanted` all that it permits, which `features` gets. A
 * descriptor can agree only once.
 */
int uffd_negotiate(int fd, uint64_t wanted, uint64_t *features);

/* `mode`: UFFDIO_REGISTER_MODE_ bits; `ioctls` gets a bit for each ioctl of the range. */
int uffd_register(int fd, uint64_t start, uint64_t size, uint64_t mode, uint64_t *ioctls);
int uffd_unregister(int fd, uint64_t start, uint64_t size);

/*
 * Whether memory that is only read shares one page of zeros, as it does where the kernel was not
 * told otherwise; else a read takes a page as a write does.
 */
bool uffd_reads_share_zeros(void);

/* How the kernel is told to go on with a page. */
enum uffd_fill {
	UFFD_FILL_ZEROPAGE,    /* missing: the shared page of zeros */
	UFFD_FILL_COPY,	       /* missing: a page of its own, of zeros */
	UFFD_FILL_COPY_WP,     /* ... write-protected */
	UFFD_FILL_CONTINUE,    /* the page that the page cache has */
	UFFD_FILL_CONTINUE_WP, /* ... write-protected */
	UFFD_FILL_UNPROTECT,   /* write-protected: may be written */
};

/*
 * Fills [start, start + size), and wakes who waits there when `wake`. Returns the bytes from the
 * start on that are done, more than 0; or a negative errno for the first page: -EEXIST: it is
 * there already; -ENOENT: it is not mapped any more; -EAGAIN: an event has to be read first.
 */
int64_t uffd_fill(int fd, enum uffd_fill how, uint64_t start, uint64_t size, bool wake);

/* From now on writes to the pages that are there fault (in shared memory, to all pages). */
int uffd_protect(int fd, uint64_t start, uint64_t size);

int uffd_wake(int fd, uint64_t start, uint64_t size);

#endif
