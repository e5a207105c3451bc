#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# merge.bats: several traces, recorded in the same run, made one: nothing of them is lost, changed or
# mixed up.
#
# What is jq's, or that of a shell that is recorded, is no variable of this one:
# shellcheck disable=SC2016

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	_may_use_userfaultfd && _may_use_perf || return 0
	run_faultline record --quiet -o one.jsonl -- "$PROGRAMS/mappings" truth 10
	run_faultline record --quiet -o two.jsonl.zst -- sh -c '"$1/family" other 20' sh "$PROGRAMS"
	run_faultline record --quiet -o three.jsonl -- "$PROGRAMS/heap" third 10
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
	cp "$BATS_FILE_TMPDIR"/{one.jsonl,two.jsonl.zst,three.jsonl} .
}

# is_valid TRACE: it keeps all rules of a trace, and a report of it is what its lines add up to.
is_valid() {
	assert_complete "$1"
	run_command "$TOP/tests/check_trace.py" "$1"
	run_faultline report --by=all --limit=all --min-percent=0 --no-lines --json "$1"
	cp stdout report.json
	run_command "$TOP/tests/check_report.py" "$1" report.json
}

# facts TRACE: its faults, each with what it refers to, in a way that has no identifiers.
facts() {
	trace_text "$1" | jq --slurp --compact-output '
		(map(select(.type == "region")) | map({key: (.id | tostring), value: {pid, start, size, source}}) | from_entries) as $region |
		(map(select(.type == "alloc")) | map({key: (.id | tostring), value: {pid, tid, addr, size, func}}) | from_entries) as $alloc |
		(map(select(.type == "module")) | map({key: (.id | tostring), value: .path}) | from_entries) as $path |
		(map(select(.type == "stack")) | map({key: (.id | tostring),
			value: (.frames | map([.ip, .symbol, $path[.module | tostring]]))}) | from_entries) as $stack |
		.[] | select(.type == "fault") |
		.region |= $region[. | tostring] | .alloc |= $alloc[. | tostring] | .stack |= $stack[. | tostring]'
}

@test "merge: every fault keeps all that it refers to, in the order of time" {
	run_faultline merge one.jsonl two.jsonl.zst three.jsonl -o all.jsonl
	[[ ! -s stderr ]]
	is_valid all.jsonl
	for trace in one.jsonl two.jsonl.zst three.jsonl; do facts "$trace"; done | sort >expected
	facts all.jsonl | sort | diff expected - | head -n 20
	[[ $(facts all.jsonl | sort | md5sum) == $(md5sum <expected) ]]
	# nothing but numbers and the order is new: as many lines of each type
	for trace in one.jsonl two.jsonl.zst three.jsonl; do trace_text "$trace"; done |
		jq -r .type | grep -v -e session -e end | sort | uniq -c >types
	jq -r .type all.jsonl | grep -v -e session -e end | sort | uniq -c | diff types -
	# they ran one after the other, on one clock
	jq -e --slurp '.[0].ts as $start | (map(select(.type == "session")) | length) == 1 and
		(.[0].merged | length) == 3 and .[0].merged[2].command[1] == "third" and
		(.[-1].ts - $start) == .[-1].duration_ns' all.jsonl
	jq -e --slurp --argjson ts "$(head -n 1 three.jsonl | jq .ts)" \
		'map(select(.type == "fault" and .ts >= $ts)) | length > 10' all.jsonl
	# what ran is all that ran: is_valid has made a report
	jq -e '.trace.command | test("^[^;]*/mappings truth 10; sh -c .*; [^;]*/heap third 10$")' report.json
}

@test "merge: to zstd and standard output, from standard input, by filters" {
	run_faultline merge one.jsonl two.jsonl.zst -o all.jsonl
	run_faultline merge one.jsonl two.jsonl.zst -o all.jsonl.zst
	zstd -q -d -c all.jsonl.zst | cmp all.jsonl -
	run_faultline merge one.jsonl - <two.jsonl.zst
	cmp all.jsonl stdout
	run_faultline merge --access=read one.jsonl two.jsonl.zst -o read.jsonl
	is_valid read.jsonl
	"$FAULTLINE" filter --access=read all.jsonl >filtered.jsonl
	diff <(facts read.jsonl | sort) <(facts filtered.jsonl | sort)
	[[ $(jq -c 'select(.type == "session").filters' read.jsonl) == '["--access=read"]' ]]
	# merged traces are merged again
	run_faultline merge all.jsonl three.jsonl -o again.jsonl
	is_valid again.jsonl
	head -n 1 again.jsonl | jq -e '.merged | length == 3'
}

@test "merge: processes with the same number stay apart, unless one ended before" {
	# the same trace twice: two processes that lived at the same time
	run_faultline merge one.jsonl one.jsonl -o twice.jsonl
	is_valid twice.jsonl
	local pid
	pid=$(trace_lines one.jsonl process .pid | head -n 1)
	jq -e --slurp --argjson pid "$pid" '
		(map(select(.type == "process" and .event == "start")) | map([.pid, .ns_pid]) | sort) as $starts |
		($starts | length) == 2 and $starts[0] == [$pid, null] and $starts[1][0] > 4194304 and $starts[1][1] == $pid and
		(map(select(.type == "fault" and .pid == $pid)) | length) ==
		(map(select(.type == "fault" and .pid == $starts[1][0])) | length)' twice.jsonl
	jq -e --argjson once "$(trace_count one.jsonl fault)" '.totals.faults == 2 * $once and
		.totals.processes == 2 and (.process | map(.faults) | unique) == [$once]' report.json
	# a day later the number belongs to another
	sed '1s/"time":"[^"]*"/"time":"2033-01-01T00:00:00Z"/' one.jsonl >later.jsonl
	run_faultline merge one.jsonl later.jsonl -o both.jsonl
	run_command "$TOP/tests/check_trace.py" both.jsonl
	run_faultline report --by=process --json both.jsonl
	jq -e '.totals.processes == 2 and (.process | map(.faults) | unique | length) == 1 and
		(.process[1].start_ns - .process[0].start_ns | fabs) > 1e17' stdout
	[[ $(trace_lines both.jsonl fault .pid | sort -u) == "$pid" ]]
}

@test "merge: clocks of different machines are put in order by the calendar" {
	local ts
	ts=$(head -n 1 one.jsonl | jq .ts)
	# another machine, started later, a minute after
	sed -E "1s/\"time\":\"[^\"]*\"/\"time\":\"$(date -u -d "$(head -n 1 one.jsonl | jq -r .time) + 1 minute" +%FT%TZ)\"/" \
		one.jsonl | jq -c --argjson ts "$ts" 'if .ts then .ts -= $ts - 1000 else . end' >elsewhere.jsonl
	run_faultline merge one.jsonl elsewhere.jsonl -o all.jsonl
	run_command "$TOP/tests/check_trace.py" all.jsonl
	jq -e --slurp --argjson n "$(trace_count one.jsonl fault)" '
		map(select(.type == "fault").ts) | sort | length == 2 * $n and
		.[$n] - .[0] == 60000000000 and .[2 * $n - 1] - .[$n - 1] == 60000000000' all.jsonl
	# whichever is named first, no time is negative
	run_faultline merge elsewhere.jsonl one.jsonl -o turned.jsonl
	run_command "$TOP/tests/check_trace.py" turned.jsonl
	jq -e --slurp 'all(.ts == null or .ts >= 0) and (.[0].ts == 0) and
		([.[] | select(.type == "fault").ts] | max - min >= 60000000000)' turned.jsonl
}

@test "merge: what a part lacks, the whole lacks, and says so" {
	head -c -100 three.jsonl >cut.jsonl
	run_faultline merge one.jsonl cut.jsonl -o all.jsonl
	grep -q '"cut.jsonl" is cut' stderr
	if has_ended all.jsonl; then fail "it has an end"; fi
	run_faultline report all.jsonl
	grep -q '"all.jsonl" is cut' stderr
	sed '3i {"type":"dream","id":1}' one.jsonl >dreams.jsonl
	run_faultline merge dreams.jsonl three.jsonl -o all.jsonl
	grep -q 'warning: 1 lines of "dreams.jsonl" were left out' stderr
}

@test "merge: what does not go together is refused" {
	sed '1s/"granularity":4096/"granularity":65536/' one.jsonl >coarse.jsonl
	run_faultline --status 1 merge one.jsonl coarse.jsonl -o all.jsonl
	grep -q '"one.jsonl" and "coarse.jsonl" do not go together: they have different granularity' stderr
	[[ ! -e all.jsonl ]]
	sed 's/"id":1,/"id":9223372036854775807,/' one.jsonl >large.jsonl
	run_faultline --status 1 merge one.jsonl large.jsonl -o all.jsonl
	grep -q 'large.jsonl:[0-9]*: numbers so large' stderr
	sed '20s/.*/{/' one.jsonl >damaged.jsonl
	run_faultline --status 1 merge one.jsonl damaged.jsonl -o all.jsonl
	grep -q 'damaged.jsonl:20: not JSON' stderr
	cp one.jsonl same.jsonl
	run_faultline --status 1 merge one.jsonl same.jsonl -o same.jsonl
	grep -q '"same.jsonl" is both read and written' stderr
	cmp one.jsonl same.jsonl
	# modes may differ
	sed '1s/"mode":"missing"/"mode":"write"/' three.jsonl >write.jsonl
	run_faultline merge one.jsonl write.jsonl
	head -n 1 stdout | jq -e '.mode == "mixed" and .merged[1].mode == "write"'
}
