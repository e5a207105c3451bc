/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c: `faultline check` tries on the running machine what recording needs, and prints for
 * each thing what is there, what it is for, and the command that would grant it. The checks are
 * rows of a table; each writes one finding.
 */
#include "arguments.h"
#include "installation.h"
#include "machine.h"
#include "message.h"

#include "../preload/cpu_latency.h"
#include "../preload/uffd_features.h"
#include "../preload/uffd_open.h"
#include "../preload/userfaultfd.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OUTPUT_WIDTH 79
#define TEXT_INDENT  9
#define CHECKS_LIMIT 48

#define GRANT_USERFAULTFD   "sudo sysctl -w vm.unprivileged_userfaultfd=1"
#define GRANT_PERF	    "sudo sysctl -w kernel.perf_event_paranoid=1"
#define GRANT_PTRACE	    "sudo sysctl -w kernel.yama.ptrace_scope=1"
#define GRANT_IN_CONTAINER  "docker run --security-opt seccomp=unconfined --cap-add SYS_PTRACE IMAGE"
#define GRANT_EVENT_FORK    "sudo faultline record PROGRAM"
#define GRANT_DEVICE	    "sudo setfacl -m u:$USER:rw /dev/userfaultfd"
#define GRANT_LATENCY	    "sudo setfacl -m u:$USER:rw /dev/cpu_dma_latency"
#define GRANT_DEVICE_KERNEL "use Linux 6.1 or later"

enum state {
	STATE_OK,
	STATE_NOTE,    /* recording works, something is less good */
	STATE_MISSING, /* what would do it better or instead */
	STATE_FAILED,  /* recording cannot work without it */
};

static const char *const state_names[] = {
    [STATE_OK] = "ok",
    [STATE_NOTE] = "note",
    [STATE_MISSING] = "missing",
    [STATE_FAILED] = "failed",
};

struct finding {
	enum state state;
	const char *name;    /* for --json and for the reader */
	const char *purpose; /* what it is for */
	const char *grant;   /* the command that grants it, or NULL */
	char found[512];
};

struct report {
	struct finding findings[CHECKS_LIMIT];
	size_t count;
	bool filtered;	   /* a seccomp filter is active */
	bool userfaultfd;  /* one of the two ways works */
	uint64_t features; /* that the kernel offers */
	const char *capture;
};

__attribute__((format(printf, 6, 7))) static void add(struct report *report, enum state state,
    const char *name, const char *purpose, const char *grant, const char *format, ...)
{
	if (report->count == CHECKS_LIMIT)
		return;
	struct finding *finding = &report->findings[report->count++];
	*finding =
	    (struct finding){.state = state, .name = name, .purpose = purpose, .grant = grant};
	va_list values;
	va_start(values, format);
	vsnprintf(finding->found, sizeof(finding->found), format, values);
	va_end(values);
}

/* The first line of a small file, without its end. Returns false when there is none. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool read = file && fgets(line, (int)size, file);
	if (read)
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	return read;
}

static void check_kernel(struct report *report)
{
	struct utsname name;
	uname(&name);
	int major = 0, minor = 0;
	sscanf(name.release, "%d.%d", &major, &minor);
	bool new_enough = major > 5 || (major == 5 && minor >= 7);
	add(report, new_enough ? STATE_OK : STATE_FAILED, "kernel",
	    "Linux 5.7 or later: userfaultfd with every event",
	    new_enough ? NULL : "use Linux 5.7 or later", "Linux %s, %s", name.release,
	    name.machine);
}

static void check_seccomp(struct report *report)
{
	char line[256] = "";
	FILE *status = fopen("/proc/self/status", "re");
	int mode = 0;
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	if (status)
		fclose(status);
	report->filtered = mode == 2;
	add(report, report->filtered ? STATE_NOTE : STATE_OK, "seccomp-filter",
	    "container filters may refuse userfaultfd and perf_event_open",
	    report->filtered ? GRANT_IN_CONTAINER : NULL, "%s",
	    report->filtered ? "a filter is active in this process" : "no filter");
}

static void check_userfaultfd(struct report *report)
{
	int by_call = fl_uffd_by_call();
	int by_device = fl_uffd_by_device();
	report->userfaultfd = by_call >= 0 || by_device >= 0;
	enum state otherwise = report->userfaultfd ? STATE_NOTE : STATE_FAILED;
	const char *purpose = "stops a thread at its first touch of a page";
	const char *grant = report->filtered ? GRANT_IN_CONTAINER : GRANT_USERFAULTFD;

	if (by_call >= 0)
		add(report, STATE_OK, "userfaultfd", purpose, NULL,
		    by_device >= 0 ? "the system call works; /dev/userfaultfd comes first"
				   : "the system call works");
	else
		add(report, otherwise, "userfaultfd", purpose, report->userfaultfd ? NULL : grant,
		    "the system call fails: %s", strerror(-by_call));
	purpose = "the same without privileges, by the rights on a file; what --user hands on";
	if (by_device >= 0)
		add(report, STATE_OK, "dev-userfaultfd", purpose, NULL,
		    "/dev/userfaultfd works, and is used");
	else
		add(report, otherwise, "dev-userfaultfd", purpose,
		    report->userfaultfd	   ? NULL
		    : by_device == -ENOENT ? GRANT_DEVICE_KERNEL
					   : GRANT_DEVICE,
		    "/dev/userfaultfd: %s", strerror(-by_device));

	char value[32] = "";
	if (read_line("/proc/sys/vm/unprivileged_userfaultfd", value, sizeof(value)))
		add(report, STATE_OK, "unprivileged-userfaultfd",
		    "1 lets every user trace, 0 only root and CAP_SYS_PTRACE", NULL,
		    "vm.unprivileged_userfaultfd = %s", value);
	int user_mode = fl_uffd_user_mode();
	if (user_mode >= 0)
		add(report, STATE_OK, "user-mode-only", "what --unprivileged traces by", NULL,
		    "UFFD_USER_MODE_ONLY works");
	else
		add(report, STATE_NOTE, "user-mode-only", "what --unprivileged traces by", NULL,
		    "UFFD_USER_MODE_ONLY fails: %s", strerror(-user_mode));
	int fd = by_call >= 0 ? by_call : by_device;
	if (user_mode >= 0)
		close(user_mode);
	if (fd >= 0)
		machine_userfaultfd_features(fd, &report->features);
	if (by_call >= 0)
		close(by_call);
	if (by_device >= 0)
		close(by_device);
}

static void check_feature(struct report *report, const struct fl_feature *feature)
{
	int result =
	    report->features & feature->bit ? machine_userfaultfd_grants(feature->bit) : -ENOTSUP;
	enum state state = result == 0 ? STATE_OK : feature->needed ? STATE_FAILED : STATE_NOTE;
	if (result == 0)
		add(report, state, feature->name, feature->purpose, NULL, "offered");
	else if (result == -ENOTSUP)
		add(report, state, feature->name, feature->purpose, NULL,
		    "this kernel does not have it; Linux %s does", feature->since);
	else if (feature->bit == UFFD_FEATURE_EVENT_FORK)
		add(report, state, feature->name, feature->purpose, GRANT_EVENT_FORK,
		    "needs CAP_SYS_PTRACE");
	else
		add(report, state, feature->name, feature->purpose, NULL, "%s", strerror(-result));
}

static void check_features(struct report *report)
{
	if (!report->userfaultfd)
		return;
	for (const struct fl_feature *feature = fl_features; feature->name; feature++)
		check_feature(report, feature);
}

/* What the monitor does with registered memory; the rest is what a later kernel added. */
static void check_ioctls(struct report *report)
{
	static const struct {
		unsigned bit;
		const char *name;
		bool needed;
	} known[] = {{_UFFDIO_WAKE, "wake", true}, {_UFFDIO_COPY, "copy", true},
	    {_UFFDIO_ZEROPAGE, "zeropage", true}, {_UFFDIO_WRITEPROTECT, "writeprotect", false},
	    {FL_UFFDIO_POISON, "poison", false}, {FL_UFFDIO_MOVE, "move", false}};
	const char *purpose = "fill pages, wake threads, protect; poison and move are not used";
	bool protect = report->features & UFFD_FEATURE_PAGEFAULT_FLAG_WP, enough = true;
	char names[128] = "";
	uint64_t ioctls = 0;
	if (!report->userfaultfd)
		return;
	int result = machine_userfaultfd_ioctls(protect, &ioctls);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		bool has = ioctls & (UINT64_C(1) << known[i].bit);
		size_t used = strlen(names);
		enough &= has || !known[i].needed;
		if (has)
			snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
			    known[i].name);
	}
	if (result < 0)
		add(report, STATE_FAILED, "range-ioctls", purpose, NULL, "UFFDIO_REGISTER: %s",
		    strerror(-result));
	else
		add(report, enough ? STATE_OK : STATE_FAILED, "range-ioctls", purpose, NULL, "%s",
		    names);
}

static void check_pagemap_scan(struct report *report)
{
	const char *purpose = "finds quickly what was there before; else page by page";
	int result = machine_pagemap_scan();
	if (result == 0)
		add(report, STATE_OK, "pagemap-scan", purpose, NULL, "PAGEMAP_SCAN works");
	else if (result == -ENOTTY)
		add(report, STATE_NOTE, "pagemap-scan", purpose, NULL,
		    "this kernel does not have PAGEMAP_SCAN; Linux 6.7 does");
	else
		add(report, STATE_NOTE, "pagemap-scan", purpose, NULL, "/proc/PID/pagemap: %s",
		    strerror(-result));
}

static void check_perf(struct report *report)
{
	char value[32] = "?";
	read_line("/proc/sys/kernel/perf_event_paranoid", value, sizeof(value));
	int all = machine_perf(true);
	int user = all == 0 ? 0 : machine_perf(false);
	const char *grant = report->filtered ? GRANT_IN_CONTAINER : GRANT_PERF;
	report->capture = all == 0 ? "perf" : "signal";
	const char *purpose = "registers and stack of each fault; else a signal takes them";
	if (all == 0)
		add(report, STATE_OK, "perf-page-faults", purpose, NULL,
		    "perf_event_open works (kernel.perf_event_paranoid = %s)", value);
	else if (user == 0)
		add(report, STATE_MISSING, "perf-page-faults", purpose, grant,
		    "only outside system calls (kernel.perf_event_paranoid = %s)", value);
	else
		add(report, STATE_MISSING, "perf-page-faults", purpose, grant,
		    "perf_event_open: %s (kernel.perf_event_paranoid = %s)", strerror(-user),
		    value);
}

static void check_memory_reading(struct report *report)
{
	char value[32];
	char yama[64] = "no Yama";
	if (read_line("/proc/sys/kernel/yama/ptrace_scope", value, sizeof(value)))
		snprintf(yama, sizeof(yama), "kernel.yama.ptrace_scope = %s", value);
	int result = machine_read_memory();
	if (result == 0)
		add(report, STATE_OK, "read-memory", "whole stacks", NULL,
		    "process_vm_readv works (%s)", yama);
	else
		add(report, STATE_MISSING, "read-memory", "whole stacks",
		    report->filtered ? GRANT_IN_CONTAINER : GRANT_PTRACE,
		    "process_vm_readv: %s (%s)", strerror(-result), yama);
}

static void check_cpu_latency(struct report *report)
{
	const char *purpose = "processors that wake fast while threads wait for pages; else a "
			      "fault may take several times as long";
	char driver[32];
	int fd = fl_cpu_latency_open();
	fl_cpu_idle_driver(driver, sizeof(driver));
	if (fd < 0)
		add(report, STATE_NOTE, "cpu-latency", purpose,
		    fd == -EACCES ? GRANT_LATENCY : NULL, "/dev/cpu_dma_latency: %s",
		    strerror(-fd));
	else if (strcmp(driver, "none") == 0)
		add(report, STATE_NOTE, "cpu-latency", purpose, NULL,
		    "no idle driver: the kernel halts idle processors whatever is asked");
	else
		add(report, STATE_OK, "cpu-latency", purpose, NULL,
		    "/dev/cpu_dma_latency works (idle driver %s)", driver);
	if (fd >= 0)
		close(fd);
}

static void check_thp(struct report *report)
{
	char value[128];
	if (!read_line("/sys/kernel/mm/transparent_hugepage/enabled", value, sizeof(value)))
		snprintf(value, sizeof(value), "not in this kernel");
	bool always = strstr(value, "[always]") != NULL;
	add(report, always ? STATE_NOTE : STATE_OK, "transparent-hugepages",
	    "with always, traced memory gets small pages where it would get huge ones",
	    always ? "sudo sh -c 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled'"
		   : NULL,
	    "%s", value);
}

static void check_installation(struct report *report)
{
	struct installation installation;
	char error[3 * PATH_MAX];
	if (installation_find(&installation, error, sizeof(error)) == 0)
		add(report, STATE_OK, "shim-and-monitor", "what is preloaded, and what serves it",
		    NULL, "%s, and the monitor beside it", installation.shim);
	else
		add(report, STATE_FAILED, "shim-and-monitor",
		    "what is preloaded, and what serves it", "make", "%.400s", error);
}

static void (*const checks[])(struct report *report) = {
    check_kernel,
    check_seccomp,
    check_userfaultfd,
    check_features,
    check_ioctls,
    check_pagemap_scan,
    check_perf,
    check_memory_reading,
    check_cpu_latency,
    check_thp,
    check_installation,
};

static bool works(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->findings[i].state == STATE_FAILED)
			return false;
	return true;
}

/* The text, broken at spaces to the output's width, after an indent. */
static void print_wrapped(const char *text)
{
	while (*text != '\0') {
		size_t room = OUTPUT_WIDTH - TEXT_INDENT;
		size_t length = strlen(text);
		if (length > room) {
			length = room;
			while (length > 0 && text[length] != ' ')
				length--;
			if (length == 0)
				length = strcspn(text, " ");
		}
		printf("%*s%.*s\n", TEXT_INDENT, "", (int)length, text);
		text += length;
		text += strspn(text, " ");
	}
}

static void print_text(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct finding *finding = &report->findings[i];
		printf("%-8s %s\n", state_names[finding->state], finding->name);
		char line[1024];
		snprintf(line, sizeof(line), "%s; for: %s", finding->found, finding->purpose);
		print_wrapped(line);
		/* a command is never broken: it is there to be copied */
		if (finding->grant)
			printf("%*s-> %s\n", TEXT_INDENT, "", finding->grant);
	}
	if (works(report))
		printf("\nRecording works here, capture: %s.\n", report->capture);
	else
		printf("\nRecording does not work here: see what failed above.\n");
}

static int print_json(const struct report *report)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < report->count; i++) {
		const struct finding *finding = &report->findings[i];
		json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "name", finding->name,
		    "state", state_names[finding->state], "found", finding->found, "purpose",
		    finding->purpose, "grant", finding->grant);
		json_array_append_new(list, item);
	}
	json_t *root = json_pack(
	    "{s:b, s:s, s:o}", "works", works(report), "capture", report->capture, "checks", list);
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) < 0) {
		message("check: out of memory");
		json_decref(root);
		return STATUS_FAILED;
	}
	json_decref(root);
	printf("\n");
	return STATUS_OK;
}

static const struct fl_option check_options[] = {
    {.flag = "json", .help = "the same as JSON"},
    {.flag = NULL},
};

static int run_check(const struct command *command, int argc, char **argv)
{
	bool json = false;
	struct arguments arguments;
	arguments_start(&arguments, command, argc, argv);
	for (enum argument kind; (kind = arguments_next(&arguments)) != ARGUMENT_END;) {
		switch (kind) {
		case ARGUMENT_HELP:
			return command_help(command);
		case ARGUMENT_OPTION:
			json = true;
			break;
		case ARGUMENT_OPERAND:
			message("check: unexpected \"%s\": it takes no operand", arguments.value);
			return command->usage_status;
		default:
			return command->usage_status;
		}
	}
	struct report report = {0};
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](&report);
	if (!json)
		print_text(&report);
	else if (print_json(&report) != STATUS_OK)
		return STATUS_FAILED;
	int status = finish_output();
	return status == STATUS_OK && !works(&report) ? STATUS_FAILED : status;
}

const struct command check_command = {
    .name = "check",
    .operands = "",
    .summary = "can this machine trace, and if not, what to change",
    .details = "Exit status: 0 when recording can work, 1 otherwise.\n",
    .options = check_options,
    .operand = OPERAND_NONE,
    .usage_status = STATUS_USAGE,
    .run = run_check,
};
