/* SPDX-License-Identifier: MIT */
/*
 * thread_id.c: what the kernel calls the calling thread, mostly without asking it: each allocation
 * that is logged needs it twice, and a system call can cost more than all the rest.
 *
 * glibc keeps it in the thread's own block, at a place that has not changed since 2.4 (struct
 * pthread). Wrong is only what runs with another's block: a child of vfork, until it is another
 * program; a child of fork by the system call alone; what clone(2) makes that shares the memory and
 * has no block of its own.
 */
#include "real.h"
#include "shim.h"
#include "sys.h"

#define LIBC_TID_OFFSET 0x2d0

static bool libc_knows;	      /* its word was found where it should be when this process began */
static bool some_shared;      /* a thread and something else may run with one block */
static __thread bool vforked; /* this block may be in use by a child of its thread */

static int32_t libc_tid(void)
{
	return *(const int32_t *)((const char *)__builtin_thread_pointer() + LIBC_TID_OFFSET);
}

int32_t shim_thread_id(void)
{
	int32_t tid;

	if (shim_is_quiet())
		return libc_knows ? libc_tid() : 0;
	if (libc_knows && !vforked && !__atomic_load_n(&some_shared, __ATOMIC_RELAXED))
		return libc_tid();
	tid = (int32_t)SYS1(SYS_gettid, 0);
	if (tid == libc_tid()) /* its parent, and that goes on when it is gone */
		vforked = false;
	return tid;
}

void shim_thread_id_begin(void)
{
	libc_knows = libc_tid() == (int32_t)SYS1(SYS_gettid, 0);
	some_shared = false;
}

void shim_thread_id_shared(void)
{
	__atomic_store_n(&some_shared, true, __ATOMIC_RELAXED);
}

__attribute__((used)) static void vfork_begins(void)
{
	if (real_ready())
		vforked = true;
}

/* It returns twice, the second time over what its caller has done since: nothing may lie on the
   stack. */
EXPORT __attribute__((naked)) void any_vfork(void) __asm__("vfork");
void any_vfork(void)
{
	REAL_FORWARD("", vfork_begins, "", vfork, 0);
}
