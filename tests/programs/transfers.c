/* SPDX-License-Identifier: MIT */
/*
 * transfers: system calls of a program's own threads whose buffers, answers and arguments lie in
 * memory that nobody has touched. What syscalls.c has is not repeated.
 *
 *   transfers vectors|messages|pipes|direct|answers|sets|limits|populated|packets|executed TRUTH
 *
 * Prints what the calls answered and what lies in the memory then, which is the same without
 * tracing.
 */
#include "given.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define FILE_PAGES  16
#define SMALL_PAGES 4
#define ROUNDS	    8

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static int file_fd;
static const char *truth_file;

/* Bytes of a range that are not zero, and their sum: what a reader of it sees. */
static void show(const char *what, long result, volatile char *p, size_t size)
{
	unsigned long sum = 0;
	size_t set = 0;

	for (size_t i = 0; i < size; i++) {
		set += p[i] != 0;
		sum += (unsigned char)p[i] * (i % 251 + 1);
	}
	printf("%s: %ld, %zu bytes set, sum %lu\n", what, result, set, sum);
}

static int data_file(int flags)
{
	char path[] = "transfers-XXXXXX";
	volatile char *text = touch_map(FILE_PAGES * PAGE, READ_WRITE, MAP_PRIVATE);
	int made = mkstemp(path), fd = open(path, O_RDWR | flags);

	for (size_t i = 0; i < FILE_PAGES * PAGE; i++)
		text[i] = (char)('a' + i % 23);
	expect(made >= 0 && fd >= 0 && unlink(path) == 0, path);
	expect(write(made, plain(text), FILE_PAGES * PAGE) == FILE_PAGES * PAGE, path);
	expect(fsync(made) == 0, path);
	close(made);
	return fd;
}

/* ---- vectors ---- */

static void two_parts(struct iovec parts[2], volatile char *p, size_t count)
{
	parts[0] = (struct iovec){plain(p), count * PAGE / 2};
	parts[1] = (struct iovec){plain(p + count * PAGE / 2), count * PAGE / 2};
}

static NOINLINE void read_vector(volatile char *p)
{
	TRACED();
	struct iovec parts[2];
	ssize_t got;

	two_parts(parts, p, FILE_PAGES);
	lseek(file_fd, 0, SEEK_SET);
	written(p, FILE_PAGES);
	got = readv(file_fd, parts, 2);
	show("readv", got, p, FILE_PAGES * PAGE);
}

static NOINLINE void read_vector_at(volatile char *p)
{
	TRACED();
	struct iovec parts[2];
	ssize_t got;

	two_parts(parts, p, SMALL_PAGES);
	written(p, SMALL_PAGES);
	got = preadv2(file_fd, parts, 2, 3 * PAGE, 0);
	show("preadv2", got, p, SMALL_PAGES * PAGE);
}

static NOINLINE void write_vector(volatile char *p)
{
	TRACED();
	struct iovec parts[2];

	two_parts(parts, p, SMALL_PAGES);
	lseek(file_fd, 0, SEEK_SET);
	read_from(p, SMALL_PAGES);
	printf("writev: %zd\n", writev(file_fd, parts, 2));
}

static NOINLINE void write_vector_at(volatile char *p)
{
	TRACED();
	struct iovec parts[2];

	two_parts(parts, p, SMALL_PAGES);
	read_from(p, SMALL_PAGES);
	printf("pwritev2: %zd\n", pwritev2(file_fd, parts, 2, 8 * PAGE, 0));
}

static NOINLINE void vectors(void)
{
	TRACED();
	file_fd = data_file(0);
	read_vector(fresh(FILE_PAGES));
	read_vector_at(fresh(SMALL_PAGES));
	write_vector(fresh(SMALL_PAGES));
	write_vector_at(fresh(SMALL_PAGES));
	read_vector(fresh(FILE_PAGES));
	close(file_fd);
}

/* ---- messages ---- */

static int udp[2];
static struct sockaddr_in udp_address;

static void open_udp(void)
{
	socklen_t length = sizeof(udp_address);

	udp_address =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	for (int i = 0; i < 2; i++) {
		udp[i] = socket(AF_INET, SOCK_DGRAM, 0);
		udp_address.sin_port = 0;
		expect(bind(udp[i], (struct sockaddr *)&udp_address, length) == 0, "bind");
	}
	expect(getsockname(udp[1], (struct sockaddr *)&udp_address, &length) == 0, "getsockname");
}

static void send_to_udp(size_t size)
{
	static char text[SMALL_PAGES * PAGE];

	memset(text, 'u', sizeof(text));
	expect(sendto(udp[0], text, size, 0, (struct sockaddr *)&udp_address,
		   sizeof(udp_address)) == (ssize_t)size,
	    "sendto");
}

static const char *family(volatile char *address)
{
	return ((struct sockaddr *)plain(address))->sa_family == AF_INET ? "inet" : "not inet";
}

static NOINLINE void receive_from(volatile char *p)
{
	TRACED();
	socklen_t length = sizeof(struct sockaddr_in);
	ssize_t got;

	send_to_udp(PAGE);
	written(p, 1);
	one_written(p + PAGE);
	got = recvfrom(udp[1], plain(p), PAGE, 0, plain(p + PAGE), &length);
	show("recvfrom", got, p, PAGE);
	printf("from %s, %u\n", family(p + PAGE), (unsigned)length);
}

/* Data, address and control data each in a page of their own. */
static NOINLINE void receive_message(volatile char *p)
{
	TRACED();
	struct iovec part = {plain(p), PAGE};
	struct msghdr message = {.msg_name = plain(p + PAGE),
	    .msg_namelen = sizeof(struct sockaddr_in),
	    .msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = plain(p + 2 * PAGE),
	    .msg_controllen = 512};
	int on = 1;
	ssize_t got;

	expect(setsockopt(udp[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) == 0, "SO_TIMESTAMP");
	send_to_udp(PAGE);
	written(p, 3);
	got = recvmsg(udp[1], &message, 0);
	show("recvmsg", got, p, PAGE);
	printf("from %s, %u; control %zu of type %d\n", family(p + PAGE),
	    (unsigned)message.msg_namelen, message.msg_controllen,
	    CMSG_FIRSTHDR(&message) ? CMSG_FIRSTHDR(&message)->cmsg_type : -1);
}

static NOINLINE void receive_descriptor(volatile char *p)
{
	TRACED();
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'd';
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int pair[2], got = -1;

	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	*head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(head), &pair[0], sizeof(int));
	expect(sendmsg(pair[0], &message, 0) == 1, "sendmsg");
	message.msg_control = plain(p);
	message.msg_controllen = 512;
	one_written(p);
	expect(recvmsg(pair[1], &message, 0) == 1, "recvmsg");
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
	printf("a descriptor: %s\n", fcntl(got, F_GETFD) >= 0 ? "open" : "not open");
	close(got);
	close(pair[0]);
	close(pair[1]);
}

static NOINLINE void receive_messages(volatile char *p)
{
	TRACED();
	struct iovec parts[3];
	struct mmsghdr messages[3] = {0};
	int got;

	for (int i = 0; i < 3; i++) {
		send_to_udp(PAGE);
		parts[i] = (struct iovec){plain(p + i * 2 * PAGE), PAGE};
		messages[i].msg_hdr = (struct msghdr){.msg_name = plain(p + (i * 2 + 1) * PAGE),
		    .msg_namelen = sizeof(struct sockaddr_in),
		    .msg_iov = &parts[i],
		    .msg_iovlen = 1};
	}
	written(p, 6);
	got = recvmmsg(udp[1], messages, 3, 0, NULL);
	for (int i = 0; i < 3; i++)
		show("recvmmsg", got, p + i * 2 * PAGE, PAGE);
}

static NOINLINE void send_messages(volatile char *p)
{
	TRACED();
	struct iovec parts[2] = {{plain(p), PAGE}, {plain(p + PAGE), PAGE}};
	struct mmsghdr messages[2] = {
	    {.msg_hdr = {&udp_address, sizeof(udp_address), &parts[0], 1, NULL, 0, 0}},
	    {.msg_hdr = {&udp_address, sizeof(udp_address), &parts[1], 1, NULL, 0, 0}}};

	read_from(p, 2);
	printf("sendmmsg: %d\n", sendmmsg(udp[0], messages, 2, 0));
	for (int i = 0; i < 2; i++) {
		written(p + (2 + i) * PAGE, 1);
		show("recv", recv(udp[1], plain(p + (2 + i) * PAGE), PAGE, 0), p + (2 + i) * PAGE,
		    PAGE);
	}
}

/* The address of a peer that nobody named: all zero, AF_UNSPEC. */
static NOINLINE void use_address(volatile char *p)
{
	TRACED();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	one_read(p);
	printf("connect: %d\n", connect(fd, plain(p), sizeof(struct sockaddr_in)));
	one_read(p + PAGE);
	printf("setsockopt: %d\n",
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, plain(p + PAGE), sizeof(int)));
	close(fd);
}

static NOINLINE void accept_somebody(volatile char *p)
{
	TRACED();
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(at);
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), got;

	expect(bind(listening, (struct sockaddr *)&at, length) == 0 && listen(listening, 1) == 0 &&
		   getsockname(listening, (struct sockaddr *)&at, &length) == 0 &&
		   connect(fd, (struct sockaddr *)&at, length) == 0,
	    "listen");
	one_written(p);
	got = accept(listening, plain(p), &length);
	printf("accept: %s from %s\n", got >= 0 ? "yes" : "no", family(p));
	length = 16;
	one_written(p + PAGE);
	printf(
	    "getsockopt: %d\n", getsockopt(got, SOL_SOCKET, SO_RCVBUF, plain(p + PAGE), &length));
	close(got);
	close(fd);
	close(listening);
}

static NOINLINE void messages(void)
{
	TRACED();
	open_udp();
	for (int i = 0; i < ROUNDS; i++) {
		receive_from(fresh(2));
		receive_message(fresh(3));
		receive_descriptor(fresh(1));
		receive_messages(fresh(6));
		send_messages(fresh(4));
		use_address(fresh(2));
		accept_somebody(fresh(2));
	}
}

/* ---- pages that go through pipes ---- */

static NOINLINE void give_pages(volatile char *p, unsigned flags)
{
	TRACED();
	struct iovec part = {plain(p), SMALL_PAGES * PAGE};
	int fds[2];

	expect(pipe(fds) == 0, "pipe");
	read_from(p, SMALL_PAGES);
	printf("vmsplice: %zd\n", vmsplice(fds[1], &part, 1, flags));
	written(p + SMALL_PAGES * PAGE, SMALL_PAGES);
	show("read", read(fds[0], plain(p + SMALL_PAGES * PAGE), SMALL_PAGES * PAGE),
	    p + SMALL_PAGES * PAGE, SMALL_PAGES * PAGE);
	close(fds[0]);
	close(fds[1]);
}

/* From a pipe to memory: vmsplice in the other direction. */
static NOINLINE void take_pages(volatile char *p)
{
	TRACED();
	struct iovec part = {plain(p), PAGE};
	char text[PAGE];
	int fds[2];

	memset(text, 't', sizeof(text));
	expect(pipe(fds) == 0 && write(fds[1], text, PAGE) == PAGE, "pipe");
	written(p, 1);
	show("vmsplice", vmsplice(fds[0], &part, 1, 0), p, PAGE);
	close(fds[0]);
	close(fds[1]);
}

/* Untouched memory, to a pipe, to another pipe, to a file. */
static NOINLINE void pass_on(volatile char *p)
{
	TRACED();
	struct iovec part = {plain(p), SMALL_PAGES * PAGE};
	int first[2], second[2];
	off_t *offset = plain(p + SMALL_PAGES * PAGE);

	expect(pipe(first) == 0 && pipe(second) == 0, "pipe");
	read_from(p, SMALL_PAGES);
	printf("vmsplice: %zd\n", vmsplice(first[1], &part, 1, 0));
	printf("tee: %zd\n", tee(first[0], second[1], SMALL_PAGES * PAGE, 0));
	one_read((volatile char *)offset);
	printf("splice: %zd\n",
	    splice(second[0], NULL, file_fd, offset, SMALL_PAGES * PAGE, SPLICE_F_MOVE));
	printf("offset: %ld\n", (long)*offset);
	offset += PAGE / sizeof(*offset);
	one_read((volatile char *)offset);
	printf("sendfile: %zd\n", sendfile(second[1], file_fd, offset, PAGE));
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

static NOINLINE void pipes(void)
{
	TRACED();
	file_fd = data_file(0);
	for (int i = 0; i < ROUNDS; i++) {
		give_pages(fresh(2 * SMALL_PAGES), 0);
		give_pages(fresh(2 * SMALL_PAGES), SPLICE_F_GIFT);
		take_pages(fresh(1));
		pass_on(fresh(SMALL_PAGES + 2));
	}
	close(file_fd);
}

/* ---- past the page cache ---- */

static NOINLINE void read_directly(volatile char *p)
{
	TRACED();
	ssize_t got;

	written(p, FILE_PAGES);
	got = pread(file_fd, plain(p), FILE_PAGES * PAGE, 0);
	show("O_DIRECT read", got, p, FILE_PAGES * PAGE);
}

static NOINLINE void write_directly(volatile char *p)
{
	TRACED();
	read_from(p, SMALL_PAGES);
	printf("O_DIRECT write: %zd\n", pwrite(file_fd, plain(p), SMALL_PAGES * PAGE, 0));
}

static NOINLINE void direct(void)
{
	TRACED();
	file_fd = data_file(O_DIRECT);
	for (int i = 0; i < ROUNDS; i++) {
		read_directly(fresh(FILE_PAGES));
		write_directly(fresh(SMALL_PAGES));
	}
	close(file_fd);
}

/* ---- answers ---- */

static NOINLINE void of_files(volatile char *p)
{
	TRACED();
	int folder = open("/", O_RDONLY | O_DIRECTORY);
	struct statx *status = plain(p);

	one_written(p);
	printf("statx: %d", statx(folder, "", AT_EMPTY_PATH, STATX_TYPE, status));
	printf(", a folder: %d\n", S_ISDIR(status->stx_mode));
	written(p + PAGE, 1);
	printf("getdents64: %d\n", getdents64(folder, plain(p + PAGE), PAGE) > 0);
	close(folder);
}

static NOINLINE void of_counters(volatile char *p)
{
	TRACED();
	uint64_t *value = plain(p);
	int fd = eventfd(7, EFD_CLOEXEC);

	one_written(p);
	printf("eventfd: %zd", read(fd, value, sizeof(*value)));
	printf(", %lu\n", (unsigned long)*value);
	close(fd);
}

static NOINLINE void of_signals(volatile char *p)
{
	TRACED();
	sigset_t set, before;
	struct signalfd_siginfo *info = plain(p);
	siginfo_t *taken = plain(p + 2 * PAGE);
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &before);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	raise(SIGUSR1);
	one_written(p + PAGE);
	printf("sigpending: %d", sigpending(plain(p + PAGE)));
	printf(", %d\n", sigismember(plain(p + PAGE), SIGUSR1));
	one_written(p);
	printf("signalfd: %zd", read(fd, info, sizeof(*info)));
	printf(", %u\n", info->ssi_signo);
	close(fd);
	raise(SIGUSR1);
	one_written(p + 2 * PAGE);
	printf("sigwaitinfo: %d", sigwaitinfo(&set, taken));
	printf(", %d\n", taken->si_signo);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static NOINLINE void of_timers(volatile char *p)
{
	TRACED();
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	one_read(p);
	printf("timerfd_settime: %d\n", timerfd_settime(fd, 0, plain(p), NULL));
	one_written(p + PAGE);
	printf("timerfd_gettime: %d\n", timerfd_gettime(fd, plain(p + PAGE)));
	one_read(p + 2 * PAGE);
	printf("clock_nanosleep: %d\n",
	    clock_nanosleep(CLOCK_MONOTONIC, 0, plain(p + 2 * PAGE), NULL));
	one_read(p + 3 * PAGE);
	one_written(p + 4 * PAGE);
	printf(
	    "setitimer: %d\n", setitimer(ITIMER_VIRTUAL, plain(p + 3 * PAGE), plain(p + 4 * PAGE)));
	close(fd);
}

static NOINLINE void of_children(volatile char *p)
{
	TRACED();
	pid_t child = fork();

	if (child == 0)
		_exit(3);
	written(p, 2);
	printf("wait4: %d", wait4(child, plain(p), 0, plain(p + PAGE)) == child);
	printf(", %d\n", WEXITSTATUS(*(int *)plain(p)));
}

static NOINLINE void of_limits(volatile char *p)
{
	TRACED();
	one_written(p);
	printf("sched_getaffinity: %d", sched_getaffinity(0, PAGE / 8, plain(p)));
	printf(", %d\n", CPU_COUNT_S(PAGE / 8, (cpu_set_t *)plain(p)) > 0);
	one_written(p + PAGE);
	printf("prlimit: %d\n", prlimit(0, RLIMIT_CORE, NULL, plain(p + PAGE)));
}

static NOINLINE void answers(void)
{
	TRACED();
	for (int i = 0; i < ROUNDS; i++) {
		of_files(fresh(2));
		of_counters(fresh(1));
		of_signals(fresh(3));
		of_timers(fresh(5));
		of_children(fresh(2));
		of_limits(fresh(2));
	}
}

/* ---- what is waited for ---- */

static NOINLINE void wait_for_sets(volatile char *p)
{
	TRACED();
	struct timeval *none = plain(p + 3 * PAGE);

	/* Empty sets, which it reads before it writes them; libc itself reads the time. */
	read_from(p, 3);
	truth_page(p + 3 * PAGE, "read", NULL, NULL);
	printf("select: %d\n", select(64, plain(p), plain(p + PAGE), plain(p + 2 * PAGE), none));
}

static NOINLINE void wait_for_events(volatile char *p)
{
	TRACED();
	struct epoll_event ready = {.events = EPOLLIN, .data.u32 = 77}, *told = plain(p);
	const struct timespec soon = {0, 0};
	int fd = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);

	expect(epoll_ctl(fd, EPOLL_CTL_ADD, event, &ready) == 0, "epoll_ctl");
	one_written(p);
	printf("epoll_wait: %d", epoll_wait(fd, told, 4, 1000));
	printf(", %u\n", told->data.u32);
	/* Of a poll set the kernel writes what it read, though nothing was asked. */
	one_read(p + PAGE);
	printf("ppoll: %d\n", ppoll(plain(p + PAGE), 1, &soon, NULL) >= 0);
	close(event);
	close(fd);
}

static NOINLINE void sets(void)
{
	TRACED();
	for (int i = 0; i < ROUNDS; i++) {
		wait_for_sets(fresh(4));
		wait_for_events(fresh(2));
	}
}

/* ---- where memory ends ---- */

/* A page, and one that may not be used: what fits is read, then it is an error. */
static NOINLINE void read_to_the_end(volatile char *p, int prot)
{
	TRACED();
	ssize_t got;

	if (prot < 0)
		munmap(plain(p + PAGE), PAGE);
	else
		mprotect(plain(p + PAGE), PAGE, prot);
	written(p, 1);
	got = pread(file_fd, plain(p), 2 * PAGE, 0);
	show("pread to the end", got, p, PAGE);
	got = pread(file_fd, plain(p + PAGE), PAGE, 0);
	printf("beyond: %zd %s\n", got, strerrorname_np(errno));
	got = pwrite(file_fd, plain(p), 2 * PAGE, 0);
	printf("pwrite: %zd\n", got);
}

static NOINLINE void limits(void)
{
	TRACED();
	file_fd = data_file(0);
	read_to_the_end(fresh(2), PROT_NONE);
	read_to_the_end(fresh(2), -1);
	close(file_fd);
}

/* ---- asked for at once ---- */

static NOINLINE void populate(volatile char *p, int advice, const char *name)
{
	TRACED();
	truth_range(
	    p, SMALL_PAGES * PAGE, advice == MADV_POPULATE_READ ? "read" : "write", "kernel");
	printf("%s: %d", name, madvise(plain(p), SMALL_PAGES * PAGE, advice));
	show("", 0, p, SMALL_PAGES * PAGE);
}

static NOINLINE void lock_pages(volatile char *p)
{
	TRACED();
	written(p, SMALL_PAGES);
	printf("mlock2: %d\n", mlock2(plain(p), SMALL_PAGES * PAGE, 0));
	/* Its pages come when they are touched. */
	printf("MLOCK_ONFAULT: %d\n",
	    mlock2(plain(p + SMALL_PAGES * PAGE), SMALL_PAGES * PAGE, MLOCK_ONFAULT));
	truth_range(p + SMALL_PAGES * PAGE, SMALL_PAGES * PAGE, "write", "kernel");
	expect(pread(file_fd, plain(p + SMALL_PAGES * PAGE), SMALL_PAGES * PAGE, 0) > 0, "pread");
	munlock(plain(p), 2 * SMALL_PAGES * PAGE);
}

static NOINLINE void populated(void)
{
	TRACED();
	file_fd = data_file(0);
	for (int i = 0; i < ROUNDS; i++) {
		populate(fresh(SMALL_PAGES), MADV_POPULATE_READ, "MADV_POPULATE_READ");
		populate(fresh(SMALL_PAGES), MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE");
		lock_pages(fresh(2 * SMALL_PAGES));
	}
	close(file_fd);
}

/* ---- taken with the address space locked: the kernel does not wait for these pages ---- */

static NOINLINE void give_packets(volatile char *p, int fd)
{
	TRACED();
	struct xdp_umem_reg memory = {.len = FILE_PAGES * PAGE, .chunk_size = PAGE};

	memory.addr = (uintptr_t)p;
	written(p, FILE_PAGES);
	printf(
	    "XDP_UMEM_REG: %d\n", setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)));
}

static NOINLINE void packets(void)
{
	TRACED();
	for (int i = 0; i < ROUNDS; i++) {
		int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

		if (fd < 0) {
			volatile char *p = fresh(1);

			truth_exact(p, "write", NULL);
			*p = 1;
			printf("no AF_XDP: %s\n", strerrorname_np(errno));
			break;
		}
		give_packets(fresh(FILE_PAGES), fd);
		close(fd);
	}
}

/* ---- arguments of a new program: the kernel reads them in the child, which then is another ----
 */

static NOINLINE void execute(volatile char *p)
{
	TRACED();
	char name[] = "test", sign[] = "-z";
	char *words[] = {name, sign, one_read(p), NULL};

	truth_write(truth_file, "a");
	execv("/usr/bin/test", words);
	truth_fail("execv");
}

static NOINLINE void executed(void)
{
	TRACED();
	for (int i = 0; i < ROUNDS; i++) {
		volatile char *p = fresh(1);
		int status = -1;
		pid_t child = fork();

		if (child == 0) {
			truth_forked();
			execute(p);
		}
		expect(waitpid(child, &status, 0) == child, "waitpid");
		printf("the argument was empty: %d\n", WEXITSTATUS(status) == 0);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {{"vectors", vectors}, {"messages", messages}, {"pipes", pipes},
	    {"direct", direct}, {"answers", answers}, {"sets", sets}, {"limits", limits},
	    {"populated", populated}, {"packets", packets}, {"executed", executed}};

	if (argc < 3)
		return 2;
	truth_file = argv[2];
	truth_thread("transfers");
	truth_write(truth_file, "w");
	TRACED();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].run();
			truth_write(truth_file, "a");
			return 0;
		}
	return 2;
}
