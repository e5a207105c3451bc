/* SPDX-License-Identifier: MIT */
/*
 * welch.c: with t = sqrt(n) * tan(a), the tail of Student's distribution for n degrees of freedom
 * is the integral of cos(a)^(n - 1), as a part of the whole one. Counted from the right angle,
 * which is where the tail ends, it is that of sin^(n - 1) from 0: smooth enough for Simpson's rule.
 */
#include "welch.h"

#include <math.h>

#define STEPS 2000 /* an even number */

double welch_mean(const double *values, size_t count)
{
	double sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += values[i];
	return sum / (double)count;
}

/* The integral of sin^power from 0 to `end`. With x = end * u * u it has no corner at 0. */
static double integrate(double power, double end)
{
	double sum = 0;
	for (int i = 0; i <= STEPS; i++) {
		double u = (double)i / STEPS;
		double weight = i == 0 || i == STEPS ? 1 : i % 2 == 1 ? 4 : 2;
		sum += weight * pow(sin(end * u * u), power) * 2 * u;
	}
	return sum * end / (3.0 * STEPS);
}

double welch_student(double t, double degrees)
{
	double tail = atan2(sqrt(degrees), fabs(t));
	return integrate(degrees - 1, tail) / integrate(degrees - 1, M_PI_2);
}

/* The variance of the mean of values like these. */
static double error_of(const double *values, size_t count)
{
	double mean = welch_mean(values, count), sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	return sum / (double)(count - 1) / (double)count;
}

double welch_p(const double *left, size_t left_count, const double *right, size_t right_count)
{
	if (left_count < 2 || right_count < 2)
		return NAN;
	double difference = welch_mean(right, right_count) - welch_mean(left, left_count);
	double a = error_of(left, left_count), b = error_of(right, right_count);
	if (a + b <= 0)
		return difference < 0 || difference > 0 ? 0 : 1;
	double share = a / (a + b), other = 1 - share;
	double degrees = 1 / (share * share / (double)(left_count - 1) +
				 other * other / (double)(right_count - 1));
	return welch_student(difference / sqrt(a + b), degrees);
}
