/* SPDX-License-Identifier: MIT */
/* unwind.c: applies unwind rules, learns them, and falls back to libunwind. */
#include "unwind.h"

#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* libunwind exports it for remote unwinders, without a header (perf relies on it as well). */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip,
    unw_dyn_info_t *di, unw_proc_info_t *pi, int need_unwind_info, void *arg);

/* Made-up registers for learning: addresses that no process can have (not canonical). */
#define MADE_UP		    UINT64_C(0x0100000000000000)
#define MADE_UP_SP	    (MADE_UP + (UINT64_C(1) << 48))
#define MADE_UP_BP	    (MADE_UP + (UINT64_C(2) << 48))
#define MADE_UP_REGISTER(n) (MADE_UP + (UINT64_C(0x10) + (n)) * (UINT64_C(1) << 48))
#define MADE_UP_VALUE(n)    (MADE_UP + (UINT64_C(0x40) + (n)) * (UINT64_C(1) << 48))
#define NEAR		    (INT64_C(1) << 30)
#define READS_MAX	    64u
#define FRAME_MAX	    (UINT64_C(64) << 10) /* what find_bp looks through */

/* When an address is unknown, the maps are not read again more often than this. */
#define REFRESH_NS 10000000u

struct unwinder {
	unw_addr_space_t libunwind;
	struct elf_files *files;
	uint32_t max_frames;
	uint32_t next_module;
	space_announce announce;
	void *announce_context;
	/* what libunwind's accessors work on now */
	struct space *space;
	const struct registers *registers;
	struct stack_view *view;   /* NULL: learning */
	bool found;		   /* the unwind table knew the address */
	uint64_t reads[READS_MAX]; /* learning: addresses read, answered MADE_UP_VALUE(i) */
	uint32_t read_count;
};

/* ---- memory ---- */

static bool view_read(struct stack_view *view, uint64_t address, uint64_t *value)
{
	if (address - view->start < view->size && view->size - (address - view->start) >= 8) {
		memcpy(value, view->bytes + (address - view->start), 8);
		return true;
	}
	if (!view->extra)
		return false;
	if (address - view->extra_start < view->extra_size &&
	    view->extra_size - (address - view->extra_start) >= 8) {
		memcpy(value, view->extra + (address - view->extra_start), 8);
		return true;
	}
	if (!view->more)
		return false;
	view->extra_start = address;
	view->extra_size = view->more(view->context, address, view->extra, STACK_EXTRA_BYTES);
	if (view->extra_size < 8)
		return false;
	memcpy(value, view->extra, 8);
	return true;
}

static bool code_read(struct space *space, uint64_t address, void *to, size_t size)
{
	const struct space_module *module = space_module(space, address);

	return module && module->file &&
	       elf_file_read(module->file, address - module->bias, to, size);
}

/* ---- libunwind's accessors ---- */

static int find_proc_info(
    unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *info, int need_unwind_info, void *argument)
{
	struct unwinder *u = argument;
	const struct space_module *module = space_module(u->space, ip);
	struct unwind_table table;
	unw_dyn_info_t table_info = {0};
	int result;

	if (!module || !module->file || !elf_file_unwind_table(module->file, &table))
		return -UNW_ENOINFO;
	table_info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
	table_info.start_ip = module->start;
	table_info.end_ip = module->end;
	table_info.u.rti.segbase = table.header + module->bias;
	table_info.u.rti.table_data = table.first + module->bias;
	table_info.u.rti.table_len = table.count * 8 / sizeof(unw_word_t);
	result = UNW_OBJ(dwarf_search_unwind_table)(
	    as, ip, &table_info, info, need_unwind_info, argument);
	if (result == 0)
		u->found = true;
	return result;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *argument)
{
	(void)as;
	(void)info;
	(void)argument;
}

static int get_dyn_info_list(unw_addr_space_t as, unw_word_t *address, void *argument)
{
	(void)as;
	(void)address;
	(void)argument;
	return -UNW_ENOINFO;
}

static int access_memory(
    unw_addr_space_t as, unw_word_t address, unw_word_t *value, int write, void *argument)
{
	struct unwinder *u = argument;

	(void)as;
	if (write)
		return -UNW_EINVAL;
	if (!u->view && address >= MADE_UP) {
		if (u->read_count == READS_MAX)
			return -UNW_EINVAL;
		*value = MADE_UP_VALUE(u->read_count);
		u->reads[u->read_count++] = address;
		return 0;
	}
	if (code_read(u->space, address, value, sizeof(*value)))
		return 0;
	return u->view && view_read(u->view, address, value) ? 0 : -UNW_EINVAL;
}

static int access_register(
    unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int write, void *argument)
{
	struct unwinder *u = argument;

	(void)as;
	if (write)
		return -UNW_EREADONLYREG;
	if (number < 0 || number >= ARCH_REGISTERS)
		return -UNW_EBADREG;
	*value = u->registers->r[number];
	return 0;
}

static int access_float(
    unw_addr_space_t as, unw_regnum_t number, unw_fpreg_t *value, int write, void *argument)
{
	(void)as;
	(void)number;
	(void)value;
	(void)write;
	(void)argument;
	return -UNW_EINVAL;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *argument)
{
	(void)as;
	(void)cursor;
	(void)argument;
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t address, char *name, size_t size,
    unw_word_t *offset, void *argument)
{
	(void)as;
	(void)address;
	(void)name;
	(void)size;
	(void)offset;
	(void)argument;
	return -UNW_ENOINFO;
}

int unwind_create(
    struct unwinder **unwinder, uint32_t max_frames, space_announce announce, void *context)
{
	static unw_accessors_t accessors = {.find_proc_info = find_proc_info,
	    .put_unwind_info = put_unwind_info,
	    .get_dyn_info_list_addr = get_dyn_info_list,
	    .access_mem = access_memory,
	    .access_reg = access_register,
	    .access_fpreg = access_float,
	    .resume = resume,
	    .get_proc_name = get_proc_name};
	struct unwinder *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->max_frames = max_frames;
	u->next_module = 1;
	u->announce = announce;
	u->announce_context = context;
	u->files = elf_files_create();
	u->libunwind = unw_create_addr_space(&accessors, 0);
	if (!u->files || !u->libunwind) {
		unwind_destroy(u);
		return -ENOMEM;
	}
	/* Rules are our cache; libunwind's cost two system calls a frame. */
	unw_set_caching_policy(u->libunwind, UNW_CACHE_NONE);
	*unwinder = u;
	return 0;
}

void unwind_destroy(struct unwinder *u)
{
	if (!u)
		return;
	if (u->libunwind)
		unw_destroy_addr_space(u->libunwind);
	elf_files_destroy(u->files);
	free(u);
}

struct elf_files *unwind_files(struct unwinder *u)
{
	return u->files;
}

/* ---- learning ---- */

/* The address that libunwind read to get `value`, if it did. */
static bool was_read(const struct unwinder *u, uint64_t value, uint64_t *address)
{
	for (uint32_t i = 0; i < u->read_count; i++)
		if (value == MADE_UP_VALUE(i)) {
			*address = u->reads[i];
			return true;
		}
	return false;
}

static bool is_near(uint64_t value, uint64_t base, int32_t *offset)
{
	int64_t difference = (int64_t)(value - base);

	if (difference <= -NEAR || difference >= NEAR)
		return false;
	*offset = (int32_t)difference;
	return true;
}

/* Recognises how libunwind came to the caller's frame address. */
static bool learn_cfa(const struct unwinder *u, uint64_t cfa, struct rule *rule)
{
	if (is_near(cfa, MADE_UP_SP, &rule->cfa_offset)) {
		rule->cfa = CFA_SP;
		return true;
	}
	if (is_near(cfa, MADE_UP_BP, &rule->cfa_offset)) {
		rule->cfa = CFA_BP;
		return true;
	}
	for (uint32_t i = 0; i < u->read_count; i++) {
		if (!is_near(cfa, MADE_UP_VALUE(i), &rule->cfa_offset))
			continue;
		if (is_near(u->reads[i], MADE_UP_BP, &rule->deref_offset)) {
			rule->cfa = CFA_DEREF_BP;
			return true;
		}
		if (is_near(u->reads[i], MADE_UP_SP, &rule->deref_offset)) {
			rule->cfa = CFA_DEREF_SP;
			return true;
		}
	}
	return false;
}

static bool learn_bp(const struct unwinder *u, uint64_t bp, uint64_t cfa, struct rule *rule)
{
	uint64_t address;

	if (bp == MADE_UP_BP) {
		rule->bp = BP_SAME;
		return true;
	}
	if (!was_read(u, bp, &address))
		return false;
	if (is_near(address, cfa, &rule->bp_offset)) {
		rule->bp = BP_AT_CFA;
		return true;
	}
	if (is_near(address, MADE_UP_BP, &rule->bp_offset)) {
		rule->bp = BP_AT_BP;
		return true;
	}
	return false;
}

/* Steps libunwind once from `ip` over made-up registers. */
static uint8_t learn_step(struct unwinder *u, uint64_t ip, struct rule *rule)
{
	static struct registers registers; /* libunwind's accessors keep looking at it */
	unw_cursor_t cursor;
	unw_word_t cfa, bp, caller;
	uint64_t address;
	int step;

	for (unsigned i = 0; i < ARCH_REGISTERS; i++)
		registers.r[i] = MADE_UP_REGISTER(i);
	registers.r[ARCH_SP] = MADE_UP_SP;
	registers.r[ARCH_BP] = MADE_UP_BP;
	registers.r[ARCH_IP] = ip;
	u->registers = &registers;
	u->view = NULL;
	u->found = false;
	u->read_count = 0;
	if (unw_init_remote(&cursor, u->libunwind, u) < 0)
		return RULE_BROKEN;
	step = unw_step(&cursor);
	if (!u->found)
		return RULE_FRAME_POINTER;
	if (step == 0)
		return RULE_END;
	if (step < 0)
		return RULE_BROKEN;
	if (unw_get_reg(&cursor, UNW_X86_64_RSP, &cfa) < 0 ||
	    unw_get_reg(&cursor, UNW_X86_64_RIP, &caller) < 0 ||
	    unw_get_reg(&cursor, UNW_X86_64_RBP, &bp) < 0)
		return RULE_SLOW;
	if (!learn_cfa(u, cfa, rule) || !learn_bp(u, bp, cfa, rule) ||
	    !was_read(u, caller, &address) || address != cfa - 8)
		return RULE_SLOW;
	return RULE_PLAIN;
}

static const struct rule *learn(struct unwinder *u, struct space *space, uint64_t ip, bool exact)
{
	static struct rule last_resort;
	const struct space_module *module = space_module(space, ip);
	struct rule rule = {.key = ip << 1 | exact, .kind = RULE_FRAME_POINTER};
	uint8_t code[ARCH_CONTEXT_END_BYTES];
	const struct rule *kept;

	if (module) {
		rule.module = module->id;
		rule.offset = ip - module->bias;
		rule.hidden = module->is_shim;
		u->space = space;
		if (code_read(space, ip, code, ARCH_SIGNAL_RETURN_BYTES) &&
		    arch_is_signal_return(code))
			rule.kind = RULE_SIGNAL;
		else if (!exact && code_read(space, ip, code, sizeof(code)) &&
			 arch_is_context_end(code))
			rule.kind = RULE_END;
		else
			/* A return address may lie behind the end of its function. */
			rule.kind = learn_step(u, exact ? ip : ip - 1, &rule);
	}
	kept = space_learn(space, &rule);
	if (!kept) {
		last_resort = rule;
		kept = &last_resort;
	}
	return kept;
}

/* ---- walking ---- */

struct walker {
	uint64_t ip, sp, bp;
	bool exact;
};

static void add_frame(struct unwound *result, const struct rule *rule, uint64_t ip, bool exact)
{
	if (!rule->hidden)
		result->frames[result->count++] = (struct event_frame){
		    .ip = ip, .offset = rule->offset, .module = rule->module, .exact = exact};
}

/*
 * The base pointer of a frame that has one, when only the stack pointer is known (of a thread in
 * a system call, from /proc): the first place upwards where a saved base pointer and a return
 * address stand together.
 */
static bool find_bp(struct space *space, struct stack_view *view, uint64_t sp, uint64_t *bp)
{
	uint8_t code[ARCH_CALL_BYTES];
	uint64_t saved, caller;

	for (uint64_t at = (sp + 15) & ~UINT64_C(15); at < sp + FRAME_MAX; at += 16) {
		if (!view_read(view, at, &saved) || !view_read(view, at + 8, &caller))
			return false;
		if (saved > at && saved - at < FRAME_MAX &&
		    code_read(space, caller - sizeof(code), code, sizeof(code)) &&
		    arch_follows_call(code)) {
			*bp = at;
			return true;
		}
	}
	return false;
}

/* From one frame to the next. False when the stack ends or cannot be followed. */
static bool step(
    struct walker *w, const struct rule *rule, struct space *space, struct stack_view *view)
{
	uint64_t cfa, bp = w->bp;

	w->exact = false;
	switch (rule->kind) {
	case RULE_PLAIN:
		if (!w->bp && rule->cfa == CFA_BP) {
			if (!find_bp(space, view, w->sp, &w->bp))
				return false;
			bp = w->bp;
		}
		if (rule->cfa == CFA_SP) {
			cfa = w->sp;
		} else if (rule->cfa == CFA_BP) {
			cfa = w->bp;
		} else {
			cfa = (rule->cfa == CFA_DEREF_BP ? w->bp : w->sp) +
			      (uint64_t)(int64_t)rule->deref_offset;
			if (!view_read(view, cfa, &cfa))
				return false;
		}
		cfa += (uint64_t)(int64_t)rule->cfa_offset;
		if (rule->bp != BP_SAME &&
		    !view_read(view,
			(rule->bp == BP_AT_CFA ? cfa : w->bp) + (uint64_t)(int64_t)rule->bp_offset,
			&bp))
			return false;
		break;
	case RULE_FRAME_POINTER:
		cfa = w->bp + 16;
		if (w->bp < w->sp || !view_read(view, w->bp, &bp))
			return false;
		break;
	case RULE_SIGNAL: {
		uint64_t sp = w->sp;

		w->exact = true;
		return view_read(view, sp + arch_signal_offset[ARCH_IP], &w->ip) &&
		       view_read(view, sp + arch_signal_offset[ARCH_BP], &w->bp) &&
		       view_read(view, sp + arch_signal_offset[ARCH_SP], &w->sp) && w->ip;
	}
	default:
		return false;
	}
	if (cfa <= w->sp || !view_read(view, cfa - 8, &w->ip))
		return false;
	w->sp = cfa;
	w->bp = bp;
	return w->ip != 0;
}

static void walker_start(
    struct walker *w, const struct registers *registers, struct unwound *result)
{
	*w = (struct walker){
	    registers->r[ARCH_IP], registers->r[ARCH_SP], registers->r[ARCH_BP], true};
	result->count = 0;
	result->truncated = true;
}

bool unwind_by_rules(struct unwinder *u, struct space *space, const struct registers *registers,
    struct stack_view *view, struct unwound *result)
{
	struct walker w;

	if (space->stale)
		return false;
	walker_start(&w, registers, result);
	while (result->count < u->max_frames) {
		const struct rule *rule = space_rule(space, w.ip, w.exact);

		if (!rule || rule->kind == RULE_SLOW)
			return false;
		add_frame(result, rule, w.ip, w.exact);
		if (!step(&w, rule, space, view)) {
			result->truncated = rule->kind != RULE_END && w.ip;
			break;
		}
	}
	return true;
}

/* Reads the modules again when `ip` is in none that is known. */
static void refresh_for(struct unwinder *u, struct space **space, pid_t pid, uint64_t ip)
{
	struct timespec now;
	uint64_t ns;

	if (!(*space)->stale) {
		if (space_module(*space, ip) || space_is_generated(*space, ip))
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		if (ns - (*space)->read_ns < REFRESH_NS)
			return;
	}
	space_refresh(space, pid, u->files, &u->next_module, u->announce, u->announce_context);
}

void unwind_fully(struct unwinder *u, struct space **space, pid_t pid,
    const struct registers *registers, struct stack_view *view, struct unwound *result)
{
	struct walker w;

	walker_start(&w, registers, result);
	while (result->count < u->max_frames) {
		const struct rule *rule;

		refresh_for(u, space, pid, w.ip);
		rule = space_rule(*space, w.ip, w.exact);
		if (!rule)
			rule = learn(u, *space, w.ip, w.exact);
		if (rule->kind == RULE_SLOW) {
			unwind_by_libunwind(u, *space, registers, view, result);
			return;
		}
		add_frame(result, rule, w.ip, w.exact);
		if (!step(&w, rule, *space, view)) {
			result->truncated = rule->kind != RULE_END && w.ip;
			return;
		}
	}
}

void unwind_by_libunwind(struct unwinder *u, struct space *space, const struct registers *registers,
    struct stack_view *view, struct unwound *result)
{
	unw_cursor_t cursor;
	unw_word_t ip;
	bool exact = true;
	int status = 0;

	result->count = 0;
	result->truncated = true;
	u->space = space;
	u->registers = registers;
	u->view = view;
	if (unw_init_remote(&cursor, u->libunwind, u) < 0)
		return;
	while (result->count < u->max_frames) {
		const struct space_module *module;

		if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || !ip)
			break;
		module = space_module(space, ip);
		add_frame(result,
		    &(struct rule){.module = module ? module->id : 0,
			.offset = module ? ip - module->bias : 0,
			.hidden = module && module->is_shim},
		    ip, exact);
		exact = unw_is_signal_frame(&cursor) > 0;
		status = unw_step(&cursor);
		if (status <= 0)
			break;
	}
	result->truncated = status != 0 || result->count == u->max_frames;
	u->view = NULL;
}
