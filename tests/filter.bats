#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# filter.bats: the filters that all commands share, and `faultline filter`. Each filter is compared,
# line by line, with what jq selects from a trace that was recorded in the same run.
#
# What is jq's is no variable of the shell:
# shellcheck disable=SC2016

load helpers

# The trace that most tests cut down: processes that fork and exec, named threads, memory of most
# sources. Recorded once for the file.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	_may_use_userfaultfd && _may_use_perf || return 0
	run_faultline record --quiet -o real.jsonl -- sh -c '"$1/family" one 30 && "$1/mappings" two 10' \
		sh "$PROGRAMS"
	assert_complete real.jsonl
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	real=$BATS_FILE_TMPDIR/real.jsonl
}

# Definitions for jq: $source and $names by identifier, of a trace that was read with --slurp.
jq_tables='
	(map(select(.type == "region")) | map({key: (.id | tostring), value: .source}) | from_entries) as $source |
	(map(select(.type == "stack")) | map({key: (.id | tostring), value: .frames}) | from_entries) as $frames |
	(map(select(.type == "module")) | map({key: (.id | tostring), value: .path}) | from_entries) as $path |
	.[0].ts as $start | .[] | select(.type == "fault") |'

# keeps JQ OPTION...: of the real trace, the options keep the faults for which the condition holds,
# in order and unchanged; neither all nor none; and what is left is a valid trace.
keeps() {
	local condition=$1
	shift
	jq --slurp --compact-output "$jq_tables select($condition)" "$real" >expected
	run_faultline filter "$@" "$real" --output=kept.jsonl
	trace_lines kept.jsonl fault >kept
	diff expected kept
	[[ -s kept ]] || fail "no fault is left"
	(($(wc -l <kept) < $(trace_count "$real" fault))) || fail "all faults are left"
	is_valid "$@"
}

# is_valid OPTION...: kept.jsonl keeps all rules of a trace, has no line that was not there, and its
# report is that of the whole trace with the same filters.
is_valid() {
	assert_well_formed kept.jsonl
	run_command "$TOP/tests/check_trace.py" kept.jsonl
	grep -v -e '^{"type":"session"' -e '^{"type":"end"' kept.jsonl | sort >lines
	sort "$real" | comm -13 - lines >new
	[[ ! -s new ]] || fail "new lines: $(head -c 1000 new)"
	run_faultline report --json --by=all --limit=all --min-percent=0 "$@" "$real"
	jq 'del(.trace.name)' stdout >filtered
	run_faultline report --json --by=all --limit=all --min-percent=0 kept.jsonl
	jq 'del(.trace.name)' stdout | diff filtered -
}

@test "filter: processes, one and several" {
	requires userfaultfd perf
	local pids
	mapfile -t pids < <(trace_lines "$real" fault .pid | sort -u)
	((${#pids[@]} > 3)) || fail "too few processes: ${pids[*]}"
	keeps ".pid == ${pids[1]}" "--pid=${pids[1]}"
	[[ $(trace_lines kept.jsonl process .pid | sort -u) == "${pids[1]}" ]]
	keeps ".pid == ${pids[0]} or .pid == ${pids[2]}" "--pid=${pids[0]},${pids[2]}"
	keeps ".pid == ${pids[0]} or .pid == ${pids[2]}" "--pid=${pids[0]}" --pid "${pids[2]}"
}

@test "filter: threads, by number and by name" {
	requires userfaultfd perf
	local tid name
	read -r tid name < <(trace_lines "$real" thread 'select(.pid != .tid) | "\(.tid) \(.name)"')
	keeps ".tid == $tid" "--tid=$tid"
	# several threads of the program have names that begin alike
	jq --slurp --compact-output --arg name "$name" '
		[.[] | select(.type == "thread" and .name == $name) | {pid, tid}] as $threads |
		.[] | select(.type == "fault") | select({pid, tid} as $t | $threads | index($t))' \
		"$real" >expected
	run_faultline filter --thread-name="${name%?}?" "$real" --output=kept.jsonl
	trace_lines kept.jsonl fault >kept
	comm -23 <(sort expected) <(sort kept) >missing
	[[ -s kept && ! -s missing ]]
	is_valid --thread-name="${name%?}?"
}

@test "filter: kind, access, source, region" {
	requires userfaultfd perf
	keeps '.access == "read"' --access=read
	keeps '$source[.region | tostring] == "brk"' --source=brk
	keeps '$source[.region | tostring] | IN("shm", "memfd", "mremap")' --source=shm,memfd --source=mremap
	keeps '.kind == "minor" or .access == "read"' --kind=minor,missing --access=read
	local region
	region=$(trace_lines "$real" fault 'select(.region > 3).region' | sort | uniq -c | sort -rn |
		awk 'NR == 1 { print $2 }')
	keeps ".region == $region" --region="$region"
	[[ $(trace_lines kept.jsonl region .id) == "$region" ]]
}

@test "filter: addresses and times" {
	requires userfaultfd perf
	local start size low high
	read -r start size < <(trace_lines "$real" region \
		'select(.source == "mmap" and .size >= 40960) | "\(.start) \(.size)"')
	low=$((start)) high=$((start + size / 2))
	trace_lines "$real" fault '"\(.addr) \(tojson)"' |
		while read -r address line; do
			if ((address >= low && address < high)); then echo "$line"; fi
		done >expected
	run_faultline filter --addr="$(printf '0x%x-%d' $low $high)" "$real" --output=kept.jsonl
	trace_lines kept.jsonl fault | diff expected -
	[[ -s expected ]]
	is_valid --addr="$(printf '0x%x-%d' $low $high)"

	# the middle half of the faults, by time
	local session from to
	session=$(trace_lines "$real" session .ts)
	trace_lines "$real" fault .ts | sort -n >moments
	from=$(($(sed -n "$(($(wc -l <moments) / 4))p" moments) - session))
	to=$(($(sed -n "$(($(wc -l <moments) * 3 / 4))p" moments) - session))
	keeps ".ts - \$start >= $from and .ts - \$start < $to" --from=${from}ns --to=${to}ns
	local seconds
	seconds=$(printf '%d.%09d' $((from / 1000000000)) $((from % 1000000000)))
	keeps ".ts - \$start >= $from" "--from=$seconds"
}

@test "filter: functions and modules, by one frame of the stack" {
	requires userfaultfd perf
	keeps '$frames[.stack | tostring] // [] | any(.symbol // "" | test("^private_"))' --symbol=^private_
	keeps '$frames[.stack | tostring] // [] | any($path[.module | tostring] // "" | test("/libc[.]so"))' \
		--module='libc.so*'
	keeps '$frames[.stack | tostring] // [] | any($path[.module | tostring] // "" | endswith("/family"))' \
		--module="$PROGRAMS/family"
	# both of the same frame
	keeps '$frames[.stack | tostring] // [] |
		any((.symbol // "" | test("main")) and ($path[.module | tostring] // "" | endswith("/mappings")))' \
		--symbol=main --module=mappings
}

@test "filter: all filters together, and one after the other" {
	requires userfaultfd perf
	keeps '.access == "write" and $source[.region | tostring] == "mmap" and .kind == "missing"' \
		--access=write --source=mmap --kind=missing
	mv kept together
	"$FAULTLINE" filter --access=write "$real" | "$FAULTLINE" filter --source=mmap - |
		"$FAULTLINE" filter --kind=missing - >piped.jsonl
	trace_lines piped.jsonl fault | diff together -
	[[ $(jq -c 'select(.type == "session").filters' piped.jsonl) == \
		'["--access=write","--source=mmap","--kind=missing"]' ]]
	run_command "$TOP/tests/check_trace.py" piped.jsonl
}

@test "filter: without filters everything stays, from plain and zstd to plain and zstd" {
	requires userfaultfd perf
	run_faultline filter "$real" -o all.jsonl
	cmp "$real" all.jsonl
	run_faultline filter "$real" -o all.jsonl.zst
	(($(stat -c %s all.jsonl.zst) * 3 < $(stat -c %s all.jsonl)))
	zstd -q -d -c all.jsonl.zst | cmp "$real" -
	run_faultline filter all.jsonl.zst -o again.jsonl
	cmp "$real" again.jsonl
	run_faultline filter - <all.jsonl.zst
	cmp "$real" stdout
	zstd -q -c "$real" | "$FAULTLINE" filter --access=write - | "$FAULTLINE" report --json - >piped
	run_faultline report --json --access=write "$real"
	diff <(jq 'del(.trace)' stdout) <(jq 'del(.trace)' piped)
}

@test "filter: many lines that wait for their use go through a temporary file" {
	# 40 MB of stacks, of which the last fault needs the first
	{
		echo '{"type":"session","format":"faultline-trace","version":1,"ts":0,"page_size":4096}'
		awk 'BEGIN {
			name = sprintf("%4000s", ""); gsub(" ", "x", name)
			for (i = 1; i <= 10000; i++)
				printf "{\"type\":\"stack\",\"id\":%d,\"frames\":[{\"ip\":\"0x1\",\"symbol\":\"%s%d\"}]}\n", i, name, i
			for (i = 1; i <= 10000; i += 9999)
				printf "{\"type\":\"fault\",\"ts\":1,\"pid\":%d,\"tid\":1,\"addr\":\"0x1000\",\"stack\":%d}\n", 10001 - i, i
		}'
	} >many.jsonl
	run_faultline filter --pid=10000 many.jsonl -o kept.jsonl
	[[ $(jq -c 'select(.type == "stack").id' kept.jsonl) == 1 ]]
	[[ $(grep -c '"type":"stack"' kept.jsonl) == 1 ]]
	grep -F "$(sed -n 2p many.jsonl)" kept.jsonl >/dev/null
	# no place for the file
	mkdir closed
	TMPDIR=$PWD/closed/gone run_faultline --status 1 filter --pid=10000 many.jsonl -o never.jsonl
	grep -q 'many.jsonl:[0-9]*: cannot keep lines aside in a temporary file: No such file' stderr
}

@test "filter: what is no trace is not overwritten, nor what is being read" {
	requires userfaultfd perf
	echo precious >notes
	run_faultline --status 1 filter "$real" -o notes
	grep -q "'notes': it exists and is not a faultline trace" stderr
	[[ $(<notes) == precious ]]
	cp "$real" same.jsonl
	ln same.jsonl other-name.jsonl
	run_faultline --status 1 filter --access=read same.jsonl -o other-name.jsonl
	grep -q '"same.jsonl" is both read and written' stderr
	cmp "$real" same.jsonl
	# a trace that is there already is replaced
	cp "$real" old.jsonl
	run_faultline filter --access=read same.jsonl -o old.jsonl
	(($(stat -c %s old.jsonl) < $(stat -c %s same.jsonl)))
	run bash -c '"$FAULTLINE" filter same.jsonl >/dev/full'
	[[ $status == 1 && $output == *"cannot write to standard output"* ]]
}

@test "filter: a cut trace is filtered as far as it goes" {
	requires userfaultfd perf
	head -c -300 "$real" >cut.jsonl
	run_faultline filter --access=read cut.jsonl -o kept.jsonl
	grep -q '"cut.jsonl" is cut' stderr
	if has_ended kept.jsonl; then fail "a cut trace got an end line"; fi
	run_faultline report kept.jsonl
	grep -q '"kept.jsonl" is cut' stderr
}

@test "filter: lines and keys of later versions stay" {
	{
		echo '{"type":"session","format":"faultline-trace","version":1,"ts":0,"page_size":4096,"later":1}'
		echo '{"type":"dream","of":"electric sheep"}'
		echo '{"type":"fault","ts":1,"pid":7,"tid":7,"addr":"0x1000","later":2}'
		echo '{"type":"end","ts":9,"faults":1,"later":3}'
	} >t.jsonl
	run_faultline filter --pid=7 t.jsonl -o kept.jsonl
	sed -n 2,3p t.jsonl | diff - <(sed -n 2,3p kept.jsonl)
	jq -e --slurp '.[0].later == 1 and .[3].later == 3' kept.jsonl
}
