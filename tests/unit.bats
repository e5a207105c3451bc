#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# bats file_tags=unit
# unit.bats: the programs of tests/unit, each of which checks a part of the monitor or of the
# command on its own and prints a line for each of its cases.

load helpers

# run_unit NAME: runs it, shows its cases, and passes on a case that was skipped.
run_unit() {
	run_command --time 120 "$UNIT/$1" || return
	grep -q '^ok ' stdout || fail "$1 checked nothing"
	if grep -q ' # skip ' stdout; then
		skip "$(sed -n 's/^ok \(.*\) # skip \(.*\)/\1: \2;/p' stdout | tr '\n' ' ')"
	fi
}

@test "queue: events keep their order, and waiting ends" {
	run_unit queue
}

@test "welch: Student's distribution, and samples" {
	run_unit welch
}

@test "line: every event's line has its keys, in order, as valid JSON" {
	run_unit line
}

@test "line_often: lines that are written by hand are what jansson would write" {
	run_unit line_often
}

@test "fault_line: fault lines are read as jansson would read them" {
	run_unit fault_line
}

@test "page_set: sets of pages, and touched parts of ranges" {
	run_unit page_set
}

@test "tally: what a page keeps of faults, however little room there is" {
	run_unit tally
}

@test "names: demangled, and made fit for where they are printed" {
	run_unit names
}

@test "output: only traces are replaced, and a cut trace stays readable" {
	run_unit output
}

@test "row_spool: lists of rows wait in a file" {
	run_unit row_spool
}

@test "export_text: names of any bytes, as each output takes them" {
	run_unit export_text
}

@test "writer: a trace from its first line to its last, on a full disk too" {
	run_unit writer
}

@test "symbols: names from every place where they may stand" {
	requires command:nm command:xz command:gcc
	run_unit symbols
}
