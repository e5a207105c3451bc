/* SPDX-License-Identifier: MIT */
/*
 * demangle.c: asks the C++ runtime's demangler, which C code has to declare itself
 * (Itanium C++ ABI, 3.4). Keeps no state.
 */
#include "demangle.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL_LIMIT 16384 /* letters; longer ones are shown as they are */

char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

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

char *demangle(const char *symbol)
{
	int status = 0;
	if (strncmp(symbol, "_Z", 2) != 0 || strlen(symbol) > SYMBOL_LIMIT)
		return strdup(symbol);
	char *name = __cxa_demangle(symbol, NULL, NULL, &status);
	return name ? name : strdup(symbol);
}
