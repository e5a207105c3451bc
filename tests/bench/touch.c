/* SPDX-License-Identifier: MIT */
/*
 * touch.c: the first-touch loop. Run as it is, recorded, or under another tool; knows of none.
 * Prints the nanoseconds of a touch.
 *
 *   touch PAGES [THREADS [PASSES [PATHS | read]]] [after]
 *
 * With "after" it begins when nobody is told of its faults any more: after the end of a recording.
 */
#include "loop.h"

/* By "um" in proc_pid_smaps(5); looks every hundredth of a second. */
static void wait_until_unregistered(char *memory, size_t size)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	unsigned long start, end, at = (unsigned long)memory;
	bool registered = true, here = false;
	char line[1024];

	(void)size;
	while (registered) {
		FILE *file = fopen("/proc/self/smaps", "r");

		if (!file)
			loop_fail("/proc/self/smaps");
		nanosleep(&nap, NULL);
		while (fgets(line, sizeof(line), file)) {
			if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
				here = start <= at && at < end;
			else if (here && strncmp(line, "VmFlags:", 8) == 0)
				registered = strstr(line, " um") != NULL;
		}
		fclose(file);
	}
}

int main(int count, char **words)
{
	bool after = count > 2 && strcmp(words[count - 1], "after") == 0;
	size_t pages;
	unsigned threads, passes;

	loop_arguments(count - after, words, &pages, &threads, &passes);
	loop_run(pages, threads, passes, after ? wait_until_unregistered : NULL);
	return 0;
}
