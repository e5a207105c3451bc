/* SPDX-License-Identifier: MIT */
/*
 * symbols.h: names for addresses. One sorted table for each file, made when it is first asked,
 * from .symtab, .dynsym, .gnu_debugdata and separate debug files found by build-id (elfutils
 * knows where they are). Used by the writer thread only.
 */
#ifndef FAULTLINE_SYMBOLS_H
#define FAULTLINE_SYMBOLS_H

#include <stdint.h>
#include <sys/types.h>

struct symbols;

struct symbols *symbols_create(void);
void symbols_destroy(struct symbols *symbols);

/*
 * The function that holds `offset`, an ELF virtual address of the file: `descriptor` when that is
 * not negative, which stays the caller's, else what is at `path`, as seen from /proc/ROOT_PID/root
 * when that still exists. Returns its name as in the file, owned by
 * `symbols`, and how far into it the address lies; NULL when the file names none.
 */
const char *symbols_of_file(struct symbols *symbols, const char *path, pid_t root_pid,
    int descriptor, const uint8_t *build_id, uint32_t build_id_size, uint64_t offset,
    uint64_t *symbol_offset);

/* The same for generated code: /tmp/perf-PID.map, read again when it has grown. */
const char *symbols_of_process(
    struct symbols *symbols, pid_t pid, uint64_t ip, uint64_t *symbol_offset);

#endif
