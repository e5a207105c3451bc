/* SPDX-License-Identifier: MIT */
/*
 * diff_condition.c: parses conditions, and adds up the rows that they are about.
 */
#include "diff_condition.h"

#include "demangle.h"
#include "message.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* By the order of the measures in diff_list_kinds. */
static const struct {
	const char *word;
	size_t list, measure;
	bool has_glob;
} words[] = {
    {"touched", DIFF_TOTAL, 0, false},
    {"peak", DIFF_TOTAL, 1, false},
    {"reserved", DIFF_TOTAL, 2, false},
    {"faults", DIFF_TOTAL, 3, false},
    {"site", DIFF_SITE, 0, true},
    {"alloc", DIFF_ALLOC, 0, true},
    {"source", DIFF_SOURCE, 0, true},
};

/* False when it is no amount. */
static bool parse_amount(struct diff_condition *condition, const char *text)
{
	static const char units[] = "KMG";
	enum diff_unit unit = diff_list_kinds[condition->list].measures[condition->measure].unit;
	size_t digits = strspn(text, "0123456789.");
	char *end;
	errno = 0;
	condition->amount = strtod(text, &end);
	if (digits == 0 || end != text + digits || errno != 0)
		return false;
	condition->is_percent = strcmp(end, "%") == 0;
	const char *letter = *end != '\0' ? strchr(units, *end) : NULL;
	if (letter && unit == DIFF_BYTES) {
		condition->amount *= (double)(INT64_C(1024) << (10 * (letter - units)));
		end++;
	}
	return condition->is_percent || *end == '\0';
}

int diff_condition_parse(struct diff_condition *condition, const char *text)
{
	/* a name may hold it, too: "operator>" */
	const char *more = NULL, *colon = strchr(text, ':');
	for (const char *at = strstr(text, ">+"); at; at = strstr(at + 1, ">+"))
		more = at;
	size_t length = more ? (size_t)(more - text) : 0;
	if (colon && colon < more)
		length = (size_t)(colon - text);
	else
		colon = NULL;
	for (size_t i = 0; more && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) != length || memcmp(words[i].word, text, length) != 0 ||
		    words[i].has_glob != (colon != NULL))
			continue;
		*condition = (struct diff_condition){
		    .text = text, .list = words[i].list, .measure = words[i].measure};
		if (colon) {
			condition->glob = colon + 1;
			condition->glob_length = (size_t)(more - colon - 1);
		}
		if (parse_amount(condition, more + 2))
			return 0;
		break;
	}
	message("diff: --fail-if=%s: must be WHAT>+AMOUNT, where WHAT is touched, peak, reserved, "
		"faults, site:GLOB, alloc:GLOB or source:GLOB, and AMOUNT is like 5%%, or 1M for "
		"bytes",
	    text);
	return -EINVAL;
}

/* Functions by their names with and without parameters. False also without memory, see *failed. */
static bool matches(const char *glob, const struct diff_row *row, bool is_source, bool *failed)
{
	const char *name = is_source ? row->source : row->function;
	if (!name)
		return false;
	if (fnmatch(glob, name, 0) == 0)
		return true;
	if (is_source)
		return false;
	char *plain = strdup(name);
	*failed |= !plain;
	if (plain)
		demangle_drop_parameters(plain);
	bool matched = plain && fnmatch(glob, plain, 0) == 0;
	free(plain);
	return matched;
}

/* The values of all rows that it is about, run by run. 0 or -ENOMEM. */
static int add_up(const struct diff_condition *condition, const struct diff *diff, double *sums,
    size_t *row_count)
{
	const struct diff_list *list = &diff->lists[condition->list];
	char *glob =
	    condition->glob ? strndup(condition->glob, condition->glob_length) : strdup("");
	bool failed = !glob;
	*row_count = 0;
	for (size_t i = 0; !failed && i < list->row_count; i++) {
		const struct diff_row *row = list->rows[i];
		if (condition->glob && !matches(glob, row, condition->list == DIFF_SOURCE, &failed))
			continue;
		++*row_count;
		for (size_t j = 0; j < diff->run_count; j++)
			sums[j] += diff_values(diff, row, condition->measure)[j];
	}
	free(glob);
	return failed ? -ENOMEM : 0;
}

int diff_condition_check(const struct diff_condition *condition, const struct diff *diff,
    double significance, struct diff_verdict *verdict)
{
	double *sums = calloc(diff->run_count, sizeof(*sums));
	size_t row_count = 0;
	int result = sums ? add_up(condition, diff, sums, &row_count) : -ENOMEM;
	if (result == 0) {
		struct diff_change change = diff_compare(diff, sums);
		double growth = change.new_mean - change.old_mean;
		double limit = condition->amount;
		if (condition->is_percent)
			limit *= change.old_mean / 100;
		*verdict = (struct diff_verdict){
		    .change = change, .row_count = row_count, .exceeded = growth > limit};
		verdict->failed = verdict->exceeded && (isnan(change.p) || change.p < significance);
	}
	free(sums);
	return result;
}
