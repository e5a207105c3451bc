/* SPDX-License-Identifier: MIT */
/*
 * queue.c: see queue.h. Runs in the monitor, in the service thread (producer) and the writer
 * thread (consumer). The producer's side may not allocate, and may wait only when the ring is
 * full.
 *
 * Positions are byte counts since the start and never wrap; the ring's index is the position
 * modulo its size. tail <= head <= tail + size.
 *
 * Both sides sleep with a time limit, so that a wake-up that is lost to reordering costs a few
 * milliseconds and no fence is needed on the paths that are taken for every event.
 */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CACHE_LINE	 64
#define PRODUCER_WAIT_NS 2000000u
#define PADDING		 0u /* an event type of our own: skip to the start of the ring */

/* Linux 5.14; the headers of older distributions lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* A short recording never needs the whole ring; a longer one gets it before it reaches it. */
#define POPULATE_AFTER (64u << 10)

struct queue {
	uint8_t *ring;
	uint64_t size;

	/* The producer writes these; the consumer reads head. */
	alignas(CACHE_LINE) _Atomic uint64_t head;
	uint64_t reserved;  /* end of the event that is being filled in */
	uint64_t seen_tail; /* the tail when it was last looked at */

	/* The consumer writes these; the producer reads tail. */
	alignas(CACHE_LINE) _Atomic uint64_t tail;
	uint64_t seen_head;
	uint32_t current; /* size of the event that was peeked at */
	bool populated;

	/* Futex words, and what is rarely written. */
	alignas(CACHE_LINE) _Atomic uint32_t napping; /* 1: the consumer may sleep */
	_Atomic uint32_t waiting;		      /* 1: the producer may sleep */
	_Atomic uint32_t closed;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
	struct timespec limit = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &limit, NULL, 0);
}

/* Clears the word and wakes the one thread that sleeps on it. */
static void futex_wake(_Atomic uint32_t *word)
{
	if (atomic_exchange(word, 0))
		syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int queue_create(struct queue **queue, size_t size)
{
	struct queue *made = aligned_alloc(CACHE_LINE, sizeof(*made));

	if (!made)
		return -ENOMEM;
	*made = (struct queue){.size = size};
	made->ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made->ring == MAP_FAILED) {
		free(made);
		return -ENOMEM;
	}
	*queue = made;
	return 0;
}

void queue_destroy(struct queue *queue)
{
	if (!queue)
		return;
	munmap(queue->ring, queue->size);
	free(queue);
}

/* Returns once the tail has reached `wanted`. */
static void wait_for_tail(struct queue *queue, uint64_t wanted)
{
	for (;;) {
		queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
		if (queue->seen_tail >= wanted)
			return;
		futex_wake(&queue->napping);
		atomic_store(&queue->waiting, 1);
		if (atomic_load(&queue->tail) < wanted)
			futex_wait(&queue->waiting, 1, PRODUCER_WAIT_NS);
		atomic_store_explicit(&queue->waiting, 0, memory_order_relaxed);
	}
}

void *queue_reserve(struct queue *queue, size_t size)
{
	uint64_t need = (size + 7) & ~UINT64_C(7);
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	uint64_t index = head & (queue->size - 1);
	uint64_t rest = queue->size - index;
	uint64_t padding = need > rest ? rest : 0;
	uint64_t end = head + padding + need;
	struct event *event;

	assert(size >= sizeof(struct event) && need <= queue->size / 8);
	if (end - queue->seen_tail > queue->size)
		wait_for_tail(queue, end - queue->size);
	if (padding) {
		/* The rest may be as short as 8 bytes: only size and type are written. */
		event = (struct event *)(queue->ring + index);
		event->size = (uint32_t)padding;
		event->type = PADDING;
		index = 0;
	}
	event = (struct event *)(queue->ring + index);
	event->size = (uint32_t)need;
	queue->reserved = end;
	return event;
}

void queue_commit(struct queue *queue)
{
	uint64_t head = queue->reserved;

	atomic_store_explicit(&queue->head, head, memory_order_release);
	if (head - queue->seen_tail <= queue->size / 4)
		return;
	queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
	if (head - queue->seen_tail <= queue->size / 4)
		return;
	if (atomic_load_explicit(&queue->napping, memory_order_relaxed))
		futex_wake(&queue->napping);
}

void queue_close(struct queue *queue)
{
	atomic_store(&queue->closed, 1);
	futex_wake(&queue->napping);
}

const struct event *queue_peek(struct queue *queue)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	const struct event *event;

	if (tail == queue->seen_head) {
		queue->seen_head = atomic_load_explicit(&queue->head, memory_order_acquire);
		if (tail == queue->seen_head)
			return NULL;
	}
	event = (const struct event *)(queue->ring + (tail & (queue->size - 1)));
	if (event->type == PADDING) {
		/* A padding is committed together with the event behind it. */
		tail += event->size;
		atomic_store_explicit(&queue->tail, tail, memory_order_release);
		event = (const struct event *)queue->ring;
	}
	queue->current = event->size;
	return event;
}

void queue_pop(struct queue *queue)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed) + queue->current;

	atomic_store_explicit(&queue->tail, tail, memory_order_release);
	/* Woken for every event, a waiting producer would fill one and sleep again. */
	if (atomic_load_explicit(&queue->waiting, memory_order_relaxed) &&
	    queue->seen_head - tail <= queue->size / 2)
		futex_wake(&queue->waiting);
	if (!queue->populated && tail > POPULATE_AFTER) {
		queue->populated = true;
		madvise(queue->ring, queue->size, MADV_POPULATE_WRITE);
	}
}

bool queue_ended(struct queue *queue)
{
	/* In this order: what was committed before the close is seen by the second load. */
	return atomic_load(&queue->closed) &&
	       atomic_load(&queue->head) == atomic_load(&queue->tail);
}

void queue_nap(struct queue *queue, uint64_t ns)
{
	uint64_t used;

	atomic_store(&queue->napping, 1);
	used = atomic_load(&queue->head) - atomic_load(&queue->tail);
	if (used <= queue->size / 4 && !atomic_load(&queue->closed))
		futex_wait(&queue->napping, 1, ns);
	atomic_store_explicit(&queue->napping, 0, memory_order_relaxed);
}
