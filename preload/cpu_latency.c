/* SPDX-License-Identifier: MIT */
/* cpu_latency.c: see cpu_latency.h. */
#include "cpu_latency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Microseconds. The first of the sleeps of bare metal takes 1 or 2 to wake from, and that by a
 * write to memory (drivers/idle/intel_idle.c); it leaves power for the processors that are busy.
 * What the driver of virtual machines has below 1 is to go round in a loop
 * (drivers/cpuidle/governors/haltpoll.c).
 */
#define WAKE_FAST	2
#define WAKE_FAST_GUEST 0
#define WAKE_ANYHOW	2000000000 /* PM_QOS_CPU_LATENCY_DEFAULT_VALUE */

int fl_cpu_latency_open(void)
{
	int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void fl_cpu_latency_hold(int fd, bool hold)
{
	int32_t microseconds = WAKE_ANYHOW;
	char driver[32];

	if (hold) {
		fl_cpu_idle_driver(driver, sizeof(driver));
		microseconds = strcmp(driver, "haltpoll") == 0 ? WAKE_FAST_GUEST : WAKE_FAST;
	}
	(void)!write(fd, &microseconds, sizeof(microseconds));
}

void fl_cpu_idle_driver(char *name, size_t size)
{
	FILE *file = fopen("/sys/devices/system/cpu/cpuidle/current_driver", "re");

	if (!file || !fgets(name, (int)size, file))
		snprintf(name, size, "none");
	name[strcspn(name, "\n")] = '\0';
	if (file)
		fclose(file);
}
