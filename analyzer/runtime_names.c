/* SPDX-License-Identifier: MIT */
/*
 * runtime_names.c: the lists. `faultline report --help` and its page say the same.
 */
#include "runtime_names.h"

#include "rust_names.h"

#include <fnmatch.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const files[] = {"libc.so*", "libc-2.*", "ld-linux*", "ld-2.*",
    "libpthread*.so*", "libm.so*", "libm-2.*", "libstdc++.so*", "libc++.so*", "libc++abi.so*",
    "libgcc_s.so*", "libfaultline.so*", "libjemalloc.so*", "libtcmalloc*.so*", "libmimalloc.so*",
    "[[]vdso]"};

/* Mangled names of std::, __gnu_cxx::, and operators new and delete (Itanium C++ ABI, 5.1). */
static const char *const cxx_prefixes[] = {
    "_ZNS", "_ZNKS", "_ZS", "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx", "_Znw", "_Zna", "_Zdl", "_Zda"};

/* Rust's allocation functions, which are not mangled, and its crates. */
static const char *const rust_functions[] = {"__rust_", "__rdl_", "__rg_"};
static const char *const rust_crates[] = {"core::", "alloc::", "std::", "hashbrown::"};

bool runtime_names_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	for (size_t i = 0; i < COUNT(files); i++)
		if (fnmatch(files[i], base, 0) == 0)
			return true;
	return false;
}

static bool begins_with(const char *name, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Is a type or trait one of a program's own, and not of a runtime crate or built in? */
static bool is_own(const char *type)
{
	static const char *const words[] = {"mut ", "const ", "dyn "};
	for (bool skipped = true; skipped;) {
		size_t length = strspn(type, "<[&(*");
		for (size_t i = 0; i < COUNT(words) && length == 0; i++)
			if (begins_with(type, &words[i], 1))
				length = strlen(words[i]);
		skipped = length > 0;
		type += length;
	}
	size_t crate = strcspn(type, ":<>[](), ");
	return strncmp(type + crate, "::", 2) == 0 &&
	       !begins_with(type, rust_crates, COUNT(rust_crates));
}

/* The trait of "<Type as Trait>::method"; NULL where there is none. */
static const char *trait_of(const char *name)
{
	unsigned depth = 0;
	for (; *name != '\0'; name++) {
		if (*name == '<' || *name == '(' || *name == '[')
			depth++;
		else if ((*name == '>' && name[-1] != '-') || *name == ')' || *name == ']')
			depth--;
		else if (depth == 1 && strncmp(name, " as ", 4) == 0)
			return name + 4;
		if (depth == 0)
			break;
	}
	return NULL;
}

/* What a program implements of a runtime trait, or for a runtime type, is the program's. */
static bool is_rust_runtime(const char *symbol)
{
	char *name = rust_demangle(symbol);
	const char *trait = name && name[0] == '<' ? trait_of(name) : NULL;
	bool is_runtime = name && !is_own(name) && (!trait || !is_own(trait)) &&
			  (name[0] == '<' || begins_with(name, rust_crates, COUNT(rust_crates)));
	free(name);
	return is_runtime;
}

bool runtime_names_symbol(const char *symbol)
{
	if (symbol[0] != '_')
		return false;
	return begins_with(symbol, cxx_prefixes, COUNT(cxx_prefixes)) ||
	       begins_with(symbol, rust_functions, COUNT(rust_functions)) ||
	       is_rust_runtime(symbol);
}
