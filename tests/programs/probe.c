/* SPDX-License-Identifier: MIT */
/*
 * probe: prints what a program can see of itself, its process and its surroundings; the tests
 * compare what it prints with and without tracing.
 *
 *   probe WHAT [ARGUMENTS]
 *
 * Each WHAT is a function of the table at the end. What differs natively from run to run
 * (addresses, process IDs) is not printed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED	   __attribute__((unused))
#define READ_WRITE (PROT_READ | PROT_WRITE)

extern char **environ;

/* New memory, touched, and right: whatever was done to the process, this must go on. */
static void touch_memory(size_t pages)
{
	size_t size = pages * 4096;
	unsigned char *mapped = mmap(NULL, size, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *allocated = malloc(size);
	unsigned sum = 0;

	if (mapped == MAP_FAILED || !allocated)
		abort();
	for (size_t i = 0; i < size; i += 4096) {
		sum += mapped[i];
		mapped[i + 1] = allocated[i] = 1;
	}
	for (size_t i = 0; i < size; i += 4096)
		sum += mapped[i + 1] + allocated[i];
	munmap(mapped, size);
	free(allocated);
	if (sum != 2 * pages)
		abort();
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static int count_entries(const char *folder, bool names)
{
	struct dirent **entries;
	int found = 0, count = scandir(folder, &entries, NULL, by_number);

	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] == '.')
			continue;
		found++;
		if (names)
			printf(" %s", entries[i]->d_name);
	}
	return found;
}

static void print_limits(void)
{
	struct rlimit limit;

	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
			printf("limit %d: %llx %llx\n", i, (unsigned long long)limit.rlim_cur,
			    (unsigned long long)limit.rlim_max);
}

/* Lines of /proc/self/status that tell of signals, threads and rights. */
static void print_status(void)
{
	static const char *const keys[] = {"Name", "Umask", "TracerPid", "Threads", "SigPnd",
	    "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Cap", "NoNewPrivs", "Seccomp:", "Uid", "Gid",
	    "Cpus_allowed:", "CoreDumping", "THP_enabled"};
	char line[512];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				fputs(line, stdout);
	if (file)
		fclose(file);
}

static int process(char **arguments UNUSED)
{
	int pdeathsig = -1, subreaper = -1;

	print_status();
	printf("descriptors:");
	count_entries("/proc/self/fd", true);
	printf("\nthreads: %d\n", count_entries("/proc/self/task", false));
	printf("next descriptor: %d\n", open("/dev/null", O_RDONLY | O_CLOEXEC));
	print_limits();
	prctl(PR_GET_PDEATHSIG, &pdeathsig);
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	printf("dumpable %d, parent's death %d, subreaper %d, slack %d, keepcaps %d\n",
	    prctl(PR_GET_DUMPABLE), pdeathsig, subreaper, prctl(PR_GET_TIMERSLACK),
	    prctl(PR_GET_KEEPCAPS));
	printf("same group %d, same session %d, nice %d, policy %d, personality %x\n",
	    getpgrp() == getpgid(getppid()), getsid(0) == getsid(getppid()),
	    getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), (unsigned)personality(0xffffffff));
	printf("alarm %u\n", alarm(0));
	touch_memory(100);
	return 0;
}

static int signals(char **arguments UNUSED)
{
	struct sigaction action;
	stack_t stack;

	for (int i = 1; i < 65; i++) {
		if (sigaction(i, NULL, &action) != 0)
			continue;
		printf("%d: %s %x\n", i,
		    action.sa_handler == SIG_DFL   ? "default"
		    : action.sa_handler == SIG_IGN ? "ignored"
						   : "handler",
		    (unsigned)action.sa_flags);
	}
	sigaltstack(NULL, &stack);
	printf("alternate stack: %d\n", stack.ss_flags);
	return 0;
}

static volatile sig_atomic_t children_died;

static void on_child(int signal UNUSED)
{
	children_died++;
}

static int children(char **arguments UNUSED)
{
	char text[256] = "";
	FILE *file;
	int result;

	signal(SIGCHLD, on_child);
	touch_memory(500);
	usleep(100000);
	result = (int)wait(NULL);
	printf("wait: %d %d\n", result, errno);
	file = fopen("/proc/thread-self/children", "re");
	if (file && fgets(text, sizeof(text), file))
		printf("children: %s\n", text);
	printf("SIGCHLD: %d\n", (int)children_died);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The environment without what this tool adds; LD_PRELOAD without its shim. */
static int environment(char **arguments UNUSED)
{
	size_t count = 0;

	while (environ[count])
		count++;
	qsort(environ, count, sizeof(environ[0]), by_text);
	for (char **entry = environ; *entry; entry++) {
		char *word, *rest;

		if (strncmp(*entry, "FAULTLINE_", 10) == 0)
			continue;
		if (strncmp(*entry, "LD_PRELOAD=", 11) != 0) {
			puts(*entry);
			continue;
		}
		rest = strdup(*entry + 11);
		while ((word = strsep(&rest, ": ")))
			if (*word && !strstr(word, "libfaultline.so"))
				printf("preloaded: %s\n", word);
	}
	return 0;
}

static void check_errno(const char *what, const void *result)
{
	printf("%s: %s, errno %d\n", what,
	    !result		   ? "NULL"
	    : result == MAP_FAILED ? "failed"
				   : "fine",
	    errno);
	errno = 77;
}

static int error_numbers(char **arguments UNUSED)
{
	volatile size_t huge = SIZE_MAX / 2 - 4096;
	volatile size_t half = SIZE_MAX / 2;
	char half_page[2048];
	void *p, *q = NULL;

	errno = 77;
	check_errno("malloc", p = malloc(10));
	check_errno("malloc large", q = malloc(10 << 20));
	free(q);
	check_errno("free", p);
	check_errno("calloc", calloc(1000, 1000));
	check_errno("realloc", p = realloc(p, 300000));
	check_errno("realloc smaller", p = realloc(p, 30));
	check_errno("memalign", memalign(4096, 100000));
	printf("posix_memalign: %d\n", posix_memalign(&q, 4096, 1 << 20));
	check_errno("posix_memalign", q);
	printf("posix_memalign wrong: %d\n", posix_memalign(&q, 3, 1 << 20));
	check_errno("posix_memalign wrong", q);
	check_errno("aligned_alloc", aligned_alloc(64, 640));
	check_errno("malloc huge", malloc(huge));
	check_errno("calloc overflow", calloc(half, 4));
	check_errno("realloc huge", realloc(NULL, huge));
	check_errno("reallocarray overflow", reallocarray(p, half, 4));
	check_errno("malloc none", malloc(0));
	check_errno(
	    "mmap", p = mmap(NULL, 1 << 20, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memset(p, 1, 1 << 20);
	check_errno("touch", p);
	check_errno("mremap", p = mremap(p, 1 << 20, 2 << 20, MREMAP_MAYMOVE));
	check_errno("mremap wrong", mremap(p, 1 << 20, 0, 0));
	check_errno("mmap nothing", mmap(NULL, 0, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	check_errno("mmap bad flags", mmap(NULL, 4096, READ_WRITE, MAP_ANONYMOUS, -1, 0));
	check_errno("mmap bad file", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 1234, 0));
	printf("madvise: %d\n", madvise(p, 1 << 20, MADV_DONTNEED));
	check_errno("madvise", p);
	printf("madvise wrong: %d\n", madvise(p, 4096, 12345));
	check_errno("madvise wrong", p);
	printf("munmap wrong: %d\n", munmap((char *)p + 1, 4096));
	check_errno("munmap wrong", p);
	printf("munmap: %d\n", munmap(p, 2 << 20));
	check_errno("munmap", p);
	check_errno("shmat wrong", shmat(-1, NULL, 0));
	printf("shmdt wrong: %d\n", shmdt(half_page));
	check_errno("shmdt wrong", p);
	return 0;
}

/* Where mmap may not change its mind: hints, fixed places, zeroes, reservations. */
static int mappings(char **arguments UNUSED)
{
	char *p = mmap(NULL, 1 << 20, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
	size_t large = (size_t)64 << 30;

	memset(p, 1, 1 << 20);
	munmap(p + (256 << 10), 256 << 10);
	q = mmap(p + (256 << 10), 4096, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("hint kept: %d, zero: %d\n", q == p + (256 << 10), q[5] == 0);
	q = mmap(p, 8192, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	printf("fixed: %d, zero: %d, behind it: %d\n", q == p, q[5] == 0, p[8192]);
	madvise(p, 1 << 14, MADV_DONTNEED);
	printf("given back: %d %d, kept: %d\n", p[0], p[9000], p[1 << 14]);
	q = mmap(NULL, large, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	printf("reserved: %d\n", q != MAP_FAILED);
	mprotect(q + (large >> 1), 1 << 20, READ_WRITE);
	q[(large >> 1) + 77] = 3;
	printf("used: %d, ", q[(large >> 1) + 77]);
	printf("unmapped: %d\n", munmap(q, large));
	q = mmap(NULL, 1 << 20, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fork() == 0) {
		memset(q, 9, 1 << 20);
		_exit(0);
	}
	wait(NULL);
	printf("shared with a child: %d\n", q[12345]);
	q = mmap(NULL, 8 << 20, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	printf("populated: %d, ", q[4 << 20]);
	printf("locked: %d\n", mlock(q, 1 << 20));
	q = mmap(NULL, 1 << 20, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	q[100] = 4;
	printf("grows down: %d\n", q[100]);
	return 0;
}

static int run_children(char **arguments)
{
	int count = arguments[0] ? atoi(arguments[0]) : 1, status, sum = 0;

	touch_memory(50);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			touch_memory(4);
			_exit(i % 7);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return 1;
		sum += WEXITSTATUS(status);
	}
	printf("%d children, sum %d\n", count, sum);
	return 0;
}

static int by_vfork(const char *program)
{
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execl(program, program, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int by_spawn(char *program)
{
	char *arguments[] = {program, NULL};
	pid_t pid = 0;
	int status = -1, error = posix_spawnp(&pid, program, NULL, NULL, arguments, environ);

	if (error != 0)
		return 1000 + error;
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int spawned(char **arguments UNUSED)
{
	static char names[4][32] = {"true", "false", "/bin/true", "/does/not/exist"};

	touch_memory(20);
	for (int i = 0; i < 4; i++)
		printf("%s: posix_spawn %d\n", names[i], by_spawn(names[i]));
	printf("vfork %d %d %d\n", by_vfork("/bin/true"), by_vfork("/bin/false"),
	    by_vfork("/does/not/exist"));
	touch_memory(20);
	printf("system %d, popen %d\n", system("exit 3"), pclose(popen("cat; exit 4", "we")));
	return 0;
}

static int exec_chain(char **arguments)
{
	char count[16];

	touch_memory(20);
	snprintf(count, sizeof(count), "%d", atoi(arguments[0]) - 1);
	if (atoi(count) > 0)
		execl("/proc/self/exe", "probe", "exec", count, NULL);
	printf("the last of the chain, %s\n", count);
	return 6;
}

static int close_all(char **arguments)
{
	int fd;

	touch_memory(10);
	for (fd = 0; fd < 1024; fd++)
		close(fd);
	closefrom(0);
	touch_memory(100);
	run_children((char *[]){"3", NULL});
	fd = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, 0666);
	dprintf(fd, "the first descriptor is %d\n", fd);
	touch_memory(100);
	return fd;
}

static int not_dumpable(char **arguments UNUSED)
{
	printf("prctl: %d\n", prctl(PR_SET_DUMPABLE, 0));
	touch_memory(300);
	run_children((char *[]){"3", NULL});
	return 0;
}

static int drop_rights(char **arguments UNUSED)
{
	printf("groups %d, ", setgroups(0, NULL));
	printf("group %d, ", setresgid(65534, 65534, 65534));
	printf("user %d\n", setresuid(65534, 65534, 65534));
	touch_memory(300);
	run_children((char *[]){"3", NULL});
	return 0;
}

static int change_root(char **arguments)
{
	printf("chroot: %d %d\n", chroot(arguments[0]), chdir("/"));
	touch_memory(300);
	run_children((char *[]){"3", NULL});
	return 0;
}

/* Refused to a process that has more than one thread. */
static int unshare_all(char **arguments UNUSED)
{
	int result = unshare(CLONE_NEWUSER | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND);

	printf("unshare: %d %d\n", result, result ? errno : 0);
	touch_memory(300);
	return 0;
}

static void *thread_work(void *number)
{
	touch_memory(2);
	return number;
}

static int many_threads(char **arguments)
{
	size_t count = strtoul(arguments[0], NULL, 10), sum = 0;
	pthread_t threads[8];
	void *result;

	for (size_t i = 0; i < count; i += 8) {
		for (size_t j = 0; j < 8; j++)
			if (pthread_create(&threads[j], NULL, thread_work, (void *)(i + j)) != 0)
				return 1;
		for (size_t j = 0; j < 8; j++) {
			pthread_join(threads[j], &result);
			sum += (size_t)result;
		}
	}
	printf("threads: %zu\n", sum);
	return 0;
}

static int print_and_exit(char **arguments)
{
	touch_memory(100);
	puts("probe: leaving");
	return atoi(arguments[0]);
}

static int killed(char **arguments)
{
	touch_memory(100);
	puts("probe: about to die");
	fflush(stdout);
	raise(atoi(arguments[0]));
	return 0;
}

static const struct {
	const char *name;
	int (*function)(char **arguments);
} table[] = {
    {"process", process},
    {"signals", signals},
    {"children", children},
    {"environment", environment},
    {"errno", error_numbers},
    {"mappings", mappings},
    {"fork", run_children},
    {"spawn", spawned},
    {"exec", exec_chain},
    {"closeall", close_all},
    {"dumpable", not_dumpable},
    {"drop", drop_rights},
    {"chroot", change_root},
    {"unshare", unshare_all},
    {"threads", many_threads},
    {"exit", print_and_exit},
    {"killed", killed},
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(argv[1], table[i].name) == 0)
			return table[i].function(argv + 2);
	fprintf(stderr, "usage: probe WHAT [ARGUMENTS]\n");
	return 2;
}
