/* SPDX-License-Identifier: MIT */
/* hello.c: how a shim announces its process (protocol.h), and what it gets. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

static int area_create(struct service *s, uint64_t features, struct shared_area **shared, int *fd)
{
	struct shared_area *made = calloc(1, sizeof(*made));
	int error = -ENOMEM;

	*fd = -1;
	if (!made)
		return -ENOMEM;
	*fd = memfd_create(SHARED_AREA_NAME, MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(*made->area)) < 0)
		goto fail_errno;
	made->area = mmap(NULL, sizeof(*made->area), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (made->area == MAP_FAILED)
		goto fail_errno;
	made->references = 1;
	made->ring_hopeless = UINT64_MAX;
	made->area->version = FL_PROTOCOL_VERSION;
	made->area->capture_signal =
	    s->capture == FL_CAPTURE_SIGNAL && s->options.mode != FL_MODE_SIGBUS;
	made->area->follow = s->options.follow;
	made->area->sources = s->options.sources;
	made->area->alloc_threshold = s->options.alloc_threshold;
	made->area->sigbus = s->options.mode == FL_MODE_SIGBUS;
	made->area->user_mode = s->user_mode;
	made->area->tell_forks = !(features & UFFD_FEATURE_EVENT_FORK);
	made->area->stack_bytes = s->capture == FL_CAPTURE_NONE ? 0 : FL_RECORD_STACK;
	made->area->paused = s->control.waiting;
	made->area->reads_share_zeros = s->reads_share_zeros;
	made->area->coarse = s->options.granularity > PAGE_BYTES;
	*shared = made;
	return 0;
fail_errno:
	error = -errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	free(made);
	return error;
}

/* The userfaultfds of a process that says hello; -1 where there is none. */
struct descriptors {
	int doorbell; /* and of its memory, unless that has its own */
	int memory;
};

static void descriptors_close(struct descriptors *d)
{
	if (d->doorbell >= 0)
		close(d->doorbell);
	if (d->memory >= 0)
		close(d->memory);
	d->doorbell = d->memory = -1;
}

/* Waits for the first packet, not long: its size in bytes. */
static size_t first_size(int socket)
{
	struct timeval patience = {.tv_sec = 2};
	ssize_t size;

	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	size = recv(socket, NULL, 0, MSG_PEEK | MSG_TRUNC);
	return size < 0 ? 0 : (size_t)size;
}

static int receive_hello(
    int socket, struct fl_hello *hello, struct descriptors *d, struct ucred *peer)
{
	struct iovec part = {hello, sizeof(*hello)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	socklen_t size = sizeof(*peer);
	const struct cmsghdr *header;
	ssize_t got;

	got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		memcpy(&d->doorbell, CMSG_DATA(header), sizeof(int));
		if (header->cmsg_len >= CMSG_LEN(2 * sizeof(int)))
			memcpy(&d->memory, CMSG_DATA(header) + sizeof(int), sizeof(int));
	}
	if (got != (ssize_t)sizeof(*hello) || hello->version != FL_PROTOCOL_VERSION ||
	    (d->doorbell < 0) != (hello->descriptors == FL_HELLO_NONE))
		return -EPROTO;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, peer, &size) < 0)
		return -errno;
	return peer->pid > 0 ? 0 : -ESRCH; /* as we see it */
}

static void send_welcome(int socket, const struct fl_welcome *welcome, int fd)
{
	struct iovec part = {(void *)welcome, sizeof(*welcome)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

/* Finds or makes the process that says hello, and writes its line. */
static struct process *greet(struct service *s, const struct fl_hello *hello, int32_t pid,
    struct descriptors *d, const struct forking *forking, uint64_t ts)
{
	struct process *p = process_by_pid(s, pid);
	bool known;

	if (p && process_has_ended(p)) { /* numbers are used again */
		process_exited(s, p, ts);
		p = NULL;
	}
	known = p != NULL;
	if (known) { /* exec: the old image's memory is gone */
		process_reset(s, p, REGION_END_EXEC, ts);
		p->uffd = d->doorbell;
		p->space = space_create();
		p->exec_pending = false;
		service_watch(s, p->uffd, (uint64_t)p);
	} else {
		p = process_create(s, pid, d->doorbell);
		if (!p)
			return NULL;
	}
	p->memory_uffd = d->memory >= 0 ? d->memory : d->doorbell;
	d->doorbell = d->memory = -1; /* the process's now */
	if (known) {
		process_tell(s, p, PROCESS_EXEC, ts);
	} else if (pid == s->root_pid || s->process_count == 1) {
		process_tell(s, p, PROCESS_START, ts);
	} else {
		if (forking)
			p->ppid = forking_parent(forking);
		process_tell(s, p, PROCESS_FORK, ts);
		if (!hello->forked)
			process_tell(s, p, PROCESS_EXEC, ts);
	}
	return p;
}

/* What a forked child had from its parent; one made without libc's fork gets what its parent has
   now. */
static struct forking *forking_of(struct service *s, const struct fl_hello *hello, int32_t pid)
{
	const struct process *parent;
	int64_t number = hello->forked;

	if (hello->forked == 1) {
		parent = process_by_pid(s, process_parent(pid));
		number = parent ? forking_keep(s, parent) : 0;
	}
	return number > 0 ? forking_take(s, (uint32_t)number) : NULL;
}

/*
 * The descriptors that this recording needs. With --mode=sigbus one stays in the program, and user
 * mode is all that it takes: a program of --user gets no more than its user could have.
 */
static uint32_t wanted(const struct service *s)
{
	bool sigbus = s->options.mode == FL_MODE_SIGBUS;

	return (s->options.unprivileged || (sigbus && s->options.user) ? FL_HELLO_USER_MODE : 0) |
	       (sigbus ? FL_HELLO_SIGBUS : 0);
}

/* The device for a process of --user's user, of which it makes what it could not have; or -1. */
static int device_for(const struct service *s, const struct ucred *peer)
{
	return s->options.user && peer->uid == s->user.uid && !(wanted(s) & FL_HELLO_USER_MODE)
		   ? s->device_fd
		   : -1;
}

/* A process has come without the descriptors that are wanted: may it come again? */
static int refuse_descriptors(
    const struct service *s, const struct fl_hello *hello, const struct ucred *peer)
{
	bool could_not = hello->descriptors & (FL_HELLO_USER_MODE | FL_HELLO_NONE);

	if (!could_not || device_for(s, peer) >= 0)
		return -EAGAIN;
	/* In user mode it has what there is. */
	return hello->descriptors == FL_HELLO_USER_MODE && (wanted(s) & FL_HELLO_USER_MODE)
		   ? -EAGAIN
		   : -EPERM;
}

/* Agrees with the kernel what both do, and registers the doorbell. */
static int prepare(struct service *s, const struct fl_hello *hello, const struct descriptors *d,
    uint64_t *features)
{
	uint64_t doorbell = d->memory >= 0 ? UFFD_FEATURE_THREAD_ID : s->features, ioctls;
	int error = uffd_negotiate(d->doorbell, doorbell, features);

	if (error == 0 && d->memory >= 0)
		error = uffd_negotiate(d->memory, s->features, features);
	return error < 0 ? error
			 : uffd_register(d->doorbell, hello->doorbell, hello->doorbell_size,
			       UFFDIO_REGISTER_MODE_MISSING, &ioctls);
}

static int attach(struct service *s, const struct fl_hello *hello, const struct ucred *peer,
    struct descriptors *d, int *area_fd, uint32_t *number)
{
	uint64_t features, ts = service_now();
	struct shared_area *shared = NULL;
	struct forking *forking = NULL;
	struct process *p;
	int32_t pid = peer->pid;
	int error;

	if (!s->options.follow && s->attached_any)
		return -ECANCELED;
	if (hello->descriptors != wanted(s))
		return refuse_descriptors(s, hello, peer);
	if (s->capture == FL_CAPTURE_PERF)
		service_cover(s, pid);
	error = prepare(s, hello, d, &features);
	if (error < 0)
		return error;
	error = area_create(s, features, &shared, area_fd);
	if (error < 0)
		return error;
	if (hello->forked)
		forking = forking_of(s, hello, pid);
	p = greet(s, hello, pid, d, forking, ts);
	if (!p || !p->space) {
		shared_area_release(shared);
		forking_free(forking);
		return -ENOMEM;
	}
	*number = p->number;
	p->confirmed = true;
	p->shared = shared;
	p->features = features;
	p->doorbell = hello->doorbell;
	p->doorbell_end = hello->doorbell + hello->doorbell_size;
	p->state = hello->state;
	p->program_break = hello->program_break;
	thread_get(s, p, p->inner_pid, pid, ts);
	if (forking)
		forking_inherit(s, p, forking);
	forking_free(forking);
	if (!s->control.waiting)
		region_add_mapped(s, p, REGION_MAPPED_PRIVATE,
		    &(struct region_origin){.tid = p->inner_pid, .ts = ts});
	return 0;
}

/* Why the process runs on untraced; nothing where only a child of others is concerned. */
static void explain(struct fl_welcome *welcome, int32_t pid, bool first)
{
	if (welcome->status == -EPERM && !first)
		return;
	if (welcome->status == -EPERM)
		snprintf(welcome->text, sizeof(welcome->text),
		    "the kernel refuses userfaultfd here; not traced (`faultline check` tells what "
		    "would permit it, and FAULTLINE_UNPRIVILEGED=1 does without)");
	else
		snprintf(welcome->text, sizeof(welcome->text),
		    "process %d cannot be traced: %s; it runs on untraced", pid,
		    welcome->status == -EPROTO
			? "its libfaultline.so is of another version than the monitor"
			: strerror(-welcome->status));
}

void hello_accept(struct service *s)
{
	struct fl_welcome welcome = {.monitor_pid = getpid(), .descriptors = wanted(s)};
	struct descriptors descriptors = {-1, -1};
	struct fl_hello hello = {0};
	int socket, area_fd = -1, device;
	struct ucred peer = {0};

	socket = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (socket < 0)
		return;
	if (first_size(socket) == sizeof(struct fl_launch_message)) {
		control_accept(s, socket);
		return;
	}
	welcome.status = receive_hello(socket, &hello, &descriptors, &peer);
	if (welcome.status == 0)
		welcome.status = attach(s, &hello, &peer, &descriptors, &area_fd, &welcome.process);
	if (welcome.status < 0 && welcome.status != -ECANCELED && welcome.status != -EAGAIN)
		explain(&welcome, peer.pid, !s->attached_any);
	device = welcome.status == -EAGAIN ? device_for(s, &peer) : -1;
	send_welcome(socket, &welcome, device >= 0 ? device : area_fd);
	close(socket);
	if (area_fd >= 0)
		close(area_fd);
	descriptors_close(&descriptors);
}
