/* SPDX-License-Identifier: MIT */
/*
 * segv: handles SIGSEGV and SIGBUS as garbage collectors and databases do, and goes on: accesses
 * to protected pages, to nothing, and beyond the end of a file; while it touches new pages.
 *
 *   segv ROUNDS [GATE]
 *
 * After half of the rounds it waits until nobody has the named pipe GATE open for writing any more.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	   ((size_t)4096)
#define READ_WRITE (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static volatile char *barrier, *expected;
static volatile int opened, nothings, buses, wrong;

static void on_fault(int signal, siginfo_t *info, void *context __attribute__((unused)))
{
	volatile char *at = info->si_addr;

	wrong += at != expected;
	if (signal == SIGSEGV && info->si_code == SEGV_ACCERR) {
		opened++;
		mprotect((void *)(uintptr_t)((uintptr_t)at / PAGE * PAGE), PAGE, READ_WRITE);
		return;
	}
	nothings += signal == SIGSEGV;
	buses += signal == SIGBUS;
	siglongjmp(back, 1);
}

static void expect(volatile char *at)
{
	expected = at;
	if (sigsetjmp(back, 1) == 0)
		*at = 1;
}

static void await(const char *gate)
{
	char byte;
	int fd = open(gate, O_RDONLY);

	while (read(fd, &byte, 1) > 0)
		;
	close(fd);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	int rounds = argc > 1 ? atoi(argv[1]) : 1, fd = memfd_create("segv", MFD_CLOEXEC), sum = 0;
	size_t size = (size_t)rounds * PAGE;
	volatile char *file, *memory;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	if (ftruncate(fd, (off_t)PAGE) != 0)
		return 2;
	file = mmap(NULL, 2 * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	barrier = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, size, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < rounds; i++) {
		if (i == rounds / 2 && argc > 2)
			await(argv[2]);
		memory[(size_t)i * PAGE + 5] = 1;
		expect(barrier + (size_t)i * PAGE + 9);
		sum += barrier[(size_t)i * PAGE + 9] + memory[(size_t)i * PAGE + 5];
		expect((volatile char *)(uintptr_t)64);
		expect(file + PAGE + (size_t)i % PAGE);
		file[i % 4096] = 1;
	}
	printf("segv: opened %d, nothing %d, bus %d, wrong %d, sum %d\n", opened, nothings, buses,
	    wrong, sum);
	return wrong != 0;
}
