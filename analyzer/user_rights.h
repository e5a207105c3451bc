/* SPDX-License-Identifier: MIT */
/*
 * user_rights.h: how `faultline record --user` gives up root's rights: for a while, to judge files
 * as the user would, and for good, in the process that becomes the program.
 */
#ifndef FAULTLINE_USER_RIGHTS_H
#define FAULTLINE_USER_RIGHTS_H

#include "../preload/user.h"

/* What rights_borrow changed. */
struct rights {
	gid_t gid, *groups;
	int group_count;
};

/*
 * Gives root's process the user's rights for what is tried next: user and group IDs, groups, no
 * capability. It can come back, and that user cannot trace it. 0 or a negative errno, and then
 * nothing has changed.
 */
int rights_borrow(struct rights *before, const struct fl_user *user);

/* Comes back. A process that cannot is of no use: it ends, with a message. */
void rights_return(struct rights *before);

/*
 * Becomes the user for good: IDs, groups, no capability of any kind, not even one to inherit, and
 * a session keyring of its own. Everything else stays. 0 or a negative errno, and then the process
 * must not go on.
 */
int rights_become(const struct fl_user *user);

#endif
