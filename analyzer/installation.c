/* SPDX-License-Identifier: MIT */
/*
 * installation.c: finds the shim and the monitor from /proc/self/exe, so that a checkout and an
 * installed tree work wherever they stand. Keeps no state.
 */
#include "installation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 0 when both files are in `folder`; -ENOENT or -ENAMETOOLONG. */
static int look_in(struct installation *found, const char *folder)
{
	int shim = snprintf(found->shim, sizeof(found->shim), "%s/libfaultline.so", folder);
	int monitor =
	    snprintf(found->monitor, sizeof(found->monitor), "%s/faultline-monitor", folder);
	if (shim >= PATH_MAX || monitor >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(found->shim, R_OK) == 0 && access(found->monitor, X_OK) == 0 ? 0 : -ENOENT;
}

int installation_find(struct installation *installation, char *error, size_t error_size)
{
	char own[PATH_MAX], folder[PATH_MAX + 32];
	struct installation found = {.shim = ""};
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (length < 0) {
		snprintf(error, error_size, "cannot read /proc/self/exe (%s): is /proc mounted?",
		    strerror(errno));
		return -ENOENT;
	}
	own[length] = '\0';
	char *slash = strrchr(own, '/');
	*slash = '\0';
	snprintf(folder, sizeof(folder), "%s/build", own);
	if (look_in(&found, folder) < 0) {
		slash = strrchr(own, '/');
		if (slash)
			*slash = '\0';
		snprintf(folder, sizeof(folder), "%s/lib/faultline", own);
		if (look_in(&found, folder) < 0) {
			if (slash)
				*slash = '/';
			snprintf(error, error_size,
			    "libfaultline.so and faultline-monitor are neither in \"%s/build\" nor "
			    "in "
			    "\"%s\": run make, or install faultline again",
			    own, folder);
			return -ENOENT;
		}
	}
	/* ld.so(8): the list is separated by spaces or colons, "$" begins a token */
	if (strpbrk(found.shim, " :$")) {
		snprintf(error, error_size,
		    "LD_PRELOAD cannot name \"%s\": move faultline to a path without spaces, "
		    "colons and dollar signs",
		    found.shim);
		return -EINVAL;
	}
	*installation = found;
	return 0;
}
