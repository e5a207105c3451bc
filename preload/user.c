/* SPDX-License-Identifier: MIT */
/* user.c: looks a user up by name, wherever the system keeps its users (nsswitch.conf(5)). */
#include "user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SHELL "/bin/sh"
#define GROUPS_LIMIT  65536 /* NGROUPS_MAX of linux/limits.h */

/* getgrouplist tells how many there are when they do not fit. */
static int find_groups(struct fl_user *user)
{
	for (int room = 16; room <= GROUPS_LIMIT; room *= 2) {
		int count = room;
		gid_t *groups = realloc(user->groups, (size_t)room * sizeof(*groups));

		if (!groups)
			return -ENOMEM;
		user->groups = groups;
		if (getgrouplist(user->name, user->gid, groups, &count) >= 0) {
			user->group_count = (size_t)count;
			return 0;
		}
	}
	return -E2BIG;
}

int fl_user_find(struct fl_user *user, const char *name, char *error, size_t size)
{
	const struct passwd *entry;
	int result;

	*user = (struct fl_user){0};
	errno = 0;
	entry = getpwnam(name);
	if (!entry) {
		result = errno ? errno : ENOENT;
		/* getpwnam(3) lists what else may mean that there is no such user. */
		if (result == ENOENT || result == ESRCH || result == EBADF || result == EPERM)
			snprintf(error, size,
			    "there is no user \"%s\" here (`getent passwd` lists them)", name);
		else
			snprintf(error, size, "cannot look the user \"%s\" up: %s", name,
			    strerror(result));
		return -result;
	}
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	user->name = strdup(entry->pw_name);
	user->home = strdup(entry->pw_dir);
	user->shell = strdup(entry->pw_shell[0] ? entry->pw_shell : DEFAULT_SHELL);
	result = user->name && user->home && user->shell ? find_groups(user) : -ENOMEM;
	if (result < 0) {
		snprintf(error, size, "cannot look the groups of user \"%s\" up: %s", name,
		    strerror(-result));
		fl_user_free(user);
	}
	return result;
}

void fl_user_free(struct fl_user *user)
{
	free(user->groups);
	free(user->name);
	free(user->home);
	free(user->shell);
	*user = (struct fl_user){0};
}
