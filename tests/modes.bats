# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What userfaultfd offers beyond first touches of private memory: write protection, minor faults,
# huge pages, several pages at a fault; and what happens where a feature is missing.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

# kinds_of TRACE: "COUNT KIND ACCESS SERVED" of the faults in huge pages.
kinds_of() {
	jq -r -s '[.[] | select(.type == "region" and .memory == "hugetlb") | .id] as $huge | .[] |
		select(.type == "fault" and (.region | IN($huge[]))) |
		"\(.kind) \(.access) \(.served)"' "$1" | sort | uniq -c | awk '{ $1 = $1; print }'
}

# compared MODE PROGRAM: records both builds and compares the trace with what the program did.
compared() {
	local suffix
	for suffix in "" -O2; do
		rm -f truth trace.jsonl
		run_faultline record --quiet --mode="$1" --output=trace.jsonl -- \
			"$PROGRAMS/$2$suffix" truth 1000
		cat stdout
		run_command --time 60 "$TOP/tests/check_trace.py" --truth truth trace.jsonl
	done
}

features() {
	trace_lines trace.jsonl session '.features | join(" ")'
}

@test "write: the first write to each page, to whoever read it before" {
	compared write writes
	trace_lines trace.jsonl session .mode | grep -q -x write
	features | grep -w pagefault-flag-wp | grep -q -w wp-hugetlbfs-shmem
	(($(trace_count trace.jsonl fault '.kind == "write-protect" and .served == "unprotect"') > 4000))
	(($(trace_count trace.jsonl fault '.access != "write"') == 0))
}

@test "write: without its feature there is no such mode, and without the one for shared memory no such region" {
	run_faultline --status 125 record --mode=write --without=pagefault-flag-wp -- touch ran
	grep -q 'pagefault-flag-wp.*--mode=missing' stderr
	[[ ! -e ran ]]
	run_faultline record --quiet --mode=write --without=wp-hugetlbfs-shmem -o trace.jsonl -- \
		"$PROGRAMS/sharing" truth 100
	[[ $(<stdout) == 'sharing: done' ]]
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl region '.memory != "anon"') == 0))
	(($(trace_count trace.jsonl fault) > 0))
}

@test "write: real programs compute the same" {
	export FAULTLINE_MODE=write
	# shellcheck disable=SC2016
	same_as_untraced perl -e 'my %h; $h{$_ % 5000} .= "x$_" for 1..100000;
		print length(join("", map { $h{$_} } sort keys %h)), "\n"'
	(($(trace_count recorded.jsonl fault) > 500))
	same_as_untraced "$PROGRAMS/churn" 6
	same_as_untraced sh -c 'seq 20000 | sort -R --random-source=/dev/zero | sort -n | md5sum'
}

@test "minor: shared memory that another mapping or process touched first" {
	compared missing sharing
	features | grep -q -w minor-shmem
	(($(trace_count trace.jsonl fault '.kind == "minor" and .served == "continue"') == 5000))
	# Without the feature the kernel maps such pages by itself, and the program sees the same.
	run_faultline record --quiet --without=minor-shmem -o without.jsonl -- \
		"$PROGRAMS/sharing" truth 1000
	[[ $(<stdout) == 'sharing: done' ]]
	assert_complete without.jsonl
	(($(trace_count without.jsonl fault '.kind == "minor"') == 0))
	(($(trace_count without.jsonl fault '.kind == "missing"') > 3000))
}

@test "missing: shared memory is traced by its feature only" {
	run_faultline record --quiet --without=missing-shmem -o trace.jsonl -- \
		"$PROGRAMS/sharing" truth 100
	[[ $(<stdout) == 'sharing: done' ]]
	(($(trace_count trace.jsonl region '.memory == "shmem"') == 0))
	(($(trace_count trace.jsonl fault) > 0))
}

@test "exact-address: without it, addresses are those of pages" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/leaf" /dev/null 200
	(($(trace_count trace.jsonl fault '.offset % 4096 != 0') > 100))
	run_faultline record --quiet --without=exact-address -o trace.jsonl -- "$PROGRAMS/leaf" /dev/null 200
	(($(trace_count trace.jsonl fault '.served != "native" and .offset % 4096 != 0') == 0))
	(($(trace_count trace.jsonl fault) > 100))
}

@test "event-fork: without it, children announce themselves" {
	run_faultline record --quiet --without=event-fork -o trace.jsonl -- "$PROGRAMS/family" truth 200
	assert_complete trace.jsonl
	[[ " $(features) " != *" event-fork "* ]]
	(($(trace_count trace.jsonl process '.event == "fork"') >= 2))
}

@test "what nothing works without is refused, and so is what is no feature" {
	local feature
	for feature in thread-id event-remap event-remove event-unmap; do
		run_faultline --status 125 record --without=$feature -- touch ran
		grep -q "$feature" stderr
		[[ ! -e ran ]]
	done
	run_faultline --status 125 record --without=speed -- touch ran
	grep -q 'faultline check' stderr
}

# huge_pages COUNT: there are so many free ones.
huge_pages() {
	local before
	before=$(</proc/sys/vm/nr_hugepages)
	echo "$before" >huge-pages-before
	echo "$((before + $1))" >/proc/sys/vm/nr_hugepages
	(($(awk '/HugePages_Free/ { print $2 }' /proc/meminfo) >= $1)) ||
		skip "this machine has no memory for huge pages"
}

teardown() {
	if [[ -s huge-pages-before ]]; then
		cat huge-pages-before >/proc/sys/vm/nr_hugepages
	fi
}

@test "huge pages behind a descriptor are served whole, and their second mapping by minor faults" {
	requires root
	huge_pages 4
	run_faultline --time 20 record --quiet -o trace.jsonl -- "$PROGRAMS/hugefile"
	[[ $(<stdout) == 'hugefile: 1024' ]]
	assert_complete trace.jsonl
	[[ $(trace_lines trace.jsonl region 'select(.memory == "hugetlb") | .page_size' | uniq) == 2097152 ]]
	kinds_of trace.jsonl >kinds
	cat kinds
	[[ $(<kinds) == $'2 minor read continue\n2 missing write zero' ]]
	run_faultline --time 20 record --quiet --mode=write -o trace.jsonl -- "$PROGRAMS/hugefile"
	[[ $(<stdout) == 'hugefile: 1024' ]]
	run_faultline --time 20 record --quiet --without=minor-hugetlbfs -o trace.jsonl -- "$PROGRAMS/hugefile"
	[[ $(<stdout) == 'hugefile: 1024' ]]
	(($(trace_count trace.jsonl fault '.kind == "minor"') == 0))
	run_faultline --time 20 record --quiet --without=missing-hugetlbfs -o trace.jsonl -- "$PROGRAMS/hugefile"
	[[ $(<stdout) == 'hugefile: 1024' ]]
	(($(trace_count trace.jsonl region '.memory == "hugetlb"') == 0))
}

@test "granularity: the same bytes, fewer faults than without tracing" {
	local native size traced pages=16384
	run_command "$PROGRAMS/blocks" $pages
	native=$(<stderr)
	((native == pages))
	for size in 4K 16K 64K 2M; do
		run_faultline record --quiet --granularity=$size -o trace.jsonl -- "$PROGRAMS/blocks" $pages
		[[ $(<stdout) == 'blocks: right' ]]
		run_command "$TOP/tests/check_trace.py" trace.jsonl
		traced=$(<stderr)
		echo "$size: $traced faults of $native"
		# Blocks are aligned: a region that begins inside of one has one more.
		((traced <= native * 4096 / $(numfmt --from=iec $size) + 1))
	done
}
