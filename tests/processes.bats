# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Children of every kind, and programs that run others, are as without tracing, and the trace knows
# who touched what. The programs write what they touch; tests/check_trace.py compares.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

# processes EVENT TRACE: how many process lines of that event there are.
processes() {
	trace_count "$2" process ".event == \"$1\""
}

@test "fork while threads fault, allocate and unmap" {
	in_each_way --only "$EACH_WAY forkless" forks threads 40
	grep -q '40 of 40' untraced.out
	local way
	for way in $EACH_WAY forkless; do
		(($(processes fork "$way.jsonl") == 40))
		(($(trace_lines "$way.jsonl" process 'select(.event == "exit" and .status == 0) | .pid' |
			sort -u | wc -l) == 41))
	done
}

@test "children of children" {
	in_each_way --only "$EACH_WAY forkless" forks grandchildren 20
	(($(trace_lines sigbus.jsonl process 'select(.event == "fork") | .ppid' | sort -u | wc -l) == 20))
}

# bats test_tags=stress
@test "a thousand short children" {
	in_each_way --only "missing sigbus" forks many 1000
	(($(trace_lines missing.jsonl process 'select(.event == "exit") | .pid' | sort -u | wc -l) == 1001))
}

@test "a child that outlives its parent" {
	in_each_way --only "$EACH_WAY forkless" forks outliving 40 "$PWD/said"
	[[ $(<untraced.said) == outlived ]]
}

@test "a daemon without descriptors, of another user, session and folder" {
	requires unprivileged-user
	cd "$NOBODY_FOLDER"
	in_each_way forks daemon 100 "$PWD/said"
	[[ $(<untraced.said) == "first descriptor 0, user 65534, leader 0, root "* ]]
	# Before record returned, the daemon was done and its faults were written.
	local daemon
	daemon=$(jq -r .pid truth | uniq | tail -n 1)
	(($(trace_lines signal.jsonl fault "select(.pid == $daemon) | 1" | wc -l) >= 100))
}

@test "pthread_atfork: the order of handlers, and what they allocate" {
	in_each_way forks handlers
	grep -q 'child: PpcC' untraced.out
}

@test "vfork: what the child touches is told of the memory's owner, with its own number" {
	in_each_way spawns vfork
	local owner
	owner=$(trace_lines missing.jsonl process 'select(.event == "start") | .pid')
	trace_lines missing.jsonl fault "select(.pid == $owner and .tid != $owner) | .tid" | sort -u >children
	(($(wc -l <children) == 2))
}

@test "allocations are told of who makes them, whose block it may be that libc looks at" {
	local mode
	for mode in missing sigbus; do
		run_faultline record --quiet --mode=$mode -o trace.jsonl -- "$PROGRAMS/borrowers"
		assert_complete trace.jsonl
		sort stdout >made
		trace_lines trace.jsonl alloc 'select(.size >= 100000 and .size % 4096 == 1696 and .func == "malloc") |
			"\(.size) \(.tid)"' | sort >told
		diff made told
		(($(wc -l <made) == 11))
	done
}

@test "posix_spawn with each attribute, system, popen" {
	in_each_way spawns posix_spawn
	same_as_untraced "$PROGRAMS/probe" spawn
}

@test "clone that shares memory, files, handlers, or nothing" {
	in_each_way spawns clone
}

@test "clone3: default handlers, a descriptor, a number, a group" {
	requires root
	mkdir groups
	mount -t cgroup2 none groups || skip "cannot mount cgroups of version 2 here"
	mktemp -d "$PWD/groups/faultline-XXXXXX" >group
	in_each_way spawns clone3 "$(<group)"
	grep -q 'group: status 13' untraced.out
}

teardown() {
	if [[ -s group ]]; then
		wait_until rmdir "$(<group)"
	fi
	if mountpoint -q groups; then
		umount groups
	fi
}

@test "fork and clone by the bare system calls" {
	in_each_way spawns bare
}

@test "a clone that fails after the kernel has told of it does not keep record waiting" {
	run_faultline --time 20 record --quiet -o trace.jsonl -- "$PROGRAMS/spawns" clone3 truth
	grep -q 'none: errno 22' stdout
	assert_complete trace.jsonl
	(($(processes fork trace.jsonl) == 4))
	(($(trace_lines trace.jsonl end .processes) == 5))
}

@test "what parents see: ends, stops, descriptors, orphans, SIGCHLD" {
	in_each_way waits all
	grep -q 'SIGCHLD: 30' untraced.out
}

@test "exec from a thread that is not the main one" {
	in_each_way execs thread
	grep -q 'its own process, from a thread' untraced.out
	(($(trace_lines missing.jsonl process .pid | sort -u | wc -l) == 1))
	(($(processes exec missing.jsonl) == 1))
	[[ $(trace_lines missing.jsonl process 'select(.event == "exit") | .status') == 21 ]]
}

@test "a chain of exec, by descriptor, through a script, in vain" {
	printf '#!/bin/sh\necho script; exit 24\n' >script
	chmod +x script
	in_each_way execs vain
	[[ $(<untraced.status) == 22 ]]
	(($(processes detach missing.jsonl) == 0))
	in_each_way execs descriptor
	in_each_way execs other "$PWD/script"
	(($(processes exec missing.jsonl) == 1))
	(($(trace_lines missing.jsonl process 'select(.exe | test("sh$")) | 1' | wc -l) == 1))
	same_as_untraced "$PROGRAMS/probe" exec 6
	(($(processes exec recorded.jsonl) >= 5))
	(($(trace_lines recorded.jsonl process .pid | sort -u | wc -l) == 1))
}

# ended TRACE: "EVENT STATUS" of what is told last of each process that ended tracing by itself.
ended() {
	trace_lines "$1" process 'select(.event == "detach") | .pid' >detached
	jq -r -s '.[] | select(.type == "process" and .event == "exit" and
		(.pid | IN($pids[]))) | .status' --slurpfile pids detached "$1"
}

@test "exec of what nothing is preloaded into: tracing ends, the status is right" {
	in_each_way execs other "$PROGRAMS/immune"
	[[ $(<untraced.status) == 23 ]]
	local way
	for way in missing preloaded write; do
		[[ $(ended "$way.jsonl") == 23 ]]
	done
	in_each_way execs child "$PROGRAMS/immune"
	grep -q "the child's status: 1700" untraced.out
	[[ $(ended missing.jsonl) == 23 ]]
	(($(trace_lines missing.jsonl process 'select(.event == "exit") | .pid' | wc -l) == 2))
	# As env -i does it.
	in_each_way execs bare /bin/false
	[[ $(ended missing.jsonl) == 1 ]]
	same_as_untraced bash -c 'env -i /bin/ls -d /; echo $?; exit 3'
	[[ $(ended recorded.jsonl) == 0 ]]
}
