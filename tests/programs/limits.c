/* SPDX-License-Identifier: MIT */
/*
 * limits: what the kernel refuses, and what is larger than usual.
 *
 *   limits WHAT TRUTH [COUNT]
 *
 * Prints what each call returned. What differs natively from run to run (where the kernel maps, how
 * large a process is by itself) is not printed.
 */
#include "acts.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sys/resource.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)
#define ANON	   (MAP_PRIVATE | MAP_ANONYMOUS)
#define MIB	   ((size_t)1 << 20)
#define TIB	   ((size_t)1 << 40)

static const char *truth;
static size_t count;

static void touch(char *at, bool write)
{
	char value = 1;

	printf("%c", acts_touch(at, write, &value));
}

/* ---- many mappings ---- */

/* How many mappings /proc/self/maps has from `start` on, below `end`. */
static size_t mappings_between(const char *start, const char *end)
{
	size_t mappings = 0, from, room = 0;
	char *line = NULL;
	FILE *file = fopen("/proc/self/maps", "re");

	if (!file)
		truth_fail("maps");
	while (getline(&line, &room, file) > 0)
		if (sscanf(line, "%zx-", &from) == 1 && from >= (size_t)start && from < (size_t)end)
			mappings++;
	free(line);
	fclose(file);
	return mappings;
}

/* No two neighbours are alike, so that each is a mapping of its own. */
static int many_mappings(void)
{
	char *start = acts_arena(0);
	size_t done = 0;

	acts_own(start, count);
	for (size_t i = 0; i < count; i++)
		done += acts_map("anon", start + i * PAGE, PAGE, i % 2 ? PROT_READ : READ_WRITE,
			    ANON | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
	printf("%zu of %zu mapped, %zu mappings\n", done, count,
	    mappings_between(start, start + count * PAGE));
	for (size_t i = 0; i < count; i += 20)
		touch(start + i * PAGE, true);
	/* Those that become alike become one. */
	printf("\n%s ", acts_outcome(acts_protect(start, count / 2 * PAGE, READ_WRITE) == 0));
	printf("%zu mappings\n", mappings_between(start, start + count * PAGE));
	for (size_t i = 5; i < count / 2; i += 10)
		touch(start + i * PAGE, true);
	/* Not before: the kernel takes what userfaultfd has filled for memory that was written to,
	   which becomes one with less of its kind. */
	for (size_t i = 10; i < count; i += 20)
		touch(start + i * PAGE, false);
	for (size_t i = 0; i < count; i += 4)
		done -= acts_unmap(start + i * PAGE, PAGE) == 0;
	printf(
	    "\n%zu are left, %zu mappings\n", done, mappings_between(start, start + count * PAGE));
	printf("%s\n", acts_outcome(acts_unmap(start, count * PAGE) == 0));
	return 0;
}

/* Until there are no more to be had: what is there is as it was. */
static int all_mappings(void)
{
	char *start = acts_arena(0);
	size_t most = 65530, done = 0;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	if (!file || fscanf(file, "%zu", &most) != 1)
		truth_fail("max_map_count");
	fclose(file);
	acts_own(start, most);
	while (done < most &&
	       acts_map("anon", start + done * PAGE, PAGE, done % 2 ? PROT_READ : READ_WRITE,
		   ANON | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED)
		done++;
	printf("%s ", acts_outcome(done == most));
	printf("%s\n", done > most - 256 ? "nearly all" : "too few");
	for (size_t i = 0; i < 2000; i += 10)
		touch(start + i * PAGE, i % 20 == 0);
	/* Cutting one in three takes two more. */
	printf("\n%s ", acts_outcome(acts_unmap(start, done * PAGE) == 0));
	printf("%zu mappings\n", mappings_between(start, start + done * PAGE));
	return 0;
}

/* ---- a reservation ---- */

static int reservation(void)
{
	size_t size = 16 * TIB, stride = size / count / PAGE * PAGE;
	char *start = acts_map("anon", NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	printf("16 TiB: %s\n", acts_outcome(start != MAP_FAILED));
	if (start == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < count; i++) {
		char *piece = start + i * stride;

		/* By either of the ways that there are. */
		if (i % 2)
			printf("%s", acts_protect(piece, 4 * PAGE, READ_WRITE) == 0 ? "p" : "!");
		else
			printf("%s", acts_map("anon", piece, 4 * PAGE, READ_WRITE, ANON | MAP_FIXED,
					 -1, 0) == piece
					 ? "m"
					 : "!");
		touch(piece, true);
		touch(piece + PAGE, false);
		touch(piece + 4 * PAGE, false);
	}
	for (size_t i = 0; i < count; i += 3) {
		char *piece = start + i * stride;

		printf("%s", acts_map("anon", piece, 4 * PAGE, PROT_NONE,
				 ANON | MAP_FIXED | MAP_NORESERVE, -1, 0) == piece
				 ? "d"
				 : "!");
		touch(piece, false);
	}
	printf("\nDONTNEED %s ",
	    acts_outcome(acts_advise(start, size, "DONTNEED", MADV_DONTNEED) == 0));
	touch(start + PAGE, false);
	printf(" unmapped %s\n", acts_outcome(acts_unmap(start, size) == 0));
	return 0;
}

/* ---- refusals ---- */

/* More than there is: the kernel's guess, and what needs no memory. */
static int overcommit(void)
{
	static const int flags[] = {ANON, ANON | MAP_NORESERVE, MAP_SHARED | MAP_ANONYMOUS,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE};

	for (size_t i = 0; i < 4; i++)
		for (size_t tib = 1; tib <= 256; tib *= 4) {
			char *at = mmap(NULL, tib * TIB, READ_WRITE, flags[i], -1, 0);

			printf("%zu TiB %#x: %s\n", tib, (unsigned)flags[i],
			    acts_outcome(at != MAP_FAILED));
			if (at == MAP_FAILED)
				continue;
			at[0] = 1;
			at[tib * TIB - 1] = 2;
			printf("%d %d\n", at[0], at[tib * TIB - 1]);
			munmap(at, tib * TIB);
		}
	return 0;
}

static size_t status_kib(const char *what)
{
	char line[256];
	size_t kib = 0, length = strlen(what);
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, what, length) == 0 && sscanf(line + length, ": %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void *nothing(void *unused)
{
	return unused;
}

/* RLIMIT_AS: so much more than there is. */
static int space(void)
{
	struct rlimit limit;
	char *blocks[256];
	size_t blocks_count = 0;
	pthread_t thread;
	int error;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = status_kib("VmSize") * 1024 + 64 * MIB + MIB / 2;
	printf("%s ", acts_outcome(setrlimit(RLIMIT_AS, &limit) == 0));
	while (blocks_count < 256) {
		char *at = mmap(NULL, MIB, READ_WRITE, ANON, -1, 0);

		if (at == MAP_FAILED)
			break;
		blocks[blocks_count++] = at;
		at[MIB / 2] = 1;
	}
	printf("%zu MiB, then %s\n", blocks_count, acts_outcome(false));
	printf("malloc %s ", acts_outcome(malloc(MIB) != NULL));
	printf("grown %s ",
	    acts_outcome(mremap(blocks[0], MIB, 2 * MIB, MREMAP_MAYMOVE) != MAP_FAILED));
	error = pthread_create(&thread, NULL, nothing, NULL);
	printf("thread %s\n", error ? strerrorname_np(error) : "done");
	/* What is there goes on, and what is given back can be had again. */
	for (size_t i = 0; i < blocks_count; i++)
		blocks[i][0] = (char)i;
	munmap(blocks[1], MIB);
	blocks[1] = mmap(NULL, MIB, READ_WRITE, ANON, -1, 0);
	printf("again %s ", acts_outcome(blocks[1] != MAP_FAILED));
	blocks[1][0] = 7;
	for (size_t i = 0; i < blocks_count; i++)
		printf("%d", blocks[i][0]);
	printf("\n");
	return 0;
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) != 0)
		truth_fail("capget");
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &header, data) != 0)
		truth_fail("capset");
}

/* RLIMIT_MEMLOCK, of one who may not lock more. */
static int locks(void)
{
	static const char nothing_there[] = "00000000";
	struct rlimit limit = {64 * PAGE, 64 * PAGE};
	char *at = acts_arena(0);
	size_t done = 0;

	acts_own(at, 4096);
	drop_ipc_lock();
	printf("%s\n", acts_outcome(setrlimit(RLIMIT_MEMLOCK, &limit) == 0));
	for (size_t i = 0; i < 12; i++) {
		char *field = acts_map("anon", at, 8 * PAGE, READ_WRITE, ANON | MAP_FIXED, -1, 0);

		at += 16 * PAGE;
		if (mlock(field, 8 * PAGE) != 0)
			break;
		acts_note_touched(field, 8, nothing_there, "write");
		done++;
	}
	printf("%zu locked, then %s, %zu KiB\n", done, acts_outcome(false), status_kib("VmLck"));
	printf("unlocked %s ", acts_outcome(munlock(acts_arena(0), 16 * PAGE) == 0));
	printf("%zu KiB\n", status_kib("VmLck"));
	printf("MAP_LOCKED %s\n",
	    acts_outcome(acts_map("anon", at, 16 * PAGE, READ_WRITE, ANON | MAP_FIXED | MAP_LOCKED,
			     -1, 0) != MAP_FAILED));
	printf("all there is %s\n", acts_outcome(mlockall(MCL_CURRENT) == 0));
	printf("mlockall %s\n", acts_outcome(mlockall(MCL_FUTURE) == 0));
	for (done = 0; done < 16; done++) {
		char *field;

		at += 16 * PAGE;
		field = acts_map("anon", at, 4 * PAGE, READ_WRITE, ANON | MAP_FIXED, -1, 0);
		if (field == MAP_FAILED)
			break;
		acts_note_touched(field, 4, nothing_there, "write");
	}
	printf("%zu mapped, then %s, %zu KiB\n", done, acts_outcome(false), status_kib("VmLck"));
	printf("munlockall %s ", acts_outcome(munlockall() == 0));
	printf("%zu KiB\n", status_kib("VmLck"));
	return 0;
}

/* ---- memory that is only read ---- */

/* What the mapping that begins at `start` has in memory. */
static size_t resident_kib(const char *start)
{
	char line[256];
	uintptr_t from, to, wanted = (uintptr_t)start;
	size_t kib = 0;
	bool found = false;
	FILE *file = fopen("/proc/self/smaps", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			found = from == wanted;
		else if (found && sscanf(line, "Rss: %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static int reading(void)
{
	char *at = acts_arena(0);

	acts_own(at, count);
	if (acts_map("anon", at, count * PAGE, READ_WRITE, ANON | MAP_FIXED, -1, 0) != at)
		return 1;
	for (size_t i = 0; i < count; i++)
		touch(at + i * PAGE, false);
	printf("\nread: %zu KiB\n", resident_kib(at));
	for (size_t i = 0; i < count; i += 2)
		touch(at + i * PAGE, true);
	printf("\nhalf of it written: %zu KiB\n", resident_kib(at));
	return 0;
}

static const struct acts_work works[] = {
    {"mappings", many_mappings},
    {"all-mappings", all_mappings},
    {"reservation", reservation},
    {"overcommit", overcommit},
    {"space", space},
    {"locks", locks},
    {"reading", reading},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	return acts_run(works, argv[1], truth);
}
