/* SPDX-License-Identifier: MIT */
/*
 * module.c: reads ELF files with pread through a few cached pages each, and not through mmap: a
 * program may truncate a file that it has loaded, and that must not kill the monitor.
 */
#include "module.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_PAGES  16u
#define CACHE_BYTES  4096u
#define SEGMENTS_MAX 16u

#define PLENTY_OF_FILES 1024u
#define COPY_MAX	(64 << 20)

struct elf_file {
	struct elf_file *next;
	dev_t device;
	ino_t inode;
	struct timespec modified;
	off_t size;
	int fd; /* -1: `image` holds it */
	const uint8_t *image;
	uint8_t *copy; /* `image`, when it is ours */
	bool vdso;
	struct elf_segment segments[SEGMENTS_MAX];
	size_t segment_count;
	uint8_t build_id[BUILD_ID_MAX];
	uint32_t build_id_size;
	bool has_table;
	struct unwind_table table;
	struct {
		uint64_t page; /* number + 1; 0: empty */
		uint32_t size;
		uint8_t *bytes;
	} cache[CACHE_PAGES];
};

struct elf_files {
	struct elf_file *first;
};

struct elf_files *elf_files_create(void)
{
	return calloc(1, sizeof(struct elf_files));
}

static void file_free(struct elf_file *file)
{
	if (!file)
		return;
	for (size_t i = 0; i < CACHE_PAGES; i++)
		free(file->cache[i].bytes);
	if (file->fd >= 0)
		close(file->fd);
	free(file->copy);
	free(file);
}

void elf_files_destroy(struct elf_files *files)
{
	if (!files)
		return;
	while (files->first) {
		struct elf_file *next = files->first->next;

		file_free(files->first);
		files->first = next;
	}
	free(files);
}

/* One page of the file, read or cached; NULL beyond its end. */
static const uint8_t *file_page(struct elf_file *file, uint64_t number, uint32_t *size)
{
	uint32_t slot = (uint32_t)(number % CACHE_PAGES);
	ssize_t got;

	if (file->cache[slot].page == number + 1) {
		*size = file->cache[slot].size;
		return file->cache[slot].bytes;
	}
	if (!file->cache[slot].bytes) {
		file->cache[slot].bytes = malloc(CACHE_BYTES);
		if (!file->cache[slot].bytes)
			return NULL;
	}
	file->cache[slot].page = 0;
	got = pread(file->fd, file->cache[slot].bytes, CACHE_BYTES, (off_t)(number * CACHE_BYTES));
	if (got <= 0)
		return NULL;
	file->cache[slot].page = number + 1;
	file->cache[slot].size = *size = (uint32_t)got;
	return file->cache[slot].bytes;
}

static bool file_read(struct elf_file *file, uint64_t offset, void *to, size_t size)
{
	uint8_t *out = to;

	if (file->image) {
		if (offset > (uint64_t)file->size || size > (uint64_t)file->size - offset)
			return false;
		memcpy(to, file->image + offset, size);
		return true;
	}
	while (size) {
		uint32_t have, skip = (uint32_t)(offset % CACHE_BYTES);
		const uint8_t *page = file_page(file, offset / CACHE_BYTES, &have);
		size_t piece;

		if (!page || have <= skip)
			return false;
		piece = have - skip < size ? have - skip : size;
		memcpy(out, page + skip, piece);
		out += piece;
		offset += piece;
		size -= piece;
	}
	return true;
}

bool elf_file_read(struct elf_file *file, uint64_t address, void *to, size_t size)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *s = &file->segments[i];

		if (address >= s->address && address - s->address < s->file_size &&
		    size <= s->file_size - (address - s->address))
			return file_read(file, s->offset + (address - s->address), to, size);
	}
	return false;
}

const struct elf_segment *elf_file_segment(const struct elf_file *file, uint64_t offset)
{
	const struct elf_segment *found = NULL;

	for (size_t i = 0; i < file->segment_count; i++) {
		const struct elf_segment *s = &file->segments[i];
		uint64_t first = s->offset & ~UINT64_C(4095);

		/* Segments may share a page of the file; code is what is asked for. */
		if (offset >= first && offset < s->offset + s->file_size &&
		    (!found || s->executable))
			found = s;
	}
	return found;
}

int elf_file_descriptor(const struct elf_file *file)
{
	return file->fd;
}

const uint8_t *elf_file_build_id(const struct elf_file *file, uint32_t *size)
{
	*size = file->build_id_size;
	return file->build_id;
}

bool elf_file_unwind_table(const struct elf_file *file, struct unwind_table *table)
{
	if (file->has_table)
		*table = file->table;
	return file->has_table;
}

static void read_notes(struct elf_file *file, const Elf64_Phdr *segment)
{
	uint64_t at = segment->p_offset, end = at + segment->p_filesz;
	Elf64_Nhdr note;
	char name[4];

	while (at + sizeof(note) <= end && file_read(file, at, &note, sizeof(note))) {
		uint64_t names = at + sizeof(note);
		uint64_t content = names + ((note.n_namesz + 3u) & ~UINT64_C(3));

		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    note.n_descsz <= BUILD_ID_MAX && file_read(file, names, name, 4) &&
		    memcmp(name, "GNU", 4) == 0 &&
		    file_read(file, content, file->build_id, note.n_descsz)) {
			file->build_id_size = note.n_descsz;
			return;
		}
		at = content + ((note.n_descsz + 3u) & ~UINT64_C(3));
	}
}

/* Only the encodings that every linker writes: see struct unwind_table. */
static void read_table(struct elf_file *file, uint64_t address)
{
	enum { SDATA4_PCREL = 0x1b, UDATA4 = 0x03, SDATA4_DATAREL = 0x3b };
	struct {
		uint8_t version, pointer, count, table;
		int32_t eh_frame;
		uint32_t entries;
	} header;

	if (!elf_file_read(file, address, &header, sizeof(header)) || header.version != 1 ||
	    header.pointer != SDATA4_PCREL || header.count != UDATA4 ||
	    header.table != SDATA4_DATAREL)
		return;
	file->table = (struct unwind_table){
	    .header = address, .first = address + sizeof(header), .count = header.entries};
	file->has_table = header.entries > 0;
}

static int file_parse(struct elf_file *file)
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;
	uint64_t table = 0;

	if (!file_read(file, 0, &elf, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(segment))
		return -ENOEXEC;
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		if (!file_read(file, elf.e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
			return -ENOEXEC;
		if (segment.p_type == PT_LOAD && file->segment_count < SEGMENTS_MAX)
			file->segments[file->segment_count++] =
			    (struct elf_segment){.address = segment.p_vaddr,
				.memory_size = segment.p_memsz,
				.offset = segment.p_offset,
				.file_size = segment.p_filesz,
				.executable = segment.p_flags & PF_X};
		else if (segment.p_type == PT_NOTE && !file->build_id_size)
			read_notes(file, &segment);
		else if (segment.p_type == PT_GNU_EH_FRAME)
			table = segment.p_vaddr;
	}
	if (table)
		read_table(file, table);
	return 0;
}

/*
 * Opens what the process has mapped: by its map_files link (deleted and replaced files too, where
 * permitted), by its own root, or by our path.
 */
static int open_mapped(pid_t pid, uint64_t start, uint64_t end, const char *path)
{
	char name[4096 + 64];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, start, end);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), "/proc/%d/root%s", pid, path);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd >= 0 ? fd : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static struct elf_file *file_keep(struct elf_files *files, struct elf_file *file)
{
	if (file_parse(file) < 0)
		file->segment_count = 0; /* remembered, so that it is not opened again */
	file->next = files->first;
	files->first = file;
	return file->segment_count ? file : NULL;
}

static struct elf_file *vdso_get(struct elf_files *files)
{
	const uint8_t *image = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *elf = (const void *)image;
	struct elf_file *file;

	for (file = files->first; file; file = file->next)
		if (file->vdso)
			return file;
	if (!image || !(file = calloc(1, sizeof(*file))))
		return NULL;
	file->fd = -1;
	file->vdso = true;
	file->image = image;
	file->size = (off_t)(elf->e_shoff + (uint64_t)elf->e_shentsize * elf->e_shnum);
	return file_keep(files, file);
}

/* Whether a low limit on descriptors, the program's, leaves few for processes to come. */
static bool is_scarce(int fd)
{
	struct rlimit files;

	return getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < PLENTY_OF_FILES &&
	       (rlim_t)fd >= files.rlim_cur / 2;
}

/* Keeps what the file holds in place of its descriptor. */
static void copy_file(struct elf_file *file)
{
	size_t size = (size_t)file->size, done = 0;
	uint8_t *copy = file->size > 0 && file->size <= COPY_MAX ? malloc(size) : NULL;
	ssize_t got;

	while (copy && done < size &&
	       (got = pread(file->fd, copy + done, size - done, (off_t)done)) > 0)
		done += (size_t)got;
	if (!copy || done < size) {
		free(copy);
		return;
	}
	close(file->fd);
	file->fd = -1;
	file->image = file->copy = copy;
}

struct elf_file *elf_file_get(
    struct elf_files *files, pid_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct elf_file *file;
	struct stat status;
	int fd;

	if (strcmp(path, "[vdso]") == 0)
		return vdso_get(files);
	fd = open_mapped(pid, start, end, path);
	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		goto fail;
	for (file = files->first; file; file = file->next)
		if (!file->vdso && file->device == status.st_dev && file->inode == status.st_ino &&
		    file->size == status.st_size &&
		    file->modified.tv_sec == status.st_mtim.tv_sec &&
		    file->modified.tv_nsec == status.st_mtim.tv_nsec) {
			close(fd);
			return file->segment_count ? file : NULL;
		}
	file = calloc(1, sizeof(*file));
	if (!file)
		goto fail;
	file->fd = fd;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	file->size = status.st_size;
	file->modified = status.st_mtim;
	if (is_scarce(fd))
		copy_file(file);
	return file_keep(files, file);
fail:
	if (fd >= 0)
		close(fd);
	return NULL;
}
