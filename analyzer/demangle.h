/* SPDX-License-Identifier: MIT */
/*
 * demangle.h: names as the programmer wrote them.
 */
#ifndef FAULTLINE_DEMANGLE_H
#define FAULTLINE_DEMANGLE_H

/*
 * A copy of the symbol, demangled when it is a name of C++ or Rust. The caller frees it. NULL
 * without memory.
 */
char *demangle(const char *symbol);

/* Cuts "name(parameters)" to "name", in place; leaves other names alone. */
void demangle_drop_parameters(char *name);

#endif
