# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The kernel reaches into a program's memory by many ways: system calls, rings that it works off by
# itself, other processes, debuggers, core dumps. What the program and those others see is what they
# see without tracing, and each first touch is in the trace, with who made it.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf root
}

# The ways in which the kernel waits for a page; in the others the shim asks for it before.
WAITING="missing preloaded write signal"

@test "vectors, messages, pipes: calls of the program's own on memory that nobody has touched" {
	in_each_way transfers vectors
	in_each_way transfers messages
	in_each_way transfers pipes
}

@test "past the page cache" {
	dd if=/dev/zero of=probe bs=4096 count=1 oflag=direct 2>/dev/null ||
		skip "this file system has no O_DIRECT"
	in_each_way transfers direct
}

@test "answers, and sets that are waited for" {
	in_each_way transfers answers
	in_each_way transfers sets
}

@test "arguments of a new program, memory that is asked for at once, the end of memory" {
	in_each_way transfers executed
	in_each_way transfers populated
	in_each_way transfers limits
	in_each_way transfers packets
}

@test "io_uring: in the thread that asks, at once and later; pinned buffers; rings of its own" {
	requires io_uring
	in_each_way --only "$WAITING" rings inline
	in_each_way --only "$WAITING" rings later
	in_each_way --only "$WAITING" rings fixed
	in_each_way --only "$WAITING" rings own
}

@test "io_uring: threads of the kernel's own have no stack, and are not waited for" {
	requires io_uring
	in_each_way --only "$WAITING" rings workers
	in_each_way --only "$WAITING" rings poller
}

@test "aio" {
	in_each_way --only "$WAITING" rings aio
}

# outcomes WAY MEMORY OUTCOME: what becomes of each io_uring and aio request there.
outcomes() {
	run_faultline record --quiet "$1" --output=trace.jsonl -- "$PROGRAMS/rings" "$2" truth
	assert_complete trace.jsonl
	(($(grep -c -E ": $3(,|\$)" stdout) == 5))
}

@test "io_uring and aio fail with EFAULT where the kernel does not wait, on untouched memory alone" {
	requires io_uring
	local way
	for way in --mode=sigbus --unprivileged; do
		outcomes $way touched "done"
		outcomes $way untouched EFAULT
	done
	outcomes --mode=missing untouched "done"
}

@test "other processes, traced and not, children and strangers" {
	in_each_way --only "$WAITING" outside child
	in_each_way --only "$WAITING" outside orphan
	in_each_way outside family
	in_each_way outside self
}

@test "a process whose first thread has ended" {
	in_each_way --only "$WAITING" outside leaderless
}

# debugged COMMANDS...: what gdb says of a program that it runs, with gdb's commands. Numbers of
# processes and the addresses of memory differ natively, too.
debugged() {
	local commands=()
	while (($#)); do
		commands+=(-ex "$1")
		shift
	done
	same_as_untraced --normalise 's/(process|LWP) [0-9]+/\1 N/g; s/0x7f[0-9a-f]+/ADDRESS/g;
		s,/proc/[0-9]+,/proc/N,g' gdb -nx -q -batch -ex 'set confirm off' -ex 'break stop_here' \
		-ex 'run debugged truth </dev/null' "${commands[@]}" -ex continue "$PROGRAMS/outside"
	cat untraced.out
}

@test "gdb prints and changes memory of a program that is traced with it, and writes its core file" {
	requires command:gdb
	debugged 'print (int)memory[0]' 'print (int)memory[4096]' 'set var memory[2*4096] = 7' \
		'x/4xb memory + 3*4096' 'find memory, memory + 4*4096 - 1, (char)42'
	grep -q -x 'page 2: 7' untraced.out
	# Those pages are touched by gdb, which is traced itself: its stack is known.
	jq -s -e '[.[] | select(.type == "thread" and .process)] | length > 0' recorded.jsonl
	debugged 'generate-core-file core.gdb'
	rm core.gdb
}

# A question, for wait_until: the program that runs under the recorder.
traced_by() {
	pgrep -P "$1" -x outside
}

# shellcheck disable=SC2016 # gdb's own variables
@test "a debugger that is not traced finds no untouched pages, harms nothing, and all when tracing ends" {
	requires command:gdb
	mkfifo gate
	"$FAULTLINE" record --quiet --output=trace.jsonl -- "$PROGRAMS/outside" debugged truth \
		<gate >said 3>&- 4>&- &
	local record=$! program
	exec 8>gate
	wait_for_line said here
	program=$(traced_by "$record")
	ask() {
		run_command --status "$1" gdb -nx -q -batch -p "$program" -ex 'frame function stop_here' \
			-ex 'print (int)memory[0]' -ex 'print (int)memory[4096]'
	}
	ask 1
	grep -q -x '$1 = 42' stdout
	grep -q 'Cannot access memory' stderr
	run_faultline stop "$program"
	ask 0
	grep -q -x '$2 = 0' stdout
	exec 8>&-
	wait "$record"
	tail -n 4 said
	grep -q -x 'page 1: 0' said
	assert_complete trace.jsonl
}

# crashed WHAT [WAYS]: in each way the program leaves a whole core file, which has the same memory in it
# as without tracing, and of what its threads were touching meanwhile the trace has each page.
crashed() {
	local way
	before_each_run() { rm -f core*; }
	after_each_run() {
		local trace=()
		if [[ $1 != untraced ]]; then
			# Nobody waits for the monitor of a program that was only preloaded.
			wait_until has_ended "$1.jsonl"
			trace=("--trace=$1.jsonl")
		fi
		"$TOP/tests/check_core.py" "${trace[@]}" core* areas >"$1.core"
	}
	in_each_way --only "${2:-$EACH_WAY}" crash "$1" "$PWD/areas"
	for way in ${2:-$EACH_WAY}; do
		diff -u untraced.core "$way.core"
	done
	rm -f core*
	cat untraced.core
}

may_leave_cores() {
	ulimit -c unlimited 2>/dev/null || skip "core files are forbidden to this user"
	[[ $(</proc/sys/kernel/core_pattern) != [/\|]* ]] ||
		skip "this machine keeps core files elsewhere: kernel.core_pattern"
}

@test "core files of programs that crash, and what a filter leaves out" {
	may_leave_cores
	crashed segv
	grep -q -x 'private: there' untraced.core
	crashed abort "missing preloaded"
	crashed filter
	grep -q -x 'private: left out' untraced.core
	grep -q -x 'shared: there' untraced.core
}

@test "core files of programs that crash while their threads touch memory" {
	may_leave_cores
	crashed threads
}
