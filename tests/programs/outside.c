/* SPDX-License-Identifier: MIT */
/*
 * outside: other processes reach into this one's memory before anybody has touched it.
 *
 *   outside child|orphan|family|leaderless TRUTH
 *   outside reach PID                    (how it starts others, with an empty environment:
 * untraced)
 *
 * A visitor is told on standard input what to do, and says on standard output who it is and what
 * came of it.
 */
#include "given.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define CHUNK_PAGES 4
#define CHUNK	    (CHUNK_PAGES * PAGE)
#define ROUNDS	    8

static const char *truth_file;

struct order {
	char how; /* 'r', 'w': by process_vm_readv(2) and its kin; 'q': no more */
	char *start;
};

struct result {
	long result, error;
	size_t zeros; /* that were read */
};

struct visitor {
	pid_t pid;
	int orders, results;
};

/* ---- the one that reaches ---- */

static NOINLINE struct result carry_out(pid_t pid, const struct order *order)
{
	TRACED();
	static char text[CHUNK];
	struct iovec here = {text, CHUNK}, there = {order->start, CHUNK};
	struct result result = {0};
	const char *access = order->how == 'r' ? "read" : "write";

	memset(text, 'w', CHUNK);
	errno = 0;
	truth_range(order->start, CHUNK, access, "kernel");
	result.result = order->how == 'r' ? process_vm_readv(pid, &here, 1, &there, 1, 0)
					  : process_vm_writev(pid, &here, 1, &there, 1, 0);
	result.error = errno;
	for (size_t i = 0; i < CHUNK; i++)
		result.zeros += text[i] == 0;
	return result;
}

static NOINLINE void reach(pid_t pid, int orders, int results)
{
	TRACED();
	pid_t self = getpid();
	struct order order;

	expect(write(results, &self, sizeof(self)) == sizeof(self), "write");
	while (read(orders, &order, sizeof(order)) == sizeof(order) && order.how != 'q') {
		struct result result = carry_out(pid, &order);

		expect(write(results, &result, sizeof(result)) == sizeof(result), "write");
	}
}

/* ---- how it is started ---- */

/* 'x': executes this program anew, untraced; 'f': just forked, and so traced. `task`: of the thread
   that starts it; the first one may have no memory any more. */
static NOINLINE void become_visitor(char kind, pid_t pid, pid_t task, int orders, int results)
{
	TRACED();
	char number[16], name[] = "outside", what[] = "reach";
	char *words[] = {name, what, number, NULL}, *none[] = {NULL};

	if (kind == 'x') {
		snprintf(number, sizeof(number), "%d", task);
		dup2(orders, 0);
		dup2(results, 1);
		execve("/proc/self/exe", words, none);
		truth_fail("execve");
	}
	truth_forked();
	truth_thread("relative");
	truth_region("mmap", NULL, 0);
	truth_memory_of = pid;
	truth_reaches = true;
	reach(pid, orders, results);
	truth_write(truth_file, "a");
	_exit(0);
}

static NOINLINE struct visitor start_visitor(char kind, bool orphan)
{
	TRACED();
	struct visitor made = {0};
	int orders[2], results[2], status = -1;
	pid_t pid = getpid(), task = gettid(), child;

	expect(pipe2(orders, O_CLOEXEC) == 0 && pipe2(results, O_CLOEXEC) == 0, "pipe2");
	child = fork();
	if (child == 0) {
		close(orders[1]);
		close(results[0]);
		if (!orphan || fork() == 0)
			become_visitor(kind, pid, task, orders[0], results[1]);
		_exit(0);
	}
	close(orders[0]);
	close(results[1]);
	if (orphan)
		expect(waitpid(child, &status, 0) == child && status == 0, "waitpid");
	made.orders = orders[1];
	made.results = results[0];
	expect(read(made.results, &made.pid, sizeof(made.pid)) == sizeof(made.pid), "read");
	return made;
}

static void stop_visitor(const struct visitor *visitor, bool orphan)
{
	struct order order = {.how = 'q'};
	int status = -1;
	char end;

	expect(write(visitor->orders, &order, sizeof(order)) == sizeof(order), "write");
	if (!orphan) {
		expect(waitpid(visitor->pid, &status, 0) == visitor->pid, "waitpid");
		printf("the visitor ended with %d\n", status);
	} else { /* it closes its end when it ends */
		expect(read(visitor->results, &end, 1) == 0, "the end of the visitor");
	}
	close(visitor->orders);
	close(visitor->results);
}

static volatile char *ask(const struct visitor *visitor, char how, const char *name)
{
	volatile char *p = fresh(CHUNK_PAGES);
	struct order order = {.how = how, .start = plain(p)};
	struct result result;
	size_t written_there = 0;

	if (name)
		truth_strange(p, CHUNK, how == 'r' ? "read" : "write", name, visitor->pid);
	expect(write(visitor->orders, &order, sizeof(order)) == sizeof(order), "write");
	expect(read(visitor->results, &result, sizeof(result)) == sizeof(result), "read");
	for (size_t i = 0; i < CHUNK; i++)
		written_there += p[i] == 'w';
	printf("%c: %ld, %s; %zu zeros, %zu bytes written\n", how, result.result,
	    strerrorname_np((int)result.error), result.zeros, written_there);
	return p;
}

/* ---- others ---- */

/* Memory that nobody else reaches for. */
static NOINLINE void own(size_t count)
{
	TRACED();
	touch_pages(fresh(count), 0, count, note_and_write);
}

static NOINLINE void by_others(bool orphan)
{
	TRACED();
	struct visitor visitors[3];

	for (size_t i = 0; i < 3; i++)
		visitors[i] = start_visitor('x', orphan);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < 3; i++) {
			ask(&visitors[i], 'r', "visitor");
			ask(&visitors[i], 'w', "visitor");
			own(1);
		}
	for (size_t i = 0; i < 3; i++)
		stop_visitor(&visitors[i], orphan);
}

static NOINLINE void child(void)
{
	TRACED();
	by_others(false);
}

static NOINLINE void orphan(void)
{
	TRACED();
	by_others(true);
}

/* ---- traced processes in each other's memory ---- */

/* A child that waits for the end of its standard input. */
static pid_t start_sleeper(int *end)
{
	int fds[2];
	pid_t pid;
	char byte;

	expect(pipe2(fds, O_CLOEXEC) == 0, "pipe2");
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(fds[0]);
	*end = fds[1];
	return pid;
}

static NOINLINE void into_child(void)
{
	TRACED();
	volatile char *p = fresh(2 * CHUNK_PAGES);
	int end, status = -1;
	pid_t pid = start_sleeper(&end);
	struct result result;

	truth_memory_of = pid;
	truth_reaches = true;
	for (int i = 0; i < 2; i++) {
		struct order order = {.how = "rw"[i], .start = plain(p + (size_t)i * CHUNK)};

		result = carry_out(pid, &order);
		printf("into a child: %ld, %zu zeros\n", result.result, result.zeros);
	}
	truth_memory_of = 0;
	truth_reaches = false;
	/* The same pages here are this process's own, and still untouched. */
	touch_pages(p, 0, 2 * CHUNK_PAGES, note_and_write);
	close(end);
	expect(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

static NOINLINE void family(void)
{
	TRACED();
	struct visitor visitor = start_visitor('f', false);

	for (int i = 0; i < ROUNDS; i++) {
		ask(&visitor, 'r', NULL);
		ask(&visitor, 'w', NULL);
		into_child();
	}
	stop_visitor(&visitor, false);
}

/* ---- a process whose first thread has ended ---- */

static NOINLINE void *go_on(void *arg)
{
	TRACED();
	struct visitor visitor;

	(void)arg;
	truth_thread("heir");
	while (access("/proc/self/exe", F_OK) == 0) /* it cannot be read any more then */
		sched_yield();
	visitor = start_visitor('x', false);
	for (int i = 0; i < ROUNDS; i++) {
		ask(&visitor, 'r', "visitor");
		own(3);
		ask(&visitor, 'w', "visitor");
		own(3);
	}
	stop_visitor(&visitor, false);
	truth_write(truth_file, "a");
	exit(0);
}

static NOINLINE void leaderless(void)
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, go_on, NULL) == 0, "pthread_create");
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {
	    {"child", child}, {"orphan", orphan}, {"family", family}, {"leaderless", leaderless}};

	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "reach") == 0) {
		truth_thread("visitor");
		reach(atoi(argv[2]), 0, 1);
		return 0;
	}
	truth_file = argv[2];
	setvbuf(stdout, NULL, _IONBF, 0);
	truth_thread("outside");
	truth_write(truth_file, "w");
	TRACED();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].run();
			truth_write(truth_file, "a");
			return 0;
		}
	return 2;
}
