#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# report.bats: reading traces and reporting on them. The traces are written here, line by line, so
# that every number is known beforehand; nothing is recorded and no privilege is needed.

load helpers

# session [KEYS]: the first line of a trace.
session() {
	printf '{"type":"session","format":"faultline-trace","version":1,"time":"2025-01-02T03:04:05Z",%s\n' \
		'"ts":1000,"page_size":4096,"kernel":"6.18.0","machine":"x86_64","mode":"missing",'"${1:-}"'"capture":"perf","command":["demo","--fast"]}'
}

# fault TID PAGE [KEYS]: a fault at byte 16 of a page of region 1.
fault() {
	printf '{"type":"fault","ts":2000,"pid":10,"tid":%d,"addr":"0x%x","access":"write","kind":"missing",%s"region":1,"offset":%d,"served":"zero"}\n' \
		"$1" $((0x100000 + $2 * 4096 + 16)) "${3:-}" $(($2 * 4096 + 16))
}

end() {
	echo '{"type":"end","ts":9000,"faults":6,"regions":1,"stacks":4,"lost":0,"processes":1,"duration_ns":5000000}'
}

# frame MODULE OFFSET [SYMBOL SYMBOL_OFFSET]
frame() {
	printf '{"ip":"0x1","module":%d,"offset":"%s"' "$1" "$2"
	[[ -z ${3:-} ]] || printf ',"symbol":"%s","symbol_offset":%d' "$3" "$4"
	printf '}'
}

# stack ID FRAME...
stack() {
	local id=$1 separator=
	shift
	printf '{"type":"stack","id":%d,"frames":[' "$id"
	for frame; do
		printf '%s%s' "$separator" "$frame"
		separator=,
	done
	printf ']}\n'
}

# Six faults of two threads: three pages by fill() through memset, two by an unnamed function, and
# one without a stack. An allocation of four pages has three of them touched.
small_trace() {
	session
	echo '{"type":"process","ts":1000,"pid":10,"ppid":1,"event":"start","exe":"/x/demo"}'
	echo '{"type":"thread","ts":1000,"pid":10,"tid":10,"name":"main"}'
	echo '{"type":"thread","ts":1000,"pid":10,"tid":11,"name":"work\u001b[31mer"}'
	echo '{"type":"from-the-future","x":[1,2]}'
	echo '{"type":"module","id":1,"pid":10,"path":"/usr/lib/libc.so.6","start":"0x1","end":"0x2","offset":0}'
	echo '{"type":"module","id":2,"pid":10,"path":"/x/demo","start":"0x1","end":"0x2","offset":0,"colour":"red"}'
	stack 1 "$(frame 1 0x100 memset 4)" "$(frame 2 0x40 _ZN4demo4fillEPci 8)" "$(frame 2 0x90 main 16)"
	stack 2 "$(frame 2 0x200)" "$(frame 1 0x50 qsort 2)" "$(frame 2 0x90 main 16)"
	stack 3 "$(frame 1 0x60 malloc 2)" "$(frame 2 0x88 main 8)"
	stack 4 "$(frame 2 0x300)" "$(frame 2 0x48 helper 8)"
	echo '{"type":"region","id":1,"ts":1100,"pid":10,"tid":10,"start":"0x100000","size":65536,"source":"mmap","memory":"anon","page_size":4096,"stack":4}'
	echo '{"type":"alloc","id":7,"ts":1200,"pid":10,"tid":10,"addr":"0x100010","size":16368,"func":"malloc","stack":3}'
	fault 10 0 '"alloc":7,"stack":1,'
	fault 10 1 '"alloc":7,"stack":1,'
	fault 11 2 '"alloc":7,"stack":1,'
	fault 11 8 '"stack":2,'
	fault 11 9 '"stack":2,'
	fault 11 10
}

whole_trace() {
	small_trace
	end
}

@test "report: totals, code, memory and threads are those of the trace" {
	whole_trace >t.jsonl
	run_faultline report --json t.jsonl
	jq -e '.totals == {faults: 6, bytes: 24576, reads: 0, writes: 6, peak_bytes: 24576, peak_ns: 1000,
		threads: 2, processes: 1, lost: 0, duration_ns: 5000000}' stdout
	jq -e '.trace.complete and .trace.command == "demo --fast" and .trace.capture == "perf"' stdout
	jq -e '.site | map([.function, .module, .offset, .bytes, .faults, .writes]) == [
		["demo::fill(char*, int)", "/x/demo", "0x38", 12288, 3, 3],
		[null, "/x/demo", "0x200", 8192, 2, 2],
		[null, null, null, 4096, 1, 1]]' stdout
	jq -e '.thread | map([.pid, .tid, .faults, .bytes]) == [[10, 11, 4, 16384], [10, 10, 2, 8192]]' stdout
	[[ ! -s stderr ]]
}

@test "report: touched bytes count each page once, and only what belongs to the allocation" {
	{
		small_trace
		fault 10 1 '"alloc":7,"stack":1,'
		echo '{"type":"free","ts":3000,"pid":10,"tid":10,"alloc":7}'
		fault 10 3 '"alloc":7,"stack":1,'
		end
	} >t.jsonl
	run_faultline report --json t.jsonl
	# the first 16 bytes of page 0 belong to somebody else
	jq -e '.alloc[] | select(.source == "malloc") |
		.function == "main" and .count == 1 and .reserved_bytes == 16368 and
		.peak_bytes == 16368 and .touched_bytes == 4 * 4096 - 16' stdout
	jq -e '.alloc[] | select(.source == "mmap") |
		.function == "helper" and .reserved_bytes == 65536 and .touched_bytes == 7 * 4096' stdout
	jq -e '.totals.faults == 8' stdout
}

@test "report: a frame without a name is told by the next named one of its file only" {
	{
		session
		echo '{"type":"module","id":1,"pid":1,"path":"/x/app","start":"0x1","end":"0x2","offset":0}'
		echo '{"type":"module","id":2,"pid":1,"path":"/x/libplugin.so","start":"0x1","end":"0x2","offset":0}'
		stack 1 "$(frame 2 0x11)" "$(frame 2 0x22 plugin_run 2)" "$(frame 1 0x33 main 3)"
		stack 2 "$(frame 2 0x44)" "$(frame 1 0x33 main 3)"
		stack 3 "$(frame 1 0x60 _ZNSt6vectorIiSaIiEE4growEv 0)" "$(frame 1 0x70 user 0)"
		stack 4 '{"ip":"0x7"}' '{"ip":"0x8","symbol":"LazyCompile:~add","symbol_offset":1}' "$(frame 1 0x33 main 3)"
		for id in 1 2 3 4; do fault 1 "$id" "\"stack\":$id,"; done
		end
	} >t.jsonl
	run_faultline report --json t.jsonl
	jq -e '[.site[] | [.function, .module, .offset]] | sort == ([
		["plugin_run", "/x/libplugin.so", "0x20"], [null, "/x/libplugin.so", "0x44"],
		["user", "/x/app", "0x70"], ["LazyCompile:~add", null, null]] | sort)' stdout
}

@test "report: granularity and huge pages count what a fault brought in" {
	{
		session '"granularity":65536,'
		echo '{"type":"region","id":1,"ts":1,"pid":10,"tid":10,"start":"0x100000","size":81920,"source":"mmap","page_size":4096}'
		echo '{"type":"region","id":2,"ts":1,"pid":10,"tid":10,"start":"0x40000000","size":4194304,"source":"mmap","page_size":2097152}'
		fault 10 0
		fault 10 16 # the last 16 KiB of the region
		echo '{"type":"fault","ts":1,"pid":10,"tid":10,"addr":"0x40200010","region":2,"offset":2097168}'
		echo '{"type":"fault","ts":1,"pid":10,"tid":10,"addr":"0x40200010","region":2,"offset":2097168,"kind":"write-protect"}'
		end
	} >t.jsonl
	run_faultline report --json t.jsonl
	jq -e '.totals | .faults == 4 and .bytes == 65536 + 16384 + 2097152' stdout
	jq -e '.alloc | map(.touched_bytes) | add == 65536 + 16384 + 2097152' stdout
}

@test "report: a region that moves keeps what was touched" {
	{
		session
		echo '{"type":"region","id":1,"ts":1,"pid":10,"tid":10,"start":"0x100000","size":65536,"source":"mmap","page_size":4096}'
		for page in 0 1 2; do fault 10 "$page"; done
		echo '{"type":"remap","ts":2,"pid":10,"tid":10,"region":1,"from":"0x100000","to":"0x900000","size":65536}'
		for page in 2 9; do fault 10 "$page"; done
		end
	} >t.jsonl
	run_faultline report --json t.jsonl
	jq -e '.alloc[0] | .reserved_bytes == 65536 and .touched_bytes == 4 * 4096' stdout
}

@test "report: what is resident is so until it changes, also while nothing happens" {
	# six pages are touched in millisecond 0, and four of them given back in millisecond 5; a part
	# where nothing was, and a process that has nothing, change nothing
	small_trace >t.jsonl
	cat >>t.jsonl <<-'EOF'
		{"type":"remove","ts":5200000,"pid":10,"tid":10,"start":"0x102000","size":57344}
		{"type":"remove","ts":7200000,"pid":10,"tid":10,"start":"0x10c000","size":4096}
		{"type":"process","ts":7300000,"pid":12,"ppid":10,"event":"start","exe":"/x/demo"}
		{"type":"process","ts":8200000,"pid":12,"event":"exit","status":0}
		{"type":"fault","ts":9200000,"pid":10,"tid":10,"addr":"0x102000","access":"write","kind":"missing","region":1,"offset":8192,"served":"zero"}
	EOF
	run_faultline report --by=time --limit=all --json t.jsonl
	jq -e '(.time | map(.resident_bytes / 4096)) == [6, 6, 6, 6, 6, 6, 2, 2, 2, 3] and
		(.time | map(.faults)) == [6, 0, 0, 0, 0, 0, 0, 0, 0, 1]' stdout
	# fewer rows join
	run_faultline report --by=time --limit=4 --json t.jsonl
	jq -e '(.time | map(.resident_bytes / 4096)) == [6, 6, 2, 3]' stdout
}

@test "report: what was lost is told" {
	{
		small_trace
		echo '{"type":"lost","ts":1,"what":"stacks","count":3,"why":"the ring was overwritten"}'
		end
	} >t.jsonl
	run_faultline report t.jsonl
	grep -q '^ *3 lost$' stdout
	grep -q 'lost  3 stacks: the ring was overwritten' stdout
	run_faultline report --json t.jsonl
	jq -e '.totals.lost == 3 and .lost == [{what: "stacks", count: 3, why: "the ring was overwritten"}]' stdout
}

@test "report: text fits 80 columns, shows no parameters and no control characters" {
	{
		small_trace
		stack 9 "$(frame 2 0x500 "a_function_with_a_very_long_name_$(printf 'x%.0s' {1..200})" 0)"
		fault 10 12 '"stack":9,'
		end
	} >t.jsonl
	run_faultline report t.jsonl
	awk 'length > 80 { print; bad = 1 } END { exit bad }' stdout
	grep -q 'demo::fill ' stdout
	grep -q 'a_function_.*\.\.\..*xxx' stdout
	if grep -q $'\033' stdout; then fail "an escape character of a thread's name reached the terminal"; fi
	if grep -n ' $' stdout; then fail "lines end in spaces"; fi
}

@test "report: many faults are counted exactly, in the memory that a few need" {
	local few=65536 many=524288 command before after most
	"$PROGRAMS/long_trace" $few >few.jsonl
	"$PROGRAMS/long_trace" $many >many.jsonl
	run_faultline report --by=all --limit=all --min-percent=0 --json many.jsonl
	# what the program's own head says that it prints
	jq -e --argjson n $many '(.totals | [.faults, .bytes, .reads, .writes, .peak_bytes, .lost]) ==
			[$n, 4096 * $n, $n / 8, $n * 7 / 8, 4096 * ($n / 2 + 32 * 256), 0] and
		(.sources | map({key: .source, value: .bytes}) | from_entries) == {mmap: (2048 * $n), brk: (2048 * $n)} and
		(.thread | map(.faults)) == [range(8) | $n / 8] and
		(.alloc | map(select(.source == "malloc") | [.count, .reserved_bytes, .touched_bytes, .freed]) |
			transpose | map(add)) == [$n / 32, 2048 * $n, 2048 * $n, ($n / 32 - 32 * 16) * 7 / 8] and
		(.region | length) == 1 + $n / 512 and (.site | map(.faults) | add) == $n' stdout
	[[ -z ${SAN-} ]] || return 0 # sanitizers keep what is freed
	# bytes for each fault more: those of 900 regions and 14,000 allocations; and what a page shows
	for command in "report --by=all" "filter -o kept.jsonl" "merge -o merged.jsonl few.jsonl" \
		"diff few.jsonl" "html -o page.html"; do
		# shellcheck disable=SC2086
		before=$(peak_kib "$FAULTLINE" $command few.jsonl)
		# shellcheck disable=SC2086
		after=$(peak_kib "$FAULTLINE" $command many.jsonl)
		echo "$command: $before KiB, $after KiB"
		most=5
		[[ $command != html* ]] || most=30
		(((after - before) * 1024 < most * (many - few)))
	done
}

@test "report: names cannot steer a terminal or break JSON" {
	# an escape sequence, its one-letter form, a mark that turns the direction of writing
	local name='\u001b]0;x\u0007\u009b31m\u202e<script>\"\/'
	{
		session
		echo '{"type":"process","ts":1000,"pid":10,"ppid":1,"event":"start","exe":"'"$name"'"}'
		echo '{"type":"thread","ts":1000,"pid":10,"tid":10,"name":"'"$name"'"}'
		echo '{"type":"module","id":1,"pid":10,"path":"/x/'"$name"'","start":"0x1","end":"0x2","offset":0}'
		stack 1 "$(frame 1 0x10)" "$(frame 1 0x20 "$name" 1)"
		echo '{"type":"region","id":1,"ts":1,"pid":10,"tid":10,"start":"0x100000","size":65536,"source":"'"$name"'"}'
		echo '{"type":"lost","ts":1,"what":"'"$name"'","count":3,"why":"'"$name"'"}'
		fault 10 0 '"stack":1,'
		end
	} >t.jsonl
	run_faultline report --by=all t.jsonl
	grep -q 'script' stdout
	if LC_ALL=C grep -n -e $'[\001-\011\013-\037\177]' -e $'\302[\200-\237]' -e $'\342\200\256' stdout; then
		fail "a control character reached the terminal"
	fi
	run_faultline report --by=all --json t.jsonl
	jq -e --argjson name "\"$name\"" '.thread[0].name == $name and .process[0].exe == $name and
		.site[0].function == $name and .site[0].module == "/x/" + $name and
		.sources[0].source == $name and .lost[0].why == $name' stdout
}

@test "report: --limit limits the rows, and says so" {
	whole_trace >t.jsonl
	run_faultline report --limit=1 --json t.jsonl
	jq -e '(.site | length == 1) and (.thread | length == 1)' stdout
	run_faultline report -n 1 t.jsonl
	grep -q '(1 of 3; --limit=all)' stdout
	run_faultline report t.jsonl --limit=all
	if grep -q -e '--limit' stdout; then fail "all rows are shown"; fi
}

@test "report: source lines come from debug information of the same build" {
	cat >demo.c <<-'END'
		int touch(char *page)
		{
			page[0] = 1;
			return page[1];
		}
		int main(void)
		{
			char page[2] = {0};
			return touch(page);
		}
	END
	gcc -g -O0 -Wl,--build-id=sha1 -o demo demo.c
	local address id
	address=0x$(nm demo | awk '$3 == "touch" { print $1 }')
	id=$(readelf -n demo | awk '/Build ID/ { print $3 }')
	for build_id in "$id" 0123456789abcdef; do
		session
		echo '{"type":"module","id":1,"pid":10,"path":"'"$PWD"'/demo","build_id":"'"$build_id"'","start":"0x1","end":"0x2","offset":0}'
		stack 1 "$(frame 1 "$(printf '0x%x' "$address")" touch 0)"
		fault 10 1 '"stack":1,'
		end
	done >both.jsonl
	head -n 5 both.jsonl >same.jsonl
	tail -n 5 both.jsonl >other.jsonl
	run_faultline report --json same.jsonl
	jq -e '.site[0] | (.file | endswith("demo.c")) and .line == 2' stdout
	run_faultline report same.jsonl
	grep -q 'demo\.c:2$' stdout
	run_faultline report --json other.jsonl
	jq -e '.site[0] | has("file") == false and .function == "touch"' stdout
}

@test "report: plain, zstd and standard input say the same" {
	whole_trace >t.jsonl
	zstd -q t.jsonl -o t.jsonl.zst
	# several frames, as a recording flushes them
	head -n 5 t.jsonl | zstd -q >frames.zst
	tail -n +6 t.jsonl | zstd -q >>frames.zst
	run_faultline report --json t.jsonl
	jq 'del(.trace.name)' stdout >plain
	for trace in t.jsonl.zst frames.zst; do
		run_faultline report --json "$trace"
		jq 'del(.trace.name)' stdout | diff plain -
		run_faultline report --json - <"$trace"
		jq 'del(.trace.name)' stdout | diff plain -
	done
	run_faultline report --json - <t.jsonl
	jq 'del(.trace.name)' stdout | diff plain -
}

@test "report: cut traces are read to their last whole line, with a warning" {
	whole_trace >t.jsonl
	small_trace >no-end.jsonl
	run_faultline report --json no-end.jsonl
	jq -e '.totals.faults == 6 and (.trace.complete | not)' stdout
	grep -q '"no-end.jsonl" is cut' stderr

	head -c -20 no-end.jsonl >half.jsonl
	run_faultline report --json half.jsonl
	jq -e '.totals.faults == 5' stdout
	grep -q 'is cut' stderr

	{
		head -c -20 no-end.jsonl
		head -c 4096 /dev/zero
	} >power.jsonl
	run_faultline report --json power.jsonl
	jq -e '.totals.faults == 5' stdout

	{
		zstd -q -c no-end.jsonl
		head -c 100 <(zstd -q -c t.jsonl)
	} >half.jsonl.zst
	run_faultline report --json half.jsonl.zst
	jq -e '.totals.faults == 6 and (.trace.complete | not)' stdout
	grep -q 'is cut' stderr
}

@test "report: what is no trace, or damaged, is refused with file and line" {
	whole_trace >t.jsonl
	: >empty.jsonl
	echo "hello" >text.jsonl
	echo '{"type":"fault"}' >no-session.jsonl
	sed '1s/"version":1/"version":2/' t.jsonl >new.jsonl
	sed '12s/.*/{"type":"region",/' t.jsonl >damaged.jsonl
	sed '14s/"tid":10/"tid":"ten"/' t.jsonl >wrong.jsonl
	sed '14s/"pid":10,//' t.jsonl >lacking.jsonl
	sed '14s/"addr":"0x/"addr":"0y/' t.jsonl >address.jsonl
	sed '12s/"page_size":4096/"page_size":0/' t.jsonl >zero.jsonl
	sed '9s/.*/["type"]/' t.jsonl >array.jsonl
	while read -r file message; do
		run_faultline --status 1 report "$file"
		[[ ! -s stdout ]]
		grep -qF -- "$message" stderr
		[[ $(wc -l <stderr) == 1 ]]
	done <<-'END'
		empty.jsonl empty.jsonl:1: empty
		text.jsonl text.jsonl:1: not a faultline trace
		no-session.jsonl no-session.jsonl:1: not a faultline trace
		new.jsonl new.jsonl:1: trace version 2 is newer than 1
		damaged.jsonl damaged.jsonl:12: not JSON
		wrong.jsonl wrong.jsonl:14: "tid" is not an integer
		lacking.jsonl lacking.jsonl:14: "pid" is missing
		address.jsonl address.jsonl:14: "addr" is not a hexadecimal address
		zero.jsonl zero.jsonl:12: impossible page_size
		array.jsonl array.jsonl:9: no object
		missing.jsonl cannot read "missing.jsonl": No such file
		/ cannot read "/": Is a directory
	END
}

@test "report: damaged compressed data is refused" {
	{
		small_trace
		for page in {20..400}; do fault 10 "$page" "\"x\":$RANDOM,"; done
		end
	} | zstd -q >t.zst
	local size
	size=$(stat -c %s t.zst)
	dd if=/dev/urandom of=t.zst bs=1 seek=$((size / 2)) count=64 conv=notrunc status=none
	run_faultline --status 1 report t.zst
	grep -q 't.zst:[0-9]*: ' stderr
}

@test "report: identifiers that are not defined are counted, not fatal" {
	{
		small_trace
		fault 10 13 '"stack":99,"alloc":98,'
		end
	} >t.jsonl
	run_faultline report --json t.jsonl
	jq -e '.totals.faults == 7' stdout
	grep -q 'uses 2 identifiers that it does not define' stderr
}

@test "report: output that cannot be written is an error" {
	whole_trace >t.jsonl
	run bash -c '"$FAULTLINE" report t.jsonl >/dev/full'
	[[ $status == 1 && $output == *"cannot write to standard output"* ]]
}
