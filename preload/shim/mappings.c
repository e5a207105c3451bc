/* SPDX-License-Identifier: MIT */
/*
 * mappings.c: the interposed functions that map, unmap, move and give back memory. Each calls the
 * real one, translates what happened for shim.h, and returns the real result with the real errno.
 */
#include "real.h"
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>

/* statfs f_type of what userfaultfd can register (linux/magic.h). */
#define TMPFS_TYPE     0x01021994
#define HUGETLBFS_TYPE 0x958458f6

static void mapped(void *start, size_t size, int prot, int flags, int fd, enum fl_source source)
{
	uint64_t argument[8] = {
	    (uint64_t)start, size, (uint64_t)prot, (uint64_t)flags, (uint64_t)(int64_t)fd, source};
	struct statfs fs;

	if (start == MAP_FAILED || (flags & MAP_GROWSDOWN) || !shim_traced() ||
	    ((flags & MAP_STACK) && shim_channel.area->user_mode))
		return;
	/* Of files, only those in memory can be registered. */
	if (!(flags & MAP_ANONYMOUS) && fd >= 0 && !shim_is_quiet() &&
	    (SYS2(SYS_fstatfs, fd, &fs) < 0 ||
		(fs.f_type != TMPFS_TYPE && (unsigned long)fs.f_type != HUGETLBFS_TYPE)))
		return;
	shim_request(FL_OP_MAP, argument);
}

static void *map(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	long result;

	if (__atomic_load_n(&real_state, __ATOMIC_ACQUIRE) == REAL_RESOLVED)
		return real.mmap(hint, size, prot, flags, fd, offset);
	result = SYS6(SYS_mmap, hint, size, prot, flags, fd, offset);
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return MAP_FAILED;
	}
	return (void *)result;
}

EXPORT void *mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	struct fl_slot *replacing = NULL;
	void *start;
	int saved;

	if ((flags & MAP_FIXED) && shim_traced())
		replacing = shim_announce(FL_OP_REPLACE, (uint64_t)hint, size);
	start = map(hint, size, prot, flags, fd, offset);
	saved = errno;
	shim_withdraw(replacing);
	mapped(start, size, prot, flags, fd, FL_SOURCE_MMAP);
	errno = saved;
	return start;
}

EXPORT void *mmap64(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

EXPORT int munmap(void *start, size_t size)
{
	int saved = errno;

	if (!real_ready()) {
		long result = SYS2(SYS_munmap, start, size);

		if (result < 0)
			errno = (int)-result;
		return result < 0 ? -1 : 0;
	}
	if (shim_tells_itself())
		shim_memory_goes(FL_RECORD_UNMAP, (uint64_t)start, size);
	errno = saved;
	return real.munmap(start, size);
}

EXPORT int madvise(void *start, size_t size, int advice)
{
	if (!real_ready()) {
		errno = EAGAIN;
		return -1;
	}
	switch (advice) {
	case MADV_POPULATE_READ:
		shim_buffer(start, size, 0);
		break;
	case MADV_POPULATE_WRITE:
		shim_buffer(start, size, FL_TOUCH_WRITE);
		break;
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
		if (shim_tells_itself())
			shim_memory_goes(FL_RECORD_REMOVE, (uint64_t)start, size);
	}
	return real.madvise(start, size, advice);
}

EXPORT void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	uint64_t argument[8] = {(uint64_t)old, old_size, 0, new_size, (uint64_t)flags};
	va_list rest;
	void *start, *fixed;

	va_start(rest, flags);
	fixed = va_arg(rest, void *);
	va_end(rest);
	if (!real_ready()) {
		long result = SYS5(SYS_mremap, old, old_size, new_size, flags, fixed);

		if (result < 0 && result > -4096) {
			errno = (int)-result;
			return MAP_FAILED;
		}
		return (void *)result;
	}
	if (shim_tells_itself())
		shim_memory_goes(FL_RECORD_MOVES, (uint64_t)old, old_size);
	start = real.mremap(old, old_size, new_size, flags, fixed);
	if (shim_traced() && (start != MAP_FAILED || shim_channel.area->sigbus)) {
		argument[2] = (uint64_t)(start != MAP_FAILED ? start : old);
		argument[3] = start != MAP_FAILED ? new_size : old_size;
		shim_request(FL_OP_REMAP, argument);
	}
	return start;
}

EXPORT void *shmat(int id, const void *hint, int flags)
{
	void *start;

	if (!real_ready()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	start = real.shmat(id, hint, flags);
	if (start != (void *)-1 && shim_traced()) {
		/* Size 0: the monitor looks the mapping up. */
		uint64_t argument[8] = {
		    (uint64_t)start, 0, (uint64_t)-1, (uint64_t)-1, (uint64_t)-1, FL_SOURCE_SHM};

		shim_request(FL_OP_MAP, argument);
	}
	return start;
}

EXPORT int shmdt(const void *start)
{
	if (!real_ready()) {
		errno = EINVAL;
		return -1;
	}
	if (shim_traced())
		shim_request(FL_OP_DETACH, (uint64_t[8]){(uint64_t)start});
	return real.shmdt(start);
}
