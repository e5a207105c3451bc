# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# --user: root traces a program that runs as another user: the traces are exact, the program is what
# setpriv(1) would have made of it, and neither it nor its user gets further through the tracer than
# without. And the order in which the ways to a userfaultfd are tried.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd root unprivileged-user
	cd "$NOBODY_FOLDER" || return
}

teardown() {
	# The recording of a test that failed ends with its program.
	local left
	for left in ${victim-} ${record:+$(pgrep -P "$record")}; do
		kill -KILL "$left" 2>/dev/null || true
	done
}

# as_nobody [OPTIONS OF RECORD] -- PROGRAM...: the recording of this file's tests.
as_nobody() {
	run_faultline record --quiet --user=nobody --output=trace.jsonl "$@"
}

# compared CHECKER_OPTIONS... -- RECORD_OPTIONS... -- PROGRAM ARGUMENTS...: both builds, the whole
# trace against the program's own truth.
compared() {
	local checks=() options=() program suffix
	while [[ $1 != -- ]]; do
		checks+=("$1")
		shift
	done
	shift
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	program=$2
	shift 2
	for suffix in "" -O2; do
		rm -f truth trace.jsonl
		as_nobody "${options[@]}" -- "$PROGRAMS/$program$suffix" truth "$@"
		cat stdout
		run_command --time 120 "$TOP/tests/check_trace.py" "${checks[@]}" --truth truth trace.jsonl
		[[ $(stat -c %u:%g truth trace.jsonl | sort -u) == "$NOBODY_UID:$NOBODY_GID" ]]
	done
}

# "${WITHOUT_DEVICE[@]}" COMMAND...: where nobody, not even root, can open /dev/userfaultfd.
# shellcheck disable=SC2016
WITHOUT_DEVICE=(unshare --mount --propagation private sh -c '
	mount --bind /dev/userfaultfd /dev/userfaultfd &&
	mount -o remount,bind,nodev /dev/userfaultfd && exec "$@"' sh)

# fails COMMAND...: it does. (A ! in front of a command is no test to bats.)
fails() {
	if "$@"; then
		fail "should have failed: $*"
	fi
}

needs_device() {
	[[ -c /dev/userfaultfd ]] || skip "this kernel has no /dev/userfaultfd"
	"${WITHOUT_DEVICE[@]}" true || skip "cannot mount here"
	[[ $(</proc/sys/vm/unprivileged_userfaultfd) == 0 ]] || skip "vm.unprivileged_userfaultfd is set"
}

@test "user: every kind of mapping, every malloc function and system calls, all exact" {
	requires perf
	compared --once -- -- mappings 300
	compared --once -- -- heap 1500
	compared --once -- -- syscalls 1024
	[[ $(trace_lines trace.jsonl session .capture) == perf ]]
	trace_lines trace.jsonl session '.features[]' | grep -q -x event-fork
}

@test "user: children, grandchildren, exec and shared memory, all exact" {
	requires perf
	compared --once -- -- family 400
	(($(trace_count trace.jsonl process '.event == "exec"') >= 1))
	compared -- -- sharing 500
}

@test "user: first writes, and the modes in which nothing is handed on" {
	requires perf
	compared -- --mode=write -- writes 500
	needs_device
	for options in --mode=sigbus --unprivileged; do
		rm -f truth trace.jsonl
		run_command "${WITHOUT_DEVICE[@]}" "$FAULTLINE" record --quiet --user=nobody $options \
			-o trace.jsonl -- "$PROGRAMS/mappings" truth 300
		run_command "$TOP/tests/check_trace.py" --once --any-name --stacks=user \
			--untraced=bss --truth truth trace.jsonl
	done
}

@test "user: stacks by a signal, and none" {
	for how in signal none; do
		rm -f truth trace.jsonl
		as_nobody --capture=$how -- "$PROGRAMS/mappings" truth 200
		run_command "$TOP/tests/check_trace.py" --once --any-name --stacks=none --truth truth \
			trace.jsonl
		assert_complete trace.jsonl
	done
	as_nobody --capture=signal -- "$PROGRAMS/mappings" truth 200
	(($(trace_count trace.jsonl fault '.origin == "user" and has("stack")') > 100))
}

@test "user: programs that are executed one after another, by forks and pipes" {
	run_faultline --status 6 record --quiet --user=nobody --output=trace.jsonl -- \
		"$PROGRAMS/probe" exec 6
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl process '.event == "exec"') >= 5))
	# shellcheck disable=SC2016
	as_nobody -- bash -c 'for i in 1 2 3; do ls /usr | sort | wc -l; done; exec perl -e "
		\$x = q(a) x (4 << 20); print length(\$x), qq(\n); system(q(true)) == 0 or die"'
	[[ $(tail -n 1 stdout) == $((4 << 20)) ]]
	assert_complete trace.jsonl
	trace_lines trace.jsonl process '.exe // empty' | sort -u >programs
	for name in ls sort wc perl true; do
		grep -q "/$name\$" programs
	done
	# Each of them was traced, the one after exec too.
	(($(trace_lines trace.jsonl fault .pid | sort -u | wc -l) >= 10))
	(($(trace_count trace.jsonl fault) > 1000))
}

@test "user: a program that may not be dumped" {
	run_command setpriv --reuid=nobody "--regid=$NOBODY_GID" --init-groups "$PROGRAMS/probe" dumpable
	mv stdout native
	as_nobody -- "$PROGRAMS/probe" dumpable
	diff native stdout
	run_command "$TOP/tests/check_trace.py" --once trace.jsonl
	(($(trace_count trace.jsonl fault) > 300))
	# One that its user may run and not read. Which pages of it were there before it could be
	# traced is told by files of /proc that are root's alone.
	cp "$PROGRAMS/mappings" unreadable
	chmod 711 unreadable
	as_nobody -- ./unreadable truth 300
	run_command "$TOP/tests/check_trace.py" --once --stacks=none --any-name --truth truth trace.jsonl
	(($(trace_count trace.jsonl fault '.served == "native"') > 0))
}

# --- What the program is -----------------------------------------------------------------------

# "${WITH_USERS[@]}" COMMAND...: where there is a user "tester" in many groups.
# shellcheck disable=SC2016
WITH_USERS=(unshare --mount --propagation private sh -c 'mount --bind passwd /etc/passwd &&
	mount --bind group /etc/group && exec "$@"' sh)

# What --user=tester must be like.
AS_SETPRIV=("${WITH_USERS[@]}" setpriv --reuid=54321 --regid=54322 --init-groups --inh-caps=-all
	env "HOME=/home/of tester" SHELL=/bin/tester-shell USER=tester LOGNAME=tester)

make_users() {
	local i
	cp /etc/passwd passwd
	cp /etc/group group
	echo 'tester:x:54321:54322:A Tester:/home/of tester:/bin/tester-shell' >>passwd
	echo 'tester:x:54322:' >>group
	for ((i = 0; i < 40; i++)); do
		echo "tests$i:x:$((54400 + i * 3)):nobody,tester" >>group
	done
	chmod 644 passwd group
	chmod 1777 .
	"${WITH_USERS[@]}" true || skip "cannot mount here"
}

# Two runs of the same, one after the other, each the child of another program.
# shellcheck disable=SC2016
same_as_setpriv() {
	run_command sh -c '"$@"; exit $?' sh "${AS_SETPRIV[@]}" "$@"
	mv stdout native
	run_command "${WITH_USERS[@]}" "$FAULTLINE" record --quiet --user=tester \
		--output=tester.jsonl -- "$@"
	diff -u native stdout
	assert_complete tester.jsonl
	[[ $(stat -c %u:%g tester.jsonl) == 54321:54322 ]]
	rm -f tester.jsonl
}

@test "user: IDs, groups, capabilities, rights, limits, descriptors are those of setpriv" {
	make_users
	same_as_setpriv "$PROGRAMS/probe" process
	grep -q -P '^Uid:\t54321\t54321\t54321\t54321$' native
	grep -q -P '^CapPrm:\t0+$' native
	same_as_setpriv grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status
	(($(grep Groups native | wc -w) == 42))
	same_as_setpriv id
	same_as_setpriv "$PROGRAMS/probe" signals
	# Descriptors that the caller left open, and what else a child process sees.
	exec 9<passwd
	# shellcheck disable=SC2016
	same_as_setpriv bash -c 'cd /proc/$$/fd && ls; exec bash -c "ls /proc/\$\$/fd; id; grep Cap /proc/self/status"'
	exec 9<&-
}

@test "user: capabilities to inherit, and securebits that keep capabilities, give it nothing" {
	make_users
	local way
	for way in --inh-caps=+chown,+sys_admin "--inh-caps=+chown --ambient-caps=+chown" \
		--securebits=+no_setuid_fixup; do
		# shellcheck disable=SC2086
		run_command "${WITH_USERS[@]}" setpriv $way "$FAULTLINE" record --quiet --user=tester \
			-o tester.jsonl -- grep Cap /proc/self/status
		for set in CapInh CapPrm CapEff CapAmb; do
			grep -q -P "^$set:\t0+\$" stdout
		done
		rm -f tester.jsonl
	done
}

@test "user: the environment is the caller's, but for HOME, SHELL, USER and LOGNAME" {
	make_users
	export USER=root LOGNAME=root HOME=/root ANOTHER="a word = two" PGDATA=/x
	unset SHELL
	same_as_setpriv "$PROGRAMS/probe" environment
	for entry in "HOME=/home/of tester" SHELL=/bin/tester-shell USER=tester LOGNAME=tester \
		"ANOTHER=a word = two" PGDATA=/x; do
		(($(grep -c -x -F -- "$entry" stdout) == 1))
	done
}

@test "user: root's keys stay root's" {
	# add_key, keyctl(KEYCTL_SEARCH), keyctl(KEYCTL_JOIN_SESSION_KEYRING) of x86-64.
	cat >keys.py <<-'END'
		import ctypes, subprocess, sys
		libc = ctypes.CDLL(None)
		def find():
		    return libc.syscall(250, 10, -3, b"user", b"faultline-test", 0)
		if len(sys.argv) == 1:
		    print("found" if find() >= 0 else "none")
		    sys.exit()
		if libc.syscall(250, 1, None) < 0 or libc.syscall(248, b"user", b"faultline-test", b"secret", 6, -3) < 0:
		    sys.exit(77)
		# SETPERM: whoever possesses it may do all.
		libc.syscall(250, 5, find(), 0x3f3f0000)
		sys.exit(subprocess.call(sys.argv[1:]))
	END
	local result=0
	run_command setpriv true
	timeout 60 python3 keys.py setpriv --reuid=nobody --clear-groups python3 keys.py >said 2>&1 || result=$?
	((result != 77)) || skip "keyrings are refused here"
	[[ $(<said) == found ]]
	run_command python3 keys.py "$FAULTLINE" record --quiet --user=nobody -o trace.jsonl -- \
		/usr/bin/python3 keys.py
	[[ $(<stdout) == none ]]
}

# --- What the user cannot do with it -----------------------------------------------------------

@test "user: no link leads the trace where its user may not write" {
	mkdir "$BATS_TEST_TMPDIR/roots"
	echo secret >"$BATS_TEST_TMPDIR/roots/file"
	: >"$BATS_TEST_TMPDIR/roots/empty"
	chmod 755 "$BATS_TEST_TMPDIR/roots"
	local name
	for name in file empty new; do
		ln -s "$BATS_TEST_TMPDIR/roots/$name" "link-$name"
		chown -h nobody "link-$name"
		run_faultline --status 125 record --user=nobody -o "link-$name" -- touch ran
		grep -q "link-$name.*\"nobody\"" stderr
	done
	# A trace that root made is no more the user's to replace than any file of root's.
	run_faultline record --quiet -o roots.jsonl -- true
	cp roots.jsonl before
	run_faultline --status 125 record --user=nobody -o roots.jsonl -- touch ran
	cmp roots.jsonl before
	cd "$BATS_TEST_TMPDIR/roots"
	run_faultline --status 125 record --user=nobody -- touch "$NOBODY_FOLDER/ran"
	rm stdout stderr
	[[ $(ls) == $'empty\nfile' && $(<file) == secret && ! -s empty ]]
	[[ ! -e $NOBODY_FOLDER/ran ]]
}

@test "user: the monitor opens files with the user's rights" {
	as_nobody -- true
	mkfifo gate
	chown nobody gate
	"$FAULTLINE" record --quiet --user=nobody -o trace.jsonl -- bash -c 'read -r <gate' 3>&- 4>&- &
	record=$!
	local monitor
	wait_until monitor_of "$PWD/trace.jsonl" >monitor
	monitor=$(<monitor)
	cat "/proc/$monitor/status"
	# Real, effective, saved, and the one for files.
	grep -q -P "^Uid:\t0\t0\t0\t$NOBODY_UID\$" "/proc/$monitor/status"
	grep -q -P "^Gid:\t0\t0\t0\t$NOBODY_GID\$" "/proc/$monitor/status"
	[[ $(awk '/^Groups/ { print $2, $3 }' "/proc/$monitor/status") == "$NOBODY_GID " ]]
	# CHOWN to FSETID, SETUID, SETGID, SYS_ADMIN, and reading past rights but for a moment.
	local capability effective
	effective=$((16#$(awk '/^CapEff/ { print $2 }' "/proc/$monitor/status")))
	for capability in 0 1 2 3 4 6 7 21; do
		((!(effective >> capability & 1)))
	done
	for thread in "/proc/$monitor/task/"*; do
		cmp <(grep -E 'Uid|Gid|Groups' "$thread/status") <(grep -E 'Uid|Gid|Groups' "/proc/$monitor/status")
	done
	# Its user can neither signal nor inspect it.
	fails setpriv --reuid=nobody --clear-groups kill -0 "$monitor"
	fails setpriv --reuid=nobody --clear-groups cat "/proc/$monitor/environ"
	echo >gate
	wait $record
	assert_complete trace.jsonl
}

@test "user: the device goes to that user's processes only, and none of them keeps it" {
	needs_device
	mkfifo gate
	chown nobody gate
	# shellcheck disable=SC2016
	"$FAULTLINE" record --quiet --user=nobody -o trace.jsonl -- bash -c '
		echo "$FAULTLINE_MONITOR $$" >name; ls -l /proc/$$/fd /proc/self/fd >open; read -r <gate; true' 3>&- 4>&- &
	record=$!
	local monitor program
	wait_until test -s open
	read -r monitor program <name
	[[ $(<open) != *userfaultfd* ]]
	# A hello with no descriptor (FL_HELLO_NONE), as struct fl_hello has it.
	cat >hello.py <<-'END'
		import array, re, socket, struct, sys
		version = int(re.search(r"FL_PROTOCOL_VERSION (\d+)u", open(sys.argv[1]).read())[1])
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect("\0" + sys.argv[2])
		s.send(struct.pack("=IIiI4Q8Q", version, 0, 1, 4, *([0] * 12)))
		data, extra, _, _ = s.recvmsg(4096, 64)
		print(struct.unpack("=i", data[:4])[0], len(extra))
	END
	cp "$TOP/preload/protocol.h" .
	local hello=(/usr/bin/python3 hello.py protocol.h "$monitor")
	run_command setpriv --reuid=daemon --clear-groups "${hello[@]}"
	[[ $(<stdout) == "-1 0" ]] # EPERM
	run_command "${hello[@]}"
	[[ $(<stdout) == "-1 0" ]]
	# Its own user's get it, asking as a shim does: faultline-record(1) says so.
	run_command setpriv --reuid=nobody --clear-groups "${hello[@]}"
	[[ $(<stdout) == "-11 "[1-9]* ]] # EAGAIN
	[[ -z $(find "/proc/$program/fd" -lname '*userfaultfd*') ]]
	echo >gate
	wait $record
	assert_complete trace.jsonl
}

@test "user: kill -9 of the monitor: the program goes on, as that user" {
	"$FAULTLINE" record --user=nobody -o trace.jsonl -- "$PROGRAMS/endless" progress catch \
		>said 2>line 3>&- 4>&- &
	record=$!
	local program
	wait_until monitor_of "$PWD/trace.jsonl" >monitor
	wait_until touched 2000
	program=$(progress 2)
	victim=$program
	kill -KILL "$(<monitor)"
	wait_until touched $(($(progress 1) + 100000))
	[[ $(stat -c %u "/proc/$program") == "$NOBODY_UID" ]]
	kill -INT "$program"
	local result=0
	wait $record || result=$?
	victim=
	((result == 5))
	[[ $(<said) == 'endless: interrupted' ]]
	grep -q 'was killed by signal 9' line
	assert_well_formed trace.jsonl
}

# The numbers that the program `endless` keeps in its file.
progress() {
	od -A n -t d8 -j $(($1 * 8)) -N 8 progress | tr -d ' '
}

touched() {
	[[ -s progress ]] && (($(progress 1) >= $1))
}

@test "user: a signal for faultline reaches the program" {
	"$FAULTLINE" record --quiet --user=nobody -o trace.jsonl -- "$PROGRAMS/endless" progress \
		3>&- 4>&- &
	record=$!
	local result=0
	wait_until touched 1000
	kill -TERM $record
	wait $record || result=$?
	((result == 143))
	assert_complete trace.jsonl
}

# --- Errors ------------------------------------------------------------------------------------

# refused STATUS REGEX COMMAND...: one line, nothing has run.
refused() {
	local status=$1 regex=$2
	shift 2
	run_command --status "$status" "$@"
	grep -E -- "$regex" stderr
	[[ $(wc -l <stderr) == 1 && ! -s stdout && ! -e ran ]]
}

@test "user: what cannot be is refused before anything runs" {
	local recording=("$FAULTLINE" record --output=trace.jsonl)
	refused 125 'user=no-such-user: there is no user "no-such-user"' "${recording[@]}" \
		--user=no-such-user touch ran
	refused 125 'user=: must be the name of a user' "${recording[@]}" --user= touch ran
	refused 125 'user=daemon: only root' "${AS_NOBODY[@]}" "${recording[@]}" --user=daemon touch ran
	refused 125 'user=nobody: only root' "${AS_NOBODY[@]}" "${recording[@]}" --user=nobody touch ran
	FAULTLINE_USER=no-such-user refused 125 'there is no user' "${recording[@]}" touch ran
	# Programs that this user cannot run, though root could.
	mkdir -m 700 roots
	cp /usr/bin/touch roots/program
	cp /usr/bin/touch program
	chmod 700 program
	refused 126 'roots/program": .*not executable' "${recording[@]}" --user=nobody roots/program ran
	refused 126 'program": .*not executable' "${recording[@]}" --user=nobody ./program ran
	PATH=$PWD/roots:$PATH refused 127 'cannot find "program"' "${recording[@]}" --user=nobody program ran
	refused 127 'absent' "${recording[@]}" --user=nobody ./absent ran
	chmod 4755 program
	chown daemon program
	chmod u+s program
	refused 125 'is setuid' "${recording[@]}" --user=nobody ./program ran
	# Without the capability to change the user.
	refused 125 'user "nobody": .*not permitted' setpriv --bounding-set=-setuid --inh-caps=-all \
		"${recording[@]}" --user=nobody touch ran
}

@test "user: a shim that the user cannot read" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	cp -r "$BATS_TEST_TMPDIR/readable" "$BATS_TEST_TMPDIR/closed/"
	refused 125 'user "nobody" cannot read ".*closed/readable/lib/faultline/libfaultline.so"' \
		"$BATS_TEST_TMPDIR/closed/readable/bin/faultline" record --user=nobody -o trace.jsonl touch ran
	# Only the shim matters: the command and the monitor are root's affair.
	chmod 711 "$BATS_TEST_TMPDIR/closed"
	chmod 700 "$BATS_TEST_TMPDIR/closed/readable/lib/faultline/faultline-monitor" \
		"$BATS_TEST_TMPDIR/closed/readable/bin"
	run_command "$BATS_TEST_TMPDIR/closed/readable/bin/faultline" record --quiet --user=nobody \
		-o trace.jsonl ls /
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl fault) > 0))
}

@test "user: only for faultline record" {
	run_command env FAULTLINE_USER=nobody FAULTLINE_OUTPUT=trace.jsonl LD_PRELOAD="$SHIM" echo right
	[[ $(<stdout) == right && $(wc -l <stderr) == 1 ]]
	grep -q 'FAULTLINE_USER is for' stderr
}

@test "device: is preferred everywhere, and either way does alone" {
	needs_device
	# No process asks by the system call where the device can be opened.
	run_command "${LEAKS_UNCHECKED[@]}" strace -f -o calls -e trace=openat,userfaultfd \
		"$FAULTLINE" record --quiet -o trace.jsonl -- sh -c 'ls -d /; true'
	grep -q '/dev/userfaultfd' calls
	fails grep 'userfaultfd(' calls
	rm trace.jsonl
	run_command "$FAULTLINE" check
	grep -q 'system call works; /dev/userfaultfd comes first' stdout
	grep -q '/dev/userfaultfd works, and is used' stdout
	# By the system call alone, as root may.
	run_command "${WITHOUT_DEVICE[@]}" "$FAULTLINE" record --quiet -o trace.jsonl -- "$PROGRAMS/family" truth 50
	run_command "$TOP/tests/check_trace.py" --once --truth truth trace.jsonl
	run_command "${WITHOUT_DEVICE[@]}" "$FAULTLINE" check
	grep -q '/dev/userfaultfd: Permission denied' stdout
	# By the device alone, as a user who was given it; and by neither.
	rm -f truth trace.jsonl
	run_command setpriv --bounding-set=-sys_ptrace "$FAULTLINE" record --quiet -o trace.jsonl -- \
		"$PROGRAMS/mappings" truth 100
	run_command "$TOP/tests/check_trace.py" --stacks=none --once --truth truth trace.jsonl
	refused 125 'as user "nobody": /dev/userfaultfd, which root would hand on.*unprivileged' \
		"${WITHOUT_DEVICE[@]}" "$FAULTLINE" record --user=nobody -o trace2.jsonl -- touch ran
}
