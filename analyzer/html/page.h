/* SPDX-License-Identifier: MIT */
/*
 * page.h: writes the page of `faultline html`: the page itself, which the build puts together from
 * the files of this folder (see `assemble`) and which is part of the program, with the data in it.
 */
#ifndef FAULTLINE_HTML_PAGE_H
#define FAULTLINE_HTML_PAGE_H

#include "../filter.h"
#include "page_data.h"

#include <stdio.h>

/*
 * `name`: of the trace; `filter`: what it went through. 0 or -ENOMEM; what could not be written is
 * told by ferror(out).
 */
int page_write(
    FILE *out, const struct page_data *data, const char *name, const struct filter *filter);

#endif
