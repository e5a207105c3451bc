/* SPDX-License-Identifier: MIT */
/*
 * hugepool: touches huge pages without a reservation until the machine has no more of them, which
 * the kernel tells by SIGBUS.
 *
 *   hugepool PAGES  prints how the last of PAGES touches ended
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static sigjmp_buf out;

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	volatile char *p = mmap(NULL, count * HUGE_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	signal(SIGBUS, on_bus);
	if (sigsetjmp(out, 1)) {
		puts("hugepool: no more pages");
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		p[i * HUGE_PAGE] = 1;
	puts("hugepool: enough pages");
	return 0;
}
