# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Bad input and bad days: each gets one clear line and the status that it should, and nothing that
# happens to the tracer happens to the program.

# Each test is a subshell of its own.
# shellcheck disable=SC2030,SC2031

load helpers

teardown() {
	local folder
	for folder in small read-only; do
		if mountpoint -q "$BATS_TEST_TMPDIR/$folder"; then
			# A monitor that was started there may still be on its way out.
			wait_until --time 10 umount "$BATS_TEST_TMPDIR/$folder"
		fi
	done
	if [[ -n ${victim-} ]]; then
		kill -KILL -- "-$victim" 2>/dev/null || true
	fi
}

# refused STATUS REGEX RECORD_ARGUMENTS...: the recording is refused with one line, and the program
# (which would write the file `ran`) has not run.
refused() {
	local status=$1 regex=$2
	shift 2
	rm -f ran
	run_faultline --status "$status" record "$@"
	[[ ! -s stdout && ! -e ran ]]
	grep -E -- "$regex" stderr
	(($(wc -l <stderr) == 1))
}

# untraced_but_runs REGEX [NAME=VALUE...]: a program that is only preloaded, with these variables,
# says one line and runs as without.
untraced_but_runs() {
	local regex=$1
	shift
	run_command --status 7 env LD_PRELOAD="$SHIM" "$@" sh -c 'echo right; exit 7'
	[[ $output == right ]]
	grep -E -- "$regex" stderr
	(($(wc -l <stderr) == 1))
}

# --- Options -----------------------------------------------------------------------------------

@test "an unknown option, a wrong value" {
	refused 125 'colour' --colour=red -- touch ran
	refused 125 'x-ray.*missing' --mode=x-ray -- touch ran
	refused 125 'capture.*telepathy.*perf.*signal.*none' --capture=telepathy -- touch ran
	refused 125 'max-frames.*1 to 512' --max-frames=0 -- touch ran
	refused 125 'max-frames.*1 to 512' --max-frames=513 -- touch ran
	refused 125 'max-frames' --max-frames=many -- touch ran
	refused 125 'granularity' --granularity=3000 -- touch ran
	refused 125 'granularity' --granularity=4M -- touch ran
	refused 125 'alloc-threshold' --alloc-threshold=-1 -- touch ran
	refused 125 'sources.*mmap.*brk' --sources=mmap,thin-air -- touch ran
	refused 125 'output' --output=- -- touch ran
	refused 125 'output' --output= -- touch ran
}

@test "an unknown FAULTLINE_ name, a wrong value in the environment" {
	FAULTLINE_COLOUR=red refused 125 'FAULTLINE_COLOUR' -- touch ran
	FAULTLINE_CAPTURE=telepathy refused 125 'FAULTLINE_CAPTURE.*perf' -- touch ran
	FAULTLINE_MAX_FRAMES=1000 refused 125 'FAULTLINE_MAX_FRAMES.*512' -- touch ran
	FAULTLINE_COLOUR=red untraced_but_runs 'FAULTLINE_COLOUR'
	FAULTLINE_MAX_FRAMES=1000 untraced_but_runs 'FAULTLINE_MAX_FRAMES.*512'
}

# --- Output ------------------------------------------------------------------------------------

@test "output in a missing folder" {
	requires userfaultfd
	refused 125 'missing/trace\.jsonl' --output=missing/trace.jsonl -- touch ran
	untraced_but_runs 'missing/trace\.jsonl' FAULTLINE_OUTPUT=missing/trace.jsonl
	refused 125 "$PWD" --output="$PWD" -- touch ran
}

@test "output in a read-only folder" {
	requires userfaultfd root
	mkdir read-only
	mount -t tmpfs -o ro,size=64k tmpfs read-only || skip "cannot mount here"
	refused 125 'read-only/trace\.jsonl' --output=read-only/trace.jsonl -- touch ran
	untraced_but_runs 'read-only/trace\.jsonl' FAULTLINE_OUTPUT=read-only/trace.jsonl
	# The default place is the working folder.
	(
		cd read-only
		timeout -k 5 60 env LD_PRELOAD="$SHIM" sh -c 'echo right; exit 7' >../said 2>../line
	) || [[ $? == 7 ]]
	[[ $(<said) == right ]]
	cat line
	(($(wc -l <line) == 1))
}

@test "an existing file that is no trace is refused and kept" {
	requires userfaultfd
	local content
	for content in "dear diary" '{"type":"session"}' '{"a":1}' $'\x28\xb5\x2f\xfd'; do
		printf '%s' "$content" >precious
		refused 125 'precious' --output=precious -- touch ran
		untraced_but_runs 'precious' FAULTLINE_OUTPUT=precious
		[[ $(<precious) == "$content" ]]
		ln -sf precious link
		refused 125 'link' --output=link -- touch ran
		[[ $(<precious) == "$content" ]]
		cp precious precious.zst
		refused 125 'precious\.zst' --output=precious.zst -- touch ran
		cmp precious precious.zst
	done
}

@test "an existing trace and an empty file are replaced" {
	requires userfaultfd
	local name
	for name in trace.jsonl trace.jsonl.zst; do
		: >$name
		run_faultline record --quiet --output=$name -- "$PROGRAMS/churn" 1
		assert_complete $name
		run_faultline record --quiet --output=$name -- true
		assert_complete $name
		(($(trace_count $name session) == 1))
		trace_lines $name session '.command[0]' | grep -q -x true
	done
}

has_no_monitor() {
	! monitor_of "$1" >monitor
}

@test "a full disk: the program goes on, the trace is readable up to the cut" {
	requires userfaultfd root
	mkdir small
	mount -t tmpfs -o size=1m tmpfs small || skip "cannot mount here"
	"$PROGRAMS/churn" 12 >untraced
	run_faultline record --output=small/trace.jsonl -- "$PROGRAMS/churn" 12
	diff untraced stdout
	grep -E 'small/trace\.jsonl.*[Nn]o space' stderr
	(($(grep -c -i 'no space' stderr) == 1))
	# All lines but the one that was cut are whole.
	(($(stat -c %s small/trace.jsonl) > 500000))
	sed '$d' small/trace.jsonl >whole.jsonl
	assert_well_formed whole.jsonl
	(($(trace_count whole.jsonl fault) > 100))
	rm small/trace.jsonl

	run_command env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/small/trace.jsonl" \
		"$PROGRAMS/churn" 12
	diff untraced stdout
	wait_until --time 30 has_no_monitor "$PWD/small/trace.jsonl"
	rm small/trace.jsonl

	head -c 1000000 /dev/zero >small/ballast
	run_faultline record --output=small/trace.jsonl.zst -- "$PROGRAMS/churn" 12
	diff untraced stdout
	grep -E 'small/trace\.jsonl\.zst.*[Nn]o space' stderr
	trace_text small/trace.jsonl.zst | sed '$d' >whole.jsonl
	[[ ! -s whole.jsonl ]] || assert_well_formed whole.jsonl

	# A program so short that most is written at its end: what has room first has none then.
	rm small/trace.jsonl.zst
	head -c 983040 /dev/zero >small/ballast
	run_faultline record --output=small/short.jsonl -- "$PROGRAMS/churn" 1
	grep -E 'small/short\.jsonl.*[Nn]o space' stderr
	(($(grep -c -i 'no space' stderr) == 1))
}

# --- Programs ----------------------------------------------------------------------------------

@test "a program that is missing, not executable, a directory" {
	refused 127 'no-such-program' -- no-such-program
	refused 127 './no-such-program' -- ./no-such-program
	echo 'touch ran' >script
	refused 126 'script' -- ./script
	mkdir folder
	refused 126 'folder.*directory' -- ./folder
	refused 127 'script' -- ./script/inside
	printf '#!/no/such/interpreter\n' >script
	chmod +x script
	refused 127 '/no/such/interpreter' -- ./script
}

@test "a program that nothing can be preloaded into" {
	requires userfaultfd
	echo 'int main(void) { return 0; }' >main.c
	echo 'void _start(void) { for (;;) {} }' >start.c
	gcc -m32 -nostdlib -static -o thirty-two start.c
	refused 125 'thirty-two.*32' -- ./thirty-two
	gcc -static -o static main.c
	refused 125 'static' -- ./static
	gcc -static-pie -o static-pie main.c
	refused 125 'static' -- ./static-pie
	gcc -fsanitize=address -o sanitized main.c
	refused 125 'sanitized.*[Ss]anitizer' -- ./sanitized
	# A script is judged by its interpreter.
	printf '#!%s/static\n' "$PWD" >script
	chmod +x script
	refused 125 'static' -- ./script
	# Only preloaded, they run as they do.
	run_command env LD_PRELOAD="$SHIM" ./static
}

@test "a program that changes its user" {
	requires userfaultfd root
	cp /bin/true setuid
	chown "$NOBODY_UID:$NOBODY_GID" setuid
	chmod 4755 setuid
	refused 125 'setuid' -- ./setuid
	chmod 2755 setuid
	refused 125 'setgid' -- ./setuid
}

# --- Rights ------------------------------------------------------------------------------------

@test "userfaultfd refused: record says so, a preloaded program runs" {
	requires unprivileged-user
	[[ $(</proc/sys/vm/unprivileged_userfaultfd) == 0 ]] ||
		skip "vm.unprivileged_userfaultfd lets everybody use it"
	local status=0
	"${AS_NOBODY[@]}" timeout -k 5 60 "$FAULTLINE" record -- sh -c 'echo right >ran' \
		>stdout 2>stderr || status=$?
	cat stderr
	[[ $status == 125 && ! -s stdout && ! -e $NOBODY_FOLDER/ran ]]
	grep -q 'faultline check' stderr
	(($(wc -l <stderr) == 1))

	status=0
	"${AS_NOBODY[@]}" env LD_PRELOAD="$SHIM" timeout -k 5 60 sh -c 'echo right; exit 7' \
		>stdout 2>stderr || status=$?
	cat stderr
	[[ $status == 7 && $(<stdout) == right ]]
	grep -q userfaultfd stderr
}

@test "no monitor, a wrong monitor, a monitor that is gone: a preloaded program runs" {
	mkdir alone
	cp "$SHIM" alone/libfaultline.so
	SHIM=$PWD/alone/libfaultline.so untraced_but_runs 'faultline-monitor'
	printf '#!/bin/sh\nexit 1\n' >alone/faultline-monitor
	chmod +x alone/faultline-monitor
	SHIM=$PWD/alone/libfaultline.so untraced_but_runs 'faultline'
	run_command --status 7 env LD_PRELOAD="$SHIM" FAULTLINE_MONITOR=gone sh -c 'echo right; exit 7'
	[[ $output == right ]]
}

# --- Sudden deaths -----------------------------------------------------------------------------

# bats test_tags=slow
@test "kill -9 of the monitor at any moment: the program finishes with the right result" {
	requires userfaultfd
	"$PROGRAMS/churn" 12 >untraced
	local i monitor killed=0
	for ((i = 0; i < 32; i++)); do
		rm -f trace.jsonl said
		unset FAULTLINE_MODE FAULTLINE_UNPRIVILEGED
		case $((i / 2 % 4)) in
		1) export FAULTLINE_MODE=sigbus ;;
		2) export FAULTLINE_MODE=write ;;
		3) export FAULTLINE_UNPRIVILEGED=1 ;;
		esac
		set -- "$FAULTLINE" record --quiet --output="$PWD/trace.jsonl" --
		if ((i % 2)); then
			set -- env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/trace.jsonl"
		fi
		timeout -k 5 60 "$@" "$PROGRAMS/churn" 12 >said 2>stderr 3>&- 4>&- &
		wait_until monitor_of "$PWD/trace.jsonl" >monitor
		monitor=$(<monitor)
		# Any moment: here chance is wanted.
		sleep "$(printf '0.%03d' $((RANDOM % (i < 16 ? 100 : 800))))"
		if kill -KILL "$monitor" 2>/dev/null && [[ ! -s said ]]; then
			((killed += 1))
		fi
		local status=0
		wait $! || status=$?
		cat stderr
		[[ $status == 0 ]]
		diff untraced said
		if [[ -s trace.jsonl ]]; then
			sed '$d' trace.jsonl >whole.jsonl
			[[ ! -s whole.jsonl ]] || assert_well_formed whole.jsonl
		fi
	done
	echo "killed $killed times in time"
	((killed >= 6))
}

# progress N: the N-th number that `endless` counts.
progress() {
	od -A n -t u8 -j $((($1 - 1) * 8)) -N 8 progress 2>/dev/null | tr -d ' '
}

# kill_program SIGNAL: the program itself, which has told its process ID.
kill_program() {
	local pid
	pid=$(progress 3)
	((pid > 1))
	kill "-$1" "$pid"
}

touched_at_least() {
	[[ -s progress ]] && (($(progress 2) >= $1))
}

# start_endless WORDS...: in the background, as a shell starts a command: `victim` leads its group.
start_endless() {
	rm -f progress
	# A background command of a script ignores SIGINT; one that a user starts does not.
	setsid env --default-signal "$@" >said 2>stderr 3>&- 4>&- &
	victim=$!
	wait_until --time 30 touched_at_least 3000
}

# all_touches_traced TRACE: each page that the program counted before its end is there.
all_touches_traced() {
	local touched region faults
	touched=$(progress 2)
	region=$(trace_lines "$1" region \
		"select(.start == \"$(printf '0x%x' "$(progress 1)")\" and .size > 1e9) | .id")
	faults=$(trace_count "$1" fault ".region == $region")
	echo "touched $touched pages, $faults faults"
	# One more may have been served and not counted.
	((faults == touched || faults == touched + 1))
}

@test "kill -9 of the program: the trace has everything up to the last instant, and an end" {
	requires userfaultfd
	local status=0
	start_endless "$FAULTLINE" record --output="$PWD/trace.jsonl" -- "$PROGRAMS/endless" progress
	kill_program KILL
	wait "$victim" || status=$?
	victim=
	[[ $status == 137 ]]
	(($(wc -l <stderr) == 1))
	assert_complete trace.jsonl
	all_touches_traced trace.jsonl
	trace_lines trace.jsonl process 'select(.event == "exit") | .signal' | grep -q -x 9

	start_endless env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" \
		"$PROGRAMS/endless" progress
	kill_program KILL
	wait_until --time 30 has_ended preloaded.jsonl
	victim=
	assert_complete preloaded.jsonl
	all_touches_traced preloaded.jsonl
}

@test "kill -9 of faultline record: the program goes on, and is traced to its end" {
	requires userfaultfd
	start_endless "$FAULTLINE" record --output="$PWD/trace.jsonl" -- "$PROGRAMS/endless" progress
	kill -KILL "$victim"
	local before
	before=$(progress 2)
	wait_until touched_at_least $((before + 2000))
	kill_program KILL
	wait_until --time 30 has_ended trace.jsonl
	assert_complete trace.jsonl
	all_touches_traced trace.jsonl
}

@test "Ctrl-C reaches the program as without" {
	requires userfaultfd
	local how status
	for how in untraced record preload; do
		case $how in
		untraced) set -- env ;;
		record) set -- "$FAULTLINE" record --quiet --output="$PWD/$how.jsonl" -- ;;
		preload) set -- env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/$how.jsonl" ;;
		esac
		start_endless "$@" "$PROGRAMS/endless" progress
		kill -INT -- "-$victim"
		status=0
		wait "$victim" || status=$?
		[[ $status == 130 && ! -s said && ! -s stderr ]]

		start_endless "$@" "$PROGRAMS/endless" progress catch
		kill -INT -- "-$victim"
		status=0
		wait "$victim" || status=$?
		victim=
		[[ $status == 5 ]]
		[[ $(<said) == "endless: interrupted" && ! -s stderr ]]
		if [[ $how != untraced ]]; then
			wait_until --time 30 has_ended $how.jsonl
			assert_complete $how.jsonl
			all_touches_traced $how.jsonl
		fi
	done
}

@test "other signals that are sent to faultline record reach the program" {
	requires userfaultfd
	local status=0
	start_endless "$FAULTLINE" record --quiet --output=trace.jsonl -- "$PROGRAMS/endless" progress
	kill -TERM "$victim"
	wait "$victim" || status=$?
	victim=
	[[ $status == 143 ]]
	assert_complete trace.jsonl
	all_touches_traced trace.jsonl
}
