/* SPDX-License-Identifier: MIT */
/*
 * diff_names.h: names without what is another one in each build: of functions what a compiler adds
 * to those of parts and copies ("parse.constprop.0"), of modules the folder and the version
 * ("/opt/x/libz.so.1.3").
 */
#ifndef FAULTLINE_DIFF_NAMES_H
#define FAULTLINE_DIFF_NAMES_H

/* Cut in place. */
void diff_names_function(char *name);

/* The part of the path that counts, which is not copied, and its length. */
const char *diff_names_module(const char *path, int *length);

#endif
