#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# usage.bats: the command line: help, completion, wrong usage, programs that cannot be run or traced.
# Everything here fails or ends before a program is started, so no privilege is needed.

load helpers

# refuses STATUS TEXT ARGUMENTS...: one line on stderr that holds TEXT, nothing on stdout.
refuses() {
	local expected=$1 text=$2
	shift 2
	run_faultline --status "$expected" "$@"
	[[ ! -s stdout ]] || fail "it wrote to stdout"
	[[ $(wc -l <stderr) == 1 ]] || fail "not one line on stderr"
	grep -qF -- "$text" stderr || fail "no \"$text\" in the message"
	grep -q '^faultline: ' stderr
}

@test "usage: help for everything, on stdout, in 80 columns" {
	run_faultline --version
	[[ $output =~ ^faultline\ [0-9]+\.[0-9]+\.[0-9]+ ]]
	run_faultline --help
	local command
	for command in record stop report top html filter merge diff export check help completion; do
		grep -q "^  $command " stdout
	done
	for command in record stop report top html filter merge diff export check help completion; do
		run_faultline "$command" --help
		grep -q "^usage: faultline $command" stdout
		awk 'length > 80 { print; bad = 1 } END { exit bad }' stdout
		cp stdout by-flag
		run_faultline help "$command"
		diff by-flag stdout
	done
}

@test "usage: wrong commands and flags name themselves and what was meant" {
	refuses 2 "see faultline --help"
	refuses 2 'unknown command "repotr"; did you mean "report"?' repotr
	refuses 2 'unknown command "zzz"' zzz
	refuses 2 "unknown option --hepl" --hepl
	refuses 2 'unknown command "zzz"' help zzz
	refuses 2 "which trace?" report
	refuses 2 "unknown option --jsn; did you mean --json?" report --jsn x
	refuses 2 "--limit=0: must be a number from 1, or all" report --limit=0 x
	refuses 2 "--limit=many: must be" report --limit=many x
	refuses 2 "--limit needs a value" report x --limit
	refuses 2 "--by=code: must be all, or a list of site, stack" report --by=code x
	refuses 2 "--by=site,: must be all, or a list" report --by=site, x
	refuses 2 "--sort=size: must be one of: bytes faults reads writes function" report --by=site --sort=size x
	refuses 2 "--min-percent=-1: must be a number from 0 to 100" report --min-percent=-1 x
	refuses 2 "--min-percent=101: must be" report --min-percent=101 x
	refuses 2 "--sysroot=nowhere: must be a folder" report --sysroot=nowhere x
	refuses 2 "--json takes no value" report --json=yes x
	refuses 2 'one trace at a time: "b" is one too many' report a b
	refuses 2 'unexpected "x"' check x
	refuses 2 "unknown option -z" check -z
}

@test "usage: filters refuse what cannot be meant, and say what can" {
	refuses 2 "--pid=x: must be a number, or a list of numbers: 7,8" report --pid=x t
	refuses 2 "--tid=1,: must be a number" filter --tid=1, t
	refuses 2 "--region=-1: must be a number" report --region=-1 t
	refuses 2 "--kind=major: must be a list of missing, write-protect, minor" filter --kind=major t
	refuses 2 "--access=write,exec: must be read, write or both" report --access=write,exec t
	refuses 2 "--source=brk,hep: must be a list of mmap, mremap, brk" filter --source=brk,hep t
	refuses 2 "--addr=0x2000-0x1000: must be two addresses, the lower first" report --addr=0x2000-0x1000 t
	refuses 2 "--addr=7f00: must be two addresses" report --addr=7f00 t
	refuses 2 "--from=soon: must be a time after the start" filter --from=soon t
	refuses 2 "--to=-1: must be a time" filter --to=-1 t
	refuses 2 "--to=0x10: must be a time" filter --to=0x10 t
	refuses 2 "--to=1y: must be a time after the start: 1.5, 200ms, 2m" filter --to=1y t
	refuses 2 "diff: --from must be a time before that of --to" diff --to=1s --from=1000ms t t
	refuses 2 "--symbol=(: is no extended regular expression" report --symbol='(' t
	refuses 2 "unknown option --symbl; did you mean --symbol?" report --symbl=x t
	refuses 2 "which trace?" filter --pid=1
	refuses 2 "which traces? usage: faultline merge [OPTIONS] TRACE TRACE..." merge one
	refuses 2 "standard input is one trace only" merge - -
}

@test "usage: record refuses wrong flags and values before anything is started" {
	refuses 125 "which program?" record
	refuses 125 "which program?" record --
	refuses 125 "unknown option --ouput; did you mean --output?" record --ouput=x touch started
	refuses 125 "--output=-: must be a file: standard output is the program's" record -o - touch started
	refuses 125 "--output=: must be the name of a file" record --output= touch started
	refuses 125 "--mode=all: must be one of missing, write" record --mode=all touch started
	refuses 125 "--capture=x: must be one of auto, perf, signal, none" record --capture=x touch started
	refuses 125 "--max-frames=0: must be a number from 1 to 512" record --max-frames=0 touch started
	refuses 125 "--max-frames=513: must be" record --max-frames 513 touch started
	refuses 125 "--max-frames=-1: must be" record --max-frames=-1 touch started
	refuses 125 "--alloc-threshold=4X: must be a size" record --alloc-threshold=4X touch started
	refuses 125 "--alloc-threshold=99999999999999999999: must be" record \
		--alloc-threshold=99999999999999999999 touch started
	refuses 125 "--granularity=3K: must be a power of two from 4K to 2M" record --granularity=3K touch started
	refuses 125 "--granularity=4M: must be" record --granularity=4M touch started
	refuses 125 "--sources=brk,hep: must be all, or a list" record --sources=brk,hep touch started
	refuses 125 "--delay=soon: must be a number of seconds" record --delay=soon touch started
	refuses 125 "--delay=-1: must be" record --delay=-1 touch started
	refuses 125 "--duration=0: must be" record --duration=0 touch started
	refuses 125 "--duration=99999999999: must be" record --duration=99999999999 touch started
	refuses 125 "--quiet takes no value" record --quiet=1 touch started
	refuses 125 "-o needs a value" record -qo
	[[ ! -e started ]]
}

@test "usage: record refuses wrong FAULTLINE_ variables and names those there are" {
	FAULTLINE_OUPUT=x refuses 125 "FAULTLINE_OUPUT is not a setting" record true
	FAULTLINE_OUPUT=x refuses 125 "FAULTLINE_OUTPUT, FAULTLINE_MODE" record true
	FAULTLINE_MAX_FRAMES=many refuses 125 "FAULTLINE_MAX_FRAMES=many: must be a number" record true
	FAULTLINE_FOLLOW=yes refuses 125 "FAULTLINE_FOLLOW=yes: must be 0 or 1" record true
	FAULTLINE_OUTPUT=- refuses 125 "FAULTLINE_OUTPUT=-: must be a file" record true
	# help helps nevertheless
	FAULTLINE_OUPUT=x run_faultline record --help
}

@test "usage: programs that cannot be found or run get env's status" {
	mkdir folder
	echo 'echo hello' >not-executable
	printf '#!/no/such/interpreter -x\n' >no-interpreter
	printf '#!%s/not-executable\n' "$PWD" >bad-interpreter
	printf '#!\n' >empty-interpreter
	printf '#!%s/loop\n' "$PWD" >loop
	chmod +x no-interpreter bad-interpreter empty-interpreter loop
	refuses 127 'cannot find "no-such-program" in PATH' record no-such-program
	refuses 127 'cannot run "./absent": No such file' record ./absent
	refuses 127 'cannot find "" in PATH' record ""
	refuses 126 'it is a directory' record ./folder
	refuses 126 'it is not executable' record ./not-executable
	refuses 127 'its interpreter "/no/such/interpreter" does not exist' record ./no-interpreter
	refuses 126 "its interpreter \"$PWD/not-executable\" is not executable" record ./bad-interpreter
	refuses 126 "no usable interpreter" record ./empty-interpreter
	refuses 126 "one interpreter too many" record ./loop
	# found in PATH, though not executable: 126, as execvp has it
	PATH="$PWD:$PATH" refuses 126 'it is not executable' record not-executable
}

@test "usage: programs into which nothing can be preloaded are refused" {
	echo 'int main(void) { return 0; }' >main.c
	gcc -static -o static main.c
	gcc -static-pie -fPIE -o static-pie main.c
	gcc -o dynamic main.c
	# byte 4 of an ELF file is its class, byte 18 its machine
	cp dynamic narrow && printf '\x01' | dd of=narrow bs=1 seek=4 conv=notrunc status=none
	cp dynamic foreign && printf '\xf3' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
	printf '#!%s/static\n' "$PWD" >script
	chmod +x script
	refuses 125 "statically linked" record ./static
	refuses 125 "statically linked" record ./static-pie
	refuses 125 "32-bit" record ./narrow
	refuses 125 "another machine" record ./foreign
	refuses 125 "\"$PWD/static\" is statically linked" record ./script
	local kind
	for kind in address undefined thread; do
		gcc -fsanitize=$kind -o san main.c
		refuses 125 "Sanitizer" record ./san
	done
	gcc -fsanitize=address -static-libasan -o san main.c
	refuses 125 "AddressSanitizer" record ./san
}

@test "usage: setuid programs are refused when their rights would change" {
	[[ $(id -u) == 0 ]] || skip "making a setuid program of another user needs root"
	cp /bin/true other
	chown "$NOBODY_UID" other
	chmod 4755 other
	refuses 125 "is setuid" record ./other
	cp /bin/true group
	chgrp "$NOBODY_GID" group
	chmod 2755 group
	refuses 125 "is setgid" record ./group
}

@test "usage: check says what is there; its JSON has the same verdict" {
	local code=0
	"$FAULTLINE" check >text 2>stderr || code=$?
	[[ ! -s stderr ]]
	[[ $code == 0 || $code == 1 ]]
	if ((code == 0)); then grep -q '^Recording works' text; else grep -q '^Recording does not' text; fi
	# commands to copy are not broken
	awk 'length > 80 && !/-> / { print; bad = 1 } END { exit bad }' text
	run_faultline --status $code check --json
	jq -e --argjson code $code '.works == ($code == 0) and (.checks | length > 10) and
		all(.checks[]; (.state | IN("ok", "note", "missing", "failed")) and .found != "" and .purpose != "")' stdout
	jq -e 'all(.checks[] | select(.state == "failed"); .grant != null)' stdout
	# Each facility of userfaultfd that this kernel may have.
	for name in userfaultfd dev-userfaultfd user-mode-only pagefault-flag-wp event-fork event-remap \
		event-remove missing-hugetlbfs missing-shmem event-unmap sigbus thread-id \
		minor-hugetlbfs minor-shmem exact-address wp-hugetlbfs-shmem wp-unpopulated poison \
		wp-async move range-ioctls pagemap-scan cpu-latency; do
		jq -e --arg name "$name" 'any(.checks[]; .name == $name)' stdout
	done
	jq -e '.checks[] | select(.name == "range-ioctls") | .found | test("wake, copy, zeropage")' stdout
}

@test "usage: an unprivileged user is told what check would grant" {
	[[ $(id -u) == 0 ]] || skip "becoming another user needs root"
	[[ $(</proc/sys/vm/unprivileged_userfaultfd) == 0 ]] || skip "vm.unprivileged_userfaultfd is not 0"
	local as=(setpriv --reuid="$NOBODY_UID" --regid="$NOBODY_GID" --clear-groups --inh-caps=-all)
	"${as[@]}" test -x "$FAULTLINE" || skip "the checkout is not readable to other users"
	"${as[@]}" test -r /dev/userfaultfd && skip "/dev/userfaultfd is open to everyone"
	run_command --status 125 "${as[@]}" "$FAULTLINE" record touch started
	grep -q 'userfaultfd is refused .*faultline check' stderr
	[[ ! -s stdout && ! -e started ]]
	run_command --status 1 "${as[@]}" "$FAULTLINE" check
	grep -q '^ *-> sudo sysctl -w vm.unprivileged_userfaultfd=1$' stdout
}

# complete WORDS...: what bash would offer for the last word. "=" is a word of its own, as in bash.
complete_words() {
	bash -c '
		source completion
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_faultline 2>/dev/null
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

@test "usage: completion comes from the tables" {
	run_faultline completion
	cp stdout completion
	bash -n completion
	[[ $(complete_words faultline re) == $'record\nreport' ]]
	[[ $(complete_words faultline record --max) == "--max-frames=" ]]
	[[ $(complete_words faultline record --capture = s) == "signal" ]]
	[[ $(complete_words faultline record --capture s) == "signal" ]]
	[[ $(complete_words faultline report --j) == "--json" ]]
	[[ $(complete_words faultline report --by = re) == "region" ]]
	[[ $(complete_words faultline report --thr) == "--thread-name=" ]]
	[[ $(complete_words faultline report --kind = wr) == "write-protect" ]]
	[[ $(complete_words faultline filter --source = me) == "memfd" ]]
	[[ $(complete_words faultline export --format = sp) == "speedscope" ]]
	[[ $(complete_words faultline export -f p) == "pprof" ]]
	[[ $(complete_words faultline export --value al) == "allocated" ]]
	touch one.jsonl
	[[ $(complete_words faultline report one) == "one.jsonl" ]]
	[[ $(complete_words faultline help ch) == "check" ]]
	# the words of the program are files, its flags are not ours
	[[ $(complete_words faultline record --output = x -q true one) == "one.jsonl" ]]
	[[ -z $(complete_words faultline record true --max) ]]
	# every flag of the help is offered
	local flag
	for flag in $("$FAULTLINE" record --help | grep -o -- '^ .*--[a-z-]*' | grep -o -- '--[a-z-]*'); do
		complete_words faultline record "$flag" | grep -q -- "^$flag=\?$" || fail "$flag"
	done
}
