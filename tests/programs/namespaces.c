/* SPDX-License-Identifier: MIT */
/*
 * namespaces: first touches by processes and threads in namespaces of their own. Each word is a
 * step; after those that make a child, the child takes the remaining steps and the parent waits.
 *
 *   namespaces TRUTH PAGES STEP...
 *
 *   work        touch memory of one's own, inherited memory, and memory of a thread
 *   fork        a child
 *   pid         unshare(CLONE_NEWPID), and a child, the first of the namespace
 *   clone       the same by one clone(CLONE_NEWPID), without the C library's knowledge
 *   twins       two such children at once, which share their parent's memory as it was
 *   vfork       a child of vfork in a PID namespace of its own touches the memory of its parent
 *   spawn       a child of vfork in the same namespace does
 *   user        unshare(CLONE_NEWUSER), root in it
 *   mount       unshare(CLONE_NEWNS), and on /mnt a copy of this program, for exec to run
 *   proc        another /proc; noproc: none
 *   crowd       a hundred threads, eight at a time
 *   exec        this program again
 *   writes      from here on every touch is a write
 *
 * Notes are added to TRUTH by one process after the other.
 */
#include "touch.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define COPY "/mnt/namespaces-copy"

static const char *truth, *program;
static volatile char *inherited;
static size_t pages, inherited_used;
static bool writes;

static void wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		truth_fail("a child failed");
}

/* What was noted since the last time, or since the process began. */
static void write_notes(void)
{
	truth_write(truth, "a");
	truth_touch_count = 0;
}

static ALWAYS_INLINE void touch(volatile char *p, size_t first, size_t end)
{
	if (writes)
		touch_pages(p, first, end, note_and_write);
	else
		touch_mixed(p, first, end);
}

static NOINLINE void own_memory(size_t count)
{
	TRACED();
	volatile char *p = touch_map(count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, count * PAGE);
	touch(p, 0, count);
}

static NOINLINE void inherited_memory(size_t count)
{
	TRACED();
	truth_region("mmap", inherited, 0);
	touch(inherited, inherited_used, inherited_used + count);
	inherited_used += count;
}

/* Reads a page's worth out of a pipe: the kernel touches the page for us. */
static NOINLINE void by_system_call(void)
{
	TRACED();
	volatile char *p = touch_map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int ends[2];

	if (pipe(ends) != 0 || write(ends[1], "0123456789", 10) != 10)
		truth_fail("pipe");
	truth_region("mmap", p, PAGE);
	truth_page(p, "write", "kernel", NULL);
	if (read(ends[0], (void *)p, 10) != 10)
		truth_fail("read");
	close(ends[0]);
	close(ends[1]);
}

/* An allocation that is told, and freed. */
static NOINLINE void allocation(void)
{
	TRACED();
	char *p = malloc(1 << 20);

	truth_region("malloc-mmap", NULL, 0);
	truth_alloc(p, 1 << 20);
	for (size_t i = 1; i < 8; i++)
		nest((unsigned)i, note_and_write, (volatile char *)p + i * PAGE);
	free(p);
}

static void *thread(void *name)
{
	truth_thread(name);
	TRACED();
	own_memory(pages);
	return NULL;
}

static void run_thread(const char *name)
{
	pthread_t id;

	if (pthread_create(&id, NULL, thread, (void *)name) != 0 || pthread_join(id, NULL) != 0)
		truth_fail("a thread");
}

static NOINLINE void work(void)
{
	static int times;
	static char names[16][16];
	char *name = names[times++ % 16];

	snprintf(name, 16, "work %hhu", (unsigned char)times);
	truth_thread(name);
	TRACED();
	own_memory(pages);
	inherited_memory(pages);
	by_system_call();
	allocation();
	run_thread("another");
	write_notes();
}

#define CROWD	  8 /* at a time */
#define CROWDS	  12
#define CROWD_ALL ((size_t)CROWD * CROWDS)

static volatile char *crowd_memory;
static uint32_t crowd_next;

static void *crowd_thread(void *unused)
{
	size_t first = __atomic_fetch_add(&crowd_next, 1, __ATOMIC_RELAXED) % CROWD_ALL * pages;

	truth_thread("crowd");
	TRACED();
	(void)unused;
	truth_region("mmap", crowd_memory, 0);
	touch(crowd_memory, first, first + pages);
	return NULL;
}

/* It maps before: the stacks of threads that have ended may go at any time. */
static NOINLINE void crowd(void)
{
	TRACED();
	pthread_t id[CROWD];

	crowd_memory = touch_map(CROWD_ALL * pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (int round = 0; round < CROWDS; round++) {
		for (int i = 0; i < CROWD; i++)
			if (pthread_create(&id[i], NULL, crowd_thread, NULL) != 0)
				truth_fail("pthread_create");
		for (int i = 0; i < CROWD; i++)
			pthread_join(id[i], NULL);
	}
	write_notes();
}

/* The child borrows its parent's thread and memory, and is noted as the parent's. */
static NOINLINE void borrower(volatile char *p)
{
	pid_t own = getpid(), saved = truth_self.tid, child;

	TRACED();
	truth_region("mmap", p, pages * PAGE);
	truth_memory_of = truth_pid();
	child = vfork();
	if (child == 0) {
		uint32_t first = truth_touch_count;

		truth_self.tid = gettid();
		touch(p, 0, pages);
		for (uint32_t i = first; i < truth_touch_count; i++)
			truth_touches[i].own_pid = own;
		_exit(0);
	}
	truth_memory_of = 0;
	truth_self.tid = saved;
	wait_for(child);
}

static NOINLINE void borrowers(int count)
{
	truth_thread("lender");
	TRACED();
	while (count--)
		borrower(touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE));
	write_notes();
}

static void say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		truth_fail(path);
	close(fd);
}

static void become_root(void)
{
	unsigned uid = getuid(), gid = getgid();
	char text[64];

	if (unshare(CLONE_NEWUSER) != 0)
		truth_fail("unshare(CLONE_NEWUSER)");
	snprintf(text, sizeof(text), "0 %u 1", uid);
	say("/proc/self/uid_map", text);
	say("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "0 %u 1", gid);
	say("/proc/self/gid_map", text);
	if (getuid() != 0)
		truth_fail("root in a user namespace");
}

static void copy_program(void)
{
	static char bytes[1 << 16];
	int from = open("/proc/self/exe", O_RDONLY), to = open(COPY, O_WRONLY | O_CREAT, 0755);
	ssize_t size;

	while ((size = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)size) != size)
			truth_fail(COPY);
	if (from < 0 || to < 0 || size < 0)
		truth_fail(COPY);
	close(from);
	close(to);
}

static void check(int result, const char *what)
{
	if (result != 0)
		truth_fail(what);
}

static pid_t clone_into_namespace(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void steps(char **words);

static NOINLINE void in_child(char **words)
{
	TRACED();
	truth_forked();
	steps(words);
	_exit(0);
}

static NOINLINE void child(pid_t pid, char **words)
{
	TRACED();
	if (pid == 0)
		in_child(words);
	wait_for(pid);
}

static NOINLINE void twins(char **words)
{
	TRACED();
	pid_t both[2];

	for (int i = 0; i < 2; i++) {
		both[i] = clone_into_namespace();
		if (both[i] == 0)
			in_child(words);
	}
	wait_for(both[0]);
	wait_for(both[1]);
}

static void again(char **words)
{
	char count[32], *arguments[32] = {(char *)program, (char *)truth, count};
	size_t n = 3;

	snprintf(count, sizeof(count), "%zu", pages);
	while (*words && n < 31)
		arguments[n++] = *words++;
	execv(access(COPY, X_OK) == 0 ? COPY : program, arguments);
	truth_fail("exec");
}

static NOINLINE void steps(char **words)
{
	TRACED();
	for (; *words; words++) {
		const char *step = *words;

		if (!strcmp(step, "work")) {
			work();
		} else if (!strcmp(step, "crowd")) {
			crowd();
		} else if (!strcmp(step, "fork")) {
			child(fork(), words + 1);
			return;
		} else if (!strcmp(step, "pid")) {
			check(unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)");
			child(fork(), words + 1);
			return;
		} else if (!strcmp(step, "clone")) {
			child(clone_into_namespace(), words + 1);
			return;
		} else if (!strcmp(step, "twins")) {
			twins(words + 1);
			return;
		} else if (!strcmp(step, "vfork")) {
			check(unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)");
			borrowers(1); /* with whom the namespace ends */
			return;
		} else if (!strcmp(step, "spawn")) {
			borrowers(3);
		} else if (!strcmp(step, "user")) {
			become_root();
		} else if (!strcmp(step, "mount")) {
			check(unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)");
			check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
			check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL), "mount /mnt");
			copy_program();
		} else if (!strcmp(step, "proc")) {
			check(mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
		} else if (!strcmp(step, "noproc")) {
			check(umount2("/proc", MNT_DETACH), "umount /proc");
		} else if (!strcmp(step, "writes")) {
			writes = true;
		} else if (!strcmp(step, "exec")) {
			again(words + 1);
		} else {
			truth_fail(step);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	program = argv[0];
	truth = argv[1];
	pages = strtoul(argv[2], NULL, 10);
	inherited = touch_map(16 * pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	mallopt(M_MMAP_THRESHOLD, 1 << 18); /* and no other after free */
	TRACED();
	steps(argv + 3);
	puts("namespaces: done");
	return 0;
}
