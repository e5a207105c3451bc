/* SPDX-License-Identifier: MIT */
/*
 * demangle.c: asks our own demangler for Rust, and for C++ that of its runtime. Of the runtime's
 * two ways in it takes the one that hands the name over piece by piece (libstdc++'s own, see
 * libiberty/cp-demangle.c; only its static library has it): a mangled name of 300 letters can stand
 * for gigabytes, and must be given up on. Keeps no state.
 */
#include "demangle.h"

#include "rust_names.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL_LIMIT 16384 /* letters; longer ones are shown as they are */
#define NAME_LIMIT   65536 /* of what they stand for */

int __gcclibcxx_demangle_callback(const char *mangled,
    void (*callback)(const char *text, size_t size, void *context), void *context);

void demangle_drop_parameters(char *name)
{
	size_t length = strlen(name);
	char *close = length > 0 ? strrchr(name, ')') : NULL;
	/* "operator()" ends in parentheses of its own, but its parameters follow */
	if (!close || (strcmp(close, ")") != 0 && strncmp(close, ") const", 7) != 0))
		return;
	int depth = 0;
	for (char *letter = close; letter > name; letter--) {
		if (*letter == ')')
			depth++;
		if (*letter == '(' && --depth == 0) {
			*letter = '\0';
			return;
		}
	}
}

struct writing {
	jmp_buf too_long;
	char *name; /* of NAME_LIMIT bytes */
	size_t used;
};

static void write_piece(const char *text, size_t size, void *context)
{
	struct writing *writing = context;
	/* the demangler holds no memory but its stack */
	if (size >= NAME_LIMIT - writing->used)
		longjmp(writing->too_long, 1);
	memcpy(writing->name + writing->used, text, size);
	writing->used += size;
}

/* NULL when it is no mangled name, or one that is too long. */
static char *demangle_cxx(const char *symbol)
{
	struct writing *writing = malloc(sizeof(*writing));
	char *volatile name = malloc(NAME_LIMIT);
	char *result = NULL;
	if (!writing || !name)
		goto out;
	writing->name = name;
	writing->used = 0;
	if (setjmp(writing->too_long) == 0 &&
	    __gcclibcxx_demangle_callback(symbol, write_piece, writing) == 0)
		result = strndup(name, writing->used);
out:
	free(name);
	free(writing);
	return result;
}

char *demangle(const char *symbol)
{
	if (symbol[0] != '_' || strlen(symbol) > SYMBOL_LIMIT)
		return strdup(symbol);
	char *name = rust_demangle(symbol);
	if (!name && symbol[1] == 'Z')
		name = demangle_cxx(symbol);
	return name ? name : strdup(symbol);
}
