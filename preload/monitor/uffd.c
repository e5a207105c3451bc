/* SPDX-License-Identifier: MIT */
/* uffd.c: thin calls; the source of zero bytes. */
#include "uffd.h"

#include "../uffd_open.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int api(int fd, uint64_t *features)
{
	struct uffdio_api request = {.api = UFFD_API, .features = *features};

	if (ioctl(fd, UFFDIO_API, &request) < 0)
		return -errno;
	*features = request.features;
	return 0;
}

int uffd_open(void)
{
	int fd = fl_uffd_open();

	return fd >= 0 ? fd : fl_uffd_user_mode(); /* good enough to ask for features */
}

uint64_t uffd_supported(void)
{
	uint64_t features = 0;
	int fd = uffd_open();

	if (fd < 0)
		return 0;
	if (api(fd, &features) < 0)
		features = 0;
	close(fd);
	return features;
}

int uffd_negotiate(int fd, uint64_t wanted, uint64_t *features)
{
	uint64_t asked = wanted;
	int error = api(fd, &asked);

	if (error == -EPERM) { /* wants CAP_SYS_PTRACE */
		wanted &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
		asked = wanted;
		error = api(fd, &asked);
	}
	*features = error < 0 ? 0 : wanted;
	return error;
}

int uffd_register(int fd, uint64_t start, uint64_t size, uint64_t mode, uint64_t *ioctls)
{
	struct uffdio_register request = {.range = {start, size}, .mode = mode};

	if (ioctl(fd, UFFDIO_REGISTER, &request) < 0)
		return -errno;
	*ioctls = request.ioctls;
	return 0;
}

int uffd_unregister(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_range range = {start, size};

	return ioctl(fd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

bool uffd_reads_share_zeros(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	struct rusage read, written;
	volatile char *page =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return true;
	(void)*page;
	getrusage(RUSAGE_THREAD, &read);
	*page = 1; /* faults once more if it has to be a page of its own from now on */
	getrusage(RUSAGE_THREAD, &written);
	munmap((void *)page, size);
	return written.ru_minflt > read.ru_minflt;
}

/* The bytes done, as the kernel wrote them into the request. */
static int64_t done(int result, int64_t bytes)
{
	if (bytes > 0)
		return bytes;
	return result < 0 ? -errno : 0;
}

static int64_t zeropage(int fd, uint64_t start, uint64_t size, bool wake)
{
	struct uffdio_zeropage request = {
	    .range = {start, size}, .mode = wake ? 0 : UFFDIO_ZEROPAGE_MODE_DONTWAKE};
	int result = ioctl(fd, UFFDIO_ZEROPAGE, &request);

	return done(result, request.zeropage);
}

/* Zero bytes to copy from: never written, so that they are one page of memory. */
static int zeros(uint64_t size, uint64_t *address)
{
	static uint64_t made, made_size;
	void *at;

	if (size > made_size) {
		at =
		    mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (at == MAP_FAILED)
			return -errno;
		if (made)
			munmap((void *)made, made_size);
		made = (uint64_t)at;
		made_size = size;
	}
	*address = made;
	return 0;
}

static int64_t copy(int fd, uint64_t start, uint64_t size, bool protect, bool wake)
{
	struct uffdio_copy request = {.dst = start,
	    .len = size,
	    .mode = (protect ? UFFDIO_COPY_MODE_WP : 0) | (wake ? 0 : UFFDIO_COPY_MODE_DONTWAKE)};
	uint64_t from = 0;
	int result = zeros(size, &from);

	if (result < 0)
		return result;
	request.src = from;
	result = ioctl(fd, UFFDIO_COPY, &request);
	return done(result, request.copy);
}

static int64_t go_on(int fd, uint64_t start, uint64_t size, bool protect, bool wake)
{
	struct uffdio_continue request = {.range = {start, size},
	    .mode = (protect ? UFFDIO_CONTINUE_MODE_WP : 0) |
		    (wake ? 0 : UFFDIO_CONTINUE_MODE_DONTWAKE)};
	int result = ioctl(fd, UFFDIO_CONTINUE, &request);

	return done(result, request.mapped);
}

static int64_t unprotect(int fd, uint64_t start, uint64_t size, bool wake)
{
	struct uffdio_writeprotect request = {
	    .range = {start, size}, .mode = wake ? 0 : UFFDIO_WRITEPROTECT_MODE_DONTWAKE};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &request) < 0 ? -errno : (int64_t)size;
}

int64_t uffd_fill(int fd, enum uffd_fill how, uint64_t start, uint64_t size, bool wake)
{
	switch (how) {
	case UFFD_FILL_ZEROPAGE:
		return zeropage(fd, start, size, wake);
	case UFFD_FILL_COPY:
	case UFFD_FILL_COPY_WP:
		return copy(fd, start, size, how == UFFD_FILL_COPY_WP, wake);
	case UFFD_FILL_CONTINUE:
	case UFFD_FILL_CONTINUE_WP:
		return go_on(fd, start, size, how == UFFD_FILL_CONTINUE_WP, wake);
	case UFFD_FILL_UNPROTECT:
		return unprotect(fd, start, size, wake);
	}
	return -EINVAL;
}

int uffd_protect(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_writeprotect request = {
	    .range = {start, size}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &request) < 0 ? -errno : 0;
}

int uffd_wake(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_range range = {start, size};

	return ioctl(fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}
