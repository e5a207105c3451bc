# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Programs under limits: their own filters of system calls, resource limits, memory cgroups, one
# CPU, other schedulers. They run as without, and their traces are whole and true.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

# compare TRACE CHECKER_OPTIONS...: with the truth of the last run.
compare() {
	run_command --time 120 "$TOP/tests/check_trace.py" "${@:2}" --truth truth "$1"
	assert_complete "$1"
}

# exact WAY... -- COMMAND...: the program writes `truth`; with WAY before it, it is recorded, and
# preloaded when that is given as well. Status and output are as untraced.
exact() {
	local way=() suffix
	while [[ $1 != -- ]]; do
		way+=("$1")
		shift
	done
	shift
	for suffix in untraced recorded preloaded; do
		rm -f truth
		case $suffix in
		untraced) run_command "${way[@]}" "$@" ;;
		recorded) run_command "$FAULTLINE" record --quiet --output="$PWD/recorded.jsonl" -- \
			"${way[@]}" "$@" ;;
		preloaded) run_command "${way[@]}" env LD_PRELOAD="$SHIM" FAULTLINE_QUIET=1 \
			FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" "$@" ;;
		esac
		cp stdout $suffix.out
		cp stderr $suffix.err
		diff untraced.out $suffix.out
		diff untraced.err $suffix.err
		[[ $suffix == untraced ]] || wait_until --time 30 has_ended $suffix.jsonl
		[[ $suffix == untraced ]] || compare $suffix.jsonl --once
	done
}

@test "a program that filters its system calls: nothing that we do kills it, all is told" {
	local how mode checks
	for how in strict prctl seccomp threads fork; do
		run_command "$PROGRAMS/filtered" truth 50 $how
		for mode in --mode=missing --capture=signal --mode=sigbus --unprivileged; do
			# Children of a filtered program cannot say hello, which these need.
			[[ $how != fork || $mode != *[-=]@(sigbus|unprivileged) ]] || continue
			# Threads that map and unmap at once: as without a filter, only perf tells all.
			[[ $how != threads || $mode == --mode=missing ]] || continue
			checks=(--stacks=none --any-name)
			[[ $mode != --mode=missing ]] || checks=()
			run_faultline record --quiet $mode --output=trace.jsonl -- \
				"$PROGRAMS/filtered-O2" truth 50 $how
			[[ $output == "filtered: done" ]]
			compare trace.jsonl "${checks[@]}"
			[[ $how == strict ]] && continue
			# More than the doorbell has pages; freed ones, too.
			(($(trace_count trace.jsonl alloc '.size == 65536') >= 700))
			(($(trace_count trace.jsonl free) >= 350))
		done
	done
}

@test "a program that filters its system calls outlives the monitor" {
	local how mode
	mkfifo go
	exec 8<>go
	for how in strict prctl threads fork; do
		for mode in --mode=missing --capture=signal --mode=sigbus --unprivileged; do
			rm -f said
			timeout -k 5 30 "$FAULTLINE" record --quiet $mode --output=trace.jsonl -- \
				"$PROGRAMS/filtered" truth 50 $how wait <&8 >said 2>stderr 3>&- &
			local record=$! result=0
			wait_for_line said ready
			kill -9 "$(pgrep --parent "$(pgrep --parent $record)" faultline-moni)"
			echo >&8
			wait $record || result=$?
			echo "$how $mode: status $result, $(tail -n 1 said)"
			((result == 0))
			grep -q -x 'filtered: done' said
		done
	done
}

@test "16 and 4 descriptors" {
	local limit
	for limit in 16 4; do
		rm -f truth
		run_faultline record --quiet --output=trace.jsonl -- prlimit --nofile=$limit -- \
			"$PROGRAMS/mappings" truth 100
		[[ ! -s stderr ]]
		compare trace.jsonl --once
	done
	# A monitor that may not have more than the program needs some twenty.
	exact prlimit --nofile=24 -- "$PROGRAMS/mappings-O2" truth 100
	rm truth
	run_faultline record --quiet --mode=sigbus --output=trace.jsonl -- prlimit --nofile=4 -- \
		"$PROGRAMS/family" truth 50
	[[ ! -s stderr ]]
	compare trace.jsonl --any-name
	# One whose limit leaves nothing for a monitor runs, and a line says that it is not traced.
	run_command prlimit --nofile=4 -- env LD_PRELOAD="$SHIM" true
	[[ $stderr == "faultline: "*"not traced"* ]]
}

@test "limits on memory, files, processes and stacks" {
	local limit
	for limit in --as=600000000 --data=300000000; do
		# AddressSanitizer needs terabytes, in the monitor that a program starts, too.
		[[ ${SAN-} != *address* ]] || limit=${limit%=*}=unlimited
		exact prlimit "$limit" -- "$PROGRAMS/namespaces-O2" truth 50 work fork work exec work
	done
	for limit in --memlock=0 --nproc=1 --stack=unlimited --core=0 \
		--fsize=50000000 --rss=0 --sigpending=0 --msgqueue=0 --rtprio=0 --nice=0; do
		exact prlimit $limit -- "$PROGRAMS/mappings-O2" truth 100
	done
}

@test "memory that is refused is refused at the same place" {
	# shellcheck disable=SC2016
	local script='use strict; my $x = "a" x (20 << 20); print "first\n"; $x = "a" x (300 << 20);'
	local limit
	for limit in --as=150000000 --data=100000000; do
		run_command --status 12 prlimit $limit -- perl -e "$script"
		same_as_untraced prlimit $limit -- perl -e "$script"
		(($(trace_count recorded.jsonl fault) > 5000))
	done
}

@test "a limit on files is not for the trace where it can be raised" {
	# shellcheck disable=SC2016
	run_command prlimit --fsize=100000: -- env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT=trace.jsonl \
		perl -e 'my $x = "a" x (20 << 20)'
	wait_until has_ended trace.jsonl
	assert_complete trace.jsonl
	(($(wc -c <trace.jsonl) > 1000000))
}

@test "limits that change while the program runs" {
	mkfifo go
	exec 8<>go
	# shellcheck disable=SC2016
	local script='my $x = "a" x (5 << 20); syswrite STDOUT, "$$\n"; <STDIN>; $x .= "b" x (20 << 20);
		my $n = 1 << 30; my $y = "c" x $n; print "not refused\n"'
	timeout -k 5 60 "$FAULTLINE" record --quiet --output=trace.jsonl -- perl -e "$script" \
		<&8 >said 2>&1 3>&- &
	local record=$! status=0
	wait_for_line said '^[0-9]+$'
	prlimit --pid "$(head -n 1 said)" --as=500000000 --nofile=3
	echo >&8
	wait $record || status=$?
	cat said
	((status != 0))
	grep -q 'Out of memory' said
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl fault) > 6000))
}

@test "one CPU, priorities and real-time scheduling" {
	exact taskset --cpu-list 0 -- "$PROGRAMS/races" truth 500
	exact taskset --cpu-list 0 nice -n 19 -- "$PROGRAMS/mappings-O2" truth 100
	if chrt --fifo 10 true; then
		exact chrt --fifo 10 taskset --cpu-list 0 -- "$PROGRAMS/races" truth 500
		exact chrt --fifo 10 -- "$PROGRAMS/mappings-O2" truth 100
	fi
	exact choom -n 500 -- "$PROGRAMS/mappings-O2" truth 100
}

# In a memory cgroup of 64 MiB, with the monitor outside of it.
@test "a memory cgroup: pages are charged to the program, and reclaim works at its limit" {
	requires root
	local group
	group=$(memory_cgroup) || skip "cannot make a memory cgroup here"
	echo "$group" >group
	dd if=/dev/zero of=big bs=1M count=150 status=none
	# 36 MiB that stay, and three times the limit in files whose cache has to go again.
	cat >script <<-'END'
		my $size = 36 << 20; my $x = "a" x $size;
		print usage() >= $size ? "charged\n" : "charged elsewhere: @{[usage()]}\n";
		open my $big, "<", "big"; my $sum = 0;
		while (read $big, my $data, 1 << 20) { $sum += length $data }
		print "read $sum\n";
		sub usage { open my $f, "<", $ENV{USAGE}; <$f> + 0 }
	END
	export USAGE=$group/memory.usage_in_bytes
	[[ -f $USAGE ]] || USAGE=$group/memory.current
	# shellcheck disable=SC2016
	same_as_untraced sh -c 'echo $$ >"$1/cgroup.procs" && exec perl script' sh "$group"
	cat untraced.out
	grep -q -x charged untraced.out
	grep -q -x "read $((150 << 20))" untraced.out
	if [[ -f $group/memory.high ]]; then
		echo $((48 << 20)) >"$group/memory.high"
		# shellcheck disable=SC2016
		same_as_untraced sh -c 'echo $$ >"$1/cgroup.procs" && exec perl script' sh "$group"
	fi
}

# Prints a new group with a limit of 64 MiB, of cgroups version 1 or 2.
memory_cgroup() {
	local place group limit
	for place in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		if [[ -f $place/memory.limit_in_bytes ]] ||
			grep -q -w memory "$place/cgroup.subtree_control" 2>/dev/null; then
			group=$(mktemp -d "$place/faultline-XXXXXX") || return
			limit=memory.max
			[[ -f $group/$limit ]] || limit=memory.limit_in_bytes
			echo $((64 << 20)) >"$group/$limit" || return
			echo "$group"
			return
		fi
	done
	return 1
}

teardown() {
	if [[ -s group ]]; then
		wait_until rmdir "$(<group)"
	fi
}
