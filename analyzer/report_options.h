/* SPDX-License-Identifier: MIT */
/*
 * report_options.h: what a report shows, as the command lines of all commands that show one say it.
 */
#ifndef FAULTLINE_REPORT_OPTIONS_H
#define FAULTLINE_REPORT_OPTIONS_H

#include "arguments.h"
#include "report.h"

/* For the `groups` of a command. */
extern const struct option_group report_options;

/* Before any option was taken. */
#define REPORT_REQUEST_START ((struct report_request){.min_percent = -1})

/*
 * Takes the option that arguments_next has just found: 1 when it was one of this table, 0 when not,
 * or -EINVAL after a message. The value must live as long as the request.
 */
int report_option(struct report_request *request, const struct arguments *arguments);

/* All are taken: fills in what was not told. 0, or -EINVAL after a message. */
int report_options_finish(struct report_request *request, const char *command);

/* The flags of the profile that it needs. */
unsigned report_options_profile(const struct report_request *request);

#endif
