/* SPDX-License-Identifier: MIT */
/*
 * sys.h: all that the shim asks of the kernel, as raw system calls. They do not touch errno, are
 * no cancellation points and cannot be interposed. Each returns the kernel's value: a result, or
 * a negative errno.
 */
#ifndef FAULTLINE_SYS_H
#define FAULTLINE_SYS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifndef __x86_64__
#error "faultline knows x86-64 only: add this architecture's system call and registers here"
#endif

static inline long sys_call(long number, long a1, long a2, long a3, long a4, long a5, long a6)
{
	long result;
	register long r10 __asm__("r10") = a4;
	register long r8 __asm__("r8") = a5;
	register long r9 __asm__("r9") = a6;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a1), "S"(a2), "d"(a3), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define SYS1(n, a)	       sys_call(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b)	       sys_call(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c)       sys_call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d)    sys_call(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(n, a, b, c, d, e, f)                                                                  \
	sys_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* What a page fault of this very thread would show in its callee-saved registers. */
#define SYS_REGISTERS(r)                                                                           \
	__asm__ volatile("leaq 0(%%rip), %%rax\n\t"                                                \
			 "movq %%rax, 0(%0)\n\t"                                                   \
			 "movq %%rsp, 8(%0)\n\t"                                                   \
			 "movq %%rbp, 16(%0)\n\t"                                                  \
			 "movq %%rbx, 24(%0)\n\t"                                                  \
			 "movq %%r12, 32(%0)\n\t"                                                  \
			 "movq %%r13, 40(%0)\n\t"                                                  \
			 "movq %%r14, 48(%0)\n\t"                                                  \
			 "movq %%r15, 56(%0)"                                                      \
			 :                                                                         \
			 : "r"(r)                                                                  \
			 : "rax", "memory")

/* The kernel's struct sigaction and the return trampoline it wants on x86-64. */
struct sys_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

#endif
