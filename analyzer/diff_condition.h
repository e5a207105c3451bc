/* SPDX-License-Identifier: MIT */
/*
 * diff_condition.h: what may not grow: --fail-if=WHAT>+AMOUNT, where WHAT is a number of all of it,
 * or "site:GLOB", "alloc:GLOB", "source:GLOB", whose rows are taken together.
 */
#ifndef FAULTLINE_DIFF_CONDITION_H
#define FAULTLINE_DIFF_CONDITION_H

#include "diff.h"

struct diff_condition {
	const char *text; /* as typed; borrowed */
	size_t list, measure;
	const char
	    *glob; /* NULL: the only row; else of names; borrowed, ends where glob_length says */
	size_t glob_length;
	double amount; /* percent, or in the measure's unit */
	bool is_percent;
};

/* What came of one. */
struct diff_verdict {
	struct diff_change change;
	size_t row_count; /* rows that it is about */
	bool exceeded;	  /* grew by more */
	bool failed;	  /* exceeded, and where that is known it is no chance */
};

/* 0, or -EINVAL after a message. The text must live as long. */
int diff_condition_parse(struct diff_condition *condition, const char *text);

/* `significance`: what p must be below. 0 or -ENOMEM. */
int diff_condition_check(const struct diff_condition *condition, const struct diff *diff,
    double significance, struct diff_verdict *verdict);

#endif
