/* SPDX-License-Identifier: MIT */
/*
 * recursion: touches pages at every depth of a recursion, down to a depth that no tracer follows.
 *
 *   recursion TRUTH DEPTH
 */
#include "touch.h"

static volatile char *memory;

static NOINLINE void descend(size_t depth, size_t deepest)
{
	TRACED();
	nest((unsigned)depth, depth % 2 ? note_and_write : note_and_read,
	    touch_place(memory, depth));
	if (depth < deepest)
		descend(depth + 1, deepest);
}

int main(int argc, char **argv)
{
	size_t depth;

	if (argc < 3)
		return 2;
	depth = strtoul(argv[2], NULL, 10);
	truth_thread("recursion");
	TRACED();
	memory = touch_map((depth + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	truth_region("mmap", memory, (depth + 1) * PAGE);
	descend(0, depth);
	truth_write(argv[1], "w");
	puts("recursion: done");
	return 0;
}
