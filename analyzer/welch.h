/* SPDX-License-Identifier: MIT */
/*
 * welch.h: is the difference of two samples more than chance? Welch's t-test: it knows nothing of
 * the variances, and needs two values a side.
 */
#ifndef FAULTLINE_WELCH_H
#define FAULTLINE_WELCH_H

#include <stddef.h>

/* NaN without values. */
double welch_mean(const double *values, size_t count);

/*
 * How likely it is, from 0 to 1, that the means of samples like these lie as far apart as they do,
 * in either direction, when there is no difference. NaN when a side has fewer than two values. When
 * no side varies it is 1 for equal values, and 0 for others.
 */
double welch_p(const double *left, size_t left_count, const double *right, size_t right_count);

/* The same of Student's t for that many degrees of freedom, at least 1; they need not be whole. */
double welch_student(double t, double degrees);

#endif
