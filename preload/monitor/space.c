/* SPDX-License-Identifier: MIT */
/* space.c: keeps the modules of an address space in step with /proc/PID/maps. */
#include "space.h"

#include "maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define RULES_FIRST 1024u
#define RULES_MAX   (1u << 20) /* generated code is endless: start again */
#define SHIM_NAME   "/libfaultline.so"

#define GENERATED_MORE 64u /* ranges that may be noted before the maps are read */

static uint64_t next_generation(void)
{
	static uint64_t last;

	return ++last;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct space *space_create(void)
{
	struct space *space = calloc(1, sizeof(*space));

	if (!space)
		return NULL;
	space->references = 1;
	space->generation = next_generation();
	space->stale = true;
	return space;
}

struct space *space_share(struct space *space)
{
	space->references++;
	return space;
}

void space_release(struct space *space)
{
	if (!space || --space->references)
		return;
	for (size_t i = 0; i < space->module_count; i++)
		free(space->modules[i].path);
	free(space->modules);
	free(space->generated);
	free(space->rules);
	free(space);
}

static struct space *space_clone(const struct space *from)
{
	struct space *space = space_create();

	if (!space)
		return NULL;
	space->modules = calloc(from->module_count + 1, sizeof(*space->modules));
	if (!space->modules)
		goto fail;
	for (; space->module_count < from->module_count; space->module_count++) {
		struct space_module *module = &space->modules[space->module_count];

		*module = from->modules[space->module_count];
		module->path = strdup(module->path);
		if (!module->path)
			goto fail;
	}
	return space;
fail:
	space_release(space);
	return NULL;
}

static void forget_rules(struct space *space)
{
	free(space->rules);
	space->rules = NULL;
	space->rule_room = space->rule_count = 0;
}

const struct space_module *space_module(const struct space *space, uint64_t ip)
{
	size_t low = 0, high = space->module_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ip < space->modules[middle].start)
			high = middle;
		else if (ip >= space->modules[middle].end)
			low = middle + 1;
		else
			return &space->modules[middle];
	}
	return NULL;
}

bool space_is_generated(const struct space *space, uint64_t ip)
{
	for (size_t i = 0; i < space->generated_count; i++)
		if (ip >= space->generated[i].start && ip < space->generated[i].end)
			return true;
	return false;
}

/* Of ranges that grow, the largest is kept. False when there is no memory. */
static bool add_generated(struct space *space, uint64_t start, uint64_t end)
{
	struct generated *grown;
	size_t kept = 0;

	for (size_t i = 0; i < space->generated_count; i++)
		if (space->generated[i].start <= start && end <= space->generated[i].end)
			return true;
	for (size_t i = 0; i < space->generated_count; i++)
		if (space->generated[i].start < start || end < space->generated[i].end)
			space->generated[kept++] = space->generated[i];
	space->generated_count = kept;
	grown = realloc(space->generated, (kept + 1) * sizeof(*grown));
	if (!grown)
		return false;
	space->generated = grown;
	space->generated[space->generated_count++] = (struct generated){start, end};
	return true;
}

void space_executable(struct space *space, uint64_t start, uint64_t end, bool file)
{
	if (space->stale)
		return;
	/* What has gone since is forgotten when the maps are read. */
	space->stale = file || space->generated_count > 2 * space->generated_read + GENERATED_MORE;
	for (size_t i = 0; i < space->module_count; i++)
		if (space->modules[i].start < end && start < space->modules[i].end)
			space->stale = true;
	if (!space->stale)
		space->stale = !add_generated(space, start, end);
}

/* ---- reading the maps ---- */

struct reader {
	struct space *space;
	pid_t pid;
	struct elf_files *files;
	uint32_t *next_id;
	space_announce announce;
	void *announce_context;
	int error;
	bool changed; /* something that was there is gone */
	/* the run of mappings of one file that is being read */
	struct space_module run;
	char *run_path;
	uint64_t code_start, code_end, code_offset;
	size_t first_new;
};

static bool same_module(const struct space_module *a, const struct space_module *b)
{
	return a->start == b->start && a->inode == b->inode && strcmp(a->path, b->path) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

static void add_module(struct reader *r)
{
	struct space *space = r->space;
	const struct elf_segment *segment;
	struct space_module *grown;

	for (size_t i = 0; i < r->first_new; i++)
		if (same_module(&space->modules[i], &r->run)) {
			space->modules[i].seen = true;
			space->modules[i].end = r->run.end;
			return;
		}
	r->run.file = elf_file_get(r->files, r->pid, r->code_start, r->code_end, r->run.path);
	r->run.bias = r->run.start - r->run.offset;
	if (r->run.file) {
		segment = elf_file_segment(r->run.file, r->code_offset);
		if (segment)
			r->run.bias =
			    r->code_start - r->code_offset + segment->offset - segment->address;
	}
	r->run.is_shim = ends_with(r->run.path, SHIM_NAME);
	r->run.seen = true;
	grown = realloc(space->modules, (space->module_count + 1) * sizeof(*grown));
	if (!grown) {
		r->error = -ENOMEM;
		return;
	}
	space->modules = grown;
	r->run.path = strdup(r->run.path);
	if (!r->run.path) {
		r->error = -ENOMEM;
		return;
	}
	r->run.id = (*r->next_id)++;
	space->modules[space->module_count++] = r->run;
	r->announce(r->announce_context, r->pid, &r->run);
}

static void finish_run(struct reader *r)
{
	if (r->run_path && r->code_end)
		add_module(r);
	free(r->run_path);
	r->run_path = NULL;
	r->code_end = 0;
}

static bool take_mapping(void *context, const struct mapping *m)
{
	struct reader *r = context;
	bool named = m->path[0] == '/' || strcmp(m->path, "[vdso]") == 0;

	if (!named || !r->run_path || strcmp(r->run_path, m->path) != 0 ||
	    r->run.inode != m->inode || m->offset < r->run.offset) {
		/* A library's bss is anonymous and ends its run. */
		finish_run(r);
		if (named) {
			r->run_path = strdup(m->path);
			if (!r->run_path)
				r->error = -ENOMEM;
			r->run = (struct space_module){.start = m->start,
			    .offset = m->offset,
			    .inode = m->inode,
			    .path = r->run_path};
		}
	}
	if (named) {
		r->run.end = m->end;
		if ((m->prot & PROT_EXEC) && !r->code_end) {
			r->code_start = m->start;
			r->code_end = m->end;
			r->code_offset = m->offset;
		}
	} else if ((m->prot & PROT_EXEC) && !add_generated(r->space, m->start, m->end)) {
		r->error = -ENOMEM;
	}
	return r->error == 0;
}

static int by_start(const void *a, const void *b)
{
	const struct space_module *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void drop_unseen(struct reader *r)
{
	struct space *space = r->space;
	size_t kept = 0;

	for (size_t i = 0; i < space->module_count; i++) {
		if (space->modules[i].seen) {
			space->modules[kept++] = space->modules[i];
		} else {
			r->changed = true;
			free(space->modules[i].path);
		}
	}
	space->module_count = kept;
}

int space_refresh(struct space **at, pid_t pid, struct elf_files *files, uint32_t *next_id,
    space_announce announce, void *context)
{
	struct space *space = *at;
	struct reader r = {.pid = pid,
	    .files = files,
	    .next_id = next_id,
	    .announce = announce,
	    .announce_context = context};
	int error;

	if (space->references > 1) {
		space = space_clone(space);
		if (!space)
			return -ENOMEM;
		space_release(*at);
		*at = space;
	}
	r.space = space;
	r.first_new = space->module_count;
	for (size_t i = 0; i < space->module_count; i++)
		space->modules[i].seen = false;
	space->generated_count = 0;
	error = maps_read(pid, take_mapping, &r);
	finish_run(&r);
	if (error == 0)
		error = r.error;
	if (error == 0)
		drop_unseen(&r);
	qsort(space->modules, space->module_count, sizeof(*space->modules), by_start);
	if (r.changed)
		space->generation = next_generation();
	/* What was a guess before may be known now. */
	if (r.changed || space->module_count > r.first_new)
		forget_rules(space);
	space->generated_read = space->generated_count;
	space->stale = false;
	space->read_ns = now_ns();
	return error;
}

/* ---- rules ---- */

static struct rule *rule_place(struct rule *rules, size_t room, uint64_t key)
{
	size_t mask = room - 1;
	size_t i = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & mask;

	while (rules[i].key && rules[i].key != key)
		i = (i + 1) & mask;
	return &rules[i];
}

const struct rule *space_learn(struct space *space, const struct rule *rule)
{
	struct rule *place;

	if (space->rule_count >= RULES_MAX / 2)
		forget_rules(space);
	if (space->rule_count * 2 >= space->rule_room) {
		size_t room = space->rule_room ? space->rule_room * 2 : RULES_FIRST;
		struct rule *rules = calloc(room, sizeof(*rules));

		if (!rules)
			return NULL;
		for (size_t i = 0; i < space->rule_room; i++)
			if (space->rules[i].key)
				*rule_place(rules, room, space->rules[i].key) = space->rules[i];
		free(space->rules);
		space->rules = rules;
		space->rule_room = room;
	}
	place = rule_place(space->rules, space->rule_room, rule->key);
	if (!place->key)
		space->rule_count++;
	*place = *rule;
	return place;
}
