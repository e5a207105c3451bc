/* SPDX-License-Identifier: MIT */
/*
 * arch.h: what only one processor architecture knows: registers, signal frames, the rules by
 * which most code saves its caller. arch_x86_64.c implements it for x86-64; another architecture
 * is another such file.
 */
#ifndef FAULTLINE_ARCH_H
#define FAULTLINE_ARCH_H

#include <stdbool.h>
#include <stdint.h>

struct fl_registers;

/* Registers by their DWARF numbers (x86-64 psABI, figure 3.36), which libunwind uses as well. */
#define ARCH_REGISTERS 17
enum { ARCH_BX = 3, ARCH_BP = 6, ARCH_SP = 7, ARCH_IP = 16 };

struct registers {
	uint64_t r[ARCH_REGISTERS];
};

/* perf's mask of the registers above, and their order in a sample (asm/perf_regs.h). */
extern const uint64_t arch_perf_mask;
void arch_from_perf(struct registers *registers, const uint64_t *sampled);

/* What ptrace tells of a stopped thread (sys/user.h). */
struct user_regs_struct;
void arch_from_user(struct registers *registers, const struct user_regs_struct *user);

void arch_from_shim(struct registers *registers, const struct fl_registers *saved);

/* Bytes of code that arch_is_signal_return wants to see. */
#define ARCH_SIGNAL_RETURN_BYTES 9

/* True when `code` is where the kernel makes a signal handler return to. */
bool arch_is_signal_return(const uint8_t *code);

/* True when `code` is where a function that makecontext started returns to. */
#define ARCH_CONTEXT_END_BYTES 10
bool arch_is_context_end(const uint8_t *code);

/*
 * True when an address could be a return address: `before` holds the ARCH_CALL_BYTES of code in
 * front of it, and they end with a call.
 */
#define ARCH_CALL_BYTES 7
bool arch_follows_call(const uint8_t *before);

/* Called in a loop that waits for another processor. */
void arch_pause(void);

/* Where, from the stack pointer after the handler's return, the interrupted registers lie. */
extern const uint32_t arch_signal_offset[ARCH_REGISTERS];

#endif
