/* SPDX-License-Identifier: MIT */
/*
 * reach.c: a traced program that reaches into another process's memory, or into its own by the same
 * ways. The kernel does not wait for a missing page when memory is read or written through
 * ptrace(2) or /proc/PID/mem, in no kind of recording: it fails with EIO (access_remote_vm of
 * mm/memory.c takes pages without FAULT_FLAG_ALLOW_RETRY). Then the pages are asked for, and it is
 * tried again. In
 * --mode=sigbus and with --unprivileged process_vm_readv(2) and its kin do not wait either.
 */
#include "buffers.h"
#include "sys.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#define LINK_BYTES 64u

/* ---- /proc/PID/mem ---- */

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t size = strlen(end);

	return length > size && memcmp(text + length - size, end, size) == 0;
}

/* The number of the process or thread whose memory the file is; 0: it is another kind of file. */
static pid_t memory_of(int fd)
{
	char text[LINK_BYTES];
	size_t length = shim_descriptor_link(fd, text, sizeof(text)), at;
	pid_t pid = 0, unit = 1;

	if (!ends_with(text, length, "/mem"))
		return 0;
	for (at = length - 4; at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9'; at--) {
		pid += unit * (text[at - 1] - '0');
		unit *= 10;
	}
	return at > 0 && text[at - 1] == '/' ? pid : 0;
}

/* One piece of it; the same result. */
static ssize_t transfer(int fd, char *buffer, size_t size, long position, bool moves, bool writes)
{
	if (moves)
		return writes ? real.write(fd, buffer, size) : real.read(fd, buffer, size);
	return writes ? real.pwrite(fd, buffer, size, position)
		      : real.pread(fd, buffer, size, position);
}

ssize_t shim_transfer_on(
    int fd, void *buffer, size_t size, off_t offset, ssize_t done, bool writes, int before)
{
	size_t total = done > 0 ? (size_t)done : 0;
	bool moves = offset < 0;
	int after = errno;
	pid_t pid;

	if (!shim_traced() || shim_is_quiet() || !(pid = memory_of(fd)))
		return done;
	offset = moves ? SYS3(SYS_lseek, fd, 0, SEEK_CUR) : offset + (off_t)total;
	while (total < size) {
		size_t window = size - total < SHIM_WINDOW ? size - total : SHIM_WINDOW;
		ssize_t more;

		shim_fill_in(
		    pid, (uint64_t)offset, window, (writes ? WRITES : READS) | FL_TOUCH_FORCED);
		errno = before;
		more = transfer(fd, (char *)buffer + total, window, offset, moves, writes);
		if (more <= 0)
			break;
		total += (size_t)more;
		offset += more;
	}
	errno = total ? before : after;
	return total ? (ssize_t)total : done;
}

/* ---- ptrace ---- */

EXPORT long ptrace(enum __ptrace_request request, ...)
{
	int before = errno;
	void *address, *data;
	va_list rest;
	long result;
	pid_t pid;

	va_start(rest, request);
	pid = va_arg(rest, pid_t);
	address = va_arg(rest, void *);
	data = va_arg(rest, void *);
	va_end(rest);
	FORWARD(-1, );
	result = real.ptrace(request, pid, address, data);
	if (result != -1 || errno != EIO || !shim_traced())
		return result;
	switch ((int)request) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
		shim_fill_in(pid, (uint64_t)address, sizeof(long), READS | FL_TOUCH_FORCED);
		break;
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
		shim_fill_in(pid, (uint64_t)address, sizeof(long), WRITES | FL_TOUCH_FORCED);
		break;
	default:
		return result;
	}
	errno = before;
	return real.ptrace(request, pid, address, data);
}

/* ---- process_vm_readv ---- */

static void other_vectors(pid_t pid, const struct iovec *vector, size_t count, unsigned touch)
{
	struct iovec one;

	if (!shim_is_user_mode())
		return;
	if (pid == shim_channel.state->pid) {
		shim_vectors(vector, count, touch);
		return;
	}
	for (size_t i = 0; i < count && i < IOV_MAX; i++) {
		if (!shim_copy_in(&one, vector + i, sizeof(one)))
			return;
		if (one.iov_len)
			shim_fill_in(pid, (uint64_t)one.iov_base, one.iov_len, touch);
	}
}

EXPORT ssize_t process_vm_readv(pid_t pid, const struct iovec *own, unsigned long own_count,
    const struct iovec *other, unsigned long other_count, unsigned long flags)
{
	FORWARD(-1, shim_vectors(own, own_count, WRITES);
		other_vectors(pid, other, other_count, READS));
	return real.process_vm_readv(pid, own, own_count, other, other_count, flags);
}

EXPORT ssize_t process_vm_writev(pid_t pid, const struct iovec *own, unsigned long own_count,
    const struct iovec *other, unsigned long other_count, unsigned long flags)
{
	FORWARD(-1, shim_vectors(own, own_count, READS);
		other_vectors(pid, other, other_count, WRITES));
	return real.process_vm_writev(pid, own, own_count, other, other_count, flags);
}
