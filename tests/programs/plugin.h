/* SPDX-License-Identifier: MIT */
/*
 * plugin.h: what the program `plugin` asks of its plug-ins, libplug1.so and libplug2.so. They are
 * alike but for the names of their functions.
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <stddef.h>

#define PLUGIN_BSS_PAGES 64

struct plugin {
	/* The functions that run when `touch` writes a byte or reads one, innermost first. */
	const char *names[4];
	void (*touch)(volatile char *p, int write);
	volatile char *bss; /* PLUGIN_BSS_PAGES pages, page-aligned */
};

#define PLUGIN(prefix)                                                                             \
	extern const struct plugin plugin;                                                         \
	static char prefix##_bss[PLUGIN_BSS_PAGES * 4096] __attribute__((aligned(4096)));          \
	static __attribute__((noipa)) char prefix##_touch(volatile char *p, int write)             \
	{                                                                                          \
		if (write)                                                                         \
			*p = 1;                                                                    \
		return *p;                                                                         \
	}                                                                                          \
	static __attribute__((noipa)) int prefix##_inner(volatile char *p, int write)              \
	{                                                                                          \
		return prefix##_touch(p, write) + 1;                                               \
	}                                                                                          \
	static __attribute__((noipa)) void prefix##_entry(volatile char *p, int write)             \
	{                                                                                          \
		volatile int sum = 0;                                                              \
		for (int i = 0; i < 2; i++)                                                        \
			sum += prefix##_inner(p, write);                                           \
	}                                                                                          \
	const struct plugin plugin = {                                                             \
	    {#prefix "_touch", #prefix "_inner", #prefix "_entry", NULL},                          \
	    prefix##_entry,                                                                        \
	    prefix##_bss,                                                                          \
	}

#endif
