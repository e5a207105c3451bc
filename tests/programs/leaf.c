/* SPDX-License-Identifier: MIT */
/*
 * leaf: touches from functions whose frames are hard to see: leaves that touch with their first
 * instruction, in the middle of a prologue and of an epilogue, with data in the frame pointer or in
 * the red zone, from realigned and variable-sized frames, and from a function whose last
 * instruction is a call that does not return.
 *
 *   leaf TRUTH PAGES
 */
#include "touch.h"

#include <setjmp.h>

#if defined(__x86_64__)
#define FUNCTION(name, code)                                                                       \
	void name(volatile char *p);                                                               \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name                      \
		":\n.cfi_startproc\n" code ".cfi_endproc\n.size " #name ", . - " #name "\n")

FUNCTION(leaf_first_write, "movb $1, (%rdi)\n ret\n");
FUNCTION(leaf_first_read, "movb (%rdi), %al\n ret\n");
FUNCTION(leaf_after_push, "push %rbp\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbp, 0\n"
			  "movb $1, (%rdi)\n"
			  "mov %rsp, %rbp\n .cfi_def_cfa_register %rbp\n"
			  "pop %rbp\n .cfi_def_cfa %rsp, 8\n .cfi_restore %rbp\n ret\n");
FUNCTION(leaf_after_frame, "push %rbp\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbp, 0\n"
			   "mov %rsp, %rbp\n .cfi_def_cfa_register %rbp\n"
			   "movb $1, (%rdi)\n"
			   "pop %rbp\n .cfi_def_cfa %rsp, 8\n .cfi_restore %rbp\n ret\n");
FUNCTION(leaf_between_pushes, "push %r12\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %r12, 0\n"
			      "push %rbx\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbx, 0\n"
			      "movb $1, (%rdi)\n"
			      "push %r13\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %r13, 0\n"
			      "pop %r13\n .cfi_adjust_cfa_offset -8\n .cfi_restore %r13\n"
			      "pop %rbx\n .cfi_adjust_cfa_offset -8\n .cfi_restore %rbx\n"
			      "pop %r12\n .cfi_adjust_cfa_offset -8\n .cfi_restore %r12\n ret\n");
FUNCTION(leaf_in_epilogue, "sub $1000, %rsp\n .cfi_adjust_cfa_offset 1000\n"
			   "add $1000, %rsp\n .cfi_adjust_cfa_offset -1000\n"
			   "movb $1, (%rdi)\n ret\n");
FUNCTION(leaf_data_in_rbp, "push %rbp\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbp, 0\n"
			   "mov $0x123456789abcdef, %rbp\n"
			   "movb $1, (%rdi)\n"
			   "pop %rbp\n .cfi_adjust_cfa_offset -8\n .cfi_restore %rbp\n ret\n");
FUNCTION(leaf_red_zone,
    "mov %rdi, -8(%rsp)\n movq $0, -128(%rsp)\n mov -8(%rsp), %rax\n movb $1, (%rax)\n ret\n");
FUNCTION(leaf_string, "mov $1, %eax\n mov $8, %ecx\n rep stosb\n ret\n");
#else
#define leaf_first_write    touch_write_byte
#define leaf_first_read	    touch_write_byte
#define leaf_after_push	    touch_write_byte
#define leaf_after_frame    touch_write_byte
#define leaf_between_pushes touch_write_byte
#define leaf_in_epilogue    touch_write_byte
#define leaf_data_in_rbp    touch_write_byte
#define leaf_red_zone	    touch_write_byte
#define leaf_string	    touch_write_byte
#endif

static jmp_buf back;

static NOINLINE __attribute__((noreturn)) void never_returns(volatile char *p)
{
	*p = 1;
	longjmp(back, 1);
}

/* The return address of its call lies behind its end, in whatever function comes next. */
static NOINLINE __attribute__((noreturn)) void ends_in_call(volatile char *p)
{
	never_returns(p);
}

static NOINLINE void aligned_frame(volatile char *p, touch_function leaf)
{
	TRACED();
	volatile char local[256] __attribute__((aligned(128)));

	local[0] = 1;
	leaf(p);
	local[255] = local[0];
}

static NOINLINE void variable_frame(volatile char *p, touch_function leaf)
{
	TRACED();
	volatile char local[(uintptr_t)p / PAGE % 50 * 16 + 1];
	volatile char aligned[64] __attribute__((aligned(64)));

	local[0] = aligned[0] = 1;
	leaf(p);
	aligned[1] = local[0];
}

static NOINLINE void many_arguments(
    touch_function leaf, volatile char *p, int a, int b, int c, int d, int e, int f, int g)
{
	TRACED();
	leaf(p);
	if (a + b + c + d + e + f + g != 28)
		truth_fail("arguments");
}

static const struct {
	touch_function function;
	const char *name, *access;
} leaves[] = {
#define LEAF(name, access)                                                                         \
	{                                                                                          \
		name, #name, access                                                                \
	}
    LEAF(leaf_first_write, "write"),
    LEAF(leaf_after_push, "write"),
    LEAF(leaf_first_read, "read"),
    LEAF(leaf_after_frame, "write"),
    LEAF(leaf_between_pushes, "write"),
    LEAF(leaf_in_epilogue, "write"),
    LEAF(leaf_data_in_rbp, "write"),
    LEAF(leaf_red_zone, "write"),
    LEAF(leaf_string, "write"),
};

static NOINLINE void one_leaf(size_t i, volatile char *p)
{
	TRACED();
	size_t which = i % (sizeof(leaves) / sizeof(leaves[0]));
	const char *caller =
	    (const char *[]){NULL, "aligned_frame", "variable_frame", "many_arguments"}[i / 9 % 4];
	const struct truth_frame *here = truth_self.top;

	/* The callers say TRACED too late for their own name to be on the list by now. */
	if (caller)
		truth_self.top = truth_push(caller, here);
	truth_exact(p, leaves[which].access, leaves[which].name);
	truth_self.top = here;
	switch (i / 9 % 4) {
	case 0:
		leaves[which].function(p);
		break;
	case 1:
		aligned_frame(p, leaves[which].function);
		break;
	case 2:
		variable_frame(p, leaves[which].function);
		break;
	default:
		many_arguments(leaves[which].function, p, 1, 2, 3, 4, 5, 6, 7);
	}
}

static NOINLINE void without_return(volatile char *p)
{
	TRACED();
	const struct truth_frame *here = truth_self.top;

	truth_self.top = truth_push("ends_in_call", here);
	truth_exact(p, "write", "never_returns");
	truth_self.top = here;
	if (setjmp(back) == 0)
		ends_in_call(p);
}

int main(int argc, char **argv)
{
	volatile char *p;
	size_t pages;

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("leaf");
	TRACED();
	p = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	truth_region("mmap", p, pages * PAGE);
	for (size_t i = 0; i < pages; i++)
		if (i % 40 == 39)
			without_return(touch_place(p, i));
		else
			one_leaf(i, touch_place(p, i));
	truth_write(argv[1], "w");
	puts("leaf: done");
	return 0;
}
