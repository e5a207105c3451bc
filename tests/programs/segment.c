/* SPDX-License-Identifier: MIT */
/*
 * segment: first touches of a System V shared memory segment, which is attached, detached and
 * attached again.
 *
 *   segment TRUTH PAGES
 */
#include "touch.h"

#include <sys/ipc.h>
#include <sys/shm.h>

static size_t pages;

static NOINLINE void shared_segment(void)
{
	TRACED();
	int id = shmget(IPC_PRIVATE, pages * PAGE, IPC_CREAT | 0600);
	volatile char *p;

	if (id < 0)
		truth_fail("shmget");
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		truth_fail("shmat");
	truth_region("shm", p, pages * PAGE);
	touch_mixed(p, 0, pages);
	if (shmdt((void *)(uintptr_t)p) != 0)
		truth_fail("shmdt");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("segment");
	TRACED();
	shared_segment();
	shared_segment();
	truth_write(argv[1], "w");
	puts("segment: done");
	return 0;
}
