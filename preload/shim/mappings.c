/* SPDX-License-Identifier: MIT */
/*
 * mappings.c: the interposed functions that map, unmap, move and give back memory. Each calls the
 * real one, translates what happened for shim.h, and returns the real result with the real errno.
 */
#include "buffers.h"
#include "sys.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>

/* statfs f_type of what userfaultfd can register (linux/magic.h). */
#define TMPFS_TYPE     0x01021994
#define HUGETLBFS_TYPE 0x958458f6

#define MADV_DONTNEED_LOCKED_ 24  /* Linux 5.18 */
#define MADV_GUARD_INSTALL_   102 /* Linux 6.13 */

/*
 * Whether such memory can be registered: of files, only those in memory. A page that such a file
 * does not have comes to be when a private mapping of it is read; from us it would be another one.
 */
static bool is_traceable(int flags, int fd)
{
	struct statfs fs;

	if ((flags & MAP_GROWSDOWN) || ((flags & MAP_STACK) && shim_channel.area->user_mode))
		return false;
	if ((flags & MAP_ANONYMOUS) || fd < 0)
		return true;
	return (flags & MAP_TYPE) != MAP_PRIVATE &&
	       (shim_is_quiet() ||
		   (SYS2(SYS_fstatfs, fd, &fs) == 0 &&
		       (fs.f_type == TMPFS_TYPE || (unsigned long)fs.f_type == HUGETLBFS_TYPE)));
}

static void *map(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	long result;

	if (__atomic_load_n(&real_state, __ATOMIC_ACQUIRE) == REAL_RESOLVED)
		return SHIM_INSIDE(real.mmap(hint, size, prot, flags, fd, offset));
	result = SYS6(SYS_mmap, hint, size, prot, flags, fd, offset);
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return MAP_FAILED;
	}
	return (void *)result;
}

static void *map_traced(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	uint64_t argument[8] = {(uint64_t)hint, size, (uint64_t)prot, (uint64_t)flags,
	    (uint64_t)(int64_t)fd, FL_SOURCE_MMAP};
	struct fl_slot *mapping = shim_announce(FL_OP_MAP, argument);
	struct shim_going going = {0};
	void *start;
	int saved;

	if (flags & MAP_FIXED)
		shim_goes_begin(&going, FL_RECORD_REPLACE, (uint64_t)hint, size);
	start = map(hint, size, prot, flags, fd, offset);
	saved = errno;
	shim_goes_end(&going, start != MAP_FAILED);
	argument[0] = (uint64_t)start;
	if (start != MAP_FAILED && is_traceable(flags, fd))
		shim_request_announced(mapping, FL_OP_MAP, argument);
	else
		shim_withdraw(mapping);
	errno = saved;
	return start;
}

EXPORT void *mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	return shim_traced() ? map_traced(hint, size, prot, flags, fd, offset)
			     : map(hint, size, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

EXPORT int munmap(void *start, size_t size)
{
	struct fl_slot *unmapping = NULL;
	struct shim_going going;
	int result;

	if (!real_ready()) {
		long made = SYS2(SYS_munmap, start, size);

		if (made < 0)
			errno = (int)-made;
		return made < 0 ? -1 : 0;
	}
	if (shim_traced())
		unmapping = shim_announce(FL_OP_UNMAP, (uint64_t[8]){(uint64_t)start, size});
	shim_goes_begin(&going, FL_RECORD_UNMAP, (uint64_t)start, size);
	result = SHIM_INSIDE(real.munmap(start, size));
	shim_goes_end(&going, result == 0);
	shim_withdraw(unmapping);
	return result;
}

/* What the kernel does even when it answers with ENOMEM, for a part of the range was not mapped. */
static int give_back(void *start, size_t size, int advice)
{
	struct fl_slot *removing = NULL;
	struct shim_going going;
	int result, saved;

	if (shim_traced())
		removing = shim_announce(
		    FL_OP_REMOVE, (uint64_t[8]){(uint64_t)start, size, advice == MADV_FREE});
	shim_goes_begin(
	    &going, advice == MADV_FREE ? FL_RECORD_FREE : FL_RECORD_REMOVE, (uint64_t)start, size);
	result = SHIM_INSIDE(real.madvise(start, size, advice));
	saved = errno;
	shim_goes_end(&going, result == 0 || saved == ENOMEM);
	/* Of guards the kernel does not tell. */
	if (advice == MADV_GUARD_INSTALL_ && result == 0 && shim_traced() &&
	    !shim_channel.area->sigbus)
		shim_request_announced(
		    removing, FL_OP_REMOVE, (uint64_t[8]){(uint64_t)start, size});
	else
		shim_withdraw(removing);
	errno = saved;
	return result;
}

static int share_with_children(void *start, size_t size, int advice)
{
	int result = SHIM_INSIDE(real.madvise(start, size, advice)), saved = errno;

	if (result == 0 && shim_traced())
		shim_request(
		    FL_OP_FORKS, (uint64_t[8]){(uint64_t)start, size, advice == MADV_DOFORK});
	errno = saved;
	return result;
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
	case MADV_DONTNEED_LOCKED_:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_GUARD_INSTALL_:
		return give_back(start, size, advice);
	case MADV_DONTFORK:
	case MADV_DOFORK:
		return share_with_children(start, size, advice);
	}
	return SHIM_INSIDE(real.madvise(start, size, advice));
}

/* After FL_OP_LIFT. `argument`: of FL_OP_REMAP. */
static void *move_lifted(uint64_t argument[8], void *fixed)
{
	struct fl_slot *moving = shim_announce(FL_OP_REMAP, argument);
	void *start;
	int saved;

	start = SHIM_INSIDE(
	    real.mremap((void *)argument[0], argument[1], argument[3], (int)argument[4], fixed));
	saved = errno;
	argument[2] = start != MAP_FAILED ? (uint64_t)start : argument[0];
	argument[3] = start != MAP_FAILED ? argument[3] : argument[1];
	argument[5] = 1;
	shim_request_announced(moving, FL_OP_REMAP, argument);
	errno = saved;
	return start;
}

static void *move(void *old, size_t old_size, size_t new_size, int flags, void *fixed)
{
	uint64_t argument[8] = {(uint64_t)old, old_size, flags & MREMAP_FIXED ? (uint64_t)fixed : 0,
	    new_size, (uint64_t)flags};
	struct fl_slot *moving;
	void *start;
	int saved;

	/* Where no event tells of a move, the kernel unregisters what arrives, and with it what it
	   becomes one mapping with: another thread's, perhaps (mremap_userfaultfd_prep). */
	if (shim_tells_itself() && shim_request(FL_OP_LIFT, argument) == 0)
		return move_lifted(argument, fixed);
	moving = shim_announce(FL_OP_REMAP, argument);
	start = SHIM_INSIDE(real.mremap(old, old_size, new_size, flags, fixed));
	saved = errno;
	if (start == MAP_FAILED) {
		shim_withdraw(moving);
		/* Linux moves several mappings at once, but not while they are registered; and what
		   we have registered may have become several. */
		if (saved == EFAULT && shim_request(FL_OP_LIFT, argument) == 0)
			return move_lifted(argument, fixed);
	} else {
		argument[2] = (uint64_t)start;
		shim_request_announced(moving, FL_OP_REMAP, argument);
	}
	errno = saved;
	return start;
}

EXPORT void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	va_list rest;
	void *fixed;

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
	if (shim_traced())
		return move(old, old_size, new_size, flags, fixed);
	return SHIM_INSIDE(real.mremap(old, old_size, new_size, flags, fixed));
}

EXPORT void *shmat(int id, const void *hint, int flags)
{
	void *start;

	if (!real_ready()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	start = SHIM_INSIDE(real.shmat(id, hint, flags));
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
	return SHIM_INSIDE(real.shmdt(start));
}

/* ---- memory that stays ---- */

/* Our own memory takes nothing of what the program may lock. */
static void unlock_ours(void)
{
	if (shim_is_quiet())
		return;
	SYS2(SYS_munlock, shim_channel.doorbell, FL_DOORBELL_BYTES);
	SYS2(SYS_munlock, shim_channel.area, sizeof(*shim_channel.area));
	SYS2(SYS_munlock, shim_channel.state, sizeof(*shim_channel.state));
}

EXPORT int mlockall(int flags)
{
	int result, saved;

	if (!real_ready()) {
		errno = EAGAIN;
		return -1;
	}
	if ((flags & MCL_FUTURE) && !(flags & MCL_ONFAULT) && shim_traced())
		shim_request(FL_OP_LOCKED, (uint64_t[8]){1});
	if ((flags & MCL_CURRENT) && !(flags & MCL_ONFAULT) && shim_is_user_mode())
		shim_fill_in(0, 0, SIZE_MAX, FL_TOUCH_LOCK | FL_TOUCH_ALL);
	result = SHIM_INSIDE(real.mlockall(flags));
	saved = errno;
	if (result == 0 && (flags & MCL_CURRENT) && shim_attached())
		unlock_ours();
	errno = saved;
	return result;
}

EXPORT int munlockall(void)
{
	int result, saved;

	if (!real_ready()) {
		errno = EAGAIN;
		return -1;
	}
	result = SHIM_INSIDE(real.munlockall());
	saved = errno;
	if (result == 0 && shim_traced())
		shim_request(FL_OP_LOCKED, (uint64_t[8]){0});
	errno = saved;
	return result;
}

/* ---- the same by syscall(2) ---- */

/* An int of -1 is not a long of -1. */
static long call_munmap(void *start, size_t size)
{
	return munmap(start, size);
}

static long call_madvise(void *start, size_t size, int advice)
{
	return madvise(start, size, advice);
}

static long call_shmdt(const void *start)
{
	return shmdt(start);
}

static long call_mlock(const void *start, size_t size)
{
	return mlock(start, size);
}

static long call_mlock2(const void *start, size_t size, unsigned flags)
{
	return mlock2(start, size, flags);
}

static long call_mlockall(int flags)
{
	return mlockall(flags);
}

static long call_munlockall(void)
{
	return munlockall();
}

__thread bool shim_inside;

void *shim_mapping_call(long number)
{
	static const struct {
		long number;
		void *function;
	} calls[] = {
	    {SYS_mmap, mmap},
	    {SYS_mremap, mremap},
	    {SYS_shmat, shmat},
	    {SYS_munmap, call_munmap},
	    {SYS_madvise, call_madvise},
	    {SYS_shmdt, call_shmdt},
	    {SYS_mlock, call_mlock},
	    {SYS_mlock2, call_mlock2},
	    {SYS_mlockall, call_mlockall},
	    {SYS_munlockall, call_munlockall},
	};

	for (size_t i = 0; !shim_inside && i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].number == number)
			return calls[i].function;
	return NULL;
}
