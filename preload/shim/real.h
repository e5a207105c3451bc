/* SPDX-License-Identifier: MIT */
/*
 * real.h: the functions that ours stand in front of. All are looked up once, before the program's
 * first allocation returns: dlsym itself may call calloc, and looking up inside the mmap hook would
 * deadlock allocators that map memory under their own lock.
 */
#ifndef FAULTLINE_REAL_H
#define FAULTLINE_REAL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <ucontext.h>

#define EXPORT __attribute__((visibility("default")))

struct statx;

/* X(result, name, (parameters)). One that libc does not have stays NULL: nobody can call it. */
#define REAL_FUNCTIONS(X)                                                                          \
	X(void *, malloc, (size_t))                                                                \
	X(void *, calloc, (size_t, size_t))                                                        \
	X(void *, realloc, (void *, size_t))                                                       \
	X(void *, reallocarray, (void *, size_t, size_t))                                          \
	X(void, free, (void *))                                                                    \
	X(int, posix_memalign, (void **, size_t, size_t))                                          \
	X(void *, aligned_alloc, (size_t, size_t))                                                 \
	X(void *, memalign, (size_t, size_t))                                                      \
	X(void *, valloc, (size_t))                                                                \
	X(void *, pvalloc, (size_t))                                                               \
	X(size_t, malloc_usable_size, (void *))                                                    \
	X(void *, mmap, (void *, size_t, int, int, int, off_t))                                    \
	X(int, munmap, (void *, size_t))                                                           \
	X(void *, mremap, (void *, size_t, size_t, int, ...))                                      \
	X(int, madvise, (void *, size_t, int))                                                     \
	X(int, mlockall, (int))                                                                    \
	X(int, munlockall, (void))                                                                 \
	X(void *, shmat, (int, const void *, int))                                                 \
	X(int, shmdt, (const void *))                                                              \
	X(int, brk, (void *))                                                                      \
	X(void *, sbrk, (intptr_t))                                                                \
	X(pid_t, fork, (void))                                                                     \
	X(pid_t, vfork, (void))                                                                    \
	X(int, dlclose, (void *))                                                                  \
	X(int, ioctl, (int, unsigned long, ...))                                                   \
	/* where a stack may lie, and which signals are blocked: handler.c */                      \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                     \
	X(sighandler_t, signal, (int, sighandler_t))                                               \
	X(int, sigprocmask, (int, const sigset_t *, sigset_t *))                                   \
	X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                               \
	X(int, sigsuspend, (const sigset_t *))                                                     \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	X(int, pselect,                                                                            \
	    (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))        \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
	X(int, sigaltstack, (const stack_t *, stack_t *))                                          \
	X(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))   \
	X(void, makecontext, (ucontext_t *, void (*)(void), int, ...))                             \
	X(int, clone, (int (*)(void *), void *, int, void *, ...))                                 \
	/* what hands memory to the kernel: buffers.c */                                           \
	X(ssize_t, read, (int, void *, size_t))                                                    \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t))                                      \
	X(ssize_t, pread, (int, void *, size_t, off_t))                                            \
	X(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t))                              \
	X(ssize_t, __pread64_chk, (int, void *, size_t, off_t, size_t))                            \
	X(ssize_t, readv, (int, const struct iovec *, int))                                        \
	X(ssize_t, preadv, (int, const struct iovec *, int, off_t))                                \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                          \
	X(ssize_t, recv, (int, void *, size_t, int))                                               \
	X(ssize_t, __recv_chk, (int, void *, size_t, size_t, int))                                 \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))           \
	X(ssize_t, __recvfrom_chk,                                                                 \
	    (int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *))                    \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                           \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                \
	X(ssize_t, write, (int, const void *, size_t))                                             \
	X(ssize_t, pwrite, (int, const void *, size_t, off_t))                                     \
	X(ssize_t, writev, (int, const struct iovec *, int))                                       \
	X(ssize_t, pwritev, (int, const struct iovec *, int, off_t))                               \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                         \
	X(ssize_t, vmsplice, (int, const struct iovec *, size_t, unsigned))                        \
	X(ssize_t, send, (int, const void *, size_t, int))                                         \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))   \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                     \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                   \
	X(size_t, fread, (void *, size_t, size_t, FILE *))                                         \
	X(size_t, fread_unlocked, (void *, size_t, size_t, FILE *))                                \
	X(size_t, __fread_chk, (void *, size_t, size_t, size_t, FILE *))                           \
	X(size_t, __fread_unlocked_chk, (void *, size_t, size_t, size_t, FILE *))                  \
	X(size_t, fwrite, (const void *, size_t, size_t, FILE *))                                  \
	X(size_t, fwrite_unlocked, (const void *, size_t, size_t, FILE *))                         \
	X(int, setvbuf, (FILE *, char *, int, size_t))                                             \
	X(ssize_t, process_vm_readv,                                                               \
	    (pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long,      \
		unsigned long))                                                                    \
	X(ssize_t, process_vm_writev,                                                              \
	    (pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long,      \
		unsigned long))                                                                    \
	X(int, mlock, (const void *, size_t))                                                      \
	X(int, mlock2, (const void *, size_t, unsigned))                                           \
	X(ssize_t, getrandom, (void *, size_t, unsigned))                                          \
	X(char *, getcwd, (char *, size_t))                                                        \
	X(char *, __getcwd_chk, (char *, size_t, size_t))                                          \
	X(ssize_t, readlink, (const char *, char *, size_t))                                       \
	X(ssize_t, __readlink_chk, (const char *, char *, size_t, size_t))                         \
	X(ssize_t, readlinkat, (int, const char *, char *, size_t))                                \
	X(ssize_t, __readlinkat_chk, (int, const char *, char *, size_t, size_t))                  \
	X(ssize_t, getdents64, (int, void *, size_t))                                              \
	X(int, stat, (const char *, struct stat *))                                                \
	X(int, lstat, (const char *, struct stat *))                                               \
	X(int, fstat, (int, struct stat *))                                                        \
	X(int, fstatat, (int, const char *, struct stat *, int))                                   \
	X(int, statx, (int, const char *, int, unsigned, struct statx *))                          \
	X(int, statfs, (const char *, struct statfs *))                                            \
	X(int, fstatfs, (int, struct statfs *))                                                    \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                  \
	X(int, poll, (struct pollfd *, nfds_t, int))                                               \
	X(int, __poll_chk, (struct pollfd *, nfds_t, int, size_t))                                 \
	X(int, accept, (int, struct sockaddr *, socklen_t *))                                      \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                                   \
	/* reach.c */                                                                              \
	X(long, ptrace, (int, ...))

/* X(name, register of the argument that points to memory, bytes of it, what they are): ANSWER of
   buffers.c. */
#define REAL_ANSWERS(X)                                                                            \
	X(open, "rdi", 1, path)                                                                    \
	X(open64, "rdi", 1, path)                                                                  \
	X(openat, "rsi", 1, path)                                                                  \
	X(openat64, "rsi", 1, path)                                                                \
	X(pipe, "rdi", 8, answer)                                                                  \
	X(pipe2, "rdi", 8, answer)                                                                 \
	X(socketpair, "rcx", 8, answer)                                                            \
	X(uname, "rdi", sizeof(struct utsname), answer)                                            \
	X(sysinfo, "rdi", sizeof(struct sysinfo), answer)                                          \
	X(times, "rdi", sizeof(struct tms), answer)                                                \
	X(getrusage, "rsi", sizeof(struct rusage), answer)                                         \
	X(getrlimit, "rsi", sizeof(struct rlimit), answer)                                         \
	X(getrlimit64, "rsi", sizeof(struct rlimit), answer)                                       \
	X(prlimit, "rcx", sizeof(struct rlimit), answer)                                           \
	X(prlimit64, "rcx", sizeof(struct rlimit), answer)                                         \
	X(wait, "rdi", sizeof(int), answer)                                                        \
	X(waitpid, "rsi", sizeof(int), answer)                                                     \
	X(waitid, "rdx", sizeof(siginfo_t), answer)                                                \
	X(sigpending, "rdi", 8, answer)                                                            \
	X(getitimer, "rsi", sizeof(struct itimerval), answer)                                      \
	X(timerfd_gettime, "rsi", sizeof(struct itimerspec), answer)

/* X(name): the functions that only something of ours comes before: BEFORE of answers.c. */
#define REAL_BEFORES(X)                                                                            \
	X(wait4)                                                                                   \
	X(select)                                                                                  \
	X(connect)                                                                                 \
	X(bind)                                                                                    \
	X(execve)                                                                                  \
	X(execv)                                                                                   \
	X(execvp)                                                                                  \
	X(execvpe)                                                                                 \
	X(posix_spawn)                                                                             \
	X(posix_spawnp)                                                                            \
	X(setsockopt)                                                                              \
	X(sendfile)                                                                                \
	X(sendfile64)                                                                              \
	X(splice)                                                                                  \
	X(copy_file_range)                                                                         \
	X(sigwaitinfo)                                                                             \
	X(sigtimedwait)                                                                            \
	X(nanosleep)                                                                               \
	X(clock_nanosleep)                                                                         \
	X(setitimer)                                                                               \
	X(timerfd_settime)                                                                         \
	X(sched_getaffinity)                                                                       \
	X(sched_setaffinity)                                                                       \
	X(getgroups)                                                                               \
	X(msgrcv)                                                                                  \
	X(msgsnd)                                                                                  \
	X(getxattr)                                                                                \
	X(lgetxattr)                                                                               \
	X(fgetxattr)                                                                               \
	X(listxattr)                                                                               \
	X(llistxattr)                                                                              \
	X(flistxattr)                                                                              \
	X(syscall)                                                                                 \
	X(prctl)

#define REAL_BEFORE_MEMBER(name)			void (*name)(void);
#define REAL_ANSWER_MEMBER(name, pointer, size, before) void (*name)(void);
#define REAL_MEMBER(result, name, parameters)		result(*name) parameters;

struct shim_real {
	REAL_FUNCTIONS(REAL_MEMBER)
	REAL_ANSWERS(REAL_ANSWER_MEMBER)
	REAL_BEFORES(REAL_BEFORE_MEMBER)
	bool glibc_malloc;		     /* chunk headers are glibc's */
	uintptr_t loader_start, loader_size; /* the dynamic linker's code */
	uintptr_t libc_start, libc_size;     /* libc's code */
};
extern struct shim_real real;

enum { REAL_UNRESOLVED, REAL_RESOLVING, REAL_RESOLVED };
extern uint32_t real_state; /* atomic */

void real_resolve(void);

/* False while the real functions are not known: this very thread is looking them up. */
static inline bool real_ready(void)
{
	if (__builtin_expect(__atomic_load_n(&real_state, __ATOMIC_ACQUIRE) == REAL_RESOLVED, 1))
		return true;
	real_resolve();
	return __atomic_load_n(&real_state, __ATOMIC_ACQUIRE) == REAL_RESOLVED;
}

/* Goes to the function that `first` has returned, if any, which takes every argument but the first.
 */
#define REAL_INSTEAD                                                                               \
	"testq %%r11, %%r11\n\t"                                                                   \
	"je 1f\n\t"                                                                                \
	"movq %%rsi, %%rdi\n\tmovq %%rdx, %%rsi\n\tmovq %%rcx, %%rdx\n\tmovq %%r8, %%rcx\n\t"      \
	"movq %%r9, %%r8\n\tmovq 8(%%rsp), %%r9\n\tjmp *%%r11\n1:\t"

/*
 * The body of a naked function: calls `first`, then goes to the real `name`, which finds every
 * argument, of whatever number, in the registers and on the stack as they came. `set` moves what
 * `first` needs into place; `instead` is "" or REAL_INSTEAD. On entry the stack is 8 bytes from
 * being aligned for a call.
 */
#define REAL_FORWARD(set, first, instead, name, constant)                                          \
	__asm__("pushq %%rdi\n\tpushq %%rsi\n\tpushq %%rdx\n\tpushq %%rcx\n\t"                     \
		"pushq %%r8\n\tpushq %%r9\n\tpushq %%rax\n\t.cfi_adjust_cfa_offset 56\n\t" set     \
		"call " #first "\n\tmovq %%rax, %%r11\n\t"                                         \
		"popq %%rax\n\tpopq %%r9\n\tpopq %%r8\n\tpopq %%rcx\n\tpopq %%rdx\n\t"             \
		"popq %%rsi\n\tpopq %%rdi\n\t.cfi_adjust_cfa_offset -56\n\t" instead               \
		"jmp *real+%c0(%%rip)"                                                             \
		:                                                                                  \
		: "i"(offsetof(struct shim_real, name)), "i"(constant))

#endif
