/* SPDX-License-Identifier: MIT */
/*
 * waits: what parents see of their children: how they ended, stopped and went on, what they used,
 * who adopts them, and which signals come of it. Parents and children touch memory meanwhile.
 *
 *   waits all TRUTH
 */
#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGES 5

static const char *truth;
static volatile sig_atomic_t deaths;

static void become_child(void)
{
	truth_forked();
	truth_thread("child");
	notes_write(
	    notes_map(PAGES, MAP_PRIVATE), PAGES, 1); /* kept: these addresses are not used again */
	truth_write(truth, "a");
	truth_touch_count = 0;
}

static pid_t make_child(void (*run)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		become_child();
		run();
		_exit(31);
	}
	return pid;
}

static void leave(void)
{
	_exit(31);
}

static void die(void)
{
	raise(SIGKILL);
}

/* Faults in a page while it is told to stop, again and again. */
static void work(void)
{
	for (;;) {
		volatile char *p =
		    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = 1;
		munmap((void *)(uintptr_t)p, PAGE);
	}
}

static void on_death(int number UNUSED)
{
	deaths++;
}

static void show(const char *what, const siginfo_t *info, pid_t pid)
{
	printf("%s: %s, signal %d, code %d, status %d, user %d\n", what,
	    info->si_pid == pid ? "it" : "another", info->si_signo, info->si_code, info->si_status,
	    (int)info->si_uid);
}

static void ends(void)
{
	void (*const kinds[])(void) = {leave, die, abort};

	for (size_t i = 0; i < 3; i++) {
		struct rusage usage = {0};
		int status = -1;
		pid_t pid = make_child(kinds[i]);
		siginfo_t info = {0};

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
			truth_fail("waitid");
		show("ended", &info, pid);
		printf("wait4: %s", wait4(pid, &status, 0, &usage) == pid ? "it" : "another");
		printf(", status %x, used %d, swaps %ld, messages %ld\n", (unsigned)status,
		    usage.ru_maxrss > 0, usage.ru_nswap, usage.ru_msgsnd);
	}
	errno = 0;
	printf("no more: %d", (int)wait(NULL));
	printf(" %d\n", errno);
}

static void stops(void)
{
	pid_t pid = make_child(work);
	siginfo_t info = {0};

	for (int i = 0; i < 20; i++) {
		kill(pid, SIGSTOP);
		waitid(P_PID, (id_t)pid, &info, WSTOPPED);
		if (i == 0)
			show("stopped", &info, pid);
		kill(pid, SIGCONT);
		waitid(P_PID, (id_t)pid, &info, WCONTINUED);
		if (i == 0)
			show("continued", &info, pid);
	}
	kill(pid, SIGSTOP);
	waitid(P_PID, (id_t)pid, &info, WSTOPPED);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED);
	show("killed", &info, pid);
}

static void by_descriptor(void)
{
	pid_t pid = make_child(work);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	siginfo_t info = {0};

	printf("running: %d\n", poll(&end, 1, 0));
	printf("sent: %ld\n", syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	printf("ended: %d\n", poll(&end, 1, -1));
	waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED);
	show("waited", &info, pid);
	close(fd);
}

static int ready[2];

/* The child that it leaves behind says who adopted it. */
static void leave_orphan(void)
{
	pid_t parent = getpid();
	char answer;

	if (fork() == 0) {
		while (getppid() == parent)
			usleep(1000);
		become_child();
		answer = getppid() == 1 ? '1' : 'a';
		if (write(ready[1], &answer, 1) != 1)
			_exit(1);
		_exit(32);
	}
	_exit(33);
}

static void adopts(void)
{
	int status, sum = 0;
	char answer;

	if (pipe(ready) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		truth_fail("prctl");
	make_child(leave_orphan);
	if (read(ready[0], &answer, 1) != 1)
		truth_fail("read");
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	printf("adopted by %c, sum %d\n", answer, sum);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* Gets SIGUSR2 when its parent ends. */
static void bereave(void)
{
	int fds[2];
	char byte = 'b';

	if (pipe(fds) != 0)
		_exit(1);
	if (fork() == 0) {
		sigset_t set;
		int number;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		prctl(PR_SET_PDEATHSIG, SIGUSR2);
		become_child();
		if (write(fds[1], &byte, 1) != 1)
			_exit(1);
		sigwait(&set, &number);
		byte = number == SIGUSR2 ? 'y' : 'n';
		if (!notes_live(PAGES, 2) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	if (read(fds[0], &byte, 1) != 1)
		_exit(1);
	_exit(0);
}

static void mourns(void)
{
	char answer;

	make_child(bereave);
	wait(NULL);
	if (read(ready[0], &answer, 1) != 1)
		truth_fail("read");
	printf("the parent's death: %c\n", answer);
}

/* A stopped member of a group that becomes orphaned gets SIGHUP and SIGCONT. */
static void abandon(void)
{
	siginfo_t info;
	pid_t pid;

	setpgid(0, 0);
	pid = fork();
	if (pid == 0) {
		sigset_t set;
		int number;
		char byte;

		sigemptyset(&set);
		sigaddset(&set, SIGHUP);
		sigprocmask(SIG_BLOCK, &set, NULL);
		become_child();
		raise(SIGSTOP);
		sigwait(&set, &number);
		byte = number == SIGHUP ? 'y' : 'n';
		if (!notes_live(PAGES, 2) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	waitid(P_PID, (id_t)pid, &info, WSTOPPED);
	_exit(0);
}

static void orphans(void)
{
	char answer;

	make_child(abandon);
	wait(NULL);
	if (read(ready[0], &answer, 1) != 1)
		truth_fail("read");
	printf("hung up: %c\n", answer);
}

/* One at a time, so that no two of them become one. */
static void counts(void)
{
	struct sigaction action = {.sa_handler = on_death, .sa_flags = SA_RESTART};

	sigaction(SIGCHLD, &action, NULL);
	for (int i = 0; i < 30; i++) {
		pid_t pid = make_child(leave);

		if (waitpid(pid, NULL, 0) != pid || !notes_live(2, (char)i))
			truth_fail("waitpid");
	}
	printf("SIGCHLD: %d\n", (int)deaths);
	signal(SIGCHLD, SIG_IGN);
	make_child(leave);
	errno = 0;
	printf("ignored: %d", (int)wait(NULL));
	printf(" %d\n", errno);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	fclose(fopen(truth, "w"));
	truth_thread("waits");
	ends();
	stops();
	by_descriptor();
	adopts();
	mourns();
	orphans();
	counts();
	truth_write(truth, "a");
	return 0;
}
