/* SPDX-License-Identifier: MIT */
/*
 * floor.c: the first-touch loop over memory that a second process serves by userfaultfd, spinning,
 * and does nothing else: the least that tracing from another process can cost. The loop runs in
 * the parent, the service in a forked child, which is the only holder of the descriptor.
 */
#include "loop.h"

#include "userfaultfd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES 32

static pid_t service;

static int open_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int device;

	if (fd >= 0)
		return fd;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0)
		loop_fail("userfaultfd");
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		loop_fail("userfaultfd");
	close(device);
	return fd;
}

/* Never returns: the parent ends it. */
static void serve(int fd, const char *zeros)
{
	struct uffd_msg messages[MESSAGES];

	for (;;) {
		ssize_t got = read(fd, messages, sizeof(messages));

		for (ssize_t i = 0; i < got / (ssize_t)sizeof(messages[0]); i++) {
			struct uffdio_copy copy = {
			    .dst = messages[i].arg.pagefault.address & ~(uint64_t)(PAGE - 1),
			    .src = (uint64_t)zeros,
			    .len = PAGE,
			};

			if (messages[i].event == UFFD_EVENT_PAGEFAULT &&
			    ioctl(fd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST)
				_exit(1); /* closes the descriptor: the loop goes on natively */
		}
	}
}

static void prepare(char *memory, size_t size)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID};
	struct uffdio_register request = {
	    .range = {(uint64_t)memory, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	char *zeros = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid();
	int fd = open_userfaultfd();

	if (zeros == MAP_FAILED)
		loop_fail("mmap");
	if (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &request) < 0)
		loop_fail("userfaultfd");
	service = fork();
	if (service < 0)
		loop_fail("fork");
	if (service == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		serve(fd, zeros);
	}
	close(fd);
}

int main(int count, char **words)
{
	size_t pages;
	unsigned threads, passes;
	int status;

	loop_arguments(count, words, &pages, &threads, &passes);
	if (passes != 1) {
		fprintf(stderr, "%s: PASSES is 1: the service knows no events\n", words[0]);
		return 2;
	}
	loop_run(pages, threads, passes, prepare);
	/* One that has ended by itself did not serve all that was measured. */
	if (waitpid(service, &status, WNOHANG) != 0) {
		fprintf(stderr, "%s: the service ended early\n", words[0]);
		return 1;
	}
	kill(service, SIGKILL);
	waitpid(service, &status, 0);
	return 0;
}
