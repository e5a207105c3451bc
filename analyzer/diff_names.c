/* SPDX-License-Identifier: MIT */
/*
 * diff_names.c: cuts names of functions and modules.
 */
#include "diff_names.h"

#include "code_names.h"

#include <stdbool.h>
#include <string.h>

void diff_names_function(char *name)
{
	/* GCC's and LLVM's; a demangled name has them in brackets */
	static const char *const marks[] = {
	    " [clone ", ".constprop.", ".isra.", ".part.", ".lto_priv.", ".llvm."};
	static const char end[] = ".cold";
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		char *mark = strstr(name, marks[i]);
		if (mark && mark > name)
			*mark = '\0';
	}
	size_t length = strlen(name), end_length = strlen(end);
	if (length > end_length && strcmp(name + length - end_length, end) == 0)
		name[length - end_length] = '\0';
}

const char *diff_names_module(const char *path, int *length)
{
	const char *name = code_base_name(path);
	const char *suffix = strstr(name, ".so.");
	bool is_version = suffix && strspn(suffix + 4, "0123456789.") == strlen(suffix + 4);
	*length = is_version ? (int)(suffix + 3 - name) : (int)strlen(name);
	return name;
}
