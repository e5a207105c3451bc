/* SPDX-License-Identifier: MIT */
/*
 * stack.c: copies the stack of the calling thread, to be unwound by the monitor when the thread has
 * long gone on. Runs in any thread at any instruction; see channel.c for the rules.
 */
#include "shim.h"
#include "sys.h"

#include <string.h>
#include <sys/uio.h>

#define PAGE_BYTES 4096u
#define PAGES_MAX  (FL_NOTE_BYTES / PAGE_BYTES + 1)
_Static_assert(FL_RECORD_STACK <= FL_NOTE_BYTES, "no stack is longer");

/* Where a stack ends: so near below the thread's own block, or the main thread's first frame, that
   nothing else fits between (pthread_create(3): no stack is smaller than 16 KiB). */
#define NEAR_THREAD (12u << 10)
#define NEAR_MAIN   (1u << 20)
#define STACK_MAX   (64u << 20)

extern void *__libc_stack_end __attribute__((weak)); /* glibc: the first frame */

struct shim_extent shim_stack_extent(uint64_t sp, uint32_t most)
{
	uint64_t thread = (uint64_t)__builtin_thread_pointer();
	uint64_t main_end = &__libc_stack_end ? (uint64_t)__libc_stack_end : 0, bytes;
	struct shim_extent extent = {.is_known = true};

	if (main_end - sp < NEAR_MAIN) {
		extent.is_main = extent.is_certain = true;
		bytes = main_end - sp;
	} else if (thread - sp < STACK_MAX) {
		extent.is_certain = thread - sp < NEAR_THREAD;
		bytes = thread - sp;
	} else {
		extent.is_known = false;
		bytes = most;
	}
	extent.is_whole = extent.is_known && bytes <= most;
	extent.bytes = bytes < most ? (uint32_t)bytes : most;
	return extent;
}

/*
 * Page by page: a page of the stack that was never touched holds no frame, and reading it would be
 * a first touch; and a read by the kernel stops at the first piece that is not mapped.
 */
static uint32_t copy_pages(uint8_t *to, uint64_t sp, const struct shim_extent *extent)
{
	struct iovec from[PAGES_MAX], local[PAGES_MAX];
	uint64_t first = sp & ~(uint64_t)(PAGE_BYTES - 1), end = sp + extent->bytes;
	unsigned char present[PAGES_MAX] = {0};
	unsigned count = 0;
	long got;

	if (shim_channel.area->user_mode) /* stacks are not traced */
		memset(present, 1, sizeof(present));
	else
		SYS3(SYS_mincore, first, end - first, present); /* what is no memory stays 0 */
	for (uint64_t at = sp, next; at < end; at = next) {
		next = (at & ~(uint64_t)(PAGE_BYTES - 1)) + PAGE_BYTES;
		next = next < end ? next : end;
		if (!(present[(at - first) / PAGE_BYTES] & 1)) {
			memset(to + (at - sp), 0, next - at);
		} else if (extent->is_certain) {
			memcpy(to + (at - sp), (const void *)at, next - at);
		} else {
			from[count] = (struct iovec){(void *)at, next - at};
			local[count++] = (struct iovec){to + (at - sp), next - at};
		}
	}
	if (!count)
		return extent->bytes;
	got = SYS6(SYS_process_vm_readv, SYS1(SYS_gettid, 0), local, count, from, count, 0);
	for (unsigned i = 0; i < count; got -= (long)local[i++].iov_len)
		if (got < (long)local[i].iov_len)
			return (uint32_t)((uint64_t)from[i].iov_base - sp);
	return extent->bytes;
}

uint32_t shim_stack_copy(uint8_t *to, uint64_t sp, const struct shim_extent *extent)
{
	if (!extent->bytes)
		return 0;
	/* The main thread's stack is never traced. */
	if (extent->is_certain && (extent->is_main || shim_channel.area->user_mode)) {
		memcpy(to, (const void *)sp, extent->bytes);
		return extent->bytes;
	}
	return shim_is_quiet() ? 0 : copy_pages(to, sp, extent);
}
