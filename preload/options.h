/* SPDX-License-Identifier: MIT */
/*
 * options.h: every setting of a recording, in one table.
 *
 * The `faultline record` command takes them as flags, the monitor as FAULTLINE_ environment
 * variables; help, completion and error messages are printed from the same rows.
 */
#ifndef FAULTLINE_OPTIONS_H
#define FAULTLINE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which faults are traced. A table row each, so that a new kernel mode is one more row. */
enum fl_mode { FL_MODE_MISSING, FL_MODE_WRITE, FL_MODE_SIGBUS };

/* How a fault's registers and stack are read; FL_CAPTURE_AUTO takes the best that works. */
enum fl_capture { FL_CAPTURE_AUTO, FL_CAPTURE_PERF, FL_CAPTURE_SIGNAL, FL_CAPTURE_NONE };

/* Where a region came from; bit (1 << source) in fl_options.sources says that it is traced. */
enum fl_source {
	FL_SOURCE_MMAP,
	FL_SOURCE_MREMAP,
	FL_SOURCE_BRK,
	FL_SOURCE_ARENA,
	FL_SOURCE_MALLOC_MMAP,
	FL_SOURCE_SHM,
	FL_SOURCE_MEMFD,
	FL_SOURCE_BSS,
	FL_SOURCE_STACK,
	FL_SOURCE_LATE,
	FL_SOURCE_COUNT
};

#define FL_THRESHOLD_OFF     UINT64_MAX
#define FL_MAX_FRAMES_LIMIT  512
#define FL_GRANULARITY_LIMIT (2u << 20)

struct fl_options {
	const char *output; /* path, or NULL: faultline.PROGRAM.PID.jsonl; not owned */
	enum fl_mode mode;
	enum fl_capture capture;
	uint32_t max_frames;	  /* 1 to FL_MAX_FRAMES_LIMIT */
	uint64_t alloc_threshold; /* bytes; 0: all; FL_THRESHOLD_OFF: none */
	uint64_t granularity; /* bytes served at each fault: a power of two, one page to 2 MiB */
	uint32_t sources;     /* bits 1 << enum fl_source */
	bool follow;	      /* children and exec */
	bool quiet;	      /* no closing line */
	uint64_t without;     /* userfaultfd features to do without */
	uint64_t delay_ns;    /* from the start of the recording to that of tracing */
	uint64_t duration_ns; /* of tracing; 0: to the end */
	bool unprivileged;    /* by what the kernel grants to anybody */
	bool allow_idle;      /* processors may sleep deeply between faults */
	bool verify_stacks;   /* compare unwind rules with libunwind on every stack */
	const char *user;     /* who the program runs as, or NULL: who runs faultline; not owned */
};

/*
 * One row: the flag (without "--"), its short letter or 0, its environment variable, the
 * argument's name in help (NULL: the flag takes none), the default as shown in help, and one line
 * of help. `flag_value` is what the bare flag stands for in the environment ("0" for --no-follow).
 */
struct fl_option {
	const char *flag;
	char letter;
	const char *variable;
	const char *argument;
	const char *flag_value;
	const char *shown_default;
	const char *help;
	/* Parses value into options. 0, or -EINVAL after writing to `error` what would be right. */
	int (*parse)(struct fl_options *options, const char *value, char *error, size_t size);
};

/* The rows, ended by one whose flag is NULL. */
extern const struct fl_option fl_option_table[];

/* The names of each enumeration, as written in flags and in the trace. */
extern const char *const fl_source_names[FL_SOURCE_COUNT];
const char *fl_mode_name(enum fl_mode mode);
const char *fl_capture_name(enum fl_capture capture);

void fl_options_default(struct fl_options *options);

/* The row of an environment variable's name, or NULL. */
const struct fl_option *fl_option_by_variable(const char *name, size_t length);

/*
 * Reads every FAULTLINE_ variable of `environment` into `options`. FAULTLINE_MONITOR, which a
 * recording sets for the processes it follows, is passed over. 0; or -EINVAL with one sentence in
 * `error` that names the variable and what would be right.
 */
int fl_options_from_environment(
    struct fl_options *options, char *const *environment, char *error, size_t size);

/* Parses "64", "4K", "2M", "1G" (powers of 1024). 0, -EINVAL or -ERANGE. */
int fl_parse_size(const char *text, uint64_t *bytes);

#endif
