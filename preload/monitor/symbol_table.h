/* SPDX-License-Identifier: MIT */
/*
 * symbol_table.h: the functions of one ELF file, sorted by address, made once and searched often.
 * Where the names come from (.symtab, a separate debug file, .dynsym with .gnu_debugdata) is
 * elfutils' business. Used by the writer thread only.
 */
#ifndef FAULTLINE_SYMBOL_TABLE_H
#define FAULTLINE_SYMBOL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct symbol_table;

/*
 * Of the file open as `fd` (not closed), which is called `path`; separate debug files are also
 * looked for under `debug_path`, in the form that libdwfl takes ("a:b:c"). When `build_id_size`
 * is not 0 the file must have that build-id. 0, -ENOMEM, -ENOEXEC for a file that is no ELF file,
 * -ESTALE for another build-id, -ENODATA when it names no function.
 */
int symbol_table_of_file(struct symbol_table **table, int fd, const char *path,
    const char *debug_path, const uint8_t *build_id, uint32_t build_id_size);

/* Of an ELF image in memory, which may go away afterwards. */
int symbol_table_of_image(struct symbol_table **table, const void *image, size_t size);

void symbol_table_destroy(struct symbol_table *table); /* accepts NULL */

/*
 * The innermost function that holds `address` (an ELF virtual address) and how far into it that
 * is. The name belongs to the table. NULL when there is none.
 */
const char *symbol_table_find(
    const struct symbol_table *table, uint64_t address, uint64_t *symbol_offset);

#endif
