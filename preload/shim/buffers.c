/* SPDX-License-Identifier: MIT */
/*
 * buffers.c: the calls that hand memory to the kernel. In --mode=sigbus and with --unprivileged the
 * kernel does not wait for a missing page: the call would fail with EFAULT. So what lies in the
 * buffer is asked for first. In every other recording these functions only pass on.
 */
#include "real.h"
#include "shim.h"
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)
#define PAGES_ONCE 512u	      /* that mincore is asked about */
#define NEAR_BYTES 65536u     /* of the stack, which is never traced */
#define WINDOW	   (4u << 20) /* of a longer buffer, that is filled before data are there */

/* stdio.h has macros of these names. */
#undef fread_unlocked
#undef fwrite_unlocked

#define FUTEX_LOCK_PI2_ 13 /* Linux 5.14 */

#define NO_POINTER    65536 /* vm.mmap_min_addr */
#define POINTED_BYTES 256u

#define READS  0u
#define WRITES FL_TOUCH_WRITE

/* True when some page of the range is not in memory, though it is mapped. */
static bool has_missing(uint64_t start, uint64_t end)
{
	unsigned char present[PAGES_ONCE];

	while (start < end) {
		uint64_t pages = (end - start) / PAGE_BYTES;

		if (pages > PAGES_ONCE)
			pages = PAGES_ONCE;
		if (SYS3(SYS_mincore, start, pages * PAGE_BYTES, present) < 0)
			return false; /* not mapped: the call itself will tell */
		for (uint64_t i = 0; i < pages; i++)
			if (!(present[i] & 1))
				return true;
		start += pages * PAGE_BYTES;
	}
	return false;
}

/* Has what is missing of the range filled, in every kind of recording. */
static void fill_missing(const void *buffer, size_t size, unsigned touch)
{
	uint64_t start = (uint64_t)buffer, end = start + size;

	start &= ~(PAGE_BYTES - 1);
	end = (end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	if (shim_is_quiet() || has_missing(start, end))
		while (shim_request(FL_OP_TOUCH, (uint64_t[8]){(uint64_t)buffer, size, touch}) ==
		       -EAGAIN)
			continue; /* another thread unmaps or moves memory just now */
}

void shim_buffer(const void *buffer, size_t size, unsigned touch)
{
	uint64_t start = (uint64_t)buffer;
	uint64_t here = (uint64_t)__builtin_frame_address(0);

	if (size && start + size >= start && shim_is_user_mode() && start - here >= NEAR_BYTES)
		fill_missing(buffer, size, touch);
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
		fill_missing((void *)word, sizeof(uint32_t), FL_TOUCH_WRITE);
}

/* What the program wrote at `from`, which may be no memory at all. */
static bool copy_in(void *to, const void *from, size_t size)
{
	struct iovec here = {to, size}, there = {(void *)from, size};

	if (shim_is_quiet()) { /* nobody can tell whether it is there, but on our own stack */
		if ((uint64_t)from - (uint64_t)__builtin_frame_address(0) >= NEAR_BYTES)
			return false;
		memcpy(to, from, size);
		return true;
	}
	return SYS6(SYS_process_vm_readv, SYS1(SYS_gettid, 0), &here, 1, &there, 1, 0) ==
	       (long)size;
}

/* Up to a window of the vectors' memory: data come in pieces, and so may the answer. */
static void vectors(const struct iovec *vector, size_t count, unsigned touch)
{
	size_t left = touch & FL_TOUCH_WRITE ? WINDOW : SIZE_MAX;
	struct iovec one;

	if (!shim_is_user_mode())
		return;
	for (size_t i = 0; i < count && i < IOV_MAX && left; i++) {
		size_t size;

		if (!copy_in(&one, vector + i, sizeof(one)))
			return;
		size = one.iov_len < left ? one.iov_len : left;
		shim_buffer(one.iov_base, size, touch);
		left -= size;
	}
}

static void message(const struct msghdr *pointer, unsigned touch)
{
	struct msghdr m;

	if (!shim_is_user_mode() || !copy_in(&m, pointer, sizeof(m)))
		return;
	shim_buffer(m.msg_name, m.msg_namelen, touch);
	shim_buffer(m.msg_control, m.msg_controllen, touch);
	vectors(m.msg_iov, m.msg_iovlen, touch);
}

/* An answer whose room the program says in *length. */
static void sized_answer(const void *to, const socklen_t *length)
{
	socklen_t size;

	if (to && length && shim_is_user_mode() && copy_in(&size, length, sizeof(size)))
		shim_buffer(to, size, WRITES);
}

static bool is_regular(int fd)
{
	struct stat status;

	return SYS2(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* No thread can be here before the real functions are known, but for the one that looks them up. */
#define FORWARD(failed, ...)                                                                       \
	do {                                                                                       \
		if (!real_ready()) {                                                               \
			errno = EAGAIN;                                                            \
			return failed;                                                             \
		}                                                                                  \
		__VA_ARGS__;                                                                       \
	} while (0)

/* ---- data that come ---- */

/*
 * A file fills a long buffer at once: window after window is made ready, and the answers add up.
 * Other sources may answer with less, and the first window's is the answer. `offset` < 0: read.
 */
static ssize_t read_windows(int fd, char *to, size_t size, off_t offset)
{
	size_t total = 0;

	for (;;) {
		size_t most = shim_is_quiet() ? SIZE_MAX : WINDOW;
		size_t window = size - total < most ? size - total : most;
		ssize_t got;

		shim_buffer(to + total, window, WRITES);
		got = offset < 0 ? real.read(fd, to + total, window)
				 : real.pread(fd, to + total, window, offset + (off_t)total);
		if (got < 0)
			return total ? (ssize_t)total : got;
		total += (size_t)got;
		if ((size_t)got < window || total == size || !is_regular(fd))
			return (ssize_t)total;
	}
}

EXPORT ssize_t read(int fd, void *to, size_t size)
{
	FORWARD(-1, if (shim_is_user_mode()) return read_windows(fd, to, size, -1));
	return real.read(fd, to, size);
}

EXPORT ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
	FORWARD(
	    -1, if (offset >= 0 && shim_is_user_mode()) return read_windows(fd, to, size, offset));
	return real.pread(fd, to, size, offset);
}

EXPORT ssize_t pread64(int fd, void *to, size_t size, off_t offset) __attribute__((alias("pread")));

EXPORT ssize_t readv(int fd, const struct iovec *vector, int count)
{
	FORWARD(-1, vectors(vector, count < 0 ? 0 : (size_t)count, WRITES));
	return real.readv(fd, vector, count);
}

EXPORT ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
	FORWARD(-1, vectors(vector, count < 0 ? 0 : (size_t)count, WRITES));
	return real.preadv(fd, vector, count, offset);
}

EXPORT ssize_t preadv64(int fd, const struct iovec *vector, int count, off_t offset)
    __attribute__((alias("preadv")));

EXPORT ssize_t recv(int fd, void *to, size_t size, int flags)
{
	FORWARD(-1, shim_buffer(to, flags & MSG_WAITALL || size < WINDOW ? size : WINDOW, WRITES));
	return real.recv(fd, to, size, flags);
}

EXPORT ssize_t recvfrom(
    int fd, void *to, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
	FORWARD(-1, shim_buffer(to, flags & MSG_WAITALL || size < WINDOW ? size : WINDOW, WRITES));
	sized_answer(from, length);
	return real.recvfrom(fd, to, size, flags, from, length);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *to, int flags)
{
	FORWARD(-1, message(to, WRITES));
	return real.recvmsg(fd, to, flags);
}

/* libc reads large pieces straight into the caller's memory. */
static size_t read_stream(__typeof__(fread) *from, char *to, size_t size, size_t count, FILE *file)
{
	size_t bytes, total = 0;

	if (!shim_is_user_mode() || !size || __builtin_mul_overflow(size, count, &bytes))
		return from(to, size, count, file);
	while (total < bytes) {
		size_t window = bytes - total < WINDOW ? bytes - total : WINDOW, got;

		shim_buffer(to + total, window, WRITES);
		got = from(to + total, 1, window, file);
		total += got;
		if (got < window)
			break;
	}
	return total / size;
}

EXPORT size_t fread(void *to, size_t size, size_t count, FILE *file)
{
	FORWARD(0, );
	return read_stream(real.fread, to, size, count, file);
}

EXPORT size_t fread_unlocked(void *to, size_t size, size_t count, FILE *file)
{
	FORWARD(0, );
	return read_stream(real.fread_unlocked, to, size, count, file);
}

EXPORT ssize_t getdents64(int fd, void *to, size_t size)
{
	FORWARD(-1, shim_buffer(to, size, WRITES));
	return real.getdents64(fd, to, size);
}

EXPORT ssize_t getrandom(void *to, size_t size, unsigned flags)
{
	FORWARD(-1, shim_buffer(to, size, WRITES));
	return real.getrandom(to, size, flags);
}

EXPORT char *getcwd(char *to, size_t size)
{
	FORWARD(NULL, shim_buffer(to, to ? size : 0, WRITES));
	return real.getcwd(to, size);
}

EXPORT ssize_t readlink(const char *path, char *to, size_t size)
{
	FORWARD(-1, shim_buffer(to, size, WRITES));
	return real.readlink(path, to, size);
}

EXPORT ssize_t readlinkat(int folder, const char *path, char *to, size_t size)
{
	FORWARD(-1, shim_buffer(to, size, WRITES));
	return real.readlinkat(folder, path, to, size);
}

/* ---- data that go ---- */

EXPORT ssize_t write(int fd, const void *from, size_t size)
{
	FORWARD(-1, shim_buffer(from, size, READS));
	return real.write(fd, from, size);
}

EXPORT ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
	FORWARD(-1, shim_buffer(from, size, READS));
	return real.pwrite(fd, from, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *from, size_t size, off_t offset)
    __attribute__((alias("pwrite")));

EXPORT ssize_t writev(int fd, const struct iovec *vector, int count)
{
	FORWARD(-1, vectors(vector, count < 0 ? 0 : (size_t)count, READS));
	return real.writev(fd, vector, count);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset)
{
	FORWARD(-1, vectors(vector, count < 0 ? 0 : (size_t)count, READS));
	return real.pwritev(fd, vector, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *vector, int count, off_t offset)
    __attribute__((alias("pwritev")));

EXPORT ssize_t vmsplice(int fd, const struct iovec *vector, size_t count, unsigned flags)
{
	FORWARD(-1, vectors(vector, count, READS));
	return real.vmsplice(fd, vector, count, flags);
}

EXPORT ssize_t send(int fd, const void *from, size_t size, int flags)
{
	FORWARD(-1, shim_buffer(from, size, READS));
	return real.send(fd, from, size, flags);
}

EXPORT ssize_t sendto(
    int fd, const void *from, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
	FORWARD(-1, shim_buffer(from, size, READS));
	return real.sendto(fd, from, size, flags, to, length);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *from, int flags)
{
	FORWARD(-1, message(from, READS));
	return real.sendmsg(fd, from, flags);
}

EXPORT size_t fwrite(const void *from, size_t size, size_t count, FILE *file)
{
	FORWARD(0, shim_buffer(from, size * count, READS));
	return real.fwrite(from, size, count, file);
}

EXPORT size_t fwrite_unlocked(const void *from, size_t size, size_t count, FILE *file)
{
	FORWARD(0, shim_buffer(from, size * count, READS));
	return real.fwrite_unlocked(from, size, count, file);
}

/* A buffer that libc will hand to the kernel by itself, whenever it wants. */
EXPORT int setvbuf(FILE *file, char *buffer, int mode, size_t size)
{
	FORWARD(-1, shim_buffer(buffer, buffer ? size : 0, WRITES | FL_TOUCH_SILENT));
	return real.setvbuf(file, buffer, mode, size);
}

/* ---- memory of processes: the other's may be one's own ---- */

static void copies(pid_t pid, const struct iovec *to, size_t to_count, const struct iovec *from,
    size_t from_count, bool to_is_other)
{
	if (!shim_is_user_mode())
		return;
	if (!to_is_other || pid == shim_channel.state->pid)
		vectors(to, to_count, WRITES);
	if (to_is_other || pid == shim_channel.state->pid)
		vectors(from, from_count, READS);
}

EXPORT ssize_t process_vm_readv(pid_t pid, const struct iovec *own, unsigned long own_count,
    const struct iovec *other, unsigned long other_count, unsigned long flags)
{
	FORWARD(-1, copies(pid, own, own_count, other, other_count, false));
	return real.process_vm_readv(pid, own, own_count, other, other_count, flags);
}

EXPORT ssize_t process_vm_writev(pid_t pid, const struct iovec *own, unsigned long own_count,
    const struct iovec *other, unsigned long other_count, unsigned long flags)
{
	FORWARD(-1, copies(pid, other, other_count, own, own_count, true));
	return real.process_vm_writev(pid, own, own_count, other, other_count, flags);
}

/* ---- memory that the kernel shall hold ---- */

EXPORT int mlock(const void *start, size_t size)
{
	FORWARD(-1, shim_buffer(start, size, WRITES));
	return real.mlock(start, size);
}

EXPORT int mlock2(const void *start, size_t size, unsigned flags)
{
	FORWARD(-1, if (!(flags & MLOCK_ONFAULT)) shim_buffer(start, size, WRITES));
	return real.mlock2(start, size, flags);
}

/* ---- answers of a known size ---- */

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
	FORWARD(-1, sized_answer(to, length));
	return real.accept(fd, to, length);
}

EXPORT int accept4(int fd, struct sockaddr *to, socklen_t *length, int flags)
{
	FORWARD(-1, sized_answer(to, length));
	return real.accept4(fd, to, length, flags);
}

EXPORT int getsockname(int fd, struct sockaddr *to, socklen_t *length)
{
	FORWARD(-1, sized_answer(to, length));
	return real.getsockname(fd, to, length);
}

EXPORT int getpeername(int fd, struct sockaddr *to, socklen_t *length)
{
	FORWARD(-1, sized_answer(to, length));
	return real.getpeername(fd, to, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *to, socklen_t *length)
{
	FORWARD(-1, sized_answer(to, length));
	return real.getsockopt(fd, level, name, to, length);
}

/* ---- what programs built with _FORTIFY_SOURCE call: `room` is that of the buffer ---- */

/* libc's own ends a program whose buffer is too small; one that fits goes the usual way. */
#define FORTIFIED(result, name, plain, parameters, too_long, checked, unchecked)                   \
	result name parameters;                                                                    \
	EXPORT result name parameters                                                              \
	{                                                                                          \
		FORWARD((result)-1, if (too_long) return real.name checked);                       \
		return plain unchecked;                                                            \
	}

FORTIFIED(ssize_t, __read_chk, read, (int fd, void *to, size_t size, size_t room), size > room,
    (fd, to, size, room), (fd, to, size))
FORTIFIED(ssize_t, __pread_chk, pread, (int fd, void *to, size_t size, off_t offset, size_t room),
    size > room, (fd, to, size, offset, room), (fd, to, size, offset))
FORTIFIED(ssize_t, __pread64_chk, pread, (int fd, void *to, size_t size, off_t offset, size_t room),
    size > room, (fd, to, size, offset, room), (fd, to, size, offset))
FORTIFIED(ssize_t, __recv_chk, recv, (int fd, void *to, size_t size, size_t room, int flags),
    size > room, (fd, to, size, room, flags), (fd, to, size, flags))
FORTIFIED(ssize_t, __recvfrom_chk, recvfrom,
    (int fd, void *to, size_t size, size_t room, int flags, struct sockaddr *from,
	socklen_t *length),
    size > room, (fd, to, size, room, flags, from, length), (fd, to, size, flags, from, length))
FORTIFIED(char *, __getcwd_chk, getcwd, (char *to, size_t size, size_t room), size > room,
    (to, size, room), (to, size))
FORTIFIED(ssize_t, __readlink_chk, readlink, (const char *path, char *to, size_t size, size_t room),
    size > room, (path, to, size, room), (path, to, size))
FORTIFIED(ssize_t, __readlinkat_chk, readlinkat,
    (int folder, const char *path, char *to, size_t size, size_t room), size > room,
    (folder, path, to, size, room), (folder, path, to, size))
FORTIFIED(int, __poll_chk, poll, (struct pollfd * fds, nfds_t count, int timeout, size_t room),
    count > room / sizeof(*fds), (fds, count, timeout, room), (fds, count, timeout))

static bool stream_fits(size_t room, size_t size, size_t count)
{
	size_t bytes;

	return !__builtin_mul_overflow(size, count, &bytes) && bytes <= room;
}

FORTIFIED(size_t, __fread_chk, fread,
    (void *to, size_t room, size_t size, size_t count, FILE *file), !stream_fits(room, size, count),
    (to, room, size, count, file), (to, size, count, file))
FORTIFIED(size_t, __fread_unlocked_chk, fread_unlocked,
    (void *to, size_t room, size_t size, size_t count, FILE *file), !stream_fits(room, size, count),
    (to, room, size, count, file), (to, size, count, file))
