/* SPDX-License-Identifier: MIT */
/*
 * exceptions: C++ exceptions thrown and caught through functions that touch pages: before the
 * throw, in cleanups while the stack is unwound, and in handlers; some thrown again, in two
 * threads.
 *
 *   exceptions TRUTH ROUNDS
 *
 * What must be found by name is extern "C".
 */
#include "touch.h"

#include <stdexcept>
#include <string>

#define DEPTH 5

extern "C" {

static __thread volatile char *memory;
static __thread size_t used, cleaned, caught;
static size_t rounds;

static NOINLINE void touch_next(void)
{
	TRACED();
	nest((unsigned)used, used % 3 ? note_and_write : note_and_read, touch_place(memory, used));
	used++;
}

/* Runs when a function is left, by an exception too. */
static NOINLINE void clean_up(const int *depth)
{
	TRACED();
	touch_next();
	cleaned += (size_t)*depth;
}

static NOINLINE void throw_at_depth(int depth)
{
	TRACED();
	int level __attribute__((cleanup(clean_up))) = depth;

	touch_next();
	if (depth == 0)
		throw std::runtime_error("round " + std::to_string(used));
	throw_at_depth(depth - 1);
	level = 0;
}

static NOINLINE void rethrow(int depth)
{
	TRACED();
	try {
		throw_at_depth(depth);
	} catch (const std::exception &error) {
		touch_next();
		if (error.what()[0] != 'r')
			abort();
		throw;
	}
}

static NOINLINE void catch_it(size_t round)
{
	TRACED();
	try {
		rethrow((int)(round % DEPTH));
	} catch (const std::runtime_error &error) {
		touch_next();
		caught++;
	}
}

static NOINLINE void *thrower(void *name)
{
	truth_thread(static_cast<const char *>(name));
	TRACED();
	size_t size = rounds * (2 * DEPTH + 2) * PAGE;

	memory = touch_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	truth_region("mmap", memory, size);
	for (size_t i = 0; i < rounds; i++)
		catch_it(i);
	return reinterpret_cast<void *>(used * 1000000 + cleaned * 1000 + caught % 1000);
}
}

int main(int argc, char **argv)
{
	static char boss[] = "boss", thrown[] = "thrower";
	pthread_t thread;
	void *result, *other;

	if (argc < 3)
		return 2;
	rounds = strtoul(argv[2], nullptr, 10);
	TRACED();
	if (pthread_create(&thread, nullptr, thrower, thrown) != 0)
		truth_fail("pthread_create");
	result = thrower(boss);
	pthread_join(thread, &other);
	truth_write(argv[1], "w");
	printf("exceptions: %p %p\n", result, other);
	return 0;
}
