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
	in_each_way --only "missing preloaded write unprivileged signal" neighbours above 20
	grep -q -x '20 of 20 were right, 0 pages above them were touched' untraced.out
}

@test "threads map where the stacks of others were" {
	in_each_way --only "missing preloaded unprivileged" neighbours churn 15
	grep -q -x '300 of 300 lives were right' untraced.out
}

@test "mapped over, cut, moved, grown, left behind, protected and given back, in random order" {
	local seed
	for seed in 1 2 3; do
		in_each_way --acts geometry random $seed 250
	done
}

@test "the same by several threads at once, and in children" {
	in_each_way --acts geometry threads 1 150
	in_each_way --acts geometry children 1 120
}
