/* SPDX-License-Identifier: MIT */
/*
 * syscalls: pages that are touched first by the kernel, inside system calls that two named threads
 * make with untouched memory for their buffers.
 *
 *   syscalls TRUTH PAGES
 *
 * Every call has a function of its own, which notes the pages before it makes the call. Where in a
 * page the kernel begins is its own affair.
 */
#include "given.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#define PIPE_PAGES  8
#define CHUNK_PAGES 32

static size_t pages;

/* Of the thread that uses them, made before its first call. */
static __thread int file_fd, zero_fd, pipe_fds[2], socket_fds[2], epoll_fd;

/* Calls that touch `size` bytes, the whole of a chunk. */

static NOINLINE void read_zero(volatile char *p, size_t size)
{
	TRACED();
	written(p, size / PAGE);
	expect(read(zero_fd, plain(p), size) == (ssize_t)size, "read /dev/zero");
}

static NOINLINE void read_file(volatile char *p, size_t size)
{
	TRACED();
	written(p, size / PAGE);
	expect(pread(file_fd, plain(p), size, 0) == (ssize_t)size, "pread");
	expect(p[0] == 'a' && p[size - 1] == 'a', "pread");
}

static NOINLINE void read_vector(volatile char *p, size_t size)
{
	TRACED();
	struct iovec parts[2] = {{plain(p), size / 2}, {plain(p + size / 2), size / 2}};

	written(p, size / PAGE);
	expect(preadv(file_fd, parts, 2, 0) == (ssize_t)size, "preadv");
}

static NOINLINE void random_bytes(volatile char *p, size_t size)
{
	TRACED();
	written(p, size / PAGE);
	expect(getrandom(plain(p), size, 0) == (ssize_t)size, "getrandom");
}

static NOINLINE void write_file(volatile char *p, size_t size)
{
	TRACED();
	read_from(p, size / PAGE);
	expect(pwrite(file_fd, plain(p), size, 1 << 20) == (ssize_t)size, "pwrite");
}

static NOINLINE void write_vector(volatile char *p, size_t size)
{
	TRACED();
	struct iovec parts[2] = {{plain(p), size / 2}, {plain(p + size / 2), size / 2}};

	read_from(p, size / PAGE);
	expect(pwritev(file_fd, parts, 2, 1 << 20) == (ssize_t)size, "pwritev");
}

static NOINLINE void through_pipe(volatile char *p, size_t size)
{
	TRACED();
	size_t half = PIPE_PAGES / 2 * PAGE;

	(void)size;
	read_from(p, PIPE_PAGES / 2);
	expect(write(pipe_fds[1], plain(p), half) == (ssize_t)half, "write to a pipe");
	written(p + half, PIPE_PAGES / 2);
	for (size_t done = 0; done < half;) {
		ssize_t got = read(pipe_fds[0], plain(p + half + done), half - done);

		expect(got > 0, "read from a pipe");
		done += (size_t)got;
	}
}

static NOINLINE void through_socket(volatile char *p, size_t size)
{
	TRACED();
	size_t half = PIPE_PAGES / 2 * PAGE;
	struct iovec out = {plain(p), half}, in = {plain(p + half), half};
	struct msghdr message = {.msg_iov = &out, .msg_iovlen = 1};

	(void)size;
	read_from(p, PIPE_PAGES / 2);
	expect(sendmsg(socket_fds[0], &message, 0) == (ssize_t)half, "sendmsg");
	message.msg_iov = &in;
	written(p + half, PIPE_PAGES / 2);
	expect(recvmsg(socket_fds[1], &message, MSG_WAITALL) == (ssize_t)half, "recvmsg");
}

/* The kernel takes these pages on its own behalf (get_user_pages): no trap, no registers. */

static NOINLINE void locked(volatile char *p, size_t size)
{
	TRACED();
	written(p, size / PAGE);
	expect(mlock(plain(p), size) == 0, "mlock");
	munlock(plain(p), size);
}

static NOINLINE void copied_across(volatile char *p, size_t size)
{
	TRACED();
	static char other[CHUNK_PAGES * PAGE];
	struct iovec local = {other, size}, remote = {plain(p), size};

	written(p, size / PAGE);
	expect(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size,
	    "process_vm_writev");
}

/* Calls that touch one page. */

static NOINLINE void made_pipe(volatile char *p)
{
	TRACED();
	int *fds = one_written(p);

	expect(pipe2(fds, O_CLOEXEC) == 0, "pipe2");
	close(fds[0]);
	close(fds[1]);
}

static NOINLINE void read_link(volatile char *p)
{
	TRACED();
	expect(readlink("/proc/self/exe", one_written(p), 1000) > 0, "readlink");
}

static NOINLINE void working_folder(volatile char *p)
{
	TRACED();
	expect(syscall(SYS_getcwd, one_written(p), PAGE) > 0, "getcwd");
}

static NOINLINE void file_status(volatile char *p)
{
	TRACED();
	expect(fstat(file_fd, one_written(p)) == 0, "fstat");
}

static NOINLINE void system_name(volatile char *p)
{
	TRACED();
	expect(uname(one_written(p)) == 0, "uname");
}

static NOINLINE void process_times(volatile char *p)
{
	TRACED();
	expect(times(one_written(p)) != -1, "times");
}

static NOINLINE void resource_usage(volatile char *p)
{
	TRACED();
	expect(getrusage(RUSAGE_SELF, one_written(p)) == 0, "getrusage");
}

static NOINLINE void signal_mask(volatile char *p)
{
	TRACED();
	expect(
	    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, one_written(p), 8) == 0, "rt_sigprocmask");
}

static NOINLINE void timer_value(volatile char *p)
{
	TRACED();
	expect(syscall(SYS_clock_gettime, CLOCK_BOOTTIME, one_written(p)) == 0, "clock");
}

static NOINLINE void sleep_time(volatile char *p)
{
	TRACED();
	expect(syscall(SYS_nanosleep, one_read(p), NULL) == 0, "nanosleep");
}

static NOINLINE void poll_nothing(volatile char *p)
{
	TRACED();
	expect(poll(one_read(p), 3, 0) == 0 || errno == 0, "poll");
}

static NOINLINE void waiting_bytes(volatile char *p)
{
	TRACED();
	expect(ioctl(pipe_fds[0], FIONREAD, one_written(p)) == 0, "FIONREAD");
}

static NOINLINE void epoll_event(volatile char *p)
{
	TRACED();
	expect(epoll_wait(epoll_fd, one_written(p), 4, 1000) == 1, "epoll_wait");
}

static NOINLINE void futex_value(volatile char *p)
{
	TRACED();
	expect(
	    syscall(SYS_futex, one_read(p), FUTEX_WAIT_PRIVATE, 1, NULL) == -1 && errno == EAGAIN,
	    "futex");
}

static NOINLINE void open_empty_path(volatile char *p)
{
	TRACED();
	expect(open(one_read(p), O_RDONLY) == -1 && errno == ENOENT, "open");
}

/* The vdso writes this page, in user mode, where the clock allows it. */
static NOINLINE void clock_of_vdso(volatile char *p)
{
	TRACED();
	truth_page(p, "write", NULL, NULL);
	expect(clock_gettime(CLOCK_MONOTONIC, plain(p)) == 0, "clock_gettime");
}

static void (*const chunk_calls[])(volatile char *, size_t) = {read_zero, read_file, read_vector,
    random_bytes, write_file, write_vector, locked, copied_across};
static void (*const pipe_calls[])(volatile char *, size_t) = {through_pipe, through_socket};
static void (*const page_calls[])(volatile char *) = {made_pipe, read_link, working_folder,
    file_status, system_name, process_times, resource_usage, signal_mask, timer_value, sleep_time,
    poll_nothing, waiting_bytes, epoll_event, futex_value, open_empty_path, clock_of_vdso};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static NOINLINE void in_chunks(void)
{
	TRACED();
	for (size_t i = 0; i < pages / CHUNK_PAGES; i++) {
		size_t size = CHUNK_PAGES * PAGE;
		volatile char *p = touch_map(size, READ_WRITE, MAP_PRIVATE);

		truth_region("mmap", p, size);
		chunk_calls[i % COUNT(chunk_calls)](p, size);
	}
}

static NOINLINE void in_pipes(void)
{
	TRACED();
	size_t size = PIPE_PAGES * PAGE;
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, pages * PAGE);
	for (size_t i = 0; i < pages / PIPE_PAGES; i++)
		pipe_calls[i % COUNT(pipe_calls)](p + i * size, size);
}

static NOINLINE void in_pages(volatile char *p)
{
	TRACED();
	for (size_t i = 0; i < pages; i++)
		nest((unsigned)i, page_calls[i % COUNT(page_calls)], p + i * PAGE + 64 * (i % 10));
}

static NOINLINE void *calling_thread(void *name)
{
	char path[] = "/tmp/faultline-syscalls-XXXXXX", text[CHUNK_PAGES * PAGE];
	struct epoll_event ready = {.events = EPOLLOUT};

	truth_thread(name);
	TRACED();
	memset(text, 'a', sizeof(text));
	file_fd = mkstemp(path);
	expect(file_fd >= 0 && unlink(path) == 0, path);
	expect(write(file_fd, text, sizeof(text)) == sizeof(text), path);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	expect(pipe(pipe_fds) == 0, "pipe");
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fds) == 0, "socketpair");
	expect(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket_fds[0], &ready) == 0, "epoll_ctl");
	errno = 0;

	in_chunks();
	in_pipes();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);
	truth_region("mmap", p, pages * PAGE);
	in_pages(p);
	return NULL;
}

int main(int argc, char **argv)
{
	static char caller[] = "caller", boss[] = "boss";
	pthread_t thread;

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	if (pthread_create(&thread, NULL, calling_thread, caller) != 0)
		truth_fail("pthread_create");
	TRACED();
	calling_thread(boss);
	pthread_join(thread, NULL);
	truth_write(argv[1], "w");
	puts("syscalls: done");
	return 0;
}
