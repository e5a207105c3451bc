#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# diff.bats: two builds of a program compared, each traced in the same run. The program prints what
# it touched: the differences are those of its words.
#
# What is jq's, or part of a hostile name, is no variable or quote of this shell:
# shellcheck disable=SC2016,SC1003

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	mkdir old new
	gcc -O0 -g "$TOP/tests/programs/growth.c" -o old/growth
	gcc -O1 -DPARSE=300 -DRENDER=20 -DTABLE=10 -DSHIFT "$TOP/tests/programs/growth.c" -o new/growth
	_may_use_userfaultfd && _may_use_perf || return 0
	record old old
	record new new
	local more
	for more in 0 10 20; do
		record old "old-$more" "$more"
		record new "new-$more" "$((more + 30))"
	done
	# as much as between the builds, but from one run to the next
	for more in 0 300 600; do
		record old "wild-$more" "$more"
	done
}

# record BUILD NAME [PAGES]: leaves NAME.jsonl, or .zst of a new build, and NAME.said.
record() {
	local trace=$2.jsonl
	[[ $1 == old ]] || trace=$trace.zst
	run_faultline record --quiet -o "$trace" -- "$PWD/$1/growth" "${@:3}"
	mv stdout "$2.said"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
	cp "$BATS_FILE_TMPDIR"/*.{jsonl,zst,said} .
}

# said FILE FUNCTION: the bytes that it said it touched.
said() {
	echo "$(($(awk -v name="$2" '$1 == name { print $2 }' "$1") * 4096))"
}

# growth FUNCTION: by how much it grew from old to new, by what the programs said.
growth() {
	echo "$(($(said new.said "$1") - $(said old.said "$1")))"
}

@test "diff: what grew and shrank, exactly, in builds with other addresses" {
	run_faultline diff --json old.jsonl new.jsonl.zst
	[[ ! -s stderr ]]
	jq -e --argjson parse "$(growth parse_lines)" --argjson render "$(growth render_page)" '
		(.site | map({(.function): .bytes.change}) | add) == {parse_lines: $parse, render_page: $render} and
		(.site | map(.module) | unique) == ["growth"] and
		(.site | map(.bytes.change == 4096 * .faults.change) | all) and
		.totals.bytes.change == $parse + $render' stdout
	jq -e --argjson old "$(said old.said parse_lines)" --argjson new "$(said new.said parse_lines)" '
		.site[0] | .function == "parse_lines" and .bytes.old == $old and .bytes.new == $new' stdout
	# what does not touch more asks for more
	jq -e --argjson parse "$(growth parse_lines)" --argjson render "$(growth render_page)" '
		(.alloc | map({(.function): [.source, .reserved_bytes.change, .touched_bytes.change, .untouched_bytes.change]}) |
		add) == {parse_lines: ["mmap", $parse, $parse, 0], render_page: ["mmap", $render, $render, 0]} and
		(.sources | map(.source)) == ["mmap"]' stdout
	# nothing was matched by chance: no two addresses are the same
	for trace in old.jsonl new.jsonl.zst; do
		trace_text "$trace" | jq -r 'select(.type == "stack").frames[] | select(.symbol == "parse_lines").offset' |
			sort -u >"$trace.offsets"
	done
	[[ -s old.jsonl.offsets && -s new.jsonl.zst.offsets ]]
	[[ -z $(comm -12 old.jsonl.offsets new.jsonl.zst.offsets) ]]
	# the other way round, and against itself
	run_faultline diff --json new.jsonl.zst old.jsonl
	jq -e --argjson parse "$(growth parse_lines)" '.site[0].bytes.change == -$parse' stdout
	run_faultline diff --json old.jsonl old.jsonl
	jq -e '.site == [] and .alloc == [] and .sources == [] and (.totals | map(.change) | unique) == [0]' stdout
}

@test "diff: its numbers are those of the reports" {
	run_faultline --time 120 record --quiet -o one.jsonl -- /usr/bin/python3 -c 'x = [i for i in range(20000)]'
	run_faultline --time 120 record --quiet -o two.jsonl -- /usr/bin/python3 -c 'import json; x = "y" * 3000000'
	for trace in one two; do
		run_faultline report --json --by=site,alloc --limit=all --no-lines "$trace.jsonl"
		cp stdout "$trace.json"
	done
	run_faultline diff --json --limit=all one.jsonl two.jsonl
	jq -n -e --slurpfile one one.json --slurpfile two two.json --slurpfile diff stdout '
		# rows of code by name, as far as it has one: their sums
		def key: [.source, .function, (.module // "" | split("/")[-1] | sub("[.]so[.][0-9.]+$"; ".so"))] | tostring;
		def sums(key; measure): map(select(.function)) | group_by(key) |
			map({key: (.[0] | key), value: (map(measure) | add)}) | from_entries;
		def changes(list; measure): $one[0][list] as $a | $two[0][list] as $b |
			($a | sums(key; measure)) as $old | ($b | sums(key; measure)) as $new |
			($old + $new) | with_entries(.value = ($new[.key] // 0) - ($old[.key] // 0)) |
			with_entries(select(.value != 0));
		def found(list; measure): $diff[0][list] | map(select(.function)) |
			map({key: key, value: measure.change}) | from_entries | with_entries(select(.value != 0));
		(changes("site"; .bytes) | length) > 5 and
		changes("site"; .bytes) == found("site"; .bytes) and
		changes("site"; .faults) == found("site"; .faults) and
		changes("alloc"; .reserved_bytes) == found("alloc"; .reserved_bytes) and
		changes("alloc"; .touched_bytes) == found("alloc"; .touched_bytes) and
		$diff[0].totals.bytes.change == $two[0].totals.bytes - $one[0].totals.bytes and
		$diff[0].totals.peak_bytes.change == $two[0].totals.peak_bytes - $one[0].totals.peak_bytes and
		($diff[0].sources | map(.bytes.new) | add) <= $two[0].totals.bytes'
}

@test "diff: a table for people has the same" {
	run_faultline diff old.jsonl new.jsonl.zst
	grep -q "^old  *old.jsonl$" stdout
	grep -q "^new  *new.jsonl.zst$" stdout
	grep -E -q "^0\.39 +1\.17 +\+0\.78 +\+200\.0 +\+200 +parse_lines +growth$" stdout
	grep -E -q "^0\.20 +0\.08 +-0\.12 +-60\.0 +-30 +render_page +growth$" stdout
	if grep -q -e hold_steady -e load_table stdout; then fail "it did not change"; fi
	awk 'length > 80 { print; bad = 1 } END { exit bad }' stdout
	run_faultline diff --limit=1 old.jsonl new.jsonl.zst
	grep -q '^Code that touched more or less, in MiB (1 of 2; --limit=all)$' stdout
	if grep -q render_page stdout; then fail "that is the second row"; fi
}

@test "diff: several runs a side are compared by their means, and by chance" {
	run_faultline diff --json old-0.jsonl,old-10.jsonl,old-20.jsonl new-0.jsonl.zst,new-10.jsonl.zst,new-20.jsonl.zst
	# both sides vary alike: four degrees of freedom, for which there is a formula
	jq -e 'def p: . as $t | (($t / 2) | atan) as $a | 1 - ($a | sin) * (1 + ($a | cos | . * .) / 2);
		.site[] | select(.function == "parse_lines").faults |
		.old == 110 and .new == 340 and .change == 230 and
		((.p - (230 / (2 * 100 / 3 | sqrt) | p)) | fabs) < 1e-9 and .p < 0.0001' stdout
	jq -e '(.old | length) == 3 and (.new | map(.name)) == ["new-0.jsonl.zst", "new-10.jsonl.zst", "new-20.jsonl.zst"]' stdout
	# what never varies has not changed by chance
	jq -e '.site[] | select(.function == "render_page").faults | .change == -30 and .p == 0' stdout
	# growth that is as likely as not
	local wild=wild-0.jsonl,wild-300.jsonl,wild-600.jsonl
	run_faultline diff --fail-if='site:render_page>+5%' --fail-if='site:parse_lines>+5%' old-0.jsonl,old-10.jsonl "$wild"
	grep -q 'exceeded, but that may be chance: site:parse_lines>+5%: 0.41 to 1.56 MiB, +1.15, +281.0%, p 0.2' stderr
	run_faultline --status 3 diff --significance=1 --fail-if='site:parse_lines>+5%' old-0.jsonl,old-10.jsonl "$wild"
	run_faultline --status 3 diff --fail-if='site:parse_lines>+5%' \
		old-0.jsonl,old-10.jsonl,old-20.jsonl new-0.jsonl.zst,new-10.jsonl.zst,new-20.jsonl.zst
	# of one run nobody knows
	run_faultline --status 3 diff --fail-if='site:parse_lines>+5%' old.jsonl \
		new-0.jsonl.zst,new-10.jsonl.zst,new-20.jsonl.zst
	grep -q '+5%: 0.39 to 1.33 MiB, +0.94, +240.0%$' stderr
}

# status_of CONDITION...: the exit status of a diff with them.
status_of() {
	local expected=$1 condition
	shift
	for condition; do
		run_faultline --status "$expected" diff --fail-if="$condition" old.jsonl new.jsonl.zst
	done
}

@test "diff: conditions fail what grew by more, and nothing else" {
	# 100 pages became 300 in parse_lines, 50 became 20 in render_page
	status_of 3 'touched>+5%' 'faults>+10%' 'site:parse_*>+512K' 'site:parse_*>+199%' 'site:*_lines>+819199' \
		'alloc:parse_lines>+100K' 'source:mmap>+0' 'peak>+0.5M' 'reserved>+1%' 'faults>+169' 'site:*>+0.6M'
	status_of 0 'touched>+500%' 'faults>+170' 'site:parse_*>+1M' 'site:parse_*>+200%' 'site:parse_lines>+819200' \
		'site:render_*>+0' 'site:hold_*>+0%' 'source:brk>+0' 'peak>+1G' 'alloc:load_table>+0'
	run_faultline --status 3 diff --fail-if='touched>+500%' --fail-if='site:parse_*>+5%' --json old.jsonl new.jsonl.zst
	grep -q '^faultline: diff: failed: site:parse_\*>+5%: 0.39 to 1.17 MiB, +0.78, +200.0%$' stderr
	jq -e '.conditions | map([.condition, .exceeded, .failed, .change > 0]) ==
		[["touched>+500%", false, false, true], ["site:parse_*>+5%", true, true, true]]' stdout
	# what is new has grown by more than any part of nothing
	run_faultline filter --source=brk old.jsonl -o none.jsonl
	run_faultline --status 3 diff --fail-if='site:parse_*>+1000%' none.jsonl new.jsonl.zst
	# a name that is nowhere is told: it may be a slip
	run_faultline diff --fail-if='site:prase_*>+1M' old.jsonl new.jsonl.zst
	grep -q 'site:prase_\*>+1M: neither side has any such' stderr
}

@test "diff: filters go to both sides; standard input; names with commas" {
	run_faultline diff --json --source=brk old.jsonl new.jsonl.zst
	jq -e '.site == [] and .totals.bytes.change == 0' stdout
	run_faultline diff --json --symbol='^render_' old.jsonl new.jsonl.zst
	jq -e '(.site | map(.function)) == ["render_page"] and .totals.faults == {old: 50, new: 20, change: -30}' stdout
	run_faultline diff --json old.jsonl - <new.jsonl.zst
	jq -e '.new[0].name == "standard input" and .totals.faults.change == 170' stdout
	cp new.jsonl.zst 'a,b.zst'
	run_faultline diff --json old.jsonl 'a,b.zst'
	jq -e '.new | map(.name) == ["a,b.zst"]' stdout
	run_faultline --status 1 diff old.jsonl,gone.jsonl new.jsonl.zst
	grep -q 'cannot read "gone.jsonl": No such file' stderr
	sed '20s/.*/{/' old.jsonl >damaged.jsonl
	run_faultline --status 1 diff old.jsonl damaged.jsonl
	grep -q 'damaged.jsonl:20: not JSON' stderr
	head -c -100 old.jsonl >cut.jsonl
	run_faultline diff cut.jsonl new.jsonl.zst
	grep -q '"cut.jsonl" is cut' stderr
	sed '1s/"granularity":4096/"granularity":65536/' old.jsonl >coarse.jsonl
	run_faultline diff coarse.jsonl new.jsonl.zst
	grep -q '"coarse.jsonl" and "new.jsonl.zst" were recorded with another granularity' stderr
}

@test "diff: names that a compiler or a version makes anew are the same" {
	sed -e 's/"symbol":"parse_lines"/"symbol":"parse_lines.constprop.0"/' -e 's|/growth"|/libgrowth.so.1.2"|' \
		old.jsonl >before.jsonl
	sed -e 's/"symbol":"parse_lines"/"symbol":"parse_lines.part.3.cold"/' -e 's|/growth"|/libgrowth.so.1.13"|' \
		<(zstd -q -d -c new.jsonl.zst) >after.jsonl
	run_faultline diff --json before.jsonl after.jsonl
	jq -e '.site | map([.function, .module, .faults.change]) ==
		[["parse_lines", "libgrowth.so", 200], ["render_page", "libgrowth.so", -30]]' stdout
	# with their hashes, names of Rust would all be new
	sed -e 's/"symbol":"parse_lines"/"symbol":"_ZN4demo5parse17h0123456789abcdefE"/' old.jsonl >before.jsonl
	sed -e 's/"symbol":"parse_lines"/"symbol":"_ZN4demo5parse17hfedcba9876543210E"/' \
		<(zstd -q -d -c new.jsonl.zst) >after.jsonl
	run_faultline diff --json before.jsonl after.jsonl
	jq -e '.site[0] | .function == "demo::parse" and .faults.change == 200' stdout
	# code without a name is one row of its module
	sed -e 's/"symbol":"[a-z_]*","symbol_offset":[0-9]*/"x":0/g' old.jsonl >before.jsonl
	run_faultline diff --json before.jsonl old.jsonl
	jq -e '.site | map(select(.module == "growth" and .function == null)) | length == 1' stdout
}

@test "diff: Markdown is what a renderer makes the same table of, whatever the names" {
	requires command:cmark-gfm
	local names=('a|b' 'a\|b' '`x` **bold** _it_' '<script>alert(1)</script>' '<img src=x onerror=y>' '@everyone #1'
		'[x](http://evil.example)!' 'www.evil.example' 'http://evil.example/x' '&lt;i&gt;' '~~no~~' '$x$ :tada:'
		'-->' $'line\nbreak' $'\e[31mred' 'a@evil.example' '| --- |' '</code>' '\' '``' '_a_b_')
	# a fault of each: the name is that of the function and of the module
	printf '%s\0' "${names[@]}" |
		jq -R -s -c --argjson fault "$(trace_lines old.jsonl fault | head -n 1)" 'split("\u0000") | map(select(. != "")) | to_entries[] |
		(1000 + .key) as $id | .value as $name |
		{type: "module", id: $id, pid: $fault.pid, path: ("/x/" + ($name | gsub("/"; ""))), start: "0x1", end: "0x2", offset: 0},
		{type: "stack", id: $id, frames: [{ip: "0x1", module: $id, offset: "0x10", symbol: $name, symbol_offset: 0}]},
		($fault | .stack = $id)' >lines
	sed -e '$d' old.jsonl | cat - lines <(tail -n 1 old.jsonl) >hostile.jsonl
	run_faultline --status 3 diff --markdown --limit=all --fail-if='site:*>+0' old.jsonl hostile.jsonl
	cmark-gfm --unsafe -e table -e strikethrough -e autolink -e tagfilter stdout >page.html
	run_command "$TOP/tests/check_table.py" page.html "${names[@]}"
}

@test "diff: wrong usage says what would be right" {
	local wrong
	for wrong in 'touched' 'touched>5%' 'touched>+' 'touched>+5x' 'faults>+1M' 'site>+1M' 'touched:x>+1M' 'tuched>+1%' \
		'touched>+5%%' 'site:x>+1e9' '>+1' 'touched>+-1' 'touched>+.' ''; do
		run_faultline --status 2 diff --fail-if="$wrong" old.jsonl new.jsonl.zst
		grep -qF -- "--fail-if=$wrong: must be WHAT>+AMOUNT" stderr
	done
	run_faultline --status 2 diff --significance=0 old.jsonl new.jsonl.zst
	grep -q 'must be a number above 0' stderr
	run_faultline --status 2 diff --json --markdown old.jsonl new.jsonl.zst
	run_faultline --status 2 diff old.jsonl
	grep -q 'which traces? usage: faultline diff \[OPTIONS\] OLD NEW' stderr
	run_faultline --status 2 diff old.jsonl new.jsonl.zst wild-0.jsonl
	grep -q 'two traces at a time: "wild-0.jsonl" is one too many' stderr
	run_faultline --status 2 diff old.jsonl,,new.jsonl.zst old.jsonl
	grep -q 'a name is missing beside a comma' stderr
	run_faultline --status 2 diff old.jsonl,- -
	grep -q 'standard input is one trace only' stderr
	run_faultline --status 2 diff --limit=0 old.jsonl new.jsonl.zst
	grep -q 'diff: --limit=0: must be a number from 1, or all' stderr
}
