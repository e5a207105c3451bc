# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Whatever a program does to its memory, it has the same results as without tracing, and the trace
# tells it exactly. The programs write what they do; the checkers compare.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

@test "memory that nobody touches is not touched by who reads stacks" {
	export FAULTLINE_SOURCES=mmap
	in_each_way --only "missing preloaded write unprivileged signal" neighbours above 40
	grep -q -x '40 of 40 were right, 0 pages above them were touched' untraced.out
}

@test "threads map where the stacks of others were" {
	in_each_way --only "missing preloaded unprivileged" neighbours churn 40
	grep -q -x '800 of 800 lives were right' untraced.out
}
