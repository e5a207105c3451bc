/* SPDX-License-Identifier: MIT */
/*
 * advice: madvise(2) of every kind, locked and populated memory, and what children get of it.
 *
 *   advice WHAT TRUTH
 *
 * Prints what each call returned, what each touch met, and what mincore(2) says.
 */
#include "acts.h"

#include <errno.h>
#include <sys/wait.h>

#define PAGES	   ((size_t)8) /* of each field */
#define READ_WRITE (PROT_READ | PROT_WRITE)
#define ANON	   (MAP_PRIVATE | MAP_ANONYMOUS)
#define COMMON	   (MAP_SHARED | MAP_ANONYMOUS)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

static const char *truth;
static char *next;

/* Memory of its own, with a page before the next that is not mapped. */
static char *field(const char *detail, int prot, int flags)
{
	char *at = next;

	next += (PAGES + 1) * PAGE;
	at = acts_map(detail, at, PAGES * PAGE, prot, flags | MAP_FIXED_NOREPLACE, -1, 0);
	if (at == MAP_FAILED)
		truth_fail("mmap");
	return at;
}

static char *private_field(void)
{
	return field("anon", READ_WRITE, ANON);
}

static void look(const char *at)
{
	char present[PAGES + 1];

	acts_look(at, PAGES, present);
	printf(" %s\n", present);
}

static void touch(char *at, size_t first, size_t end, bool write)
{
	for (size_t i = first; i < end; i++) {
		char value = (char)(i + 1), met = acts_touch(at + i * PAGE + i * 8, write, &value);

		printf(" %c%d", met, met == 'S' ? 0 : value);
	}
}

static void touch_all(char *at, bool write)
{
	touch(at, 0, PAGES, write);
}

/* ---- advice ---- */

static void advise(char *at, size_t pages, const char *name, int advice)
{
	printf("%s %s:", name, acts_outcome(acts_advise(at, pages * PAGE, name, advice) == 0));
}

static int kinds(void)
{
	static const struct {
		const char *name;
		int advice;
	} harmless[] = {
	    {"NORMAL", MADV_NORMAL},
	    {"RANDOM", MADV_RANDOM},
	    {"SEQUENTIAL", MADV_SEQUENTIAL},
	    {"WILLNEED", MADV_WILLNEED},
	    {"COLD", MADV_COLD},
	    {"HUGEPAGE", MADV_HUGEPAGE},
	    {"NOHUGEPAGE", MADV_NOHUGEPAGE},
	    {"COLLAPSE", MADV_COLLAPSE},
	    {"MERGEABLE", MADV_MERGEABLE},
	    {"UNMERGEABLE", MADV_UNMERGEABLE},
	    {"DONTDUMP", MADV_DONTDUMP},
	    {"DODUMP", MADV_DODUMP},
	};

	for (size_t i = 0; i < 2 * sizeof(harmless) / sizeof(harmless[0]); i++) {
		char *at = i % 2 ? field("shared", READ_WRITE, COMMON) : private_field();

		touch(at, 0, 4, true);
		advise(at, PAGES, harmless[i / 2].name, harmless[i / 2].advice);
		look(at);
		touch_all(at, false);
		touch_all(at, true);
		look(at);
	}
	return 0;
}

static int given_back(void)
{
	for (int shared = 0; shared < 2; shared++) {
		char *at = shared ? field("shared", READ_WRITE, COMMON) : private_field();

		touch(at, 0, 6, true);
		advise(at, 2, "DONTNEED", MADV_DONTNEED);
		look(at);
		advise(at + 2 * PAGE, 2, "FREE", MADV_FREE);
		look(at);
		advise(at + 4 * PAGE, 2, "REMOVE", MADV_REMOVE);
		look(at);
		touch_all(at, false);
		touch_all(at, true);
		advise(at, PAGES + 1, "DONTNEED", MADV_DONTNEED); /* and what is not mapped */
		look(at);
		touch_all(at, true);
		look(at);
	}
	return 0;
}

static int guarded(void)
{
	char *at = private_field();

	touch(at, 0, 6, true);
	advise(at + 2 * PAGE, 3, "GUARD_INSTALL", MADV_GUARD_INSTALL);
	touch_all(at, true);
	advise(at + 2 * PAGE, 3, "GUARD_REMOVE", MADV_GUARD_REMOVE);
	look(at);
	touch_all(at, true);
	look(at);
	return 0;
}

/* ---- what the kernel fills ---- */

/* Around a call by which the kernel touches each page of the field that it may. */
static char before[PAGES + 1];

static void begin(const char *at)
{
	acts_look(at, PAGES, before);
}

static void end(const char *what, char *at, bool good, const char *access)
{
	printf("%s %s:", what, acts_outcome(good));
	if (good && access)
		acts_note_touched(at, PAGES, before, access);
	look(at);
}

static void fill(char *at, const char *what, int advice, const char *access)
{
	begin(at);
	end(what, at, acts_advise(at, PAGES * PAGE, what, advice) == 0, access);
}

static int populated(void)
{
	static const struct {
		const char *detail, *access;
		int prot, flags;
	} maps[] = {
	    {"anon", "write", READ_WRITE, ANON | MAP_POPULATE},
	    {"anon", "read", PROT_READ, ANON | MAP_POPULATE},
	    {"anon", NULL, PROT_NONE, ANON | MAP_POPULATE},
	    {"shared", "read", READ_WRITE, COMMON | MAP_POPULATE},
	    {"anon", NULL, READ_WRITE, ANON | MAP_POPULATE | MAP_NONBLOCK},
	    {"anon", "write", READ_WRITE, ANON | MAP_LOCKED},
	};
	static const char nothing[] = "00000000";

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		char *at = field(maps[i].detail, maps[i].prot, maps[i].flags);

		if (maps[i].access)
			acts_note_touched(at, PAGES, nothing, maps[i].access);
		look(at);
		touch_all(at, false);
		touch_all(at, true);
		munlock(at, PAGES * PAGE);
		advise(at, PAGES, "DONTNEED", MADV_DONTNEED);
		touch_all(at, true);
		look(at);
	}
	for (int shared = 0; shared < 2; shared++) {
		for (int first = 0; first < 2; first++) {
			char *at = shared ? field("shared", READ_WRITE, COMMON) : private_field();

			touch(at, 2, 4, false);
			touch(at, 4, 6, true);
			if (first)
				fill(at, "POPULATE_READ", MADV_POPULATE_READ, "read");
			fill(at, "POPULATE_WRITE", MADV_POPULATE_WRITE, "write");
			touch_all(at, true);
		}
	}
	return 0;
}

/* What the kernel tells of locked memory. */
static size_t locked_kib(void)
{
	char line[256];
	size_t kib = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmLck: %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static int locked(void)
{
	for (int shared = 0; shared < 2; shared++) {
		const char *access = shared ? "read" : "write";
		char *at = shared ? field("shared", READ_WRITE, COMMON) : private_field();

		touch(at, 0, 2, true);
		begin(at);
		end("mlock", at, mlock(at, PAGES * PAGE) == 0, access);
		printf("%zu KiB locked\n", locked_kib());
		advise(at, PAGES, "DONTNEED", MADV_DONTNEED);
		advise(at, PAGES, "DONTNEED", MADV_DONTNEED_LOCKED);
		touch_all(at, true);
		printf("munlock %s %zu KiB\n", acts_outcome(munlock(at, PAGES * PAGE) == 0),
		    locked_kib());
		advise(at, PAGES, "DONTNEED", MADV_DONTNEED);
		begin(at);
		end("mlock2", at, mlock2(at, PAGES * PAGE, MLOCK_ONFAULT) == 0, NULL);
		touch_all(at, false);
		printf("%zu KiB locked\n", locked_kib());
	}
	return 0;
}

/* Locked memory grows: the kernel fills that, too. */
static int grown(void)
{
	static const char nothing[] = "00000000";
	char *at = private_field(), *to = next;

	printf("less: %s\n", acts_outcome(acts_unmap(at + 4 * PAGE, 4 * PAGE) == 0));
	begin(at);
	printf("mlock %s\n", acts_outcome(mlock(at, 4 * PAGE) == 0));
	acts_note_touched(at, 4, nothing, "write");
	at = acts_remap(at, 4 * PAGE, PAGES * PAGE, 0, NULL);
	printf("grown %s:", acts_outcome(at != MAP_FAILED));
	acts_note_touched(at + 4 * PAGE, 4, nothing, "write");
	look(at);
	next += 4 * PAGES * PAGE;
	at = acts_remap(at, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	printf("moved %s:", acts_outcome(at != MAP_FAILED));
	acts_note_touched(at + PAGES * PAGE, PAGES, nothing, "write");
	look(at);
	touch_all(at + PAGES * PAGE, true);
	printf("munlock %s\n", acts_outcome(munlock(at, 2 * PAGES * PAGE) == 0));
	advise(at, 2 * PAGES, "DONTNEED", MADV_DONTNEED);
	touch_all(at, true);
	look(at);
	return 0;
}

static int all_locked(void)
{
	static const char nothing[] = "00000000";
	char *at = private_field(), *none = field("anon", PROT_NONE, ANON);
	char *common = field("shared", READ_WRITE, COMMON), *later;

	touch(at, 0, 2, true);
	begin(at);
	printf("mlockall %s\n", acts_outcome(mlockall(MCL_CURRENT) == 0));
	acts_note_touched(at, PAGES, before, "write");
	acts_note_touched(common, PAGES, nothing, "read");
	look(at);
	look(none);
	look(common);
	printf("munlockall %s ", acts_outcome(munlockall() == 0));
	printf("%zu KiB\n", locked_kib());
	printf("mlockall %s ", acts_outcome(mlockall(MCL_FUTURE) == 0));
	printf("%zu KiB\n", locked_kib());
	for (int i = 0; i < 3; i++) {
		later = private_field();
		acts_note_touched(later, PAGES, nothing, "write");
		look(later);
		touch_all(later, true);
		printf("%zu KiB locked\n", locked_kib());
	}
	later = field("shared", READ_WRITE, COMMON);
	acts_note_touched(later, PAGES, nothing, "read");
	look(later);
	later = field("anon", PROT_NONE, ANON);
	look(later);
	printf("mlockall %s\n", acts_outcome(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0));
	later = private_field();
	look(later);
	touch(later, 0, 3, true);
	printf("%zu KiB locked\n", locked_kib());
	printf("munlockall %s ", acts_outcome(munlockall() == 0));
	printf("%zu KiB\n", locked_kib());
	later = private_field();
	look(later);
	touch_all(later, true);
	look(later);
	return 0;
}

/* ---- children ---- */

static int in_children(void)
{
	char *fields[4], *kept;
	int status;
	pid_t pid;

	for (int i = 0; i < 4; i++) {
		fields[i] = private_field();
		touch(fields[i], 0, 4, true);
	}
	kept = field("shared", READ_WRITE, COMMON);
	touch(kept, 0, 4, true);
	advise(fields[1], PAGES, "WIPEONFORK", MADV_WIPEONFORK);
	advise(fields[2], PAGES, "DONTFORK", MADV_DONTFORK);
	advise(fields[3], PAGES, "DONTFORK", MADV_DONTFORK);
	advise(fields[3], 2, "DOFORK", MADV_DOFORK);
	printf("\n");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		acts_forked();
		for (int i = 0; i < 4; i++) {
			look(fields[i]);
			touch(fields[i], 0, 6, i % 2);
		}
		touch_all(kept, false);
		printf("%s:", acts_outcome(acts_map("anon", fields[2], PAGES * PAGE, READ_WRITE,
					       ANON | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED));
		touch_all(fields[2], true);
		printf("\n");
		fflush(stdout);
		acts_write(truth, "a");
		_exit(0);
	}
	acts_note_child(pid);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		truth_fail("a child failed");
	for (int i = 0; i < 4; i++) {
		touch_all(fields[i], true);
		look(fields[i]);
	}
	touch_all(kept, true);
	return 0;
}

static const struct acts_work works[] = {
    {"kinds", kinds},
    {"given-back", given_back},
    {"guarded", guarded},
    {"populated", populated},
    {"locked", locked},
    {"grown", grown},
    {"all-locked", all_locked},
    {"children", in_children},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	next = acts_arena(0);
	acts_own(next, 1 << 16);
	return acts_run(works, argv[1], truth);
}
