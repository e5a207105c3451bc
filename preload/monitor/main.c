/* SPDX-License-Identifier: MIT */
/*
 * main.c: faultline-monitor: the process beside the traced ones. Started by `faultline record` or
 * by a preloaded shim (launch.h), it prepares everything that can fail, says that it is ready,
 * and runs the service until the last traced process has ended.
 */
#include "../cpu_latency.h"
#include "../launch.h"
#include "../uffd_features.h"
#include "../uffd_open.h"
#include "control.h"
#include "rights.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Fits the closing message. */
#define TRACE_PATH_MAX 4000

extern char **environ;

static struct fl_launch_message message;

/*
 * libdw loads libdebuginfod, with an HTTP client and thirty libraries more, when a file has no
 * debug information, although no server is named that could be asked. It calls this one, since a
 * program's own functions come first; nothing else in the monitor loads libraries.
 */
void *dlopen(const char *name, int flags)
{
	(void)name;
	(void)flags;
	return NULL;
}

static void tell(int fd, enum fl_launch_kind kind)
{
	message.kind = kind;
	while (send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

/* What the starter gave us, and nothing else. */
struct arguments {
	const char *socket;
	int32_t pid;
	int starter_fd;
	bool preloaded; /* a starter that hangs up is served all the same */
	char *const *command;
};

static int parse_arguments(int count, char **words, struct arguments *a)
{
	int i;

	*a = (struct arguments){.starter_fd = -1};
	for (i = 1; i < count && strcmp(words[i], "--") != 0; i++) {
		if (strncmp(words[i], "--socket=", 9) == 0)
			a->socket = words[i] + 9;
		else if (strncmp(words[i], "--pid=", 6) == 0)
			a->pid = atoi(words[i] + 6);
		else if (strncmp(words[i], "--starter-fd=", 13) == 0)
			a->starter_fd = atoi(words[i] + 13);
		else if (strcmp(words[i], "--preloaded") == 0)
			a->preloaded = true;
		else
			return -EINVAL;
	}
	if (i >= count || !a->socket || a->pid <= 0 || a->starter_fd < 0)
		return -EINVAL;
	a->command = words + i + 1;
	return 0;
}

/* The end of the program must not end us, nor what the user types at it. */
static void settle(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGTSTP, SIGTTIN,
	    SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void raise_descriptors(void)
{
	struct rlimit files, most = {FL_MONITOR_FILES, FL_MONITOR_FILES};

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (files.rlim_max < FL_MONITOR_FILES && setrlimit(RLIMIT_NOFILE, &most) == 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int listen_on(const char *name, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);

	if (length + 1 > sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path + 1, name, length);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	if (bind(*fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) < 0 ||
	    listen(*fd, 4096) < 0)
		return -errno;
	return 0;
}

/* Takes the best capture that works here; one that was asked for has to. */
static int choose_capture(
    enum fl_mode mode, enum fl_capture wanted, enum fl_capture *chosen, char *error, size_t size)
{
	int result;

	if (mode == FL_MODE_SIGBUS && wanted == FL_CAPTURE_PERF) {
		snprintf(error, size,
		    "--capture=perf: --mode=sigbus captures by its own handler; "
		    "use --capture=auto");
		return -EINVAL;
	}
	if (mode == FL_MODE_SIGBUS && wanted == FL_CAPTURE_AUTO)
		wanted = FL_CAPTURE_SIGNAL;
	if (wanted == FL_CAPTURE_SIGNAL || wanted == FL_CAPTURE_NONE) {
		*chosen = wanted;
		return 0;
	}
	result = perf_try();
	if (result < 0 && wanted == FL_CAPTURE_PERF) {
		snprintf(error, size,
		    "--capture=perf: perf_event_open: %s; allow it with "
		    "`sysctl kernel.perf_event_paranoid=1`, or use --capture=auto",
		    strerror(-result));
		return result;
	}
	*chosen = result < 0 ? FL_CAPTURE_SIGNAL : FL_CAPTURE_PERF;
	return 0;
}

static const char *thp_setting(char *text, size_t size)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
	char *open_bracket, *close_bracket;

	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return "unknown";
	text[got] = '\0';
	open_bracket = strchr(text, '[');
	close_bracket = open_bracket ? strchr(open_bracket, ']') : NULL;
	if (!close_bracket)
		return "unknown";
	*close_bracket = '\0';
	return open_bracket + 1;
}

/* Features that are asked for only when the kernel has told that it knows them. */
#define NEWER_FEATURES                                                                             \
	(UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_MINOR_SHMEM)

/* The kernel's own accesses fail where a page is missing. */
static bool is_user_mode(const struct fl_options *options)
{
	return options->unprivileged || options->mode == FL_MODE_SIGBUS;
}

static int refuse_mode(char *error, size_t size, const char *mode, const char *feature)
{
	snprintf(error, size,
	    "--mode=%s needs userfaultfd's feature %s; --mode=missing works without", mode,
	    feature);
	return -EINVAL;
}

/* Of userfaultfd's features those that this recording uses and the kernel permits. */
static int choose_features(
    const struct fl_options *options, uint64_t *features, char *error, size_t size)
{
	uint64_t protect = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
	uint64_t supported = uffd_supported(), wanted = 0;
	int fd;

	if (!supported)
		supported = ~(uint64_t)NEWER_FEATURES;
	for (const struct fl_feature *f = fl_features; f->name; f++) {
		if (f->used)
			wanted |= f->bit & supported & ~options->without;
		if (f->needed && (options->without & f->bit)) {
			snprintf(error, size, "nothing is recorded without %s", f->name);
			return -EINVAL;
		}
	}
	if (!options->follow || is_user_mode(options))
		wanted &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
	if (is_user_mode(options)) /* what mincore calls present must be mapped without us */
		wanted &= ~(uint64_t)(UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_MINOR_SHMEM);
	if (options->mode != FL_MODE_WRITE)
		wanted &= ~protect;
	if (options->mode == FL_MODE_SIGBUS)
		wanted &= ~(uint64_t)(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
				      UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_THREAD_ID);
	else
		wanted &= ~(uint64_t)UFFD_FEATURE_SIGBUS;
	if (options->mode == FL_MODE_WRITE && !(wanted & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return refuse_mode(error, size, "write", "pagefault-flag-wp (Linux 5.7)");
	if (options->mode == FL_MODE_SIGBUS && !(wanted & UFFD_FEATURE_SIGBUS))
		return refuse_mode(error, size, "sigbus", "sigbus (Linux 4.14)");
	fd = uffd_open();
	*features = wanted;
	if (fd >= 0) {
		uffd_negotiate(fd, wanted, features);
		close(fd);
	}
	return 0;
}

static void list_features(uint64_t features, const char **names)
{
	size_t n = 0;

	for (const struct fl_feature *f = fl_features; f->name; f++)
		if (features & f->bit)
			names[n++] = f->name;
	names[n] = NULL;
}

static void default_output(const struct arguments *a, char *path, size_t size)
{
	const char *program = a->command[0] ? a->command[0] : "program";
	const char *slash = strrchr(program, '/');

	snprintf(path, size, "faultline.%.200s.%d.jsonl", slash && slash[1] ? slash + 1 : program,
	    a->pid);
}

/* --user: opens what only root may, then goes on with that user's rights on files. */
static int take_user(struct service *s, bool preloaded, char *error, size_t size)
{
	int result;

	s->device_fd = -1;
	if (!s->options.user)
		return 0;
	if (preloaded) {
		snprintf(error, size,
		    "FAULTLINE_USER is for `faultline record`: a program that is only preloaded "
		    "has its user already");
		return -EINVAL;
	}
	result = fl_user_find(&s->user, s->options.user, error, size);
	if (result < 0)
		return result;
	s->device_fd = fl_uffd_device();
	result = rights_limit(&s->user);
	if (result < 0)
		snprintf(error, size, "cannot take the rights of user \"%s\": %s", s->user.name,
		    strerror(-result));
	return result;
}

/* A file that root could write and the user cannot is not obvious. */
static void name_user(const struct service *s, char *error, size_t size)
{
	size_t used = strlen(error);

	if (s->options.user)
		snprintf(
		    error + used, size - used, "; it is user \"%s\" who writes it", s->user.name);
}

static int start(struct service *s, const struct arguments *a, char *path, char *error, size_t size)
{
	const char *features[32];
	char thp[256];
	struct writer_session session;
	cpu_set_t cpus;
	int result;

	fl_options_default(&s->options);
	result = fl_options_from_environment(&s->options, environ, error, size);
	if (result < 0)
		return result;
	result = namespace_mount_proc();
	if (result < 0) {
		snprintf(error, size,
		    "/proc is not of the PID namespace that this runs in, and cannot be mounted "
		    "(%s): mount it, as `unshare --mount-proc` does",
		    strerror(-result));
		return result;
	}
	s->spin = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
	s->latency_fd = s->spin && !s->options.allow_idle ? fl_cpu_latency_open() : -1;
	result = take_user(s, a->preloaded, error, size);
	if (result < 0)
		return result;
	result = choose_capture(s->options.mode, s->options.capture, &s->capture, error, size);
	if (result < 0)
		return result;
	s->user_mode = is_user_mode(&s->options);
	result = choose_features(&s->options, &s->features, error, size);
	if (result < 0)
		return result;
	s->starter_fd = a->starter_fd;
	s->root_pid = a->pid;
	s->stacks = stacks_create();
	s->stack_copy = malloc(STACK_COPY_BYTES);
	s->stack_extra = malloc(STACK_EXTRA_BYTES);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!s->stacks || !s->stack_copy || !s->stack_extra || s->epoll_fd < 0)
		return -ENOMEM;
	result = unwind_create(&s->unwinder, s->options.max_frames, process_tell_module, s);
	if (result < 0)
		return result;
	result = listen_on(a->socket, &s->listen_fd);
	if (result < 0)
		return result;
	if (s->options.output)
		snprintf(path, TRACE_PATH_MAX, "%s", s->options.output);
	else
		default_output(a, path, TRACE_PATH_MAX);
	result = writer_create(&s->writer, path, error, size);
	if (result < 0) {
		name_user(s, error, size);
		return result;
	}
	list_features(s->features, features);
	session = (struct writer_session){.mode = fl_mode_name(s->options.mode),
	    .capture = fl_capture_name(s->capture),
	    .thp = thp_setting(thp, sizeof(thp)),
	    .features = features,
	    .command = (const char *const *)a->command,
	    .granularity = s->options.granularity,
	    .delay_ns = s->options.delay_ns,
	    .unprivileged = s->options.unprivileged};
	result = service_prepare(s);
	return result < 0 ? result : writer_start(s->writer, &session);
}

int main(int count, char **words)
{
	static struct service service;
	static char path[TRACE_PATH_MAX];
	struct writer_totals totals = {0};
	struct arguments arguments;
	const char *complaint;
	int result;

	if (parse_arguments(count, words, &arguments) < 0) {
		fprintf(stderr, "faultline-monitor: started by `faultline record` and by "
				"libfaultline.so, not by hand\n");
		return 2;
	}
	settle();
	raise_descriptors();
	result = start(&service, &arguments, path, message.text, sizeof(message.text));
	if (result < 0) {
		if (!message.text[0])
			snprintf(message.text, sizeof(message.text), "the monitor cannot start: %s",
			    strerror(-result));
		tell(arguments.starter_fd, FL_LAUNCH_ERROR);
		return 1;
	}
	snprintf(message.text, sizeof(message.text), "%s", path);
	tell(arguments.starter_fd, FL_LAUNCH_READY);
	service_run(&service);
	writer_finish(service.writer, service.control.ended_by, &totals);
	complaint = writer_complaint(service.writer);
	if (complaint) {
		snprintf(message.text, sizeof(message.text), "%s", complaint);
		tell(arguments.starter_fd, FL_LAUNCH_WARNING);
	}
	if (service.options.verify_stacks) {
		snprintf(message.text, sizeof(message.text),
		    "%" PRIu64 " stacks were unwound by libunwind as well; %" PRIu64 " differ",
		    service.verified, service.differing);
		tell(arguments.starter_fd, FL_LAUNCH_WARNING);
	}
	message.processes = service.process_count;
	message.faults = totals.faults;
	message.bytes = totals.bytes;
	message.lost = totals.lost;
	message.duration_ns = totals.duration_ns;
	snprintf(message.text, sizeof(message.text), "%s", path);
	tell(arguments.starter_fd, FL_LAUNCH_FINISHED);
	writer_destroy(service.writer);
	perf_destroy(service.perf);
	control_finished(&service, &message); /* now the program is as if never traced */
	unwind_destroy(service.unwinder);
	stacks_destroy(service.stacks);
	free(service.stack_copy);
	free(service.stack_extra);
	fl_user_free(&service.user);
	return 0;
}
