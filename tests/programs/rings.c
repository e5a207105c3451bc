/* SPDX-License-Identifier: MIT */
/*
 * rings: io_uring(7) and Linux's aio, by raw system calls, on memory that nobody has touched. What
 * a thread of the program submits the kernel carries out at once, in that thread; or later, in it;
 * or in threads of its own that never run the program's code.
 *
 *   rings inline|later|fixed|workers|poller|own|aio|touched|untouched TRUTH
 *
 * "touched" and "untouched" just say what becomes of each kind of request.
 */
#include "given.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define ENTRIES	    8
#define CHUNK_PAGES 4
#define CHUNK	    (CHUNK_PAGES * PAGE)
#define ROUNDS	    16
#define NO_MMAP	    (1u << 14) /* IORING_SETUP_NO_MMAP of Linux 6.5 */

struct ring {
	int fd;
	bool polled; /* IORING_SETUP_SQPOLL */
	char *rings;
	struct io_uring_params params;
	struct io_uring_sqe *requests;
};

static int file_fd, pipe_fds[2], socket_fds[2];

/* What the next system call of this kind will touch is noted there, with the functions that run. */
static struct due {
	volatile char *start;
	size_t pages;
	const char *access;
	struct truth_place place;
} all_due[4];
static size_t due_count;

static volatile char *due(size_t pages, const char *access)
{
	volatile char *p = fresh(pages);

	all_due[due_count++] = (struct due){p, pages, access, truth_self.place};
	return p;
}

static void note_due(void)
{
	for (size_t i = 0; i < due_count; i++) {
		truth_self.place = all_due[i].place;
		truth_range(all_due[i].start, all_due[i].pages * PAGE, all_due[i].access, "kernel");
	}
	due_count = 0;
}

static void show(const char *what, long result, volatile char *p, size_t size)
{
	size_t right = 0;

	for (size_t i = 0; i < size; i++)
		right += p[i] == 'a';
	printf("%s: %s, %zu bytes are the file's\n", what,
	    result < 0 ? strerrorname_np((int)-result) : "done", right);
}

/* ---- the ring ---- */

static NOINLINE int ring_setup(struct ring *ring)
{
	TRACED();
	note_due();
	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring->params);
	return ring->fd < 0 ? -errno : 0;
}

static void ring_open(struct ring *ring, unsigned flags)
{
	const struct io_uring_params *p = &ring->params;
	size_t size, answers_size;
	void *rings, *requests;

	*ring = (struct ring){.polled = flags & IORING_SETUP_SQPOLL};
	ring->params.flags = flags;
	ring->params.sq_thread_idle = 2000;
	errno = -ring_setup(ring);
	expect(ring->fd >= 0, "io_uring_setup");
	size = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	answers_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	if (answers_size > size)
		size = answers_size;
	rings = mmap(NULL, size, READ_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	requests = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe), READ_WRITE, MAP_SHARED,
	    ring->fd, IORING_OFF_SQES);
	expect(rings != MAP_FAILED && requests != MAP_FAILED, "mmap of a ring");
	ring->rings = rings;
	ring->requests = requests;
}

static unsigned *ring_word(const struct ring *ring, unsigned offset)
{
	return (unsigned *)(void *)(ring->rings + offset);
}

static NOINLINE int ring_enter(const struct ring *ring, unsigned submit, unsigned wait)
{
	TRACED();
	unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0;

	note_due();
	if (ring->polled)
		flags |= IORING_ENTER_SQ_WAKEUP;
	return (int)syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);
}

static NOINLINE void ring_submit(struct ring *ring, const struct io_uring_sqe *request)
{
	TRACED();
	unsigned *tail = ring_word(ring, ring->params.sq_off.tail), at = *tail;
	unsigned mask = *ring_word(ring, ring->params.sq_off.ring_mask);

	ring->requests[at & mask] = *request;
	ring_word(ring, ring->params.sq_off.array)[at & mask] = at & mask;
	__atomic_store_n(tail, at + 1, __ATOMIC_RELEASE);
	expect(ring_enter(ring, 1, 0) >= 0, "io_uring_enter");
}

static NOINLINE int ring_wait(struct ring *ring)
{
	TRACED();
	unsigned *head = ring_word(ring, ring->params.cq_off.head);
	unsigned *tail = ring_word(ring, ring->params.cq_off.tail);
	unsigned mask = *ring_word(ring, ring->params.cq_off.ring_mask);
	const struct io_uring_cqe *answers = (void *)(ring->rings + ring->params.cq_off.cqes);
	int result;

	while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
		expect(ring_enter(ring, 0, 1) >= 0 || errno == EINTR, "io_uring_enter");
	result = answers[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static struct io_uring_sqe request(int op, int fd, volatile void *address, size_t size)
{
	struct io_uring_sqe made = {.opcode = (__u8)op, .fd = fd, .len = (__u32)size};

	made.addr = (uintptr_t)address;
	return made;
}

static NOINLINE int carry_out(struct ring *ring, struct io_uring_sqe made, unsigned flags)
{
	TRACED();
	made.flags |= (__u8)flags;
	ring_submit(ring, &made);
	return ring_wait(ring);
}

/* ---- requests, with memory of CHUNK bytes ---- */

static void vector(struct iovec parts[2], volatile char *p)
{
	parts[0] = (struct iovec){plain(p), CHUNK / 2};
	parts[1] = (struct iovec){plain(p + CHUNK / 2), CHUNK / 2};
}

static struct io_uring_sqe to_read(volatile char *p)
{
	return request(IORING_OP_READ, file_fd, p, CHUNK);
}

static void fill_pipe(void)
{
	static char text[CHUNK];

	memset(text, 'a', sizeof(text));
	expect(write(pipe_fds[1], text, CHUNK) == CHUNK, "write to a pipe");
}

static void empty_pipe(void)
{
	char text[CHUNK];
	size_t zeros = 0;

	expect(read(pipe_fds[0], text, CHUNK) == CHUNK, "read from a pipe");
	for (size_t i = 0; i < CHUNK; i++)
		zeros += text[i] == 0;
	printf("%zu zeros were written\n", zeros);
}

/* ---- carried out at once, in the thread that submits ---- */

static NOINLINE void inline_requests(void)
{
	TRACED();
	struct ring ring;
	struct iovec parts[2];

	ring_open(&ring, 0);
	for (int i = 0; i < ROUNDS; i++) {
		volatile char *p = due(CHUNK_PAGES, "write");

		show("read", carry_out(&ring, to_read(p), 0), p, CHUNK);
		p = due(CHUNK_PAGES, "write");
		vector(parts, p);
		show("readv", carry_out(&ring, request(IORING_OP_READV, file_fd, parts, 2), 0), p,
		    CHUNK);
		p = due(CHUNK_PAGES, "read");
		expect(carry_out(&ring, request(IORING_OP_WRITE, pipe_fds[1], p, CHUNK), 0) ==
			   (int)CHUNK,
		    "IORING_OP_WRITE");
		empty_pipe();
	}
	close(ring.fd);
}

/* ---- later, when there are data: on the thread's way back from some system call ---- */

static NOINLINE void send_chunk(void)
{
	TRACED();
	static char text[CHUNK];

	memset(text, 'a', sizeof(text));
	note_due();
	expect(send(socket_fds[0], text, CHUNK, 0) == CHUNK, "send");
}

static NOINLINE void later_requests(void)
{
	TRACED();
	struct ring ring;

	ring_open(&ring, 0);
	for (int i = 0; i < ROUNDS; i++) {
		volatile char *p = fresh(CHUNK_PAGES);
		struct io_uring_sqe made = request(IORING_OP_RECV, socket_fds[1], p, CHUNK);

		made.msg_flags = MSG_WAITALL;
		ring_submit(&ring, &made);
		all_due[due_count++] = (struct due){p, CHUNK_PAGES, "write", truth_self.place};
		send_chunk();
		show("recv", ring_wait(&ring), p, CHUNK);
	}
	close(ring.fd);
}

/* ---- buffers that are registered, and thereby pinned ---- */

static NOINLINE void fixed_buffers(void)
{
	TRACED();
	struct ring ring;

	ring_open(&ring, 0);
	for (int i = 0; i < ROUNDS; i++) {
		volatile char *p = fresh(CHUNK_PAGES);
		struct iovec part = {plain(p), CHUNK};
		int result;

		written(p, CHUNK_PAGES);
		result =
		    (int)syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &part, 1);
		printf("registered: %d\n", result);
		show("read", carry_out(&ring, request(IORING_OP_READ_FIXED, file_fd, p, CHUNK), 0),
		    p, CHUNK);
		/* Pinned pages stay what they are, though they are given back. */
		expect(madvise(plain(p), PAGE, MADV_DONTNEED) == 0, "MADV_DONTNEED");
		truth_exact(p, "read", NULL);
		printf("given back: %d\n", *p);
		expect(syscall(
			   SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0) == 0,
		    "IORING_UNREGISTER_BUFFERS");
	}
	close(ring.fd);
}

/* ---- by the kernel's own threads ---- */

static NOINLINE void carried_out_by(struct ring *ring, const char *name, unsigned flags)
{
	TRACED();
	struct iovec parts[2];
	volatile char *p = fresh(CHUNK_PAGES);

	truth_strange(p, CHUNK, "write", name, 0);
	show("read", carry_out(ring, to_read(p), flags), p, CHUNK);
	p = fresh(CHUNK_PAGES);
	vector(parts, p);
	truth_strange(p, CHUNK, "write", name, 0);
	show(
	    "readv", carry_out(ring, request(IORING_OP_READV, file_fd, parts, 2), flags), p, CHUNK);
	p = fresh(CHUNK_PAGES);
	truth_strange(p, CHUNK, "read", name, 0);
	expect(
	    carry_out(ring, request(IORING_OP_WRITE, pipe_fds[1], p, CHUNK), flags) == (int)CHUNK,
	    "IORING_OP_WRITE");
	empty_pipe();
	p = fresh(CHUNK_PAGES);
	fill_pipe();
	truth_strange(p, CHUNK, "write", name, 0);
	show("read a pipe", carry_out(ring, request(IORING_OP_READ, pipe_fds[0], p, CHUNK), flags),
	    p, CHUNK);
}

static NOINLINE void workers(void)
{
	TRACED();
	struct ring ring;

	ring_open(&ring, 0);
	for (int i = 0; i < ROUNDS; i++)
		carried_out_by(&ring, "iou-wrk-", IOSQE_ASYNC);
	close(ring.fd);
}

static NOINLINE void poller(void)
{
	TRACED();
	struct ring ring;

	ring_open(&ring, IORING_SETUP_SQPOLL);
	for (int i = 0; i < ROUNDS; i++)
		carried_out_by(&ring, "iou-sqp-", 0);
	close(ring.fd);
}

/* ---- the ring itself in memory of the program ---- */

static NOINLINE void own_memory(void)
{
	TRACED();
	struct ring ring = {.params.flags = NO_MMAP};
	volatile char *p = due(2, "write"), *q;

	ring.params.sq_off.resv2 = (uintptr_t)p;
	ring.params.cq_off.resv2 = (uintptr_t)(p + PAGE);
	if (ring_setup(&ring) < 0) {
		printf("this kernel has no IORING_SETUP_NO_MMAP\n");
		truth_touch_count = 0;
		return;
	}
	ring.requests = plain(p);
	ring.rings = plain(p + PAGE);
	q = due(CHUNK_PAGES, "write");
	show("read", carry_out(&ring, to_read(q), 0), q, CHUNK);
	close(ring.fd);
}

/* ---- aio ---- */

static NOINLINE void aio_submit(aio_context_t context, struct iocb *made)
{
	TRACED();
	note_due();
	errno = 0;
	if (syscall(SYS_io_submit, context, 1, &made) != 1)
		expect(errno == EFAULT, "io_submit");
}

static NOINLINE long aio_answer(aio_context_t context)
{
	TRACED();
	struct io_event *told = plain(due(1, "write"));

	note_due();
	expect(syscall(SYS_io_getevents, context, 1, 1, told, NULL) == 1, "io_getevents");
	return (long)told->res;
}

static NOINLINE long aio_carry_out(
    aio_context_t context, int op, int fd, volatile void *address, size_t size)
{
	TRACED();
	struct iocb made = {.aio_lio_opcode = (__u16)op, .aio_fildes = (__u32)fd};

	made.aio_buf = (uintptr_t)address;
	made.aio_nbytes = size;
	aio_submit(context, &made);
	return aio_answer(context);
}

static NOINLINE void aio(void)
{
	TRACED();
	aio_context_t *context = one_read(fresh(1));
	struct iovec parts[2];

	expect(syscall(SYS_io_setup, 8, context) == 0, "io_setup");
	for (int i = 0; i < ROUNDS; i++) {
		volatile char *p = due(CHUNK_PAGES, "write");

		show("pread", aio_carry_out(*context, IOCB_CMD_PREAD, file_fd, p, CHUNK), p, CHUNK);
		p = due(CHUNK_PAGES, "write");
		vector(parts, p);
		show("preadv", aio_carry_out(*context, IOCB_CMD_PREADV, file_fd, parts, 2), p,
		    CHUNK);
		p = due(CHUNK_PAGES, "read");
		printf("pwrite: %ld\n",
		    aio_carry_out(*context, IOCB_CMD_PWRITE, pipe_fds[1], p, CHUNK));
		empty_pipe();
	}
	expect(syscall(SYS_io_destroy, *context) == 0, "io_destroy");
}

/* ---- what becomes of each kind ---- */

static volatile char *chunk(bool touched)
{
	volatile char *p = fresh(CHUNK_PAGES);

	for (size_t i = 0; touched && i < CHUNK_PAGES; i++) {
		truth_exact(p + i * PAGE, "write", NULL);
		p[i * PAGE] = 0;
	}
	return p;
}

static NOINLINE void outcomes(bool touched)
{
	TRACED();
	static const unsigned flags[] = {0, IOSQE_ASYNC};
	struct ring ring, polled;
	aio_context_t context = 0;
	struct iovec part;
	volatile char *p;

	ring_open(&ring, 0);
	ring_open(&polled, IORING_SETUP_SQPOLL);
	for (int i = 0; i < 2; i++) {
		p = chunk(touched);
		show(i ? "a worker's read" : "read", carry_out(&ring, to_read(p), flags[i]), p,
		    CHUNK);
	}
	p = chunk(touched);
	show("the poller's read", carry_out(&polled, to_read(p), 0), p, CHUNK);
	p = chunk(touched);
	part = (struct iovec){plain(p), CHUNK};
	printf("registered: %s\n",
	    syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &part, 1) < 0
		? strerrorname_np(errno)
		: "done");
	p = chunk(touched);
	expect(syscall(SYS_io_setup, 8, &context) == 0, "io_setup");
	show("aio", aio_carry_out(context, IOCB_CMD_PREAD, file_fd, p, CHUNK), p, CHUNK);
	syscall(SYS_io_destroy, context);
	close(polled.fd);
	close(ring.fd);
}

static NOINLINE void touched_memory(void)
{
	TRACED();
	outcomes(true);
}

static NOINLINE void untouched_memory(void)
{
	TRACED();
	outcomes(false);
}

/* A file whose bytes are all 'a', in the page cache; a pipe and a socket that hold a chunk. */
static void prepare(void)
{
	char path[] = "rings-XXXXXX", text[CHUNK];

	memset(text, 'a', sizeof(text));
	file_fd = mkstemp(path);
	expect(file_fd >= 0 && unlink(path) == 0, path);
	expect(write(file_fd, text, CHUNK) == CHUNK, path);
	expect(pipe(pipe_fds) == 0, "pipe");
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fds) == 0, "socketpair");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {{"inline", inline_requests}, {"later", later_requests}, {"fixed", fixed_buffers},
	    {"workers", workers}, {"poller", poller}, {"own", own_memory}, {"aio", aio},
	    {"touched", touched_memory}, {"untouched", untouched_memory}};

	if (argc < 3)
		return 2;
	truth_thread("rings");
	TRACED();
	prepare();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].run();
			truth_write(argv[2], "w");
			return 0;
		}
	return 2;
}
