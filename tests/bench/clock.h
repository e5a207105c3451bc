/* SPDX-License-Identifier: MIT */
/*
 * clock.h: the clock that measured programs take their times from. Included by one file of each.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

/* Nanoseconds since some moment. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

#endif
