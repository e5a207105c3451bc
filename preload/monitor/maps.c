/* SPDX-License-Identifier: MIT */
/* maps.c: parses /proc/PID/maps. The service thread's. */
#include "maps.h"

#include "../userfaultfd.h"
#include "rights.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool parse(char *line, struct mapping *m)
{
	char permissions[5];
	int path = 0;

	if (sscanf(line,
		"%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 " %n",
		&m->start, &m->end, permissions, &m->offset, &m->device_major, &m->device_minor,
		&m->inode, &path) < 7)
		return false;
	m->prot = (permissions[0] == 'r' ? PROT_READ : 0) |
		  (permissions[1] == 'w' ? PROT_WRITE : 0) |
		  (permissions[2] == 'x' ? PROT_EXEC : 0);
	m->shared = permissions[3] == 's';
	line[strcspn(line, "\n")] = '\0';
	m->path = line + path;
	return true;
}

uint64_t maps_page_size(pid_t pid, uint64_t start)
{
	char name[64], *line = NULL;
	uint64_t kib = 0, from, end;
	bool found = false;
	size_t room = 0;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/smaps", pid);
	file = fopen(name, "re");
	if (!file)
		return 0;
	while (!kib && getline(&line, &room, file) > 0)
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &end) == 2)
			found = from <= start && start < end;
		else if (found)
			sscanf(line, "KernelPageSize: %" SCNu64, &kib);
	free(line);
	fclose(file);
	return kib << 10;
}

int maps_read(pid_t pid, bool (*take)(void *context, const struct mapping *mapping), void *context)
{
	char name[64], *line = NULL;
	size_t room = 0;
	struct mapping m;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	file = fopen(name, "re");
	if (!file)
		return -errno;
	while (getline(&line, &room, file) > 0)
		if (parse(line, &m) && !take(context, &m))
			break;
	free(line);
	fclose(file);
	return 0;
}

struct search {
	uint64_t address;
	struct mapping *found;
	char *path;
	bool any;
};

static bool is_found(void *context, const struct mapping *m)
{
	struct search *search = context;

	if (m->end <= search->address)
		return true;
	*search->found = *m;
	search->any = true;
	if (search->path)
		snprintf(search->path, MAPS_PATH, "%s", m->path);
	return false;
}

int maps_at(pid_t pid, uint64_t address, struct mapping *m, char path[MAPS_PATH])
{
	struct fl_procmap_query query = {.size = sizeof(query),
	    .flags = FL_PROCMAP_NEXT,
	    .address = address,
	    .name = (uint64_t)path,
	    .name_size = path ? MAPS_PATH : 0};
	struct search search = {.address = address, .found = m, .path = path};
	char name[64];
	int fd, error = 0;

	if (path)
		path[0] = '\0';
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	fd = rights_open_proc(name);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, FL_PROCMAP_QUERY, &query) < 0)
		error = -errno;
	close(fd);
	if (error == -ENOTTY) {
		error = maps_read(pid, is_found, &search);
		if (error == 0 && !search.any)
			error = -ENOENT;
	} else if (error == 0) {
		*m = (struct mapping){.start = query.start,
		    .end = query.end,
		    .offset = query.offset,
		    .inode = query.inode,
		    .device_major = query.device_major,
		    .device_minor = query.device_minor,
		    .prot = (query.vma_flags & FL_PROCMAP_READABLE ? PROT_READ : 0) |
			    (query.vma_flags & FL_PROCMAP_WRITABLE ? PROT_WRITE : 0) |
			    (query.vma_flags & FL_PROCMAP_EXECUTABLE ? PROT_EXEC : 0),
		    .shared = query.vma_flags & FL_PROCMAP_SHARED};
	}
	m->path = path ? path : "";
	return error;
}
