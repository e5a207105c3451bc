/* SPDX-License-Identifier: MIT */
/*
 * protocol.h: the contract between the shim (in the traced process) and the monitor.
 *
 * Announcing. A shim connects to the abstract SOCK_SEQPACKET socket named by FAULTLINE_MONITOR,
 * sends one fl_hello with its userfaultfd attached (SCM_RIGHTS), and gets one fl_welcome with the
 * descriptor of the shared area. Both then close the connection: a traced program keeps no
 * descriptor of ours.
 *
 * Asking. From then on a request is a page fault. The shim fills a slot of the area and reads the
 * next page of its *doorbell*, a private anonymous mapping registered with the same userfaultfd.
 * The kernel puts the thread to sleep and hands the monitor a message; the monitor carries out
 * what the slot asks, writes the result, sets FL_SLOT_DONE and maps a zero page, which wakes the
 * thread. When the monitor is dead, its last userfaultfd is closed, the doorbell is ordinary
 * memory, and the read returns at once with the slot unanswered: a shim can never hang.
 * A page is used once; the shim empties each half of the doorbell when it enters it again.
 * The doorbell's last FL_SLOTS pages are for FL_OP_FORKED alone, one for each slot.
 *
 * Without system calls. A program that filters its system calls (seccomp) may be killed for one of
 * the shim's. Before that the shim asks FL_OP_QUIET, and from then on makes none: it writes to the
 * doorbell's pages, which the monitor protects again, each half when the other one is entered, and
 * leaves out what only the kernel could tell it: its thread's ID (the slot names the page instead)
 * and the time.
 *
 *   area:  | struct fl_area header | FL_SLOTS slots | FL_CELLS cells | ring | FL_NOTES notes |
 *
 * Telling. What needs no answer goes into a cell: claimed by compare-and-swap, filled, then
 * published. The monitor takes published cells, in the order of their claims, before it handles any
 * fault of that process; one that is claimed and not published tells of nothing that others could
 * know of. What
 * has a stack, as an allocation has, is a record in a *note*, claimed in the same way, and its cell
 * tells which; without a free note it is a request, for which the monitor takes all of them.
 *
 * Serving oneself (--mode=sigbus). A second userfaultfd answers touches of missing pages with
 * SIGBUS. The shim's handler fills the page itself, by a copy of that descriptor, and leaves a
 * record with its registers and stack in the ring; the monitor reads the ring when it next answers
 * a request of that process, when half of it is full, and every few milliseconds. That userfaultfd
 * sends no events, for a program that holds it would wait for ever for them to be read once the
 * monitor is dead: what goes is told by records, in order with the faults.
 *
 * A program that root runs as another user (--user) may not have a full userfaultfd by itself, and
 * permission for /dev/userfaultfd is asked for only when it is opened: the monitor, which root has
 * started, has it open and sends it with the answer "come again" to that user's processes. The shim
 * makes its userfaultfd from it and closes it at once.
 *
 * An area is shared by a process and its forked children until they call exec; with --mode=sigbus
 * and --unprivileged each child says hello by itself and gets one of its own. Those that share one
 * are told apart by the number that the monitor gives each process, for two of them may have the
 * same process ID, each in a PID namespace of its own.
 *
 * Any change of layout or meaning changes FL_PROTOCOL_VERSION; the monitor refuses another one.
 */
#ifndef FAULTLINE_PROTOCOL_H
#define FAULTLINE_PROTOCOL_H

#include <stdint.h>

#define FL_PROTOCOL_VERSION 13u
#define FL_SLOTS	    64u
#define FL_CELLS	    2048u
#define FL_ARENAS	    512u
#define FL_DOORBELL_PAGES   512u
#define FL_DOORBELL_BYTES   ((FL_DOORBELL_PAGES + FL_SLOTS) * 4096u)
#define FL_RING_BYTES	    (1u << 20)
#define FL_RECORD_UNIT	    64u		/* records begin and end at multiples of it */
#define FL_RECORD_STACK	    (32u << 10) /* at most this much of a stack is copied */
#define FL_NOTES	    128u
#define FL_NOTE_BYTES	    (64u << 10) /* of a record that is no part of the ring, with its stack */

/* The signal of --capture=signal: Linux never raises it, and programs do not use it. */
#define FL_CAPTURE_SIGNAL_NUMBER 16 /* SIGSTKFLT */
/* Its value is the address of the shim's state, plus the signal's number of order modulo this. */
#define FL_CAPTURE_ORDERS 4096u

/* Allocation functions, for `alloc` lines. */
enum fl_function {
	FL_MALLOC,
	FL_CALLOC,
	FL_REALLOC,
	FL_REALLOCARRAY,
	FL_MEMALIGN,
	FL_POSIX_MEMALIGN,
	FL_ALIGNED_ALLOC,
	FL_VALLOC,
	FL_PVALLOC,
	FL_FUNCTION_COUNT
};

enum fl_op {
	FL_OP_FORKED = 1, /* a child of fork says that it lives: its process ID as it sees it; the
			     result is its number */
	/* These four are announced before the system call, for the events that it causes do not say
	   who causes them; the address of FL_OP_MAP is then the hint. */
	FL_OP_MAP,     /* address, size, prot, flags, descriptor (as int64), enum fl_source */
	FL_OP_REMAP,   /* old address, old size, new address (announced: or 0), new size, mremap's
			  flags, 1 after FL_OP_LIFT; what stays after that has its old place and size
			  as the new ones */
	FL_OP_UNMAP,   /* address, size; never rung */
	FL_OP_REMOVE,  /* address, size, 1: the kernel takes the pages when it wants; rung where no
			  event tells */
	FL_OP_FORKS,   /* address, size, 0: children do not get this memory; 1: they do */
	FL_OP_LIFT,    /* address, size: to be unregistered, for it is about to be moved */
	FL_OP_ALLOC,   /* address, size, enum fl_function, FL_NOTE_ bits, break, chunk address,
			  chunk size */
	FL_OP_BREAK,   /* address of the new break */
	FL_OP_LOADED,  /* the dynamic linker allocates: it may have mapped modules; no arguments */
	FL_OP_YIELD,   /* address, size: the program registers it with a userfaultfd of its own */
	FL_OP_DETACH,  /* address: the shared memory segment attached there goes */
	FL_OP_DRAIN,   /* cells are full: take them */
	FL_OP_STACK,   /* address, size: the program will run on it; it is not to be traced */
	FL_OP_TOUCH,   /* address, size, FL_TOUCH_ bits, process or thread whose memory it is as the
			  asking one calls it, 0: its own; the kernel is about to use it. The result
			  is   0, or the address up to which it was looked at */
	FL_OP_SERVE,   /* address, 1 for a write: fill this page for a handler that cannot; the
			  result is the bytes filled, or -EEXIST: it is there, -ENOENT: not traced */
	FL_OP_LOCKED,  /* 1: from now on new mappings are filled by the kernel (mlockall); 0 */
	FL_OP_QUIET,   /* no system calls any more; the result is 0 when the doorbell can be used so
			*/
	FL_OP_WAKE,    /* the ring is half full; answered at once */
	FL_OP_FORKING, /* fl_area.tell_forks: the thread is about to fork; the result is a number
			  for the child's hello */
	FL_OP_NOT_FORKED, /* that number: there was no child */
	FL_OP_CREATE,	  /* announced, never rung: a thread is created, and libc maps its stack */
	FL_OP_CAPTURED,	  /* the signal's number of order: never rung: registers of a signalled
			     thread, FL_SLOT_CAPTURED */
};

/* What FL_OP_ALLOC carries besides: any of them. */
#define FL_NOTE_ALLOC 1u /* an allocation at or over the threshold */
#define FL_NOTE_BREAK 2u /* the break moved */
#define FL_NOTE_CHUNK 4u /* malloc mapped this chunk by itself */
#define FL_NOTE_ARENA 8u /* the chunk lies in a malloc arena not seen before */

#define FL_TOUCH_WRITE	1u  /* the kernel will write there */
#define FL_TOUCH_SILENT 2u  /* memory of libc's own: filled, and not told */
#define FL_TOUCH_EITHER 4u  /* nobody knows whether it reads or writes */
#define FL_TOUCH_FORCED 8u  /* whatever the protection is: ptrace(2), /proc/PID/mem */
#define FL_TOUCH_LOCK	16u /* writes where the program may write to private memory, else reads */
#define FL_TOUCH_ALL	32u /* what may not be touched is passed over */

enum fl_slot_state {
	FL_SLOT_FREE,	   /* shim may claim */
	FL_SLOT_CLAIMED,   /* a shim is filling it in */
	FL_SLOT_READY,	   /* shim rings; monitor answers */
	FL_SLOT_DONE,	   /* monitor has answered; shim frees it */
	FL_SLOT_ANNOUNCED, /* a system call that is being made: then shim leaves or rings it */
	FL_SLOT_LEFT,	   /* that is over, and there is nothing to ask: monitor frees it */
	FL_SLOT_CAPTURED,  /* FL_OP_CAPTURED: monitor frees it */
};

/* Callee-saved registers at the request; enough to unwind from. */
struct fl_registers {
	uint64_t ip, sp, bp, bx, r12, r13, r14, r15;
};

struct fl_slot {
	uint32_t state;		       /* enum fl_slot_state, atomic */
	uint32_t op;		       /* shim: enum fl_op */
	uint32_t process;	       /* shim: its number; 0: it has none yet */
	int32_t tid;		       /* shim: as the program sees it; 0: see page */
	uint64_t argument[8];	       /* shim */
	struct fl_registers registers; /* shim: of the requesting thread */
	int64_t result;		       /* monitor: 0 or negative errno */
	uint64_t order;		       /* shim: which was claimed later */
	uint32_t page;		       /* shim: of the doorbell, that is rung; atomic */
	uint32_t moved;		       /* monitor: 1: it has explained a move; shim: 0 */
	uint64_t up_to, target_up_to;  /* monitor: it has explained what lies below; shim: 0 */
	uint64_t pad;
};
_Static_assert(sizeof(struct fl_slot) == 192, "slots do not share cache lines");

enum fl_cell_state { FL_CELL_EMPTY, FL_CELL_CLAIMED };
enum fl_cell_kind { FL_CELL_FREED = 1, FL_CELL_UNLOADED, FL_CELL_NOTE };

struct fl_cell {
	uint32_t state; /* enum fl_cell_state, atomic; monitor empties it */
	uint32_t kind;	/* shim: FL_CELL_FREED: address; FL_CELL_UNLOADED: modules went;
			   FL_CELL_NOTE: the address is the number of a note */
	uint32_t process;
	int32_t tid;
	uint64_t ts; /* CLOCK_MONOTONIC, nanoseconds; 0: when it is taken */
	uint64_t address;
	uint64_t order; /* which was claimed later */
	uint64_t pad[3];
};
_Static_assert(sizeof(struct fl_cell) == 64, "a cell is a cache line");

enum fl_record_kind {
	FL_RECORD_PAD = 1, /* nothing: the rest of the ring was too short */
	FL_RECORD_FAULT,
	FL_RECORD_UNMAP,   /* address, bytes: the program unmaps it now */
	FL_RECORD_REPLACE, /* address, bytes: something else is mapped there now */
	FL_RECORD_REMOVE,  /* address, bytes: its pages go, the mapping stays */
	FL_RECORD_FREE,	   /* address, bytes: the same, but the kernel takes them when it wants */
	FL_RECORD_FREED,   /* what a cell tells otherwise, in order with the faults */
	FL_RECORD_UNLOADED,
	FL_RECORD_ALLOC, /* address, bytes */
};

/* What lies in the ring, with --mode=sigbus, or in a note. Positions count bytes from the ring's
   beginning and never wrap; a record lies at its position modulo FL_RING_BYTES, in one piece. */
struct fl_record {
	uint64_t published; /* its position + 1 when it is complete, atomic; monitor empties it. Of
			       a note: not 0 while it is somebody's */
	uint32_t size;	    /* of the whole record: a multiple of FL_RECORD_UNIT */
	uint32_t kind;	    /* enum fl_record_kind */
	uint32_t process;   /* number */
	int32_t tid;	    /* as the program sees it */
	uint64_t ts;	    /* CLOCK_MONOTONIC, nanoseconds; 0: when it is taken */
	uint64_t address, bytes;
	uint32_t write; /* FL_RECORD_FAULT: 1: a write, 0: a read; FL_RECORD_ALLOC: its function */
	uint32_t stack_size;
	struct fl_registers registers;
	uint8_t stack[]; /* from the stack pointer upwards */
};

struct fl_ring {
	uint64_t head; /* shim: claimed up to here, atomic */
	uint64_t pad0[7];
	uint64_t tail; /* monitor: read up to here, atomic */
	uint64_t pad1[7];
	uint8_t bytes[FL_RING_BYTES];
};

struct fl_area {
	/* monitor writes these before the shim sees the area */
	uint32_t version;
	uint32_t capture_signal;  /* 1: install the handler of FL_CAPTURE_SIGNAL_NUMBER */
	uint32_t follow;	  /* 1: forked children announce themselves */
	uint32_t sources;	  /* bits 1 << enum fl_source */
	uint64_t alloc_threshold; /* bytes; UINT64_MAX: off */
	uint32_t next_cell;	  /* shim: where to try first, atomic */
	uint32_t full;		  /* shim: counts what found no room, atomic; monitor reads */
	uint32_t break_shrunk;	  /* monitor: another number when a heap was trimmed, atomic */
	uint32_t sigbus;	  /* 1: the shim serves faults itself */
	uint32_t user_mode;	  /* 1: the kernel cannot wait for pages: FL_OP_TOUCH comes first */
	uint32_t stack_bytes;	  /* of each stack to copy into records */
	uint32_t coarse;	  /* 1: FL_OP_SERVE serves every fault, more than a page at once */
	uint32_t paused; /* monitor: 1: nothing is registered yet, report nothing, atomic */
	uint32_t ended;	 /* monitor: 1: nothing is registered any more, and never again, atomic */
	uint32_t tell_forks;	    /* 1: the kernel does not tell of children */
	uint64_t claims;	    /* shim: counts those of slots and cells, atomic */
	uint32_t next_note;	    /* no note before it is free, most likely; both write, atomic */
	uint32_t reads_share_zeros; /* 0: what is read gets a page of its own, as without us */
	uint64_t left;		    /* shim: counts slots that it left, atomic */
	uint64_t pad[5];
	/* Bases of malloc arenas that are registered, atomic: shim looks up, monitor writes. */
	uint64_t arenas[FL_ARENAS];
	struct fl_slot slots[FL_SLOTS];
	uint64_t published[FL_CELLS / 64]; /* a bit for each cell; shim sets, monitor clears, atomic
					    */
	struct fl_cell cells[FL_CELLS];
	struct fl_ring ring;
	uint8_t notes[FL_NOTES][FL_NOTE_BYTES]; /* each begins with a struct fl_record */
};
_Static_assert(sizeof(struct fl_area) % 64 == 0, "cells are aligned");

/* glibc's malloc: arenas other than the main one lie in blocks of this size and alignment
   (HEAP_MAX_SIZE of malloc/arena.c), chunk sizes carry these bits (malloc/malloc.c). */
#define FL_ARENA_BYTES	     (UINT64_C(64) << 20)
#define FL_CHUNK_IS_MMAPPED  2u
#define FL_CHUNK_IS_IN_ARENA 4u

/* The descriptors that come with a hello. */
#define FL_HELLO_USER_MODE 1u /* opened with UFFD_USER_MODE_ONLY */
#define FL_HELLO_SIGBUS	   2u /* two: the second is for UFFD_FEATURE_SIGBUS */
#define FL_HELLO_NONE	   4u /* none: the kernel refuses every kind */

struct fl_hello {
	uint32_t version;
	uint32_t forked; /* 1: a forked child whose userfaultfd did not follow it; more: what
			    FL_OP_FORKING said */
	uint32_t pad;
	uint32_t descriptors; /* FL_HELLO_ bits */
	uint64_t doorbell, doorbell_size;
	uint64_t program_break; /* 0: unknown */
	uint64_t state;		/* the shim's page that forked children find empty */
	struct fl_registers registers;
};

/* What begins the shim's page at fl_hello.state. The kernel empties it in forked children. */
struct fl_state {
	uint32_t slot; /* + 1: the one with FL_OP_FORKED; monitor reads */
};

struct fl_welcome {
	/* 0, with the area; -EAGAIN: come again with `descriptors`, made from the device where that
	   is sent; or another negative errno: not traced, `text` says why ("": say nothing) */
	int32_t status;
	int32_t monitor_pid;
	uint32_t descriptors; /* FL_HELLO_ bits */
	uint32_t process;     /* its number */
	char text[496];
};

#endif
