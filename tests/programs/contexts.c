/* SPDX-License-Identifier: MIT */
/*
 * contexts: touches on stacks that the program made itself with makecontext, in mapped memory and
 * in malloc's; pages of the stacks themselves among them, also the page that the stack pointer has
 * just entered, which nobody may read before it is there.
 *
 *   contexts TRUTH PAGES
 */
#include "touch.h"

#include <ucontext.h>

#define STACK_PAGES ((size_t)64)
#define CONTEXTS    4

struct context {
	ucontext_t state;
	const struct truth_frame *top; /* of the functions on this stack */
	struct truth_place stack;
	volatile char *memory;
	size_t used;
	bool done;
};

static struct context contexts[CONTEXTS];
static ucontext_t main_state;
static struct context *current;
static size_t pages;

/* Gives the processor back to main. */
static NOINLINE void yield(void)
{
	struct context *self = current;
	struct truth_place place = truth_self.place;

	self->top = truth_self.top;
	if (swapcontext(&self->state, &main_state) != 0)
		truth_fail("swapcontext");
	truth_self.top = self->top;
	truth_self.place = place;
}

static NOINLINE void resume(struct context *context)
{
	const struct truth_frame *here = truth_self.top;

	current = context;
	truth_self.top = context->top;
	if (swapcontext(&main_state, &context->state) != 0)
		truth_fail("swapcontext");
	truth_self.top = here;
}

#if defined(__x86_64__)
/* Moves the stack pointer to `p` and pushes a word there, below it: the push faults. */
void push_below(volatile char *p);
__asm__(".text\n.globl push_below\n.type push_below, @function\n"
	"push_below:\n.cfi_startproc\n"
	"push %rbp\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbp, 0\n"
	"mov %rsp, %rbp\n .cfi_def_cfa_register %rbp\n"
	"mov %rdi, %rsp\n"
	"push %rax\n"
	"mov %rbp, %rsp\n"
	"pop %rbp\n .cfi_def_cfa %rsp, 8\n .cfi_restore %rbp\n"
	"ret\n.cfi_endproc\n.size push_below, . - push_below\n");
#else
static NOINLINE void push_below(volatile char *p)
{
	p[-8] = 1;
}
#endif

/* Untouched pages of this very stack, well below everything that runs on it now. */
static NOINLINE void enter_own_stack(size_t page)
{
	TRACED();
	struct truth_place place = truth_self.place;
	volatile char here = 0;
	volatile char *p = (volatile char *)((uintptr_t)&here / PAGE * PAGE) - page * PAGE;

	truth_self.place = current->stack;
	truth_exact(p - 8, "write", "push_below");
	push_below(p);
	truth_exact(touch_place(p, 0) + 8, "write", "touch_write_byte");
	truth_self.place = place;
	touch_write_byte(touch_place(p, 0) + 8);
}

static NOINLINE void descend(size_t depth)
{
	TRACED();
	if (depth > 0)
		descend(depth - 1);
	else
		yield();
	nest((unsigned)depth, depth % 2 ? note_and_read : note_and_write,
	    touch_place(current->memory, current->used));
	current->used++;
}

static NOINLINE void run_context(void)
{
	TRACED();
	struct context *self = current;

	truth_region("mmap", self->memory, 0);
	for (size_t i = 1; i < 6; i++) {
		enter_own_stack(i * 8);
		yield();
	}
	while (self->used + 8 <= pages)
		descend(self->used % 7);
	self->done = true;
	yield();
}

static NOINLINE void make_state(ucontext_t *state, void *stack, size_t size)
{
	if (!stack || getcontext(state) != 0)
		truth_fail("getcontext");
	state->uc_stack.ss_sp = stack;
	state->uc_stack.ss_size = size;
	makecontext(state, run_context, 0);
}

static NOINLINE void prepare(struct context *context, bool allocated)
{
	TRACED();
	size_t size = STACK_PAGES * PAGE;
	char *stack;

	if (allocated) {
		stack = malloc(size);
		truth_region("malloc-mmap", NULL, 0);
		truth_alloc(stack, size);
	} else {
		stack = (char *)(uintptr_t)touch_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
		truth_region("mmap", stack, 0);
	}
	context->stack = truth_self.place;
	context->memory = touch_map(pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	make_state(&context->state, stack, size);
}

int main(int argc, char **argv)
{
	size_t running = CONTEXTS, switches = 0;

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("contexts");
	TRACED();
	for (size_t i = 0; i < CONTEXTS; i++)
		prepare(&contexts[i], i % 2);
	while (running > 0) {
		for (size_t i = 0; i < CONTEXTS; i++) {
			if (contexts[i].done)
				continue;
			resume(&contexts[i]);
			switches++;
			running -= contexts[i].done;
		}
	}
	truth_write(argv[1], "w");
	printf("contexts: %zu switches\n", switches);
	return 0;
}
