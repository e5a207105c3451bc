/* SPDX-License-Identifier: MIT */
/*
 * outside: other processes reach into this one's memory before anybody has touched it.
 *
 *   outside child|orphan|family|self|leaderless|debugged TRUTH
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
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define CHUNK_PAGES 4
#define CHUNK	    (CHUNK_PAGES * PAGE)
#define ROUNDS	    8

/* How memory is read, and, the capitals, written: by process_vm_readv(2) and its kin; by
   /proc/PID/mem, at an offset and where it stands; word by word, by ptrace(2). */
#define WAYS "rRmMlLpP"

static const char *truth_file;

struct order {
	char how;   /* see WAYS; 'q': no more */
	bool again; /* the pages were touched before */
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

static void note(const struct order *order)
{
	if (!order->again)
		truth_range(order->start, CHUNK, order->how < 'a' ? "write" : "read", "kernel");
}

static NOINLINE long by_ptrace(pid_t pid, const struct order *order, char *text)
{
	TRACED();
	long done = 0, word;

	expect(ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 &&
		   ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 &&
		   waitpid(pid, NULL, __WALL) == pid,
	    "PTRACE_SEIZE");
	note(order);
	for (; done < (long)CHUNK; done += (long)sizeof(word)) {
		memcpy(&word, text + done, sizeof(word));
		errno = 0;
		if (order->how == 'P')
			ptrace(PTRACE_POKEDATA, pid, order->start + done, word);
		else
			word = ptrace(PTRACE_PEEKDATA, pid, order->start + done, NULL);
		if (errno)
			break;
		memcpy(text + done, &word, sizeof(word));
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return done ? done : -1;
}

static NOINLINE struct result carry_out(pid_t pid, const struct order *order)
{
	TRACED();
	static char text[CHUNK];
	struct iovec here = {text, CHUNK}, there = {order->start, CHUNK};
	off_t offset = (off_t)(uintptr_t)order->start;
	struct result result = {0};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	expect(fd >= 0 && lseek(fd, offset, SEEK_SET) == offset, path);
	memset(text, 'w', CHUNK);
	if (!strchr("pP", order->how))
		note(order);
	errno = 0;
	switch (order->how) {
	case 'r':
		result.result = process_vm_readv(pid, &here, 1, &there, 1, 0);
		break;
	case 'R':
		result.result = process_vm_writev(pid, &here, 1, &there, 1, 0);
		break;
	case 'm':
		result.result = pread(fd, text, CHUNK, offset);
		break;
	case 'M':
		result.result = pwrite(fd, text, CHUNK, offset);
		break;
	case 'l':
		result.result = read(fd, text, CHUNK);
		break;
	case 'L':
		result.result = write(fd, text, CHUNK);
		break;
	default:
		result.result = by_ptrace(pid, order, text);
	}
	result.error = errno;
	close(fd);
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

static void ask(const struct visitor *visitor, char how, volatile char *p, bool again)
{
	struct order order = {.how = how, .again = again, .start = plain(p)};
	struct result result;
	size_t written_there = 0;

	expect(write(visitor->orders, &order, sizeof(order)) == sizeof(order), "write");
	expect(read(visitor->results, &result, sizeof(result)) == sizeof(result), "read");
	for (size_t i = 0; i < CHUNK; i++)
		written_there += p[i] == 'w';
	printf("%c: %ld, %s; %zu zeros, %zu bytes written\n", how, result.result,
	    strerrorname_np((int)result.error), result.zeros, written_there);
}

/* One that is not traced cannot note what it touches. */
static void ask_stranger(const struct visitor *visitor, char how)
{
	volatile char *p = fresh(CHUNK_PAGES);

	truth_strange(p, CHUNK, how == 'r' ? "read" : "write", "visitor", visitor->pid);
	ask(visitor, how, p, false);
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
			ask_stranger(&visitors[i], 'r');
			ask_stranger(&visitors[i], 'R');
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

/* A child that says that it lives, and waits for the end of its standard input. */
static pid_t start_sleeper(int *end)
{
	int fds[2];
	pid_t pid;
	char byte = 0;

	expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		expect(write(fds[0], &byte, 1) == 1, "write");
		_exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(fds[0]);
	expect(read(fds[1], &byte, 1) == 1, "read");
	*end = fds[1];
	return pid;
}

static NOINLINE void into_child(char how)
{
	TRACED();
	volatile char *p = fresh(CHUNK_PAGES);
	struct order order = {.how = how, .start = plain(p)};
	int end, status = -1;
	pid_t pid = start_sleeper(&end);
	struct result result;

	truth_memory_of = pid;
	truth_reaches = true;
	result = carry_out(pid, &order);
	truth_memory_of = 0;
	truth_reaches = false;
	printf("%c, into a child: %ld, %s; %zu zeros\n", how, result.result,
	    strerrorname_np((int)result.error), result.zeros);
	/* The same pages here are this process's own, and still untouched. */
	touch_pages(p, 0, CHUNK_PAGES, note_and_write);
	close(end);
	expect(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

static NOINLINE void family(void)
{
	TRACED();
	struct visitor visitor = start_visitor('f', false);

	for (const char *way = WAYS; *way; way++) {
		volatile char *p = fresh(CHUNK_PAGES);

		ask(&visitor, *way, p, false);
		ask(&visitor, 'M', p, true); /* perhaps it was only read */
		into_child(*way);
	}
	stop_visitor(&visitor, false);
}

/* ---- a process in its own memory ---- */

/* By /proc/PID/mem it may read and write what it may not touch: so do compilers that run what they
   have written. */
static NOINLINE void into_protected(int prot, char how)
{
	TRACED();
	volatile char *p = fresh(CHUNK_PAGES);
	struct order order = {.how = how, .start = plain(p)};
	struct result result;

	expect(mprotect(plain(p), CHUNK, prot) == 0, "mprotect");
	result = carry_out(getpid(), &order);
	expect(mprotect(plain(p), CHUNK, PROT_READ) == 0, "mprotect");
	printf("%c, protected %d: %ld, %s; %zu zeros; %d there\n", how, prot, result.result,
	    strerrorname_np((int)result.error), result.zeros, result.result > 0 ? *p : -1);
}

static NOINLINE void self(void)
{
	TRACED();
	for (int i = 0; i < ROUNDS; i++)
		for (const char *way = "rRmMlL"; *way; way++) {
			struct order order = {.how = *way, .start = plain(fresh(CHUNK_PAGES))};
			struct result result = carry_out(getpid(), &order);

			printf("%c: %ld, %s; %zu zeros\n", *way, result.result,
			    strerrorname_np((int)result.error), result.zeros);
		}
	for (const char *way = "mMlL"; *way; way++) {
		into_protected(PROT_READ, *way);
		into_protected(PROT_READ | PROT_EXEC, *way);
		into_protected(PROT_NONE, *way);
	}
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
		ask_stranger(&visitor, 'r');
		own(3);
		ask_stranger(&visitor, 'R');
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

/* ---- a process that is debugged ---- */

/* Where a debugger looks at memory of which one page is touched. */
NOINLINE void stop_here(volatile char *memory);
void stop_here(volatile char *memory)
{
	char byte;

	puts("outside: here");
	expect(read(0, &byte, 1) >= 0, "read");
	(void)memory;
}

static NOINLINE void debugged(void)
{
	TRACED();
	volatile char *p = fresh(CHUNK_PAGES);

	truth_exact(p, "write", NULL);
	*p = 42;
	stop_here(p);
	for (size_t i = 0; i < CHUNK_PAGES; i++)
		printf("page %zu: %d\n", i, p[i * PAGE]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {{"child", child}, {"orphan", orphan}, {"family", family}, {"self", self},
	    {"debugged", debugged}, {"leaderless", leaderless}};

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
