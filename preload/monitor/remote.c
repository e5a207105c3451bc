/* SPDX-License-Identifier: MIT */
/* remote.c: reads a traced process's memory without ever faulting a page in. */
#include "rights.h"
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES  UINT64_C(4096)
#define PIECES_MAX  72u
#define ENTRIES	    512u
#define PRESENT	    (UINT64_C(1) << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define SWAPPED	    (UINT64_C(1) << 62)
#define PROTECTED   (UINT64_C(1) << 57)
#define SCAN_RUNS   128u
#define GUARD_NS    100000000		 /* a read takes microseconds */
#define STUCK_TURNS 20u			 /* two seconds: the read waits for somebody else */
#define PAGEMAP_MAX (UINT64_C(64) << 20) /* without PAGEMAP_SCAN no further than this */

/*
 * The guard. A page can go between the look at it and the read (MADV_DONTNEED of live stack,
 * say), and then the read waits for a page that only the reading thread would serve. A second
 * thread sees a read that lasts too long and serves whatever that userfaultfd asks for.
 */
static struct {
	uint64_t turn; /* atomic: odd while a read is on */
	int uffd;      /* atomic: of the process that is read */
	uint64_t rescues;
} guard = {.uffd = -1};

static void guard_enter(int uffd)
{
	__atomic_store_n(&guard.uffd, uffd, __ATOMIC_RELAXED);
	__atomic_fetch_add(&guard.turn, 1, __ATOMIC_RELEASE);
}

static void guard_leave(void)
{
	__atomic_fetch_add(&guard.turn, 1, __ATOMIC_RELEASE);
}

static void rescue(int uffd)
{
	struct uffd_msg m;

	while (read(uffd, &m, sizeof(m)) == (ssize_t)sizeof(m)) {
		uint64_t page = m.arg.pagefault.address & ~(PAGE_BYTES - 1);

		if (m.event != UFFD_EVENT_PAGEFAULT)
			continue;
		__atomic_fetch_add(&guard.rescues, 1, __ATOMIC_RELAXED);
		if (uffd_fill(uffd, UFFD_FILL_ZEROPAGE, page, PAGE_BYTES, true) < 0)
			uffd_wake(uffd, page, PAGE_BYTES);
	}
}

static bool read_task(pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, size - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

/* Whether the reader waits for a page, and not for a lock or a processor, as it may for long on a
   busy machine. What the kernel does not tell is taken for granted. */
static bool waits_for_page(pid_t reader)
{
	char text[512];
	const char *end;

	if (read_task(reader, "wchan", text, sizeof(text)) && strcmp(text, "0") != 0)
		return strcmp(text, "handle_userfault") == 0;
	if (!read_task(reader, "stat", text, sizeof(text)) || !(end = strrchr(text, ')')))
		return true;
	return strncmp(end, ") R", 3) != 0;
}

static void *watch(void *reader)
{
	const struct timespec nap = {.tv_nsec = GUARD_NS};
	uint64_t last = 0;
	unsigned stuck = 0;

	for (;;) {
		uint64_t turn = __atomic_load_n(&guard.turn, __ATOMIC_ACQUIRE);

		stuck = (turn & 1) && turn == last && waits_for_page((pid_t)(intptr_t)reader)
			    ? stuck + 1
			    : 0;
		if (stuck >= STUCK_TURNS)
			_exit(1); /* closes every userfaultfd: the programs run on natively */
		if (stuck)
			rescue(__atomic_load_n(&guard.uffd, __ATOMIC_RELAXED));
		last = turn;
		nanosleep(&nap, NULL);
	}
	return NULL;
}

int remote_guard_start(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, watch, (void *)(intptr_t)gettid());

	if (error == 0)
		pthread_detach(thread);
	return -error;
}

uint64_t remote_rescues(void)
{
	return __atomic_exchange_n(&guard.rescues, 0, __ATOMIC_RELAXED);
}

static int pagemap_open(int32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	return rights_open_proc(path);
}

/* The page map of the process that was read last: most often it is read again. */
static struct {
	uint32_t number;
	int fd;
} kept = {.fd = -1};

static void forget_kept(void)
{
	if (kept.fd >= 0)
		close(kept.fd);
	kept.fd = -1;
}

void remote_forget(const struct process *p)
{
	if (kept.number == p->number)
		forget_kept();
}

static int pagemap_of(const struct process *p)
{
	if (kept.fd < 0 || kept.number != p->number) {
		forget_kept();
		kept.number = p->number;
		kept.fd = pagemap_open(process_memory(p));
	}
	return kept.fd;
}

/* In shared memory what is protected may be the mark of a page that is missing. */
static bool is_in_memory(uint64_t entry)
{
	return (entry & PRESENT) || ((entry & SWAPPED) && !(entry & PROTECTED));
}

/* How much of [address, address + size) is in memory, or was swapped out, from its start. */
static uint64_t present_bytes(const struct process *p, uint64_t address, uint64_t size)
{
	uint64_t entries[ENTRIES], first = address / PAGE_BYTES;
	uint64_t pages = (address + size + PAGE_BYTES - 1) / PAGE_BYTES - first, present = 0;
	int fd = pagemap_of(p);
	ssize_t got;

	if (fd < 0)
		return 0;
	if (pages > ENTRIES)
		pages = ENTRIES;
	got = pread(fd, entries, pages * 8, (off_t)(first * 8));
	while (got > 0 && present < (uint64_t)got / 8 && is_in_memory(entries[present]))
		present++;
	if (!present)
		return 0;
	present = (first + present) * PAGE_BYTES - address;
	return present < size ? present : size;
}

bool remote_is_present(const struct process *p, uint64_t page)
{
	return present_bytes(p, page, PAGE_BYTES) > 0;
}

bool remote_is_protected(const struct process *p, uint64_t page)
{
	uint64_t entry = 0;
	int fd = pagemap_of(p);

	return fd >= 0 &&
	       pread(fd, &entry, sizeof(entry), (off_t)(page / PAGE_BYTES * 8)) ==
		   (ssize_t)sizeof(entry) &&
	       (entry & PRESENT) && (entry & PROTECTED);
}

bool remote_holds(int32_t pid, uint64_t page)
{
	int fd = pagemap_open(pid);
	uint64_t entry = 0;
	bool holds;

	if (fd < 0)
		return false;
	holds = pread(fd, &entry, sizeof(entry), (off_t)(page / PAGE_BYTES * 8)) ==
		    (ssize_t)sizeof(entry) &&
		is_in_memory(entry);
	close(fd);
	return holds;
}

/*
 * The part of the range, from its start, that can be read without waiting for ourselves, and
 * without bringing in a page that the program has not touched yet. No stack goes on in the next
 * region: that may be on its way out, and what is mapped in its place would be read in.
 */
static size_t safe_bytes(const struct process *p, uint64_t address, size_t size)
{
	uint64_t end = address + size;
	const struct interval *foreign, *region = interval_next(&p->regions, address);

	if (region) {
		uint64_t border = region->start > address ? region->start : region->end;

		end = border < end ? border : end;
	}
	/* The doorbell is registered as well, though it is no region of the program's. */
	if (address < p->doorbell_end && end > p->doorbell) {
		if (address >= p->doorbell)
			return 0;
		end = p->doorbell;
	}
	foreign = interval_next(&p->foreign, address);
	if (foreign && foreign->start < end) {
		if (foreign->start <= address)
			return 0;
		end = foreign->start;
	}
	return present_bytes(p, address, end - address);
}

size_t remote_read(struct process *p, uint64_t address, void *to, size_t size)
{
	struct iovec local = {to, 0}, remote[PIECES_MAX];
	uint64_t at = address, end;
	unsigned pieces = 0;
	ssize_t got;

	if (address + size < address)
		return 0;
	size = safe_bytes(p, address, size);
	/* A read stops at the first piece that is not mapped, so pieces are pages. */
	for (end = address + size; at < end && pieces < PIECES_MAX; pieces++) {
		uint64_t next = (at & ~(PAGE_BYTES - 1)) + PAGE_BYTES;

		if (next > end)
			next = end;
		remote[pieces] = (struct iovec){(void *)at, next - at};
		at = next;
	}
	local.iov_len = at - address;
	if (!pieces)
		return 0;
	guard_enter(p->uffd);
	got = process_vm_readv(process_memory(p), &local, 1, remote, pieces, 0);
	if (got < 0 && errno == ESRCH && !p->leader_ended) {
		p->leader_ended = true;
		got = process_vm_readv(process_memory(p), &local, 1, remote, pieces, 0);
	}
	guard_leave();
	return got > 0 ? (size_t)got : 0;
}

static int present_by_pagemap(int fd, uint64_t start, uint64_t end,
    void (*take)(void *context, uint64_t page, enum remote_page kind), void *context)
{
	uint64_t entries[ENTRIES];

	if (end - start > PAGEMAP_MAX)
		end = start + PAGEMAP_MAX;
	for (uint64_t page = start; page < end;) {
		uint64_t count = (end - page) / PAGE_BYTES;
		ssize_t got = pread(fd, entries, (count < ENTRIES ? count : ENTRIES) * 8,
		    (off_t)(page / PAGE_BYTES * 8));

		if (got <= 0)
			return got < 0 ? -errno : 0;
		for (ssize_t i = 0; i < got / 8; i++, page += PAGE_BYTES)
			if (entries[i] & PRESENT)
				take(context, page, entries[i] & PROTECTED ? REMOTE_PROTECTED : 0);
	}
	return 0;
}

static enum remote_page kind_of(uint64_t categories)
{
	return (categories & FL_PAGE_IS_PFNZERO ? REMOTE_ZERO : 0) |
	       (categories & FL_PAGE_IS_WRITTEN ? 0 : REMOTE_PROTECTED);
}

int remote_present(struct process *p, uint64_t start, uint64_t end,
    void (*take)(void *context, uint64_t page, enum remote_page kind), void *context)
{
	struct fl_page_region runs[SCAN_RUNS];
	int fd = pagemap_open(process_memory(p)), error = 0;

	if (fd < 0)
		return -errno;
	while (start < end) {
		struct fl_pm_scan_arg scan = {.size = sizeof(scan),
		    .start = start,
		    .end = end,
		    .vec = (uint64_t)runs,
		    .vec_len = SCAN_RUNS,
		    .category_mask = FL_PAGE_IS_PRESENT,
		    .return_mask = FL_PAGE_IS_PRESENT | FL_PAGE_IS_PFNZERO | FL_PAGE_IS_WRITTEN};
		int found = ioctl(fd, FL_PAGEMAP_SCAN, &scan);

		if (found < 0) {
			error = errno == ENOTTY ? present_by_pagemap(fd, start, end, take, context)
						: -errno;
			break;
		}
		for (int i = 0; i < found; i++)
			for (uint64_t page = runs[i].start; page < runs[i].end; page += PAGE_BYTES)
				take(context, page, kind_of(runs[i].categories));
		if (scan.walk_end <= start)
			break;
		start = scan.walk_end;
	}
	close(fd);
	return error;
}
