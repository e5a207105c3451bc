/* SPDX-License-Identifier: MIT */
/*
 * family: first touches in a process, its children and a grandchild, in memory that they inherited
 * untouched, in memory of their own, and in what a program has after exec.
 *
 *   family TRUTH PAGES
 *
 * Notes are added to TRUTH by one process after the other.
 */
#include "touch.h"

#include <sys/wait.h>

static volatile char *inherited;
static size_t pages;

static void wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		truth_fail("a child failed");
}

static NOINLINE void own_memory(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, pages * PAGE);
	touch_mixed(p, 0, pages);
}

static NOINLINE void inherited_memory(size_t first, size_t end)
{
	TRACED();
	truth_region("mmap", inherited, 0);
	touch_mixed(inherited, first, end);
}

/* Pages that an ancestor has touched are there already: no notes. */
static NOINLINE void copied_memory(size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		touch_write_byte(touch_place(inherited, i));
}

static NOINLINE void grandchild(const char *path)
{
	truth_forked();
	truth_thread("grandchild");
	TRACED();
	inherited_memory(pages / 2, pages);
	own_memory();
	copied_memory(0, pages / 2);
	truth_write(path, "a");
	_exit(0);
}

static NOINLINE void child(const char *path)
{
	pid_t pid;

	truth_forked();
	truth_thread("child");
	TRACED();
	own_memory();
	inherited_memory(pages / 4, pages / 2);
	copied_memory(0, pages / 4);
	truth_write(path, "a");
	pid = fork();
	if (pid == 0)
		grandchild(path);
	wait_for(pid);
	_exit(0);
}

static NOINLINE void after_exec(const char *path)
{
	truth_thread("after exec");
	TRACED();
	own_memory();
	truth_write(path, "a");
}

static NOINLINE void run_again(char *path)
{
	char count[32];
	pid_t pid;

	snprintf(count, sizeof(count), "%zu", pages);
	pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", "family", path, count, "again", NULL);
		_exit(1);
	}
	wait_for(pid);
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	if (argc > 3) {
		TRACED();
		after_exec(argv[1]);
		return 0;
	}
	truth_thread("parent");
	TRACED();
	inherited = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	inherited_memory(0, pages / 4);
	truth_write(argv[1], "w");
	truth_touch_count = 0;
	pid = fork();
	if (pid == 0)
		child(argv[1]);
	inherited_memory(pages / 4, pages);
	own_memory();
	wait_for(pid);
	truth_write(argv[1], "a");

	run_again(argv[1]);
	puts("family: done");
	return 0;
}
