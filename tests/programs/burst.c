/* SPDX-License-Identifier: MIT */
/*
 * burst: a thread touches a traced page while nobody serves it, and meanwhile the main thread has
 * the kernel serve so many pages of a file that the samples of all earlier faults are written over.
 *
 *   burst FILE PAGES READY
 *
 * FILE is made, with PAGES pages; READY is a FIFO: a line read from it begins the burst, and its
 * end is told by a line on standard output.
 */
#include "touch.h"

#include <fcntl.h>

static volatile char *traced;
static bool go;		  /* atomic */
static pid_t toucher_tid; /* atomic */

static NOINLINE void touch_page(volatile char *page)
{
	TRACED();
	nest(3, note_and_write, page);
}

/* Twice, so that nothing but the second page is missing at the second time. */
static void *toucher(void *unused UNUSED)
{
	truth_thread("toucher");
	__atomic_store_n(&toucher_tid, gettid(), __ATOMIC_RELEASE);
	touch_page(traced - 3 * PAGE);
	__atomic_store_n(&truth_touch_count, 0, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		usleep(1000);
	touch_page(traced);
	return NULL;
}

/* Whether it has noted its touch and sleeps: in the fault, for it does nothing else then. */
static bool is_waiting(void)
{
	char path[64], text[256];
	const char *state;
	ssize_t got;
	int fd;

	if (__atomic_load_n(&truth_touch_count, __ATOMIC_ACQUIRE) == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
	    __atomic_load_n(&toucher_tid, __ATOMIC_ACQUIRE));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		truth_fail(path);
	text[got] = '\0';
	state = strchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

int main(int argc, char **argv)
{
	volatile char *mapped;
	pthread_t thread;
	char line[16];
	size_t pages;
	int fd;

	if (argc < 4)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) != 0)
		truth_fail(argv[1]);
	mapped = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	traced = touch_map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE) + 3 * PAGE;
	/* note_and_write touches such a page by a function whose frame has holes. */
	while ((uintptr_t)traced / PAGE % 3 != 2)
		traced += PAGE;
	if (pthread_create(&thread, NULL, toucher, NULL) != 0)
		truth_fail("pthread_create");
	printf("%p\n", traced);
	fflush(stdout);
	fd = open(argv[3], O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof(line)) <= 0)
		truth_fail(argv[3]);
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	while (!is_waiting())
		usleep(1000);
	for (size_t i = 0; i < pages; i++)
		mapped[i * PAGE] = 1;
	puts("burst: done");
	fflush(stdout);
	pthread_join(thread, NULL);
	return 0;
}
