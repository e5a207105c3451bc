/* SPDX-License-Identifier: MIT */
/*
 * crowd: what threads can do to each other and to themselves while they touch fresh memory: being
 * many, being cancelled, ending with destructors, changing their user, sharing mutexes, running on
 * stacks of their own or very small ones, moving what they have to where others just were, going on
 * without the main thread.
 *
 *   crowd WHAT TRUTH [COUNT]
 */
#include "notes.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGES 4

static const char *truth;
static size_t count;

static void start(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	int error = pthread_create(thread, attributes, run, argument);

	if (error) {
		errno = error;
		truth_fail("pthread_create");
	}
}

/* ---- a thousand at once ---- */

static pthread_barrier_t barrier;
static volatile char *common;
static size_t common_pages;

static NOINLINE void *one_of_many(void *number)
{
	char value = (char)((size_t)number % 100 + 1);
	uintptr_t right;

	truth_thread("one of many");
	pthread_barrier_wait(&barrier);
	/* Everybody writes its own byte of each page that all have: somebody is the first. */
	for (size_t i = 0; i < common_pages; i++)
		common[i * PAGE + (size_t)number] = value;
	right = notes_live(PAGES, value);
	pthread_barrier_wait(&barrier);
	return (void *)right;
}

static int many(void)
{
	pthread_t *threads = calloc(count, sizeof(*threads));
	pthread_attr_t small;
	size_t right = 0, bytes = 0;

	common_pages = 64;
	common = notes_map(common_pages, MAP_PRIVATE);
	pthread_barrier_init(&barrier, NULL, (unsigned)count);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 << 10);
	for (size_t i = 0; i < count; i++)
		start(&threads[i], &small, one_of_many, (void *)i);
	for (size_t i = 0; i < count; i++) {
		void *result;

		pthread_join(threads[i], &result);
		right += (size_t)result;
	}
	for (size_t i = 0; i < common_pages; i++)
		for (size_t j = 0; j < count; j++)
			bytes += common[i * PAGE + j] == (char)(j % 100 + 1);
	printf("%zu of %zu threads were right, %zu bytes\n", right, count, bytes);
	/* Nobody knows who was first in these: just that there was one fault for each. */
	truth_self.name = NULL;
	for (size_t i = 0; i < common_pages; i++)
		truth_page(common + i * PAGE, "write", "user", NULL);
	return 0;
}

/* ---- cancellation ---- */

static volatile char *endless;
static volatile size_t position;
static sem_t running;
static int fds[2];
static volatile int cleaned;

static void clean(void *what)
{
	volatile char *p =
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*p = 1;
	cleaned += *p;
	munmap((void *)(uintptr_t)p, PAGE);
	(void)what;
}

/* Touches page after page; what it was at when it was cancelled is anybody's guess. */
static NOINLINE void *touching(void *asynchronous)
{
	int old;

	pthread_cleanup_push(clean, NULL);
	pthread_setcanceltype(
	    asynchronous ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &old);
	sem_post(&running);
	for (size_t i = 0;; i++) {
		endless[i % (count * 64) * PAGE] = 1;
		position = i + 1;
		if (!asynchronous)
			pthread_testcancel();
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static NOINLINE void *reading(void *turn)
{
	pthread_cleanup_push(clean, NULL);
	sem_post(&running);
	/* Nothing ever comes: the read waits, in a page that nobody has touched. */
	if (read(fds[0], (void *)(uintptr_t)(endless + (size_t)turn * PAGE), PAGE) >= 0)
		truth_fail("read");
	pthread_cleanup_pop(0);
	return NULL;
}

static int cancelled(void)
{
	size_t done = 0, size = count * 64 * PAGE;
	volatile char *last = notes_map(PAGES, MAP_PRIVATE);
	pthread_t thread;
	void *result;

	sem_init(&running, 0, 0);
	if (pipe(fds) != 0)
		truth_fail("pipe");
	for (size_t turn = 0; turn < 3 * count; turn++) {
		endless =
		    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		position = 0;
		if (turn % 3 == 2)
			start(&thread, NULL, reading, (void *)turn);
		else
			start(&thread, NULL, touching, (void *)(turn % 3));
		sem_wait(&running);
		if (turn % 3 != 2)
			while (position < turn % 17)
				sched_yield();
		pthread_cancel(thread);
		pthread_join(thread, &result);
		done += result == PTHREAD_CANCELED;
		for (size_t i = 0; turn % 3 != 2 && i < position && i < count * 64; i++)
			if (endless[i * PAGE] != 1)
				truth_fail("a write was lost");
		munmap((void *)(uintptr_t)endless, size);
	}
	printf("%zu of %zu were cancelled, %d cleaned up\n", done, 3 * count, cleaned);
	notes_write(last, PAGES, 2);
	return notes_right(last, PAGES, 2) != PAGES;
}

/* ---- destructors ---- */

static pthread_key_t keys[3];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t destroyed, right_ones;

static NOINLINE void destroy(void *value)
{
	bool right = notes_live(2, (char)(size_t)value);

	pthread_mutex_lock(&lock);
	destroyed++;
	right_ones += right;
	pthread_mutex_unlock(&lock);
}

static NOINLINE void *with_keys(void *number)
{
	truth_thread("with keys");
	for (size_t i = 0; i < 3; i++)
		pthread_setspecific(keys[i], (void *)((size_t)number % 100 + i + 1));
	return NULL;
}

static int destructors(void)
{
	pthread_t threads[8];

	for (size_t i = 0; i < 3; i++)
		pthread_key_create(&keys[i], destroy);
	for (size_t i = 0; i < count; i += 8) {
		for (size_t j = 0; j < 8; j++)
			start(&threads[j], NULL, with_keys, (void *)(i + j));
		for (size_t j = 0; j < 8; j++)
			pthread_join(threads[j], NULL);
	}
	printf("%zu destructors, %zu right\n", destroyed, right_ones);
	return 0;
}

/* ---- memory that grows moves to where another thread's has just been ---- */

#define STEPS	    5
#define FIRST_PAGES 33 /* more than M_MMAP_THRESHOLD: a mapping of its own */
#define HEADER	    16 /* of a chunk */

/* The mapping of so many pages, or of half as many, where it is now. */
static char *grown(char *start, size_t pages, bool chunk)
{
	char *p;

	if (chunk) {
		p = realloc(start ? start + HEADER : NULL, pages * PAGE - HEADER);
		return p ? p - HEADER : MAP_FAILED;
	}
	return start ? mremap(start, pages / 2 * PAGE, pages * PAGE, MREMAP_MAYMOVE)
		     : mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
}

static NOINLINE void *growing(void *number)
{
	bool chunk = (size_t)number % 2;
	size_t right = 0;

	truth_thread("growing");
	truth_region("malloc-mmap|mremap|mmap", NULL, 0);
	for (size_t turn = 0; turn < count; turn++) {
		char value = (char)(((size_t)number + turn) % 100 + 1), *p = NULL;
		size_t pages = FIRST_PAGES;

		/* Each time the end is fresh: a chunk's header lies in the first page. */
		for (size_t i = 0; i < STEPS; i++, pages *= 2) {
			p = grown(p, pages, chunk);
			if (p == MAP_FAILED)
				truth_fail("grow");
			notes_write(p + (pages - PAGES) * PAGE, PAGES, value);
		}
		while ((pages /= 2) >= FIRST_PAGES)
			right += notes_right(p + (pages - PAGES) * PAGE, PAGES, value);
		if (chunk)
			free(p + HEADER);
		else
			munmap(p, FIRST_PAGES * PAGE << (STEPS - 1));
	}
	return (void *)right;
}

static int moved(void)
{
	pthread_t threads[4];
	size_t right = 0;

	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	for (size_t i = 0; i < 4; i++)
		start(&threads[i], NULL, growing, (void *)i);
	for (size_t i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		right += (size_t)result;
	}
	printf("%zu of %zu pages were right\n", right, 4 * count * STEPS * PAGES);
	return 0;
}

/* ---- setuid, for which libc signals every thread ---- */

static volatile bool stopping;
static size_t users[4];

static NOINLINE void *faulting(void *number)
{
	do {
		volatile char *p = notes_map(PAGES, MAP_PRIVATE);

		for (size_t i = 0; i < PAGES; i++)
			p[i * PAGE] = 1;
		munmap((void *)(uintptr_t)p, PAGES * PAGE);
	} while (!stopping);
	users[(size_t)number] = (size_t)syscall(SYS_getuid);
	return NULL;
}

static int change_user(void)
{
	volatile char *last = notes_map(PAGES, MAP_PRIVATE);
	pthread_t threads[4];
	int results[4] = {0};

	for (size_t i = 0; i < 4; i++)
		start(&threads[i], NULL, faulting, (void *)i);
	for (size_t i = 0; i < count; i++)
		results[0] = seteuid(i % 2 ? 0 : 65534);
	results[1] = seteuid(geteuid() == 0 ? 0 : getuid());
	results[2] = setgroups(0, NULL);
	results[3] = setresuid(65534, 65534, 65534);
	stopping = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("%d %d %d %d, users %zu %zu %zu %zu\n", results[0], results[1], results[2],
	    results[3], users[0], users[1], users[2], users[3]);
	notes_write(last, PAGES, 2);
	return notes_right(last, PAGES, 2) != PAGES;
}

/* ---- mutexes and condition variables in traced memory ---- */

struct shared {
	pthread_mutex_t robust, plain;
	pthread_cond_t ready;
	int turn;
	uint32_t word;
};

static struct shared *make_shared(int flags)
{
	struct shared *s = (struct shared *)(uintptr_t)notes_map(1, flags);
	pthread_mutexattr_t attributes;
	pthread_condattr_t condition;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->plain, &attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->robust, &attributes);
	pthread_condattr_init(&condition);
	pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&s->ready, &condition);
	return s;
}

static NOINLINE void *dies_locked(void *shared)
{
	pthread_mutex_lock(&((struct shared *)shared)->robust);
	return NULL;
}

/* Ping-pong over a condition variable. */
static void play(struct shared *s, int me, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		pthread_mutex_lock(&s->plain);
		while (s->turn != me)
			pthread_cond_wait(&s->ready, &s->plain);
		s->turn = !me;
		pthread_cond_signal(&s->ready);
		pthread_mutex_unlock(&s->plain);
	}
}

static int futexes(void)
{
	struct timespec soon = {.tv_nsec = 1000000};
	uint32_t *words[] = {(uint32_t *)(uintptr_t)notes_map(1, MAP_PRIVATE),
	    (uint32_t *)(uintptr_t)notes_map(1, MAP_SHARED)};
	pthread_t thread;
	size_t dead = 0;
	long result;

	for (size_t i = 0; i < count; i++) {
		struct shared *s = make_shared(i % 2 ? MAP_SHARED : MAP_PRIVATE);

		start(&thread, NULL, dies_locked, s);
		pthread_join(thread, NULL);
		dead += pthread_mutex_lock(&s->robust) == EOWNERDEAD;
		pthread_mutex_consistent(&s->robust);
		pthread_mutex_unlock(&s->robust);
		munmap(s, PAGE);
	}
	printf("%zu of %zu owners were dead\n", dead, count);
	dead = 0;
	for (size_t i = 0; i < count / 8; i++) {
		struct shared *s = make_shared(MAP_SHARED);
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			play(s, 1, 20);
			pthread_mutex_lock(&s->robust);
			_exit(0);
		}
		play(s, 0, 20);
		if (waitpid(pid, &status, 0) != pid || status != 0)
			truth_fail("waitpid");
		dead += pthread_mutex_lock(&s->robust) == EOWNERDEAD;
		munmap(s, PAGE);
	}
	printf("%zu of %zu children were dead\n", dead, count / 8);
	for (size_t i = 0; i < 2; i++) {
		uint32_t *first = (uint32_t *)(uintptr_t)notes_map(1, i ? MAP_SHARED : MAP_PRIVATE);
		uint32_t *second =
		    (uint32_t *)(uintptr_t)notes_map(1, i ? MAP_SHARED : MAP_PRIVATE);
		int private = i ? 0 : FUTEX_PRIVATE_FLAG;

		result = syscall(SYS_futex, first, FUTEX_LOCK_PI | private, 0, NULL, NULL, 0);
		printf("locked: %ld %d, ", result, *first == (uint32_t)gettid());
		result = syscall(SYS_futex, first, FUTEX_WAKE_OP | private, 1, 1, second,
		    FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0));
		printf("woken: %ld %u\n", result, *second);
	}
	/* The kernel is the first to look at the word, in private and in shared memory. */
	for (int i = 0; i < 2; i++) {
		uint32_t *word = words[i];

		truth_region("mmap", word, 0);
		truth_page((volatile char *)word, i ? NULL : "read", "kernel", NULL);
		result = syscall(
		    SYS_futex, word, i ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, 1, &soon, NULL, 0);
		printf("other value: %ld %d, ", result, errno);
		result = syscall(
		    SYS_futex, word, i ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0);
		printf("waited: %ld %d\n", result, errno);
	}
	return 0;
}

/* ---- names ---- */

static int names(void)
{
	char name[16];

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "name %u", (unsigned)i % 10000);
		truth_thread(strdup(name));
		if (!notes_live(2, (char)i))
			return 1;
	}
	pthread_getname_np(pthread_self(), name, sizeof(name));
	puts(name);
	return 0;
}

/* ---- rseq and membarrier ---- */

static NOINLINE void *registered(void *unused UNUSED)
{
	const struct rseq *own =
	    (const struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	truth_thread("registered");
	if (!notes_live(PAGES, 3))
		truth_fail("a page is wrong");
	return (void *)(uintptr_t)(__rseq_size && own->cpu_id_start < 4096 && own->cpu_id < 4096);
}

static int restartable(void)
{
	pthread_t thread;
	void *result;

	start(&thread, NULL, registered, NULL);
	pthread_join(thread, &result);
	printf("rseq: size %u, registered %d\n", __rseq_size, result != NULL);
	printf("membarrier: %ld", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	printf(" %ld", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	printf(" %ld\n", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	return 0;
}

/* ---- without the main thread ---- */

static NOINLINE bool descend(size_t level, char value)
{
	volatile char frame[400];

	frame[0] = value;
	return level ? descend(level - 1, value) && frame[0] == value : notes_live(PAGES, value);
}

static NOINLINE void *going_on(void *main_thread)
{
	bool right = true;

	truth_thread("going on");
	pthread_join(*(pthread_t *)main_thread, NULL);
	for (size_t i = 0; i < count; i++)
		right &= descend(i, (char)i);
	free(malloc(300000));
	printf("went on: %d\n", right);
	fflush(stdout);
	truth_write(truth, "a");
	exit(5);
}

static int without_main(void)
{
	static pthread_t self, thread;

	self = pthread_self();
	start(&thread, NULL, going_on, &self);
	pthread_exit(NULL);
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"many", many},
    {"cancelled", cancelled},
    {"destructors", destructors},
    {"moved", moved},
    {"user", change_user},
    {"futexes", futexes},
    {"names", names},
    {"restartable", restartable},
    {"without-main", without_main},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	truth_thread("crowd");
	fclose(fopen(truth, "w"));
	chmod(truth, 0666);
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
