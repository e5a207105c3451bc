/* SPDX-License-Identifier: MIT */
/*
 * capture.c: the signal handler of --capture=signal. The monitor signals a thread that waits for
 * a page in user mode; the handler leaves the interrupted registers in a slot and returns, and
 * the instruction faults again. The monitor reads the stack itself. The handler runs in any
 * thread at any instruction and does nothing else.
 */
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <ucontext.h>

#define SA_RESTORER 0x04000000ul

static void captured(int number, siginfo_t *info, void *context)
{
	const greg_t *g = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct fl_slot *slot;

	(void)number;
	if (info->si_code != SI_QUEUE) /* not the monitor's */
		return;
	slot = shim_announce(FL_OP_CAPTURED, (uint64_t)(uint32_t)info->si_value.sival_int, 0);
	if (!slot)
		return;
	slot->registers = (struct fl_registers){.ip = (uint64_t)g[REG_RIP],
	    .sp = (uint64_t)g[REG_RSP],
	    .bp = (uint64_t)g[REG_RBP],
	    .bx = (uint64_t)g[REG_RBX],
	    .r12 = (uint64_t)g[REG_R12],
	    .r13 = (uint64_t)g[REG_R13],
	    .r14 = (uint64_t)g[REG_R14],
	    .r15 = (uint64_t)g[REG_R15]};
	__atomic_store_n(&slot->state, FL_SLOT_CAPTURED, __ATOMIC_RELEASE);
}

__attribute__((naked)) static void signal_return(void)
{
	__asm__("movl %0, %%eax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}

void shim_capture_install(void)
{
	struct sys_sigaction old = {0},
			     action = {
				 .handler = captured,
				 .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_RESTORER,
				 .restorer = signal_return,
			     };

	if (SYS4(SYS_rt_sigaction, FL_CAPTURE_SIGNAL_NUMBER, 0, &old, sizeof(old.mask)) < 0 ||
	    old.handler)
		return;
	SYS4(SYS_rt_sigaction, FL_CAPTURE_SIGNAL_NUMBER, &action, 0, sizeof(action.mask));
}
