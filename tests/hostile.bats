#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# hostile.bats: a trace is untrusted. Whatever is in one, every command that reads traces ends soon
# and with little memory, with what it should print or with one line that says what is wrong where,
# and no name in it does anything to who reads that. check_hostile.py runs and watches the commands.

load helpers

# hostile STATUS SAYS TRACE...: all commands end with that status and say that.
hostile() {
	local status=$1 says=$2
	shift 2
	run_command --time 300 "$TOP/tests/check_hostile.py" "--status=$status" "--says=$says" "$@"
}

# good_trace: the seed of the fuzzers has a line of each type.
good_trace() {
	cat "$TOP/tests/fuzz/seeds/trace.jsonl"
}

# with_line LINE...: a good trace with lines more behind its third.
with_line() {
	good_trace | head -n 3
	printf '%s\n' "$@"
	good_trace | tail -n +4
}

@test "hostile: a good trace is read by every command" {
	good_trace >t.jsonl
	hostile 0 '' t.jsonl
	[[ ! -s stderr ]]
}

@test "hostile: lines that are cut" {
	good_trace >t.jsonl
	local size
	size=$(stat -c %s t.jsonl)
	# in the last line: the recording did not end properly; in another: damage
	head -c $((size - 20)) t.jsonl >last.jsonl
	hostile 0 '"last.jsonl" is cut' last.jsonl
	sed '6s/.\{30\}$//' t.jsonl >sixth.jsonl
	hostile 1 'sixth.jsonl:6: not JSON' sixth.jsonl
	head -c 100 t.jsonl >first.jsonl
	hostile 1 'first.jsonl:1: not a faultline trace' first.jsonl
	: >empty.jsonl
	hostile 1 'empty.jsonl:1: empty' empty.jsonl
	sed '6s/$/}/' t.jsonl >longer.jsonl
	hostile 1 'longer.jsonl:6: not JSON' longer.jsonl
}

@test "hostile: each value of another type, huge, there twice or not at all" {
	good_trace >t.jsonl
	run_command --time 500 "$TOP/tests/check_hostile.py" --each-value t.jsonl
	grep -q '^[0-9]\{3,\} traces$' stdout
}

@test "hostile: numbers that are too large" {
	with_line '{"type":"thread","pid":99999999999,"tid":1,"name":"x"}' >pid.jsonl
	hostile 1 'pid.jsonl:4: "pid" is no possible number' pid.jsonl
	with_line '{"type":"x","n":99999999999999999999}' >integer.jsonl
	hostile 1 'integer.jsonl:4: not JSON: too big integer' integer.jsonl
	with_line '{"type":"x","n":1e999}' >real.jsonl
	hostile 1 'real.jsonl:4: not JSON: real number overflow' real.jsonl
	# a region that is all memory there is, times that end where numbers do
	with_line '{"type":"region","id":9,"ts":9223372036854775807,"pid":7,"start":"0x0","size":9223372036854775807}' |
		sed 's/"region":1,"offset":16/"region":9,"offset":9223372036854775807/' >largest.jsonl
	hostile 0 '' largest.jsonl
}

@test "hostile: deep nesting, and lines with too much in them" {
	with_line "{\"type\":\"x\",\"y\":$(printf '[%.0s' {1..100000})" >deep.jsonl
	hostile 1 'deep.jsonl:4: not JSON: maximum parsing depth reached' deep.jsonl
	{
		printf '{"type":"stack","id":3,"frames":['
		head -c 10000000 /dev/zero | sed 's/\x00/{},/g'
		echo '{}]}'
	} >dense
	cat <(good_trace | head -n 3) dense >dense.jsonl
	hostile 1 'dense.jsonl:4: more than 1048576 values in a line' dense.jsonl
	with_line "{\"type\":\"stack\",\"id\":3,\"frames\":[$(printf '{},%.0s' {1..5000}){}]}" >frames.jsonl
	hostile 1 'frames.jsonl:4: a stack of more than 4096 frames' frames.jsonl
}

@test "hostile: identifiers that are there twice, or of nothing" {
	{
		good_trace | head -n -1
		good_trace | sed '1d;$d'
		good_trace | tail -n 1
	} >twice.jsonl
	hostile 0 '' twice.jsonl
	[[ ! -s stderr ]]
	# as `cat` makes one file of two traces: their numbers would mean nothing
	good_trace | cat - "$TOP/tests/fuzz/seeds/trace.jsonl" >both.jsonl
	hostile 1 "both.jsonl:$(($(good_trace | wc -l) + 1)): another trace begins here" both.jsonl
	good_trace | sed -E '/"type":"(region|alloc|stack|module)"/d' >dangling.jsonl
	hostile 0 'identifiers that it does not define' dangling.jsonl
	with_line '{"type":"free","pid":7,"tid":7,"alloc":77}' '{"type":"region_end","id":77,"pid":7}' \
		'{"type":"remap","pid":7,"region":77,"from":"0x1","to":"0x1","size":1}' >ends.jsonl
	hostile 0 '' ends.jsonl
}

@test "hostile: bytes that are no UTF-8, and NUL" {
	with_line $'{"type":"thread","pid":7,"tid":7,"name":"\xff\xfe"}' >utf8.jsonl
	hostile 1 'utf8.jsonl:4: not JSON: unable to decode byte 0xff' utf8.jsonl
	with_line $'{"type":"thread","pid":7,"tid":7,"name":"\xed\xa0\x80"}' >surrogate.jsonl
	hostile 1 'surrogate.jsonl:4: not JSON: unable to decode' surrogate.jsonl
	with_line '{"type":"thread","pid":7,"tid":7,"name":"a\u0000b"}' >escaped.jsonl
	hostile 1 'escaped.jsonl:4: not JSON' escaped.jsonl
	with_line '{"type":"thread","pid":7,"tid":7,"name":"a@b"}' | tr @ '\0' >nul.jsonl
	hostile 1 'nul.jsonl:4: not JSON' nul.jsonl
	# what a file system leaves where power failed
	{
		good_trace | head -n -1
		head -c 1000000 /dev/zero
	} >power.jsonl
	hostile 0 '"power.jsonl" is cut' power.jsonl
}

@test "hostile: a line of 2 GiB" {
	{
		good_trace | head -n 3
		printf '{"type":"thread","pid":7,"tid":7,"name":"'
	} >long.jsonl
	# most of it takes no place on the disk
	truncate -s 2G long.jsonl
	hostile 1 'long.jsonl:4: line longer than 64 MiB' long.jsonl
	# a long name, which is no harm
	{
		cat <(good_trace | head -n 3)
		printf '{"type":"thread","pid":7,"tid":7,"name":"'
		head -c 4000000 /dev/zero | tr '\0' x
		echo '"}'
	} >name.jsonl
	hostile 0 'is cut' name.jsonl
}

@test "hostile: a zstd bomb, and frames that want too much memory" {
	{
		good_trace | head -n 3
		printf '{"type":"thread","pid":7,"tid":7,"name":"'
		head -c 2G /dev/zero
	} | zstd -q -1 >bomb.zst
	(($(stat -c %s bomb.zst) < 1000000))
	hostile 1 'bomb.zst:4: line longer than 64 MiB' bomb.zst
	good_trace | zstd -q --long=31 -1 >window.zst
	hostile 1 'window.zst:1: compressed with a window of more than 128 MiB' window.zst
	# the way out that it names is one
	run_faultline --status 1 report window.zst
	grep -q 'give what .zstd -dc --long=31. makes of it$' stderr
	zstd -dc --long=31 window.zst | run_faultline report -
	# behind a frame that can be read, and the largest that can
	{
		good_trace | head -n 3 | zstd -q
		good_trace | tail -n +4 | zstd -q --long=28 -1
	} >second.zst
	hostile 1 'second.zst:4: compressed with a window' second.zst
	good_trace | zstd -q --long=27 -1 >largest.zst
	hostile 0 '' largest.zst
	good_trace | zstd -q | sed 's/./@/30' >damaged.zst
	hostile 1 'damaged.zst:1: the compressed data is damaged' damaged.zst
	# no frames at all
	local compress
	for compress in gzip xz; do
		good_trace | "$compress" >other
		run_faultline --status 1 report other
		grep -q "other:1: compressed with $compress: give what .$compress -dc. makes of it$" stderr
		"$compress" -dc other | run_faultline report -
	done
}

@test "hostile: names do nothing but stand there" {
	local name='"=1+\u001b]0;x\u0007\u009b31m\u007f\u202e\u2066\u2028</script><script>alert(1)</script><!--\",;\\"'
	good_trace | jq -c --argjson name "$name" 'walk(
		if type != "string" then . elif . == "/x/prog" then "/x/" + $name
		elif IN("x", "y", "_Z4filli", "malloc", "mmap", "anon", "unmap", "events", "so", "perf",
			"6.18", "x86_64", "faultline 0.1.0", "2026-11-22T10:00:00Z") then $name else . end)' >names.jsonl
	[[ $(grep -o 'alert' names.jsonl | wc -l) -gt 15 ]]
	hostile 0 '' names.jsonl
	# the name of the trace itself, and an error's text, which quotes a line
	local trace=$'\e[31m\u202e<script>.jsonl'
	with_line $'{"type":"x","\e[31m' >"$trace"
	run_faultline --status 1 report "$trace"
	grep -q '^faultline: ?\[31m?<script>.jsonl:4: not JSON' stderr
	with_line $'{"type": \u202e\u009b31m }' >quoted.jsonl
	hostile 1 'quoted.jsonl:4: not JSON' quoted.jsonl
}

@test "hostile: files that a trace names are opened when they are files" {
	mkfifo pipe
	local path
	for path in "$PWD/pipe" /dev/zero /dev/tty /proc/kmsg /proc/kcore "$PWD" relative; do
		good_trace | sed "s|/x/prog|$path|" >named.jsonl
		hostile 0 '' named.jsonl
	done
}
