/* SPDX-License-Identifier: MIT */
/* queue.c: order, wrapping, padding, waiting and waking of the monitor's event queue. */
#include "queue.h"

#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define RING 65536u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A size between that of an event's head and an eighth of the ring, not always a multiple of 8. */
static size_t size_of(uint64_t number)
{
	uint64_t mixed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	mixed ^= mixed >> 29;
	if (mixed % 8 == 0)
		return sizeof(struct event) + mixed / 8 % (RING / 8 - sizeof(struct event) + 1);
	return sizeof(struct event) + mixed / 8 % 200;
}

static void put(struct queue *queue, uint64_t number)
{
	size_t size = size_of(number);
	struct event *event = queue_reserve(queue, size);

	event->type = EVENT_FAULT;
	event->ts = number;
	memset(event + 1, (int)(number & 0xff), size - sizeof(*event));
	queue_commit(queue);
}

static bool is_event(const struct event *event, uint64_t number)
{
	size_t size = size_of(number);
	const uint8_t *tail = (const uint8_t *)(event + 1);

	if ((uintptr_t)event % 8 != 0 || event->size != ((size + 7) & ~(size_t)7) ||
	    event->type != EVENT_FAULT || event->ts != number)
		return false;
	for (size_t i = 0; i < size - sizeof(*event); i++) {
		if (tail[i] != (number & 0xff))
			return false;
	}
	return true;
}

/* One thread: never more than one event in the ring, at every position of it. */
static void wrapping(void)
{
	const struct event *event;
	struct queue *queue;

	if (!CHECK(queue_create(&queue, RING) == 0, "no memory"))
		return;
	CHECK(!queue_peek(queue), "a new queue is not empty");
	for (uint64_t i = 0; i < 20000; i++) {
		put(queue, i);
		event = queue_peek(queue);
		if (!CHECK(event && is_event(event, i), "event %lu", (unsigned long)i))
			break;
		CHECK(queue_peek(queue) == event, "a second look sees another event");
		queue_pop(queue);
		CHECK(!queue_peek(queue), "event %lu is there twice", (unsigned long)i);
	}
	CHECK(!queue_ended(queue), "ended before it was closed");
	put(queue, 1);
	queue_close(queue);
	CHECK(!queue_ended(queue), "ended before it was empty");
	CHECK(queue_peek(queue) != NULL, "the last event is gone");
	queue_pop(queue);
	CHECK(queue_ended(queue), "not ended");
	queue_destroy(queue);
	queue_destroy(NULL);
}

struct producer {
	struct queue *queue;
	uint64_t count;
	uint64_t pause_every; /* 0: never */
	_Atomic uint64_t done;
};

static void *produce(void *argument)
{
	struct producer *producer = argument;

	for (uint64_t i = 0; i < producer->count; i++) {
		put(producer->queue, i);
		atomic_store_explicit(&producer->done, i + 1, memory_order_relaxed);
		if (producer->pause_every && i % producer->pause_every == 0)
			usleep(100);
	}
	queue_close(producer->queue);
	return NULL;
}

/* Takes everything and says how many came in order. */
static uint64_t consume(struct queue *queue, uint64_t pause_every)
{
	const struct event *event;
	uint64_t number = 0;

	while (!queue_ended(queue)) {
		event = queue_peek(queue);
		if (!event) {
			queue_nap(queue, 1000000);
			continue;
		}
		if (!is_event(event, number))
			return number;
		queue_pop(queue);
		number++;
		if (pause_every && number % pause_every == 0)
			usleep(100);
	}
	return number;
}

static void two_threads(uint64_t producer_pause, uint64_t consumer_pause)
{
	struct producer producer = {.count = 200000, .pause_every = producer_pause};
	pthread_t thread;
	uint64_t got;

	if (!CHECK(queue_create(&producer.queue, RING) == 0, "no memory"))
		return;
	pthread_create(&thread, NULL, produce, &producer);
	got = consume(producer.queue, consumer_pause);
	CHECK(got == producer.count, "event %lu came wrong", (unsigned long)got);
	if (got == producer.count)
		pthread_join(thread, NULL);
	queue_destroy(producer.queue);
}

static void fast_threads(void)
{
	two_threads(0, 0);
}

static void slow_producer(void)
{
	two_threads(500, 0);
}

static void slow_consumer(void)
{
	two_threads(0, 500);
}

static void full_ring_waits(void)
{
	struct producer producer = {.count = 5000};
	uint64_t done = 0, before;
	pthread_t thread;

	if (!CHECK(queue_create(&producer.queue, RING) == 0, "no memory"))
		return;
	pthread_create(&thread, NULL, produce, &producer);
	/* Full when nothing has moved for a while. */
	do {
		before = done;
		usleep(50000);
		done = atomic_load(&producer.done);
	} while (done != before || done == 0);
	CHECK(done < producer.count, "%lu events went into a ring without a reader",
	    (unsigned long)done);
	CHECK(consume(producer.queue, 0) == producer.count, "not all events came");
	pthread_join(thread, NULL);
	queue_destroy(producer.queue);
}

static void *put_some_later(void *argument)
{
	struct producer *producer = argument;

	usleep(20000);
	for (uint64_t i = 0; i < producer->count; i++)
		put(producer->queue, 1); /* some tens of bytes */
	return NULL;
}

static void *close_later(void *argument)
{
	usleep(20000);
	queue_close(argument);
	return NULL;
}

/* How long a nap of `ns` takes while another thread does something. */
static uint64_t nap_during(struct queue *queue, uint64_t ns, void *(*other)(void *), void *argument)
{
	uint64_t start = now_ns(), end;
	pthread_t thread;

	pthread_create(&thread, NULL, other, argument);
	queue_nap(queue, ns);
	end = now_ns();
	pthread_join(thread, NULL);
	return end - start;
}

static void naps(void)
{
	const uint64_t minute = UINT64_C(60000000000), moment = 150000000;
	struct producer few = {.count = 1};
	struct producer many = {.count = 1 + RING / 3 / size_of(1)};
	struct queue *queue;

	if (!CHECK(queue_create(&queue, RING) == 0, "no memory"))
		return;
	few.queue = many.queue = queue;
	CHECK(nap_during(queue, moment, put_some_later, &few) >= moment, "one event ended the nap");
	CHECK(nap_during(queue, minute, put_some_later, &many) < minute,
	    "a ring that fills up did not end the nap");
	while (queue_peek(queue))
		queue_pop(queue);
	CHECK(
	    nap_during(queue, minute, close_later, queue) < minute, "closing did not end the nap");
	CHECK(queue_ended(queue), "not ended");
	queue_destroy(queue);
}

int main(void)
{
	check_case("one event at a time, at every position of the ring", wrapping);
	check_case("two threads without pauses", fast_threads);
	check_case("a slow producer", slow_producer);
	check_case("a slow consumer", slow_consumer);
	check_case("a full ring makes the producer wait", full_ring_waits);
	check_case("a nap ends early only when the ring fills up or is closed", naps);
	return check_result();
}
