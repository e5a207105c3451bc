/* SPDX-License-Identifier: MIT */
/*
 * launch.h: the contract between whoever starts faultline-monitor and the monitor.
 *
 * The starter is `faultline record`, or the shim of a program that was only preloaded.
 *
 *   faultline-monitor --socket=NAME --pid=PID --starter-fd=N [--preloaded] -- PROGRAM [ARGS]
 *
 * NAME    the abstract Unix socket (without the leading NUL) on which shims announce themselves;
 *         the starter puts it into the program's environment as FAULTLINE_MONITOR=NAME
 * PID     the process that will be the program (it names the default output file)
 * N       the monitor's end of a SOCK_SEQPACKET socket pair; each packet is one fl_launch_message
 * --preloaded   nobody waits for FL_LAUNCH_FINISHED: the starter hangs up after FL_LAUNCH_READY
 *
 * The settings come as FAULTLINE_ environment variables (options.h); LD_PRELOAD must not be set.
 * The monitor sends FL_LAUNCH_READY once its socket listens and its output is open, or
 * FL_LAUNCH_ERROR and exits. `faultline record` sends FL_LAUNCH_ROOT_EXITED when its child has
 * ended (a hang-up means the same); the monitor ends when no traced process is left after that,
 * and sends FL_LAUNCH_FINISHED after the trace's last line has reached its file.
 *
 * `faultline stop` connects to NAME and sends one FL_LAUNCH_STOP. The monitor answers
 * FL_LAUNCH_READY at once, ends the tracing and answers FL_LAUNCH_FINISHED; or just FL_LAUNCH_ERROR
 * with `status`: -ESRCH: the process is none of this recording, -EPERM: the recording is another
 * user's, -EBUSY: too many asked already.
 */
#ifndef FAULTLINE_LAUNCH_H
#define FAULTLINE_LAUNCH_H

#include <stdint.h>
#include <sys/resource.h>

#define FL_MONITOR_FILES 65536u /* descriptors that it may have */

#define FL_MONITOR_VARIABLE "FAULTLINE_MONITOR"
#define FL_SOCKET_PREFIX    "faultline-" /* of each NAME */

enum fl_launch_kind {
	FL_LAUNCH_READY = 1,   /* monitor: go ahead; text is the trace's path */
	FL_LAUNCH_ERROR,       /* monitor: text says why it cannot record; it exits */
	FL_LAUNCH_WARNING,     /* monitor: text is a line for the user */
	FL_LAUNCH_FINISHED,    /* monitor: totals are final; text is the trace's path */
	FL_LAUNCH_ROOT_EXITED, /* starter: the program has ended */
	FL_LAUNCH_STOP,	       /* `faultline stop`: end the recording that `pid` is part of */
};

struct fl_launch_message {
	uint32_t kind;
	uint32_t processes;   /* that were traced */
	int32_t pid;	      /* FL_LAUNCH_STOP */
	int32_t status;	      /* FL_LAUNCH_ERROR in answer to it: negative errno */
	uint64_t faults;      /* written to the trace */
	uint64_t bytes;	      /* of memory that the faults brought in */
	uint64_t lost;	      /* what the trace lacks */
	uint64_t duration_ns; /* from the first process's start */
	char text[4048];      /* NUL-terminated, without a newline */
};
_Static_assert(sizeof(struct fl_launch_message) == 4096, "one packet, one page");

/*
 * The program's limits are not meant for its monitor, which reads files, writes a trace and maps
 * rings: in the new process before it is executed. `get` and `set` are getrlimit and setrlimit.
 */
static inline void fl_launch_raise_limits(int (*get)(__rlimit_resource_t, struct rlimit *),
    int (*set)(__rlimit_resource_t, const struct rlimit *))
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t most;
	} limits[] = {
	    {RLIMIT_AS, RLIM_INFINITY},
	    {RLIMIT_DATA, RLIM_INFINITY},
	    {RLIMIT_FSIZE, RLIM_INFINITY},
	    {RLIMIT_CPU, RLIM_INFINITY},
	    {RLIMIT_MEMLOCK, RLIM_INFINITY},
	    {RLIMIT_NOFILE, FL_MONITOR_FILES},
	};

	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit, most = {limits[i].most, limits[i].most};

		if (get(limits[i].resource, &limit) != 0)
			continue;
		if (limit.rlim_cur >= most.rlim_cur)
			continue;
		if (limit.rlim_max > most.rlim_max)
			most.rlim_max = limit.rlim_max;
		if (set(limits[i].resource, &most) == 0)
			continue;
		limit.rlim_cur = limit.rlim_max; /* without rights */
		set(limits[i].resource, &limit);
	}
}

#endif
