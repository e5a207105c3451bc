/* SPDX-License-Identifier: MIT */
/* welch.c: Student's distribution against the formulas that whole degrees of freedom have. */
#include "welch.h"
#include "check.h"

#include <math.h>

/* Of an even or odd number of degrees: Abramowitz and Stegun, 26.7.3 and 26.7.4. */
static double formula(double t, int degrees)
{
	double angle = atan(t / sqrt(degrees)), cosine = cos(angle), term, sum;

	if (degrees == 1)
		return 1 - angle / M_PI_2;
	term = degrees % 2 == 1 ? cosine : 1;
	sum = term;
	for (int i = degrees % 2 == 1 ? 3 : 2; i < degrees; i += 2) {
		term *= cosine * cosine * (i - 1) / i;
		sum += term;
	}
	sum *= sin(angle);
	return degrees % 2 == 1 ? 1 - (angle + sum) / M_PI_2 : 1 - sum;
}

static const double ts[] = {0, 0.01, 0.3, 1, 1.96, 2.776, 4.303, 9, 12.706, 60};

static void test_whole(void)
{
	for (int degrees = 1; degrees <= 60; degrees++)
		for (size_t i = 0; i < sizeof(ts) / sizeof(ts[0]); i++) {
			double p = welch_student(ts[i], degrees), known = formula(ts[i], degrees);

			CHECK(fabs(p - known) < 1e-10, "t %g, %d: %g, not %g", ts[i], degrees, p,
			    known);
			CHECK(fabs(p - welch_student(-ts[i], degrees)) < 1e-15, "t -%g", ts[i]);
		}
	/* from any table */
	CHECK(fabs(welch_student(2.776445, 4) - 0.05) < 1e-7, "%g", welch_student(2.776445, 4));
	/* far out, where the difference of the formulas has no digits left: 3 / (8 t^4) * 16 */
	double far = welch_student(1e5, 4);
	CHECK(fabs(far / 6e-20 - 1) < 1e-6, "%g", far);
}

static void test_between(void)
{
	static const double parts[] = {0.05, 0.5, 0.95};

	for (int degrees = 1; degrees < 12; degrees++)
		for (size_t i = 1; i < sizeof(ts) / sizeof(ts[0]); i++)
			for (size_t j = 0; j < 3; j++) {
				double p = welch_student(ts[i], degrees + parts[j]);

				CHECK(
				    p < formula(ts[i], degrees) && p > formula(ts[i], degrees + 1),
				    "t %g, %g degrees: %g", ts[i], degrees + parts[j], p);
			}
}

static void test_samples(void)
{
	static const double low[] = {1, 2, 3}, high[] = {11, 12, 13}, same[] = {5, 5, 5},
			    other[] = {6, 6}, wide[] = {0, 100};

	CHECK(fabs(welch_p(low, 3, high, 3) - formula(10 / sqrt(2 / 3.0), 4)) < 1e-10, "alike");
	CHECK(fabs(welch_p(low, 3, high, 3) - welch_p(high, 3, low, 3)) < 1e-15, "turned");
	/* only one side varies: its degrees alone count */
	CHECK(fabs(welch_p(same, 3, low, 3) - formula(3 / sqrt(1 / 3.0), 2)) < 1e-10, "one side");
	CHECK(fabs(welch_p(same, 3, wide, 2) - formula(45 / 50.0, 1)) < 1e-10, "two values");
	CHECK(welch_p(same, 3, other, 2) <= 0, "no chance");
	CHECK(welch_p(same, 3, same, 2) >= 1, "no difference");
	CHECK(isnan(welch_p(low, 1, high, 3)) && isnan(welch_p(low, 3, high, 1)), "one value");
	CHECK(welch_mean(low, 3) > 1.999 && welch_mean(low, 3) < 2.001, "mean");
}

int main(void)
{
	check_case("whole degrees of freedom", test_whole);
	check_case("degrees between them", test_between);
	check_case("samples", test_samples);
	return check_result();
}
