/* SPDX-License-Identifier: MIT */
/*
 * symbol_table.c: see symbol_table.h. Runs in the monitor's writer thread. Reads files; never the
 * network: symbols.c takes debuginfod's servers out of the environment.
 *
 * Functions may nest (a label with a size inside a larger function) and a few overlap, so each
 * entry names the one that was still open when it began: a search that finds an entry which ended
 * before the address goes on there.
 */
#include "symbol_table.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NONE	  UINT32_MAX
#define HUGE_PAGE ((size_t)2 << 20)

/* 16 bytes each: a browser has a million. Addresses count from the table's base. */
struct symbol {
	uint32_t start, size;
	uint32_t name;	    /* in names */
	uint32_t enclosing; /* index of the symbol around this one, NONE */
};

struct symbol_table {
	uint64_t base;
	uint32_t count;
	struct symbol *symbols;
	char *names;
};

/* A function as the file has it, while the table is being made. */
struct candidate {
	uint64_t start, end; /* end 0: the file does not say */
	uint64_t limit;	     /* end of its section */
	const char *name;    /* libdwfl's; up to name_length, the version is cut off */
	uint32_t name_length;
	uint32_t rank; /* lower is better among those that start at one address */
};

struct section {
	Elf *elf;
	GElf_Word index;
	bool text;
	uint64_t end;
};

/*
 * Memory for free(); large memory in huge pages, where they are to be had: that a small one is
 * touched first costs more than what is done with it here, many times more on a virtual machine.
 */
static void *allocate(size_t size)
{
	size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	void *at;

	if (size < HUGE_PAGE / 2)
		return malloc(size);
	at = aligned_alloc(HUGE_PAGE, whole);
	if (at)
		madvise(at, whole, MADV_HUGEPAGE);
	return at;
}

static uint32_t rank_of(const GElf_Sym *symbol, uint64_t end)
{
	uint32_t binding;

	switch (GELF_ST_BIND(symbol->st_info)) {
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		binding = 0;
		break;
	case STB_WEAK:
		binding = 1;
		break;
	default:
		binding = 2;
	}
	/* A label of assembler code says less than anything that is called a function. */
	return (GELF_ST_TYPE(symbol->st_info) == STT_NOTYPE) * 8 + (end == 0) * 4 + binding;
}

static uint32_t leading_underscores(const char *name)
{
	return (uint32_t)strspn(name, "_");
}

static int compare(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	uint32_t a_score, b_score;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	/* Of several names for one function the plain one is what people know: malloc, not
	   __libc_malloc. */
	a_score = leading_underscores(a->name);
	b_score = leading_underscores(b->name);
	if (a_score != b_score)
		return a_score < b_score ? -1 : 1;
	if (a->name_length != b->name_length)
		return a->name_length < b->name_length ? -1 : 1;
	return memcmp(a->name, b->name, a->name_length);
}

/* Whether code lies in the section, and where it ends; in the module's own addresses. */
static void look_up_section(struct section *section, Elf *elf, GElf_Word index, uint64_t shift)
{
	GElf_Shdr header;

	if (section->elf == elf && section->index == index)
		return;
	*section = (struct section){.elf = elf, .index = index};
	if (!elf || !gelf_getshdr(elf_getscn(elf, index), &header))
		return;
	section->text = header.sh_flags & SHF_EXECINSTR;
	section->end = header.sh_addr + header.sh_size + shift;
}

/* Every function that libdwfl knows of. The number of them, or -ENOMEM. */
static ssize_t collect(Dwfl_Module *module, GElf_Addr main_bias, struct candidate **candidates)
{
	int total = dwfl_module_getsymtab(module);
	struct section section = {0};
	struct candidate *list;
	ssize_t count = 0;

	if (total <= 0)
		return 0;
	list = allocate((size_t)total * sizeof(list[0]));
	if (!list)
		return -ENOMEM;
	for (int i = 1; i < total; i++) {
		GElf_Addr address;
		GElf_Word index;
		Dwarf_Addr bias;
		GElf_Sym symbol;
		Elf *elf;
		const char *name =
		    dwfl_module_getsym_info(module, i, &symbol, &address, &index, &elf, &bias);
		int type;

		if (!name || !*name || symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS)
			continue;
		type = GELF_ST_TYPE(symbol.st_info);
		if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
			continue;
		look_up_section(&section, elf, index, bias - main_bias);
		if (type == STT_NOTYPE && !section.text)
			continue;
		list[count].start = address - main_bias;
		list[count].end = symbol.st_size ? list[count].start + symbol.st_size : 0;
		list[count].limit = section.end;
		list[count].name = name;
		/* "memcpy@@GLIBC_2.14" in .symtab is "memcpy" in .dynsym. */
		list[count].name_length = (uint32_t)(1 + strcspn(name + 1, "@"));
		list[count].rank = rank_of(&symbol, list[count].end);
		count++;
	}
	*candidates = list;
	return count;
}

/* Leaves one candidate for each address, gives each an end; the number that is left. */
static size_t settle(struct candidate *list, size_t count)
{
	size_t kept = 0, result = 0;
	uint64_t covered = 0;

	qsort(list, count, sizeof(list[0]), compare);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && list[i].start == list[kept - 1].start)
			continue;
		/* A label inside a function is not the end of it. */
		if (!list[i].end && list[i].start < covered)
			continue;
		if (list[i].end > covered)
			covered = list[i].end;
		list[kept++] = list[i];
	}
	for (size_t i = 0; i < kept; i++) {
		struct candidate symbol = list[i];

		if (!symbol.end) {
			symbol.end = symbol.limit;
			if (i + 1 < kept && list[i + 1].start < symbol.end)
				symbol.end = list[i + 1].start;
		}
		/* Offsets have 32 bits; nothing real lies further from the first function. */
		if (symbol.end > symbol.start && symbol.end - list[0].start <= UINT32_MAX)
			list[result++] = symbol;
	}
	return result;
}

static int make_table(struct symbol_table **table, const struct candidate *list, size_t count)
{
	struct symbol_table *made = calloc(1, sizeof(*made));
	size_t names_size = 0, used = 0;

	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		names_size += list[i].name_length + 1;
	made->symbols = allocate(count * sizeof(made->symbols[0]));
	made->names = allocate(names_size);
	if (!made->symbols || !made->names || names_size > UINT32_MAX) {
		symbol_table_destroy(made);
		return -ENOMEM;
	}
	made->base = list[0].start;
	made->count = (uint32_t)count;
	for (uint32_t i = 0; i < count; i++) {
		struct symbol *symbol = &made->symbols[i];
		uint32_t around = i > 0 ? i - 1 : NONE;

		symbol->start = (uint32_t)(list[i].start - made->base);
		symbol->size = (uint32_t)(list[i].end - list[i].start);
		symbol->name = (uint32_t)used;
		memcpy(made->names + used, list[i].name, list[i].name_length);
		made->names[used + list[i].name_length] = '\0';
		used += list[i].name_length + 1;
		while (around != NONE && list[around].end <= list[i].start)
			around = made->symbols[around].enclosing;
		symbol->enclosing = around;
	}
	*table = made;
	return 0;
}

static int read_module(struct symbol_table **table, Dwfl_Module *module, const uint8_t *build_id,
    uint32_t build_id_size)
{
	struct candidate *list = NULL;
	const unsigned char *found;
	GElf_Addr bias, address;
	ssize_t count;
	int size, result = -ENODATA;

	if (!dwfl_module_getelf(module, &bias))
		return -ENOEXEC;
	if (build_id_size > 0) {
		size = dwfl_module_build_id(module, &found, &address);
		if (size != (int)build_id_size || memcmp(found, build_id, build_id_size) != 0)
			return -ESTALE;
	}
	count = collect(module, bias, &list);
	if (count < 0)
		return (int)count;
	count = (ssize_t)settle(list, (size_t)count);
	if (count > 0)
		result = make_table(table, list, (size_t)count);
	free(list);
	return result;
}

static Dwfl *begin(const Dwfl_Callbacks *callbacks)
{
	Dwfl *dwfl = dwfl_begin(callbacks);

	if (dwfl)
		dwfl_report_begin(dwfl);
	return dwfl;
}

int symbol_table_of_file(struct symbol_table **table, int fd, const char *path,
    const char *debug_path, const uint8_t *build_id, uint32_t build_id_size)
{
	char *debug = strdup(debug_path);
	const Dwfl_Callbacks callbacks = {
	    .find_elf = dwfl_build_id_find_elf,
	    .find_debuginfo = dwfl_standard_find_debuginfo,
	    .section_address = dwfl_offline_section_address,
	    .debuginfo_path = &debug,
	};
	Dwfl *dwfl = debug ? begin(&callbacks) : NULL;
	int own = dwfl ? dup(fd) : -1; /* libdwfl closes it when it likes the file */
	int result = -ENOMEM;
	Dwfl_Module *module;

	if (own < 0)
		goto out;
	module = dwfl_report_offline(dwfl, path, path, own);
	if (!module) {
		close(own);
		result = -ENOEXEC;
		goto out;
	}
	dwfl_report_end(dwfl, NULL, NULL);
	result = read_module(table, module, build_id, build_id_size);
out:
	dwfl_end(dwfl);
	free(debug);
	return result;
}

int symbol_table_of_image(struct symbol_table **table, const void *image, size_t size)
{
	char *none = NULL;
	const Dwfl_Callbacks callbacks = {
	    .find_elf = dwfl_build_id_find_elf,
	    .find_debuginfo = dwfl_standard_find_debuginfo,
	    .section_address = dwfl_offline_section_address,
	    .debuginfo_path = &none,
	};
	Dwfl *dwfl = begin(&callbacks);
	char *copy = malloc(size);
	Dwfl_Module *module;
	int result = -ENOMEM;

	if (!dwfl || !copy)
		goto out;
	memcpy(copy, image, size);
	module = dwfl_report_offline_memory(dwfl, "image", "image", copy, size);
	result = -ENOEXEC;
	if (!module)
		goto out;
	dwfl_report_end(dwfl, NULL, NULL);
	result = read_module(table, module, NULL, 0);
out:
	dwfl_end(dwfl);
	free(copy);
	return result;
}

void symbol_table_destroy(struct symbol_table *table)
{
	if (!table)
		return;
	free(table->symbols);
	free(table->names);
	free(table);
}

const char *symbol_table_find(
    const struct symbol_table *table, uint64_t address, uint64_t *symbol_offset)
{
	uint32_t low = 0, high = table->count; /* the answer's index + 1 lies in [low, high] */
	uint64_t at = address - table->base;
	uint32_t found;

	if (address < table->base)
		return NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->symbols[middle].start <= at)
			low = middle + 1;
		else
			high = middle;
	}
	found = low > 0 ? low - 1 : NONE;
	while (found != NONE && at - table->symbols[found].start >= table->symbols[found].size)
		found = table->symbols[found].enclosing;
	if (found == NONE)
		return NULL;
	*symbol_offset = at - table->symbols[found].start;
	return table->names + table->symbols[found].name;
}
