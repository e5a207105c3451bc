/* SPDX-License-Identifier: MIT */
/*
 * actions.c: signals that the shim handles before the program does: SIGBUS with --mode=sigbus, and
 * that of --capture=signal. The program sets and asks for actions of its own, and what is not ours
 * is handled as it said.
 *
 * Runs in any thread, inside signal handlers and in children of vfork, which share the program's
 * memory but not its actions.
 */
#include "real.h"
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <string.h>

#define BUS_BIT (UINT64_C(1) << (SIGBUS - 1))

typedef void (*front_handler)(int, siginfo_t *, void *);

/* A signal with a handler of ours in front. */
struct front {
	int number;
	uint32_t installed;	 /* atomic */
	front_handler handler;	 /* ours */
	struct sigaction action; /* the program's own */
};

static struct front fronts[] = {{.number = SIGBUS}, {.number = FL_CAPTURE_SIGNAL_NUMBER}};
static uint64_t masks_bus; /* bit for each signal whose handler blocks SIGBUS, atomic */

/* NULL: the signal is the program's alone. */
static struct front *front_of(int number)
{
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++)
		if (fronts[i].number == number)
			return __atomic_load_n(&fronts[i].installed, __ATOMIC_ACQUIRE) ? &fronts[i]
										       : NULL;
	return NULL;
}

static bool is_ignored(const struct front *front)
{
	return front->action.sa_handler == SIG_IGN;
}

/*
 * With the flags of the program's own: on which stack, whether calls are restarted. No other
 * handler may come between and jump away from what is half done. A signal that the program ignores
 * is ignored, for that is inherited by exec; but not SIGBUS, without which nothing goes on.
 */
static int install(const struct front *front)
{
	struct sigaction action = {.sa_sigaction = front->handler,
	    .sa_flags =
		SA_SIGINFO | SA_NODEFER | (front->action.sa_flags & (SA_ONSTACK | SA_RESTART))};
	struct sys_sigaction kernels;

	if (is_ignored(front) && front->number != SIGBUS)
		return real.sigaction(front->number, &front->action, NULL);
	if (front->action.sa_handler == SIG_DFL && front->number != SIGBUS)
		action.sa_flags |= SA_ONSTACK | SA_RESTART;
	if (real.sigaction(front->number, &action, NULL) != 0)
		return -1;
	/* libc lets nobody block the signals by which it cancels threads and changes their user. */
	SYS4(SYS_rt_sigaction, front->number, NULL, &kernels, sizeof(kernels.mask));
	kernels.mask = ~UINT64_C(0);
	SYS4(SYS_rt_sigaction, front->number, &kernels, NULL, sizeof(kernels.mask));
	return 0;
}

void shim_action_front(int number, front_handler handler)
{
	struct front *front = fronts;
	struct sigaction now;
	int saved = errno;

	while (front->number != number)
		front++;
	front->handler = handler;
	/* A forked child has ours already, unless its kind of fork dropped all handlers. */
	if (real_ready() && real.sigaction(number, NULL, &now) == 0) {
		if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != handler)
			front->action = now;
		if (install(front) == 0)
			__atomic_store_n(&front->installed, 1, __ATOMIC_RELEASE);
	}
	errno = saved;
}

void shim_action_pass(int number, siginfo_t *info, void *context)
{
	struct front *front = front_of(number);
	bool sent = info->si_code <= 0;
	struct sigaction action;
	uint64_t mask, before;

	if (!front)
		return;
	action = front->action;
	if (action.sa_handler == SIG_IGN && sent)
		return;
	if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
		struct sys_sigaction none = {0};

		/* It happens again, or is sent again, and ends the program as it would have. */
		SYS4(SYS_rt_sigaction, number, &none, 0, sizeof(none.mask));
		if (sent)
			SYS3(SYS_tgkill, SYS1(SYS_getpid, 0), SYS1(SYS_gettid, 0), number);
		return;
	}
	if (action.sa_flags & SA_RESETHAND)
		front->action.sa_handler = SIG_DFL;
	/* Ours blocks every signal; the program's blocks what it asked for. */
	memcpy(&mask, &action.sa_mask, sizeof(mask));
	memcpy(&before, &((ucontext_t *)context)->uc_sigmask, sizeof(before));
	mask |= before;
	if (!(action.sa_flags & SA_NODEFER))
		mask |= UINT64_C(1) << (number - 1);
	if (shim_is_sigbus())
		mask &= ~BUS_BIT;
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof(mask));
	action.sa_sigaction(number, info, context);
}

/* What a child of vfork does to its own actions is not done to its parent's. */
static bool is_borrowed(void)
{
	const struct shim_state *state = shim_channel.state;

	return state && state->pid != (int32_t)SYS1(SYS_getpid, 0);
}

/* What the program asks is only noted; ours stays in front. */
static int note_action(struct front *front, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction before = front->action;

	if (action && !is_borrowed()) {
		front->action = *action;
		if (install(front) != 0)
			return -1;
	}
	if (old)
		*old = before;
	return 0;
}

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	uint64_t bit = UINT64_C(1) << ((unsigned)(number - 1) % 64);
	struct sigaction copy;
	struct front *front;
	bool masked;
	int result;

	if (!real_ready())
		return -1;
	front = front_of(number);
	if (front)
		return note_action(front, action, old);
	if (!shim_is_sigbus())
		return real.sigaction(number, action, old);
	masked = __atomic_load_n(&masks_bus, __ATOMIC_ACQUIRE) & bit;
	if (action) {
		copy = *action;
		if (sigismember(&copy.sa_mask, SIGBUS))
			__atomic_fetch_or(&masks_bus, bit, __ATOMIC_ACQ_REL);
		else
			__atomic_fetch_and(&masks_bus, ~bit, __ATOMIC_ACQ_REL);
		sigdelset(&copy.sa_mask, SIGBUS);
	}
	result = real.sigaction(number, action ? &copy : NULL, old);
	if (result == 0 && old && masked)
		sigaddset(&old->sa_mask, SIGBUS);
	return result;
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	struct front *front;

	if (!real_ready())
		return SIG_ERR;
	front = front_of(number);
	if (!front)
		return real.signal(number, handler);
	return note_action(front, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}
