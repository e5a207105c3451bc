/* SPDX-License-Identifier: MIT */
/*
 * event.h: what the service thread tells the writer thread, one struct for each line type.
 *
 * Events travel in order through one bounded queue (writer.h). Each begins with struct event;
 * `size` counts the whole event with its tail and is a multiple of 8. Identifiers are those of
 * the trace; 0 means "none". Every event that an identifier names came before its first use.
 * Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef FAULTLINE_EVENT_H
#define FAULTLINE_EVENT_H

#include <stdint.h>

enum event_type {
	EVENT_PROCESS = 1,
	EVENT_THREAD,
	EVENT_MODULE,
	EVENT_STACK,
	EVENT_REGION,
	EVENT_REGION_END,
	EVENT_REMAP,
	EVENT_REMOVE,
	EVENT_ALLOC,
	EVENT_FREE,
	EVENT_FAULT,
	EVENT_LOST,
	EVENT_MODULE_END, /* writes no line: the writer may forget the module's symbols */
};

struct event {
	uint32_t size; /* bytes, this header included, a multiple of 8 */
	uint32_t type; /* enum event_type */
	uint64_t ts;
};

enum process_event { PROCESS_START, PROCESS_FORK, PROCESS_EXEC, PROCESS_DETACH, PROCESS_EXIT };

struct event_process {
	struct event head;
	int32_t pid, ppid;
	int32_t inner_pid;	/* as it sees itself, where that differs; else 0 */
	uint32_t event;		/* enum process_event */
	uint64_t pid_namespace; /* inode, with inner_pid; 0: unknown */
	int32_t status;		/* exit status, -1: unknown */
	int32_t signal;		/* that ended it, 0: none or unknown */
	uint32_t exe_size;	/* bytes of exe in text, its NUL included; 0: left out */
	uint32_t argc; /* command words, each NUL-terminated, after exe in text; 0: left out */
	uint32_t text_size;
	char text[];
};

struct event_thread {
	struct event head;
	int32_t pid, tid;
	int32_t
	    group; /* its process, where that is not pid: it only reaches into pid's memory; or 0 */
	char name[16]; /* NUL-terminated; any bytes, perhaps not UTF-8 */
};

struct event_module {
	struct event head;
	uint32_t id;
	int32_t pid;
	uint64_t start, end; /* addresses mapped in the process */
	uint64_t offset;     /* of `start` in the file, bytes */
	int32_t root_pid;    /* a process whose /proc/PID/root the path is relative to */
	int32_t file;	     /* 1 + a descriptor of the file, which stays open; 0: none */
	uint32_t build_id_size;
	uint8_t build_id[64];
	uint32_t path_size; /* bytes, NUL included; "[vdso]" for the vdso */
	char path[];
};

struct event_frame {
	uint64_t ip;	 /* as in the process */
	uint64_t offset; /* in the module's own numbering (ELF virtual address) when module != 0 */
	uint32_t module; /* 0: none (generated code) */
	uint32_t exact; /* 1: ip is the instruction itself; 0: a return address, symbol at ip - 1 */
};

struct event_stack {
	struct event head;
	uint32_t id;
	int32_t pid; /* whose perf-PID.map names generated code */
	uint32_t truncated;
	uint32_t count;
	struct event_frame frames[]; /* innermost first */
};

enum memory_kind { MEMORY_ANON, MEMORY_SHMEM, MEMORY_HUGETLB };

struct event_region {
	struct event head;
	uint32_t id;
	int32_t pid, tid; /* tid 0: left out */
	uint32_t source;  /* enum fl_source */
	uint32_t memory;  /* enum memory_kind */
	uint32_t page_size;
	int32_t prot, flags; /* mmap's; -1: unknown, left out */
	uint64_t start, size;
	uint64_t stack;
};

enum region_end_reason { REGION_END_UNMAP, REGION_END_REPLACE, REGION_END_EXEC, REGION_END_EXIT };

struct event_region_end {
	struct event head;
	uint32_t id;
	int32_t pid;
	uint32_t reason;  /* enum region_end_reason */
	uint32_t partial; /* 1: only start, size went */
	uint64_t start, size;
};

struct event_remap {
	struct event head;
	int32_t pid, tid;
	uint64_t region, from, to, size;
};

struct event_remove {
	struct event head;
	int32_t pid, tid;
	uint64_t start, size;
	uint32_t lazy; /* 1: the kernel takes the pages when it needs them */
	uint32_t pad;
};

struct event_alloc {
	struct event head;
	uint64_t id;
	int32_t pid, tid;
	uint64_t addr, size;
	uint64_t stack;
	uint32_t func; /* enum fl_function of protocol.h */
	uint32_t pad;
};

struct event_free {
	struct event head;
	int32_t pid, tid;
	uint64_t alloc;
};

enum fault_access { ACCESS_UNKNOWN, ACCESS_READ, ACCESS_WRITE };
enum fault_kind { FAULT_MISSING, FAULT_WRITE_PROTECT, FAULT_MINOR };
enum fault_origin { ORIGIN_UNKNOWN, ORIGIN_USER, ORIGIN_KERNEL };
enum fault_served {
	SERVED_ZERO,
	SERVED_COPY,
	SERVED_CONTINUE,
	SERVED_UNPROTECT,
	SERVED_MOVE,
	SERVED_NATIVE
};

struct event_fault {
	struct event head; /* ts: of the fault */
	int32_t pid, tid;
	uint64_t addr;
	uint64_t region, offset, alloc, stack; /* offset counts in the region */
	uint64_t service_ns;		       /* 0: unknown, left out */
	uint8_t access, kind, origin, served;  /* the enumerations above */
	uint32_t bytes;			       /* brought in: the page size, or more */
};

enum lost_what { LOST_STACKS, LOST_EVENTS, LOST_LINES };

struct event_lost {
	struct event head;
	uint32_t what; /* enum lost_what */
	uint32_t why_size;
	uint64_t count;
	char why[]; /* NUL-terminated, why_size bytes with it */
};

#endif
