/* SPDX-License-Identifier: MIT */
/*
 * answers.c: the calls whose arguments and answers have a known size. In --mode=sigbus and with
 * --unprivileged what lies there is asked for before the call, as in buffers.c; in every other
 * recording only for the few that the kernel never waits for.
 */
#include "buffers.h"
#include "sys.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_xdp.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FUTEX_LOCK_PI2_ 13 /* Linux 5.14 */

#define NO_POINTER    65536 /* vm.mmap_min_addr */
#define POINTED_BYTES 256u
#define SIGSET_BYTES  8u /* the kernel's */

/* ---- one answer, or one argument ---- */

__attribute__((used)) static void answer(const void *to, size_t size)
{
	if (real_ready())
		shim_buffer(to, size, WRITES);
}

__attribute__((used)) static void path(const char *start, size_t size)
{
	if (real_ready())
		shim_buffer(start, size, READS);
}

#define ANSWER(name, pointer, size, before)                                                        \
	EXPORT __attribute__((naked)) void answer_##name(void) __asm__(#name);                     \
	void answer_##name(void)                                                                   \
	{                                                                                          \
		REAL_FORWARD(                                                                      \
		    "movq %%" pointer ", %%rdi\n\tmovq $%c1, %%rsi\n\t", before, "", name, size);  \
	}
REAL_ANSWERS(ANSWER)

/* The same for more than one, or a size that another argument says. Each is called as the function
   itself is, and looks at some of what it gets. */
#define BEFORE(name, parameters, ...)                                                              \
	__attribute__((used)) static void before_##name parameters                                 \
	{                                                                                          \
		if (real_ready() && shim_is_user_mode()) {                                         \
			__VA_ARGS__;                                                               \
		}                                                                                  \
	}                                                                                          \
	EXPORT __attribute__((naked)) void any_##name(void) __asm__(#name);                        \
	void any_##name(void)                                                                      \
	{                                                                                          \
		REAL_FORWARD("", before_##name, "", name, 0);                                      \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

static void reads(const void *start, size_t size)
{
	shim_buffer(start, size, READS);
}

static void writes(const void *start, size_t size)
{
	shim_buffer(start, size, WRITES);
}

/* The first numbers of a set, as the kernel takes them: words. */
static void set_of(const fd_set *set, int count)
{
	if (count > 0)
		reads(set, ((size_t)count + 63) / 64 * 8);
}

/* Words for a new program. One that nobody has touched is empty. */
static void words(char *const *list)
{
	const char *word;

	if (list)
		for (; shim_copy_in(&word, list, sizeof(word)) && word; list++)
			reads(word, 1);
}

/* clang-format off */
BEFORE(connect, (int fd, const void *to, socklen_t size), reads(to, size))
BEFORE(bind, (int fd, const void *to, socklen_t size), reads(to, size))
BEFORE(sendfile, (int to, int from, off_t *at), reads(at, sizeof(*at)))
BEFORE(sendfile64, (int to, int from, off_t *at), reads(at, sizeof(*at)))
BEFORE(splice, (int from, off_t *from_at, int to, off_t *to_at),
	reads(from_at, sizeof(*from_at)); reads(to_at, sizeof(*to_at)))
BEFORE(copy_file_range, (int from, off_t *from_at, int to, off_t *to_at),
	reads(from_at, sizeof(*from_at)); reads(to_at, sizeof(*to_at)))
BEFORE(msgrcv, (int id, void *to, size_t size), writes(to, sizeof(long) + size))
BEFORE(msgsnd, (int id, const void *from, size_t size), reads(from, sizeof(long) + size))

BEFORE(select, (int count, fd_set *in, fd_set *out, fd_set *other),
	set_of(in, count); set_of(out, count); set_of(other, count))
BEFORE(sigwaitinfo, (const void *set, siginfo_t *to),
	reads(set, SIGSET_BYTES); writes(to, sizeof(*to)))
BEFORE(sigtimedwait, (const void *set, siginfo_t *to, const struct timespec *time),
	reads(set, SIGSET_BYTES); writes(to, sizeof(*to)); reads(time, sizeof(*time)))
BEFORE(wait4, (pid_t pid, int *status, int options, struct rusage *usage),
	writes(status, sizeof(*status)); writes(usage, sizeof(*usage)))
BEFORE(nanosleep, (const struct timespec *time, struct timespec *rest),
	reads(time, sizeof(*time)); writes(rest, sizeof(*rest)))
BEFORE(clock_nanosleep, (int clock, int flags, const struct timespec *time, struct timespec *rest),
	reads(time, sizeof(*time)); writes(rest, sizeof(*rest)))
BEFORE(setitimer, (int which, const struct itimerval *to, struct itimerval *from),
	reads(to, sizeof(*to)); writes(from, sizeof(*from)))
BEFORE(timerfd_settime, (int fd, int flags, const struct itimerspec *to, struct itimerspec *from),
	reads(to, sizeof(*to)); writes(from, sizeof(*from)))

BEFORE(sched_getaffinity, (pid_t pid, size_t size, void *to), writes(to, size))
BEFORE(sched_setaffinity, (pid_t pid, size_t size, const void *to), reads(to, size))
BEFORE(getgroups, (int count, gid_t *to),
	if (count > 0) writes(to, (size_t)count * sizeof(*to)))
BEFORE(getxattr, (const char *path, const char *name, void *to, size_t size), writes(to, size))
BEFORE(lgetxattr, (const char *path, const char *name, void *to, size_t size), writes(to, size))
BEFORE(fgetxattr, (int fd, const char *name, void *to, size_t size), writes(to, size))
BEFORE(listxattr, (const char *path, char *to, size_t size), writes(to, size))
BEFORE(llistxattr, (const char *path, char *to, size_t size), writes(to, size))
BEFORE(flistxattr, (int fd, char *to, size_t size), writes(to, size))

BEFORE(execve, (const char *path, char *const *list, char *const *environment),
	words(list); words(environment))
BEFORE(execv, (const char *path, char *const *list), words(list))
BEFORE(execvp, (const char *path, char *const *list), words(list))
BEFORE(execvpe, (const char *path, char *const *list, char *const *environment),
	words(list); words(environment))
BEFORE(posix_spawn, (pid_t *pid, const char *path, const void *actions, const void *attributes,
	char *const *list, char *const *environment), words(list); words(environment))
BEFORE(posix_spawnp, (pid_t *pid, const char *path, const void *actions, const void *attributes,
	char *const *list, char *const *environment), words(list); words(environment))
/* clang-format on */

#pragma GCC diagnostic pop

/* ---- what the kernel never waits for ---- */

/*
 * Packets' memory is taken with the address space locked (pin_user_pages in xdp_umem_pin_pages of
 * net/xdp/xdp_umem.c): it fails with EFAULT where a page is missing.
 */
static void packet_memory(const void *value, socklen_t length)
{
	struct xdp_umem_reg memory = {0};

	if (length >= offsetof(struct xdp_umem_reg, chunk_size) && shim_traced() &&
	    shim_copy_in(&memory, value, offsetof(struct xdp_umem_reg, chunk_size)))
		shim_fill((void *)memory.addr, memory.len, WRITES);
}

__attribute__((used)) static void before_setsockopt(
    int fd, int level, int name, const void *value, socklen_t length)
{
	(void)fd;
	if (!real_ready())
		return;
	shim_buffer(value, length, READS);
	if (level == SOL_XDP && name == XDP_UMEM_REG)
		packet_memory(value, length);
}

EXPORT __attribute__((naked)) void any_setsockopt(void) __asm__("setsockopt");
void any_setsockopt(void)
{
	REAL_FORWARD("", before_setsockopt, "", setsockopt, 0);
}

/*
 * These operations the kernel carries out where it cannot wait for a page, and nobody's page fault
 * could be waited for (FAULT_FLAG_ALLOW_RETRY in fault_in_user_writeable of kernel/futex/core.c).
 */
static void futex_words(long first, long operation, long second)
{
	long word = 0;

	switch (operation & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI:
	case FUTEX_TRYLOCK_PI:
	case FUTEX_LOCK_PI2_:
		word = first;
		break;
	case FUTEX_WAKE_OP:
	case FUTEX_CMP_REQUEUE_PI:
	case FUTEX_WAIT_REQUEUE_PI:
		word = second;
		break;
	}
	if (word > NO_POINTER && word % (long)sizeof(uint32_t) == 0 && shim_traced())
		shim_fill((void *)word, sizeof(uint32_t), FL_TOUCH_WRITE);
}

/* True when the first argument says which memory is meant, and nothing of it is used. */
static bool names_memory(long number)
{
	return number == SYS_mprotect || number == SYS_pkey_mprotect || number == SYS_mincore ||
	       number == SYS_msync || number == SYS_mbind || number == SYS_remap_file_pages;
}

/*
 * Nobody knows which arguments of this one point to memory: what they point to, if it is mapped.
 * The result is the function to be called instead, or NULL.
 */
__attribute__((used)) static void *arguments(long number, long a, long b, long c, long d, long e)
{
	const long all[] = {a, b, c, d, e};
	void *instead = shim_mapping_call(number);

	if (instead || !real_ready())
		return instead;
	if ((number == SYS_prctl && a == PR_SET_SECCOMP) ||
	    (number == SYS_seccomp && a != SECCOMP_GET_ACTION_AVAIL &&
		a != SECCOMP_GET_NOTIF_SIZES))
		shim_become_quiet();
	if (number == SYS_futex)
		futex_words(a, b, e);
	if (number == SYS_clone || number == SYS_clone3 || number == SYS_fork ||
	    number == SYS_vfork)
		shim_thread_id_shared();
	for (size_t i = names_memory(number);
	     i < sizeof(all) / sizeof(all[0]) && shim_is_user_mode(); i++)
		if (all[i] > NO_POINTER)
			shim_buffer((void *)all[i], POINTED_BYTES, FL_TOUCH_EITHER);
	return NULL;
}

__attribute__((used)) static void before_prctl(long option)
{
	if (real_ready() && option == PR_SET_SECCOMP)
		shim_become_quiet();
}

EXPORT __attribute__((naked)) void any_prctl(void) __asm__("prctl");
void any_prctl(void)
{
	REAL_FORWARD("", before_prctl, "", prctl, 0);
}

EXPORT __attribute__((naked)) void any_call(void) __asm__("syscall");
void any_call(void)
{
	REAL_FORWARD("", arguments, REAL_INSTEAD, syscall, 0);
}

/* ---- others ---- */

EXPORT int stat(const char *path, struct stat *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.stat(path, to);
}

EXPORT int lstat(const char *path, struct stat *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.lstat(path, to);
}

EXPORT int fstat(int fd, struct stat *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.fstat(fd, to);
}

EXPORT int fstatat(int folder, const char *path, struct stat *to, int flags)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.fstatat(folder, path, to, flags);
}

EXPORT int stat64(const char *path, struct stat64 *to)
{
	return stat(path, (struct stat *)to);
}

EXPORT int lstat64(const char *path, struct stat64 *to)
{
	return lstat(path, (struct stat *)to);
}

EXPORT int fstat64(int fd, struct stat64 *to)
{
	return fstat(fd, (struct stat *)to);
}

EXPORT int fstatat64(int folder, const char *path, struct stat64 *to, int flags)
{
	return fstatat(folder, path, (struct stat *)to, flags);
}

EXPORT int statx(int folder, const char *path, int flags, unsigned mask, struct statx *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.statx(folder, path, flags, mask, to);
}

EXPORT int statfs(const char *path, struct statfs *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.statfs(path, to);
}

EXPORT int fstatfs(int fd, struct statfs *to)
{
	FORWARD(-1, shim_buffer(to, sizeof(*to), WRITES));
	return real.fstatfs(fd, to);
}

EXPORT int statfs64(const char *path, struct statfs64 *to)
{
	return statfs(path, (struct statfs *)to);
}

EXPORT int fstatfs64(int fd, struct statfs64 *to)
{
	return fstatfs(fd, (struct statfs *)to);
}

EXPORT int epoll_wait(int fd, struct epoll_event *to, int count, int timeout)
{
	FORWARD(-1, if (count > 0) shim_buffer(to, (size_t)count * sizeof(*to), WRITES));
	return real.epoll_wait(fd, to, count, timeout);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	FORWARD(-1, shim_buffer(fds, count * sizeof(*fds), READS));
	return real.poll(fds, count, timeout);
}

EXPORT int accept(int fd, struct sockaddr *to, socklen_t *length)
{
	FORWARD(-1, shim_sized_answer(to, length));
	return real.accept(fd, to, length);
}

EXPORT int accept4(int fd, struct sockaddr *to, socklen_t *length, int flags)
{
	FORWARD(-1, shim_sized_answer(to, length));
	return real.accept4(fd, to, length, flags);
}

EXPORT int getsockname(int fd, struct sockaddr *to, socklen_t *length)
{
	FORWARD(-1, shim_sized_answer(to, length));
	return real.getsockname(fd, to, length);
}

EXPORT int getpeername(int fd, struct sockaddr *to, socklen_t *length)
{
	FORWARD(-1, shim_sized_answer(to, length));
	return real.getpeername(fd, to, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *to, socklen_t *length)
{
	FORWARD(-1, shim_sized_answer(to, length));
	return real.getsockopt(fd, level, name, to, length);
}
