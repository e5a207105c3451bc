/* SPDX-License-Identifier: MIT */
/*
 * user_rights.c: the calls that change who a process is, in the order that leaves nothing behind:
 * groups first, for they need root; the user last.
 */
#include "user_rights.h"

#include "command.h"
#include "message.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int rights_borrow(struct rights *before, const struct fl_user *user)
{
	int result = 0;
	*before = (struct rights){.group_count = getgroups(0, NULL), .gid = getgid()};
	if (before->group_count < 0)
		return -errno;
	before->groups = calloc((size_t)before->group_count + 1, sizeof(gid_t));
	if (!before->groups)
		return -ENOMEM;
	before->group_count = getgroups(before->group_count, before->groups);
	if (before->group_count < 0 || setgroups(user->group_count, user->groups) < 0) {
		result = -errno;
		free(before->groups);
		return result;
	}
	/* The saved IDs stay root's: they are the way back. */
	if (setresgid(user->gid, user->gid, -1u) < 0 || setresuid(user->uid, user->uid, 0) < 0) {
		result = -errno;
		rights_return(before);
	}
	return result;
}

void rights_return(struct rights *before)
{
	if (setresuid(0, 0, 0) < 0 || setresgid(before->gid, before->gid, before->gid) < 0 ||
	    setgroups((size_t)before->group_count, before->groups) < 0) {
		message("cannot take root's rights back: %s", strerror(errno));
		_exit(STATUS_NOT_TRACED);
	}
	free(before->groups);
	before->groups = NULL;
}

/* setresuid drops capabilities only as far as the process's securebits let it. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static bool is_all(const struct fl_user *user)
{
	uid_t uid[3];
	gid_t gid[3];
	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (uid[i] != user->uid || gid[i] != user->gid)
			return false;
	return true;
}

int rights_become(const struct fl_user *user)
{
	if (setgroups(user->group_count, user->groups) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	if (!is_all(user))
		return -EPERM;
	if (user->uid != 0) {
		int result = drop_capabilities();
		if (result < 0)
			return result;
	}
	/* The keys in root's are root's. Where keyrings are absent or forbidden there are none. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS &&
	    errno != EPERM)
		return -errno;
	return 0;
}
