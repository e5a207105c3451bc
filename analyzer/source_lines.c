/* SPDX-License-Identifier: MIT */
/*
 * source_lines.c: one libdwfl session for each file, opened when it is first asked and kept, since
 * neighbouring questions are about the same file.
 */
#include "source_lines.h"

#include <elfutils/libdwfl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct module_lines {
	char *path, *build_id;
	Dwfl *session;	     /* NULL: nothing to be known */
	Dwfl_Module *module; /* owned by the session */
	Dwarf_Addr bias;     /* of the session's addresses against the file's */
};

struct source_lines {
	void *modules; /* tree of tsearch(3) */
};

static char *debuginfo_path; /* NULL: libdwfl's own search path */

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debuginfo_path,
};

struct source_lines *source_lines_create(void)
{
	return calloc(1, sizeof(struct source_lines));
}

static void destroy_module(void *node)
{
	struct module_lines *module = node;
	if (!module)
		return;
	dwfl_end(module->session);
	free(module->path);
	free(module->build_id);
	free(module);
}

void source_lines_destroy(struct source_lines *lines)
{
	if (!lines)
		return;
	tdestroy(lines->modules, destroy_module);
	free(lines);
}

static int compare_modules(const void *left, const void *right)
{
	const struct module_lines *a = left, *b = right;
	int order = strcmp(a->path, b->path);
	return order != 0 ? order : strcmp(a->build_id, b->build_id);
}

static bool same_build(Dwfl_Module *module, const char *build_id)
{
	const unsigned char *bytes;
	GElf_Addr address;
	int size = dwfl_module_build_id(module, &bytes, &address);
	if (build_id[0] == '\0')
		return true;
	if (size <= 0 || strlen(build_id) != (size_t)size * 2)
		return false;
	for (int i = 0; i < size; i++) {
		char hex[3];
		snprintf(hex, sizeof(hex), "%02x", bytes[i]);
		if (memcmp(hex, build_id + 2 * i, 2) != 0)
			return false;
	}
	return true;
}

/* Opens the file's session; leaves it NULL when that is not possible. */
static void open_module(struct module_lines *module)
{
	struct stat status;
	/* the path comes from a file: it may name a pipe or a device, which must not be opened */
	if (module->path[0] != '/' || stat(module->path, &status) < 0 || !S_ISREG(status.st_mode))
		return;
	module->session = dwfl_begin(&callbacks);
	if (!module->session)
		return;
	module->module = dwfl_report_offline(module->session, "", module->path, -1);
	dwfl_report_end(module->session, NULL, NULL);
	if (module->module && same_build(module->module, module->build_id) &&
	    dwfl_module_getdwarf(module->module, &module->bias))
		return;
	dwfl_end(module->session);
	module->session = NULL;
}

static struct module_lines *find_module(
    struct source_lines *lines, const char *path, const char *build_id)
{
	struct module_lines key = {.path = (char *)path, .build_id = (char *)build_id};
	struct module_lines **found = tfind(&key, &lines->modules, compare_modules);
	if (found)
		return *found;
	struct module_lines *module = calloc(1, sizeof(*module));
	if (!module)
		return NULL;
	module->path = strdup(path);
	module->build_id = strdup(build_id);
	if (!module->path || !module->build_id ||
	    !tsearch(module, &lines->modules, compare_modules)) {
		destroy_module(module);
		return NULL;
	}
	open_module(module);
	return module;
}

bool source_lines_find(struct source_lines *lines, const char *path, const char *build_id,
    uint64_t offset, const char **file, int *line)
{
	struct module_lines *module = find_module(lines, path, build_id);
	if (!module || !module->session)
		return false;
	Dwfl_Line *found = dwfl_module_getsrc(module->module, offset + module->bias);
	int number = 0;
	const char *name = found ? dwfl_lineinfo(found, NULL, &number, NULL, NULL, NULL) : NULL;
	if (!name || number <= 0)
		return false;
	*file = name;
	*line = number;
	return true;
}
