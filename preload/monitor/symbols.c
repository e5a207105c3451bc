/* SPDX-License-Identifier: MIT */
/*
 * symbols.c: see symbols.h. Runs in the monitor's writer thread. Remembers the table of every
 * file it was asked about, by build-id, or by path where a file has none; and the perf maps of
 * the processes it was asked about last.
 *
 * May not use the network: a recording tells nobody what is recorded.
 */
#include "symbols.h"

#include "perf_map.h"
#include "symbol_table.h"
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS	  1024u
#define PERF_MAPS 64u /* processes with generated code that take turns */

/* What tells one file without a build-id from the next at the same path. */
struct identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

struct file {
	struct file *next;	    /* in the bucket */
	struct symbol_table *table; /* NULL: names nothing, or could not be read */
	struct identity identity;   /* only without a build-id */
	pid_t root_pid;		    /* through which it was looked at last */
	uint32_t key_size;
	bool by_path;
	uint8_t key[]; /* build-id or path */
};

struct symbols {
	struct file *buckets[BUCKETS];
	struct symbol_table *vdso;
	bool vdso_tried;
	struct perf_map *perf_maps[PERF_MAPS]; /* the one used last comes first */
};

struct symbols *symbols_create(void)
{
	/* Only a server that is named here is ever asked. */
	unsetenv("DEBUGINFOD_URLS");
	return calloc(1, sizeof(struct symbols));
}

void symbols_destroy(struct symbols *symbols)
{
	if (!symbols)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		struct file *file = symbols->buckets[i];

		while (file) {
			struct file *next = file->next;

			symbol_table_destroy(file->table);
			free(file);
			file = next;
		}
	}
	symbol_table_destroy(symbols->vdso);
	for (uint32_t i = 0; i < PERF_MAPS; i++)
		perf_map_destroy(symbols->perf_maps[i]);
	free(symbols);
}

/* --- the vdso --- */

/* Bytes of the ELF image at `image`: up to the end of its section headers or segments. */
static size_t image_size(const void *image)
{
	const Elf64_Ehdr *header = image;
	const Elf64_Phdr *segments = (const void *)((const char *)image + header->e_phoff);
	size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;

	for (int i = 0; i < header->e_phnum; i++) {
		size_t end = segments[i].p_offset + segments[i].p_filesz;

		if (segments[i].p_type == PT_LOAD && end > size)
			size = end;
	}
	return size;
}

/* One kernel gives all its 64-bit processes the same vdso: ours will do. */
static const struct symbol_table *vdso_table(struct symbols *symbols)
{
	const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);

	if (!symbols->vdso_tried && image)
		symbol_table_of_image(&symbols->vdso, image, image_size(image));
	symbols->vdso_tried = true;
	return symbols->vdso;
}

/* --- files --- */

static uint32_t hash(const uint8_t *key, uint32_t size)
{
	uint32_t value = 2166136261u; /* FNV-1a */

	while (size-- > 0)
		value = (value ^ *key++) * 16777619u;
	return value;
}

/* Finds or makes the entry; NULL: no memory. A new one has root_pid -1. */
static struct file *file_of_key(
    struct symbols *symbols, const uint8_t *key, uint32_t size, bool by_path)
{
	struct file **bucket = &symbols->buckets[hash(key, size) % BUCKETS];
	struct file *file;

	for (file = *bucket; file; file = file->next) {
		if (file->key_size == size && file->by_path == by_path &&
		    !memcmp(file->key, key, size))
			return file;
	}
	file = malloc(sizeof(*file) + size);
	if (!file)
		return NULL;
	*file =
	    (struct file){.next = *bucket, .root_pid = -1, .key_size = size, .by_path = by_path};
	memcpy(file->key, key, size);
	*bucket = file;
	return file;
}

/*
 * Opens the regular file again that is open as `descriptor`, wherever its name leads now, or the
 * one at `path` as the process sees it, else as we do. -1: none of them.
 */
static int open_file(char *seen, size_t seen_size, const char *path, pid_t root_pid, int descriptor,
    struct stat *status)
{
	/* The path may lead to anything by now: a FIFO must not stop us. */
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = -1;

	if (descriptor >= 0)
		fd = dup(descriptor);
	if (fd >= 0) /* separate debug files lie beside its name */
		snprintf(seen, seen_size, "/proc/%d/root%s", root_pid, path);
	else if (root_pid > 0 &&
		 snprintf(seen, seen_size, "/proc/%d/root%s", root_pid, path) < (int)seen_size)
		fd = open(seen, flags);
	if (fd < 0 && snprintf(seen, seen_size, "%s", path) < (int)seen_size)
		fd = open(seen, flags);
	if (fd >= 0 && (fstat(fd, status) || !S_ISREG(status->st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool same_identity(const struct identity *identity, const struct stat *status)
{
	return identity->device == status->st_dev && identity->inode == status->st_ino &&
	       identity->size == status->st_size &&
	       identity->modified.tv_sec == status->st_mtim.tv_sec &&
	       identity->modified.tv_nsec == status->st_mtim.tv_nsec;
}

/* Reads the file's table unless it is the one that was read before. */
static void load(struct file *file, const char *path, pid_t root_pid, int descriptor,
    const uint8_t *build_id, uint32_t build_id_size)
{
	char seen[PATH_MAX + 64], debug_path[128] = ":.debug:/usr/lib/debug";
	struct stat status;
	int fd;

	file->root_pid = root_pid;
	fd = open_file(seen, sizeof(seen), path, root_pid, descriptor, &status);
	if (fd < 0)
		return;
	if (file->by_path) {
		if (same_identity(&file->identity, &status))
			goto out;
		file->identity =
		    (struct identity){status.st_dev, status.st_ino, status.st_size, status.st_mtim};
		symbol_table_destroy(file->table);
		file->table = NULL;
	}
	if (root_pid > 0)
		snprintf(debug_path, sizeof(debug_path),
		    ":.debug:/proc/%d/root/usr/lib/debug:/usr/lib/debug", root_pid);
	symbol_table_of_file(&file->table, fd, seen, debug_path, build_id, build_id_size);
out:
	close(fd);
}

const char *symbols_of_file(struct symbols *symbols, const char *path, pid_t root_pid,
    int descriptor, const uint8_t *build_id, uint32_t build_id_size, uint64_t offset,
    uint64_t *symbol_offset)
{
	const struct symbol_table *table;
	struct file *file;

	if (!strcmp(path, "[vdso]")) {
		table = vdso_table(symbols);
	} else {
		if (path[0] != '/')
			return NULL;
		if (build_id_size > 0)
			file = file_of_key(symbols, build_id, build_id_size, false);
		else
			file = file_of_key(
			    symbols, (const uint8_t *)path, (uint32_t)strlen(path), true);
		if (!file)
			return NULL;
		/* A build-id says it all once the file was found; a path only within a process. */
		if (file->root_pid != root_pid && (file->by_path || !file->table))
			load(file, path, root_pid, descriptor, build_id, build_id_size);
		table = file->table;
	}
	return table ? symbol_table_find(table, offset, symbol_offset) : NULL;
}

/* --- generated code --- */

/* The map of the process, moved to the front; NULL: no memory. */
static struct perf_map *perf_map_of(struct symbols *symbols, pid_t pid)
{
	struct perf_map **maps = symbols->perf_maps;
	struct perf_map *map = NULL;
	uint32_t i;

	for (i = 0; i < PERF_MAPS - 1 && maps[i]; i++) {
		if (perf_map_pid(maps[i]) == pid)
			break;
	}
	if (maps[i] && perf_map_pid(maps[i]) == pid) {
		map = maps[i];
	} else {
		map = perf_map_create(pid);
		if (!map)
			return NULL;
		perf_map_destroy(maps[i]); /* the last, which was not used for longest */
	}
	memmove(maps + 1, maps, i * sizeof(maps[0]));
	maps[0] = map;
	return map;
}

const char *symbols_of_process(
    struct symbols *symbols, pid_t pid, uint64_t ip, uint64_t *symbol_offset)
{
	struct perf_map *map = perf_map_of(symbols, pid);

	return map ? perf_map_find(map, ip, symbol_offset) : NULL;
}
