/* SPDX-License-Identifier: MIT */
/*
 * geometry: maps, maps over, cuts, moves, protects and gives back memory, in random and in chosen
 * order, and touches what is there.
 *
 *   geometry WHAT TRUTH [SEED [COUNT]]
 *
 * Prints what each call returned, what each touch met, and what mincore(2) says.
 */
#include "acts.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/wait.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define ARENA	   ((size_t)128) /* pages */
#define READ_WRITE (PROT_READ | PROT_WRITE)
#define ANON	   (MAP_PRIVATE | MAP_ANONYMOUS)
#define THREADS	   4

enum kind { NOTHING, PRIVATE, SHARED, MEMFD, OTHER };

/* What the generator has to know of a page, so that it asks for what makes sense. */
struct place {
	enum kind kind;
	unsigned piece; /* pages of one mapping have the same */
	int prot;
};

struct field {
	char *arena;
	struct place places[ARENA];
	unsigned seed, pieces;
	int memfd;
	size_t memfd_pages;
	char text[1 << 16]; /* what is to be printed */
	size_t length;
};

static const char *truth;

static void say(struct field *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct field *f, const char *format, ...)
{
	va_list rest;

	va_start(rest, format);
	f->length +=
	    (size_t)vsnprintf(f->text + f->length, sizeof(f->text) - f->length, format, rest);
	va_end(rest);
	if (f->length >= sizeof(f->text))
		truth_fail("too much to say");
}

static unsigned pick(struct field *f, unsigned below)
{
	return (unsigned)rand_r(&f->seed) % below;
}

static char *at(struct field *f, size_t page)
{
	return f->arena + page * PAGE;
}

static void set(struct field *f, size_t first, size_t pages, enum kind kind, int prot)
{
	f->pieces++;
	for (size_t i = first; i < first + pages; i++)
		f->places[i] = (struct place){kind, f->pieces, prot};
}

/* How many pages from `first` on, at most `most`, are of one mapping. */
static size_t same_piece(struct field *f, size_t first, size_t most)
{
	size_t count = 1;

	while (count < most && first + count < ARENA &&
	       f->places[first + count].piece == f->places[first].piece)
		count++;
	return count;
}

/* ---- single acts ---- */

static void map_at(struct field *f, size_t first, size_t pages, enum kind kind, int prot, int flags)
{
	static const char *const details[] = {"", "anon", "shared", "memfd", "other"};
	int fd = -1, sharing = kind == PRIVATE || kind == OTHER ? MAP_PRIVATE : MAP_SHARED;
	off_t offset = 0;
	char *got;

	if (kind == MEMFD) { /* no page of the file is mapped twice */
		fd = f->memfd;
		offset = (off_t)(f->memfd_pages * PAGE);
		f->memfd_pages += pages;
		if (ftruncate(fd, (off_t)(f->memfd_pages * PAGE)) != 0)
			truth_fail("ftruncate");
	} else if (kind == OTHER) {
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		prot &= PROT_READ;
	} else {
		sharing |= MAP_ANONYMOUS;
	}
	got = acts_map(details[flags & MAP_GROWSDOWN ? OTHER : kind], at(f, first), pages * PAGE,
	    prot, sharing | flags, fd, offset);
	say(f, "map %s %d at %zu+%zu: %s\n", details[kind], prot, first, pages,
	    acts_outcome(got != MAP_FAILED));
	if (kind == OTHER)
		close(fd);
	if (got != MAP_FAILED)
		set(f, first, pages, kind, prot);
}

static void unmap_at(struct field *f, size_t first, size_t pages)
{
	int result = acts_unmap(at(f, first), pages * PAGE);

	say(f, "unmap %zu+%zu: %s\n", first, pages, acts_outcome(result == 0));
	if (result == 0)
		set(f, first, pages, NOTHING, 0);
}

static void remap_to(
    struct field *f, size_t first, size_t pages, size_t to, size_t new_pages, int flags)
{
	struct place from = f->places[first];
	size_t kept = pages < new_pages ? pages : new_pages;
	struct place moved[ARENA];
	char *got = acts_remap(
	    at(f, first), pages * PAGE, new_pages * PAGE, flags, flags ? at(f, to) : NULL);

	say(f, "remap %d %zu+%zu to %zu+%zu: %s\n", flags, first, pages, to, new_pages,
	    acts_outcome(got != MAP_FAILED));
	if (got == MAP_FAILED)
		return;
	memcpy(moved, &f->places[first], kept * sizeof(moved[0]));
	if (!(flags & MREMAP_DONTUNMAP) && pages)
		set(f, first, pages, NOTHING, 0);
	set(f, to, new_pages, from.kind, from.prot);
	for (size_t i = kept; i < new_pages; i++)
		moved[i] = kept ? moved[kept - 1] : f->places[to];
	memcpy(&f->places[to], moved, new_pages * sizeof(moved[0]));
}

static void touch_at(struct field *f, size_t page, bool write)
{
	char value = (char)(page + 1);
	char met = acts_touch(at(f, page) + page * 72 % (PAGE - 8), write, &value);

	say(f, "%c%zu:%c%d ", write ? 'w' : 'r', page, met, met == 'S' ? 0 : value);
}

static void advise_at(
    struct field *f, size_t first, size_t pages, const char *name, int advice, const char *access)
{
	char before[ARENA + 1];
	int result;

	acts_look(at(f, first), pages, before);
	result = acts_advise(at(f, first), pages * PAGE, name, advice);
	say(f, "%s %zu+%zu: %s\n", name, first, pages, acts_outcome(result == 0));
	if (access && result == 0)
		acts_note_touched(at(f, first), pages, before, access);
}

static void look(struct field *f)
{
	char present[ARENA + 1];

	acts_look(f->arena, ARENA, present);
	for (size_t i = 0; i < ARENA; i++)
		if (f->places[i].kind == OTHER)
			present[i] = 'f'; /* what of a file is in memory is not the program's */
	say(f, "%s\n", present);
}

/* ---- random acts ---- */

static void touch_some(struct field *f)
{
	for (int i = 0; i < 6; i++) {
		size_t page = pick(f, ARENA);

		if (f->places[page].kind != OTHER)
			touch_at(f, page, pick(f, 2));
	}
	say(f, "\n");
}

static bool allows(struct field *f, size_t first, size_t pages, int prot)
{
	for (size_t i = first; i < first + pages; i++)
		if (!(f->places[i].prot & prot))
			return false;
	return true;
}

static void advise(struct field *f, size_t first, size_t pages)
{
	enum kind kind = f->places[first].kind;
	size_t piece = same_piece(f, first, pages);

	switch (pick(f, 6)) {
	case 0:
		if (kind == PRIVATE)
			advise_at(f, first, piece, "FREE", MADV_FREE, NULL);
		break;
	case 1:
		if (kind == SHARED || kind == MEMFD)
			advise_at(f, first, piece, "REMOVE", MADV_REMOVE, NULL);
		break;
	case 2:
		if (kind != OTHER && allows(f, first, piece, PROT_READ))
			advise_at(f, first, piece, "POPULATE_READ", MADV_POPULATE_READ, "read");
		break;
	case 3:
		if (kind != OTHER && allows(f, first, piece, PROT_WRITE))
			advise_at(f, first, piece, "POPULATE_WRITE", MADV_POPULATE_WRITE, "write");
		break;
	default:
		advise_at(f, first, pages, "DONTNEED", MADV_DONTNEED, NULL);
	}
}

static void protect(struct field *f, size_t first, size_t pages)
{
	static const int kinds[] = {PROT_NONE, PROT_READ, READ_WRITE, READ_WRITE};
	int prot = kinds[pick(f, 4)];
	int result = acts_protect(at(f, first), pages * PAGE, prot);

	say(f, "protect %d %zu+%zu: %s\n", prot, first, pages, acts_outcome(result == 0));
	for (size_t i = first; i < first + pages && f->places[i].kind != NOTHING; i++)
		f->places[i].prot = prot;
}

static void remap(struct field *f, size_t first, size_t pages)
{
	size_t piece = same_piece(f, first, pages), to = pick(f, (unsigned)(ARENA - 2 * pages));
	enum kind kind = f->places[first].kind;

	if (kind == NOTHING || kind == OTHER)
		return;
	if (to + 2 * pages > first && to < first + pages)
		return;
	switch (pick(f, 6)) {
	case 0: /* smaller */
		remap_to(f, first, piece, first, (piece + 1) / 2, 0);
		break;
	case 1: /* larger, where it is; a memfd ends there */
		if (kind == PRIVATE && first + piece + 2 < ARENA)
			remap_to(f, first, piece, first, piece + 2, 0);
		break;
	case 2:
		remap_to(f, first, piece, to, piece, MREMAP_MAYMOVE | MREMAP_FIXED);
		break;
	case 3:
		if (kind == PRIVATE)
			remap_to(
			    f, first, piece, to, piece + pages / 2, MREMAP_MAYMOVE | MREMAP_FIXED);
		break;
	case 4:
		remap_to(
		    f, first, piece, to, piece, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP);
		break;
	default: /* several mappings at once */
		for (size_t i = first; i < first + pages; i++)
			if (f->places[i].kind == NOTHING || f->places[i].kind == OTHER)
				return;
		remap_to(f, first, pages, to, pages, MREMAP_MAYMOVE | MREMAP_FIXED);
	}
}

static void act_randomly(struct field *f)
{
	static const enum kind kinds[] = {PRIVATE, PRIVATE, PRIVATE, SHARED, MEMFD, OTHER};
	size_t pages = 1 + pick(f, 12), first = pick(f, (unsigned)(ARENA - pages));

	acts_by = pick(f, 2) ? ACTS_LIBC : ACTS_SYSCALL;
	switch (pick(f, 12)) {
	case 0:
	case 1:
		map_at(f, first, pages, kinds[pick(f, 6)], READ_WRITE, MAP_FIXED);
		break;
	case 2:
		map_at(f, first, pages, PRIVATE, PROT_NONE, MAP_FIXED);
		break;
	case 3:
		map_at(f, first, pages, kinds[pick(f, 5)], READ_WRITE, MAP_FIXED_NOREPLACE);
		break;
	case 4:
		unmap_at(f, first, pages);
		break;
	case 5:
		protect(f, first, pages);
		break;
	case 6:
	case 7:
		remap(f, first, pages);
		break;
	case 8:
		advise(f, first, pages);
		break;
	default:
		touch_some(f);
	}
}

/* What was mapped by the instruction itself is registered when the kernel has told. */
static void settle(struct field *f, size_t page)
{
	if (acts_by == ACTS_RAW)
		acts_settle(at(f, page));
}

static void open_field(struct field *f, size_t number, unsigned seed)
{
	f->arena = acts_arena(number);
	f->seed = seed;
	f->memfd = memfd_create("geometry", MFD_CLOEXEC);
	if (f->memfd < 0)
		truth_fail("memfd_create");
	acts_own(f->arena, ARENA);
	map_at(f, 0, ARENA, PRIVATE, READ_WRITE, MAP_FIXED);
	settle(f, 0);
}

static struct field fields[THREADS];
static unsigned seed, count;

static void run(struct field *f)
{
	for (unsigned i = 0; i < count; i++) {
		act_randomly(f);
		if (i % 16 == 15)
			look(f);
	}
}

static int in_random_order(void)
{
	open_field(&fields[0], 0, seed);
	run(&fields[0]);
	return 0;
}

static NOINLINE void *run_thread(void *number)
{
	size_t i = (size_t)number;

	open_field(&fields[i], i, seed + (unsigned)i);
	run(&fields[i]);
	return NULL;
}

static int in_threads(void)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run_thread, (void *)i) != 0)
			truth_fail("pthread_create");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/*
 * Gives back what may be the kernel's shared page of zeros. A child inherits that of memory that
 * has ever been written to, and the kernel takes what userfaultfd has filled for such memory.
 */
static void give_back_zeros(struct field *f)
{
	static const char zeros[PAGE];
	char present[ARENA + 1];

	acts_look(f->arena, ARENA, present);
	for (size_t i = 0; i < ARENA; i++)
		if (f->places[i].kind == PRIVATE && present[i] == '1' &&
		    (!(f->places[i].prot & PROT_READ) || memcmp(at(f, i), zeros, PAGE) == 0))
			advise_at(f, i, 1, "DONTNEED", MADV_DONTNEED, NULL);
}

/* A child goes on where its parent was, which waits for it and then goes on, too. */
static int in_children(void)
{
	struct field *f = &fields[0];

	open_field(f, 0, seed);
	for (int i = 0; i < 3; i++) {
		int status;
		pid_t pid;

		run(f);
		give_back_zeros(f);
		pid = fork();
		if (pid == 0) {
			acts_forked();
			f->length = 0;
			acts_own(f->arena, ARENA);
			f->seed += 100;
			run(f);
			acts_write(truth, "a");
			fwrite(f->text, 1, f->length, stdout);
			fflush(stdout);
			_exit(0);
		}
		acts_note_child(pid);
		if (waitpid(pid, &status, 0) != pid || status != 0)
			truth_fail("a child failed");
	}
	return 0;
}

/* ---- chosen acts ---- */

static void touch_all(struct field *f, size_t first, size_t pages, bool write)
{
	for (size_t i = first; i < first + pages; i++)
		touch_at(f, i, write);
	say(f, "\n");
}

static void map_and_settle(struct field *f, size_t first, size_t pages, enum kind kind, int flags)
{
	map_at(f, first, pages, kind, READ_WRITE, flags);
	settle(f, first);
}

/* Grows where it is, and then where it cannot stay; a part is left behind. */
static void grow(struct field *f)
{
	map_and_settle(f, 0, 4, PRIVATE, MAP_FIXED);
	touch_all(f, 0, 2, true);
	remap_to(f, 0, 4, 0, 8, 0);
	touch_all(f, 2, 6, false);
	map_and_settle(f, 8, 2, PRIVATE, MAP_FIXED);
	remap_to(f, 0, 8, 0, 12, 0); /* there is no room */
	remap_to(f, 0, 8, 20, 12, MREMAP_MAYMOVE | MREMAP_FIXED);
	touch_all(f, 28, 4, true);
	remap_to(f, 20, 12, 40, 6, MREMAP_MAYMOVE | MREMAP_FIXED); /* smaller as well */
	touch_all(f, 40, 6, true);
	remap_to(f, 40, 6, 50, 6, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP);
	touch_all(f, 40, 6, true);
	touch_all(f, 50, 6, false);
	unmap_at(f, 0, 60);
}

/* Where the kernel chooses, and back. */
static void wander(struct field *f)
{
	char *elsewhere;

	map_and_settle(f, 0, 6, PRIVATE, MAP_FIXED);
	touch_all(f, 0, 3, true);
	map_and_settle(f, 6, 1, PRIVATE, MAP_FIXED);
	elsewhere = acts_remap(at(f, 0), 6 * PAGE, 9 * PAGE, MREMAP_MAYMOVE, NULL);
	say(f, "elsewhere: %s\n", acts_outcome(elsewhere != MAP_FAILED));
	for (size_t i = 0; i < 9; i++) {
		char value = (char)i;

		say(f, "%c", acts_touch(elsewhere + i * PAGE + 8, true, &value));
	}
	elsewhere =
	    acts_remap(elsewhere, 9 * PAGE, 9 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(f, 10));
	say(f, "\nback: %s\n", acts_outcome(elsewhere == at(f, 10)));
	set(f, 10, 9, PRIVATE, READ_WRITE);
	set(f, 0, 6, NOTHING, 0);
	elsewhere =
	    acts_remap(at(f, 10), 9 * PAGE, 9 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	say(f, "left behind: %s\n", acts_outcome(elsewhere != MAP_FAILED));
	touch_all(f, 10, 9, true);
	say(f, "unmapped: %s\n", acts_outcome(acts_unmap(elsewhere, 9 * PAGE) == 0));
	unmap_at(f, 0, 20);
}

/* Shared memory: mapped twice, grown, holes punched. */
static void share(struct field *f)
{
	map_and_settle(f, 0, 6, SHARED, MAP_FIXED);
	touch_all(f, 0, 3, true);
	remap_to(f, 0, 0, 10, 6, MREMAP_MAYMOVE | MREMAP_FIXED); /* once more */
	touch_all(f, 10, 6, false);
	touch_all(f, 0, 6, true);
	advise_at(f, 0, 6, "DONTNEED", MADV_DONTNEED, NULL);
	touch_all(f, 0, 6, false);
	remap_to(f, 10, 6, 30, 6, MREMAP_MAYMOVE | MREMAP_FIXED);
	touch_all(f, 30, 6, true);
	remap_to(f, 30, 6, 40, 6, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP);
	touch_all(f, 30, 6, true);
	touch_all(f, 40, 6, true);
	unmap_at(f, 0, 50);
}

/* Over several regions at once, over holes, and over what is not traced. */
static void cover(struct field *f)
{
	for (size_t i = 0; i < 30; i += 3)
		map_and_settle(f, i, 2, i % 2 ? PRIVATE : SHARED, MAP_FIXED);
	map_at(f, 13, 3, OTHER, PROT_READ, MAP_FIXED);
	touch_all(f, 0, 13, true);
	map_and_settle(f, 4, 20, PRIVATE, MAP_FIXED);
	touch_all(f, 4, 20, false);
	map_at(f, 4, 20, PRIVATE, READ_WRITE, MAP_FIXED_NOREPLACE);
	map_at(f, 6, 4, OTHER, PROT_READ, MAP_FIXED);
	unmap_at(f, 5, 2);
	map_at(f, 10, 4, PRIVATE, READ_WRITE, MAP_FIXED | MAP_GROWSDOWN);
	touch_all(f, 14, 10, true);
	unmap_at(f, 0, 30);
	unmap_at(f, 0, 30);
}

/* What the kernel refuses changes nothing. */
static void ask_too_much(struct field *f)
{
	map_and_settle(f, 0, 8, PRIVATE, MAP_FIXED);
	touch_all(f, 0, 2, true);
	say(f, "%s ", acts_outcome(acts_unmap(at(f, 0) + 1, PAGE) == 0));
	say(f, "%s ", acts_outcome(acts_unmap(at(f, 0), 0) == 0));
	say(f, "%s ",
	    acts_outcome(acts_advise(at(f, 0) + 1, PAGE, "DONTNEED", MADV_DONTNEED) == 0));
	say(f, "%s ", acts_outcome(acts_advise(at(f, 0), PAGE, "DONTNEED", 12345) == 0));
	say(f, "%s ", acts_outcome(acts_remap(at(f, 0), PAGE, 0, 0, NULL) != MAP_FAILED));
	say(f, "%s ", acts_outcome(acts_remap(at(f, 0), PAGE, PAGE, 64, NULL) != MAP_FAILED));
	say(f, "%s ", acts_outcome(acts_remap(at(f, 7), 2 * PAGE, PAGE, 0, NULL) != MAP_FAILED));
	say(f, "%s ",
	    acts_outcome(
		acts_remap(at(f, 60), PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL) != MAP_FAILED));
	say(f, "%s ",
	    acts_outcome(acts_remap(at(f, 0), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     at(f, 2)) != MAP_FAILED));
	say(f, "%s\n",
	    acts_outcome(acts_map("anon", at(f, 0) + 1, PAGE, READ_WRITE, ANON | MAP_FIXED, -1,
			     0) != MAP_FAILED));
	touch_all(f, 0, 8, true);
	unmap_at(f, 0, 8);
}

/* Sizes that are no multiple of a page. */
static void round_up(struct field *f)
{
	char *got;

	got = acts_map("anon", at(f, 0), 3 * PAGE - 100, READ_WRITE, ANON | MAP_FIXED, -1, 0);
	say(f, "%s ", acts_outcome(got == at(f, 0)));
	set(f, 0, 3, PRIVATE, READ_WRITE);
	settle(f, 0);
	touch_all(f, 0, 3, true);
	got = acts_remap(got, 2 * PAGE + 1, 5 * PAGE - 1, MREMAP_MAYMOVE | MREMAP_FIXED, at(f, 10));
	say(f, "%s ", acts_outcome(got == at(f, 10)));
	set(f, 0, 3, NOTHING, 0);
	set(f, 10, 5, PRIVATE, READ_WRITE);
	touch_all(f, 10, 5, true);
	say(f, "%s ", acts_outcome(acts_advise(got, PAGE + 1, "DONTNEED", MADV_DONTNEED) == 0));
	touch_all(f, 10, 5, true);
	say(f, "%s\n", acts_outcome(acts_unmap(got, 4 * PAGE + 1) == 0));
}

static int in_chosen_order(enum acts_by by)
{
	static void (*const works[])(struct field *) = {
	    grow, wander, share, cover, ask_too_much, round_up};
	struct field *f = &fields[0];

	acts_by = by;
	open_field(f, 0, seed);
	unmap_at(f, 0, ARENA);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		works[i](f);
	return 0;
}

static int by_libc(void)
{
	return in_chosen_order(ACTS_LIBC);
}

static int by_syscall(void)
{
	return in_chosen_order(ACTS_SYSCALL);
}

static int by_instruction(void)
{
	return in_chosen_order(ACTS_RAW);
}

static const struct acts_work table[] = {
    {"libc", by_libc},
    {"syscall", by_syscall},
    {"raw", by_instruction},
    {"random", in_random_order},
    {"threads", in_threads},
    {"children", in_children},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
	int status;

	if (argc < 3)
		return 2;
	truth = argv[2];
	seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
	count = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 500;
	status = acts_run(table, argv[1], truth);
	for (size_t i = 0; i < THREADS; i++)
		fwrite(fields[i].text, 1, fields[i].length, stdout);
	return status;
}
