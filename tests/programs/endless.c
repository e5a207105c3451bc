/* SPDX-License-Identifier: MIT */
/*
 * endless: touches page after page until something ends it, and counts them in a file that outlives
 * any death: three 64-bit numbers, the address of the first page, how many were touched, and the
 * process ID.
 *
 *   endless FILE [catch]
 *
 * With "catch" it handles SIGINT: it says so and exits with status 5.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES ((size_t)1 << 22)
#define PAGE  ((size_t)4096)

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal __attribute__((unused)))
{
	interrupted = 1;
}

int main(int argc, char **argv)
{
	volatile uint64_t *progress;
	volatile char *memory;
	int fd;

	if (argc < 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT, 0666);
	if (fd < 0 || ftruncate(fd, (off_t)PAGE) != 0)
		return 3;
	progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (progress == MAP_FAILED || memory == MAP_FAILED)
		return 4;
	if (argc > 2)
		signal(SIGINT, on_interrupt);
	progress[0] = (uint64_t)(uintptr_t)memory;
	progress[2] = (uint64_t)getpid();
	for (size_t i = 0; i < PAGES && !interrupted; i++) {
		memory[i * PAGE] = 1;
		progress[1] = i + 1;
		/* What lies behind is given back: it may take long until the end comes. */
		if (i % 4096 == 4095)
			munmap((void *)(uintptr_t)(memory + (i - 4095) * PAGE), 4096 * PAGE);
	}
	puts("endless: interrupted");
	return 5;
}
