/* SPDX-License-Identifier: MIT */
/*
 * machine.c: the trials behind `faultline check`, and the one that `faultline record` makes before
 * it starts anything.
 */
#include "machine.h"

#include "../preload/uffd_open.h"
#include "../preload/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
/* Instruction and stack pointer: PERF_REG_X86_IP, PERF_REG_X86_SP of asm/perf_regs.h. */
#define SAMPLED_REGISTERS ((1ull << 8) | (1ull << 7))
#else
#define SAMPLED_REGISTERS 1ull
#endif

int machine_userfaultfd_features(int fd, uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API};
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return -errno;
	*features = api.features;
	return 0;
}

int machine_userfaultfd_grants(uint64_t features)
{
	int fd = fl_uffd_open();
	if (fd < 0)
		return fd;
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int result = ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
	close(fd);
	return result;
}

int machine_userfaultfd_ioctls(bool protect, uint64_t *ioctls)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	struct uffdio_api api = {
	    .api = UFFD_API, .features = protect ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : 0};
	int fd = fl_uffd_open();
	if (fd < 0)
		return fd;
	int result = -ENOMEM;
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED) {
		struct uffdio_register range = {.range = {(uintptr_t)page, size},
		    .mode = UFFDIO_REGISTER_MODE_MISSING | (protect ? UFFDIO_REGISTER_MODE_WP : 0)};
		result = ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0
			     ? -errno
			     : 0;
		*ioctls = range.ioctls;
		munmap(page, size);
	}
	close(fd);
	return result;
}

int machine_pagemap_scan(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t here = (uintptr_t)&size & ~(size - 1);
	struct fl_page_region run;
	struct fl_pm_scan_arg scan = {.size = sizeof(scan),
	    .start = here,
	    .end = here + size,
	    .vec = (uintptr_t)&run,
	    .vec_len = 1,
	    .category_mask = FL_PAGE_IS_PRESENT,
	    .return_mask = FL_PAGE_IS_PRESENT};
	int found = ioctl(fd, FL_PAGEMAP_SCAN, &scan);
	int result = found < 0 ? -errno : found == 1 ? 0 : -EIO;
	close(fd);
	return result;
}

/* A child that does nothing until it is killed: something to try things on. */
static pid_t start_sleeper(void)
{
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		close(ready[1]);
		for (;;)
			pause();
	}
	int result = pid < 0 ? -errno : pid;
	char end;
	close(ready[1]);
	/* the child's copy closes when it is ready */
	if (pid > 0)
		while (read(ready[0], &end, 1) < 0 && errno == EINTR)
			;
	close(ready[0]);
	return result;
}

static void stop_sleeper(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int machine_perf(bool kernel)
{
	struct perf_event_attr attributes = {
	    .size = sizeof(attributes),
	    .type = PERF_TYPE_SOFTWARE,
	    .config = PERF_COUNT_SW_PAGE_FAULTS,
	    .sample_period = 1,
	    .sample_type =
		PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR | PERF_SAMPLE_REGS_USER,
	    .sample_regs_user = SAMPLED_REGISTERS,
	    .disabled = 1,
	    .inherit = 1,
	    .exclude_kernel = !kernel,
	    .write_backward = 1,
	};
	pid_t pid = start_sleeper();
	if (pid < 0)
		return pid;
	int cpu = 0;
	/* as the monitor does it: one ring for each CPU; some CPU is online */
	long fd;
	do
		fd = syscall(SYS_perf_event_open, &attributes, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	while (fd < 0 && errno == ENODEV && ++cpu < 4096);
	int result = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close((int)fd);
	stop_sleeper(pid);
	return result;
}

int machine_read_memory(void)
{
	static const char text[] = "faultline";
	pid_t target = start_sleeper();
	if (target < 0)
		return target;
	/* a sibling, as the monitor is: Yama lets ancestors read without being asked */
	pid_t reader = fork();
	if (reader == 0) {
		char copy[sizeof(text)] = "";
		struct iovec here = {copy, sizeof(copy)};
		struct iovec there = {(void *)(uintptr_t)text, sizeof(text)};
		ssize_t length = process_vm_readv(target, &here, 1, &there, 1, 0);
		_exit(length == (ssize_t)sizeof(text) ? 0 : errno);
	}
	int result = reader < 0 ? -errno : 0;
	int status;
	if (reader > 0) {
		while (waitpid(reader, &status, 0) < 0 && errno == EINTR)
			;
		result = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	}
	stop_sleeper(target);
	return result;
}

bool machine_children_elsewhere(void)
{
	char own[64] = "", children[64] = "";
	if (readlink("/proc/self/ns/pid", own, sizeof(own) - 1) < 0)
		return false;
	/* there is no link before the first child */
	return readlink("/proc/self/ns/pid_for_children", children, sizeof(children) - 1) < 0 ||
	       strcmp(own, children) != 0;
}
