/* SPDX-License-Identifier: MIT */
/*
 * own_userfaultfd: a program that handles faults itself, as emulators and garbage collectors do. It
 * fills its pages with numbers; its ranges are its own, traced or not.
 *
 *   own_userfaultfd PAGES
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE ((size_t)4096)

static volatile char *memory;
static size_t pages, served;
static int fd;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *serve(void *unused)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	struct uffd_msg message;

	while (served < pages && read(fd, &message, sizeof(message)) == sizeof(message)) {
		struct uffdio_copy copy = {.src = (uintptr_t)page, .len = PAGE};

		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		copy.dst = message.arg.pagefault.address & ~(PAGE - 1);
		memset(page, (int)((copy.dst - (uintptr_t)memory) / PAGE % 100 + 1), PAGE);
		if (ioctl(fd, UFFDIO_COPY, &copy) != 0)
			fail("UFFDIO_COPY");
		served++;
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	pthread_t thread;
	size_t sum = 0;

	if (argc < 2)
		return 2;
	pages = strtoul(argv[1], NULL, 10);
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0)
		fail("userfaultfd");
	memory =
	    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (uintptr_t)memory;
	range.range.len = pages * PAGE;
	if (ioctl(fd, UFFDIO_REGISTER, &range) != 0)
		fail("UFFDIO_REGISTER");
	if (pthread_create(&thread, NULL, serve, NULL) != 0)
		fail("pthread_create");
	for (size_t i = 0; i < pages; i++)
		sum += (size_t)memory[i * PAGE + 77];
	pthread_join(thread, NULL);
	printf("own_userfaultfd: served %zu, sum %zu\n", served, sum);
	return 0;
}
