#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# html.bats: the page of `faultline html`, opened from disk in Debian's Chromium: it draws, it can be
# used with mouse and keyboard, and its numbers are those of `faultline report --json`.

load helpers

# Two threads of a python3 program, which hold memory in several ways; one page of it for all tests.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	cat >program.py <<-'END'
		import threading
		SIZE = 6 << 20
		reserved, cleared, grown = bytes(SIZE), bytearray(SIZE), []
		def read_zeros():
		    with open("/dev/zero", "rb", buffering=0) as source:
		        return len(source.read(SIZE))
		reader = threading.Thread(target=read_zeros)
		reader.start()
		reader.join()
		while len(grown) * 8 < SIZE:
		    grown.append(None)
	END
	_may_use_userfaultfd || return 0
	run_faultline --time 120 record -o t.jsonl /usr/bin/python3 program.py
	run_faultline html t.jsonl -o page.html
	run_faultline report --json --limit=all t.jsonl
	mv stdout report.json
}

# The recorded program's trace, page and report, in this folder.
recorded() {
	requires userfaultfd
	cp "$BATS_FILE_TMPDIR"/{t.jsonl,page.html,report.json} .
}

# page FILE STEP...: does the steps in Chromium; what they print is in stdout, one line of JSON each.
page() {
	run_command --time 180 "$TOP/tests/page.py" "$1" until "document.documentElement.dataset.ready" "${@:2}"
}

# unpacked PAGE: the page with its data as the JSON that they are.
unpacked() {
	/usr/bin/python3 - "$1" <<-'END'
		import base64, re, sys, zlib
		page = open(sys.argv[1], "rb").read()
		sys.stdout.buffer.write(re.sub(rb'(?<= id="data">)[^<]+',
		                               lambda data: zlib.decompress(base64.b64decode(data[0])), page))
	END
}

# The <data> values of a table's rows, as an array of arrays.
rows_of() {
	echo "[...document.querySelectorAll('$1 tbody tr')].map(row => [...row.querySelectorAll('data')].map(d => Number(d.value)))"
}

# Shows all rows of both tables.
ALL_ROWS=(eval "[...document.querySelectorAll('.table > button:not([hidden])')].forEach(button => button.click())")

@test "html: the page opens without errors and asks the network for nothing" {
	recorded
	page page.html \
		eval "document.title" \
		eval "document.querySelectorAll('#growth path').length > 2" \
		eval "document.querySelectorAll('#flame g').length > 10" \
		eval "[...document.querySelector('#map canvas').getContext('2d').getImageData(0, 0, 400, 200).data].some(v => v > 0)"
	[[ $(sed -n 1p stdout) == '"faultline: /usr/bin/python3 program.py"' ]]
	[[ $(sed -n '2,$p' stdout | sort -u) == true ]]
	# Nothing outside of it is named but namespaces and where d3 is from.
	if grep -oE '(src|href)="[^"]*"' page.html; then fail "the page refers to something"; fi
}

@test "html: a browser that cannot unpack the data says so" {
	recorded
	run_command "$TOP/tests/page.py" page.html before "delete window.DecompressionStream" \
		eval "[document.querySelector('#warning').textContent, document.querySelector('#warning').hidden]"
	jq -e '(.[0] | contains("too old")) and .[1] == false' stdout
}

@test "html: its numbers are those of report --json" {
	recorded
	page page.html "${ALL_ROWS[@]}" \
		eval "Object.fromEntries([...document.querySelectorAll('#headline dd')].map(dd => [dd.dataset.total, Number(dd.querySelector('data').value)]))" \
		eval "$(rows_of '#sites')" eval "$(rows_of '#origins')" eval "$(rows_of '#threads')"
	sed -n 2p stdout >totals
	sed -n 3p stdout >sites
	sed -n 4p stdout >origins
	sed -n 5p stdout >threads
	jq -e --slurpfile page totals '.totals as $t | $page[0] |
		.touched == $t.bytes and .faults == $t.faults and .threads == $t.threads and
		.processes == $t.processes and .lost == $t.lost and .seconds == $t.duration_ns' report.json
	jq -e --slurpfile page sites '
		(.site | map([.bytes, .faults]) | sort) == ($page[0] | map(.[:2]) | sort)' report.json
	jq -e --slurpfile page origins '
		(.alloc | map([.reserved_bytes, .touched_bytes, .reused_bytes, .untouched_bytes, .count]) | sort) ==
		($page[0] | map([.[0], .[1], .[2], .[3], .[5]]) | sort)' report.json
	# The last column is the sum of what the row's thread touched.
	jq -e --slurpfile page threads '
		(.thread | map(.bytes) | sort) == ($page[0] | map(.[-1]) | sort)' report.json
	[[ $(jq length sites) -gt 5 && $(jq length origins) -gt 5 && $(jq length threads) == 2 ]]
}

@test "html: the brush filters everything, by exactly the time that it says" {
	recorded
	page page.html drag "#growth .overlay" 0.3,0.5 0.6,0.5 "${ALL_ROWS[@]}" \
		eval "document.querySelector('#selected').dataset" \
		eval "[...document.querySelectorAll('#selected data')].map(d => Number(d.value))" \
		eval "$(rows_of '#sites')" eval "$(rows_of '#threads')" \
		eval "document.querySelector('#flame g').getAttribute('aria-label')" \
		click "#all-time" \
		eval "[...document.querySelectorAll('#selected data')].map(d => Number(d.value))"
	sed -n 3p stdout >selected
	sed -n 4p stdout >sites
	sed -n 5p stdout >threads
	sed -n 6p stdout >flame
	sed -n 7p stdout >all
	run_faultline report --json --limit=all t.jsonl "--from=$(sed -n 2p stdout | jq -r .fromNs)ns" \
		"--to=$(sed -n 2p stdout | jq -r .toNs)ns"
	jq -e --slurpfile page selected '[.totals.bytes, .totals.faults] == $page[0]' stdout
	jq -e --slurpfile all all '[.totals.bytes, .totals.faults] == $all[0]' report.json
	jq -e --slurpfile page sites '
		(.site | map([.bytes, .faults]) | sort) == ($page[0] | map(.[:2]) | sort)' stdout
	jq -e --slurpfile page threads '
		(.thread | map(.bytes | select(. > 0)) | sort) == ($page[0] | map(.[-1]) | sort)' stdout
	grep -qF "all, $(jq -r '.totals.bytes / 1048576 * 100 | round / 100' stdout | xargs printf %.2f) MiB, 100.0 %" flame
	# It is a part of the whole, and not nothing.
	jq -e --slurpfile all all '.[1] > 0 and .[1] < $all[0][1]' selected
}

@test "html: the flame graph zooms by click and key, searches, turns round and changes its question" {
	recorded
	local name="document.querySelector('#flame g').getAttribute('aria-label')"
	page page.html eval "$name" \
		click "#flame g[aria-level='6']" eval "$name" \
		eval "document.querySelectorAll('#flame-path button').length" \
		key Escape eval "document.querySelectorAll('#flame-path button').length" \
		click "#flame-path button" eval "$name" \
		key ArrowDown key Enter eval "$name" \
		click "#flame-path button" \
		type "#flame-search" "_Py_read" eval "document.querySelector('#flame-found').textContent" \
		eval "document.querySelectorAll('#flame g.found').length > 0" \
		type "#flame-search" "(" eval "document.querySelectorAll('#flame g.found').length" \
		type "#flame-search" " " \
		click "#flame-invert" eval "$name" \
		eval "document.querySelector('#flame g:nth-of-type(2)').getAttribute('aria-label')" \
		click "input[name=flame-by][value=origin]" eval "$name" \
		click "input[name=measure][value=faults]" eval "$name"
	local bytes faults
	bytes=$(jq -r '.totals.bytes / 1048576 * 100 | round / 100' report.json)
	faults=$(jq -r .totals.faults report.json)
	mapfile -t lines <stdout
	[[ ${lines[0]} == "\"all, $(printf %.2f "$bytes") MiB, 100.0 %\"" ]]
	[[ ${lines[1]} != "${lines[0]}" && ${lines[2]} == 6 && ${lines[3]} == 5 ]]
	[[ ${lines[4]} == "${lines[0]}" && ${lines[5]} != "${lines[0]}" ]]
	# _Py_read stands on the stacks of what the reader read.
	[[ ${lines[6]} == '"found in '6.*' MiB, '*' %"' && ${lines[7]} == true && ${lines[8]} == 0 ]]
	# Innermost first, the whole is the same, and below are functions that touched memory themselves.
	[[ ${lines[9]} == "${lines[0]}" && ${lines[10]} != *_start* ]]
	[[ ${lines[11]} == "${lines[0]}" ]]
	[[ ${lines[12]} == "\"all, $(printf "%'d" "$faults" | sed 's/,//g; :a; s/\B[0-9]\{3\}\>/,&/; ta') faults, 100.0 %\"" ]]
}

@test "html: the map tells page, thread, region and stack, and zooms to single pages" {
	recorded
	# Where the reader's 6 MiB are: the tallest extent.
	page page.html hover "#map .overlay" 0.5,0.5 \
		click "#map .overlay" click "#map .overlay" \
		eval "document.querySelector('#map-view').textContent" \
		key Escape key Escape \
		eval "document.querySelector('#map-out').disabled" \
		drag "#map .overlay" 0.1,0.1 0.9,0.9 \
		eval "document.querySelector('#map-out').disabled" \
		click "#map-all" \
		eval "(() => { const map = document.querySelector('#map canvas'); const { data, width, height } = map.getContext('2d').getImageData(0, 0, map.width, map.height); for (let i = 3; i < data.length; i += 4) if (data[i] > 0) return [((i >> 2) % width + 0.5) / width, (Math.floor((i >> 2) / width) + 0.5) / height]; })()"
	[[ $(sed -n 2,3p stdout | xargs) == "true false" ]]
	[[ $(sed -n 1p stdout) == *' pages"' ]]
	local x y
	read -r x y < <(sed -n 4p stdout | jq -r '"\(.[0]) \(.[1])"')
	page page.html hover "#map .overlay" "$x,$y" eval "[...document.querySelectorAll('#tip div')].map(line => line.textContent)" \
		click "input[name=map-colour][value=thread]" eval "document.querySelector('#map-legend').innerText" \
		click "input[name=map-colour][value=density]" eval "document.querySelector('#map-legend').innerText"
	sed -n 1p stdout >tip
	jq -r '.[]' tip
	# What it says stands in the trace: that thread touched that page.
	local address tid
	address=$(jq -r '.[] | capture("^page 0x(?<page>[0-9a-f]+)000$").page' tip)
	tid=$(jq -r '.[] | capture("^touched by .*\\((?<tid>[0-9]+)\\)$").tid' tip)
	[[ -n $address && -n $tid ]]
	[[ $(trace_count t.jsonl fault ".tid == $tid and (.addr | startswith(\"0x$address\")) and (.addr | length == $((${#address} + 5)))") -ge 1 ]]
	jq -e 'any(startswith("region ")) and any(startswith("stack "))' tip
	grep -q 'python3 (' stdout
	grep -q 'faults in' stdout
}

@test "html: everything can be reached by the keyboard, and is read aloud" {
	recorded
	# half of the time, in the page's own unit
	local half
	page page.html eval "document.querySelector('#to').value / 2"
	half=$(<stdout)
	page page.html \
		eval "[...document.querySelectorAll('input, select, button')].filter(e => e.tabIndex < 0 || !(e.labels && e.labels.length || e.textContent || e.getAttribute('aria-label'))).length" \
		eval "document.querySelector('#map svg').focus()" \
		key ArrowDown key ArrowRight eval "document.querySelector('#map-said').textContent" \
		key Enter eval "document.querySelector('#map-out').disabled" \
		eval "document.querySelector('#flame g[tabindex=\"0\"]').focus()" \
		key ArrowDown key ArrowDown key ArrowUp eval "document.activeElement.getAttribute('aria-level')" \
		eval "(document.querySelector('#from').focus(), document.querySelector('#from').select())" \
		type "#from" "$half" key Tab eval "document.querySelector('#all-time').disabled" \
		eval "Math.abs(document.querySelector('#from').value - $half) <= document.querySelector('#to').value / 100" \
		eval "(document.querySelector('#from').value = '', document.querySelector('#from').dispatchEvent(new Event('change')))" \
		eval "document.querySelector('#all-time').disabled" \
		eval "document.querySelector('#sites th[aria-sort]').textContent" \
		eval "document.activeElement.blur()" key / eval "document.activeElement.id"
	mapfile -t lines <stdout
	[[ ${lines[0]} == 0 ]]
	[[ ${lines[2]} == '"page 0x'* || ${lines[2]} == '"space'* ]]
	[[ ${lines[3]} == false && ${lines[5]} == '"2"' && ${lines[7]} == false ]]
	# A field without a number changes nothing.
	[[ ${lines[8]} == true && ${lines[10]} == false ]]
	[[ ${lines[11]} == *%* && ${lines[13]} == '"flame-search"' ]]
}

@test "html: light, dark, narrow and on paper" {
	recorded
	local background="getComputedStyle(document.body).backgroundColor"
	page page.html scheme light eval "$background" scheme dark eval "$background" screenshot dark.png \
		size 400 800 eval "document.documentElement.scrollWidth <= 400" screenshot narrow.png \
		print page.pdf
	mapfile -t lines <stdout
	[[ ${lines[0]} == '"rgb(255, 255, 255)"' && ${lines[1]} != "${lines[0]}" && ${lines[2]} == true ]]
	[[ $(head -c 5 page.pdf) == %PDF- ]]
	file_is_png dark.png
	file_is_png narrow.png
}

file_is_png() {
	[[ $(head -c 4 "$1" | tail -c 3) == PNG && $(stat -c %s "$1") -gt 10000 ]]
}

@test "html: names from the trace do nothing but stand there" {
	local evil='</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2><!--'
	{
		jq -nc --arg evil "$evil" '
			{type: "session", format: "faultline-trace", version: 1, ts: 1000, page_size: 4096, time: $evil,
			 kernel: $evil, machine: $evil, mode: $evil, capture: $evil, command: [$evil, "\u001b[31m\u202e"]},
			{type: "process", ts: 1000, pid: 10, ppid: 1, event: "start", exe: $evil},
			{type: "thread", ts: 1000, pid: 10, tid: 10, name: $evil},
			{type: "thread", ts: 1000, pid: 10, tid: 11, name: "\u001b]0;x\u0007\u202e\u2028"},
			{type: "module", id: 1, pid: 10, path: ("/x/" + $evil), start: "0x1", end: "0x2", offset: 0},
			{type: "stack", id: 1, frames: [{ip: "0x10", module: 1, offset: "0x10", symbol: $evil, symbol_offset: 1},
				{ip: "0x20", module: 1, offset: "0x20"}, {ip: "0x30", symbol: "__proto__", symbol_offset: 1}]},
			{type: "region", id: 1, ts: 1100, pid: 10, tid: 10, start: "0x100000", size: 65536, source: $evil, stack: 1},
			{type: "alloc", id: 1, ts: 1200, pid: 10, tid: 10, addr: "0x100010", size: 8192, func: $evil, stack: 1},
			(range(8) | {type: "fault", ts: (2000 + .), pid: 10, tid: (10 + . % 2), addr: "0x10\(.)010", access: "write",
				kind: "missing", region: 1, alloc: 1, offset: (. * 4096), stack: 1, served: "copy"}),
			{type: "lost", ts: 3000, what: $evil, count: 3, why: $evil},
			{type: "end", ts: 9000, faults: 8, lost: 3, duration_ns: 8000}'
	} >evil.jsonl
	run_faultline html evil.jsonl "--symbol=<script>" -o evil.html
	page evil.html eval "[window.hacked, document.scripts.length, document.images.length, document.title.includes('<img')]" \
		eval "document.querySelector('#command').textContent" \
		hover "#flame g:nth-of-type(2)" 0.5,0.5 eval "document.querySelector('#tip').textContent.length > 0" \
		hover "#map .overlay" 0.5,0.5 type "#flame-search" "<script>" \
		eval "document.querySelectorAll('#flame g.found').length > 0" \
		eval "document.querySelector('#sites .name').textContent.includes('window.hacked')" \
		eval "window.hacked"
	mapfile -t lines <stdout
	[[ ${lines[0]} == '[null, 3, 0, true]' ]]
	# Control characters, and those that change the direction of what follows, are shown as such.
	[[ ${lines[1]} == *'<img src=x'*'\ufffd[31m\ufffd'* ]]
	[[ ${lines[2]} == true && ${lines[3]} == true && ${lines[4]} == true && ${lines[5]} == null ]]
}

@test "html: plain, zstd and standard input make the same page; filters and cut traces are told" {
	recorded
	zstd -q t.jsonl
	unpacked page.html >expected.html
	run_faultline html t.jsonl.zst
	unpacked stdout | sed 's/"name":"t.jsonl.zst"/"name":"t.jsonl"/' | cmp - expected.html
	run_faultline html -o - - <t.jsonl
	unpacked stdout | sed 's/"name":"standard input"/"name":"t.jsonl"/' | cmp - expected.html

	local tid
	tid=$(jq -r '.thread | min_by(.bytes).tid' report.json)
	head -n -1 t.jsonl >cut.jsonl
	run_faultline html "--tid=$tid" cut.jsonl -o cut.html
	grep -q '"cut.jsonl" is cut' stderr
	page cut.html eval "document.querySelector('#warning').textContent" \
		eval "document.querySelector('#session').textContent" \
		eval "[...document.querySelectorAll('#selected data')].map(d => Number(d.value))"
	grep -q 'is cut' stdout
	grep -qF -- "--tid=$tid" stdout
	sed -n 3p stdout >selected
	jq -e --slurpfile page selected --argjson tid "$tid" '
		.thread[] | select(.tid == $tid) | [.bytes, .faults] == $page[0]' report.json
}

@test "html: an empty trace makes a page, and what cannot be read or written is told" {
	echo '{"type":"session","format":"faultline-trace","version":1,"ts":1,"page_size":4096,"command":["x"]}' >empty.jsonl
	run_faultline html empty.jsonl -o empty.html
	page empty.html eval "document.querySelector('#selected data').value"
	[[ $(cat stdout) == '"0"' ]]

	run_faultline --status 1 html missing.jsonl -o missing.html
	grep -qF 'cannot read "missing.jsonl"' stderr
	[[ ! -e missing.html ]]
	run_faultline --status 1 html empty.jsonl -o no/such/folder.html
	grep -qF 'faultline: html: cannot write to "no/such/folder.html": No such file' stderr
	cp empty.jsonl same.jsonl
	run_faultline --status 1 html same.jsonl -o same.jsonl
	grep -qF 'faultline: html: "same.jsonl" is the trace itself' stderr
	cmp empty.jsonl same.jsonl
	run bash -c '"$FAULTLINE" html empty.jsonl >/dev/full'
	[[ $status == 1 && $output == *"faultline: html: cannot write to standard output: No space left"* ]]
	run_faultline --status 2 html
	run_faultline --status 2 html empty.jsonl empty.jsonl
}
