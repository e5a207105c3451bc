/* SPDX-License-Identifier: MIT */
/* capture.h: who faulted where: the registers and the stack of a thread that waits for a page. */
#ifndef FAULTLINE_CAPTURE_H
#define FAULTLINE_CAPTURE_H

#include "service.h"

/* What is known of the thread at its fault. */
struct capture {
	bool has_registers;
	struct registers registers;
	struct stack_view view;
	enum fault_origin origin;
	uint64_t ts;
	bool sampled;
	bool stackless; /* it runs no code of a traced program: there are no registers to be had */
	int32_t task;	/* of the thread, as the monitor sees it */
	bool outdated; /* the thread runs and has its page: the message is of a fault served already
			*/
};

/* The same for a thread that has memory of its own; `runs`: its process when that is traced, too,
   or NULL: it has no stack for us then. */
void capture_stranger(struct service *s, struct process *p, struct process *runs, uint64_t address,
    enum fault_kind kind, int32_t task, struct capture *c);

/* Before the page is served; by perf's sample, by a signal to the thread, or from /proc. */
void capture_fault(struct service *s, struct process *p, uint64_t address, enum fault_kind kind,
    int32_t tid, int32_t task, struct capture *c);

/* Goes on with what capture_fault could not finish: threads that stop late. */
void capture_let_go(struct service *s);

/* stack_view.more: `context` is the process. */
size_t capture_read_more(void *context, uint64_t address, void *to, size_t size);

/* A file of /proc as a string; its length, or a negative errno. */
ssize_t capture_read_file(const char *path, char *text, size_t size);

#endif
