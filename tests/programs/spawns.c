/* SPDX-License-Identifier: MIT */
/*
 * spawns: children that are made without fork: vfork, posix_spawn with each of its attributes,
 * clone that shares memory, clone3 and the system calls themselves. Each touches memory and tells
 * what it sees.
 *
 *   spawns WHAT TRUTH [ARGUMENT]
 */
#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGES	    ((size_t)6)
#define STACK_BYTES ((size_t)256 << 10)

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

extern char **environ;

static const char *truth, *argument;
static volatile char *memory;
static volatile int said;

static int wait_for(pid_t child, int options)
{
	int status = -1;

	if (child < 0 || waitpid(child, &status, options) != child)
		truth_fail("waitpid");
	return status;
}

static void show(const char *what, int status)
{
	if (WIFSIGNALED(status))
		printf("%s: signal %d\n", what, WTERMSIG(status));
	else
		printf("%s: status %d\n", what, WEXITSTATUS(status));
}

/* A process that shares the memory of `owner` notes for it. */
static void share(pid_t owner)
{
	truth_memory_of = owner;
	truth_self.tid = (pid_t)syscall(SYS_gettid);
	truth_self.name = NULL; /* it has the name of its parent until somebody changes it */
}

static void unshare_again(const char *name)
{
	truth_memory_of = 0;
	truth_self.tid = gettid();
	truth_self.name = name;
}

/* ---- vfork ---- */

static int by_vfork(void)
{
	pid_t owner = getpid(), pid;

	memory = notes_map(4 * PAGES, MAP_PRIVATE);
	for (int turn = 0; turn < 2; turn++) {
		pid = vfork();
		if (pid == 0) {
			share(owner);
			notes_write(memory + (size_t)turn * PAGES * PAGE, PAGES, 5);
			said = 40 + turn;
			if (turn == 0)
				_exit(6);
			execl("/bin/sh", "sh", "-c", "exit 7", NULL);
			_exit(127);
		}
		unshare_again("spawns");
		show("vfork", wait_for(pid, 0));
		printf("the child said %d, %zu pages\n", said,
		    notes_right(memory + (size_t)turn * PAGES * PAGE, PAGES, 5));
	}
	return 0;
}

/* ---- posix_spawn ---- */

static const char probe_script[] =
    "grep -E '^Sig(Blk|Ign)' /proc/self/status; ps -o pgid=,pid=,sid= $$ | "
    "{ read -r g p s; [ $g = $p ] && echo leader; [ $s = $p ] && echo session; }; "
    "chrt -p $$ | sed 's/^pid [0-9]*/pid/'; id -u; pwd; cat <&7; exit 9";

static void spawn_with(const char *what, posix_spawnattr_t *attributes)
{
	char *arguments[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)probe_script, NULL};
	posix_spawn_file_actions_t actions;
	int fds[2], error;
	pid_t pid = 0;

	fflush(stdout);
	if (pipe(fds) != 0 || write(fds[1], "piped\n", 6) != 6)
		truth_fail("pipe");
	close(fds[1]);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], 7);
	posix_spawn_file_actions_addclose(&actions, fds[0]);
	posix_spawn_file_actions_addchdir_np(&actions, "/usr");
	error = posix_spawn(&pid, "/bin/sh", &actions, attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[0]);
	printf("%s: error %d\n", what, error);
	if (error == 0)
		show(what, wait_for(pid, 0));
}

static void on_signal(int number)
{
	(void)number;
}

static int by_posix_spawn(void)
{
	struct sched_param parameter = {0};
	posix_spawnattr_t attributes;
	volatile char *last = notes_map(PAGES, MAP_PRIVATE); /* where no child's stack ever was */
	sigset_t set;

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	spawn_with("plain", NULL);
	for (int i = 0; i < 7; i++) {
		static const short flags[] = {POSIX_SPAWN_SETSIGMASK, POSIX_SPAWN_SETSIGDEF,
		    POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_SETSCHEDULER, POSIX_SPAWN_RESETIDS,
		    POSIX_SPAWN_SETSID, POSIX_SPAWN_SETSCHEDPARAM};
		char name[32];

		posix_spawnattr_init(&attributes);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGHUP);
		posix_spawnattr_setsigmask(&attributes, &set);
		posix_spawnattr_setsigdefault(&attributes, &set);
		posix_spawnattr_setpgroup(&attributes, 0);
		posix_spawnattr_setschedpolicy(&attributes, SCHED_BATCH);
		posix_spawnattr_setschedparam(&attributes, &parameter);
		posix_spawnattr_setflags(&attributes, flags[i]);
		snprintf(name, sizeof(name), "attribute %d", i);
		spawn_with(name, &attributes);
		posix_spawnattr_destroy(&attributes);
	}
	printf("system %x, none %x\n", (unsigned)system("exit 3"),
	    (unsigned)system("/does/not/exist"));
	FILE *pipe = popen("tr a-z A-Z; exit 4", "w");
	fputs("through popen\n", pipe);
	printf("pclose %x\n", (unsigned)pclose(pipe));
	notes_write(last, PAGES, 3);
	return notes_right(last, PAGES, 3) != PAGES;
}

/* ---- clone ---- */

static int sharing(void *owner)
{
	share((pid_t)(intptr_t)owner);
	notes_write(memory, PAGES, 8);
	said++;
	return 11;
}

static int alone(void *unused UNUSED)
{
	bool right;

	truth_forked();
	truth_thread("alone");
	right = notes_live(PAGES, 9);
	truth_write(truth, "a");
	return right ? 12 : 99;
}

static int by_clone(void)
{
	static const struct {
		const char *name;
		int flags;
		int (*function)(void *);
	} kinds[] = {
	    {"memory", CLONE_VM | SIGCHLD, sharing},
	    {"memory, as vfork", CLONE_VM | CLONE_VFORK | SIGCHLD, sharing},
	    {"memory, files, folder", CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, sharing},
	    {"memory, handlers", CLONE_VM | CLONE_SIGHAND | SIGCHLD, sharing},
	    {"memory, no signal", CLONE_VM, sharing},
	    {"as vfork", CLONE_VFORK | SIGCHLD, alone},
	    {"nothing", SIGCHLD, alone},
	    {"no signal", 0, alone},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		pid_t pid;

		memory = notes_map(PAGES, MAP_PRIVATE);
		said = 0;
		pid = clone(kinds[i].function, stack + STACK_BYTES, kinds[i].flags,
		    (void *)(intptr_t)getpid());
		if (pid < 0)
			truth_fail("clone");
		show(kinds[i].name, wait_for(pid, __WALL));
		unshare_again("spawns");
		printf("%s: said %d, %zu pages\n", kinds[i].name, said,
		    said ? notes_right(memory, PAGES, 8) : 0);
	}
	return 0;
}

/* ---- clone3 and the bare system calls ---- */

static void child_of(const char *name)
{
	struct sigaction action;
	bool right;

	truth_forked();
	truth_thread("bare");
	right = notes_live(PAGES, 4);
	sigaction(SIGUSR2, NULL, &action);
	printf("%s: right %d, handler %s\n", name, right,
	    action.sa_handler == SIG_DFL ? "default" : "kept");
	fflush(stdout);
	truth_write(truth, "a");
	_exit(13);
}

static pid_t last_pid; /* of a child that has ended: its number is free */

static void clone3_with(const char *name, struct clone_args *args)
{
	long pid;

	fflush(stdout);
	pid = syscall(SYS_clone3, args, sizeof(*args));
	if (pid == 0)
		child_of(name);
	if (pid < 0) {
		printf("%s: errno %d\n", name, errno);
		return;
	}
	if (args->flags & CLONE_PIDFD) {
		struct pollfd wait = {.fd = *(int *)(uintptr_t)args->pidfd, .events = POLLIN};
		siginfo_t info = {0};

		printf("%s: polled %d", name, poll(&wait, 1, -1));
		waitid((idtype_t)P_PIDFD, (id_t)wait.fd, &info, WEXITED | WNOWAIT);
		printf(", %s\n", info.si_pid == pid ? "the same" : "another");
		close(wait.fd);
	}
	if (args->set_tid)
		printf("%s: %s\n", name,
		    *(pid_t *)(uintptr_t)args->set_tid == pid ? "as asked" : "not");
	show(name, wait_for((pid_t)pid, __WALL));
	last_pid = (pid_t)pid;
}

static int by_clone3(void)
{
	/* The kernel writes the descriptor into fresh memory, as the first of all. */
	int *pidfd = (int *)(uintptr_t)mmap(
	    NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t wanted, too_high = 1 << 30;

	signal(SIGUSR2, on_signal);
	clone3_with("plain", &(struct clone_args){.exit_signal = SIGCHLD});
	clone3_with(
	    "handlers", &(struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD});
	*pidfd = -1;
	clone3_with("descriptor", &(struct clone_args){
				      .flags = CLONE_PIDFD,
				      .exit_signal = SIGCHLD,
				      .pidfd = (uint64_t)(uintptr_t)pidfd,
				  });
	/* The kernel copies the memory, and has told of it, before it finds that this cannot be. */
	clone3_with("none", &(struct clone_args){
				.exit_signal = SIGCHLD,
				.set_tid = (uint64_t)(uintptr_t)&too_high,
				.set_tid_size = 1,
			    });
	wanted = last_pid;
	clone3_with("number", &(struct clone_args){
				  .exit_signal = SIGCHLD,
				  .set_tid = (uint64_t)(uintptr_t)&wanted,
				  .set_tid_size = 1,
			      });
	if (argument) {
		int fd = open(argument, O_RDONLY | O_DIRECTORY);

		clone3_with("group", &(struct clone_args){
					 .flags = CLONE_INTO_CGROUP,
					 .exit_signal = SIGCHLD,
					 .cgroup = (uint64_t)fd,
				     });
	}
	clone3_with("wrong", &(struct clone_args){.flags = CLONE_SIGHAND, .exit_signal = SIGCHLD});
	return 0;
}

static int bare(void)
{
	long pid;

	fflush(stdout);
	pid = syscall(SYS_fork);
	if (pid == 0)
		child_of("fork");
	show("fork", wait_for((pid_t)pid, 0));
	fflush(stdout);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		child_of("clone");
	show("clone", wait_for((pid_t)pid, 0));
	return !notes_live(PAGES, 3);
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"vfork", by_vfork},
    {"posix_spawn", by_posix_spawn},
    {"clone", by_clone},
    {"clone3", by_clone3},
    {"bare", bare},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	argument = argv[3];
	truth_thread("spawns");
	fclose(fopen(truth, "w"));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int result;

		if (strcmp(argv[1], table[i].name) != 0)
			continue;
		result = table[i].function();
		truth_write(truth, "a");
		return result;
	}
	return 2;
}
