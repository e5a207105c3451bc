/* SPDX-License-Identifier: MIT */
/*
 * sharing: touches of shared memory whose pages are there already, because another mapping or
 * another process touched them first: minor faults.
 *
 *   sharing TRUTH PAGES
 */
#include "touch.h"

#include <fcntl.h>
#include <sys/wait.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)

static size_t pages;

static NOINLINE volatile char *map_file(int fd)
{
	void *p = mmap(NULL, pages * PAGE, READ_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		truth_fail("mmap");
	return (volatile char *)p;
}

static NOINLINE void note_and_compare(volatile char *p)
{
	TRACED();
	truth_exact(p, "read", "touch_read_byte");
	if (touch_read_byte(p) != 1)
		truth_fail("the mappings differ");
}

/* The pages at `p` are in the page cache, and not mapped here: read one half and write the other.
 */
static NOINLINE void touch_cached(volatile char *p)
{
	TRACED();
	truth_kind("minor");
	touch_pages(p, 0, pages / 2, note_and_compare);
	touch_pages(p, pages / 2, pages, note_and_write);
	for (size_t i = 0; i < pages; i++)
		if (touch_read_byte(touch_place(p, i)) != 1)
			truth_fail("a page has other bytes than were written");
}

static NOINLINE void mapped_twice(int fd, const char *source)
{
	TRACED();
	volatile char *first, *second;

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) != 0)
		truth_fail("ftruncate");
	first = map_file(fd);
	truth_region(source, first, pages * PAGE);
	touch_pages(first, 0, pages, note_and_write);
	second = map_file(fd);
	truth_region(source, second, pages * PAGE);
	touch_cached(second);
	/* Given back by this mapping alone: the page cache has it still. */
	if (madvise((void *)(uintptr_t)second, pages * PAGE, MADV_DONTNEED) != 0)
		truth_fail("MADV_DONTNEED");
	touch_cached(second);
	close(fd);
}

static NOINLINE void in_a_file(void)
{
	TRACED();
	char name[] = "/dev/shm/sharing-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	unlink(name);
	mapped_twice(fd, "mmap");
}

/* Page tables of shared memory are not copied at fork. */
static NOINLINE void in_a_child(const char *truth)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_SHARED);
	pid_t child;
	int status;

	truth_region("mmap", p, pages * PAGE);
	touch_pages(p, 0, pages, note_and_write);
	truth_write(truth, "w");
	child = fork();
	if (child == 0) {
		truth_forked();
		truth_region("mmap", p, 0);
		touch_cached(p);
		truth_write(truth, "a");
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		truth_fail("the child");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("boss");
	TRACED();
	mapped_twice(memfd_create("sharing", MFD_CLOEXEC), "memfd");
	in_a_file();
	in_a_child(argv[1]);
	puts("sharing: done");
	return 0;
}
