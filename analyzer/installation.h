/* SPDX-License-Identifier: MIT */
/*
 * installation.h: where the shim and the monitor of this very faultline are.
 */
#ifndef FAULTLINE_INSTALLATION_H
#define FAULTLINE_INSTALLATION_H

#include <limits.h>
#include <stddef.h>

struct installation {
	char shim[PATH_MAX];	/* libfaultline.so */
	char monitor[PATH_MAX]; /* faultline-monitor, beside it */
};

/*
 * Looks in build/ beside the running executable (a checkout), then in ../lib/faultline (an
 * installation). 0, or a negative errno after writing a sentence to `error`.
 */
int installation_find(struct installation *installation, char *error, size_t error_size);

#endif
