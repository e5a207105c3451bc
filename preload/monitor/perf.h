/* SPDX-License-Identifier: MIT */
/*
 * perf.h: registers and stacks of faulting threads from perf's ring buffers, and the side-band
 * that tells of threads, names, modules and mappings.
 *
 * One set for each process tree: events are inherited by threads and children. Page-fault
 * samples go to an overwriting ring for each CPU, whose newest record is always at data_head
 * (perf_event_open(2), write_backward): nothing ever fills up. Side-band records go to an
 * ordinary ring each. Used by the service thread only.
 */
#ifndef FAULTLINE_PERF_H
#define FAULTLINE_PERF_H

#include "arch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PERF_STACK_BYTES 4096u /* sampled with each fault; what lies above is read on demand */

struct perf;

struct perf_sample {
	int32_t pid, tid;
	uint64_t ts, addr;
	bool kernel; /* the fault was taken in kernel mode: inside a system call */
	bool has_registers;
	struct registers registers; /* of the thread in user mode */
	uint32_t stack_size;	    /* bytes from the stack pointer upwards */
	uint8_t stack[PERF_STACK_BYTES];
};

struct perf_mapping {
	uint64_t start, size;
	uint32_t prot, flags; /* flags: MAP_SHARED or MAP_PRIVATE, and few more */
	bool file, heap;      /* heap: brk grew */
	const char *name;     /* of the file; valid during the call only */
};

/* What the side-band tells; perf.c calls these while it drains. */
struct perf_handler {
	void *context;
	void (*forked)(void *context, int32_t pid, int32_t ppid, int32_t tid, uint64_t ts);
	void (*exited)(void *context, int32_t pid, int32_t tid, uint64_t ts);
	void (*named)(
	    void *context, int32_t pid, int32_t tid, const char *name, bool exec, uint64_t ts);
	void (*mapped)(void *context, int32_t pid, int32_t tid, const struct perf_mapping *mapping,
	    uint64_t ts);
	void (*lost)(void *context, uint64_t records);
};

int perf_create(struct perf **perf, const struct perf_handler *handler);
void perf_destroy(struct perf *perf);

/* Whether perf_open will work, as far as one small ring tells: 0 or its negative errno. */
int perf_try(void);

/*
 * Opens the events for `pid` and all it will create. 0 or negative errno (EACCES, EPERM where
 * perf is refused). Adds the rings' descriptors to `epoll_fd` with `epoll_data`.
 */
int perf_open(struct perf *perf, pid_t pid, int epoll_fd, uint64_t epoll_data);

/* Takes those off `epoll_fd` whose processes have all ended: they would be ready for ever. */
void perf_unwatch_ended(struct perf *perf, int epoll_fd);

/* Reads what came into the side-band since the last call. */
void perf_drain_sideband(struct perf *perf);

/* Whether a sample came since the last call of perf_drain_samples. */
bool perf_has_samples(const struct perf *perf);

/*
 * Calls `take` for each sample that came since the last call, the newest of each CPU first.
 * Returns how many rings had been overwritten in part before they were read.
 */
uint64_t perf_drain_samples(struct perf *perf,
    void (*take)(void *context, const struct perf_sample *sample), void *context);

/*
 * The newest sample of a fault of process `pid` in [start, end) among the some 240 newest of each
 * CPU. True when found.
 */
bool perf_find_sample(
    struct perf *perf, int32_t pid, uint64_t start, uint64_t end, struct perf_sample *sample);

#endif
