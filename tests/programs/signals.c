/* SPDX-License-Identifier: MIT */
/*
 * signals: threads touch pages and make system calls into untouched memory while timers send each
 * of them a signal a few thousand times a second; half of the signals restart system calls, half
 * interrupt them. Nothing that the program computes may depend on it.
 *
 *   signals TRUTH PAGES
 */
#include "touch.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define THREADS	    3
#define PERIOD_NS   400000
#define PIPE_PAGES  4
#define RESTARTED   (SIGRTMIN + 1)
#define INTERRUPTED (SIGRTMIN + 2)

static size_t pages;
static volatile sig_atomic_t delivered;
static uint64_t sums[THREADS];

static void on_timer(int signal UNUSED)
{
	volatile char local[512];

	local[0] = 1;
	delivered += local[0];
}

static timer_t start_timer(int signal, long period_ns)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
	struct itimerspec time = {{0, period_ns}, {0, period_ns}};
	timer_t timer;

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &time, NULL) != 0)
		truth_fail("timer_create");
	return timer;
}

/* As a careful program does it. */
static NOINLINE void read_all(int fd, volatile char *p, size_t size)
{
	TRACED();
	while (size > 0) {
		ssize_t got = read(fd, (void *)(uintptr_t)p, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			truth_fail("read");
		p += got;
		size -= (size_t)got;
	}
}

static NOINLINE void write_all(int fd, const char *p, size_t size)
{
	while (size > 0) {
		ssize_t put = write(fd, p, size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			truth_fail("write");
		p += put;
		size -= (size_t)put;
	}
}

static NOINLINE uint64_t through_pipe(int fds[2], volatile char *p, const char *text, size_t size)
{
	TRACED();
	uint64_t sum = 0;

	truth_self.top = truth_push("read_all", truth_self.top);
	truth_range(p, size, "write", "kernel");
	truth_self.top = truth_self.top->caller;
	write_all(fds[1], text, size);
	read_all(fds[0], p, size);
	for (size_t i = 0; i < size; i += 64)
		sum = sum * 31 + (uint64_t)p[i];
	return sum;
}

static NOINLINE void *worker(void *number)
{
	char text[PIPE_PAGES * PAGE];
	size_t size = pages * PAGE, chunk = sizeof(text);
	timer_t timers[2];
	uint64_t sum = 0;
	int fds[2];

	truth_thread("worker");
	TRACED();
	for (size_t i = 0; i < chunk; i++)
		text[i] = (char)(i % 101 + 1);
	if (pipe(fds) != 0)
		truth_fail("pipe");
	volatile char *p = touch_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	truth_region("mmap", p, size);
	timers[0] = start_timer(RESTARTED, PERIOD_NS);
	timers[1] = start_timer(INTERRUPTED, PERIOD_NS + 12345);
	for (size_t i = 0; i + PIPE_PAGES < pages; i += 2 * PIPE_PAGES) {
		for (size_t j = i; j < i + PIPE_PAGES; j++) {
			nest(
			    (unsigned)j, j % 2 ? note_and_write : note_and_read, touch_place(p, j));
			sum += (uint64_t)*touch_place(p, j);
		}
		sum += through_pipe(fds, p + (i + PIPE_PAGES) * PAGE, text,
		    pages - i - PIPE_PAGES < PIPE_PAGES ? PAGE : chunk);
	}
	timer_delete(timers[0]);
	timer_delete(timers[1]);
	close(fds[0]);
	close(fds[1]);
	sums[(size_t)number] = sum;
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_timer};
	pthread_t threads[THREADS];

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	sigaction(INTERRUPTED, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(RESTARTED, &action, NULL);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i) != 0)
			truth_fail("pthread_create");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	truth_write(argv[1], "w");
	fprintf(stderr, "signals: %s\n", delivered > 0 ? "some came" : "none came");
	for (size_t i = 0; i < THREADS; i++)
		printf("signals: %llx\n", (unsigned long long)sums[i]);
	return 0;
}
