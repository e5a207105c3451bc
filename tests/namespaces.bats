# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Programs in namespaces of their own, made by unshare and nsenter or by themselves: every fault has
# the thread that gettid says, the process, the whole stack and its names, as the program's own
# truth has them.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires root userfaultfd perf
	unshare --pid --fork --mount-proc true || skip "this kernel has no PID namespaces"
	# By this /proc a program finds out what it is called outside of its namespaces.
	exec 9</proc
	export TRUTH_PROC=9
	within=()
}

COPY=/mnt/namespaces-copy

# exact [CHECKER_OPTIONS... --] [RECORD_OPTIONS... --] STEPS...: records both builds of
# `namespaces`, started by the command in `within`, and compares.
exact() {
	local checks=() options=() suffix
	while [[ " $* " == *" -- "*" -- "* ]]; do
		[[ $1 != -- ]] || { shift; break; }
		checks+=("$1")
		shift
	done
	while [[ " $* " == *" -- "* ]]; do
		[[ $1 != -- ]] || { shift; break; }
		options+=("$1")
		shift
	done
	for suffix in "" -O2; do
		rm -f truth trace.jsonl
		run_command "${within[@]}" "$FAULTLINE" record --quiet "${options[@]}" \
			--output=trace.jsonl -- "$PROGRAMS/namespaces$suffix" truth 20 "$@"
		compare "$suffix" "${checks[@]}"
	done
}

# compare SUFFIX CHECKER_OPTIONS...: the trace with the truth.
compare() {
	run_command --time 120 "$TOP/tests/check_trace.py" --once "${@:2}" \
		--file "$COPY=$PROGRAMS/namespaces$1" --truth truth trace.jsonl
	assert_complete trace.jsonl
}

# levels: in how many PID namespaces did processes live?
levels() {
	trace_lines trace.jsonl process '.pid_ns // 0' | sort -u | wc -l
}

# as_untraced STEPS...: what it prints and its status are those of the untraced program.
as_untraced() {
	same_as_untraced "$PROGRAMS/namespaces-O2" truth 20 "$@"
}

@test "a recording inside of a PID namespace" {
	# shellcheck disable=SC2016
	local start='exec 9</proc; TRUTH_PROC=9 exec "$@"'
	within=(unshare --pid --fork --mount-proc bash -c "$start" bash)
	exact work fork work exec work crowd
	(($(trace_count trace.jsonl process 'has("ns_pid")') == 0))
	# Of two namespaces; the outer one is what recording began in.
	exact work pid work fork work exec work
	(($(levels) == 2))
}

@test "a recording inside of a PID namespace that has the /proc of another" {
	unset TRUTH_PROC
	within=(unshare --pid --fork)
	exact work fork work exec work crowd
}

@test "a program that unshares its PID namespace: its init, their children and threads" {
	exact work pid work fork work crowd
	(($(levels) == 2))
	trace_lines trace.jsonl process 'select(.ns_pid == 1) | .event' >events
	cat events
	[[ $(tr '\n' ' ' <events) == "fork exit " ]]
	exact pid work exec work fork work exec work
	exact clone work fork work exec work
	as_untraced work pid work fork work
}

@test "PID namespaces within PID namespaces" {
	exact pid work pid work clone work crowd
	(($(levels) == 4))
	# Every first process of a namespace calls itself 1; the trace tells them apart.
	trace_lines trace.jsonl process 'select(.ns_pid == 1 and .event == "fork") | .pid' >inits
	(($(sort -u inits | wc -l) == 3))
	exact pid work exec work pid work exec work fork work
	as_untraced pid pid work
}

@test "processes with the same ID in sibling namespaces, at the same time, without exec" {
	local _
	for _ in 1 2 3; do
		exact pid work twins work fork work
		(($(levels) == 4))
	done
	as_untraced pid twins fork work
}

@test "a child of vfork in the memory of its parent, in the same and in a new PID namespace" {
	exact spawn
	exact pid work spawn pid work vfork
	exact work vfork
	as_untraced pid spawn vfork
}

@test "started by unshare, by nsenter" {
	local init suffix
	# shellcheck disable=SC2016
	local start='exec "$@"'
	run_command "$FAULTLINE" record --quiet --output=trace.jsonl -- \
		unshare --pid --fork --mount-proc --mount \
		"$PROGRAMS/namespaces" truth 20 work fork work exec work
	compare ""
	(($(trace_count trace.jsonl process '.ns_pid == 1 and .event == "exec"') > 0))

	unshare --pid --fork --mount-proc sleep 600 9<&- 3>&- 4>&- &
	init=$!
	wait_until pgrep --parent $init >inner
	for suffix in "" -O2; do
		rm -f truth
		run_command "$FAULTLINE" record --quiet --output=trace.jsonl -- \
			nsenter --pid --mount --target "$(<inner)" \
			bash -c "$start" bash "$PROGRAMS/namespaces$suffix" "$PWD/truth" 20 work fork work
		compare "$suffix"
		(($(levels) == 2))
	done
	kill -9 "$(<inner)"
	wait $init || true
}

@test "user namespaces: unshared by the program and by unshare" {
	exact user work exec work
	exact user pid work exec work fork work
	as_untraced user work
	as_untraced user pid work
	within=()
	run_command "$FAULTLINE" record --quiet --output=trace.jsonl -- unshare --user --map-root-user \
		--pid --fork --mount-proc "$PROGRAMS/namespaces" truth2 20 work fork work
	mv truth2 truth
	compare ""
	# Recorded inside of one: root there has no rights over the kernel's own accesses.
	unset TRUTH_PROC
	within=(unshare --user --map-root-user --pid --fork --mount-proc)
	exact --stacks=none --any-name -- --unprivileged -- work fork work
	exact --stacks=none --any-name -- --unprivileged -- work pid
}

@test "mount namespaces: files that only the program sees have their names, /proc is not needed" {
	exact pid mount proc work exec work
	trace_lines trace.jsonl module .path | grep -q -x "$COPY"
	exact pid mount noproc work exec work fork work
	exact mount work exec work
	as_untraced pid mount noproc work exec work
}

@test "the same in every way to record" {
	local way
	local -a how
	for way in --capture=none --capture=signal --mode=sigbus --unprivileged; do
		how=(--stacks=none --any-name -- "$way" --)
		exact "${how[@]}" pid work exec work fork work crowd
		exact "${how[@]}" pid work twins work fork work
		exact "${how[@]}" user pid work exec work
	done
	exact --any-name -- --mode=write -- writes pid work fork work pid work
}

@test "a namespace that the first child would found is the program's own" {
	run_command unshare --pid sh -c '(exit 3); echo $?; (exit 4); echo $?' || true
	cp stdout untraced
	# Such a process can create no thread.
	run_command --status 125 unshare --pid "${LEAKS_UNCHECKED[@]}" "$FAULTLINE" record \
		--output=trace.jsonl -- true
	[[ $stderr == *"unshare --fork"* ]]
	run_command unshare --pid env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" \
		sh -c ': | cat; echo done'
	[[ $output == "done" ]]
	[[ $stderr == *"not traced"* ]]
}
