/* SPDX-License-Identifier: MIT */
/*
 * diff_json.c: a comparison as JSON. faultline-diff(1) describes the keys.
 */
#include "diff_output.h"

#include "trace_request.h"
#include "utf8.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* Whole numbers as such; NULL where there is none. */
static json_t *number_json(double number)
{
	if (isnan(number))
		return NULL;
	if (fabs(number) < 0x1p53 && !(rint(number) < number || rint(number) > number))
		return json_integer((json_int_t)number);
	return json_real(number);
}

/* The object takes the value over; of NULL it takes nothing. */
static int set_known(json_t *object, const char *key, json_t *value)
{
	return value && json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static json_t *change_json(const struct diff_change *change)
{
	json_t *object = json_pack("{s:o, s:o, s:o}", "old", number_json(change->old_mean), "new",
	    number_json(change->new_mean), "change",
	    number_json(change->new_mean - change->old_mean));
	if (object && set_known(object, "p", number_json(change->p)) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *row_json(const struct diff_list *list, const struct diff_row *row)
{
	const struct {
		const char *key, *text;
	} names[] = {{"source", row->source}, {"function", row->function}, {"module", row->module}};
	json_t *object = json_object();
	int result = object ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].text &&
		    json_object_set_new(object, names[i].key, utf8_json(names[i].text)) < 0)
			result = -ENOMEM;
	for (size_t i = 0; result == 0 && i < list->kind->measure_count; i++)
		if (json_object_set_new(
			object, list->kind->measures[i].key, change_json(&row->changes[i])) < 0)
			result = -ENOMEM;
	if (result < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *list_json(const struct diff_output *output, const struct diff_list *list)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < list->row_count; i++) {
		if (!diff_has_changed(list, list->rows[i]) ||
		    json_array_size(array) >= output->limit)
			continue;
		if (json_array_append_new(array, row_json(list, list->rows[i])) < 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

static json_t *runs_json(const struct diff *diff, size_t first, size_t end)
{
	json_t *array = json_array();
	for (size_t i = first; array && i < end; i++) {
		const struct diff_run *run = &diff->runs[i];
		json_t *object = json_pack("{s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "name",
		    utf8_json(trace_request_name(run->path)), "command", run->command, "time",
		    run->time, "mode", run->mode, "capture", run->capture, "page_size",
		    (json_int_t)run->page_size, "granularity", (json_int_t)run->granularity,
		    "complete", !run->is_cut);
		if (json_array_append_new(array, object) < 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

static json_t *conditions_json(const struct diff_output *output)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < output->condition_count; i++) {
		const struct diff_verdict *verdict = &output->verdicts[i];
		json_t *object = change_json(&verdict->change);
		if (json_object_set_new(
			object, "condition", utf8_json(output->conditions[i].text)) < 0 ||
		    json_object_set_new(object, "exceeded", json_boolean(verdict->exceeded)) < 0 ||
		    json_object_set_new(object, "failed", json_boolean(verdict->failed)) < 0 ||
		    json_array_append(array, object) < 0) {
			json_decref(array);
			array = NULL;
		}
		json_decref(object);
	}
	return array;
}

int diff_print_json(const struct diff_output *output)
{
	const struct diff *diff = output->diff;
	json_t *root = json_pack("{s:o, s:o, s:o}", "old", runs_json(diff, 0, diff->old_count),
	    "new", runs_json(diff, diff->old_count, diff->run_count), "conditions",
	    conditions_json(output));
	int result = root ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < DIFF_LISTS; i++) {
		const struct diff_list *list = &diff->lists[i];
		json_t *value =
		    i == DIFF_TOTAL ? row_json(list, list->rows[0]) : list_json(output, list);
		if (json_object_set_new(root, list->kind->key, value) < 0)
			result = -ENOMEM;
	}
	/* that it could not be written is told when the output is finished */
	if (result == 0 && json_dumpf(root, stdout, JSON_INDENT(2)) < 0 && !ferror(stdout))
		result = -ENOMEM;
	if (result == 0)
		printf("\n");
	json_decref(root);
	return result;
}
