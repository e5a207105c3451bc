/* SPDX-License-Identifier: MIT */
/*
 * cpu_latency.h: how long an idle processor may take to wake, as the kernel is asked by
 * /dev/cpu_dma_latency (Documentation/power/pm_qos_interface.rst). A thread that waits for its page
 * leaves its processor idle for a few microseconds; where that is halted, as virtual ones are at
 * once, the interrupt that ends the halt takes longer than all the rest of a fault. Linked into
 * the faultline command and the monitor.
 */
#ifndef FAULTLINE_CPU_LATENCY_H
#define FAULTLINE_CPU_LATENCY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A descriptor for requests, close-on-exec, or a negative errno: it is root's. Nothing is asked
 * for yet; what is, ends when it is closed, and so with its process at the latest.
 */
int fl_cpu_latency_open(void);

/* Has all of the machine's processors wake fast from now on, or no longer. */
void fl_cpu_latency_hold(int fd, bool hold);

/* The name of what puts idle processors to sleep, "none" where the kernel halts them unasked. */
void fl_cpu_idle_driver(char *name, size_t size);

#endif
