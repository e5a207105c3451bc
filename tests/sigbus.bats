# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# --mode=sigbus, where each thread serves its own faults, and --unprivileged: in both the kernel
# itself does not wait for a page. Programs compute the same, and the traces are exact.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd
}

# compared STACKS PROGRAM ARGUMENTS...: records both builds with "${options[@]}" and compares the
# trace with what the program did. bss is not traced here.
compared() {
	local stacks=$1 program=$2 suffix
	shift 2
	for suffix in "" -O2; do
		rm -f truth trace.jsonl
		run_faultline record --quiet "${options[@]}" --output=trace.jsonl -- \
			"$PROGRAMS/$program$suffix" truth "$@"
		cat stdout
		run_command --time 120 "$TOP/tests/check_trace.py" --once --any-name \
			--stacks="$stacks" --untraced=bss --truth truth trace.jsonl
	done
}

@test "sigbus: every kind of mapping, every malloc function and system calls, all exact" {
	local options=(--mode=sigbus)
	compared all mappings 1000
	compared all heap 1500
	compared none syscalls 1024 # a function of it has a frame of 128 KiB
	[[ $(trace_lines trace.jsonl session '"\(.mode) \(.capture)"') == "sigbus signal" ]]
	trace_lines trace.jsonl session '.features[]' | grep -q -x sigbus
}

@test "sigbus: stacks are what libunwind says" {
	# shellcheck disable=SC2016
	run_faultline record --quiet --mode=sigbus --verify-stacks -o trace.jsonl -- \
		perl -e 'my %h; $h{$_ % 5000} .= "x$_" for 1..100000; print scalar(%h), "\n"'
	[[ $(<stdout) == 5000 ]]
	assert_complete trace.jsonl
	grep -q -E '[1-9][0-9]{2,} stacks were unwound by libunwind as well; 0 differ' stderr
}

@test "unprivileged: the same, as a user who may nothing" {
	requires unprivileged-user
	local options=(--unprivileged)
	compared all mappings 1000
	compared all heap 1500
	compared all syscalls 1024
	cd "$NOBODY_FOLDER"
	run_command "${AS_NOBODY[@]}" "$FAULTLINE" record --quiet --unprivileged --output=trace.jsonl -- \
		"$PROGRAMS/mappings-O2" truth 500
	run_command "$TOP/tests/check_trace.py" --once --any-name --stacks=user --untraced=bss \
		--truth truth trace.jsonl
	[[ $(trace_lines trace.jsonl session .unprivileged) == true ]]
	run_command "${AS_NOBODY[@]}" FAULTLINE_UNPRIVILEGED=1 FAULTLINE_OUTPUT=preloaded.jsonl \
		LD_PRELOAD="$SHIM" "$PROGRAMS/buserror" transfers
	wait_until has_ended preloaded.jsonl
	assert_complete preloaded.jsonl
}

@test "unprivileged: is never chosen unasked" {
	requires unprivileged-user
	cd "$NOBODY_FOLDER"
	run_command --status 125 "${AS_NOBODY[@]}" "$FAULTLINE" record -o trace.jsonl -- touch ran
	grep -q -e '--unprivileged' stderr
	[[ ! -e ran && ! -e trace.jsonl ]]
	run_command "${AS_NOBODY[@]}" FAULTLINE_OUTPUT=preloaded.jsonl LD_PRELOAD="$SHIM" echo untraced
	[[ $(<stdout) == untraced ]]
	grep -q FAULTLINE_UNPRIVILEGED=1 stderr
}

# alike PROGRAM ARGUMENTS...: as untraced in both modes, with complete traces that hold faults.
alike() {
	local setting
	for setting in FAULTLINE_MODE=sigbus FAULTLINE_UNPRIVILEGED=1; do
		export "${setting?}"
		same_as_untraced "$@"
		unset "${setting%%=*}"
		(($(trace_count recorded.jsonl fault) > 0))
	done
}

@test "bus errors of the program's own: its handler, the default, ignored, sent" {
	alike "$PROGRAMS/buserror" own-handler
	alike "$PROGRAMS/buserror" default
	[[ $(<untraced.status) == 135 ]]
	alike "$PROGRAMS/buserror" ignored
}

@test "bus errors of the program's own, when the monitor was killed" {
	"$PROGRAMS/segv" 20 >untraced
	local mode monitor
	mkfifo gate
	for mode in sigbus missing; do
		timeout -k 5 60 "$FAULTLINE" record --quiet --mode=$mode --output="$PWD/trace.jsonl" -- \
			"$PROGRAMS/segv" 20 gate >said 2>stderr 3>&- 4>&- &
		wait_until monitor_of "$PWD/trace.jsonl" >monitor
		monitor=$(<monitor)
		exec 9>gate # waits until the program is there
		kill -KILL "$monitor"
		exec 9>&-
		wait $! || fail "$mode: status $?: $(<stderr)"
		diff untraced said
		grep -q '^faultline: the monitor was killed' stderr
	done
}

@test "masks that block SIGBUS, in threads and handlers and while suspended" {
	alike "$PROGRAMS/buserror" masks
}

@test "stacks that the program made: contexts, threads, clone" {
	alike "$PROGRAMS/buserror" stacks
}

@test "a program that closes every descriptor, and its child" {
	alike "$PROGRAMS/buserror" descriptors
}

@test "system calls on fresh memory succeed, and those that must fail do" {
	alike "$PROGRAMS/buserror" transfers
	alike "$PROGRAMS/buserror" failures
}

@test "children of every kind" {
	alike "$PROGRAMS/probe" fork 5
	local options
	for options in --mode=sigbus --unprivileged; do
		run_faultline record --quiet "$options" -o trace.jsonl -- "$PROGRAMS/family" truth 30
		assert_complete trace.jsonl
		(($(trace_count trace.jsonl process '.event == "fork"') > 2))
	done
}

@test "real programs compute the same" {
	# shellcheck disable=SC2016
	alike perl -e 'my %h; $h{$_ % 5000} .= "x$_" for 1..100000;
		print length(join("", map { $h{$_} } sort keys %h)), "\n"'
	alike python3 -c 'import json, subprocess
print(len(json.dumps([str(i) for i in range(100000)])))
print(subprocess.run(["ls", "/usr"], capture_output=True).stdout.decode())'
	alike bash -c 'for i in 1 2 3; do ls /usr | sort | wc -l; done'
	alike sort -S 10M --parallel=2 "$TOP/Makefile"
	echo 'int main(void) { return 0; }' >main.c
	alike gcc -O2 -S -o - main.c
}

@test "sigbus: whole blocks, huge pages and what does not go together" {
	run_faultline record --quiet --mode=sigbus --granularity=64K -o trace.jsonl -- \
		"$PROGRAMS/blocks" 3000
	assert_complete trace.jsonl
	run_faultline --status 125 record --mode=sigbus --capture=perf -- touch ran
	grep -q 'capture=perf: --mode=sigbus' stderr
	run_faultline --status 125 record --mode=sigbus --without=sigbus -- touch ran
	grep -q 'mode=sigbus needs' stderr
	[[ ! -e ran ]]
}
