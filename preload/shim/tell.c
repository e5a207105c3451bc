/* SPDX-License-Identifier: MIT */
/*
 * tell.c: what the shim tells the monitor without waiting for an answer: records in the ring
 * (--mode=sigbus), cells, and notes, which are records that a cell tells of. The rules of
 * channel.c hold.
 */
#include "shim.h"
#include "sys.h"

#include <errno.h>

#define PAGE_BYTES  4096u
#define CELL_TRIES  64u
#define RING_TRIES  2000 /* milliseconds */
#define RING_NAP_NS 1000000
#define NOTE_STACK  ((uint32_t)(FL_NOTE_BYTES - sizeof(struct fl_record)))
/* Signals that an instruction of the thread itself causes. */
#define BIT_OF(number) (UINT64_C(1) << ((number)-1))
#define SYNCHRONOUS                                                                                \
	(BIT_OF(SIGSEGV) | BIT_OF(SIGBUS) | BIT_OF(SIGILL) | BIT_OF(SIGFPE) | BIT_OF(SIGTRAP) |    \
	    BIT_OF(SIGSYS))

/* ---- the ring ---- */

/* Claims `size` bytes in one piece: their position, or -1 when there is no room. */
static int64_t ring_reserve(struct fl_ring *ring, uint32_t size)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), at;

	do {
		uint64_t rest = FL_RING_BYTES - head % FL_RING_BYTES;

		at = rest < size ? head + rest : head;
		if (at + size - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) > FL_RING_BYTES)
			return -1;
	} while (!__atomic_compare_exchange_n(
	    &ring->head, &head, at + size, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	if (at != head) {
		struct fl_record *pad = (struct fl_record *)&ring->bytes[head % FL_RING_BYTES];

		pad->kind = FL_RECORD_PAD;
		pad->size = (uint32_t)(at - head);
		__atomic_store_n(&pad->published, head + 1, __ATOMIC_RELEASE);
	}
	return (int64_t)at;
}

/*
 * Has a full ring emptied. It may have to wait for a thread that has claimed a record and is kept
 * from publishing it; one that never will, because it was killed, is not waited for twice.
 */
static int64_t ring_wait(struct fl_ring *ring, uint32_t size)
{
	static uint64_t hopeless = UINT64_MAX; /* the tail that did not move */
	int64_t at = -1;

	for (int i = 0; i < RING_TRIES && at < 0; i++) {
		if (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) ==
		    __atomic_load_n(&hopeless, __ATOMIC_RELAXED))
			return -1;
		if (i > 0)
			shim_pass(RING_NAP_NS);
		if (shim_request(FL_OP_DRAIN, NULL) < 0)
			return -1;
		at = ring_reserve(ring, size);
	}
	if (at < 0)
		__atomic_store_n(
		    &hopeless, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
	return at;
}

struct fl_record *shim_record_claim(enum fl_record_kind kind, uint32_t stack)
{
	struct fl_area *area = shim_channel.area;
	uint32_t size = (uint32_t)sizeof(struct fl_record) + stack;
	struct fl_record *record;
	int64_t at;

	size = (size + FL_RECORD_UNIT - 1) & ~(FL_RECORD_UNIT - 1);
	at = ring_reserve(&area->ring, size);
	if (at < 0)
		at = ring_wait(&area->ring, size);
	if (at < 0) {
		__atomic_fetch_add(&area->full, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	record = (struct fl_record *)&area->ring.bytes[(uint64_t)at % FL_RING_BYTES];
	record->size = size;
	record->kind = kind;
	record->process = shim_channel.state->number;
	record->tid = shim_thread_id();
	record->ts = shim_time();
	record->stack_size = 0;
	/* Its position, until it is published, is where nobody looks for it. */
	record->bytes = (uint64_t)at;
	return record;
}

void shim_record_publish(struct fl_record *record, uint64_t bytes)
{
	uint64_t at = record->bytes, size = record->size;

	record->bytes = bytes;
	__atomic_store_n(&record->published, at + 1, __ATOMIC_RELEASE);
	/* The one that crosses the middle wakes the monitor. */
	if ((at ^ (at + size)) & (FL_RING_BYTES / 2))
		shim_request(FL_OP_WAKE, NULL);
}

/* Records are taken in order: no signal handler may jump away from one that is half done. */
static bool hold_signals(uint64_t *before)
{
	uint64_t held = ~SYNCHRONOUS;

	return !shim_is_quiet() &&
	       SYS4(SYS_rt_sigprocmask, SIG_BLOCK, &held, before, sizeof(held)) == 0;
}

static void release_signals(bool held, const uint64_t *before)
{
	if (held)
		SYS4(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, sizeof(*before));
}

static void record_begin(
    struct shim_going *going, enum fl_record_kind kind, uint64_t address, uint64_t size)
{
	going->size = size;
	going->held = hold_signals(&going->before);
	going->record = shim_record_claim(kind, 0);
	if (going->record)
		going->record->address = address;
}

static void record_end(struct shim_going *going)
{
	if (going->record)
		shim_record_publish(going->record, going->size);
	release_signals(going->held, &going->before);
}

static void record_event(enum fl_record_kind kind, uint64_t address, uint64_t bytes)
{
	struct shim_going going;

	record_begin(&going, kind, address, bytes);
	record_end(&going);
}

static uint64_t whole_pages(uint64_t size)
{
	return (size + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

void shim_memory_goes(enum fl_record_kind kind, uint64_t address, uint64_t size)
{
	if (shim_channel.area->sigbus && address % PAGE_BYTES == 0 && size)
		record_event(kind, address, whole_pages(size));
}

void shim_goes_begin(
    struct shim_going *going, enum fl_record_kind kind, uint64_t address, uint64_t size)
{
	going->begun = shim_tells_itself();
	if (going->begun)
		record_begin(going, kind, address, whole_pages(size));
}

void shim_goes_end(struct shim_going *going, bool gone)
{
	if (!going->begun)
		return;
	if (going->record && !gone)
		going->record->kind = FL_RECORD_PAD;
	record_end(going);
}

/* ---- cells ---- */

static struct fl_cell *cell_claim(void)
{
	struct fl_area *area = shim_channel.area;
	uint32_t first = __atomic_fetch_add(&area->next_cell, 1, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < CELL_TRIES; i++) {
		struct fl_cell *cell = &area->cells[(first + i) % FL_CELLS];
		uint32_t expected = FL_CELL_EMPTY;

		if (__atomic_compare_exchange_n(&cell->state, &expected, FL_CELL_CLAIMED, false,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			cell->order = __atomic_fetch_add(&area->claims, 1, __ATOMIC_RELAXED);
			return cell;
		}
	}
	return NULL;
}

static void cell_publish(struct fl_cell *cell, enum fl_cell_kind kind, uint64_t address)
{
	size_t number = (size_t)(cell - shim_channel.area->cells);

	cell->kind = kind;
	cell->process = shim_channel.state->number;
	cell->tid = shim_thread_id();
	cell->ts = shim_time();
	cell->address = address;
	__atomic_fetch_or(&shim_channel.area->published[number / 64], UINT64_C(1) << number % 64,
	    __ATOMIC_RELEASE);
}

void shim_tell(enum fl_cell_kind kind, uint64_t address)
{
	struct fl_cell *cell;

	if (shim_channel.area->sigbus) { /* in order with the faults */
		record_event(
		    kind == FL_CELL_FREED ? FL_RECORD_FREED : FL_RECORD_UNLOADED, address, 0);
		return;
	}
	cell = cell_claim();
	if (!cell) {
		if (shim_request(FL_OP_DRAIN, NULL) < 0)
			return;
		cell = cell_claim();
		if (!cell) {
			__atomic_fetch_add(&shim_channel.area->full, 1, __ATOMIC_RELAXED);
			return;
		}
	}
	cell_publish(cell, kind, address);
}

/* ---- allocations ---- */

/* The first that is free: those of low numbers stay in use, and the others untouched. Round once:
   the monitor may have freed one before the place where we begin meanwhile. */
static struct fl_record *note_claim(uint32_t *number)
{
	struct fl_area *area = shim_channel.area;
	uint32_t first = __atomic_load_n(&area->next_note, __ATOMIC_RELAXED);

	for (uint32_t look = 0; look < FL_NOTES; look++) {
		uint32_t i = (first + look) % FL_NOTES;
		struct fl_record *record = (struct fl_record *)area->notes[i];
		uint64_t expected = 0;

		if (__atomic_compare_exchange_n(&record->published, &expected, 1, false,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			__atomic_store_n(&area->next_note, i + 1, __ATOMIC_RELAXED);
			*number = i;
			return record;
		}
	}
	return NULL;
}

static void note_release(struct fl_record *record)
{
	__atomic_store_n(&record->published, 0, __ATOMIC_RELEASE);
}

/* What both kinds of records say of an allocation. False when the stack could not be copied whole.
 */
static bool describe(struct fl_record *record, uint64_t address, enum fl_function function,
    const struct fl_registers *registers, const struct shim_extent *extent)
{
	record->address = address;
	record->write = function;
	record->registers = *registers;
	record->stack_size = shim_stack_copy(record->stack, registers->sp, extent);
	return record->stack_size == extent->bytes;
}

static bool tell_by_note(uint64_t address, uint64_t bytes, enum fl_function function,
    const struct fl_registers *registers, const struct shim_extent *extent)
{
	struct fl_cell *cell;
	uint32_t number;
	struct fl_record *record = note_claim(&number);

	if (!record)
		return false;
	if (!describe(record, address, function, registers, extent) || !(cell = cell_claim())) {
		note_release(record);
		return false;
	}
	record->kind = FL_RECORD_ALLOC;
	record->bytes = bytes;
	cell_publish(cell, FL_CELL_NOTE, number);
	return true;
}

static bool tell_by_ring(uint64_t address, uint64_t bytes, enum fl_function function,
    const struct fl_registers *registers, const struct shim_extent *extent)
{
	uint64_t before;
	bool told = true, held = hold_signals(&before);
	struct fl_record *record = shim_record_claim(FL_RECORD_ALLOC, extent->bytes);

	if (record) { /* else it is counted */
		told = describe(record, address, function, registers, extent);
		if (!told)
			record->kind = FL_RECORD_PAD;
		shim_record_publish(record, bytes);
	}
	release_signals(held, &before);
	return told;
}

bool shim_tell_alloc(uint64_t address, uint64_t bytes, enum fl_function function)
{
	const struct fl_area *area = shim_channel.area;
	uint32_t room = area->sigbus ? FL_RECORD_STACK : NOTE_STACK;
	struct shim_extent extent = {0};
	struct fl_registers registers;

	if (shim_is_quiet())
		return false;
	SYS_REGISTERS(&registers);
	if (area->stack_bytes) { /* stacks are wanted */
		extent = shim_stack_extent(registers.sp, room);
		if (!extent.is_whole)
			return false;
	}
	return (area->sigbus ? tell_by_ring : tell_by_note)(
	    address, bytes, function, &registers, &extent);
}
