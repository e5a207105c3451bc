/* SPDX-License-Identifier: MIT */
/*
 * names.c: see names.h. Runs in the monitor's writer thread; takes as long as reading a symbol
 * table takes, so nothing that a fault waits for may wait for this.
 */
#include "names.h"

#include "symbols.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Identifiers are given out one by one; one this large is a mistake, not a module. */
#define LARGEST_ID (1u << 24)

struct known_module {
	int32_t root_pid;
	int descriptor; /* the service thread's, or -1 */
	uint32_t build_id_size;
	const char *path; /* behind the build-id */
	uint8_t build_id[];
};

struct names {
	struct symbols *symbols;
	struct known_module **modules; /* by identifier, NULL where unknown */
	uint32_t capacity;
};

struct names *names_create(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->symbols = symbols_create();
	if (!names->symbols) {
		free(names);
		return NULL;
	}
	return names;
}

void names_destroy(struct names *names)
{
	if (!names)
		return;
	for (uint32_t id = 0; id < names->capacity; id++)
		free(names->modules[id]);
	free(names->modules);
	symbols_destroy(names->symbols);
	free(names);
}

static int make_room(struct names *names, uint32_t id)
{
	uint32_t capacity = names->capacity ? names->capacity : 64;
	struct known_module **modules;

	if (id < names->capacity)
		return 0;
	if (id >= LARGEST_ID)
		return -ENOMEM;
	while (capacity <= id)
		capacity *= 2;
	modules = reallocarray(names->modules, capacity, sizeof(modules[0]));
	if (!modules)
		return -ENOMEM;
	memset(modules + names->capacity, 0, (capacity - names->capacity) * sizeof(modules[0]));
	names->modules = modules;
	names->capacity = capacity;
	return 0;
}

int names_add_module(struct names *names, const struct event_module *event)
{
	size_t path_size = strnlen(event->path, event->path_size);
	uint32_t id_size = event->build_id_size;
	struct known_module *module;
	char *path;

	if (id_size > sizeof(event->build_id))
		id_size = 0;
	if (make_room(names, event->id))
		return -ENOMEM;
	module = malloc(sizeof(*module) + id_size + path_size + 1);
	if (!module)
		return -ENOMEM;
	module->root_pid = event->root_pid;
	module->descriptor = event->file - 1;
	module->build_id_size = id_size;
	memcpy(module->build_id, event->build_id, id_size);
	path = (char *)module->build_id + id_size;
	memcpy(path, event->path, path_size);
	path[path_size] = '\0';
	module->path = path;
	free(names->modules[event->id]);
	names->modules[event->id] = module;
	return 0;
}

void names_remove_module(struct names *names, uint32_t id)
{
	if (id >= names->capacity)
		return;
	free(names->modules[id]);
	names->modules[id] = NULL;
}

const char *names_of_frame(struct names *names, const struct event_stack *stack,
    const struct event_frame *frame, uint64_t *symbol_offset)
{
	uint64_t back = frame->exact ? 0 : 1;
	const struct known_module *module;
	const char *name = NULL;
	uint64_t offset = 0;

	if (!frame->module) {
		name = symbols_of_process(names->symbols, stack->pid, frame->ip - back, &offset);
	} else if (frame->module < names->capacity && names->modules[frame->module]) {
		module = names->modules[frame->module];
		name = symbols_of_file(names->symbols, module->path, module->root_pid,
		    module->descriptor, module->build_id, module->build_id_size,
		    frame->offset - back, &offset);
	}
	if (name)
		*symbol_offset = offset + back;
	return name;
}
