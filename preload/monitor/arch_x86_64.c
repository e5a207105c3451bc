/* SPDX-License-Identifier: MIT */
/* arch_x86_64.c: x86-64 as arch.h asks for it. Pure functions. */
#include "arch.h"

#include "../protocol.h"

#include <asm/perf_regs.h>
#include <stddef.h>
#include <string.h>
#include <sys/user.h>
#include <ucontext.h>

enum { AX, DX, CX, BX, SI, DI, BP, SP, R8, R9, R10, R11, R12, R13, R14, R15, IP };

const uint64_t arch_perf_mask =
    ((UINT64_C(1) << (PERF_REG_X86_IP + 1)) - 1) | (UINT64_C(0xff) << PERF_REG_X86_R8);

void arch_from_perf(struct registers *registers, const uint64_t *sampled)
{
	/* In a sample: AX BX CX DX SI DI BP SP IP R8 ... R15. */
	static const uint8_t dwarf[ARCH_REGISTERS] = {
	    AX, BX, CX, DX, SI, DI, BP, SP, IP, R8, R9, R10, R11, R12, R13, R14, R15};

	for (int i = 0; i < ARCH_REGISTERS; i++)
		registers->r[dwarf[i]] = sampled[i];
}

void arch_from_user(struct registers *registers, const struct user_regs_struct *user)
{
	const uint64_t dwarf[ARCH_REGISTERS] = {user->rax, user->rdx, user->rcx, user->rbx,
	    user->rsi, user->rdi, user->rbp, user->rsp, user->r8, user->r9, user->r10, user->r11,
	    user->r12, user->r13, user->r14, user->r15, user->rip};

	memcpy(registers->r, dwarf, sizeof(dwarf));
}

void arch_from_shim(struct registers *registers, const struct fl_registers *saved)
{
	memset(registers, 0, sizeof(*registers));
	registers->r[IP] = saved->ip;
	registers->r[SP] = saved->sp;
	registers->r[BP] = saved->bp;
	registers->r[BX] = saved->bx;
	registers->r[R12] = saved->r12;
	registers->r[R13] = saved->r13;
	registers->r[R14] = saved->r14;
	registers->r[R15] = saved->r15;
}

bool arch_is_signal_return(const uint8_t *code)
{
	/* mov $15 (rt_sigreturn), %rax; syscall -- glibc's and musl's __restore_rt */
	static const uint8_t restore[ARCH_SIGNAL_RETURN_BYTES] = {
	    0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};

	return memcmp(code, restore, sizeof(restore)) == 0;
}

bool arch_is_context_end(const uint8_t *code)
{
	/* glibc's __start_context: mov %rbx,%rsp; mov (%rsp),%rdi; test %rdi,%rdi. Its unwind
	   table takes the link to the next context for a return address. */
	static const uint8_t start_context[ARCH_CONTEXT_END_BYTES] = {
	    0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff};

	return memcmp(code, start_context, sizeof(start_context)) == 0;
}

bool arch_follows_call(const uint8_t *before)
{
	/* call rel32; or call r/m64 (ff /2) with its ModRM byte and what follows that */
	static const uint8_t lengths[] = {2, 3, 4, 6, 7};

	if (before[ARCH_CALL_BYTES - 5] == 0xe8)
		return true;
	for (size_t i = 0; i < sizeof(lengths); i++) {
		const uint8_t *call = before + ARCH_CALL_BYTES - lengths[i];

		if (call[0] == 0xff && (call[1] & 0x38) == 0x10)
			return true;
	}
	return false;
}

/* The kernel's struct rt_sigframe behind its return address is a ucontext_t. */
#define SAVED(greg) (uint32_t)(offsetof(ucontext_t, uc_mcontext.gregs) + 8 * (greg))

const uint32_t arch_signal_offset[ARCH_REGISTERS] = {
    [AX] = SAVED(REG_RAX),
    [DX] = SAVED(REG_RDX),
    [CX] = SAVED(REG_RCX),
    [BX] = SAVED(REG_RBX),
    [SI] = SAVED(REG_RSI),
    [DI] = SAVED(REG_RDI),
    [BP] = SAVED(REG_RBP),
    [SP] = SAVED(REG_RSP),
    [R8] = SAVED(REG_R8),
    [R9] = SAVED(REG_R9),
    [R10] = SAVED(REG_R10),
    [R11] = SAVED(REG_R11),
    [R12] = SAVED(REG_R12),
    [R13] = SAVED(REG_R13),
    [R14] = SAVED(REG_R14),
    [R15] = SAVED(REG_R15),
    [IP] = SAVED(REG_RIP),
};

void arch_pause(void)
{
	__builtin_ia32_pause();
}
