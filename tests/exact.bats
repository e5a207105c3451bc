# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The trace of a program that knows what it touches is exact: check_trace.py compares it, line by
# line, with the truth that the program wrote.

load helpers

# exact CHECKER_OPTIONS... -- RECORD_OPTIONS... -- PROGRAM ARGUMENTS...: records both builds of a
# program of tests/programs (with frame pointers and without optimization, and the other way
# round), which gets the name of its truth file as its first argument, and compares. Adds the
# number of notes up in `notes`.
exact() {
	local checks=() options=() program suffix
	while [[ $1 != -- ]]; do
		checks+=("$1")
		shift
	done
	shift
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	program=$2
	shift 2
	for suffix in "" -O2; do
		rm -f truth trace.jsonl
		run_faultline record --quiet "${options[@]}" --output=trace.jsonl -- \
			"$PROGRAMS/$program$suffix" truth "$@"
		cp stdout "$program$suffix.out"
		run_command --time 120 "$TOP/tests/check_trace.py" --once "${checks[@]}" \
			--truth truth trace.jsonl
		((notes += $(wc -l <truth)))
	done
}

notes=0

@test "every kind of mapping, every malloc function and system calls: 100,000 faults, all exact" {
	requires userfaultfd perf
	exact -- -- mappings 2000
	exact -- -- heap 1500
	exact -- -- syscalls 2048
	echo "$notes notes"
	((notes > 100000))
}

@test "the same through a compressed trace" {
	requires userfaultfd perf
	run_faultline record --quiet --output=trace.jsonl.zst -- "$PROGRAMS/mappings-O2" truth 200
	zstd --decompress --quiet trace.jsonl.zst
	run_command "$TOP/tests/check_trace.py" --once --truth truth trace.jsonl
}

@test "System V shared memory, which the kernel serves by itself" {
	requires perf
	exact -- -- segment 3000
	trace_lines trace.jsonl region 'select(.source == "shm") | .memory' | grep -q -x shmem
}

@test "huge pages" {
	requires userfaultfd perf root
	local before
	before=$(</proc/sys/vm/nr_hugepages)
	echo "$((before + 8))" >/proc/sys/vm/nr_hugepages
	echo "$before" >huge-pages-before
	(($(</proc/sys/vm/nr_hugepages) >= 4)) || skip "this machine has no memory for huge pages"
	exact -- -- mappings 16 hugetlb
	((notes == 8))
	trace_lines trace.jsonl region 'select(.memory == "hugetlb") | .page_size' >sizes
	[[ $(<sizes) == 2097152 ]]
	# A page that cannot be had: the program gets its SIGBUS, and the trace says why.
	local free region
	free=$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)
	run_faultline --time 20 record --quiet -o pool.jsonl -- "$PROGRAMS/hugepool" $((free + 1))
	grep -q -x 'hugepool: no more pages' stdout
	region=$(trace_lines pool.jsonl region 'select(.memory == "hugetlb") | .id')
	(($(trace_count pool.jsonl fault ".region == $region") == free))
	trace_lines pool.jsonl lost .why | grep -q 'could not be filled'
}

teardown() {
	if [[ -s huge-pages-before ]]; then
		cat huge-pages-before >/proc/sys/vm/nr_hugepages
	fi
}

@test "recursion beyond the frame limit: exactly so many frames, and truncated" {
	requires userfaultfd perf
	local frames
	for frames in 1 16 64 512; do
		exact --max-frames=$frames -- --max-frames=$frames -- recursion 600
		# The deepest touches have more frames than the limit, and only those are truncated.
		trace_lines trace.jsonl stack 'select(.truncated) | .frames | length' | sort -u >lengths
		[[ $(<lengths) == "$frames" ]]
		trace_lines trace.jsonl stack 'select(.truncated | not) | .frames | length' |
			jq -e -s --argjson frames $frames 'all(. <= $frames)'
	done
}

@test "leaf functions, prologues, epilogues, unusual frames" {
	requires userfaultfd perf
	exact -- -- leaf 4000
}

@test "signal handlers, on the alternate stack too" {
	requires userfaultfd perf
	exact -- -- sighandler 2000
}

@test "plug-ins that come and go at the same address" {
	requires userfaultfd perf
	exact -- -- plugin 40
	run_command "$PROGRAMS/plugin" /dev/null 40
	[[ $output == *"same place" ]]
}

@test "C++ exceptions thrown through traced code" {
	requires userfaultfd perf
	"$PROGRAMS/exceptions" /dev/null 500 >untraced
	exact -- -- exceptions 500
	diff untraced exceptions-O2.out
}

@test "stacks of makecontext, and their own pages" {
	requires userfaultfd perf
	"$PROGRAMS/contexts" /dev/null 500 >untraced
	exact -- -- contexts 500
	diff untraced contexts-O2.out
}

@test "threads that race for the same pages: one fault for each page, no byte lost" {
	requires userfaultfd perf
	exact -- -- races 4000
}

@test "threads that timer signals interrupt: one fault for each page, same results" {
	requires userfaultfd perf
	"$PROGRAMS/signals" /dev/null 4000 >untraced 2>/dev/null
	exact -- -- signals 4000
	diff untraced signals.out
	diff untraced signals-O2.out
}

@test "children, grandchildren and exec" {
	requires userfaultfd perf
	exact -- -- family 800
	# The parent, its child, its grandchild, and the one that it starts anew.
	trace_lines trace.jsonl end .processes | grep -q -x 4
	trace_lines trace.jsonl process 'select(.event == "exit") | "\(.pid) \(.status)"' |
		sort -u >exits
	cat exits
	(($(grep -c ' 0$' exits) == 4))
	(($(trace_count trace.jsonl process '.event == "fork"') >= 2))
}

@test "captured by signal: everything but the stacks of faults in system calls" {
	requires userfaultfd
	exact --stacks=user --any-name -- --capture=signal -- mappings 300
	exact --stacks=user --any-name -- --capture=signal -- heap 200
	exact --stacks=user --any-name -- --capture=signal -- syscalls 512
	exact --stacks=user --any-name -- --capture=signal -- leaf 500
	trace_lines trace.jsonl session .capture | grep -q -x signal
}

@test "captured by signal: signals of the program's own keep their meaning" {
	requires userfaultfd
	"$PROGRAMS/signals" /dev/null 1000 >untraced 2>/dev/null
	exact --stacks=none --any-name -- --capture=signal -- signals 1000
	diff untraced signals.out
	diff untraced signals-O2.out
	exact --stacks=none --any-name -- --capture=signal -- sighandler 500
	exact --stacks=none --any-name -- --capture=signal -- races 1000
}

@test "captured not at all: everything but stacks" {
	requires userfaultfd
	exact --stacks=none --any-name -- --capture=none -- mappings 300
	exact --stacks=none --any-name -- --capture=none -- heap 200
	exact --stacks=none --any-name -- --capture=none -- syscalls 512
	trace_lines trace.jsonl session .capture | grep -q -x none
}

@test "frames of libraries without symbols are there, with their module" {
	requires userfaultfd perf
	run_faultline record --quiet --output=trace.jsonl -- sort -S 10M "$TOP/Makefile"
	run_command "$TOP/tests/check_trace.py" trace.jsonl
	# Debian's programs are stripped: few names, but whole stacks.
	trace_lines trace.jsonl stack 'select(.truncated | not) | .frames | length' |
		jq -e -s 'length > 0 and (map(select(. >= 3)) | length) > length / 2'
}

# burst PAGES: while the monitor is stopped a thread touches a page, and the kernel serves so many
# others that are sampled as well. Leaves the fault's stack in `stack`.
burst() {
	local record monitor page
	rm -f trace.jsonl said gate
	mkfifo gate
	"$FAULTLINE" record --quiet --output="$PWD/trace.jsonl" -- "$PROGRAMS/burst" file "$1" gate \
		>said 3>&- 4>&- &
	record=$!
	wait_until test -s said
	wait_until monitor_of "$PWD/trace.jsonl" >monitor
	monitor=$(<monitor)
	kill -STOP "$monitor"
	echo >gate
	wait_for_line said 'burst: done' || {
		kill -CONT "$monitor"
		return 1
	}
	kill -CONT "$monitor"
	wait "$record"
	page=$(head -n 1 said)
	trace_lines trace.jsonl fault "select(.addr[:-3] == \"${page:0:-3}\") | .stack" >id
	[[ $(wc -l <id) == 1 ]]
	trace_lines trace.jsonl stack "select(.id == $(<id))" >found
	mv found stack
	cat stack
}

@test "a burst of faults that the kernel serves, while the monitor has no CPU: no stack is lost" {
	requires userfaultfd perf
	local pages
	# Such that the fault's sample is still there, and such that it is long written over.
	for pages in 300 60000; do
		burst $pages
		assert_complete trace.jsonl
		jq -e '[.frames[].symbol][:6] == ["touch_write_frame", "note_and_write", "nest_3", "nest_2",
			"nest_1", "nest"] and (.truncated | not)' stack
	done
}
