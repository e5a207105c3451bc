# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Threads of every kind are as without tracing, and the trace knows who touched what. The programs
# write what they touch; tests/check_trace.py compares.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

# bats test_tags=stress
@test "a thousand threads at once, on the same pages and on their own" {
	in_each_way --only "missing write sigbus signal" crowd many 1000
	grep -q '1000 of 1000 threads were right, 64000 bytes' untraced.out
}

@test "many short threads" {
	same_as_untraced "$PROGRAMS/probe" threads 400
}

@test "cancelled in a fault, asynchronously and not, and in a read of a fresh page" {
	in_each_way crowd cancelled 40
	grep -q '120 of 120 were cancelled, 120 cleaned up' untraced.out
}

@test "destructors that touch fresh memory" {
	in_each_way crowd destructors 200
	grep -q '600 destructors, 600 right' untraced.out
}

# The kernel tells what a move has left when its thread goes on, and another may have moved there.
@test "memory that grows to where other threads' have just been" {
	in_each_way crowd moved 100
	grep -q '8000 of 8000 pages were right' untraced.out
}

@test "threads whose process changes its user" {
	requires unprivileged-user
	cd "$NOBODY_FOLDER"
	in_each_way crowd user 100
	grep -q 'users 65534 65534 65534 65534' untraced.out
}

@test "robust mutexes, condition variables across fork, futexes in fresh pages" {
	# In mode write the kernel's look at a word is no fault.
	in_each_way --only "missing preloaded sigbus unprivileged signal" crowd futexes 40
	grep -q '40 of 40 owners were dead' untraced.out
	run_faultline record --quiet --mode=write -o write.jsonl -- "$PROGRAMS/crowd" futexes truth 40
	diff untraced.out stdout
	assert_complete write.jsonl
}

@test "each change of a thread's name" {
	in_each_way crowd names 20
	run_command "$TOP/tests/check_trace.py" --once --truth truth signal.jsonl || true
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/crowd" names truth 20
	run_command "$TOP/tests/check_trace.py" --once --truth truth trace.jsonl
	trace_lines trace.jsonl thread .name >names
	cat names
	(($(grep -c '^name ' names) == 20))
}

@test "restartable sequences and membarrier" {
	in_each_way crowd restartable
}

@test "the main thread ends and others go on" {
	local way
	in_each_way crowd without-main 60
	[[ $(<untraced.status) == 5 ]]
	# Deep stacks are read from memory that the main thread's number does not lead to any more.
	for way in missing write unprivileged; do
		trace_lines "$way.jsonl" stack '[.frames[] | select(.symbol == "descend")] | length' |
			sort -n | uniq >depths
		[[ $(tail -n 1 depths) == 59 || $(tail -n 1 depths) == 60 ]]
	done
}

@test "stacks of the program's own making, and what pthread_getattr_np says" {
	in_each_way stacks own 20
	grep -q '20 of 20' untraced.out
}

@test "the smallest stacks" {
	in_each_way --only "$EACH_WAY forkless" stacks small 20
	grep -q '20 of 20' untraced.out
}

@test "a stack that is full to the brim has no room for a signal, and gets none" {
	in_each_way --only "missing preloaded write unprivileged" stacks brim 10
	run_faultline record --quiet --capture=signal -o signal.jsonl -- "$PROGRAMS/stacks" brim truth 10
	diff untraced.out stdout
}

@test "guard pages" {
	in_each_way stacks guards 10
	grep -q '10 of 10' untraced.out
}

@test "a stack is told as one when its thread runs on another" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/stacks" away truth
	trace_lines trace.jsonl region 'select(.source == "stack") | .start' | grep -q -x "$output"
}

# depths SETTING: how many bytes of stack the program's work takes, beyond those without tracing.
depths() {
	env LD_BIND_NOW=1 "$1" "$FAULTLINE" record --quiet -o trace.jsonl -- \
		"$PROGRAMS/stacks" depth truth 2>traced >/dev/null
	paste -d ' ' untraced traced | awk '{ print $NF - $(NF / 2), $0 }' | sort -n >beyond
	cat beyond
	tail -n 1 beyond | cut -d ' ' -f 1 >most
}

@test "what tracing takes of the program's stack is little" {
	local frame
	frame=$("$PROGRAMS/stacks" frame truth)
	LD_BIND_NOW=1 "$PROGRAMS/stacks" depth truth 2>untraced >/dev/null
	depths FAULTLINE_MODE=missing
	(($(<most) < 1024))
	depths FAULTLINE_WITHOUT=event-fork
	(($(<most) < 1536))
	depths FAULTLINE_UNPRIVILEGED=1
	(($(<most) < 1536))
	# A signal's frame, too.
	depths FAULTLINE_CAPTURE=signal
	(($(<most) < frame + 1024))
	depths FAULTLINE_MODE=sigbus
	(($(<most) < frame + 1024))
}
