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

@test "chosen acts, by libc and by syscall(2)" {
	in_each_way --acts geometry libc
	in_each_way --acts geometry syscall
}

@test "the same by the instruction itself, which the kernel tells of" {
	in_each_way --acts --only "missing preloaded write" geometry raw
}

@test "madvise of every kind" {
	local kind
	for kind in kinds given-back guarded; do
		in_each_way --acts advice $kind
	done
}

@test "populated and locked memory" {
	local kind
	for kind in populated locked all-locked; do
		in_each_way --acts advice $kind
	done
	# Where the kernel cannot wait it does not fill what locked memory grows by.
	in_each_way --acts --only "missing preloaded write signal" advice grown
}

@test "memory that children do not get, or get empty" {
	in_each_way --acts --only "$EACH_WAY forkless" advice children
}

# bats test_tags=slow
@test "50,000 mappings, and as many as there can be" {
	in_each_way --acts --time 200 --only missing limits mappings 50000
	grep -q '^50000 of 50000 mapped, 50000 mappings$' untraced.out
	in_each_way --acts --time 200 --only missing limits all-mappings
}

@test "a reservation of 16 TiB, committed in pieces" {
	in_each_way --acts limits reservation 200
}

@test "what is only read takes as much memory as without tracing" {
	in_each_way --acts --only "missing preloaded sigbus unprivileged signal" limits reading 200
	grep -q -x 'half of it written: [1-9][0-9]* KiB' untraced.out
}

@test "what the kernel refuses: overcommitment, RLIMIT_AS, RLIMIT_MEMLOCK" {
	requires root
	local what
	for what in overcommit space; do
		same_as_untraced "$PROGRAMS/limits" $what truth
	done
	in_each_way --acts --only "missing preloaded write signal" limits locks
}
