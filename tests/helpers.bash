# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# helpers.bash: what every bats file loads: where the tested programs are, running them with a time
# limit, reading traces, waiting for events, and skips that say why.
#
# Each test starts in an empty folder of its own. `make check` sets the variables below; without
# it they name the plain build of this checkout.

bats_require_minimum_version 1.8.0

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FAULTLINE=${FAULTLINE:-$TOP/faultline}              # the command
SHIM=${SHIM:-$TOP/build/libfaultline.so}            # what LD_PRELOAD gets
MONITOR=${MONITOR:-$TOP/build/faultline-monitor}    # what serves the faults
PROGRAMS=${PROGRAMS:-$TOP/build/programs}           # traced test programs
UNIT=${UNIT:-$TOP/build/unit}                       # unit tests
export TOP FAULTLINE SHIM MONITOR PROGRAMS UNIT

# Limits are for a machine that is slow for a good reason, such as sanitizers.
TIME_FACTOR=${TIME_FACTOR:-1}

# A user who may do nothing special.
NOBODY_UID=65534
NOBODY_GID=65534

# Before a command where LeakSanitizer cannot work: it needs a thread and ptrace(2) for itself.
# shellcheck disable=SC2034 # of tests
LEAKS_UNCHECKED=(env "ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0")

# What a shell that runs the tests may have set is not part of them.
unset LD_PRELOAD "${!FAULTLINE_@}"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# --- Running -----------------------------------------------------------------------------------

# fail WORDS...: says why the test fails, and fails.
fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# run_command [--status N] [--time SECONDS] COMMAND...: runs a command with a time limit and an
# expected exit status (default 0 and 60 s). Sets status, output (what it wrote to stdout) and
# stderr, which also stay in the files stdout and stderr; reads nothing from standard input unless
# the caller redirects it. Prints all of it: bats shows that when the test fails.
# One that reaches the limit tells before what it hangs in.
# A monitor that outlives the command cannot hold the test up: no pipe of the test is left to it.
run_command() {
	local expected=0 seconds=60
	while [[ $1 == --status || $1 == --time ]]; do
		case $1 in
		--status) expected=$2 ;;
		--time) seconds=$2 ;;
		esac
		shift 2
	done
	local in=/dev/stdin
	# bats leaves its own standard input to tests.
	[[ -p /dev/stdin || -f /dev/stdin ]] || in=/dev/null

	# Results for the test to read.
	# shellcheck disable=SC2034
	{
		status=0
		"$TOP/tests/limited" $((seconds * TIME_FACTOR)) "$@" \
			<"$in" >stdout 2>stderr 3>&- 4>&- || status=$?
		output=$(tr -d '\0' <stdout)
		stderr=$(tr -d '\0' <stderr)
	}
	printf '$ %s\n' "${*@Q}"
	printf 'status %s, expected %s\n' "$status" "$expected"
	head -c 4000 stdout | sed 's/^/stdout: /'
	head -c 8000 stderr | sed 's/^/stderr: /'
	if [[ $status == "$expected" ]]; then
		return 0
	fi
	if [[ $status == 124 || $status == 137 ]]; then
		echo "took longer than $((seconds * TIME_FACTOR)) seconds, or was killed"
	fi
	return 1
}

# run_faultline [--status N] [--time SECONDS] ARGUMENTS...: the same for the faultline command.
run_faultline() {
	local limits=()
	while [[ $1 == --status || $1 == --time ]]; do
		limits+=("$1" "$2")
		shift 2
	done
	run_command "${limits[@]}" "$FAULTLINE" "$@"
}

# same_as_untraced [--time SECONDS] [--normalise SED_SCRIPT] PROGRAM ARGUMENTS...: runs a program
# without faultline, under `faultline record`, and with LD_PRELOAD alone: standard output, standard
# error and exit status are the same three times, after the sed script took out what differs
# natively (process IDs, times). Both traces are complete and lost nothing. They stay in
# recorded.jsonl and preloaded.jsonl; before each run the function `before_each_run` is called if
# there is one.
same_as_untraced() {
	local seconds=120 script=
	while [[ $1 == --time || $1 == --normalise ]]; do
		case $1 in
		--time) seconds=$2 ;;
		--normalise) script=$2 ;;
		esac
		shift 2
	done

	_run_as untraced "$seconds" "$script" "$@"
	_run_as recorded "$seconds" "$script" \
		"$FAULTLINE" record --quiet --output="$PWD/recorded.jsonl" -- "$@"
	_run_as preloaded "$seconds" "$script" env FAULTLINE_QUIET=1 \
		FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" LD_PRELOAD="$SHIM" "$@"

	local how what
	for how in recorded preloaded; do
		for what in out err status; do
			diff -u "untraced.$what" "$how.$what" | head -n 40 >difference
			if [[ -s difference ]]; then
				cat difference
				fail "$how: the program's $what differs from the untraced one's"
				return
			fi
		done
	done
	assert_complete recorded.jsonl || return
	# Nobody waits for the monitor of a program that was only preloaded.
	wait_until --time 30 has_ended preloaded.jsonl || return
	assert_complete preloaded.jsonl
}

# in_each_way [--acts] [--time SECONDS] [--only "WAY..."] PROGRAM WHAT ARGUMENTS...: runs a program
# of tests/programs, which gets the name of its truth file as its second argument, without faultline
# and then in each way of tracing: output, errors and status are the same, and each trace is complete
# and agrees with the truth. Each run has so many seconds (60). Traces stay in WAY.jsonl. With --acts
# the truth is that of tests/programs/acts.h.
EACH_WAY="missing preloaded write sigbus unprivileged signal"
in_each_way() {
	local ways=$EACH_WAY way checker=check_trace.py seconds=60
	if [[ $1 == --acts ]]; then
		checker=check_acts.py
		shift
	fi
	while [[ $1 == --time || $1 == --only ]]; do
		case $1 in
		--time) seconds=$2 ;;
		--only) ways=$2 ;;
		esac
		shift 2
	done
	local program=$PROGRAMS/$1 what=$2
	shift 2
	set -- "$program" "$what" "$PWD/truth" "$@"
	rm -f said
	_run_as untraced "$seconds" "" "$@"
	_wait_for_said untraced "$@" || return
	for way in $ways; do
		_run_in_way "$way" "$@" || return
	done
	cat untraced.out
}

# Programs that go on when the first process has ended get the name of a file, and write it last.
_wait_for_said() {
	if [[ ${*: -1} == "$PWD/said" ]]; then
		wait_until test -s said || return
		mv said "$1.said"
	else
		: >"$1.said"
	fi
}

_run_in_way() {
	local way=$1 settings=() checks=(--any-name --untraced=bss) what
	shift
	case $way in
	missing) checks+=(--once) ;;
	preloaded) checks+=(--once) ;;
	write) settings=(FAULTLINE_MODE=write) ;;
	sigbus) settings=(FAULTLINE_MODE=sigbus) checks+=(--once --stacks=none) ;;
	unprivileged) settings=(FAULTLINE_UNPRIVILEGED=1) checks+=(--once --stacks=none) ;;
	signal) # a thread that the kernel writes to a fresh stack of may be no one's to read
		settings=(FAULTLINE_CAPTURE=signal) checks+=(--once --stacks=none)
		;;
	forkless) settings=(FAULTLINE_WITHOUT=event-fork) checks+=(--once) ;;
	esac
	rm -f "$way.jsonl" said
	if [[ $way == preloaded ]]; then
		_run_as "$way" "$seconds" "" env FAULTLINE_QUIET=1 FAULTLINE_OUTPUT="$PWD/$way.jsonl" \
			LD_PRELOAD="$SHIM" "$@"
	else
		_run_as "$way" "$seconds" "" env "${settings[@]}" \
			"$FAULTLINE" record --quiet --output="$PWD/$way.jsonl" -- "$@"
	fi
	_wait_for_said "$way" "$@" || return
	for what in out err status said; do
		if ! diff -u "untraced.$what" "$way.$what" >difference; then
			head -n 40 difference
			fail "$way: the program's $what differs from the untraced one's"
			return
		fi
	done
	# Nobody waits for the monitor of a program that was only preloaded.
	wait_until --time 30 has_ended "$way.jsonl" || return
	[[ $way == signal ]] || assert_complete "$way.jsonl" || return
	[[ $checker == check_trace.py ]] || checks=()
	run_command --time "$seconds" "$TOP/tests/$checker" "${checks[@]}" --truth truth "$way.jsonl"
}

# _run_as NAME SECONDS SED_SCRIPT COMMAND...: leaves NAME.out, NAME.err, NAME.status.
_run_as() {
	local name=$1 seconds=$2 script=$3 result=0
	shift 3
	if declare -F before_each_run >/dev/null; then
		before_each_run
	fi
	"$TOP/tests/limited" $((seconds * TIME_FACTOR)) "$@" \
		</dev/null >"$name.out" 2>"$name.err" 3>&- 4>&- || result=$?
	echo "$result" >"$name.status"
	if declare -F after_each_run >/dev/null; then
		after_each_run "$name" || return
	fi
	if [[ -n $script ]]; then
		sed -E -i -e "$script" "$name.out" "$name.err"
	fi
	echo "$name: status $result"
	head -c 8000 "$name.err" | sed "s/^/$name stderr: /"
}

# --- Traces ------------------------------------------------------------------------------------

# trace_text TRACE: the lines of a trace, compressed or not. A cut one ends where it was cut.
trace_text() {
	case $1 in
	*.zst) zstd --decompress --stdout --quiet -- "$1" 2>/dev/null || true ;;
	*) cat -- "$1" ;;
	esac
}

# trace_lines TRACE TYPE [FILTER]: the lines of one type, each through a jq filter. Strings are
# printed raw.
trace_lines() {
	# Only lines of this type are parsed: a trace can have millions of others.
	trace_text "$1" | { grep -F "{\"type\":\"$2\"" || true; } |
		jq --raw-output --compact-output --arg type "$2" "select(.type == \$type) | ${3:-.}"
}

# trace_count TRACE TYPE [CONDITION]: how many lines of one type fulfil a jq condition.
trace_count() {
	trace_lines "$1" "$2" "select(${3:-true}) | 1" | wc -l
}

# has_ended TRACE: is its last line an end line? A question, for wait_until.
has_ended() {
	[[ -s $1 ]] && [[ $(trace_text "$1" | tail -n 1) == '{"type":"end"'*'}' ]]
}

# assert_complete TRACE: the recording ended properly, is well-formed, and lost nothing.
assert_complete() {
	local lost
	assert_well_formed "$1" || return
	if ! has_ended "$1"; then
		fail "$1 has no end line; its last: $(trace_text "$1" | tail -n 1 | head -c 500)"
		return
	fi
	lost=$(trace_lines "$1" lost; trace_lines "$1" end 'select(.lost != 0)')
	[[ -z $lost ]] || fail "$1 lost something: ${lost:0:1000}"
}

# assert_well_formed TRACE: every line is a JSON object with "type" first; the first is a session.
assert_well_formed() {
	local bad first
	if [[ ! -s $1 ]]; then
		fail "\"$1\" is not there, or empty"
		return
	fi
	if bad=$(trace_text "$1" | grep -n -m 1 -v '^{"type":"[a-z_]*"[,}].*$'); then
		fail "$1: not a trace line: ${bad:0:500}"
		return
	fi
	if ! trace_text "$1" | jq empty; then
		fail "$1: not JSON"
		return
	fi
	first=$(trace_text "$1" | head -n 1)
	jq --exit-status '.type == "session" and .format == "faultline-trace"' <<<"$first" >/dev/null ||
		fail "$1: the first line is no session: ${first:0:500}"
}

# --- Waiting -----------------------------------------------------------------------------------

# wait_until [--time SECONDS] COMMAND...: until the command succeeds; fails after 10 seconds or
# those given. Never sleep for a guessed time in a test: wait for what has to happen.
wait_until() {
	local seconds=10
	if [[ $1 == --time ]]; then
		seconds=$2
		shift 2
	fi
	local deadline=$((SECONDS + seconds * TIME_FACTOR))
	until "$@"; do
		if ((SECONDS > deadline)); then
			fail "waited $((seconds * TIME_FACTOR)) seconds in vain for: $*"
			return
		fi
		sleep 0.02
	done
}

# wait_for_line FILE REGEX: until a line of the file matches; the file need not exist yet.
wait_for_line() {
	wait_until grep -q -s -E -- "$2" "$1"
}

# wait_for_exit PID: until no such process runs (a zombie does not); it need not be our child.
wait_for_exit() {
	wait_until has_exited "$1"
}

# has_exited PID: a question, for wait_until.
has_exited() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	# After the name in parentheses, which may hold anything, comes the state.
	[[ ${stat##*) } == [ZX]* ]]
}

# --- Skipping ----------------------------------------------------------------------------------

# requires THING...: skips the test, naming the reason, when the machine lacks something:
#   userfaultfd        this user may handle faults in the kernel, too
#   io_uring           this user may use it
#   perf               this user may open perf's page fault event for its own processes
#   cpu-latency        it may keep idle processors from deep sleep, and there is more than one
#   root               the test runs as root
#   unprivileged-user  it can become one: "${AS_NOBODY[@]}" COMMAND... then runs a command without
#                      any rights, in NOBODY_FOLDER, which is that user's. FAULTLINE and its kin
#                      become copies that this user can read
#   command:NAME       there is such a command
requires() {
	local thing
	for thing in "$@"; do
		case $thing in
		userfaultfd)
			_may_use_userfaultfd ||
				skip "userfaultfd is refused to this user (see 'faultline check')"
			;;
		io_uring)
			_may_use_io_uring || skip "io_uring is refused to this user"
			;;
		perf)
			_may_use_perf ||
				skip "perf_event_open is refused to this user (see 'faultline check')"
			;;
		cpu-latency)
			[[ -w /dev/cpu_dma_latency ]] || skip "/dev/cpu_dma_latency is refused to this user"
			(($(nproc) > 1)) || skip "with one processor none is idle while another works"
			;;
		root)
			[[ $EUID == 0 ]] || skip "only root can run this test"
			;;
		unprivileged-user)
			[[ $EUID == 0 ]] || skip "only root can become an unprivileged user"
			_prepare_for_nobody
			;;
		command:*)
			command -v "${thing#*:}" >/dev/null || skip "there is no ${thing#*:} here"
			;;
		*)
			fail "requires: what is \"$thing\"?"
			;;
		esac
	done
}

# Asked of the kernel itself, not of what is tested. Numbers are those of x86-64.
_may_use_userfaultfd() {
	[[ -r /dev/userfaultfd && -w /dev/userfaultfd ]] || perl -e '
		my ($userfaultfd, $O_CLOEXEC) = (323, 02000000);
		exit(syscall($userfaultfd, $O_CLOEXEC) < 0);'
}

_may_use_io_uring() {
	perl -e '
		my ($io_uring_setup, $parameters) = (425, pack("x120"));
		exit(syscall($io_uring_setup, 1, $parameters) < 0);'
}

_may_use_perf() {
	perl -e '
		my ($perf_event_open, $PERF_TYPE_SOFTWARE, $PERF_COUNT_SW_PAGE_FAULTS) = (298, 1, 2);
		my $attributes = pack("LLQx112", $PERF_TYPE_SOFTWARE, 128, $PERF_COUNT_SW_PAGE_FAULTS);
		exit(syscall($perf_event_open, $attributes, 0, -1, -1, 0) < 0);'
}

_prepare_for_nobody() {
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/*/ "$BATS_TEST_TMPDIR"
	NOBODY_FOLDER=$BATS_TEST_TMPDIR/nobody
	AS_NOBODY=(setpriv "--reuid=$NOBODY_UID" "--regid=$NOBODY_GID" --clear-groups
		--bounding-set=-all --inh-caps=-all
		env "--chdir=$NOBODY_FOLDER" "HOME=$NOBODY_FOLDER")
	mkdir -p "$NOBODY_FOLDER"
	local copy=$BATS_TEST_TMPDIR/readable
	mkdir -p "$copy/bin" "$copy/lib/faultline" "$copy/programs"
	cp "$FAULTLINE" "$copy/bin/faultline"
	cp "$SHIM" "$copy/lib/faultline/libfaultline.so"
	cp "$MONITOR" "$copy/lib/faultline/faultline-monitor"
	find "$PROGRAMS" -maxdepth 1 -type f -perm -u+x -exec cp -t "$copy/programs" {} +
	chmod -R a+rX "$copy"
	chown "$NOBODY_UID:$NOBODY_GID" "$NOBODY_FOLDER"
	FAULTLINE=$copy/bin/faultline
	SHIM=$copy/lib/faultline/libfaultline.so
	MONITOR=$copy/lib/faultline/faultline-monitor
	PROGRAMS=$copy/programs
	# shellcheck disable=SC2016
	if ! "${AS_NOBODY[@]}" sh -c '[ "$(id -u)" -ne 0 ] && [ -x "$1" ] && : >probe' sh "$FAULTLINE"; then
		skip "cannot become an unprivileged user here"
	fi
}

# peak_kib COMMAND...: the most memory that it had, as GNU time says.
peak_kib() {
	/usr/bin/time --format=%M --output=peak "$@" >/dev/null
	cat peak
}

# monitor_of FILE: prints the process that writes the trace. A question, for wait_until.
monitor_of() {
	find /proc/[0-9]*/fd -lname "$1" 2>/dev/null | sed -n 's,^/proc/\([0-9]*\)/.*,\1,p' |
		head -n 1 | grep .
}
