#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# export.bats: exports of traces that were recorded from real programs in the same run, each read by
# something that was not written here: the tool that it is for, or its published schema. What that
# adds up is what `faultline report --json` says.

load helpers

# Where `make check` puts npm's packages.
export NPM_PACKAGES=${NPM_PACKAGES:-$TOP/build/npm}

# A name of 15 bytes, so that it is a thread's, too, that means something to every output and to
# terminals.
ODD_NAME=$'=2+3;"\e[31m,<b>'

# Memory that is asked for and never touched, that one thread touches for another, a process more.
PROGRAM='
import mmap, subprocess, threading
unused = bytes(24 << 20)
shared = mmap.mmap(-1, 6 << 20)
def place():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as name:
        name.write("placer")
    for offset in range(0, 6 << 20, 4096):
        shared[offset] = 1
thread = threading.Thread(target=place)
thread.start()
thread.join()
subprocess.run(["/bin/ls", "-l", "/"], stdout=subprocess.DEVNULL)
'

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	_may_use_userfaultfd && _may_use_perf || return 0
	run_faultline record --quiet -o real.jsonl.zst -- /usr/bin/python3 -c "$PROGRAM"
	assert_complete real.jsonl.zst
	# shellcheck disable=SC2153
	cp "$PROGRAMS/blocks" "$ODD_NAME"
	run_faultline record --quiet -o odd.jsonl -- "./$ODD_NAME" 30
	assert_complete odd.jsonl
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	real=$BATS_FILE_TMPDIR/real.jsonl.zst
	odd=$BATS_FILE_TMPDIR/odd.jsonl
}

# export_as FORMAT FILE TRACE [OPTIONS...]: exports, and says nothing.
export_as() {
	run_faultline export --no-lines --format="$1" --output="$2" "${@:3}"
	[[ -z $stderr ]] || fail "says: $stderr"
}

# expect [FILTERS...]: what the report says of the real trace: faults, touched, allocated.
expect() {
	faults=$("$FAULTLINE" report --json "$@" "$real" | jq .totals.faults)
	touched=$("$FAULTLINE" report --json "$@" "$real" | jq .totals.bytes)
	allocated=$("$FAULTLINE" filter "$@" "$real" | jq --slurp 'map(select(.type == "alloc").size) | add // 0')
	((faults > 0 && touched > 0)) ||
		fail "$faults faults, $touched bytes, $allocated allocated"
}

# thread_bytes NAME: what the report says that the thread of that name touched.
thread_bytes() {
	"$FAULTLINE" report --json --limit=all "$real" |
		jq --arg name "$1" '.thread[] | select(.name == $name) | .bytes'
}

# browser VIEWER FILE: what the viewer reads, as JSON in stdout.
browser() {
	run_command --time 200 "$TOP/tests/export/browser.py" "$@"
}

# --- folded ------------------------------------------------------------------------------------

@test "export folded: flamegraph.pl draws all of it" {
	requires userfaultfd perf
	expect
	local value
	for value in touched faults allocated; do
		export_as folded "$value" "$real" --value="$value"
		run_command perl /usr/share/perl5/Devel/NYTProf/flamegraph.pl --countname="$value" "$value"
		[[ -z $stderr ]] || fail "flamegraph.pl says: $stderr"
		grep -o '<title>all ([0-9,]*' stdout | head -n 1 | tr -dc 0-9 >sum
		[[ $(<sum) == "${!value}" ]] || fail "$value: $(<sum), not ${!value}"
	done
	# a frame of the thread that placed the memory, by its name
	grep -q '^placer;.*;_PyEval_EvalFrameDefault' touched
	run_faultline export --no-lines -f folded "$real"
	diff stdout touched
}

@test "export folded: stacks and names are those of the trace" {
	requires userfaultfd perf
	export_as folded folded "$real" --value=faults
	trace_text "$real" >plain.jsonl
	run_command /usr/bin/python3 - <<-'END'
		import collections, json

		stacks, modules, names, counts = {}, {}, {}, collections.Counter()

		def name_of(frame, is_call):
		    if "symbol" in frame:
		        return frame["symbol"]
		    if "module" not in frame:
		        return "[generated code]"
		    file = modules[frame["module"]].rsplit("/", 1)[-1]
		    return f"{file}+{hex(int(frame['offset'], 16) - is_call)}"

		for line in map(json.loads, open("plain.jsonl")):
		    if line["type"] == "module":
		        modules[line["id"]] = line["path"]
		    elif line["type"] == "thread":
		        names[line["pid"], line["tid"]] = line["name"]
		    elif line["type"] == "stack":
		        frames = [name_of(frame, i > 0) for i, frame in enumerate(line["frames"])]
		        stacks[line["id"]] = frames + ["[truncated]"] * line.get("truncated", False)
		    elif line["type"] == "fault":
		        stack = tuple(reversed(stacks.get(line.get("stack"), ["[no stack]"])))
		        counts[(line["pid"], line["tid"]), stack] += 1
		for (thread, stack), count in counts.items():
		    print(";".join((names[thread], *stack)), count)
	END
	c++filt <stdout | awk '{ count = $NF; sub(/ [0-9]+$/, ""); sum[$0] += count }
		END { for (stack in sum) print stack, sum[stack] }' | sort >wanted
	(($(wc -l <wanted) > 100))
	sort folded | diff wanted -
}

# --- speedscope --------------------------------------------------------------------------------

@test "export speedscope: the schema's, and sums of each profile" {
	requires userfaultfd perf
	expect
	export_as speedscope real.json "$real"
	run_command /usr/bin/python3 -c '
import json, jsonschema, sys
schema, export = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(export, schema)
' "$NPM_PACKAGES/node_modules/speedscope/dist/release/file-format-schema.json" real.json
	jq -e --argjson faults "$faults" --argjson touched "$touched" --argjson allocated "$allocated" '
		(.profiles | map({(.name): (.weights | add)}) | add) ==
			{faults: $faults, touched: $touched, allocated: $allocated} and
		(.profiles | all(.endValue == (.weights | add) and (.samples | length) == (.weights | length))) and
		(.shared.frames | length) as $frames | [.profiles[].samples[][]] | max < $frames' real.json
}

@test "export speedscope: speedscope shows it, and the folded stacks and pprof, too" {
	requires userfaultfd perf
	expect
	local format
	export_as speedscope real.json "$real"
	browser speedscope real.json
	jq -e --arg faults "$faults" --arg touched "$touched" '
		[.tables[][] | select(.[1] == "faults" or .[1] == "touched") | .[2]] ==
		[($faults | gsub("(?<a>[0-9])(?=([0-9]{3})+$)"; "\(.a),")),
		 ($touched | tonumber / 1048576 * 100 | round / 100 | tostring |
			sub("^(?<a>[0-9]+)$"; "\(.a).00") | sub("(?<a>[.][0-9])$"; "\(.a)0") + " MB")]' stdout
	# the largest first: the outermost frames are threads
	jq -e '[.tables[][:8][][2]] | any(. == "placer")' stdout
	export_as folded real.folded "$real"
	browser speedscope real.folded
	local thread
	for thread in python3 placer; do
		jq --raw-output --arg name "$thread" '.tables[][] | select(.[2] == $name) | .[0]' stdout |
			sed 's/ .*//' | tr -d , >sum
		[[ $(<sum) == "$(thread_bytes "$thread")" ]] || fail "$thread: $(<sum)"
	done
}

# --- chrome ------------------------------------------------------------------------------------

@test "export chrome: the Trace Viewer reads every fault, stack and change of memory" {
	requires userfaultfd perf
	export_as chrome real.json "$real"
	browser trace-viewer real.json
	jq -e '.warnings == []' stdout
	"$FAULTLINE" report --json --limit=all "$real" |
		jq --compact-output '.thread | map(select(.faults > 0) | [.pid, .tid, .name, .faults]) | sort[]' >wanted
	jq --compact-output '[.processes[] | .pid as $pid | .threads[] | select(.faults | length > 0) |
		[$pid, .tid, .name, (.faults | length)]] | sort[]' stdout >got
	diff wanted got
	# each fault's address, access and innermost function
	trace_text "$real" | jq --raw-input --raw-output --slurp '
		split("\n")[:-1] | map(fromjson) |
		(map(select(.type == "stack")) | map({key: (.id | tostring), value: .frames[0].symbol}) | from_entries) as $name |
		.[] | select(.type == "fault") | "\(.tid) \(.addr) \(.access) \($name[.stack // 0 | tostring])"' |
		c++filt | sort >wanted
	jq --raw-output '.processes[].threads[] | .tid as $tid | .faults[] |
		"\($tid) \(.args.address) \(.args.access) \(.stack[0])"' stdout | sort >got
	diff <(grep -v 'null$' wanted) <(grep -v -e '+0x' -e 'null$' -e '\]$' got)
	# what was touched and not given back; python3 gives little back
	jq -e --argjson touched "$("$FAULTLINE" report --json "$real" | jq .totals.bytes)" '
		[.processes[].counters[] | select(.name == "touched memory") | .values | max] |
		length > 1 and add <= $touched and add > $touched * 0.9' stdout
}

# --- firefox -----------------------------------------------------------------------------------

# profiler ARGUMENTS...: the Firefox Profiler's own command line, as JSON.
profiler() {
	PROFILER_CLI_SESSION_DIR=$BATS_TEST_TMPDIR/s run_command \
		node "$NPM_PACKAGES/node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js" "$@"
}

profiler_is_up() {
	profiler status >/dev/null
}

teardown() {
	if [[ -d $BATS_TEST_TMPDIR/s ]]; then
		profiler stop --all
	fi
}

@test "export firefox: the Firefox Profiler reads threads, faults, memory and markers" {
	requires userfaultfd perf
	expect
	# some without a stack: they count as the others do
	zstd --decompress --stdout --quiet "$real" |
		awk '/"type":"fault"/ && ++n % 50 == 0 { sub(/,"stack":[0-9]+/, "") } { print }' >some.jsonl
	[[ $(trace_count some.jsonl fault '.stack == null') -ge $((faults / 50)) ]]
	export_as firefox real.json some.jsonl
	# it may say that it is still starting
	profiler load real.json || wait_until --time 60 profiler_is_up
	profiler thread list --json --limit 0
	"$FAULTLINE" report --json --limit=all "$real" |
		jq --compact-output '.thread | map(select(.faults > 0) | [.pid, .tid, .name]) | sort[]' >wanted
	jq --compact-output '.threads | map([(.pid | tonumber), .tid, .name]) | sort[]' stdout >got
	diff wanted got
	jq -e --argjson wanted "$((faults + $(trace_count "$real" alloc)))" \
		'[.threads[].markerCount] | add == $wanted' stdout

	local handle handles total_faults=0 total_bytes=0
	handles=$(jq --raw-output '.threads[].threadHandle' stdout)
	for handle in $handles; do
		profiler thread select "$handle"
		profiler strategy timing
		profiler thread samples --json
		((total_faults += $(jq .categoryBreakdown.totalSamples stdout)))
		profiler strategy native-allocations
		profiler thread samples --json
		((total_bytes += $(jq .categoryBreakdown.totalSamples stdout)))
	done
	[[ $total_faults == "$faults" && $total_bytes == "$touched" ]] ||
		fail "$total_faults faults, $total_bytes bytes"
	profiler counter list --json
	jq -e --argjson touched "$touched" '[.counters[] | select(.unit == "bytes") | .stats[0].value] |
		length > 1 and add <= $touched and add > $touched * 0.9' stdout
	profiler profile markers --search placer --limit 1 --json
}

# --- pprof -------------------------------------------------------------------------------------

# pprof_total TYPE [OPTIONS...]: what `go tool pprof` shows of real.pb.gz, all that matches.
pprof_total() {
	go tool pprof -top -unit=bytes -nodecount=100000 -nodefraction=0 -sample_index="$1" "${@:2}" \
		real.pb.gz 2>&1 | sed -nE 's/^Showing nodes accounting for ([0-9]+)[A-Za-z]*, .*/\1/p'
}

@test "export pprof: pprof's sums, labels and mappings are those of the trace" {
	requires userfaultfd perf
	export HOME=$PWD PPROF_TMPDIR=$PWD
	expect
	export_as pprof real.pb.gz "$real"
	local type
	for type in faults touched allocated; do
		[[ $(pprof_total "$type") == "${!type}" ]] || fail "$type: $(pprof_total "$type"), not ${!type}"
	done
	run_command go tool pprof -raw real.pb.gz
	grep -q '^faults/count touched/bytes\[dflt\] allocated/bytes$' stdout
	# mappings: the program first, each with its build-id
	sed -n '/^Mappings/,$s/^[0-9]*: \([^ ]*\) \([^ ]*\) \([^ ]*\) .*/\2 \3/p' stdout >mappings
	[[ $(head -n 1 mappings) == "/usr/bin/python3"* ]]
	trace_lines "$real" module '"\(.path) \(.build_id)"' | sort -u >modules
	(($(wc -l <mappings) > 4))
	sort mappings | comm -23 - modules >unknown
	[[ ! -s unknown ]] || fail "no such module: $(<unknown)"
	# by thread, access and source
	run_command go tool pprof -tags -sample_index=faults real.pb.gz
	grep -q 'placer' stdout
	expect --access=write
	[[ $(pprof_total touched -tagfocus=access=write) == "$touched" ]]
	[[ $(pprof_total touched -tagfocus=thread=placer) == "$(thread_bytes placer)" ]]
	expect --source=brk
	[[ $(pprof_total faults -tagfocus=source=brk) == "$faults" ]]
}

@test "export pprof: protoc reads it by the published schema" {
	requires userfaultfd perf
	expect
	export_as pprof real.pb.gz "$real"
	gzip --decompress --stdout real.pb.gz |
		protoc --proto_path=/usr/share/gocode/src/github.com/google/pprof/proto \
			--decode=perftools.profiles.Profile profile.proto >text
	# a field that the schema does not have would be printed as a number
	if grep -E '^ *[0-9]+[ :]' text; then
		fail "unknown fields"
	fi
	awk '/^  value:/ { sum[n++ % 3] += $2 } END { print sum[0], sum[1], sum[2] }' text >sums
	[[ $(<sums) == "$faults $touched $allocated" ]]
	[[ $(grep -c '^  location_id' text) -gt 1000 ]]
}

# --- csv ---------------------------------------------------------------------------------------

# query SQL: a JSON object for each row, in stdout.
query() {
	run_command --time 100 node "$TOP/tests/export/query.mjs" duckdb -c "$1"
}

@test "export csv: DuckDB's sums are those of the report" {
	requires userfaultfd perf
	expect
	export_as csv real.csv "$real"
	query "SELECT count(*) AS faults, sum(bytes) AS touched FROM read_csv('real.csv')"
	jq -e ".faults == \"$faults\" and .touched == \"$touched\"" stdout
	query "SELECT pid, tid, any_value(thread) AS name, count(*) AS faults, sum(bytes) AS bytes
		FROM read_csv('real.csv') GROUP BY pid, tid"
	jq --slurp --compact-output 'map([.pid, .tid, .faults, .bytes | tonumber]) | sort[]' stdout >got
	"$FAULTLINE" report --json --limit=all "$real" |
		jq --compact-output '.thread | map(select(.faults > 0) | [.pid, .tid, .faults, .bytes]) | sort[]' >wanted
	diff wanted got
	query "SELECT function, sum(bytes) AS bytes FROM read_csv('real.csv')
		WHERE function NOT LIKE '%+0x%' GROUP BY function"
	jq --compact-output '[.function, (.bytes | tonumber)]' stdout | sort >got
	"$FAULTLINE" report --json --limit=all "$real" | jq --compact-output '.site | map(select(.function)) |
		group_by(.function) | map([.[0].function, (map(.bytes) | add)])[]' | sort >wanted
	diff wanted got
}

@test "export csv: rows are the faults of the trace, one by one" {
	requires userfaultfd perf
	export_as csv real.csv "$real"
	query "SELECT time_ns, tid, address, access, kind, origin, source, allocation, stack
		FROM read_csv('real.csv', all_varchar = true)"
	jq --raw-output '"\(.time_ns) \(.tid) \(.address) \(.access) \(.kind) \(.origin) \(.source) \(.allocation)"' \
		stdout >got
	trace_text "$real" | jq --raw-input --raw-output --slurp '
		split("\n")[:-1] | map(fromjson) | .[0].ts as $start |
		(map(select(.type == "region")) | map({key: (.id | tostring), value: .source}) | from_entries) as $source |
		.[] | select(.type == "fault") |
		"\(.ts - $start) \(.tid) \(.addr) \(.access) \(.kind) \(.origin) \($source[.region | tostring]) \(.alloc)"' >wanted
	diff wanted got
}

# --- names -------------------------------------------------------------------------------------

@test "export: a name that is an escape sequence, a formula and a separator is only a name" {
	requires userfaultfd perf
	local format
	for format in folded speedscope chrome firefox csv; do
		export_as "$format" "odd.$format" "$odd"
		if LC_ALL=C grep -n -P '[\x00-\x09\x0b-\x1f\x7f]' "odd.$format"; then
			fail "$format has control characters"
		fi
	done
	export_as pprof odd.pb.gz "$odd"
	for format in speedscope chrome firefox; do
		jq -e --arg name "$ODD_NAME" '[.. | strings | select(. == $name)] | length > 0' "odd.$format"
	done
	# folded: the thread and its frames, no more of them
	run_command perl /usr/share/perl5/Devel/NYTProf/flamegraph.pl odd.folded
	[[ -z $stderr ]] || fail "flamegraph.pl says: $stderr"
	grep -q '^=2+3:"?\[31m,<b>;' odd.folded
	grep -q -F '=2+3:&quot;?[31m,' stdout
	# csv: the columns stay what they are, and nothing can be a formula
	run_command /usr/bin/python3 -c '
import csv, sys
heading, *rows = csv.reader(open(sys.argv[1], newline=""), strict=True)
for row in rows:
    assert len(row) == len(heading), row
    assert not any(field.startswith(tuple("=+-@\t\r")) for field in row), row
row = dict(zip(heading, rows[0]))
print(len(rows), row["thread"], row["stack"].split(";")[-1])
' odd.csv
	[[ $output == "$(trace_count "$odd" fault) '=2+3;\"?[31m,<b> "* ]]
	# pprof: text without control characters, the same samples
	run_command go tool pprof -top -sample_index=faults odd.pb.gz
	grep -q -F '=2+3;"?[31m,<b>' stdout
}

# --- in and out --------------------------------------------------------------------------------

@test "export: filters choose, from files and pipes, to files, compressed files and pipes" {
	requires userfaultfd perf
	local format
	expect --thread-name=placer
	export_as csv placer.csv "$real" --thread-name=placer
	tail -n +2 placer.csv | awk -F , '{ faults++; bytes += $10 } END { print faults, bytes }' >sums
	[[ $(<sums) == "$faults $touched" ]]
	for format in folded speedscope chrome firefox pprof csv; do
		run_faultline export -f "$format" --access=write -o plain "$real"
		run_faultline export -f "$format" --access=write -o compressed.zst - <"$real"
		zstd --decompress --stdout --quiet compressed.zst | cmp - plain
		# from a pipe into a pipe, filtered before
		"$FAULTLINE" filter --access=write "$real" | "$FAULTLINE" export -f "$format" - | cat >piped
		[[ -s piped ]]
		[[ $format != folded && $format != csv ]] || diff <(sort plain) <(sort piped)
	done
}

@test "export: wrong usage is told" {
	echo '{"type":"session","format":"faultline-trace","version":1}' >empty.jsonl
	run_faultline --status 2 export empty.jsonl
	grep -q 'which format?' stderr
	run_faultline --status 2 export --format=chrom empty.jsonl
	grep -q 'did you mean chrome?' stderr
	run_faultline --status 2 export --format=x empty.jsonl
	grep -q 'one of folded, speedscope, chrome, firefox, pprof, csv' stderr
	run_faultline --status 2 export -f csv --value=faults empty.jsonl
	grep -q 'csv has all values' stderr
	run_faultline --status 2 export -f folded --value=bytes empty.jsonl
	grep -q 'one of faults, touched, allocated' stderr
	run_faultline --status 2 export -f csv
	run_command --status 2 script --quiet --return --command "$FAULTLINE export -f pprof empty.jsonl" /dev/null
	grep -q 'pprof is not for a terminal' stdout
}

@test "export: the trace itself and what cannot be written stay as they are" {
	echo '{"type":"session","format":"faultline-trace","version":1}' >empty.jsonl
	cp empty.jsonl copy
	ln -s empty.jsonl link
	run_faultline --status 1 export -f csv -o link empty.jsonl
	grep -q 'export: "link" is the trace itself' stderr
	cmp empty.jsonl copy
	run_faultline --status 1 export -f csv -o /nonexistent/x empty.jsonl
	grep -q '"/nonexistent/x": No such file' stderr
	local format
	for format in folded speedscope chrome firefox pprof csv; do
		# shellcheck disable=SC2016
		run_command --status 1 sh -c '"$1" export -f "$2" - >/dev/full' sh "$FAULTLINE" "$format" < <(one_fault)
		grep -q 'standard output: No space left' stderr
	done
}

# one_fault [TS]: a small trace that is cut.
one_fault() {
	echo '{"type":"session","format":"faultline-trace","version":1,"ts":5}'
	echo '{"type":"fault","ts":'"${1:-9}"',"pid":7,"tid":7,"addr":"0x1000","access":"write"}'
}

@test "export: a cut trace is exported with a warning, a damaged one is refused" {
	local format
	for format in folded speedscope chrome firefox pprof csv; do
		one_fault >cut.jsonl
		run_faultline export -f "$format" -o out cut.jsonl
		grep -q '"cut.jsonl" is cut' stderr
		[[ -s out ]]
		echo '{"type":"fault","pid":"x"}' >>cut.jsonl
		run_faultline --status 1 export -f "$format" -o out cut.jsonl
		grep -q 'cut.jsonl:3: ' stderr
	done
}

@test "export: what is odd in a trace does no harm" {
	# no faults; a time before the start; nothing known of a fault
	echo '{"type":"session","format":"faultline-trace","version":1}' >empty.jsonl
	one_fault -9000 >early.jsonl
	local trace
	for trace in empty early; do
		for format in folded csv pprof; do
			run_faultline export -f "$format" -o "$trace.$format" "$trace.jsonl"
		done
		for format in speedscope chrome firefox; do
			run_faultline export -f "$format" "$trace.jsonl"
			jq -e . stdout
		done
		go tool pprof -top "$trace.pprof"
	done
	grep -q '^-9005,7,7,,,0x1000,"write","missing",,' early.csv
	grep -qx 'thread 7;\[no stack\] 4096' early.folded
}

# big_trace FAULTS: a trace with so many faults of 200 stacks by 4 threads.
big_trace() {
	awk -v faults="$1" 'BEGIN {
		print "{\"type\":\"session\",\"format\":\"faultline-trace\",\"version\":1,\"ts\":0}"
		for (i = 1; i <= 200; i++)
			printf "{\"type\":\"stack\",\"id\":%d,\"frames\":[{\"ip\":\"0x%x\",\"symbol\":\"f%d\"},{\"ip\":\"0x1\",\"symbol\":\"main\"}]}\n", i, i, i
		for (i = 0; i < faults; i++)
			printf "{\"type\":\"fault\",\"ts\":%d,\"pid\":1,\"tid\":%d,\"addr\":\"0x%x\",\"access\":\"write\",\"kind\":\"missing\",\"origin\":\"user\",\"stack\":%d,\"served\":\"copy\"}\n", i * 1000, i % 4 + 1, 65536 + 4096 * (i % 1000), i % 200 + 1
		print "{\"type\":\"end\",\"ts\":1,\"faults\":1}"
	}'
}

@test "export: memory does not grow with the number of faults" {
	[[ -z ${SAN-} ]] || skip "sanitizers keep what is freed"
	big_trace 20000 >few.jsonl
	big_trace 400000 >many.jsonl
	local format few many
	for format in folded speedscope chrome firefox pprof csv; do
		few=$(peak_kib "$FAULTLINE" export -f "$format" few.jsonl)
		many=$(peak_kib "$FAULTLINE" export -f "$format" many.jsonl)
		echo "$format: $few KiB, $many KiB"
		# 380,000 faults more: a byte for each would be 371 KiB
		((many - few < 371)) || fail "$format grows"
	done
}

# --- recipes -----------------------------------------------------------------------------------

# recipe PATTERN: the commands of the manual page in whose example the pattern stands, to be run
# where duckdb, clickhouse and grpcurl are what this repository has in their place.
recipe() {
	mandoc -T ascii "$TOP/man/faultline-export.1" | col -b | expand |
		awk -v pattern="$1" 'function check() { if (index(block, pattern)) printf "%s", block; block = "" }
			/^ +\$ / { inside = 1; match($0, /[^ ]/); indent = RSTART; $0 = substr($0, RSTART + 2); block = block $0 "\n"; next }
			inside && /^ +[^ ]/ && match($0, /[^ ]/) && RSTART > indent { block = block substr($0, indent) "\n"; next }
			/^ *$/ || !inside { if (inside) check(); inside = 0; next }
			{ check(); inside = 0 }' >recipe.sh
	[[ -s recipe.sh ]] || fail "no recipe for $1"
	sed 's/^/recipe: /' recipe.sh
	mkdir -p bin
	ln -sf "$FAULTLINE" bin/faultline
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nexec node "%s/tests/export/query.mjs" "${0##*/}" "$@"\n' "$TOP" >bin/duckdb
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nprintf "%%s\\n" "$@" >arguments; exec node "%s/tests/export/parca.mjs" >profile\n' "$TOP" >bin/grpcurl
	chmod +x bin/duckdb bin/grpcurl
	ln -sf duckdb bin/clickhouse
	PATH=$PWD/bin:$PATH run_command --time 200 bash -e recipe.sh
}

# both_the_same: the first half of the rows is DuckDB's, the second one ClickHouse's.
both_the_same() {
	local half=$(($(wc -l <rows) / 2))
	((half > 2))
	diff <(head -n "$half" rows | sort) <(tail -n +$((half + 1)) rows | sort)
}

@test "export: the recipe for Pyroscope pushes the profile" {
	requires userfaultfd perf
	cp "$real" x.jsonl.zst
	"$TOP/tests/export/receiver.py" body >said 3>&- 4>&- &
	wait_for_line said '^http'
	PYROSCOPE=$(head -n 1 said) recipe push.v1
	wait $!
	grep -qx '/push.v1.PusherService/Push application/json' said
	jq -e '.series | length == 1 and (.[0].samples[0].ID | test("^[0-9a-f-]{36}$")) and
		(.[0].labels | map({(.name): .value}) | add) == {__name__: "faultline", service_name: "shop"}' body
	jq --raw-output '.series[0].samples[0].rawProfile' body | base64 --decode >real.pb.gz
	expect
	[[ $(pprof_total touched) == "$touched" ]]
}

@test "export: the recipe for Parca makes its client's message" {
	requires userfaultfd perf
	cp "$real" x.jsonl.zst
	PARCA=localhost:7070 recipe WriteRaw
	diff arguments - <<-'END'
		-plaintext
		-d
		@
		localhost:7070
		parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw
	END
	cp profile real.pb.gz
	expect
	[[ $(pprof_total touched) == "$touched" ]]
}

@test "export: DuckDB and ClickHouse answer the three questions from many traces" {
	requires userfaultfd perf
	cp "$real" one.jsonl.zst
	cp "$real" two.jsonl.zst
	recipe 'for trace in'
	[[ -s one.csv.zst && -s two.csv.zst ]]

	# which code? the report's first rows, twice as much
	recipe 'SELECT function, sum(bytes) AS bytes, count'
	jq --compact-output '[.function, (.bytes | tonumber), (.faults | tonumber)]' stdout >rows
	both_the_same
	"$FAULTLINE" report --json --limit=all "$real" | jq --compact-output '.site | map(select(.function)) |
		group_by(.function) | map([.[0].function, (map(.bytes) | add * 2), (map(.faults) | add * 2)])[]' >known
	grep -v '+0x' rows | sort -u >named
	[[ -s named ]]
	sort known | comm -13 - named >unknown
	[[ ! -s unknown ]] || fail "not in the report: $(<unknown)"

	# which thread? the one that filled what another asked for
	recipe 'SELECT thread, owner_thread'
	jq --compact-output '[.thread, .owner_thread, .owner_function, (.bytes | tonumber)]' stdout >rows
	both_the_same
	grep -q '^\["placer","python3",.*,12582912\]$' rows

	# what for nothing? 24 MiB, in each trace
	recipe 'read_json'
	jq --compact-output '[.function // "", (.allocations | tonumber), (.bytes | tonumber)]' stdout >rows
	both_the_same
	jq --slurp -e '.[0][2] >= 2 * 25165824' rows
}
