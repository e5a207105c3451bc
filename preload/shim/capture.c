/* SPDX-License-Identifier: MIT */
/*
 * capture.c: the signal handler of --capture=signal. The monitor signals a thread that waits for
 * a page in user mode; the handler leaves the interrupted registers in a slot and returns, and
 * the instruction faults again. The monitor reads the stack itself. The handler runs in any
 * thread at any instruction and does nothing else; a signal that is not the monitor's, which names
 * the shim's own state, is the program's.
 */
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <ucontext.h>

static void captured(int number, siginfo_t *info, void *context)
{
	const greg_t *g = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct fl_slot *slot;
	uint64_t order;

	order = (uint64_t)info->si_ptr - (uint64_t)shim_channel.state;
	if (info->si_code != SI_QUEUE || order >= FL_CAPTURE_ORDERS) {
		shim_action_pass(number, info, context);
		return;
	}
	slot = shim_announce(FL_OP_CAPTURED, (uint64_t[8]){order});
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

void shim_capture_install(void)
{
	shim_action_front(FL_CAPTURE_SIGNAL_NUMBER, captured);
}
