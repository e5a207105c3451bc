# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Signals do what they do without tracing, to programs that touch fresh memory in their handlers and
# in the calls that signals interrupt. The programs write what they touch; tests/check_trace.py
# compares.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

@test "no EINTR where there is none without tracing" {
	in_each_way interrupts undisturbed 40
	grep -q 'interrupted 0, unexpected 0' untraced.out
}

@test "interval timers at 1 kHz, with calls that are restarted and calls that are not" {
	in_each_way --only "missing preloaded write sigbus unprivileged" interrupts timers 80
	grep -q 'restarting 1: reads interrupted none' untraced.out
	# Signals on signals: some stacks cannot be read; nothing else is lost.
	run_faultline record --quiet --capture=signal -o signal.jsonl -- \
		"$PROGRAMS/interrupts" timers truth 80
	diff untraced.out stdout
	run_command "$TOP/tests/check_trace.py" --once --any-name --stacks=none --truth truth signal.jsonl
}

@test "queued signals: order, values, waiting for them, signalfd" {
	in_each_way interrupts queue
}

@test "handlers that nest, reset themselves, have a stack of their own; sigsuspend, pselect, ppoll" {
	in_each_way interrupts flags
}

@test "a heap that grows by SIGSEGV, and jumps out of handlers that have faulted" {
	in_each_way interrupts grow 60
	grep -q 'heap: 60 pages, sum 180, 60 jumps' untraced.out
}

@test "jumps out of whatever a signal interrupted" {
	in_each_way interrupts jump 300
	grep -q '300 jumps, right 1' untraced.out
}

@test "SIGSTOP, ptrace stops and SIGKILL while threads wait for pages" {
	in_each_way interrupts stops 60
	grep -q 'stopped 60, traced 60, then code 2 status 9' untraced.out
}

@test "the program's own use of signal 16" {
	in_each_way interrupts 16
	grep -q 'by default: 10' untraced.out
	# procps sets a handler for each signal.
	export FAULTLINE_CAPTURE=signal
	same_as_untraced ps -o comm= -p 1
}

@test "vector registers outlive faults, in handlers too" {
	in_each_way --only "missing preloaded write sigbus unprivileged" interrupts registers 1000
	grep -q '1000 of 1000 right' untraced.out
	run_faultline record --quiet --capture=signal -o signal.jsonl -- \
		"$PROGRAMS/interrupts" registers truth 1000
	diff untraced.out stdout
}

@test "dispositions that a program sees, with a signal to read stacks by" {
	export FAULTLINE_CAPTURE=signal
	same_as_untraced "$PROGRAMS/probe" signals
}
