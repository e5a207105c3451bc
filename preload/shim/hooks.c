/* SPDX-License-Identifier: MIT */
/*
 * hooks.c: the interposed functions. Each calls the real one, translates what happened for
 * shim.h, and returns the real result with the real errno. Nothing else is exported.
 *
 * The real functions are looked up once, before the program's first allocation returns: dlsym
 * itself may call calloc, which is then served from a small static pool, and looking up inside
 * the mmap hook would deadlock allocators that map memory under their own lock.
 */
#define MALLOC_IS_OURS
#include "../userfaultfd.h"
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
#include <sys/shm.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXPORT	       __attribute__((visibility("default")))
#define POOL_BYTES     65536u
#define POOL_ALIGNMENT 16u
#define PAGE_BYTES     4096u

/* statfs f_type of what userfaultfd can register (linux/magic.h). */
#define TMPFS_TYPE     0x01021994
#define HUGETLBFS_TYPE 0x958458f6

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	void (*free)(void *);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	size_t (*malloc_usable_size)(void *);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mremap)(void *, size_t, size_t, int, ...);
	void *(*shmat)(int, const void *, int);
	int (*shmdt)(const void *);
	int (*brk)(void *);
	void *(*sbrk)(intptr_t);
	pid_t (*fork)(void);
	int (*dlclose)(void *);
	int (*ioctl)(int, unsigned long, ...);
	bool glibc_malloc; /* chunk headers are glibc's */
} real;

static uintptr_t loader_start, loader_size; /* the dynamic linker's code */

enum { UNRESOLVED, RESOLVING, RESOLVED };
static uint32_t resolved; /* atomic */

extern void *__curbrk __attribute__((weak)); /* glibc: the break, kept by brk and sbrk */

void *shim_program_break(void)
{
	return &__curbrk ? __curbrk : NULL;
}

extern void *__tls_get_addr(void *) __attribute__((weak)); /* the dynamic linker has it */
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak)); /* glibc 2.35 */

static void find_loader(void)
{
	struct dl_find_object found;

	if (!&__tls_get_addr || !&_dl_find_object ||
	    _dl_find_object((void *)&__tls_get_addr, &found) != 0)
		return;
	loader_start = (uintptr_t)found.dlfo_map_start;
	loader_size = (uintptr_t)found.dlfo_map_end - loader_start;
}

static void resolve(void)
{
	uint32_t expected = UNRESOLVED;
	Dl_info allocator, libc;

	if (!__atomic_compare_exchange_n(
		&resolved, &expected, RESOLVING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
#define RESOLVE(name) *(void **)&real.name = dlsym(RTLD_NEXT, #name)
	RESOLVE(malloc);
	RESOLVE(calloc);
	RESOLVE(realloc);
	RESOLVE(reallocarray);
	RESOLVE(free);
	RESOLVE(posix_memalign);
	RESOLVE(aligned_alloc);
	RESOLVE(memalign);
	RESOLVE(valloc);
	RESOLVE(pvalloc);
	RESOLVE(malloc_usable_size);
	RESOLVE(mmap);
	RESOLVE(mremap);
	RESOLVE(shmat);
	RESOLVE(shmdt);
	RESOLVE(brk);
	RESOLVE(sbrk);
	RESOLVE(fork);
	RESOLVE(dlclose);
	RESOLVE(ioctl);
#undef RESOLVE
	real.glibc_malloc = dladdr((void *)real.malloc, &allocator) &&
			    dladdr((void *)real.fork, &libc) &&
			    allocator.dli_fbase == libc.dli_fbase;
	find_loader();
	__atomic_store_n(&resolved, RESOLVED, __ATOMIC_RELEASE);
}

/* False while the real functions are not known: this very thread is looking them up. */
static inline bool ready(void)
{
	if (__builtin_expect(__atomic_load_n(&resolved, __ATOMIC_ACQUIRE) == RESOLVED, 1))
		return true;
	resolve();
	return __atomic_load_n(&resolved, __ATOMIC_ACQUIRE) == RESOLVED;
}

__attribute__((constructor)) static void start(void)
{
	int saved = errno;

	resolve();
	shim_traced();
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

/* Reports the allocation itself when it is large, and what glibc mapped for it in secret. */
static void allocated(void *pointer, size_t size, enum fl_function function)
{
	uint64_t argument[8] = {(uint64_t)pointer, size, function, 0};
	struct heap_end end;

	if (!pointer || !shim_traced())
		return;
	if (size >= shim_channel.area->alloc_threshold)
		argument[3] |= FL_NOTE_ALLOC;
	end = heap_end();
	if (__builtin_expect(heap_has_moved(end), 0)) {
		argument[3] |= FL_NOTE_BREAK;
		argument[4] = end.address;
	}
	if (real.glibc_malloc) {
		const size_t *chunk = (const size_t *)pointer - 2; /* previous size, size */

		if (__builtin_expect(chunk[1] & FL_CHUNK_IS_MMAPPED, 0)) {
			argument[3] |= FL_NOTE_CHUNK;
			argument[5] = (uint64_t)chunk - chunk[0];
			argument[6] = (chunk[1] & ~(size_t)7) + chunk[0];
		} else if (chunk[1] & FL_CHUNK_IS_IN_ARENA) {
			uint64_t base = (uint64_t)pointer & ~(FL_ARENA_BYTES - 1);

			if (__builtin_expect(!arena_is_known(base), 0)) {
				argument[3] |= FL_NOTE_ARENA;
				argument[5] = base;
				argument[6] = FL_ARENA_BYTES;
			}
		}
	}
	if (!argument[3])
		return;
	shim_request(FL_OP_ALLOC, argument);
	if (argument[3] & FL_NOTE_BREAK)
		heap_is_known(end);
}

/*
 * While dlopen maps a module, the dynamic linker allocates: that is the moment to have the
 * module's bss registered, before any of its code runs. dlopen itself cannot be interposed, since
 * it asks who calls it.
 */
static inline void allocating(const void *caller)
{
	if (__builtin_expect((uintptr_t)caller - loader_start < loader_size, 0) && shim_traced())
		shim_request(FL_OP_LOADED, NULL);
}

/* Before the real free: another thread may get the same address right after it. */
static void freeing(void *pointer)
{
	if (pointer && shim_traced() &&
	    real.malloc_usable_size(pointer) >= shim_channel.area->alloc_threshold)
		shim_tell(FL_CELL_FREED, (uint64_t)pointer);
}

static void mapped(void *start, size_t size, int prot, int flags, int fd, enum fl_source source)
{
	uint64_t argument[8] = {
	    (uint64_t)start, size, (uint64_t)prot, (uint64_t)flags, (uint64_t)(int64_t)fd, source};
	struct statfs fs;

	if (start == MAP_FAILED || (flags & MAP_GROWSDOWN) || !shim_traced())
		return;
	/* Of files, only those in memory can be registered. */
	if (!(flags & MAP_ANONYMOUS) && fd >= 0 &&
	    (SYS2(SYS_fstatfs, fd, &fs) < 0 ||
		(fs.f_type != TMPFS_TYPE && (unsigned long)fs.f_type != HUGETLBFS_TYPE)))
		return;
	shim_request(FL_OP_MAP, argument);
}

/* ---- malloc and its kin ---- */

EXPORT void *malloc(size_t size)
{
	void *pointer;

	if (!ready())
		return pool_take(size, 0);
	allocating(__builtin_return_address(0));
	pointer = real.malloc(size);
	allocated(pointer, size, FL_MALLOC);
	return pointer;
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *pointer;

	if (!ready()) {
		if (__builtin_mul_overflow(count, size, &bytes)) {
			errno = ENOMEM;
			return NULL;
		}
		return pool_take(bytes, 0);
	}
	allocating(__builtin_return_address(0));
	pointer = real.calloc(count, size);
	allocated(pointer, count * size, FL_CALLOC);
	return pointer;
}

static void *reallocate(void *old, size_t size, enum fl_function function)
{
	void *pointer;

	if (in_pool(old) || !ready()) {
		size_t old_size = old ? pool_size(old) : 0;

		pointer = malloc(size);
		if (pointer && old)
			memcpy(pointer, old, old_size < size ? old_size : size);
		return pointer;
	}
	freeing(old);
	pointer = real.realloc(old, size);
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
	if (in_pool(pointer) || !ready())
		return;
	freeing(pointer);
	real.free(pointer);
}

EXPORT int posix_memalign(void **pointer, size_t alignment, size_t size)
{
	int result;

	if (!ready()) {
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

	if (!ready())
		return pool_take(size, alignment);
	pointer = real.aligned_alloc(alignment, size);
	allocated(pointer, size, FL_ALIGNED_ALLOC);
	return pointer;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	void *pointer;

	if (!ready())
		return pool_take(size, alignment);
	pointer = real.memalign(alignment, size);
	allocated(pointer, size, FL_MEMALIGN);
	return pointer;
}

EXPORT void *valloc(size_t size)
{
	void *pointer;

	if (!ready())
		return pool_take(size, PAGE_BYTES);
	pointer = real.valloc(size);
	allocated(pointer, size, FL_VALLOC);
	return pointer;
}

EXPORT void *pvalloc(size_t size)
{
	size_t rounded = (size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	void *pointer;

	if (!ready())
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
	return ready() ? real.malloc_usable_size(pointer) : 0;
}

/* ---- mappings ---- */

static void *map(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
	long result;

	if (__atomic_load_n(&resolved, __ATOMIC_ACQUIRE) == RESOLVED && real.mmap)
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

EXPORT void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	uint64_t argument[8] = {(uint64_t)old, old_size, 0, new_size};
	va_list rest;
	void *start, *fixed;

	va_start(rest, flags);
	fixed = va_arg(rest, void *);
	va_end(rest);
	if (!ready()) {
		long result = SYS5(SYS_mremap, old, old_size, new_size, flags, fixed);

		if (result < 0 && result > -4096) {
			errno = (int)-result;
			return MAP_FAILED;
		}
		return (void *)result;
	}
	start = real.mremap(old, old_size, new_size, flags, fixed);
	if (start != MAP_FAILED && shim_traced()) {
		argument[2] = (uint64_t)start;
		shim_request(FL_OP_REMAP, argument);
	}
	return start;
}

EXPORT void *shmat(int id, const void *hint, int flags)
{
	void *start;

	if (!ready()) {
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
	if (!ready()) {
		errno = EINVAL;
		return -1;
	}
	if (shim_traced())
		shim_request(FL_OP_DETACH, (uint64_t[8]){(uint64_t)start});
	return real.shmdt(start);
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

EXPORT int brk(void *address)
{
	int result;

	if (!ready()) {
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

	if (!ready()) {
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
	if (!ready()) {
		long result = SYS3(SYS_ioctl, fd, request, argument);

		if (result < 0)
			errno = (int)-result;
		return result < 0 ? -1 : (int)result;
	}
	if (request == UFFDIO_REGISTER && argument && shim_traced()) {
		const struct uffdio_register *r = argument;
		uint64_t range[8] = {r->range.start, r->range.len};

		shim_request(FL_OP_YIELD, range);
	}
	return real.ioctl(fd, request, argument);
}

EXPORT pid_t fork(void)
{
	pid_t pid;

	if (!ready()) {
		errno = EAGAIN;
		return -1;
	}
	pid = real.fork();
	if (pid == 0)
		shim_traced(); /* the wiped state page makes the child announce itself */
	return pid;
}

/* Other code may be loaded where this module was. */
EXPORT int dlclose(void *handle)
{
	int result;

	if (!ready())
		return -1;
	result = real.dlclose(handle);
	if (shim_traced())
		shim_tell(FL_CELL_UNLOADED, 0);
	return result;
}
