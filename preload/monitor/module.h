/* SPDX-License-Identifier: MIT */
/*
 * module.h: the ELF files that code is mapped from, as the unwinder needs them: bytes by virtual
 * address, where the unwind table is, the build-id. A file is opened once however many processes
 * map it. The service thread's alone.
 */
#ifndef FAULTLINE_MODULE_H
#define FAULTLINE_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BUILD_ID_MAX 64

struct elf_file;

/* One loadable segment (PT_LOAD). */
struct elf_segment {
	uint64_t address, memory_size, offset, file_size;
	bool executable;
};

struct elf_files; /* the cache of all opened */

struct elf_files *elf_files_create(void);
void elf_files_destroy(struct elf_files *files);

/*
 * The file that process `pid` has mapped at [start, end) under `path`. Owned by `files`; NULL
 * when it cannot be opened or is no ELF file of this machine. "[vdso]" is the monitor's own.
 */
struct elf_file *elf_file_get(
    struct elf_files *files, pid_t pid, uint64_t start, uint64_t end, const char *path);

/* Copies bytes at an ELF virtual address; false when the file has none there. */
bool elf_file_read(struct elf_file *file, uint64_t address, void *to, size_t size);

/* The segment that holds file offset `offset`, or NULL. */
const struct elf_segment *elf_file_segment(const struct elf_file *file, uint64_t offset);

/* A descriptor of the file, open as long as the file is kept; -1: it has none. */
int elf_file_descriptor(const struct elf_file *file);

const uint8_t *elf_file_build_id(const struct elf_file *file, uint32_t *size);

/*
 * .eh_frame_hdr's sorted table (LSB core, 10.6.2): its virtual address and that of its first
 * entry, and how many there are. False when there is none of the usual encoding.
 */
struct unwind_table {
	uint64_t header, first;
	uint64_t count;
};
bool elf_file_unwind_table(const struct elf_file *file, struct unwind_table *table);

#endif
