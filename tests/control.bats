# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# When tracing begins and ends, other than with the program: --delay, --duration, faultline stop. A
# program is natively fast before and after: nothing of it is registered.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd
}

# with_modes FUNCTION: calls it with the options of each mode and the word for `phases`.
with_modes() {
	local suffix
	for suffix in "" -O2; do
		"$1" "$suffix" missing --mode=missing
		"$1" "$suffix" write --mode=write
		"$1" "$suffix" user --mode=sigbus
		"$1" "$suffix" user --unprivileged
	done
}

# true_to TRACE: it is what the program `phases` noted.
true_to() {
	run_command "$TOP/tests/check_trace.py" --any-name --truth truth "$1"
	(($(wc -l <truth) > 100))
}

# faults_of TRACE SYMBOL: faults whose stack has the function.
faults_of() {
	jq -n --arg symbol "$2" '[inputs] |
		[.[] | select(.type == "stack" and any(.frames[]; .symbol == $symbol)) | .id] as $stacks |
		[.[] | select(.type == "fault" and (.stack | IN($stacks[])))] | length' "$1"
}

delayed() {
	rm -f truth
	run_faultline record --delay=0.3 "$3" -o trace.jsonl -- "$PROGRAMS/phases$1" truth 200 "$2" \
		begin child
	true_to trace.jsonl
	[[ $2 == user ]] || (($(faults_of trace.jsonl touch_quietly) == 0))
	[[ $(trace_lines trace.jsonl session .delay_ns) == 300000000 ]]
}

@test "delay: what was there before is traced from its next touch on" {
	with_modes delayed
}

@test "delay: a program that ends before has an empty trace" {
	run_faultline record --delay=1000 -o trace.jsonl -- "$PROGRAMS/churn" 3
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl fault) == 0 && $(trace_count trace.jsonl process) > 1))
}

limited() {
	rm -f truth
	run_faultline record --duration=1.5 "$3" -o trace.jsonl -- "$PROGRAMS/phases$1" truth 200 "$2" \
		end child
	grep -q '[1-9][0-9]* faults' stderr
	true_to trace.jsonl
	[[ $2 == user ]] || (($(faults_of trace.jsonl touch_quietly) == 0))
	[[ $(trace_lines trace.jsonl end .ended_by) == duration ]]
	(($(trace_count trace.jsonl process '.event == "detach"') == 2))
}

@test "duration: afterwards the program and its child go on natively" {
	with_modes limited
}

# stopped HOW PID_OF: starts `phases` in the background, stops its recording.
stop_recording() {
	run_faultline stop "$1"
	grep -q -E '^[1-9][0-9]* faults, .* trace in .*trace\.jsonl' stdout
	has_ended trace.jsonl
	assert_complete trace.jsonl
	[[ $(trace_lines trace.jsonl end .ended_by) == stop ]]
}

stopped() {
	rm -f truth out trace.jsonl
	"$FAULTLINE" record --quiet "$3" -o trace.jsonl -- \
		timeout -k 5 60 "$PROGRAMS/phases$1" truth 200 "$2" end child >out 2>err 3>&- 4>&- &
	recording=$!
	wait_until phases_are 2
	stop_recording $recording
	wait $recording
	[[ ! -s err ]]
	true_to trace.jsonl
}

# phases_are NUMBER: so many processes have said that their traced phase is over.
phases_are() {
	(($(grep -c -s traced out) == $1))
}

@test "stop: by the recording's process ID, in every mode" {
	with_modes stopped
}

@test "stop: by the process ID of a traced program that was only preloaded, and of its child" {
	local which child
	for which in parent child; do
		rm -f truth out
		env FAULTLINE_OUTPUT=trace.jsonl LD_PRELOAD="$SHIM" \
			"$PROGRAMS/phases" truth 200 missing end child >out 2>err 3>&- 4>&- &
		program=$!
		wait_until phases_are 2
		child=$(pgrep -P $program)
		case $which in
		parent) stop_recording $program ;;
		child) stop_recording "$child" ;;
		esac
		wait $program
		[[ ! -s err ]]
		true_to trace.jsonl
	done
}

@test "stop: a program started after the end of tracing runs untraced, without a word" {
	# shellcheck disable=SC2016
	"$FAULTLINE" record --quiet -o trace.jsonl -- bash -c '
		until [[ -e go ]]; do sleep 0.02; done
		ls / | wc -l; "$1" 3' bash "$PROGRAMS/churn" >out 2>err 3>&- 4>&- &
	recording=$!
	wait_until has_faults trace.jsonl
	stop_recording $recording
	cp trace.jsonl ended.jsonl
	touch go
	wait $recording
	[[ ! -s err ]]
	"$PROGRAMS/churn" 3 >expected
	diff expected <(tail -n 1 out)
	cmp trace.jsonl ended.jsonl
}

has_faults() {
	[[ -s $1 ]] && grep -q '^{"type":"fault"' "$1"
}

@test "stop: no recording, another user's recording, no process" {
	requires unprivileged-user
	run_faultline --status 1 stop $$
	grep -q "no recording has process $$" stderr
	run_faultline --status 2 stop
	grep -q 'which process' stderr
	run_faultline --status 2 stop one
	grep -q '"one" is no process ID' stderr
	run_faultline --status 2 stop 1 2
	"$FAULTLINE" record --quiet -o trace.jsonl -- "$PROGRAMS/phases" truth 100 missing end \
		>out 2>err 3>&- 4>&- &
	recording=$!
	wait_until phases_are 1
	run_command --status 1 "${AS_NOBODY[@]}" "$FAULTLINE" stop $recording
	grep -q "another user's" stderr
	stop_recording $recording
	wait $recording
}

@test "stop: many at once end one recording; it is told to all" {
	local i stops=()
	"$FAULTLINE" record --quiet -o trace.jsonl -- "$PROGRAMS/phases" truth 100 missing end \
		>out 2>err 3>&- 4>&- &
	recording=$!
	wait_until phases_are 1
	for i in 1 2 3; do
		timeout -k 5 60 "$FAULTLINE" stop $recording >said.$i 2>&1 3>&- 4>&- &
		stops+=($!)
	done
	wait "${stops[@]}" || true
	wait $recording
	cat said.*
	grep -q -E '^[1-9][0-9]* faults' said.1 said.2 said.3
	assert_complete trace.jsonl
}
