/* SPDX-License-Identifier: MIT */
/*
 * user.h: the user that --user names: who the program runs as, and whose rights the monitor has on
 * files. Linked into the faultline command and the monitor.
 */
#ifndef FAULTLINE_USER_H
#define FAULTLINE_USER_H

#include <stddef.h>
#include <sys/types.h>

struct fl_user {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* all that initgroups(3) would set */
	size_t group_count;
	char *name, *home, *shell;
};

/*
 * Looks the user up. 0; or a negative errno with one sentence in `error`, and nothing to be freed.
 */
int fl_user_find(struct fl_user *user, const char *name, char *error, size_t size);

/* Frees what fl_user_find made; accepts a zeroed one. */
void fl_user_free(struct fl_user *user);

#endif
