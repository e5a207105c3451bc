/* SPDX-License-Identifier: MIT */
/*
 * rust_names.h: the names of functions in Rust, in both of the ways in which its compiler mangles
 * them: as it did first, and as RFC 2603 ("v0") describes.
 */
#ifndef FAULTLINE_RUST_NAMES_H
#define FAULTLINE_RUST_NAMES_H

/*
 * The demangled name, without hashes; the caller frees it. NULL when the symbol is not Rust's, is
 * damaged, or there is no memory: it is then shown as it is.
 */
char *rust_demangle(const char *symbol);

#endif
