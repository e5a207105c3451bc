/* SPDX-License-Identifier: MIT */
/*
 * filtered: a program that allows itself few system calls (seccomp), and then touches memory, maps,
 * allocates and frees. Any other call kills it.
 *
 *   filtered TRUTH PAGES HOW [wait]
 *
 * `wait`: under the filter it says "ready" and reads a line before it goes on.
 *
 *   strict    SECCOMP_MODE_STRICT: read, write, exit and sigreturn
 *   prctl     a filter, by prctl; also the memory calls and exit_group
 *   seccomp   the same by the system call
 *   threads   the same for threads that run already (TSYNC)
 *   fork      the same and children
 *   free      threads without any filter, to compare with
 */
#include "touch.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREADS	    4
#define ALLOCATIONS 700 /* more than a doorbell has pages */

static const int allowed[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_rt_sigreturn,
    SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_mprotect, SYS_brk,
    /* what threads and children need, last */
    SYS_futex, SYS_rseq, SYS_set_robust_list, SYS_rt_sigprocmask, SYS_clone, SYS_wait4, SYS_getpid,
    SYS_gettid};
#define ALLOWED (sizeof(allowed) / sizeof(allowed[0]))
#define PLAIN	11 /* of them */

static size_t pages;
static FILE *file;
static int ends[2];
static volatile char *early;
static uint32_t ready, start; /* atomic */

static void install(bool by_prctl, unsigned flags, size_t count)
{
	struct sock_filter code[ALLOWED + 4], *at = code;
	struct sock_fprog program = {.filter = code};

	*at++ = (struct sock_filter)BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < count; i++)
		*at++ = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], (unsigned char)(count - i), 0);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)(at - code);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		truth_fail("PR_SET_NO_NEW_PRIVS");
	if (by_prctl ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0
		     : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0)
		truth_fail("a filter");
}

static NOINLINE void mapped_before(void)
{
	TRACED();
	truth_region("mmap", early, pages * PAGE);
	touch_mixed(early, 0, pages);
}

static pthread_t threads[THREADS];

static NOINLINE void mapped_now(void)
{
	TRACED();
	for (int i = 0; i < 20; i++) {
		volatile char *p = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

		truth_region("mmap", p, pages * PAGE);
		touch_mixed(p, 0, pages);
		if (i % 2)
			munmap((void *)p, pages * PAGE);
	}
}

static NOINLINE void by_system_call(void)
{
	TRACED();
	volatile char *p = touch_map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, PAGE);
	truth_page(p, "write", "kernel", NULL);
	if (write(ends[1], "0123456789", 10) != 10 || read(ends[0], (void *)p, 10) != 10)
		truth_fail("a pipe");
}

/* Kept until the end, or freed at once: each is told. */
static NOINLINE void allocations(void)
{
	TRACED();
	for (int i = 0; i < ALLOCATIONS; i++) {
		char *p = malloc(64 << 10);

		if (!p)
			truth_fail("malloc");
		if (i % 2)
			free(p);
	}
}

static NOINLINE void work(bool may_map)
{
	TRACED();
	mapped_before();
	if (!may_map)
		return;
	mapped_now();
	by_system_call();
	allocations();
}

static void *thread(void *name)
{
	truth_thread(name);
	TRACED();
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&start, __ATOMIC_ACQUIRE))
		;
	mapped_now();
	allocations();
	return NULL;
}

static void begin_threads(void)
{
	static char names[THREADS][16];

	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof(names[i]), "thread %d", i);
		if (pthread_create(&threads[i], NULL, thread, names[i]) != 0)
			truth_fail("pthread_create");
	}
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS)
		usleep(1000);
}

static void write_notes(void)
{
	truth_write_all(file);
	fflush(file);
	truth_touch_count = 0;
}

static NOINLINE void child(void)
{
	TRACED();
	truth_forked();
	truth_kept_pid = getpid();
	mapped_now();
	allocations();
	write_notes();
}

int main(int argc, char **argv)
{
	static char buffer[1 << 16], file_buffer[1 << 16];
	const char *how;
	bool strict, threaded;
	pid_t pid;

	if (argc < 4)
		return 2;
	how = argv[3];
	pages = strtoul(argv[2], NULL, 10);
	strict = !strcmp(how, "strict");
	file = fopen(argv[1], "w");
	if (!file || setvbuf(file, file_buffer, _IOFBF, sizeof(file_buffer)) != 0 ||
	    pipe(ends) != 0)
		truth_fail(argv[1]);
	fputs("", file);
	truth_thread("filtered");
	truth_kept_pid = getpid();
	mallopt(M_ARENA_MAX, 1);
	early = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	TRACED();
	threaded = !strcmp(how, "threads") || !strcmp(how, "free");
	if (threaded)
		begin_threads();
	if (strict && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		truth_fail("SECCOMP_MODE_STRICT");
	if (!strcmp(how, "fork"))
		install(true, 0, ALLOWED);
	else if (!strcmp(how, "threads"))
		install(false, SECCOMP_FILTER_FLAG_TSYNC, ALLOWED);
	else if (!strict && !threaded)
		install(!strcmp(how, "prctl"), 0, PLAIN);

	if (argc > 4 && (write(1, "ready\n", 6) != 6 || read(0, buffer, 1) != 1))
		return 1;
	__atomic_store_n(&start, 1, __ATOMIC_RELEASE);
	work(!strict);
	write_notes();
	if (!strcmp(how, "fork")) {
		int status;

		pid = fork();
		if (pid == 0) {
			child();
			_exit(0);
		}
		if (wait4(pid, &status, 0, NULL) != pid || status != 0)
			truth_fail("a child");
	}
	for (int i = 0; i < THREADS && threaded; i++)
		pthread_join(threads[i], NULL);
	write_notes();
	if (write(1, "filtered: done\n", 15) != 15)
		return 1;
	if (strict)
		syscall(SYS_exit, 0);
	_exit(0);
}
