# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Hunts for hangs: whatever happens to the monitor at whatever moment, programs end, and compute
# the same. While it is stopped a program may be slow; when it goes on, the trace is complete and
# true all the same, so the tests of other files pass.

load helpers

# Much of a test file runs in each.
BATS_TEST_TIMEOUT=$((BATS_TEST_TIMEOUT * 2))

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf
}

# tormented HOW FILE [REGEX]: the tests of a file, or those of such names, pass while their monitors are
# tormented (tests/limited).
tormented() {
	local how=$1 file=$2 filter=${3-} inherited=()
	mapfile -t inherited < <(compgen -v | grep -E '^BATS_' | sed 's/^/--unset=/')
	env "${inherited[@]}" TORMENT="$how" TORMENT_LOG="$PWD/log" TIME_FACTOR=$((TIME_FACTOR * 4)) \
		TAGS="!slow,!stress" FILTER="$filter" RESULT= "$TOP/tests/run" "tests/$file.bats" >result 2>&1 3>&- 4>&- ||
		{
			grep -E -A 200 "^not ok" result | head -c 20000; tail -n 5 result
			fail "with this torment: $(tail -n 3 log)"
			return
		}
	tail -n 1 result
	grep -q -E '^[1-9][0-9]* passed, 0 failed' result
	[[ -s log ]]
}

# bats test_tags=stress
@test "hunt: the monitor is stopped now and then: exact" {
	tormented stop exact '^(every kind|threads that|children|plug-ins|signal handlers)'
}

# bats test_tags=stress
@test "hunt: the monitor is stopped now and then: processes" {
	tormented stop processes '^(fork|children|vfork|posix_spawn|clone|exec from|a chain)'
}

# bats test_tags=stress
@test "hunt: the monitor is stopped now and then: signals" {
	tormented stop signals
}

# bats test_tags=stress
@test "hunt: the monitor is slow: transparent" {
	tormented slow transparent
}

# bats test_tags=stress
@test "hunt: the monitor is slow: threads" {
	tormented slow threads '^(many|cancelled|destructors|memory|threads whose|the main|the smallest|guard)'
}

# bats test_tags=stress
@test "hunt: the monitor is slow: sigbus" {
	tormented slow sigbus
}

# bats test_tags=stress
@test "hunt: the monitor is stopped now and then: kernel" {
	tormented stop kernel '^(vectors|io_uring: in|aio|other processes|a process whose)'
}

# killed PROGRAM ARGUMENTS...: its monitor is killed at a random moment, in every mode, or with each of
# $SETTINGS; the program does as without.
killed() {
	local setting
	_run_as untraced 60 "" "$@"
	for setting in ${SETTINGS:-FAULTLINE_MODE=missing FAULTLINE_MODE=write FAULTLINE_MODE=sigbus
		FAULTLINE_UNPRIVILEGED=1 FAULTLINE_CAPTURE=signal}; do
		export "${setting?}" TORMENT=kill TORMENT_LOG=log
		_run_as recorded 60 "/^faultline: the monitor was killed/d" \
			"$FAULTLINE" record --quiet --output=recorded.jsonl -- "$@"
		_run_as preloaded 60 \
			"/^faultline: the monitor did not start; not traced/d; /^faultline: cannot start the monitor/d" \
			env FAULTLINE_OUTPUT=preloaded.jsonl LD_PRELOAD="$SHIM" "$@"
		unset "${setting%%=*}" TORMENT
		local how what
		for how in recorded preloaded; do
			for what in out err status; do
				diff untraced.$what $how.$what || fail "$setting, $how: $(tail -n 1 log)"
			done
		done
	done
}

# bats test_tags=stress
@test "hunt: the monitor is killed at any moment" {
	local round
	for ((round = 0; round < 4; round++)); do
		killed "$PROGRAMS/churn" 8
		killed "$PROGRAMS/probe" fork 5
		killed "$PROGRAMS/probe" spawn
		killed "$PROGRAMS/probe" threads 100
		killed "$PROGRAMS/buserror" masks
		killed "$PROGRAMS/segv" 100
		killed bash -c 'for i in 1 2 3; do ls /usr | sort | wc -l; done'
	done
}

# bats test_tags=stress
@test "hunt: the monitor is killed while the kernel waits for it" {
	local round what
	for ((round = 0; round < 2; round++)); do
		killed "$PROGRAMS/transfers" messages truth
		killed "$PROGRAMS/transfers" pipes truth
		# In the other modes it does not wait: what is missing is refused.
		local SETTINGS="FAULTLINE_MODE=missing FAULTLINE_MODE=write FAULTLINE_CAPTURE=signal"
		for what in inline later workers poller aio; do
			killed "$PROGRAMS/rings" $what truth
		done
		killed "$PROGRAMS/outside" family truth
		killed "$PROGRAMS/outside" child truth
		killed "$PROGRAMS/outside" leaderless truth
		unset SETTINGS
	done
}
