#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# top.bats: the report of a trace while that is recorded, on the screen of a terminal that tmux plays.
# What it shows at the end is what `faultline report` prints.
#
# What is run by the shell in the terminal, or recorded, is no variable of this one:
# shellcheck disable=SC2016

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf command:tmux
	export LC_ALL=C.UTF-8
	mkfifo go
}

teardown() {
	closes
	# the program that still waits to go on
	[[ ! -p go ]] || timeout 1 sh -c 'echo >go' || true
}

# terminal ARGUMENTS...: asks the tmux of this test.
terminal() {
	tmux -u -S "$PWD/terminal" -f /dev/null "$@"
}

# closes: takes the terminal away, if there is one.
closes() {
	terminal kill-server 2>/dev/null || true
	rm -f terminal
}

# opens COLUMNS ROWS COMMAND: a terminal of that size in which a shell runs the command, and then
# leaves its exit status in the file `status`.
opens() {
	closes
	rm -f status
	# its programs get no descriptor of the test
	terminal new-session -d -x "$1" -y "$2" "$3; echo \$? >status" 3>&- 4>&-
}

# screen: its lines, but for the last, which is no part of the report.
screen() {
	terminal capture-pane -p | sed '$d'
}

# shows REGEX: a question, for wait_until: does a line of the screen, the last one included?
shows() {
	terminal capture-pane -p | grep -q -E -- "$1"
}

# starts TRACE: records, in the background, a program that touches 100 pages, and 150 more when
# it is told to go on, and then waits for it again before it ends.
starts() {
	"$TOP/tests/limited" $((120 * TIME_FACTOR)) "$FAULTLINE" record --quiet -o "$1" -- \
		sh -c '"$0" >&2; read -r _ <go; "$0" 50 >&2; read -r _ <go; exit 7' "$PROGRAMS/growth" \
		</dev/null >/dev/null 2>&1 3>&- 4>&- &
	RECORDING=$!
	wait_until test -s "$1"
}

# is_report TRACE [ROWS]: the screen begins as the report does.
is_report() {
	"$FAULTLINE" report --no-lines "$1" | head -n "${2:-39}" >printed
	screen | sed 's/ *$//' | head -n "$(wc -l <printed)" | diff printed - >difference
}

follows() {
	starts "$1"
	opens 80 40 "${2:-} $FAULTLINE top $1"
	# what it has touched so far, while it runs
	wait_until --time 30 shows '^ *0\.39 .* 100 +parse_lines '
	shows '^ recording   q: quit'
	echo >go
	wait_until --time 30 shows '^ *0\.98 .* 250 +parse_lines '
	shows '^ recording   q: quit'
	echo >go
	local result=0
	wait "$RECORDING" || result=$?
	((result == 7))
	wait_until --time 30 shows '^ the recording has ended   q: quit'
	wait_until is_report "$1" || { cat difference; fail "the screen differs"; }
	# it stays until it is told to leave, and leaves nothing
	terminal send-keys q
	wait_until test -s status
	[[ $(cat status) == 0 ]]
}

@test "top: shows a plain trace as it grows; at the end it is the report" {
	follows t.jsonl
}

@test "top: shows a compressed trace as it grows; at the end it is the report" {
	follows t.jsonl.zst
}

@test "top: a terminal without colors, without a locale, and one that cannot be drawn on" {
	follows t.jsonl "TERM=vt100"
	opens 80 40 "TERM=dumb $FAULTLINE top t.jsonl 2>err"
	wait_until test -s status
	[[ $(cat status) == 1 ]]
	grep -q '^faultline: top: cannot draw on this terminal (TERM=dumb); `faultline report` prints the same$' err
	# letters that the terminal cannot show are marks
	opens 80 40 "LC_ALL=C $FAULTLINE top t.jsonl"
	wait_until shows '^ the recording has ended'
	LC_ALL=C is_report t.jsonl
}

@test "top: another size, scrolling, sections and filters" {
	run_faultline record --quiet -o t.jsonl -- "$PROGRAMS/growth"
	"$FAULTLINE" report --no-lines --by=all t.jsonl >all
	opens 80 20 "$FAULTLINE top --by=all t.jsonl"
	wait_until shows '^ the recording has ended   q: quit   arrows, space, b: scroll$'
	shown_from() { screen | sed 's/ *$//' | diff <(tail -n "+$1" all | head -n 19) - >difference; }
	wait_until shown_from 1
	terminal send-keys Down
	wait_until shown_from 2
	terminal send-keys Space
	wait_until shown_from 21
	terminal send-keys Up
	wait_until shown_from 20
	terminal send-keys End
	wait_until shown_from $(($(wc -l <all) - 18))
	terminal send-keys Home
	wait_until shown_from 1
	# a larger terminal shows more, and the tables use its width
	terminal resize-window -x 100 -y 36
	"$TOP/tests/limited" 20 script -q -c "stty cols 100; $FAULTLINE report --no-lines --by=all t.jsonl" /dev/null \
		</dev/null | tr -d '\r' >wide
	widened() { screen | sed 's/ *$//' | diff <(head -n 35 wide) - >difference; }
	wait_until widened || { cat difference; fail "the screen differs"; }
	terminal send-keys q
	wait_until test -s status
	opens 80 40 "$FAULTLINE top --by=process --source=brk t.jsonl"
	wait_until shows '^Processes, in MiB and seconds'
	"$FAULTLINE" report --no-lines --by=process --source=brk t.jsonl >printed
	screen | sed 's/ *$//' | head -n "$(wc -l <printed)" | diff printed -
}

@test "top: ends with q before anything is there, with its terminal, by --exit, and says what is wrong" {
	: >empty.jsonl
	opens 80 24 "$FAULTLINE top empty.jsonl 2>err"
	wait_until shows '^ waiting for the recording   q: quit'
	terminal send-keys q
	wait_until test -s status
	[[ $(cat status) == 0 && ! -s err ]]
	# a recording that was killed may go on for all that is known
	run_faultline record --quiet -o t.jsonl -- "$PROGRAMS/growth"
	head -c -50 t.jsonl >cut.jsonl
	opens 80 24 "echo \$\$ >pid; exec $FAULTLINE top cut.jsonl"
	wait_until shows '^ recording   q: quit'
	closes
	wait_for_exit "$(cat pid)"
	opens 80 24 "$FAULTLINE top --exit t.jsonl"
	wait_until test -s status
	[[ $(cat status) == 0 ]]
	sed '20s/.*/{/' t.jsonl >damaged.jsonl
	opens 80 24 "$FAULTLINE top damaged.jsonl 2>err"
	wait_until test -s status
	[[ $(cat status) == 1 ]]
	grep -q 'damaged.jsonl:20: not JSON' err
	# another recording into the same file
	cp cut.jsonl again.jsonl
	opens 80 24 "$FAULTLINE top again.jsonl 2>err"
	wait_until shows '^ recording   q: quit'
	head -n 3 cut.jsonl >again.jsonl
	wait_until test -s status
	grep -q 'again.jsonl:[0-9]*: the file became shorter: another recording began in it' err
}

@test "top: what is no terminal is told, and wrong usage" {
	run_faultline record --quiet -o t.jsonl -- "$PROGRAMS/growth"
	run_faultline --status 1 top t.jsonl
	grep -q 'top: standard input is no terminal to draw on; `faultline report` prints the same' stderr
	[[ ! -s stdout ]]
	opens 80 24 "$FAULTLINE top t.jsonl 2>err >out"
	wait_until test -s status
	[[ $(cat status) == 1 && ! -s out ]]
	grep -q 'top: standard output is no terminal to draw on' err
	run_faultline --status 2 top -
	grep -q 'top: standard input is for keys: name the file of the trace' stderr
	run_faultline --status 2 top --by=nothing t.jsonl
	grep -q 'top: --by=nothing: must be all, or a list of site' stderr
	run_faultline --status 2 top --sort=nothing t.jsonl
	grep -q 'top: --sort=nothing: must be one of: bytes' stderr
	run_faultline --status 2 top t.jsonl t.jsonl
	grep -q 'one trace at a time' stderr
}

# live [OPTION...] ./program: a terminal in which it is recorded with a screen; its words go elsewhere.
live() {
	opens 80 40 "$FAULTLINE record --live -o t.jsonl $* </dev/null >out 2>err"
}

# program: makes one of the script on standard input.
program() {
	{
		echo '#!/bin/sh'
		cat
	} >program
	chmod +x program
}

@test "top: record --live shows it meanwhile; the program keeps its words and its status" {
	program <<-'END'
		"$PROGRAMS/growth"
		read -r _ <go
		"$PROGRAMS/growth" 50
		read -r _ <go
		exit 7
	END
	live ./program
	wait_until --time 30 shows '^ *0\.39 .* 100 +parse_lines '
	shows '^ recording   q: quit'
	echo >go
	wait_until --time 30 shows '^ *0\.98 .* 250 +parse_lines '
	# the screen goes with the recording
	echo >go
	wait_until --time 30 test -s status
	[[ $(cat status) == 7 ]]
	{ "$PROGRAMS/growth" && "$PROGRAMS/growth" 50; } | diff - out
	grep -q '^faultline: [0-9]* faults, .* trace in t.jsonl$' err
	(($(wc -l <err) == 1))
	assert_complete t.jsonl
}

@test "top: record --live: q ends the screen and not the program, Ctrl-C is the program's" {
	program <<-'END'
		"$PROGRAMS/growth"
		read -r _ <go
		exit 3
	END
	live ./program
	wait_until --time 30 shows '^ *0\.39 .* 100 +parse_lines '
	terminal send-keys q
	gone() { ! shows 'q: quit'; }
	wait_until gone
	[[ ! -e status ]]
	echo >go
	wait_until --time 30 test -s status
	[[ $(cat status) == 3 ]]
	assert_complete t.jsonl
	# which ends by it, in its own way, and the screen with it
	program <<-'END'
		trap 'exit 5' INT
		"$PROGRAMS/growth"
		read -r _ <go
	END
	live ./program
	wait_until --time 30 shows '^ *0\.39 .* 100 +parse_lines '
	terminal send-keys C-c
	wait_until --time 30 test -s status
	[[ $(cat status) == 5 ]]
	assert_complete t.jsonl
}

@test "top: record --live: neither a screen that cannot be nor the monitor's death harms the program" {
	opens 80 40 "TERM=dumb $FAULTLINE record --live -o t.jsonl -- sh -c 'exit 5' </dev/null >out 2>err"
	wait_until --time 30 test -s status
	[[ $(cat status) == 5 ]]
	grep -q 'top: cannot draw on this terminal (TERM=dumb)' err
	program <<-'END'
		kill -9 $(pgrep -P $PPID -x faultline-monit)
		read -r _ <go
		exit 6
	END
	live ./program
	wait_until --time 30 grep -s -q 'the monitor was killed by signal 9' err
	echo >go
	wait_until --time 30 test -s status
	[[ $(cat status) == 6 ]]
}

@test "top: record --live --user: the screen is root's, the program and its trace are the user's" {
	requires root unprivileged-user
	cd "$NOBODY_FOLDER"
	mkfifo --mode=666 go
	program <<-'END'
		trap 'exit 5' INT
		id -u
		"$PROGRAMS/growth"
		read -r _ <go
	END
	live --user=nobody ./program
	wait_until --time 30 shows '^ *0\.39 .* 100 +parse_lines '
	shows '^ recording   q: quit'
	terminal send-keys C-c
	wait_until --time 30 test -s status
	[[ $(cat status) == 5 ]]
	{ echo "$NOBODY_UID" && "$PROGRAMS/growth"; } | diff - out
	[[ $(stat -c %u t.jsonl) == "$NOBODY_UID" ]]
	assert_complete t.jsonl
}

@test "top: record --live is refused where the program has the terminal, or nobody has one" {
	local redirection
	for redirection in '>out 2>err' '</dev/null 2>err' '</dev/null >out'; do
		opens 120 24 "$FAULTLINE record --live -o never.jsonl -- echo said $redirection"
		wait_until test -s status
		[[ $(cat status) == 125 ]]
	done
	grep -q "record: --live draws on the terminal, which is the program's standard output: redirect all three" err
	run_command --status 125 setsid --wait "$FAULTLINE" record --live -o never.jsonl -- echo said
	grep -q 'record: --live: there is no terminal to draw on' stderr
	[[ ! -s stdout && ! -s out && ! -e never.jsonl ]]
}
