/* SPDX-License-Identifier: MIT */
/*
 * forks: children that are made by fork in every circumstance, each of which touches memory of its
 * own and memory that it inherited, and says what it sees. What differs natively from run to run is
 * not printed.
 *
 *   forks WHAT TRUTH [COUNT [SAID]]
 */
#include "notes.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FAULTING 3
#define PAGES	 8

static const char *truth, *said;
static unsigned count;
static volatile bool stopping;

static void become_child(const char *name)
{
	truth_forked();
	truth_thread(name);
}

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		truth_fail("waitpid");
	return status;
}

static _Noreturn void leave(int status)
{
	truth_write(truth, "a");
	_exit(status);
}

/* ---- a parent whose threads fault, allocate and unmap while it forks ---- */

static NOINLINE void *faulting(void *number)
{
	size_t turn = 0;

	while (!stopping) {
		size_t size = (turn++ % 16 + 1) * 9000;
		char *allocated = malloc(size);
		volatile char *p = notes_map(PAGES, MAP_PRIVATE);

		for (size_t i = 0; i < PAGES; i++)
			p[i * PAGE] = (char)(size_t)number;
		memset(allocated, 1, size);
		if (notes_right(p + 1, PAGES, 0) + (size_t)p[0] < (size_t)number)
			truth_fail("a page is wrong");
		munmap((void *)(uintptr_t)p, PAGES * PAGE);
		free(allocated);
	}
	return NULL;
}

static int from_threads(void)
{
	volatile char *inherited = notes_map(count * 2, MAP_PRIVATE);
	pthread_t threads[FAULTING];
	unsigned right = 0;

	notes_write(inherited, count, 7);
	for (size_t i = 0; i < FAULTING; i++)
		if (pthread_create(&threads[i], NULL, faulting, (void *)(i + 1)) != 0)
			truth_fail("pthread_create");
	for (unsigned i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			bool good = notes_right(inherited, count, 7) == count;

			become_child("child");
			/* Untouched by the parent, and by each of its children for itself. */
			truth_region("mmap", inherited, 0);
			notes_write(inherited + (count + i) * PAGE, 1, (char)i);
			leave(good && notes_live(PAGES, (char)i) ? 0 : 1);
		}
		right += wait_for(pid) == 0;
	}
	stopping = true;
	for (size_t i = 0; i < FAULTING; i++)
		pthread_join(threads[i], NULL);
	truth_region("mmap", inherited, 0);
	notes_write(inherited + count * PAGE, count, 9);
	printf("%u of %u children were right\n", right, count);
	return 0;
}

/* ---- depth and number ---- */

static int descend(unsigned depth)
{
	pid_t pid;

	if (depth == 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		int below;

		become_child("descendant");
		if (!notes_live(PAGES, (char)depth))
			leave(99);
		below = descend(depth - 1);
		leave(notes_live(1, 1) ? below + 1 : 99);
	}
	return WEXITSTATUS(wait_for(pid));
}

static int grandchildren(void)
{
	printf("generations: %d\n", descend(count));
	return 0;
}

/* ---- those that outlive their parent ---- */

/* Nobody else tells a test when such a process has ended. */
static void say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		truth_fail(path);
	close(fd);
}

static void wait_for_orphanhood(pid_t parent)
{
	while (getppid() == parent)
		usleep(1000);
}

static int outliving(void)
{
	volatile char *inherited = notes_map(count, MAP_PRIVATE);
	pid_t parent = getpid();
	const char *text;

	notes_write(inherited, count / 2, 3);
	fflush(stdout);
	if (fork() == 0) {
		become_child("survivor");
		wait_for_orphanhood(parent);
		truth_region("mmap", inherited, 0);
		notes_write(inherited + count / 2 * PAGE, count / 2, 4);
		text = notes_right(inherited, count / 2, 3) == count / 2 && notes_live(count, 5)
			   ? "outlived\n"
			   : "wrong\n";
		truth_write(truth, "a");
		say(said, text);
		_exit(0);
	}
	puts("the parent leaves");
	return 0;
}

/* As daemons do: no descriptor, another folder, user, session and mask. */
static int daemonize(void)
{
	pid_t parent = getpid();

	fflush(stdout);
	if (fork() == 0) {
		struct stat folder;
		char text[200];
		int fd;

		if (setsid() < 0)
			truth_fail("setsid");
		parent = getpid();
		if (fork() > 0)
			_exit(0);
		become_child("daemon");
		for (fd = 0; fd < 1024; fd++)
			close(fd);
		fd = chdir("/");
		umask(0);
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
			setresuid(65534, 65534, 65534) != 0))
			_exit(98);
		wait_for_orphanhood(parent);
		if (!notes_live(count, 6) || stat(".", &folder) != 0)
			_exit(97);
		fd = open(truth, O_WRONLY | O_APPEND);
		snprintf(text, sizeof(text), "first descriptor %d, user %d, leader %d, root %d\n",
		    fd, (int)geteuid(), getsid(0) == getpid(), folder.st_ino == 2);
		close(fd);
		truth_write(truth, "a");
		say(said, text);
		_exit(0);
	}
	puts("the daemon is on its way");
	return 0;
}

/* ---- pthread_atfork ---- */

static char order[64];

static void note_order(char what)
{
	order[strlen(order)] = what;
	/* Handlers may allocate, before anybody else could in the child. */
	free(malloc(20000));
}

static void prepare_1(void)
{
	note_order('p');
}

static void prepare_2(void)
{
	note_order('P');
}

static void parent_1(void)
{
	note_order('a');
}

static void parent_2(void)
{
	note_order('A');
}

static void child_1(void)
{
	note_order('c');
}

static void child_2(void)
{
	note_order('C');
}

static int handlers(void)
{
	pid_t pid;

	pthread_atfork(prepare_1, parent_1, child_1);
	pthread_atfork(prepare_2, parent_2, child_2);
	pid = fork();
	if (pid == 0) {
		become_child("child");
		printf("child: %s\n", order);
		fflush(stdout);
		leave(!notes_live(PAGES, 1));
	}
	printf("status %d, parent: %s\n", wait_for(pid), order);
	return 0;
}

/* ---- many short ones ---- */

static int many(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			become_child("short");
			leave(notes_live(2, (char)i) ? (int)(i % 7) : 99);
		}
		sum += (unsigned)WEXITSTATUS(wait_for(pid));
	}
	printf("%u children, sum %u\n", count, sum);
	return 0;
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"threads", from_threads},
    {"grandchildren", grandchildren},
    {"outliving", outliving},
    {"daemon", daemonize},
    {"handlers", handlers},
    {"many", many},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	count = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	said = argc > 4 ? argv[4] : "/dev/null"; /* for who outlives this process */
	truth_thread("forks");
	fclose(fopen(truth, "w"));
	chmod(truth, 0666); /* the daemon is another user */
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
