# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The report of a real program against what others know of it: the kernel's books of its memory,
# perf's page faults, heaptrack's allocations. The program is a redis-server that a client fills, with
# the same keys each time: REDIS_KEYS of them, or a tenth where each allocation is logged. To who says
# how many the tests show what they compared.

load helpers

asked=${REDIS_KEYS-}
REDIS_KEYS=${REDIS_KEYS:-100000}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf root command:redis-server command:perf command:heaptrack
	# So much at once that redis reads it whole, and never half a command.
	cat >fill.py <<-'END'
		import socket
		import sys

		def command(i):
		    key = b"key:%036d" % i
		    value = (b"%d:" % i * 99)[:100 + i * 7919 % 100]
		    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value)

		server = socket.socket(socket.AF_UNIX)
		server.connect(sys.argv[1])
		keys, at_once = int(sys.argv[2]), 50
		for first in range(0, keys, at_once):
		    commands = [command(i) for i in range(first, min(first + at_once, keys))]
		    server.sendall(b"".join(commands))
		    answers = b"+OK\r\n" * len(commands)
		    while answers:
		        got = server.recv(len(answers))
		        assert got and answers.startswith(got)
		        answers = answers[len(got):]
	END
}

teardown() {
	if [[ -n ${server-} ]]; then
		kill -TERM "$server" 2>/dev/null || true
	fi
}

# fill KEYS WORDS...: runs a redis-server by the words given, and fills it; its process is `server`,
# what has to be waited for is `job`. What depends on the time of a run is off: jemalloc's giving back
# of memory, the log of slow requests, moving of keys to a larger table by the clock.
fill() {
	local keys=$1
	shift
	rm -rf data
	mkdir data
	env MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1 \
		timeout --foreground -k 5 $((300 * TIME_FACTOR)) "$@" \
		redis-server --port 0 --unixsocket "$PWD/data/socket" --dir "$PWD/data" --save "" \
		--pidfile "$PWD/data/pid" --activerehashing no --slowlog-log-slower-than -1 --hz 1 \
		--dynamic-hz no >log 2>&1 3>&- 4>&- &
	job=$!
	wait_until --time 60 test -S data/socket
	wait_until test -s data/pid
	server=$(<data/pid)
	/usr/bin/python3 fill.py data/socket "$keys"
}

# finish: ends it.
finish() {
	kill -TERM "$server"
	wait "$job" || fail "redis-server: status $?, $(cat log)"
	server=
}

# report NAME OPTIONS...: all of the trace's report goes to the file NAME.
report() {
	"$TOP/tests/limited" $((200 * TIME_FACTOR)) \
		"$FAULTLINE" report --json --no-lines --limit=all "${@:2}" trace.jsonl >"$1"
}

# With huge pages one fault would map many pages; traced memory has none.
# shellcheck disable=SC2016
by_perf=(perl -e 'my ($prctl, $PR_SET_THP_DISABLE) = (157, 41);
	syscall($prctl, $PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 and exec @ARGV; die "$!\n"'
	perf record --quiet -e page-faults -c 1 -d -m 8192 "--call-graph=dwarf,4096" -o perf.data)

# show FILE: what was compared.
show() {
	[[ -z $asked ]] || sed 's/^/# /' "$1" >&3
}

# smaps_agrees: the report of the trace, as far as it is written, and the kernel's books are the same.
smaps_agrees() {
	wait_until --time 30 books_are_the_same || { cat books && fail "the books differ"; }
	cat books
	show books
}

books_are_the_same() {
	"$TOP/tests/check_smaps.py" "$server" trace.jsonl >books 2>&1
}

# perf_agrees: the faults of the trace are those of perf.data.
perf_agrees() {
	assert_complete trace.jsonl
	report report.json --by=site
	perf script -i perf.data --no-inline --show-mmap-events --show-lost-events \
		-F pid,tid,comm,time,event,addr,ip,sym,dso >samples 2>perf.err || { cat perf.err && return 1; }
	run_command --time 200 "$TOP/tests/check_perf.py" samples report.json \
		"$(sed -n 's/.* \([0-9]*\) touched before tracing.*/\1/p' books)"
	show stdout
}

@test "a filled redis-server's memory is that of /proc/PID/smaps, its faults are perf's" {
	fill "$REDIS_KEYS" "$FAULTLINE" record --quiet --output=trace.jsonl --
	smaps_agrees
	finish

	fill "$REDIS_KEYS" "${by_perf[@]}"
	finish
	perf_agrees
}

@test "a redis-server's allocations are heaptrack's, call by call" {
	fill $((REDIS_KEYS / 10)) "$FAULTLINE" record --quiet --alloc-threshold=0 --output=trace.jsonl --
	finish
	assert_complete trace.jsonl
	report report.json --by=alloc
	local caller below=()
	for caller in processMultibulkBuffer dbAdd; do
		report "$caller.json" --by=alloc "--symbol=^$caller\$"
		below+=("$caller" "$caller.json")
	done

	fill $((REDIS_KEYS / 10)) heaptrack -o heap
	finish
	heaptrack_print -f heap.zst >printed
	zstd --decompress --quiet heap.zst
	run_command --time 200 "$TOP/tests/check_heaptrack.py" heap report.json "${below[@]}"
	grep -F "$(sed -n 's/^calls to allocation functions: \([0-9]*\) .*/\1/p' printed) by heaptrack" stdout
	show stdout
}

# sort_lines WORDS...: runs sort by the words given, which is `job`. It reads all lines, and waits for
# more until descriptor 8 is closed.
sort_lines() {
	rm -f pipe
	mkfifo pipe
	exec 8<>pipe
	env LC_ALL=C timeout --foreground -k 5 $((100 * TIME_FACTOR)) "$@" \
		sort --buffer-size=200M --parallel=1 --output=/dev/null pipe >log 2>&1 3>&- 4>&- 8>&- &
	job=$!
	"$TOP/tests/limited" $((60 * TIME_FACTOR)) seq 400000 -1 1 >&8
}

finish_sort() {
	exec 8>&-
	wait "$job" || fail "sort: status $?, $(cat log)"
	server=
}

@test "the same of sort, which has no names of functions and the allocator of libc" {
	sort_lines "$FAULTLINE" record --quiet --output=trace.jsonl --
	server=$(trace_lines trace.jsonl process '.pid')
	smaps_agrees
	finish_sort

	sort_lines "${by_perf[@]}"
	finish_sort
	perf_agrees
}
