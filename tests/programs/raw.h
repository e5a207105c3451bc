/* SPDX-License-Identifier: MIT */
/*
 * raw.h: system calls by the instruction itself, which no library sees. Lives in the traced
 * program. x86-64.
 */
#ifndef RAW_H
#define RAW_H

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* The result, or -1 with errno, as from syscall(2). */
static inline long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

#endif
