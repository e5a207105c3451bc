/* SPDX-License-Identifier: MIT */
/*
 * perf_map.c: see perf_map.h. Runs in the monitor's writer thread. The file is written by the
 * traced program while we read it: its content is not to be trusted, its last line may be half
 * there, and it may vanish.
 */
#include "perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How old the last look at the file may be when the name is known, and when it is not. Programs
   without a map have generated code too: a look for every frame would be dear. */
#define CHECK_EVERY_NS UINT64_C(100000000)
#define MISS_EVERY_NS  UINT64_C(1000000)
#define READ_BYTES     (64u << 10) /* at once; longer lines are passed over */

/* Names of one process are worth so much memory; later ones are not read. */
#define NAMES_LIMIT (32u << 20)

struct entry {
	uint64_t start, end;
	uint32_t name;
	uint32_t number; /* in the order of the file: later ones win */
};

struct perf_map {
	pid_t pid;
	pid_t inner_pid;  /* as the process itself sees it, which is what the file is named by */
	uint64_t checked; /* when, CLOCK_MONOTONIC; 0: never */
	bool found;	  /* there was a file */
	dev_t device;
	ino_t inode;
	off_t size; /* when last looked at */
	struct timespec modified;
	off_t parsed;	       /* the bytes of it that are in the entries */
	struct entry *entries; /* sorted, not overlapping */
	size_t count, capacity;
	uint32_t next_number;
	char *names;
	size_t names_used, names_capacity;
};

/* The last number of NSpid in /proc/PID/status: the process ID in its own namespace. */
static pid_t inner_pid_of(pid_t pid)
{
	char path[64], line[256];
	pid_t inner = pid;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	if (!status)
		return pid;
	while (fgets(line, sizeof(line), status)) {
		char *last;

		if (strncmp(line, "NSpid:", 6) != 0)
			continue;
		last = strrchr(line, '\t');
		if (last && atoi(last + 1) > 0)
			inner = atoi(last + 1);
		break;
	}
	fclose(status);
	return inner;
}

struct perf_map *perf_map_create(pid_t pid)
{
	struct perf_map *made = calloc(1, sizeof(*made));

	if (!made)
		return NULL;
	made->pid = pid;
	made->inner_pid = inner_pid_of(pid);
	return made;
}

void perf_map_destroy(struct perf_map *perf_map)
{
	if (!perf_map)
		return;
	free(perf_map->entries);
	free(perf_map->names);
	free(perf_map);
}

pid_t perf_map_pid(const struct perf_map *perf_map)
{
	return perf_map->pid;
}

static void forget(struct perf_map *map)
{
	map->count = 0;
	map->names_used = 0;
	map->next_number = 0;
	map->parsed = 0;
	map->size = 0;
}

/* The larger of `least` and twice `capacity`, so that growing stays cheap. */
static size_t grown(size_t capacity, size_t least)
{
	return capacity * 2 > least ? capacity * 2 : least;
}

static int add_entry(
    struct perf_map *map, uint64_t start, uint64_t size, const char *name, size_t length)
{
	if (map->names_used + length + 1 > NAMES_LIMIT)
		return -ENOSPC;
	if (map->names_used + length + 1 > map->names_capacity) {
		size_t capacity = grown(map->names_capacity, map->names_used + length + 4096);
		char *names = realloc(map->names, capacity);

		if (!names)
			return -ENOMEM;
		map->names = names;
		map->names_capacity = capacity;
	}
	if (map->count == map->capacity) {
		size_t capacity = grown(map->capacity, 256);
		struct entry *entries = reallocarray(map->entries, capacity, sizeof(entries[0]));

		if (!entries)
			return -ENOMEM;
		map->entries = entries;
		map->capacity = capacity;
	}
	map->entries[map->count++] = (struct entry){
	    .start = start,
	    .end = start + size,
	    .name = (uint32_t)map->names_used,
	    .number = map->next_number++,
	};
	memcpy(map->names + map->names_used, name, length);
	map->names_used += length;
	map->names[map->names_used++] = '\0';
	return 0;
}

/* "start size name"; lines of another form are passed over. */
static int parse_line(struct perf_map *map, char *line, char *end)
{
	uint64_t start, size;
	char *at;

	*end = '\0';
	start = strtoull(line, &at, 16);
	if (at == line || *at != ' ')
		return 0;
	line = at + 1;
	size = strtoull(line, &at, 16);
	if (at == line || *at != ' ' || at[1] == '\0' || size == 0 || start + size < start)
		return 0;
	return add_entry(map, start, size, at + 1, (size_t)(end - (at + 1)));
}

/* Parses the whole lines of `buffer`; the number of bytes that they took, or negative errno. */
static ssize_t parse(struct perf_map *map, char *buffer, size_t size)
{
	char *line = buffer, *end = buffer + size, *newline;
	int result;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		result = parse_line(map, line, newline);
		if (result)
			return result;
		line = newline + 1;
	}
	return line - buffer;
}

static int compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}

/* Code is thrown away and its place taken by other code: of those that overlap the last stays. */
static void settle(struct perf_map *map)
{
	struct entry *list = map->entries;
	size_t kept = 0;

	qsort(list, map->count, sizeof(list[0]), compare);
	for (size_t i = 0; i < map->count; i++) {
		struct entry entry = list[i];

		while (kept > 0 && list[kept - 1].end > entry.start &&
		       list[kept - 1].number < entry.number)
			kept--;
		if (kept == 0 || list[kept - 1].end <= entry.start)
			list[kept++] = entry;
	}
	map->count = kept;
}

/* Reads what lies behind map->parsed. */
static void read_rest(struct perf_map *map, int fd)
{
	char *buffer = malloc(READ_BYTES);
	size_t before = map->count;
	ssize_t n, used;

	if (!buffer)
		return;
	while ((n = pread(fd, buffer, READ_BYTES, map->parsed)) > 0) {
		used = parse(map, buffer, (size_t)n);
		if (used == 0 && n == READ_BYTES)
			used = n; /* no name is that long */
		if (used <= 0)
			break;
		map->parsed += used;
	}
	free(buffer);
	if (map->count > before)
		settle(map);
}

/* Opens the file where the process put it; -1 when there is none. It is not ours: no waiting. */
static int open_map(const struct perf_map *map)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/root/tmp/perf-%d.map", map->pid, map->inner_pid);
	fd = open(path, flags);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", map->pid);
	return open(path, flags);
}

static void refresh(struct perf_map *map)
{
	struct stat status;
	int fd = open_map(map);

	map->found = fd >= 0;
	if (fd < 0)
		return; /* what was read stays true */
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		goto out;
	if (status.st_dev != map->device || status.st_ino != map->inode ||
	    status.st_size < map->size)
		forget(map);
	else if (status.st_size == map->size && status.st_mtim.tv_sec == map->modified.tv_sec &&
		 status.st_mtim.tv_nsec == map->modified.tv_nsec)
		goto out;
	else if (status.st_size == map->size)
		forget(map); /* written anew, as long as before */
	map->device = status.st_dev;
	map->inode = status.st_ino;
	map->size = status.st_size;
	map->modified = status.st_mtim;
	read_rest(map, fd);
out:
	close(fd);
}

/* The entry around `ip`, or NULL. */
static const struct entry *search(const struct perf_map *map, uint64_t ip)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->entries[middle].start <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && ip < map->entries[low - 1].end ? &map->entries[low - 1] : NULL;
}

const char *perf_map_find(struct perf_map *map, uint64_t ip, uint64_t *symbol_offset)
{
	const struct entry *entry = search(map, ip);
	uint64_t now, most;
	struct timespec clock;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	now = (uint64_t)clock.tv_sec * 1000000000 + (uint64_t)clock.tv_nsec;
	most = map->found && !entry ? MISS_EVERY_NS : CHECK_EVERY_NS;
	if (now - map->checked >= most) {
		map->checked = now;
		refresh(map);
		entry = search(map, ip);
	}
	if (!entry)
		return NULL;
	*symbol_offset = ip - entry->start;
	return map->names + entry->name;
}
