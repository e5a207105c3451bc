/* SPDX-License-Identifier: MIT */
/*
 * queue.h: a bounded ring of events between one producer and one consumer thread of the monitor.
 *
 * The producer serves faults and must not be held up: reserving and committing are a few loads
 * and stores, and a commit wakes nobody while less than a quarter of the ring is used. The
 * consumer naps instead, and looks again when its nap is over.
 *
 * Events lie in one piece: where one would not fit before the end of the ring, the rest of the
 * ring becomes padding.
 */
#ifndef FAULTLINE_QUEUE_H
#define FAULTLINE_QUEUE_H

#include "event.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

/* `size`: bytes, a power of two of at least a page. 0 or -ENOMEM. */
int queue_create(struct queue **queue, size_t size);
void queue_destroy(struct queue *queue); /* accepts NULL; neither thread may still use it */

/*
 * Producer. Room for an event of `size` bytes (at most an eighth of the ring), 8-aligned, its
 * head.size set; the consumer does not see it before the commit. Waits while the ring is full.
 */
void *queue_reserve(struct queue *queue, size_t size);
void queue_commit(struct queue *queue);
void queue_close(struct queue *queue); /* nothing more will come */

/* Consumer. The oldest event, valid until it is popped; NULL when there is none now. */
const struct event *queue_peek(struct queue *queue);
void queue_pop(struct queue *queue);
bool queue_ended(struct queue *queue); /* closed, and everything was popped */

/* Consumer. Sleeps for `ns`, less when the ring fills up or is closed. May wake early. */
void queue_nap(struct queue *queue, uint64_t ns);

#endif
