/* SPDX-License-Identifier: MIT */
/*
 * perf.c: opens, maps and reads perf's rings. Layouts are those of perf_event_open(2) for the
 * sample_type used here.
 */
#include "perf.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Every fault of the program leaves a sample, those that the kernel serves too: a fork or a large
 * file brings hundreds in a millisecond, and a busy machine can keep us from the CPU for ten. Some
 * 1,900 samples for each CPU, where many CPUs do not make that too much; users without
 * CAP_IPC_LOCK have a budget of locked pages, which the side-band needs a part of: at most 240.
 */
#define SAMPLE_RING_PAGES   256u
#define SAMPLE_RING_MOST    2048u
#define SAMPLE_RINGS_PAGES  16384u		/* of all CPUs */
#define FIND_BYTES	    (UINT64_C(1) << 20) /* perf_find_sample looks no further back */
#define SIDEBAND_RING_PAGES 32u

struct ring {
	int fd;
	struct perf_event_mmap_page *page;
	uint8_t *data;
	uint64_t size; /* of data: a power of two */
	uint64_t seen; /* samples: data_head at the last drain */
};

struct perf {
	struct perf_handler handler;
	struct ring *samples, *sideband;
	size_t samples_count, sideband_count;
	struct perf_sample scratch;
};

int perf_create(struct perf **perf, const struct perf_handler *handler)
{
	struct perf *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->handler = *handler;
	*perf = made;
	return 0;
}

static void ring_close(struct ring *ring)
{
	if (ring->page)
		munmap(ring->page, (size_t)sysconf(_SC_PAGESIZE) + ring->size);
	if (ring->fd >= 0)
		close(ring->fd);
}

void perf_destroy(struct perf *perf)
{
	if (!perf)
		return;
	for (size_t i = 0; i < perf->samples_count; i++)
		ring_close(&perf->samples[i]);
	for (size_t i = 0; i < perf->sideband_count; i++)
		ring_close(&perf->sideband[i]);
	free(perf->samples);
	free(perf->sideband);
	free(perf);
}

static int ring_open(struct ring *ring, struct perf_event_attr *attr, pid_t pid, int cpu,
    uint32_t pages, bool writable)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	*ring = (struct ring){.fd = -1};
	ring->fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return -errno;
	/* Users have a budget of locked pages: take what it allows. */
	for (;; pages /= 2) {
		at = mmap(NULL, (pages + 1) * page, writable ? PROT_READ | PROT_WRITE : PROT_READ,
		    MAP_SHARED, ring->fd, 0);
		if (at != MAP_FAILED)
			break;
		if (pages <= 4 || (errno != EPERM && errno != ENOMEM)) {
			int error = -errno;

			close(ring->fd);
			ring->fd = -1;
			return error;
		}
	}
	ring->page = at;
	ring->data = (uint8_t *)at + page;
	ring->size = pages * page;
	return 0;
}

static bool may_lock_memory(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[0].effective & (1u << CAP_IPC_LOCK));
}

static uint32_t sample_ring_pages(long cpus)
{
	uint32_t pages = SAMPLE_RING_PAGES;

	if (may_lock_memory())
		while (pages < SAMPLE_RING_MOST && 2 * pages * cpus <= SAMPLE_RINGS_PAGES)
			pages *= 2;
	return pages;
}

/* A sample takes about a page. The reader is woken when a quarter of the ring is new. */
static void samples_attr(struct perf_event_attr *attr, uint32_t pages)
{
	*attr = (struct perf_event_attr){
	    .size = sizeof(*attr),
	    .type = PERF_TYPE_SOFTWARE,
	    .config = PERF_COUNT_SW_PAGE_FAULTS,
	    .sample_period = 1,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |
			   PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
	    .sample_regs_user = arch_perf_mask,
	    .sample_stack_user = PERF_STACK_BYTES,
	    .inherit = 1,
	    .write_backward = 1,
	    .wakeup_events = pages / 4,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	};
}

/* Read before all that it bears on, and at each tick; its reader is woken when a quarter is new. */
static void sideband_attr(struct perf_event_attr *attr)
{
	*attr = (struct perf_event_attr){
	    .size = sizeof(*attr),
	    .type = PERF_TYPE_SOFTWARE,
	    .config = PERF_COUNT_SW_DUMMY,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .mmap = 1,
	    .mmap2 = 1,
	    .mmap_data = 1,
	    .comm = 1,
	    .comm_exec = 1,
	    .task = 1,
	    .inherit = 1,
	    .watermark = 1,
	    .wakeup_watermark = SIDEBAND_RING_PAGES * 4096 / 4,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	};
}

static int grow(struct ring **rings, size_t count)
{
	struct ring *bigger = realloc(*rings, count * sizeof(**rings));

	if (!bigger)
		return -ENOMEM;
	*rings = bigger;
	return 0;
}

/* For the samples of one CPU. */
static int samples_open(struct ring *ring, pid_t pid, int cpu, uint32_t pages)
{
	struct perf_event_attr attr;
	int error;

	samples_attr(&attr, pages);
	error = ring_open(ring, &attr, pid, cpu, pages, false);
	if (error == -EACCES || error == -EPERM) {
		/* perf_event_paranoid 2: user mode only; system calls stay unsampled. */
		attr.exclude_kernel = 1;
		error = ring_open(ring, &attr, pid, cpu, pages, false);
	}
	return error;
}

int perf_try(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int error = -ENODEV;

	for (int cpu = 0; error == -ENODEV && cpu < cpus; cpu++) {
		struct ring ring;

		error = samples_open(&ring, getpid(), cpu, 1);
		if (error == 0)
			ring_close(&ring);
	}
	return error;
}

int perf_open(struct perf *perf, pid_t pid, int epoll_fd, uint64_t epoll_data)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t samples = perf->samples_count, sideband = perf->sideband_count;
	uint32_t pages = sample_ring_pages(cpus);
	struct perf_event_attr attr;
	int error;

	if ((error = grow(&perf->samples, samples + (size_t)cpus)) < 0 ||
	    (error = grow(&perf->sideband, sideband + (size_t)cpus)) < 0)
		return error;
	for (int cpu = 0; cpu < cpus; cpu++) {
		struct epoll_event watch = {.events = EPOLLIN, .data.u64 = epoll_data};

		error = samples_open(&perf->samples[samples], pid, cpu, pages);
		if (error == -ENODEV) /* a CPU that is offline */
			continue;
		if (error < 0)
			goto fail;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, perf->samples[samples++].fd, &watch) < 0) {
			error = -errno;
			goto fail;
		}
		sideband_attr(&attr);
		attr.exclude_kernel = 1;
		error = ring_open(
		    &perf->sideband[sideband], &attr, pid, cpu, SIDEBAND_RING_PAGES, true);
		if (error < 0)
			goto fail;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, perf->sideband[sideband++].fd, &watch) < 0) {
			error = -errno;
			goto fail;
		}
	}
	perf->samples_count = samples;
	perf->sideband_count = sideband;
	return 0;
fail:
	while (samples > perf->samples_count)
		ring_close(&perf->samples[--samples]);
	while (sideband > perf->sideband_count)
		ring_close(&perf->sideband[--sideband]);
	return error;
}

void perf_unwatch_ended(struct perf *perf, int epoll_fd)
{
	struct ring *rings[] = {perf->samples, perf->sideband};
	size_t counts[] = {perf->samples_count, perf->sideband_count};

	for (size_t kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < counts[kind]; i++) {
			struct pollfd ring = {.fd = rings[kind][i].fd, .events = POLLIN};

			if (poll(&ring, 1, 0) > 0 && (ring.revents & POLLHUP))
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, ring.fd, NULL);
		}
}

/* ---- samples ---- */

/* Copies `size` bytes at ring position `at`, which may wrap. */
static void ring_copy(const struct ring *ring, uint64_t at, void *to, size_t size)
{
	uint64_t offset = at & (ring->size - 1);
	size_t first = ring->size - offset < size ? ring->size - offset : size;

	memcpy(to, ring->data + offset, first);
	memcpy((uint8_t *)to + first, ring->data, size - first);
}

struct sample_head {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t time, addr, abi;
};

/* Decodes the record at `at`. False when it is no sample. */
static bool decode(const struct ring *ring, uint64_t at, const struct sample_head *head,
    struct perf_sample *sample)
{
	uint64_t registers[ARCH_REGISTERS], size, room;

	if (head->header.type != PERF_RECORD_SAMPLE || head->header.size < sizeof(*head))
		return false;
	sample->pid = (int32_t)head->pid;
	sample->tid = (int32_t)head->tid;
	sample->ts = head->time;
	sample->addr = head->addr;
	sample->kernel =
	    (head->header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL;
	sample->has_registers = head->abi == PERF_SAMPLE_REGS_ABI_64;
	sample->stack_size = 0;
	if (!sample->has_registers)
		return true;
	at += sizeof(*head);
	room = head->header.size - sizeof(*head);
	if (room < sizeof(registers) + sizeof(size))
		return false;
	ring_copy(ring, at, registers, sizeof(registers));
	arch_from_perf(&sample->registers, registers);
	at += sizeof(registers);
	ring_copy(ring, at, &size, sizeof(size));
	room -= sizeof(registers) + sizeof(size);
	if (size > PERF_STACK_BYTES || size + sizeof(uint64_t) > room)
		return true; /* perf left the stack out */
	if (size) {
		uint64_t sampled;

		ring_copy(ring, at + sizeof(size) + size, &sampled, sizeof(sampled));
		sample->stack_size = (uint32_t)(sampled < size ? sampled : size);
		ring_copy(ring, at + sizeof(size), sample->stack, sample->stack_size);
	}
	return true;
}

/* Which samples are worth decoding. */
struct wanted {
	int32_t pid;
	uint64_t start, end;
};

static bool is_wanted(const struct wanted *wanted, const struct sample_head *head)
{
	return !wanted || (head->pid == (uint32_t)wanted->pid && head->addr >= wanted->start &&
			      head->addr < wanted->end);
}

/*
 * Walks one ring from the newer position `at` back to the older `end`. A record counts only when,
 * after it was copied, the writer has not come round to it. False when it had: older records are
 * gone.
 */
static bool walk(struct ring *ring, uint64_t at, uint64_t end, const struct wanted *wanted,
    struct perf_sample *sample, bool (*visit)(void *context, const struct perf_sample *sample),
    void *context)
{
	/* Positions count down from 0. */
	while (at != end) {
		struct sample_head head;
		bool is_sample;

		ring_copy(ring, at, &head, sizeof(head.header));
		if (head.header.size == 0 || (uint64_t)(end - at) < head.header.size)
			return false;
		if (head.header.size >= sizeof(head))
			ring_copy(ring, at, &head, sizeof(head));
		is_sample = head.header.size >= sizeof(head) && is_wanted(wanted, &head) &&
			    decode(ring, at, &head, sample);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		at += head.header.size;
		if (at - __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) > ring->size)
			return false;
		if (is_sample && !visit(context, sample))
			break;
	}
	return true;
}

struct taker {
	void (*take)(void *context, const struct perf_sample *sample);
	void *context;
};

static bool take_one(void *context, const struct perf_sample *sample)
{
	struct taker *taker = context;

	taker->take(taker->context, sample);
	return true;
}

bool perf_has_samples(const struct perf *perf)
{
	for (size_t i = 0; i < perf->samples_count; i++)
		if (__atomic_load_n(&perf->samples[i].page->data_head, __ATOMIC_ACQUIRE) !=
		    perf->samples[i].seen)
			return true;
	return false;
}

uint64_t perf_drain_samples(
    struct perf *perf, void (*take)(void *context, const struct perf_sample *sample), void *context)
{
	struct taker taker = {take, context};
	uint64_t overruns = 0;

	for (size_t i = 0; i < perf->samples_count; i++) {
		struct ring *ring = &perf->samples[i];
		uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
		uint64_t end = ring->seen;

		if (head == end)
			continue;
		overruns += !walk(ring, head, end, NULL, &perf->scratch, take_one, &taker);
		ring->seen = head;
	}
	return overruns;
}

struct finder {
	struct perf_sample *best;
	bool found;
};

static bool find_one(void *context, const struct perf_sample *sample)
{
	struct finder *finder = context;

	if (!finder->found || sample->ts > finder->best->ts)
		*finder->best = *sample;
	finder->found = true;
	return false;
}

bool perf_find_sample(
    struct perf *perf, int32_t pid, uint64_t start, uint64_t end, struct perf_sample *sample)
{
	struct wanted wanted = {pid, start, end};
	struct finder finder = {.best = sample};

	for (size_t i = 0; i < perf->samples_count; i++) {
		struct ring *ring = &perf->samples[i];
		uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
		uint64_t oldest = -head > FIND_BYTES ? head + FIND_BYTES : 0;

		walk(ring, head, oldest, &wanted, &perf->scratch, find_one, &finder);
	}
	return finder.found;
}

/* ---- side-band ---- */

/* The time at the end of each record (sample_id_all: TID, TIME). */
static uint64_t record_time(const uint8_t *record, size_t size)
{
	uint64_t time;

	memcpy(&time, record + size - sizeof(time), sizeof(time));
	return time;
}

struct task_record {
	struct perf_event_header header;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

struct mmap2_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
	char filename[];
};

static void handle_record(struct perf *perf, const uint8_t *record, size_t size)
{
	const struct perf_handler *h = &perf->handler;
	const struct perf_event_header *header = (const void *)record;
	const struct task_record *task = (const void *)record;
	const struct mmap2_record *map = (const void *)record;
	const uint32_t *words = (const void *)record;

	switch (header->type) {
	case PERF_RECORD_FORK:
		h->forked(h->context, (int32_t)task->pid, (int32_t)task->ppid, (int32_t)task->tid,
		    task->time);
		break;
	case PERF_RECORD_EXIT:
		h->exited(h->context, (int32_t)task->pid, (int32_t)task->tid, task->time);
		break;
	case PERF_RECORD_COMM: /* header, pid, tid, name */
		h->named(h->context, (int32_t)words[2], (int32_t)words[3], (const char *)&words[4],
		    header->misc & PERF_RECORD_MISC_COMM_EXEC, record_time(record, size));
		break;
	case PERF_RECORD_MMAP2:
		h->mapped(h->context, (int32_t)map->pid, (int32_t)map->tid,
		    &(struct perf_mapping){.start = map->addr,
			.size = map->len,
			.prot = map->prot,
			.flags = map->flags,
			.file = map->ino != 0,
			.heap = strcmp(map->filename, "[heap]") == 0,
			.name = map->filename},
		    record_time(record, size));
		break;
	case PERF_RECORD_LOST: /* header, id, lost */
		h->lost(h->context, ((const uint64_t *)(const void *)record)[2]);
		break;
	default:
		break;
	}
}

void perf_drain_sideband(struct perf *perf)
{
	uint64_t record[8192]; /* header.size has 16 bits */

	for (size_t i = 0; i < perf->sideband_count; i++) {
		struct ring *ring = &perf->sideband[i];
		uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
		uint64_t at = ring->page->data_tail;

		while (at != head) {
			struct perf_event_header header;

			ring_copy(ring, at, &header, sizeof(header));
			if (header.size < sizeof(header) || header.size > head - at)
				break;
			ring_copy(ring, at, record, header.size);
			at += header.size;
			__atomic_store_n(&ring->page->data_tail, at, __ATOMIC_RELEASE);
			handle_record(perf, (const uint8_t *)record, header.size);
		}
	}
}
