/* SPDX-License-Identifier: MIT */
/*
 * space.h: what code an address space holds: its modules, its generated code, and the unwind
 * rules learned for its instruction pointers. A forked child shares its parent's until one of
 * them changes. The service thread's alone.
 */
#ifndef FAULTLINE_SPACE_H
#define FAULTLINE_SPACE_H

#include "module.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct space_module {
	uint64_t start, end; /* all of its mappings */
	uint64_t offset;     /* of start in the file */
	uint64_t bias;	     /* address in the process minus ELF virtual address */
	uint64_t inode;
	uint32_t id; /* of the trace's module line */
	bool is_shim;
	bool seen;
	struct elf_file *file; /* NULL: could not be opened */
	char *path;
};

/* How to get from a frame to its caller's. */
enum rule_kind {
	RULE_NONE,
	RULE_PLAIN,	    /* CFA by the fields below, return address at CFA - 8 */
	RULE_END,	    /* the outermost frame */
	RULE_SIGNAL,	    /* the kernel's signal frame */
	RULE_FRAME_POINTER, /* nothing is known of this code: guess */
	RULE_SLOW,	    /* only libunwind can */
	RULE_BROKEN,	    /* not even libunwind can */
};
enum rule_cfa { CFA_SP, CFA_BP, CFA_DEREF_SP, CFA_DEREF_BP };
enum rule_bp { BP_SAME, BP_AT_CFA, BP_AT_BP };

struct rule {
	uint64_t key; /* ip << 1 | exact; 0: empty */
	uint64_t offset;
	uint32_t module;
	uint8_t kind, cfa, bp; /* the enumerations above */
	bool hidden;	       /* a frame of ours */
	int32_t cfa_offset, deref_offset, bp_offset;
};

/* Where there may be generated code. */
struct generated {
	uint64_t start, end;
};

struct space {
	uint32_t references;
	uint64_t generation; /* another one when an address may mean other code than before */
	bool stale;	     /* modules may have changed since they were read */
	uint64_t read_ns;    /* when they were */
	struct space_module *modules; /* sorted */
	size_t module_count;
	struct generated *generated; /* executable memory without a file, or what was it */
	size_t generated_count, generated_read; /* now; when the maps were read last */
	struct rule *rules;			/* open addressing, a power of two */
	size_t rule_room, rule_count;
};

/* Told of each module when it is first seen. */
typedef void (*space_announce)(void *context, pid_t pid, const struct space_module *module);

struct space *space_create(void);
struct space *space_share(struct space *space);
void space_release(struct space *space);

/*
 * Reads the modules again; a shared space is copied first, so *space may change. 0 or negative
 * errno. *next_id is the identifier that the next new module gets.
 */
int space_refresh(struct space **space, pid_t pid, struct elf_files *files, uint32_t *next_id,
    space_announce announce, void *context);

/*
 * Tells of memory that was mapped executable or became so, of a file or not. What a compiler
 * writes code into is noted (it may do this all the time); for anything else the modules are
 * stale.
 */
void space_executable(struct space *space, uint64_t start, uint64_t end, bool file);

const struct space_module *space_module(const struct space *space, uint64_t ip);
bool space_is_generated(const struct space *space, uint64_t ip);

/* The rule for a frame's instruction pointer, or NULL when it has not been learned. */
static inline const struct rule *space_rule(const struct space *space, uint64_t ip, bool exact)
{
	uint64_t key = ip << 1 | exact;
	size_t mask = space->rule_room - 1;

	if (!space->rule_room)
		return NULL;
	for (size_t i = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & mask;; i = (i + 1) & mask) {
		if (space->rules[i].key == key)
			return &space->rules[i];
		if (!space->rules[i].key)
			return NULL;
	}
}

/* Remembers a rule (by its key). Returns it as kept, or NULL when there is no memory. */
const struct rule *space_learn(struct space *space, const struct rule *rule);

#endif
