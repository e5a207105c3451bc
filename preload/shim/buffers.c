/* SPDX-License-Identifier: MIT */
/*
 * buffers.c: the calls that move data between memory and the kernel. In --mode=sigbus and with
 * --unprivileged the kernel does not wait for a missing page: the call would fail with EFAULT. So
 * what lies in the buffer is asked for first. In every other recording these functions only pass
 * on, but for what the kernel never waits for.
 */
#include "buffers.h"

#include "sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)
#define PAGES_ONCE 512u	  /* that mincore is asked about */
#define NEAR_BYTES 65536u /* of the stack, which is never traced */
#define WINDOW	   SHIM_WINDOW

/* stdio.h has macros of these names. */
#undef fread_unlocked
#undef fwrite_unlocked

/* True when some page of the range is not in memory. */
static bool has_missing(uint64_t start, uint64_t end)
{
	unsigned char present[PAGES_ONCE];

	while (start < end) {
		uint64_t pages = (end - start) / PAGE_BYTES;

		if (pages > PAGES_ONCE)
			pages = PAGES_ONCE;
		if (SYS3(SYS_mincore, start, pages * PAGE_BYTES, present) < 0)
			return true; /* a part is not mapped; the call goes as far as it can */
		for (uint64_t i = 0; i < pages; i++)
			if (!(present[i] & 1))
				return true;
		start += pages * PAGE_BYTES;
	}
	return false;
}

void shim_fill(const void *buffer, size_t size, unsigned touch)
{
	uint64_t start = (uint64_t)buffer & ~(PAGE_BYTES - 1);
	uint64_t end = ((uint64_t)buffer + size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	if (shim_is_quiet() || has_missing(start, end))
		shim_fill_in(0, (uint64_t)buffer, size, touch);
}

void shim_fill_in(pid_t pid, uint64_t address, size_t size, unsigned touch)
{
	const uint64_t end = address + size;
	int64_t reached;

	/* It gets so far; or somebody unmaps or moves memory there just now. */
	while (address < end &&
	       ((reached = shim_request(FL_OP_TOUCH,
		     (uint64_t[8]){address, end - address, touch, (uint64_t)pid})) > 0 ||
		   reached == -EAGAIN))
		if (reached > 0)
			address = (uint64_t)reached;
}

void shim_buffer(const void *buffer, size_t size, unsigned touch)
{
	uint64_t start = (uint64_t)buffer;
	uint64_t here = (uint64_t)__builtin_frame_address(0);

	if (buffer && size && start + size >= start && shim_is_user_mode() &&
	    start - here >= NEAR_BYTES)
		shim_fill(buffer, size, touch);
}

bool shim_copy_in(void *to, const void *from, size_t size)
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

void shim_vectors(const struct iovec *vector, size_t count, unsigned touch)
{
	size_t left = touch & FL_TOUCH_WRITE ? WINDOW : SIZE_MAX;
	struct iovec one;

	if (!shim_is_user_mode())
		return;
	for (size_t i = 0; i < count && i < IOV_MAX && left; i++) {
		size_t size;

		if (!shim_copy_in(&one, vector + i, sizeof(one)))
			return;
		size = one.iov_len < left ? one.iov_len : left;
		shim_buffer(one.iov_base, size, touch);
		left -= size;
	}
}

void shim_message(const struct msghdr *pointer, unsigned touch)
{
	struct msghdr m;

	if (!shim_is_user_mode() || !shim_copy_in(&m, pointer, sizeof(m)))
		return;
	shim_buffer(m.msg_name, m.msg_namelen, touch);
	shim_buffer(m.msg_control, m.msg_controllen, touch);
	shim_vectors(m.msg_iov, m.msg_iovlen, touch);
}

void shim_sized_answer(const void *to, const socklen_t *length)
{
	socklen_t size;

	if (to && length && shim_is_user_mode() && shim_copy_in(&size, length, sizeof(size)))
		shim_buffer(to, size, WRITES);
}

static bool is_regular(int fd)
{
	struct stat status;

	return SYS2(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode);
}

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
	int before = errno;
	ssize_t got;

	FORWARD(-1, );
	got = shim_is_user_mode() ? read_windows(fd, to, size, -1) : real.read(fd, to, size);
	return shim_is_cut(size, -1, got) ? shim_transfer_on(fd, to, size, -1, got, false, before)
					  : got;
}

EXPORT ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
	int before = errno;
	ssize_t got;

	FORWARD(-1, );
	got = offset >= 0 && shim_is_user_mode() ? read_windows(fd, to, size, offset)
						 : real.pread(fd, to, size, offset);
	return shim_is_cut(size, offset, got)
		   ? shim_transfer_on(fd, to, size, offset, got, false, before)
		   : got;
}

EXPORT ssize_t pread64(int fd, void *to, size_t size, off_t offset) __attribute__((alias("pread")));

EXPORT ssize_t readv(int fd, const struct iovec *vector, int count)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, WRITES));
	return real.readv(fd, vector, count);
}

EXPORT ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, WRITES));
	return real.preadv(fd, vector, count, offset);
}

EXPORT ssize_t preadv64(int fd, const struct iovec *vector, int count, off_t offset)
    __attribute__((alias("preadv")));

EXPORT ssize_t preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, WRITES));
	return real.preadv2(fd, vector, count, offset, flags);
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
    __attribute__((alias("preadv2")));

EXPORT ssize_t recv(int fd, void *to, size_t size, int flags)
{
	FORWARD(-1, shim_buffer(to, flags & MSG_WAITALL || size < WINDOW ? size : WINDOW, WRITES));
	return real.recv(fd, to, size, flags);
}

EXPORT ssize_t recvfrom(
    int fd, void *to, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
	FORWARD(-1, shim_buffer(to, flags & MSG_WAITALL || size < WINDOW ? size : WINDOW, WRITES));
	shim_sized_answer(from, length);
	return real.recvfrom(fd, to, size, flags, from, length);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *to, int flags)
{
	FORWARD(-1, shim_message(to, WRITES));
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
	int before = errno;
	ssize_t done;

	FORWARD(-1, shim_buffer(from, size, READS));
	done = real.write(fd, from, size);
	return shim_is_cut(size, -1, done)
		   ? shim_transfer_on(fd, (void *)from, size, -1, done, true, before)
		   : done;
}

EXPORT ssize_t pwrite(int fd, const void *from, size_t size, off_t offset)
{
	int before = errno;
	ssize_t done;

	FORWARD(-1, shim_buffer(from, size, READS));
	done = real.pwrite(fd, from, size, offset);
	return shim_is_cut(size, offset, done)
		   ? shim_transfer_on(fd, (void *)from, size, offset, done, true, before)
		   : done;
}

EXPORT ssize_t pwrite64(int fd, const void *from, size_t size, off_t offset)
    __attribute__((alias("pwrite")));

EXPORT ssize_t writev(int fd, const struct iovec *vector, int count)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, READS));
	return real.writev(fd, vector, count);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, READS));
	return real.pwritev(fd, vector, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *vector, int count, off_t offset)
    __attribute__((alias("pwritev")));

EXPORT ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	FORWARD(-1, shim_vectors(vector, count < 0 ? 0 : (size_t)count, READS));
	return real.pwritev2(fd, vector, count, offset, flags);
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
    __attribute__((alias("pwritev2")));

/* Into memory, from the reading end of a pipe. */
static bool is_for_reading(int fd)
{
	return shim_is_user_mode() && !shim_is_quiet() &&
	       (SYS2(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

EXPORT ssize_t vmsplice(int fd, const struct iovec *vector, size_t count, unsigned flags)
{
	FORWARD(-1, shim_vectors(vector, count, is_for_reading(fd) ? WRITES : READS));
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
	FORWARD(-1, shim_buffer(from, size, READS); shim_buffer(to, length, READS));
	return real.sendto(fd, from, size, flags, to, length);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *from, int flags)
{
	FORWARD(-1, shim_message(from, READS));
	return real.sendmsg(fd, from, flags);
}

static void messages(const struct mmsghdr *all, unsigned count, unsigned touch)
{
	for (unsigned i = 0; i < count && i < IOV_MAX && shim_is_user_mode(); i++)
		shim_message(&all[i].msg_hdr, touch);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *from, unsigned count, int flags)
{
	FORWARD(-1, messages(from, count, READS));
	return real.sendmmsg(fd, from, count, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *to, unsigned count, int flags, struct timespec *timeout)
{
	FORWARD(-1, messages(to, count, WRITES); shim_buffer(timeout, sizeof(*timeout), READS));
	return real.recvmmsg(fd, to, count, flags, timeout);
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

/* ---- memory that the kernel shall hold ---- */

EXPORT int mlock(const void *start, size_t size)
{
	FORWARD(-1, shim_buffer(start, size, FL_TOUCH_LOCK));
	return SHIM_INSIDE(real.mlock(start, size));
}

EXPORT int mlock2(const void *start, size_t size, unsigned flags)
{
	FORWARD(-1, if (!(flags & MLOCK_ONFAULT)) shim_buffer(start, size, FL_TOUCH_LOCK));
	return SHIM_INSIDE(real.mlock2(start, size, flags));
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
