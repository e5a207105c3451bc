/* SPDX-License-Identifier: MIT */
/*
 * source_lines.c: one libdwfl session for each file, opened when it is first asked and kept.
 */
#include "source_lines.h"

#include "dwarf_functions.h"

#include <dwarf.h>
#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_ID_BYTES 64

struct module_lines {
	char *path, *build_id;
	Dwfl *session;			   /* NULL: nothing to be known */
	Dwfl_Module *module;		   /* owned by the session */
	GElf_Addr elf_bias;		   /* of the session's addresses against the file's */
	Dwarf_Addr dwarf_bias;		   /* and against those of the debug information */
	struct dwarf_functions *functions; /* NULL: no debug information */
};

struct source_lines {
	const char *sysroot; /* "" for none */
	void *modules;	     /* tree of tsearch(3) */
};

/* Where libdwfl looks for separate debug files; see dwfl_standard_find_debuginfo in libdwfl.h. */
static char *debuginfo_path;

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debuginfo_path,
};

struct source_lines *source_lines_create(const char *sysroot)
{
	struct source_lines *lines = calloc(1, sizeof(*lines));
	if (!lines)
		return NULL;
	lines->sysroot = sysroot ? sysroot : "";
	if (sysroot &&
	    asprintf(&debuginfo_path, ":.debug:%s/usr/lib/debug:/usr/lib/debug", sysroot) < 0) {
		free(lines);
		return NULL;
	}
	return lines;
}

static void destroy_module(void *node)
{
	struct module_lines *module = node;
	if (!module)
		return;
	dwarf_functions_destroy(module->functions);
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
	free(debuginfo_path);
	debuginfo_path = NULL;
	free(lines);
}

static int compare_modules(const void *left, const void *right)
{
	const struct module_lines *a = left, *b = right;
	int order = strcmp(a->path, b->path);
	return order != 0 ? order : strcmp(a->build_id, b->build_id);
}

/* The bytes of a build-id in hex. Their number; 0 when it is none. */
static size_t parse_build_id(const char *hex, unsigned char bytes[MOST_ID_BYTES])
{
	size_t size = strlen(hex) / 2;
	if (size > MOST_ID_BYTES || size * 2 != strlen(hex) ||
	    strspn(hex, "0123456789abcdef") != size * 2)
		return 0;
	for (size_t i = 0; i < size; i++) {
		char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};
		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return size;
}

static bool same_build(Dwfl_Module *module, const char *build_id)
{
	const unsigned char *there;
	unsigned char wanted[MOST_ID_BYTES];
	GElf_Addr address;
	if (build_id[0] == '\0')
		return true;
	size_t size = parse_build_id(build_id, wanted);
	int there_size = dwfl_module_build_id(module, &there, &address);
	return size > 0 && there_size == (int)size && memcmp(there, wanted, size) == 0;
}

/* A session about a file, if it is there and the right one. */
static bool open_file(struct module_lines *module, const char *path)
{
	struct stat status;
	/* the path comes from a file: it may name a pipe or a device, which must not be opened */
	if (path[0] != '/' || stat(path, &status) < 0 || !S_ISREG(status.st_mode))
		return false;
	module->session = dwfl_begin(&callbacks);
	if (!module->session)
		return false;
	module->module = dwfl_report_offline(module->session, "", path, -1);
	dwfl_report_end(module->session, NULL, NULL);
	if (module->module && same_build(module->module, module->build_id))
		return true;
	dwfl_end(module->session);
	module->session = NULL;
	return false;
}

/* The debug file alone, below `root`, does where the file itself is gone. */
static bool open_debug_file(struct module_lines *module, const char *root)
{
	char path[4096];
	unsigned char bytes[MOST_ID_BYTES];
	if (parse_build_id(module->build_id, bytes) < 2)
		return false;
	int length = snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug", root,
	    module->build_id, module->build_id + 2);
	return length > 0 && (size_t)length < sizeof(path) && open_file(module, path);
}

/* A file that is nowhere here may be had from a server, by its build-id. */
static bool open_by_build_id(struct module_lines *module)
{
	unsigned char bytes[MOST_ID_BYTES];
	size_t size = parse_build_id(module->build_id, bytes);
	const char *urls = getenv("DEBUGINFOD_URLS");
	GElf_Addr bias;
	if (size == 0 || !urls || urls[0] == '\0')
		return false;
	module->session = dwfl_begin(&callbacks);
	if (!module->session)
		return false;
	module->module = dwfl_report_module(module->session, "", 0, UINT64_MAX);
	if (module->module)
		dwfl_module_report_build_id(module->module, bytes, size, 0);
	dwfl_report_end(module->session, NULL, NULL);
	if (module->module && dwfl_module_getelf(module->module, &bias))
		return true;
	dwfl_end(module->session);
	module->session = NULL;
	return false;
}

/* Opens the file's session; leaves it NULL when nothing is found. */
static void open_module(const struct source_lines *lines, struct module_lines *module)
{
	char *path = NULL;
	bool found = asprintf(&path, "%s%s", lines->sysroot, module->path) > 0 &&
		     module->path[0] == '/' && open_file(module, path);
	free(path);
	if (!found && lines->sysroot[0] != '\0')
		found = open_debug_file(module, lines->sysroot);
	if (!found)
		found = open_debug_file(module, "") || open_by_build_id(module);
	if (!found)
		return;
	dwfl_module_getelf(module->module, &module->elf_bias);
	if (dwfl_module_getdwarf(module->module, &module->dwarf_bias))
		module->functions = dwarf_functions_create(module->module);
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
	open_module(lines, module);
	return module;
}

/* The name as the linker knows it, where there is one. */
static const char *name_of(Dwarf_Die *die)
{
	static const unsigned names[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		Dwarf_Attribute attribute;
		const char *name =
		    dwarf_formstring(dwarf_attr_integrate(die, names[i], &attribute));
		if (name)
			return name;
	}
	return dwarf_diename(die);
}

/* The place of the call that an inlined function stands for. */
static void find_call(Dwarf_Die *die, Dwarf_Die *unit, struct source_line *at)
{
	Dwarf_Attribute attribute;
	Dwarf_Word file = 0, line = 0;
	Dwarf_Files *files;
	size_t count;
	*at = (struct source_line){0};
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file) != 0 ||
	    dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line) != 0 ||
	    dwarf_getsrcfiles(unit, &files, &count) != 0 || line > INT32_MAX)
		return;
	at->file = dwarf_filesrc(files, file, NULL, NULL);
	at->line = (int)line;
}

size_t source_lines_find(struct source_lines *lines, const char *path, const char *build_id,
    uint64_t offset, struct source_line found[SOURCE_LINES_MOST])
{
	struct module_lines *module = find_module(lines, path, build_id);
	Dwarf_Die functions[SOURCE_LINES_MOST], *unit = NULL;
	Dwarf_Addr start = 0;
	if (!module || !module->functions)
		return 0;
	Dwarf_Addr address = offset + module->elf_bias - module->dwarf_bias;
	size_t count = dwarf_functions_find(
	    module->functions, address, &unit, &start, functions, SOURCE_LINES_MOST);
	if (!unit)
		return 0;
	struct source_line here = {0};
	Dwarf_Line *line = dwarf_getsrc_die(unit, address);
	if (line && dwarf_lineno(line, &here.line) == 0 && here.line > 0)
		here.file = dwarf_linesrc(line, NULL, NULL);
	if (count == 0 && here.file) {
		found[0] = here;
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		found[i] = here;
		found[i].function = name_of(&functions[i]);
		found[i].start = start + module->dwarf_bias - module->elf_bias;
		if (i + 1 < count)
			find_call(&functions[i], unit, &here);
	}
	return count;
}

const char *source_lines_symbol(
    struct source_lines *lines, const char *path, const char *build_id, uint64_t offset)
{
	struct module_lines *module = find_module(lines, path, build_id);
	GElf_Off distance;
	GElf_Sym symbol;
	if (!module || !module->session)
		return NULL;
	return dwfl_module_addrinfo(
	    module->module, offset + module->elf_bias, &distance, &symbol, NULL, NULL, NULL);
}
