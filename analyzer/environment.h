/* SPDX-License-Identifier: MIT */
/*
 * environment.h: the environments that `faultline record` hands to the program and the monitor.
 */
#ifndef FAULTLINE_ENVIRONMENT_H
#define FAULTLINE_ENVIRONMENT_H

#include <stddef.h>

/* A variable to set; both strings are borrowed. */
struct setting {
	const char *variable, *value;
};

/*
 * The user's environment with the shim put before what LD_PRELOAD already holds (an allocator
 * preloaded by the user must come after it), FAULTLINE_MONITOR=`socket`, and `settings`. Everything
 * else stays as and where it was. NULL without memory; free with environment_free.
 */
char **environment_for_program(char *const *from, const char *shim, const char *socket,
    const struct setting *settings, size_t count);

/* The user's environment without LD_PRELOAD and FAULTLINE_MONITOR, with `settings` set. */
char **environment_for_monitor(char *const *from, const struct setting *settings, size_t count);

/* Accepts NULL. */
void environment_free(char **environment);

#endif
