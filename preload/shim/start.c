/* SPDX-License-Identifier: MIT */
/*
 * start.c: how a process meets the monitor: finds the one that FAULTLINE_MONITOR names, or
 * starts one so that the program cannot tell, then says hello. Runs once in each process image,
 * in the thread that first calls a hook or in the constructor.
 */
#include "../launch.h"
#include "../userfaultfd.h"
#include "shim.h"
#include "sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#pragma GCC poison malloc calloc realloc free printf fprintf snprintf dprintf puts fopen
#pragma GCC poison getenv setenv unsetenv putenv

#define TEXT_MAX      4096
#define VARIABLES_MAX 4096
#define MONITOR_NAME  "faultline-monitor"
#define STARTER_FD    3
#define KEPT_FD_MAX   1024

extern char **environ;

/* bash defines getenv and setenv itself, so environ is read here. */
static const char *variable(const char *name)
{
	size_t length = strlen(name);

	for (char **e = environ; e && *e; e++)
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=')
			return *e + length + 1;
	return NULL;
}

/* The one line that the shim may print. Like all that is large here it is not on the stack: a
   forked child says hello on that of the thread that forked, which may be small. */
static void say(const char *text)
{
	static char line[TEXT_MAX + 32] = "faultline: ";
	size_t length = sizeof("faultline: ") - 1, more = strnlen(text, TEXT_MAX);

	memcpy(line + length, text, more);
	length += more;
	line[length++] = '\n';
	SYS3(SYS_write, 2, line, length);
}

static char *append(char *end, const char *limit, const char *text)
{
	while (*text && end < limit - 1)
		*end++ = *text++;
	*end = '\0';
	return end;
}

static char *append_number(char *end, const char *limit, uint64_t value, unsigned base)
{
	char digits[24];
	int n = sizeof(digits) - 1;

	digits[n] = '\0';
	do
		digits[--n] = "0123456789abcdef"[value % base];
	while ((value /= base) && n > 0);
	return append(end, limit, digits + n);
}

/* ---- starting a monitor ---- */

/* The monitor lies beside this shared object. */
static int monitor_path(char *path, size_t size)
{
	Dl_info info;
	const char *slash;
	char *end = path;

	if (!dladdr((void *)&shim_channel, &info) || !info.dli_fname)
		return -ENOENT;
	slash = strrchr(info.dli_fname, '/');
	if (slash && (size_t)(slash + 1 - info.dli_fname) + sizeof(MONITOR_NAME) < size) {
		memcpy(path, info.dli_fname, (size_t)(slash + 1 - info.dli_fname));
		end = path + (slash + 1 - info.dli_fname);
	}
	append(end, path + size, MONITOR_NAME);
	return 0;
}

static int get_limit(__rlimit_resource_t resource, struct rlimit *limit)
{
	return (int)SYS2(SYS_getrlimit, resource, limit);
}

static int set_limit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return (int)SYS2(SYS_setrlimit, resource, limit);
}

/*
 * In a grandchild that shares nothing but the starter socket: becomes the monitor. In a process
 * group of its own, which the terminal's signals do not reach, but not in a session of its own: the
 * kernel shares the CPUs out among sessions first (sched(7), autogroup), and kept a monitor in
 * another session than the program's waiting for a tenth of a second at a time.
 */
static void become_monitor(const char *path, char *const *arguments, char *const *variables, int fd)
{
	uint64_t none = 0;
	struct sys_sigaction action = {0};

	SYS2(SYS_setpgid, 0, 0);
	fl_launch_raise_limits(get_limit, set_limit);
	for (int signal_number = 1; signal_number <= 64; signal_number++)
		SYS4(SYS_rt_sigaction, signal_number, &action, 0, sizeof(action.mask));
	/* The kernel sends it when its parent ends, should somebody have stopped it by then. */
	action.handler = (void (*)(int, siginfo_t *, void *))(void (*)(void))SIG_IGN;
	SYS4(SYS_rt_sigaction, SIGHUP, &action, 0, sizeof(action.mask));
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof(none));
	if (fd != STARTER_FD && SYS3(SYS_dup3, fd, STARTER_FD, 0) < 0)
		SYS1(SYS_exit_group, 127);
	if (fd == STARTER_FD)
		SYS3(SYS_fcntl, fd, F_SETFD, 0);
	SYS3(SYS_close_range, STARTER_FD + 1, ~0u, 0);
	for (int standard = 0; standard < 3; standard++) {
		SYS1(SYS_close, standard);
		SYS4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	}
	SYS3(SYS_execve, path, arguments, variables);
	SYS1(SYS_exit_group, 127);
}

/*
 * Forks twice, so that the monitor is nobody's child here. The first child has no exit signal
 * (no SIGCHLD, and only wait with __WALL sees it) and is reaped at once; a program that is a
 * child subreaper would adopt the monitor, so it is none for that moment.
 */
static int spawn_monitor(const char *path, char *const *arguments, char *const *variables, int fd)
{
	uint64_t all = ~UINT64_C(0), old;
	int subreaper = 0;
	long child;

	SYS2(SYS_prctl, PR_GET_CHILD_SUBREAPER, &subreaper);
	if (subreaper)
		SYS2(SYS_prctl, PR_SET_CHILD_SUBREAPER, 0);
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	child = SYS5(SYS_clone, 0, 0, 0, 0, 0);
	if (child == 0) {
		if (SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
			become_monitor(path, arguments, variables, fd);
		SYS1(SYS_exit_group, 0);
	}
	if (child > 0)
		while (SYS4(SYS_wait4, child, 0, __WALL, 0) == -EINTR)
			continue;
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, sizeof(old));
	if (subreaper)
		SYS2(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	return child < 0 ? (int)child : 0;
}

struct scratch {
	struct fl_launch_message message;
	char path[TEXT_MAX];
	char name[64], socket[96], pid[32], assignment[96];
	char command[65536];
	char *arguments[VARIABLES_MAX];
	char *variables[VARIABLES_MAX];
};

/* Splits /proc/self/cmdline behind the monitor's own arguments. */
static void add_command(struct scratch *s, size_t count)
{
	long fd = SYS4(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
	long size = 0, got;

	if (fd >= 0) {
		while ((got = SYS3(SYS_read, fd, s->command + size,
			    sizeof(s->command) - 1 - (size_t)size)) > 0)
			size += got;
		SYS1(SYS_close, fd);
	}
	s->command[size] = '\0';
	for (long i = 0; i < size && count < VARIABLES_MAX - 1;
	     i += (long)strlen(s->command + i) + 1)
		s->arguments[count++] = s->command + i;
	s->arguments[count] = NULL;
}

/*
 * After unshare(CLONE_NEWPID) the first child is the init of a new PID namespace, and with its end
 * the namespace's: it must be the program's own. Where there is no /proc nobody can tell.
 */
static bool has_children_elsewhere(void)
{
	char own[64], children[64];
	long length = SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/ns/pid", own, sizeof(own)), other;

	if (length < 0)
		return false;
	other = SYS4(
	    SYS_readlinkat, AT_FDCWD, "/proc/self/ns/pid_for_children", children, sizeof(children));
	return other != length || memcmp(own, children, (size_t)length) != 0;
}

static int start_monitor_in(struct scratch *s, char *error, size_t error_size)
{
	char *e;
	int pair[2], result;
	size_t n = 0;
	uint64_t random = 0;
	long got;

	SYS3(SYS_getrandom, &random, sizeof(random), 0);
	e = append(s->name, s->name + sizeof(s->name), FL_SOCKET_PREFIX);
	e = append_number(e, s->name + sizeof(s->name), (uint64_t)SYS1(SYS_getpid, 0), 10);
	e = append(e, s->name + sizeof(s->name), "-");
	append_number(e, s->name + sizeof(s->name), random, 16);
	append(append(s->socket, s->socket + sizeof(s->socket), "--socket="),
	    s->socket + sizeof(s->socket), s->name);
	append_number(append(s->pid, s->pid + sizeof(s->pid), "--pid="), s->pid + sizeof(s->pid),
	    (uint64_t)SYS1(SYS_getpid, 0), 10);
	append(
	    append(s->assignment, s->assignment + sizeof(s->assignment), FL_MONITOR_VARIABLE "="),
	    s->assignment + sizeof(s->assignment), s->name);

	if (has_children_elsewhere()) {
		append(error, error + error_size,
		    "children of this process are in another PID namespace, and so would be the "
		    "monitor; not traced (use `unshare --fork`)");
		return -EINVAL;
	}
	result = monitor_path(s->path, sizeof(s->path));
	if (result == 0)
		result = (int)SYS2(SYS_access, s->path, 1 /* X_OK */);
	if (result < 0) {
		char *end = append(error, error + error_size, "no monitor at '");

		end = append(end, error + error_size, s->path);
		append(end, error + error_size,
		    "': install faultline-monitor beside libfaultline.so; not traced");
		return result;
	}

	s->arguments[n++] = s->path;
	s->arguments[n++] = s->socket;
	s->arguments[n++] = s->pid;
	s->arguments[n++] = (char *)"--starter-fd=3";
	s->arguments[n++] = (char *)"--preloaded";
	s->arguments[n++] = (char *)"--";
	add_command(s, n);
	n = 0;
	for (char **v = environ; v && *v && n < VARIABLES_MAX - 1; v++)
		if (strncmp(*v, "LD_PRELOAD=", 11) != 0 && strncmp(*v, "LD_AUDIT=", 9) != 0)
			s->variables[n++] = *v;
	s->variables[n] = NULL;

	result = (int)SYS4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	if (result < 0)
		return result;
	result = spawn_monitor(s->path, s->arguments, s->variables, pair[1]);
	SYS1(SYS_close, pair[1]);
	got = 0;
	if (result == 0)
		do
			got = SYS3(SYS_read, pair[0], &s->message, sizeof(s->message));
		while (got == -EINTR);
	SYS1(SYS_close, pair[0]);
	if (result == 0 && got != (long)sizeof(s->message)) {
		append(error, error + error_size,
		    "the monitor did not start; not traced (is its folder complete?)");
		result = -EIO;
	} else if (result == 0 && s->message.kind != FL_LAUNCH_READY) {
		s->message.text[sizeof(s->message.text) - 1] = '\0';
		append(append(error, error + error_size - 16, s->message.text), error + error_size,
		    "; not traced");
		result = -ECANCELED;
	}
	return result;
}

/* Later images of this program and its children find the monitor by their environment. */
static int remember_monitor(const char *assignment)
{
	size_t count = 0, size, text = strlen(assignment) + 1;
	char **copy;
	long page;

	while (environ && environ[count])
		count++;
	size = (count + 2) * sizeof(char *) + text;
	page = SYS6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page < 0)
		return (int)page;
	copy = (char **)page;
	for (size_t i = 0; i < count; i++)
		copy[i] = environ[i];
	copy[count] = memcpy((char *)(copy + count + 2), assignment, text);
	copy[count + 1] = NULL;
	environ = copy;
	return 0;
}

/* Starts a monitor; `name` gets its socket's name. */
static int start_monitor(char *name, size_t name_size, char *error, size_t error_size)
{
	struct scratch *s;
	int result;
	long page = SYS6(
	    SYS_mmap, 0, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page <= 0)
		return page < 0 ? (int)page : -ENOMEM;
	s = (struct scratch *)page;
	result = start_monitor_in(s, error, error_size);
	if (result == 0) {
		append(name, name + name_size, s->name);
		result = remember_monitor(s->assignment);
	}
	SYS2(SYS_munmap, page, sizeof(*s));
	return result;
}

/* ---- hello ---- */

static int monitor_connect(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	long fd, result;

	if (length + 1 > sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path + 1, name, length);
	fd = SYS3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	do
		result = SYS3(
		    SYS_connect, fd, &address, offsetof(struct sockaddr_un, sun_path) + 1 + length);
	while (result == -EINTR);
	if (result < 0) {
		SYS1(SYS_close, fd);
		return (int)result;
	}
	return (int)fd;
}

/*
 * By the device, the monitor's or our own where the administrator let this user use it; else by the
 * system call (uffd_open.h says why in this order). `user_mode`: one that anybody may have, because
 * the kernel's own accesses do not wait for it.
 */
static int userfaultfd_open(bool user_mode, int device)
{
	long fd = -1, own = -1;

	if (user_mode)
		return (int)SYS1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (device < 0)
		own = SYS4(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);
	if (device >= 0 || own >= 0)
		fd = SYS3(SYS_ioctl, device >= 0 ? device : own, USERFAULTFD_IOC_NEW,
		    O_CLOEXEC | O_NONBLOCK);
	if (own >= 0)
		SYS1(SYS_close, own);
	return fd >= 0 ? (int)fd : (int)SYS1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

/* The descriptors of a hello, `which` being FL_HELLO_ bits; what cannot be opened leaves -1. */
struct descriptors {
	uint32_t which;
	int uffd[2]; /* of the doorbell, and of all memory unless there is a second; its own */
};

static void descriptors_close(struct descriptors *d)
{
	for (int i = 0; i < 2; i++)
		if (d->uffd[i] >= 0)
			SYS1(SYS_close, d->uffd[i]);
	d->uffd[0] = d->uffd[1] = -1;
}

/* Those that the monitor wants, made from its `device` (or -1); at first a plain one, or what this
   user may have. */
static int descriptors_open(struct descriptors *d, uint32_t wanted, int device, bool first)
{
	int count = wanted & FL_HELLO_SIGBUS ? 2 : 1;

	*d = (struct descriptors){wanted, {-1, -1}};
	for (int i = 0; i < count; i++) {
		d->uffd[i] = userfaultfd_open(d->which & FL_HELLO_USER_MODE, device);
		if (d->uffd[i] < 0 && first && !(d->which & FL_HELLO_USER_MODE)) {
			int refused = d->uffd[i];

			d->which |= FL_HELLO_USER_MODE;
			d->uffd[i] = userfaultfd_open(true, -1);
			if (d->uffd[i] < 0)
				d->uffd[i] = refused;
		}
		if (d->uffd[i] < 0) {
			int error = d->uffd[i];

			descriptors_close(d);
			return error;
		}
	}
	return 0;
}

static int send_hello(int socket, const struct fl_hello *hello, const struct descriptors *d)
{
	size_t count = d->uffd[1] >= 0 ? 2 : d->uffd[0] >= 0 ? 1 : 0;
	struct iovec part = {(void *)hello, sizeof(*hello)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {{0}};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = count ? &control : NULL,
	    .msg_controllen = count ? CMSG_SPACE(count * sizeof(int)) : 0};
	long result;

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&control.header), d->uffd, count * sizeof(int));
	do
		result = SYS3(SYS_sendmsg, socket, &message, MSG_NOSIGNAL);
	while (result == -EINTR);
	return result < 0 ? (int)result : 0;
}

/* `fd` gets what comes with it: the area, or the device. */
static int receive_welcome(int socket, struct fl_welcome *welcome, int *fd)
{
	struct iovec part = {welcome, sizeof(*welcome)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	long result;

	do
		result = SYS3(SYS_recvmsg, socket, &message, MSG_CMSG_CLOEXEC);
	while (result == -EINTR);
	if (result != (long)sizeof(*welcome))
		return result < 0 ? (int)result : -EPIPE;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.header.cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(&control.header), sizeof(*fd));
	return 0;
}

static int create_doorbell(struct shim_channel *channel)
{
	long at;

	if (channel->doorbell)
		return 0;
	at = SYS6(SYS_mmap, 0, FL_DOORBELL_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0)
		return (int)at;
	/* Not for core files; nor for debuggers that write one, to whom missing pages are errors.
	 */
	SYS3(SYS_madvise, at, FL_DOORBELL_BYTES, MADV_DONTDUMP);
	channel->doorbell = (uint8_t *)at;
	return 0;
}

static int map_area(struct shim_channel *channel, int fd)
{
	long at;

	if (fd < 0)
		return -EPROTO;
	at = SYS6(SYS_mmap, 0, sizeof(struct fl_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SYS1(SYS_close, fd);
	if (at < 0)
		return (int)at;
	if (channel->area)
		SYS2(SYS_munmap, channel->area, sizeof(*channel->area));
	SYS3(SYS_madvise, at, sizeof(struct fl_area), MADV_DONTDUMP);
	channel->area = (struct fl_area *)at;
	return 0;
}

/* The handler's own userfaultfd, where a program is least likely to want the number. */
static void keep_memory_uffd(struct shim_channel *channel, struct descriptors *d)
{
	struct rlimit files = {0};
	long high, limit;

	SYS2(SYS_getrlimit, RLIMIT_NOFILE, &files);
	limit = files.rlim_cur < KEPT_FD_MAX ? (long)files.rlim_cur : KEPT_FD_MAX;
	high = SYS3(SYS_fcntl, d->uffd[1], F_DUPFD_CLOEXEC, limit > 32 ? limit - 32 : 0);
	if (high >= 0) {
		SYS1(SYS_close, d->uffd[1]);
		d->uffd[1] = (int)high;
	}
	channel->memory_uffd = channel->state->memory_uffd = d->uffd[1] + 1;
	d->uffd[1] = -1;
}

/*
 * One hello with these descriptors, to the monitor of that name. When that answers -EAGAIN,
 * `device` gets what it sent, or -1. The descriptor whose faults the monitor serves is closed as
 * soon as it has been sent: would we still hold it when the monitor dies, after it has registered
 * memory that we need to read its answer, we would wait for ever.
 */
static int hello_once(struct shim_channel *channel, uint32_t forked, const char *name,
    struct descriptors *d, struct fl_welcome *welcome, int *device)
{
	struct fl_hello hello = {.version = FL_PROTOCOL_VERSION,
	    .forked = forked,
	    .descriptors = d->which,
	    .program_break = channel->state->program_break,
	    .state = (uint64_t)channel->state,
	    .doorbell = (uint64_t)channel->doorbell,
	    .doorbell_size = FL_DOORBELL_BYTES};
	int fd = -1, result, socket = monitor_connect(name);

	if (socket < 0)
		return socket;
	SYS_REGISTERS(&hello.registers);
	result = send_hello(socket, &hello, d);
	if (d->uffd[0] >= 0)
		SYS1(SYS_close, d->uffd[0]);
	d->uffd[0] = -1;
	if (result == 0)
		result = receive_welcome(socket, welcome, &fd);
	SYS1(SYS_close, socket);
	if (result == 0)
		result = welcome->status;
	if (result == 0)
		result = map_area(channel, fd);
	else if (result == -EAGAIN)
		*device = fd;
	else if (fd >= 0)
		SYS1(SYS_close, fd);
	return result;
}

/* `own_files`: in the program's own table of descriptors. `error` gets what is to be said. */
static int hello(
    struct shim_channel *channel, uint32_t forked, bool own_files, char *error, size_t error_size)
{
	struct fl_welcome welcome = {0};
	struct descriptors descriptors;
	const char *name = variable(FL_MONITOR_VARIABLE);
	char own_name[64] = "";
	int device = -1, result = descriptors_open(&descriptors, 0, -1, true);

	if (result < 0 && name) { /* the monitor may know a way */
		descriptors.which = FL_HELLO_NONE;
		result = 0;
	} else if (result < 0) {
		append(error, error + error_size,
		    "the kernel refuses userfaultfd here; not traced "
		    "(`faultline check` tells what would permit it)");
		return result;
	}
	result = create_doorbell(channel);
	if (result == 0 && !name) { /* only preloaded */
		result = forked ? -ENOTCONN
				: start_monitor(own_name, sizeof(own_name), error, error_size);
		name = own_name;
	}
	if (result == 0)
		result = hello_once(channel, forked, name, &descriptors, &welcome, &device);
	if (result == -EAGAIN) {
		descriptors_close(&descriptors);
		result = descriptors_open(&descriptors, welcome.descriptors, device, false);
		if (device >= 0)
			SYS1(SYS_close, device);
		device = -1;
		if (result == 0)
			result = hello_once(channel, forked, name, &descriptors, &welcome, &device);
		if (device >= 0)
			SYS1(SYS_close, device);
	}
	if (result == 0) {
		channel->state->number = welcome.process;
		channel->monitor = welcome.monitor_pid;
		/* Yama lets only descendants be read otherwise */
		SYS2(SYS_prctl, PR_SET_PTRACER, welcome.monitor_pid);
		if (channel->area->sigbus && own_files) /* else the monitor fills */
			keep_memory_uffd(channel, &descriptors);
	} else if (welcome.status < 0) {
		welcome.text[sizeof(welcome.text) - 1] = '\0';
		append(error, error + error_size, welcome.text);
	}
	descriptors_close(&descriptors);
	if (result < 0 && !error[0] && name == own_name) {
		char *end = append(error, error + error_size, "cannot start the monitor (errno ");

		end = append_number(end, error + error_size, (uint64_t)-result, 10);
		append(end, error + error_size, "); not traced");
	}
	return result;
}

/* How many descriptors starting a monitor and saying hello need at once, beside the first. */
#define HELLO_FILES 5

/* Whether the program's limit leaves room for them; `fd` is any. */
static bool has_room(int fd)
{
	long made[HELLO_FILES];
	int count = 0;

	while (count < HELLO_FILES && (made[count] = SYS3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		count++;
	for (int i = 0; i < count; i++)
		SYS1(SYS_close, made[i]);
	return count == HELLO_FILES;
}

struct own_table {
	struct shim_channel *channel;
	uint32_t forked;
	int result;
	char *error;
	size_t error_size;
};

/* In a thread that has a copy of the program's descriptors, and gives them all up. */
__attribute__((noinline)) static void hello_in_own_table(struct own_table *own)
{
	SYS3(SYS_close_range, 0, ~0u, 0);
	own->result = hello(own->channel, own->forked, false, own->error, own->error_size);
	SYS1(SYS_exit, 0);
}

/*
 * Where the program's limit, or what it has open, leaves no room, a thread with a table of its own
 * does it, which borrows our stack and is gone before we go on. The program's is not touched.
 */
static int hello_beside(
    struct shim_channel *channel, uint32_t forked, char *error, size_t error_size)
{
	struct own_table own = {channel, forked, -EMFILE, error, error_size};
	uint64_t all = ~UINT64_C(0), old;
	long thread;

	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	thread = SYS5(SYS_clone, CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0);
	if (thread == 0)
		hello_in_own_table(&own);
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, sizeof(old));
	return thread < 0 ? (int)thread : own.result;
}

int shim_hello(struct shim_channel *channel, uint32_t forked)
{
	long probe = SYS4(SYS_openat, AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0);
	bool room = probe != -EMFILE && (probe < 0 || has_room((int)probe));
	static char error[TEXT_MAX];
	int result;

	if (probe >= 0)
		SYS1(SYS_close, probe);
	error[0] = '\0';
	result = room ? hello(channel, forked, true, error, sizeof(error))
		      : hello_beside(channel, forked, error, sizeof(error));
	if (result < 0 && error[0])
		say(error);
	return result;
}
