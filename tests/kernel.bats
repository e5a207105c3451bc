# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The kernel reaches into a program's memory by many ways: system calls, rings that it works off by
# itself, other processes. What the program and those others see is what they see without tracing,
# and each first touch is in the trace, with who made it.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf root
}

# Where the kernel waits for a page.
WAITING="missing preloaded write signal"

@test "vectors, messages, pipes: calls of the program's own on memory that nobody has touched" {
	in_each_way --only "$WAITING" transfers vectors
	in_each_way --only "$WAITING" transfers messages
	in_each_way --only "$WAITING" transfers pipes
}

@test "past the page cache" {
	dd if=/dev/zero of=probe bs=4096 count=1 oflag=direct 2>/dev/null ||
		skip "this file system has no O_DIRECT"
	in_each_way --only "$WAITING" transfers direct
}

@test "answers, and sets that are waited for" {
	in_each_way --only "$WAITING" transfers answers
	in_each_way --only "$WAITING" transfers sets
}

@test "arguments of a new program, memory that is asked for at once, the end of memory" {
	in_each_way --only "$WAITING" transfers executed
	in_each_way --only "$WAITING" transfers populated
	in_each_way --only "$WAITING" transfers limits
}

@test "io_uring: in the thread that asks, at once and later; pinned buffers; rings of its own" {
	requires io_uring
	in_each_way --only "$WAITING" rings inline
	in_each_way --only "$WAITING" rings later
	in_each_way --only "$WAITING" rings fixed
	in_each_way --only "$WAITING" rings own
}

@test "io_uring: threads of the kernel's own have no stack, and are not waited for" {
	requires io_uring
	in_each_way --only "$WAITING" rings workers
	in_each_way --only "$WAITING" rings poller
}

@test "aio" {
	in_each_way --only "$WAITING" rings aio
}

@test "other processes, traced and not, children and strangers" {
	in_each_way --only "$WAITING" outside child
	in_each_way --only "$WAITING" outside orphan
	in_each_way --only "$WAITING" outside family
}

@test "a process whose first thread has ended" {
	in_each_way --only "$WAITING" outside leaderless
}

# crashed WHAT [WAYS]: in each way the program leaves a whole core file, which has the same memory in it
# as without tracing.
crashed() {
	local way
	before_each_run() { rm -f core*; }
	after_each_run() { "$TOP/tests/check_core.py" core* areas >"$1.core"; }
	in_each_way --only "${2:-$EACH_WAY}" crash "$1" "$PWD/areas"
	for way in ${2:-$EACH_WAY}; do
		diff -u untraced.core "$way.core"
	done
	rm -f core*
	cat untraced.core
}

@test "core files of programs that crash" {
	ulimit -c unlimited 2>/dev/null || skip "core files are forbidden to this user"
	[[ $(</proc/sys/kernel/core_pattern) != [/\|]* ]] ||
		skip "this machine keeps core files elsewhere: kernel.core_pattern"
	crashed segv
	grep -q -x 'private: there' untraced.core
	crashed abort "missing preloaded"
	crashed filter
	grep -q -x 'private: left out' untraced.core
	grep -q -x 'shared: there' untraced.core
}
