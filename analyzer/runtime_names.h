/* SPDX-License-Identifier: MIT */
/*
 * runtime_names.h: which code only says how memory was touched, and not why: the runtimes of C, C++
 * and Rust and the known allocators.
 */
#ifndef FAULTLINE_RUNTIME_NAMES_H
#define FAULTLINE_RUNTIME_NAMES_H

#include <stdbool.h>

/* Of a program or library. */
bool runtime_names_file(const char *path);

/* Of a function, mangled as in the file. */
bool runtime_names_symbol(const char *symbol);

#endif
