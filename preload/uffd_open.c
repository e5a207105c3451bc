/* SPDX-License-Identifier: MIT */
/* uffd_open.c: see uffd_open.h. */
#include "uffd_open.h"

#include "userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int fl_uffd_device(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	return device < 0 ? -errno : device;
}

int fl_uffd_by_device(void)
{
	int device = fl_uffd_device(), fd;

	if (device < 0)
		return device;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	close(device);
	return fd;
}

static int call(int flags)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	return fd < 0 ? -errno : (int)fd;
}

int fl_uffd_by_call(void)
{
	return call(0);
}

int fl_uffd_open(void)
{
	int fd = fl_uffd_by_device();

	return fd >= 0 ? fd : fl_uffd_by_call();
}

int fl_uffd_user_mode(void)
{
	return call(UFFD_USER_MODE_ONLY);
}
