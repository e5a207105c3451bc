/* SPDX-License-Identifier: MIT */
/* rights.c: file system IDs and capabilities. Those of a thread are its own; the threads of the
   monitor are started afterwards and inherit them. */
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

/*
 * SYS_PTRACE: the program's memory and UFFD_FEATURE_EVENT_FORK. PERFMON and IPC_LOCK: perf's
 * events and rings. KILL: --capture=signal. CHECKPOINT_RESTORE: /proc/PID/map_files, whose links
 * lead to the mapped file itself; reading it takes the user's rights all the same.
 */
#define KEPT                                                                                       \
	(BIT(CAP_SYS_PTRACE) | BIT(CAP_PERFMON) | BIT(CAP_IPC_LOCK) | BIT(CAP_KILL) |              \
	    BIT(CAP_CHECKPOINT_RESTORE))

/* Permitted, and in effect only inside rights_open_proc. */
#define RESERVED BIT(CAP_DAC_READ_SEARCH)

static bool limited;

static int capabilities_get(uint64_t *permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

static int capabilities_set(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
	    {.permitted = (uint32_t)permitted, .effective = (uint32_t)effective},
	    {.permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32)}};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int rights_limit(const struct fl_user *user)
{
	uint64_t had;
	int result = capabilities_get(&had);

	if (result < 0)
		return result;
	if (setgroups(user->group_count, user->groups) < 0)
		return -errno;
	setfsgid(user->gid);
	setfsuid(user->uid);
	/* They have no way to fail but to answer what is still set. */
	if ((uid_t)setfsuid(user->uid) != user->uid || (gid_t)setfsgid(user->gid) != user->gid)
		return -EPERM;
	result = capabilities_set(had & (KEPT | RESERVED), had & KEPT);
	limited = result == 0;
	return result;
}

int rights_open_proc(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	uint64_t had;

	if (fd >= 0 || errno != EACCES || !limited)
		return fd;
	if (capabilities_get(&had) < 0 || capabilities_set(had, had) < 0) {
		errno = EACCES;
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	capabilities_set(had, had & ~RESERVED);
	errno = error;
	return fd;
}
