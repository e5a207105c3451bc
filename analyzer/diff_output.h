/* SPDX-License-Identifier: MIT */
/*
 * diff_output.h: a comparison for people, for a pull request, and for programs.
 */
#ifndef FAULTLINE_DIFF_OUTPUT_H
#define FAULTLINE_DIFF_OUTPUT_H

#include "diff_condition.h"

struct diff_output {
	const struct diff *diff;
	const struct diff_condition *conditions;
	const struct diff_verdict *verdicts; /* one a condition */
	size_t condition_count;
	size_t limit; /* rows of each list */
	bool has_p;   /* both sides have several runs */
};

/* On standard output. Rows that did not change are left out. 0 or -ENOMEM. */
int diff_print_text(const struct diff_output *output);
int diff_print_markdown(const struct diff_output *output);
int diff_print_json(const struct diff_output *output);

/* "TEXT: 20.00 to 30.00 MiB, +50.0%", what came of a condition; NULL without memory. Owned. */
char *diff_describe(const struct diff_output *output, size_t condition);

#endif
