/* SPDX-License-Identifier: MIT */
/* uffd.c: thin calls; the source of zero bytes. */
#include "uffd.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define ZEROS_BYTES (2u << 20)

const struct uffd_feature uffd_features[] = {
    {UFFD_FEATURE_EVENT_FORK, "event-fork"},
    {UFFD_FEATURE_EVENT_REMAP, "event-remap"},
    {UFFD_FEATURE_EVENT_REMOVE, "event-remove"},
    {UFFD_FEATURE_EVENT_UNMAP, "event-unmap"},
    {UFFD_FEATURE_MISSING_HUGETLBFS, "missing-hugetlbfs"},
    {UFFD_FEATURE_MISSING_SHMEM, "missing-shmem"},
    {UFFD_FEATURE_THREAD_ID, "thread-id"},
    {UFFD_FEATURE_EXACT_ADDRESS, "exact-address"},
    {0, NULL},
};

static int api(int fd, uint64_t features)
{
	struct uffdio_api request = {.api = UFFD_API, .features = features};

	return ioctl(fd, UFFDIO_API, &request) < 0 ? -errno : 0;
}

/* The kernel answers once for a descriptor, and refuses a set that has one bit too many. */
int uffd_negotiate(int fd, bool follow_forks, uint64_t *features)
{
	uint64_t wanted = 0;
	int error;

	for (size_t i = 0; uffd_features[i].name; i++)
		wanted |= uffd_features[i].bit;
	if (!follow_forks)
		wanted &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
	error = api(fd, wanted);
	if (error == -EINVAL) { /* before Linux 5.18 */
		wanted &= ~(uint64_t)UFFD_FEATURE_EXACT_ADDRESS;
		error = api(fd, wanted);
	}
	if (error == -EPERM) { /* wants CAP_SYS_PTRACE */
		wanted &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
		error = api(fd, wanted);
	}
	if (error < 0)
		return error;
	*features = wanted;
	return 0;
}

int uffd_register(int fd, uint64_t start, uint64_t size, uint64_t *ioctls)
{
	struct uffdio_register request = {
	    .range = {start, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};

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

int uffd_zeropage(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_zeropage request = {.range = {start, size}};

	return ioctl(fd, UFFDIO_ZEROPAGE, &request) < 0 ? -errno : 0;
}

int uffd_fill_asleep(int fd, uint64_t page, uint64_t size)
{
	struct uffdio_zeropage request = {
	    .range = {page, size}, .mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE};

	return ioctl(fd, UFFDIO_ZEROPAGE, &request) < 0 ? -errno : 0;
}

int uffd_copy_zero(int fd, uint64_t start, uint64_t size)
{
	static void *zeros;
	struct uffdio_copy request = {.dst = start, .len = size};

	if (!zeros) {
		void *made = mmap(NULL, ZEROS_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (made == MAP_FAILED)
			return -errno;
		zeros = made;
	}
	if (size > ZEROS_BYTES)
		return -EINVAL;
	request.src = (uint64_t)zeros;
	return ioctl(fd, UFFDIO_COPY, &request) < 0 ? -errno : 0;
}

int uffd_wake(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_range range = {start, size};

	return ioctl(fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}
