/* SPDX-License-Identifier: MIT */
/*
 * hooks.c: the interposed functions of malloc, processes and modules. Each calls the real one,
 * translates what happened for shim.h, and returns the real result with the real errno. What the
 * search for the real ones allocates itself comes from a small static pool.
 */
#define MALLOC_IS_OURS
#include "../userfaultfd.h"
#include "real.h"
#include "shim.h"
#include "sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define POOL_BYTES     65536u
#define POOL_ALIGNMENT 16u
#define PAGE_BYTES     4096u

extern void *__curbrk __attribute__((weak)); /* glibc: the break, kept by brk and sbrk */

void *shim_program_break(void)
{
	return &__curbrk ? __curbrk : NULL;
}

__attribute__((constructor)) static void start(void)
{
	int saved = errno;

	real_resolve();
	shim_attached();
	errno = saved;
}

/* ---- the bootstrap pool ---- */

static union {
	char bytes[POOL_BYTES];
	long double alignment;
} pool;
static size_t pool_used; /* atomic */

static bool in_pool(const void *pointer)
{
	return (uintptr_t)pointer - (uintptr_t)pool.bytes < POOL_BYTES;
}

/* Zeroed memory that is never given back; each piece carries its size in front. */
static void *pool_take(size_t size, size_t alignment)
{
	size_t at, taken, start;

	if (alignment < POOL_ALIGNMENT)
		alignment = POOL_ALIGNMENT;
	if (size > POOL_BYTES || alignment > PAGE_BYTES)
		goto full;
	taken = size + alignment + POOL_ALIGNMENT;
	at = __atomic_fetch_add(&pool_used, taken, __ATOMIC_RELAXED);
	if (at > POOL_BYTES - taken)
		goto full;
	start = ((uintptr_t)pool.bytes + at + POOL_ALIGNMENT + alignment - 1) & ~(alignment - 1);
	((size_t *)start)[-1] = size;
	return (void *)start;
full:
	errno = ENOMEM;
	return NULL;
}

static size_t pool_size(const void *pointer)
{
	return ((const size_t *)pointer)[-1];
}

/* ---- what is reported ---- */

static bool arena_is_known(uint64_t base)
{
	const uint64_t *arenas = shim_channel.area->arenas;

	for (uint32_t i = 0; i < FL_ARENAS; i++) {
		uint64_t known = __atomic_load_n(
		    &arenas[(base / FL_ARENA_BYTES + i) % FL_ARENAS], __ATOMIC_ACQUIRE);
		if (known == base)
			return true;
		if (!known)
			return false;
	}
	return false;
}

/*
 * Where the heap ends, and how often the monitor saw it trimmed: a heap that was trimmed and grew
 * to the same end again tells by the count alone.
 */
struct heap_end {
	uint64_t address;
	uint32_t shrunk;
};

static inline struct heap_end heap_end(void)
{
	return (struct heap_end){(uint64_t)shim_program_break(),
	    __atomic_load_n(&shim_channel.area->break_shrunk, __ATOMIC_ACQUIRE)};
}

/* False when the monitor has registered the heap up to this end. */
static inline bool heap_has_moved(struct heap_end end)
{
	const struct shim_state *state = shim_channel.state;

	return end.address &&
	       (end.address != __atomic_load_n(&state->program_break, __ATOMIC_ACQUIRE) ||
		   end.shrunk != __atomic_load_n(&state->break_shrunk, __ATOMIC_ACQUIRE));
}

/* Only when the monitor has answered: other threads touch what is said to be registered. */
static void heap_is_known(struct heap_end end)
{
	struct shim_state *state = shim_channel.state;

	__atomic_store_n(&state->break_shrunk, end.shrunk, __ATOMIC_RELEASE);
	__atomic_store_n(&state->program_break, end.address, __ATOMIC_RELEASE);
}

static void break_moved(void)
{
	struct heap_end end;

	if (!shim_traced())
		return;
	end = heap_end();
	if (heap_has_moved(end)) {
		shim_request(FL_OP_BREAK, (uint64_t[8]){end.address});
		heap_is_known(end);
	}
}

static bool loader_ran; /* since the last request of an allocation, atomic */

/* What there is to report of an allocation: FL_NOTE_ bits. Most have nothing. */
static inline uint64_t notes_of(const void *pointer, size_t size, struct heap_end end)
{
	const size_t *chunk = (const size_t *)pointer - 2; /* glibc's: previous size, size */
	uint64_t notes = size >= shim_channel.area->alloc_threshold ? FL_NOTE_ALLOC : 0;

	if (heap_has_moved(end))
		notes |= FL_NOTE_BREAK;
	if (!real.glibc_malloc)
		return notes;
	if (chunk[1] & FL_CHUNK_IS_MMAPPED)
		notes |= FL_NOTE_CHUNK;
	else if ((chunk[1] & FL_CHUNK_IS_IN_ARENA) &&
		 !arena_is_known((uint64_t)pointer & ~(FL_ARENA_BYTES - 1)))
		notes |= FL_NOTE_ARENA;
	return notes;
}

/* The mapping of a chunk that has one of its own; else its size is 0. */
struct chunk_mapping {
	uint64_t start, size;
};

static struct chunk_mapping chunk_mapping(const void *pointer)
{
	const size_t *chunk;

	if (!pointer || !real.glibc_malloc)
		return (struct chunk_mapping){0};
	chunk = (const size_t *)pointer - 2; /* previous size, size */
	if (!(chunk[1] & FL_CHUNK_IS_MMAPPED))
		return (struct chunk_mapping){0};
	return (struct chunk_mapping){
	    (uint64_t)chunk - chunk[0], (chunk[1] & ~(size_t)7) + chunk[0]};
}

static __attribute__((noinline, cold)) void report_allocated(
    void *pointer, size_t size, enum fl_function function, uint64_t notes, struct heap_end end)
{
	uint64_t argument[8] = {(uint64_t)pointer, size, function, notes};

	if (notes & FL_NOTE_BREAK)
		argument[4] = end.address;
	if (notes & FL_NOTE_CHUNK) {
		struct chunk_mapping mapping = chunk_mapping(pointer);

		argument[5] = mapping.start;
		argument[6] = mapping.size;
	}
	if (notes & FL_NOTE_ARENA) {
		argument[5] = (uint64_t)pointer & ~(FL_ARENA_BYTES - 1);
		argument[6] = FL_ARENA_BYTES;
	}
	/* What the monitor learns later than it happens it could not unwind through new code. */
	if (notes == FL_NOTE_ALLOC && !__atomic_exchange_n(&loader_ran, false, __ATOMIC_ACQ_REL) &&
	    shim_tell_alloc(argument[0], size, function))
		return;
	shim_request(FL_OP_ALLOC, argument);
	if (notes & FL_NOTE_BREAK)
		heap_is_known(end);
}

/* Reports the allocation itself when it is large, and what glibc mapped for it in secret. */
static inline void allocated(void *pointer, size_t size, enum fl_function function)
{
	struct heap_end end;
	uint64_t notes;

	if (!pointer || !shim_traced())
		return;
	end = heap_end();
	notes = notes_of(pointer, size, end);
	if (__builtin_expect(notes != 0, 0))
		report_allocated(pointer, size, function, notes, end);
}

/*
 * While dlopen maps a module, the dynamic linker allocates: that is the moment to have the
 * module's bss registered, before any of its code runs. dlopen itself cannot be interposed, since
 * it asks who calls it.
 */
static inline void allocating(const void *caller)
{
	if (__builtin_expect((uintptr_t)caller - real.loader_start < real.loader_size, 0) &&
	    shim_traced()) {
		shim_request(FL_OP_LOADED, NULL);
		__atomic_store_n(&loader_ran, true, __ATOMIC_RELEASE);
	}
}

/* glibc's own malloc_usable_size, without the call (malloc/malloc.c: musable). */
static inline size_t usable_size(void *pointer)
{
	const size_t *chunk = (const size_t *)pointer - 2;

	if (!real.glibc_malloc)
		return real.malloc_usable_size(pointer);
	return (chunk[1] & ~(size_t)7) -
	       (chunk[1] & FL_CHUNK_IS_MMAPPED ? 2 * sizeof(size_t) : sizeof(size_t));
}

/* Before the real free: another thread may get the same address right after it. */
static inline void freeing(void *pointer)
{
	if (pointer && shim_traced() &&
	    __builtin_expect(usable_size(pointer) >= shim_channel.area->alloc_threshold, 0))
		shim_tell(FL_CELL_FREED, (uint64_t)pointer);
}

/* Where a chunk that was about to move is now; nowhere when `pointer` has no mapping of its own. */
static void chunk_moved(struct chunk_mapping from, const void *pointer)
{
	struct chunk_mapping to = chunk_mapping(pointer);

	shim_request(FL_OP_REMAP, (uint64_t[8]){from.start, from.size, to.start, to.size});
}

/* Memory that libc allocates for itself it also hands to the kernel by itself, as stdio does. */
static inline void *for_libc(void *pointer, size_t size, const void *caller)
{
	if (__builtin_expect(size > PAGE_BYTES, 0) && pointer &&
	    (uintptr_t)caller - real.libc_start < real.libc_size)
		shim_buffer(pointer, size, FL_TOUCH_WRITE | FL_TOUCH_SILENT);
	return pointer;
}

/* ---- malloc and its kin ---- */

EXPORT void *malloc(size_t size)
{
	void *pointer;

	if (!real_ready())
		return pool_take(size, 0);
	allocating(__builtin_return_address(0));
	pointer = real.malloc(size);
	allocated(pointer, size, FL_MALLOC);
	return for_libc(pointer, size, __builtin_return_address(0));
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *pointer;

	if (!real_ready()) {
		if (__builtin_mul_overflow(count, size, &bytes)) {
			errno = ENOMEM;
			return NULL;
		}
		return pool_take(bytes, 0);
	}
	allocating(__builtin_return_address(0));
	pointer = real.calloc(count, size);
	allocated(pointer, count * size, FL_CALLOC);
	return for_libc(pointer, count * size, __builtin_return_address(0));
}

static void *reallocate(void *old, size_t size, enum fl_function function)
{
	struct chunk_mapping before = {0};
	void *pointer;

	if (in_pool(old) || !real_ready()) {
		size_t old_size = old ? pool_size(old) : 0;

		pointer = malloc(size);
		if (pointer && old)
			memcpy(pointer, old, old_size < size ? old_size : size);
		return pointer;
	}
	freeing(old);
	if (shim_tells_itself())
		before = chunk_mapping(old);
	if (before.size)
		shim_request(FL_OP_LIFT, (uint64_t[8]){before.start, before.size});
	pointer = real.realloc(old, size);
	if (before.size) /* one that could not be resized stays */
		chunk_moved(before, !pointer && size ? old : pointer);
	if (!pointer && old && size) /* the old one stays */
		allocated(old, real.malloc_usable_size(old), function);
	else
		allocated(pointer, size, function);
	return pointer;
}

EXPORT void *realloc(void *old, size_t size)
{
	return reallocate(old, size, FL_REALLOC);
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return reallocate(old, bytes, FL_REALLOCARRAY);
}

EXPORT void free(void *pointer)
{
	struct chunk_mapping mapping;

	if (in_pool(pointer) || !real_ready())
		return;
	freeing(pointer);
	if (shim_tells_itself()) {
		mapping = chunk_mapping(pointer);
		if (mapping.size)
			shim_memory_goes(FL_RECORD_UNMAP, mapping.start, mapping.size);
		real.free(pointer);
		break_moved(); /* it may have trimmed the heap */
		return;
	}
	real.free(pointer);
}

EXPORT int posix_memalign(void **pointer, size_t alignment, size_t size)
{
	int result;

	if (!real_ready()) {
		void *taken;
		int saved = errno;

		if (alignment % sizeof(void *) || !alignment || (alignment & (alignment - 1)))
			return EINVAL;
		taken = pool_take(size, alignment);
		errno = saved;
		if (!taken)
			return ENOMEM;
		*pointer = taken;
		return 0;
	}
	result = real.posix_memalign(pointer, alignment, size);
	if (result == 0)
		allocated(*pointer, size, FL_POSIX_MEMALIGN);
	return result;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	void *pointer;

	if (!real_ready())
		return pool_take(size, alignment);
	pointer = real.aligned_alloc(alignment, size);
	allocated(pointer, size, FL_ALIGNED_ALLOC);
	return pointer;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	void *pointer;

	if (!real_ready())
		return pool_take(size, alignment);
	pointer = real.memalign(alignment, size);
	allocated(pointer, size, FL_MEMALIGN);
	return pointer;
}

EXPORT void *valloc(size_t size)
{
	void *pointer;

	if (!real_ready())
		return pool_take(size, PAGE_BYTES);
	pointer = real.valloc(size);
	allocated(pointer, size, FL_VALLOC);
	return pointer;
}

EXPORT void *pvalloc(size_t size)
{
	size_t rounded = (size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	void *pointer;

	if (!real_ready())
		return pool_take(rounded, PAGE_BYTES);
	pointer = real.pvalloc(size);
	allocated(pointer, rounded, FL_PVALLOC);
	return pointer;
}

/* Programs ask for the size of what the pool gave them, too. */
EXPORT size_t malloc_usable_size(void *pointer)
{
	if (in_pool(pointer))
		return pool_size(pointer);
	return real_ready() ? real.malloc_usable_size(pointer) : 0;
}

/* ---- the break ---- */

EXPORT int brk(void *address)
{
	int result;

	if (!real_ready()) {
		errno = ENOMEM;
		return -1;
	}
	result = real.brk(address);
	break_moved();
	return result;
}

EXPORT void *sbrk(intptr_t increment)
{
	void *result;

	if (!real_ready()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	result = real.sbrk(increment);
	break_moved();
	return result;
}

/* ---- processes and modules ---- */

/* Memory that the program gives to a userfaultfd of its own is its own: ours would be EBUSY. */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	if (!real_ready()) {
		long result = SYS3(SYS_ioctl, fd, request, argument);

		if (result < 0)
			errno = (int)-result;
		return result < 0 ? -1 : (int)result;
	}
	if (request == UFFDIO_REGISTER && argument && shim_attached()) {
		const struct uffdio_register *r = argument;
		uint64_t range[8] = {r->range.start, r->range.len};

		shim_request(FL_OP_YIELD, range);
	} else { /* older requests say neither size nor direction */
		shim_buffer(argument, _IOC_SIZE(request) ? _IOC_SIZE(request) : sizeof(int),
		    FL_TOUCH_EITHER);
	}
	return real.ioctl(fd, request, argument);
}

EXPORT pid_t fork(void)
{
	pid_t pid;

	if (!real_ready()) {
		errno = EAGAIN;
		return -1;
	}
	shim_forking();
	pid = real.fork();
	if (pid == 0)
		shim_attached(); /* the wiped state page makes the child announce itself */
	shim_forked(pid < 0);
	return pid;
}

/* Other code may be loaded where this module was. */
EXPORT int dlclose(void *handle)
{
	int result;

	if (!real_ready())
		return -1;
	if (shim_traced()) /* while its code is there to unwind through */
		shim_request(FL_OP_DRAIN, NULL);
	result = real.dlclose(handle);
	if (shim_traced())
		shim_tell(FL_CELL_UNLOADED, 0);
	return result;
}
