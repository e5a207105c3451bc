/* SPDX-License-Identifier: MIT */
/*
 * phases: memory that is there before tracing begins, during it and after its end; it waits for
 * each by what the kernel says of a fresh mapping. Only what is touched in between is noted.
 *
 *   phases TRUTH PAGES MODE WORDS...
 *
 * MODE is that of the recording: with "user" only new memory is traced. WORDS: "begin" waits for
 * tracing to begin, "end" for its end, "child" forks one that does the same, before all that.
 */
#include "touch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)

static size_t pages;
static bool only_new, write_mode;

/* Whether the kernel tells somebody of this page's faults: "um" or "uw" in proc_pid_smaps(5). */
static bool is_registered(const volatile void *page)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start, end, at = (unsigned long)page;
	bool here = false, result = false;
	char line[1024];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= at && at < end;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			result = strstr(line, " um") || strstr(line, " uw");
	}
	if (file)
		fclose(file);
	return result;
}

static void wait_until_traced(bool traced)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	bool is = !traced;

	while (is != traced) {
		void *probe = mmap(NULL, PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (probe == MAP_FAILED)
			truth_fail("mmap");
		is = is_registered(probe);
		munmap(probe, PAGE);
		nanosleep(&nap, NULL);
	}
}

/* Touches that nobody is told of; each byte was zero before, and is 1 from now on. */
static NOINLINE void touch_quietly(volatile char *p, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		volatile char *byte = touch_place(p, i) + 1;

		if (*byte != 0)
			truth_fail("a fresh byte is not zero");
		*byte = 1;
	}
}

static void check(volatile char *p, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (touch_place(p, i)[1] != 1)
			truth_fail("what was written is lost");
}

/* Three thirds: before, during and after. */
struct memory {
	const char *source;
	volatile char *start;
};

static NOINLINE void during(struct memory *memory, bool was_touched)
{
	TRACED();
	truth_region(memory->source, NULL, 0);
	if (only_new) {
		touch_quietly(memory->start, pages, 2 * pages);
		return;
	}
	touch_pages(memory->start, pages, 2 * pages, note_and_write);
	if (write_mode) { /* pages that were there before tracing began */
		truth_kind(was_touched ? "write-protect" : "missing");
		touch_pages(memory->start, 0, pages, note_and_write);
	}
	for (size_t i = write_mode ? 0 : pages; i < 2 * pages; i++)
		touch_place(memory->start, i)[1] = 1;
}

static NOINLINE void fresh(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, pages * PAGE);
	touch_pages(p, 0, pages, note_and_write);
}

static NOINLINE void live(bool begin, bool end)
{
	TRACED();
	int fd = memfd_create("phases", MFD_CLOEXEC);
	struct memory memories[] = {
	    {begin ? "late" : "mmap", touch_map(3 * pages * PAGE, READ_WRITE, MAP_PRIVATE)},
	    {"memfd", NULL},
	    {begin ? "late" : "mmap", touch_map(3 * pages * PAGE, PROT_NONE, MAP_PRIVATE)},
	};

	if (fd < 0 || ftruncate(fd, (off_t)(3 * pages * PAGE)) != 0)
		truth_fail("memfd_create");
	memories[1].start = mmap(NULL, 3 * pages * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memories[1].start == MAP_FAILED)
		truth_fail("mmap");
	if (begin) {
		for (size_t i = 0; i < 2; i++)
			touch_quietly(memories[i].start, 0, pages);
		wait_until_traced(true);
	}
	if (mprotect((void *)(uintptr_t)memories[2].start, 3 * pages * PAGE, READ_WRITE) != 0)
		truth_fail("mprotect");
	for (size_t i = 0; i < 2; i++)
		during(&memories[i], begin);
	truth_region(memories[2].source, NULL, 0);
	if (!only_new)
		touch_pages(memories[2].start, 0, pages, note_and_write);
	fresh();
	puts("phases: traced");
	fflush(stdout);
	if (end) {
		wait_until_traced(false);
		for (size_t i = 0; i < 2; i++)
			touch_quietly(memories[i].start, 2 * pages, 3 * pages);
	}
	for (size_t i = 0; i < 2; i++)
		check(memories[i].start, begin ? 0 : pages, end ? 3 * pages : 2 * pages);
}

int main(int argc, char **argv)
{
	bool begin = false, end = false;
	pid_t child = -1;
	int status = 0;

	if (argc < 4)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	only_new = strcmp(argv[3], "user") == 0;
	write_mode = strcmp(argv[3], "write") == 0;
	for (int i = 4; i < argc; i++) {
		begin |= strcmp(argv[i], "begin") == 0;
		end |= strcmp(argv[i], "end") == 0;
		if (strcmp(argv[i], "child") == 0)
			child = fork();
	}
	truth_thread(child == 0 ? "child" : "boss");
	TRACED();
	live(begin, end);
	if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
		truth_fail("the child");
	truth_write(argv[1], child > 0 ? "a" : "w");
	return 0;
}
