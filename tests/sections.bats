#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sections.bats: what `faultline report` says of real programs, which are recorded in the same run:
# all its sections against sums that tests/check_report.py makes of the trace's lines, names, files
# and lines against what addr2line says.
#
# What is jq's, or that of a shell that is recorded, is no variable of this one:
# shellcheck disable=SC2016

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

teardown() {
	[[ -z ${server-} ]] || kill "$server"
}

# report_is_right [OPTIONS...] TRACE: all sections, all rows, are what the trace's lines add up to.
report_is_right() {
	run_faultline report --by=all --limit=all --min-percent=0 --no-lines --json "$@"
	cp stdout report.json
	run_command --time 120 "$TOP/tests/check_report.py" "${@: -1}" report.json
}

@test "sections: processes that fork and exec, named threads, memory of every source" {
	run_faultline record --quiet -o trace.jsonl -- sh -c '"$1/family" one 30 && "$1/mappings" two 10' \
		sh "$PROGRAMS"
	assert_complete trace.jsonl
	report_is_right trace.jsonl
	# what the programs call their threads, which touch each other's memory
	jq -e '[.thread[].name] | contains(["boss", "reader", "writer", "mover", "grandchild"])' report.json
	jq -e '.thread_share | any(.owner_name == "parent" and .name == "child" and .bytes > 0)' report.json
	jq -e '.process | length > 3 and any(.exe | endswith("/mappings")) and
		all(.ended_by == "exit" and .status == 0 and .end_ns > .start_ns)' report.json
}

@test "sections: every function of malloc's family, and memory that it hands out again" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/heap" truth 20
	report_is_right trace.jsonl
	jq -e '[.alloc[].source] | contains(["malloc", "calloc", "realloc", "posix_memalign"])' report.json
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/churn" 3
	report_is_right trace.jsonl
	jq -e 'any(.alloc[]; .reused_bytes > 0) and any(.alloc[]; .freed > 0)' report.json
}

@test "sections: shared memory, writes of pages that are there, larger pieces" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/sharing" truth 10
	report_is_right trace.jsonl
	(($(trace_count trace.jsonl fault '.kind == "minor"') > 0))
	run_faultline record --quiet --mode=write -o trace.jsonl -- "$PROGRAMS/sharing" truth 10
	report_is_right trace.jsonl
	run_faultline record --quiet --granularity=64K -o trace.jsonl -- "$PROGRAMS/blocks" 40
	report_is_right trace.jsonl
}

@test "sections: a part of a trace, by filters" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/mappings" truth 10
	local options=(--access=write "--source=mmap,memfd" --symbol=touch)
	run_faultline filter "${options[@]}" trace.jsonl -o part.jsonl
	report_is_right part.jsonl
	jq 'del(.trace.name)' report.json >of-part
	run_faultline report --by=all --limit=all --min-percent=0 --no-lines --json "${options[@]}" trace.jsonl
	jq 'del(.trace.name)' stdout | diff of-part -
}

@test "sections: sorted, limited, cut off" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/mappings" truth 10
	run_faultline report --by=all --limit=all --min-percent=0 --json trace.jsonl
	cp stdout all.json
	run_faultline report --by=thread,region,site --sort=faults --limit=3 --json trace.jsonl
	for section in thread region site; do
		jq -e --arg section $section --slurpfile all all.json '
			(.[$section] | map(.faults)) ==
			($all[0][$section] | map(.faults) | sort | reverse | .[:3])' stdout
	done
	run_faultline report --by=thread --sort=name --json trace.jsonl
	jq -e '.thread | map(.name) == (map(.name) | sort)' stdout
	run_faultline report --by=site,thread --min-percent=5 --json trace.jsonl
	jq -e --slurpfile all all.json '.totals.bytes as $bytes |
		.site == ($all[0].site | map(select(.bytes * 20 >= $bytes))) and (.site | length > 0)' stdout
	run_faultline report --by=stack --min-percent=20 --limit=all --json trace.jsonl
	jq -e --slurpfile all all.json '.totals.bytes as $bytes | (.stack | map(.bytes) | sort) ==
		($all[0].stack | map(.bytes | select(. * 5 >= $bytes)) | sort) and
		all(.stack[]; .bytes * 5 >= $bytes)' stdout
	# nothing is asked for, so nothing else is there
	jq -e 'keys == ["lost", "sources", "stack", "totals", "trace"]' stdout
}

@test "sections: the tree of calls in both directions" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/mappings" truth 10
	run_faultline report --by=stack --limit=all --min-percent=0 --json trace.jsonl
	cp stdout down.json
	run_faultline report --by=stack --upwards --limit=all --min-percent=0 --json trace.jsonl
	cp stdout up.json
	for way in down up; do
		# nodes have what they touched themselves and what their children have
		jq -e '. as $all | .stack as $rows |
			(reduce $rows[] as $row ({}; if $row.parent == null then . else
				.[$row.parent | tostring] += $row.bytes end)) as $below |
			($rows | all(.bytes == .self_bytes + ($below[.id | tostring] // 0))) and
			($rows | map(.self_bytes) | add) == .totals.bytes and
			($rows | map(select(.parent == null).bytes) | add) == .totals.bytes and
			($rows | all(.parent == null or .parent < .id))' $way.json
	done
	# where stacks end on the way down is where they begin on the way up, and the other way round
	jq -S '[.stack[] | select(.self_faults > 0) | {function, self_bytes}] | group_by(.function) |
		map({(.[0].function // "?"): (map(.self_bytes) | add)}) | add' down.json >ends
	jq -S '[.stack[] | select(.parent == null) | {function, bytes}] | group_by(.function) |
		map({(.[0].function // "?"): (map(.bytes) | add)}) | add' up.json | diff ends -
	# what people read says the same: branches are marked, percents are those of the whole
	run_faultline report --by=stack --limit=all trace.jsonl
	grep -q -E '^ *[0-9.]+ +[0-9.]+ +[0-9.]+ +\+ start_thread|clone3' stdout
	grep -q -E '[0-9] +(\+ )?main +mappings\.c:[0-9]+$' stdout
}

@test "sections: time, as a table and a line" {
	run_faultline record --quiet -o trace.jsonl -- "$PROGRAMS/mappings" truth 10
	run_faultline report --by=time --json trace.jsonl
	jq -e '.time | length <= 20 and length > 5 and .[0].from_ns == 0 and
		. as $rows | all(range(1; length); $rows[.].from_ns == $rows[. - 1].to_ns)' stdout
	jq -e '(.time | map(.bytes) | add) == .totals.bytes and
		(.time | map(.resident_bytes) | max) == .totals.peak_bytes' stdout
	LC_ALL=C.UTF-8 run_faultline report --by=time trace.jsonl
	grep -q '^over time .*█' stdout
	grep -q -E '^ *[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9.]+  ####################$' stdout
	LC_ALL=C run_faultline report --by=time trace.jsonl
	grep -q '^over time .*@' stdout
	if LC_ALL=C grep -q '[^ -~]' stdout; then fail "letters beyond ASCII"; fi
}

# time_line COLUMNS TRACE: the line of memory over time on a terminal of that width.
time_line() {
	run_command script --quiet --return /dev/null \
		--command "stty cols $1; LC_ALL=C '$FAULTLINE' report --by=time $2" >shown
	tr -d '\r' <stdout | sed -n 's/^over time  //p'
}

# time_letters COLUMNS REPORT: the same, of a report in JSON that has a row for each millisecond.
time_letters() {
	jq -r --argjson columns "$1" '(.time | map(.bytes)) as $bytes | ($bytes | length) as $count |
		([$columns - 11, $count] | min) as $room |
		[range($room) | $bytes[. * $count / $room | floor:(. + 1) * $count / $room | floor] | add / length] |
		max as $most | map((. / $most * 8 + 0.5 | floor) as $level |
			if . > 0 and $level == 0 then 1 else $level end | . as $at | " .:-=+*#@"[$at:$at + 1]) |
		add | sub(" +$"; "")' "$2"
}

# faults_at JQ: a trace of 300 ms, with as many faults in each as the expression says of $ms.
faults_at() {
	head -n 3 "$TOP/tests/fuzz/seeds/trace.jsonl"
	jq -nc "range(300) as \$ms | range($1) | {type: \"fault\", ts: (\$ms * 1000000 + 1500), pid: 7, tid: 7,
		addr: \"0x1000\", access: \"write\", kind: \"missing\"}"
	echo '{"type":"end","ts":300001000}'
}

@test "sections: the line of memory over time is as wide as the terminal" {
	faults_at 1 >even.jsonl
	faults_at 'if $ms < 280 then $ms % 50 else 0 end' >saws.jsonl
	run_faultline report --by=time --limit=all --json saws.jsonl
	cp stdout saws.json
	local columns
	for columns in 40 80 100 160 400; do
		time_line "$columns" even.jsonl >even
		printf '%.*s\n' $((columns - 11)) "$(printf '@%.0s' {1..300})" | diff - even
		time_line "$columns" saws.jsonl >saws
		time_letters "$columns" saws.json | diff - saws
	done
	LC_ALL=C "$FAULTLINE" report even.jsonl | grep -q -E '^over time  @{69}$'
}

# A program whose functions are inlined into each other, in C and C++.
write_inlined() {
	cat >inlined.cc <<-'END'
		#include <cstdlib>
		#include <sys/mman.h>
		static inline __attribute__((always_inline)) void touch(volatile char *page)
		{
			*page = 1;
		}
		namespace deep {
		struct walker {
			volatile char *memory;
			inline __attribute__((always_inline)) void step(int page)
			{
				touch(memory + page * 4096);
			}
		};
		}
		extern "C" __attribute__((noinline)) void walk(deep::walker &walker)
		{
			for (int page = 0; page < 50; page++)
				walker.step(page);
		}
		int main()
		{
			deep::walker walker{static_cast<volatile char *>(mmap(nullptr, 50 * 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))};
			walk(walker);
			return 0;
		}
	END
}

# names_inlined OPTIONS...: the report names the innermost function and all that it is inlined into.
names_inlined() {
	run_faultline report --by=site,stack --limit=all --json "$@" trace.jsonl
	# static and local functions have no linkage name in some compilers' debug information
	jq -e '.site[0] | (.function | test("^touch")) and (.file | endswith("inlined.cc")) and
		.line == 5 and .faults == 50' stdout
	jq -e '.stack as $rows | $rows[] | select(.function // "" | test("^touch")) |
		.inlined and .self_faults == 50 and ($rows[.parent] |
		(.function | test("^(deep::walker::)?step")) and .inlined and .line == 12 and ($rows[.parent] |
		.function == "walk" and .line == 19 and (has("inlined") | not) and ($rows[.parent] |
		.function == "main")))' stdout
}

@test "sections: inlined functions, of gcc and clang" {
	requires command:clang
	write_inlined
	local compiler
	for compiler in "g++ -O2 -g" "clang++ -O2 -g" "g++ -O2 -g -gdwarf-4" "g++ -O2 -g1"; do
		$compiler -o program inlined.cc
		run_faultline record --quiet -o trace.jsonl -- ./program
		names_inlined
		# the same as addr2line says, of each frame of the program
		jq -c --slurp '(map(select(.type == "fault").stack) | unique) as $touching | .[] |
			select(.type == "stack" and (.id | IN($touching[]))).frames' trace.jsonl >stacks
		jq -r --arg id "$(jq -r 'select(.path? and (.path | endswith("/program"))).id' trace.jsonl | head -n 1)" '
			to_entries[] | select(.value.module == ($id | tonumber)) | "\(.key) \(.value.offset)"' stacks |
			sort -u >frames
		while read -r index offset; do
			printf '0x%x\n' $((offset - (index > 0)))
		done <frames | sort -u | addr2line -e program >known
		jq -r '.stack[] | select(.module | endswith("/program")) | select(.file) |
			"\(.file):\(.line)"' stdout | sort -u >told
		# addr2line says too little of what clang has inlined
		grep -E '^/.*:[0-9]' known | sed 's/ (discriminator [0-9]*)//' | sort -u |
			comm -23 - told >missing
		[[ ! -s missing ]] || fail "addr2line says, too: $(<missing)"
	done
}

@test "sections: debug information beside the program, below a sysroot, from a server, or nowhere" {
	write_inlined
	g++ -O2 -g -Wl,--build-id=sha1 -o program inlined.cc
	cp program whole
	local id
	id=$(readelf -n program | awk '/Build ID/ { print $3 }')
	objcopy --only-keep-debug program details
	strip --strip-debug program
	run_faultline record --quiet -o trace.jsonl -- ./program
	# nowhere: functions only
	run_faultline report --by=site --json trace.jsonl
	jq -e '.site[0] | .function == "walk" and (has("file") | not)' stdout
	# below a sysroot, by build-id
	mkdir -p "root/usr/lib/debug/.build-id/${id:0:2}"
	cp details "root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"
	mkdir -p "root$PWD" && cp program "root$PWD/program"
	names_inlined --sysroot=root
	# where the program itself is gone its debug file does
	mv program gone
	rm "root$PWD/program"
	names_inlined --sysroot=root
	# another build of it says nothing
	g++ -O1 -g -Wl,--build-id=sha1 -o program inlined.cc
	run_faultline report --by=site --json trace.jsonl
	jq -e '.site[0] | .function == "walk" and (has("file") | not)' stdout
	mv gone program
	# beside the program
	mkdir .debug && cp details .debug/program.debug
	objcopy --add-gnu-debuglink=.debug/program.debug program linked
	mv linked program
	names_inlined
	run_faultline report --by=site --json --no-lines trace.jsonl
	jq -e '.site[0] | .function == "walk" and (has("file") | not)' stdout
	rm -r .debug program

	# from a server; it has the program itself, too
	mkdir -p "www/buildid/$id"
	cp details "www/buildid/$id/debuginfo"
	cp whole "www/buildid/$id/executable"
	strip --strip-debug "www/buildid/$id/executable"
	python3 -u -m http.server --bind 127.0.0.1 --directory www 0 >server.out 2>server.log 3>&- &
	server=$!
	wait_for_line server.out 'port [0-9]+'
	local port
	port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.out)
	DEBUGINFOD_URLS=http://127.0.0.1:$port DEBUGINFOD_CACHE_PATH=$PWD/cache names_inlined
	grep -q "GET /buildid/$id/debuginfo" server.log
}

@test "sections: a function's public name is kept, a name that is another function's is not" {
	cat >alias.c <<-'END'
		#include <stdlib.h>
		__attribute__((noinline)) static void hidden(volatile char *memory)
		{
			for (int page = 0; page < 20; page++)
				memory[page * 4096] = 1;
		}
		__attribute__((alias("hidden"))) void shown(volatile char *memory);
		__attribute__((noinline)) static void behind(volatile char *memory)
		{
			for (int page = 20; page < 30; page++)
				memory[page * 4096] = 1;
		}
		int main(void)
		{
			char *memory = aligned_alloc(4096, 64 * 4096);
			hidden(memory);
			behind(memory);
			return 0;
		}
	END
	gcc -O1 -g -rdynamic -fno-toplevel-reorder -Wl,--build-id=sha1 -o program alias.c
	mkdir .debug && objcopy --only-keep-debug program .debug/program.debug
	strip program
	objcopy --add-gnu-debuglink=.debug/program.debug program
	run_faultline record --quiet -o trace.jsonl -- ./program
	run_faultline report --by=site --json trace.jsonl
	jq -e '[.site[] | select(.faults >= 10) | [.function, .line]] == [["shown", 5], ["behind", 11]]' stdout
}

@test "sections: functions of Rust, in both manglings" {
	requires command:rustc
	cat >names.rs <<-'END'
		mod deep {
		    pub trait Fill { fn fill(&mut self, pages: usize) -> usize; }
		    impl<T: Clone> Fill for Vec<T> where T: From<u8> {
		        #[inline(never)]
		        fn fill(&mut self, pages: usize) -> usize { self.resize(pages * 4096, T::from(1)); pages }
		    }
		    #[inline(never)]
		    pub fn run<F: FnMut(usize) -> usize>(mut work: F) -> usize {
		        let pages = work(300);
		        // not a tail call
		        unsafe { std::ptr::read_volatile(&pages) }
		    }
		}
		use deep::Fill;
		fn main() {
		    let mut bytes: Vec<u8> = Vec::new();
		    let pages = deep::run(|pages| bytes.fill(pages));
		    std::process::exit((bytes[4096] == 0 || pages != 300) as i32);
		}
	END
	local mangling
	for mangling in "" "-C symbol-mangling-version=v0"; do
		# shellcheck disable=SC2086
		rustc -g -C opt-level=1 $mangling -o names names.rs
		run_faultline record --quiet -o trace.jsonl -- ./names
		run_faultline report --by=site,stack --limit=all --json trace.jsonl
		# the standard library's own functions are not what names the place
		jq -e '.site[0] | .function == "<alloc::vec::Vec<T> as names::deep::Fill>::fill" or
			.function == "<alloc::vec::Vec<u8> as names::deep::Fill>::fill"' stdout
		jq -e '.site[0] | (.file | endswith("names.rs")) and .line == 5' stdout
		jq -e '[.stack[].function] | any(. // "" | test("^names::deep::run(::<.*>)?$")) and
			any(. // "" | test("^names::main::\\{\\{?closure"))' stdout
		if jq -r '.stack[].function // ""' stdout | grep -E '^_R|17h[0-9a-f]{16}E'; then
			fail "not demangled"
		fi
	done
}

@test "sections: a trace of a program with bad names of files is reported" {
	local name=$'evil\033[31m<b>.so'
	cat >evil.c <<-'END'
		char big[100 * 4096];
		void touch(void) { for (int i = 0; i < 100; i++) big[i * 4096] = 1; }
	END
	gcc -shared -fPIC -g -o "$name" evil.c
	gcc -o program -x c - <<<'#include <dlfcn.h>
		int main(int argc, char **argv) { ((void (*)(void))dlsym(dlopen(argv[argc - 1], RTLD_NOW), "touch"))(); }'
	run_faultline record --quiet -o trace.jsonl -- ./program "./$name"
	LC_ALL=C run_faultline report --no-lines trace.jsonl
	grep -q 'touch' stdout
	if LC_ALL=C grep -n '[^ -~]' stdout; then fail "a name got through"; fi
	run_faultline report --json trace.jsonl
	jq -e --arg name "$name" '.site[0] | .function == "touch" and (.module | endswith("/" + $name))' stdout
}
