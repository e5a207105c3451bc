/* SPDX-License-Identifier: MIT */
/*
 * buffers.h: what the functions that hand memory to the kernel have in common: buffers.c moves
 * data, answers.c has arguments and answers, reach.c the memory of other processes.
 */
#ifndef FAULTLINE_BUFFERS_H
#define FAULTLINE_BUFFERS_H

#include "real.h"
#include "shim.h"

#include <errno.h>

/* What the kernel will do with a buffer: FL_TOUCH_ bits. */
#define READS  0u
#define WRITES FL_TOUCH_WRITE

/* No thread can be here before the real functions are known, but for the one that looks them up. */
#define FORWARD(failed, ...)                                                                       \
	do {                                                                                       \
		if (!real_ready()) {                                                               \
			errno = EAGAIN;                                                            \
			return failed;                                                             \
		}                                                                                  \
		__VA_ARGS__;                                                                       \
	} while (0)

#define SHIM_WINDOW (4u << 20) /* of a longer buffer, that is filled before data are there */

/* Has what is missing of the range filled, in every kind of recording. */
void shim_fill(const void *buffer, size_t size, unsigned touch);

/* The same in the memory of a process, or a thread's, as we call it, that is traced, too. 0: our
   own; what is there already is not looked at. */
void shim_fill_in(pid_t pid, uint64_t address, size_t size, unsigned touch);

/* What the program wrote at `from`, which may be no memory at all. */
bool shim_copy_in(void *to, const void *from, size_t size);

/* Up to 4 MiB of the vectors' memory: data come in pieces, and so may the answer. */
void shim_vectors(const struct iovec *vector, size_t count, unsigned touch);

/* All that a message header points to. */
void shim_message(const struct msghdr *message, unsigned touch);

/* An answer whose room the program says in *length. */
void shim_sized_answer(const void *to, const socklen_t *length);

/*
 * A transfer of `size` bytes that ended at `done`, at `offset` of the file, or, -1, where it stood:
 * when that is the memory of a process (proc(5): /proc/PID/mem), and what is next there is missing,
 * it goes on. The kernel does not wait for pages of that file in any kind of recording. `errno` was
 * `before` when the transfer began.
 */
ssize_t shim_transfer_on(
    int fd, void *buffer, size_t size, off_t offset, ssize_t done, bool writes, int before);

/* Cheap, and nearly always false: whether that is worth a look. */
static inline bool shim_is_cut(size_t size, off_t offset, ssize_t done)
{
	return __builtin_expect(
	    done < 0 ? errno == EIO
		     : done && (size_t)done < size && offset > 0 && (offset + done) % 4096 == 0,
	    0);
}

#endif
