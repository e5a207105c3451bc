# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A traced program cannot tell that it is traced: what it sees of itself and its surroundings, and
# what others see of it, is as without. Most of it is asked of the test program `probe`.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd
}

# What a program sees that was started by another: the name of its own files, for one.
probe() {
	same_as_untraced "$PROGRAMS/probe" "$@"
	cat untraced.out
}

# some_faults TRACE [NUMBER]: it has more than so many.
some_faults() {
	(($(trace_count "$1" fault) > ${2:-50}))
}

@test "status, descriptors, threads, limits, rights, group and session" {
	probe process
	some_faults recorded.jsonl
	some_faults preloaded.jsonl
}

@test "signal dispositions and alternate stack" {
	probe signals
}

# three_ways COMMAND...: runs a shell command line that gets the words to put before its program as
# arguments: none, those of `faultline record`, and those of LD_PRELOAD. Whatever it writes to the
# file `said` is the same three times.
three_ways() {
	local way
	for way in untraced recorded preloaded; do
		case $way in
		untraced) set -- "$1" ;;
		recorded) set -- "$1" "$FAULTLINE" record --quiet --output="$PWD/recorded.jsonl" -- ;;
		preloaded) set -- "$1" env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" ;;
		esac
		timeout -k 5 60 bash -c "$1" bash "${@:2}" 3>&- 4>&-
		mv said $way.said
	done
	cat untraced.said
	diff untraced.said recorded.said
	diff untraced.said preloaded.said
	assert_complete recorded.jsonl
	wait_until has_ended preloaded.jsonl
}

@test "signal mask, ignored signals, umask, limits and priority are those of the caller" {
	# shellcheck disable=SC2016
	three_ways 'trap "" HUP USR2 CHLD; umask 027; ulimit -n 64
		exec nice -n 5 env --block-signal=USR1,TERM "$@" "$PROGRAMS/probe" process >said'
	grep -q -E 'SigBlk:.*4200$' untraced.said
	grep -q -E 'SigIgn:.*10801$' untraced.said
	grep -q -E 'Umask:.*0027$' untraced.said
	local nice=$(($(nice) + 5))
	grep -q "nice $((nice < 19 ? nice : 19))," untraced.said
}

@test "no child to wait for, no SIGCHLD" {
	probe children
	grep -q 'wait: -1 10' untraced.out
}

@test "the environment is kept, the user's LD_PRELOAD in it" {
	probe environment
	# The shell sets _ to what it starts itself, which is env three times.
	# shellcheck disable=SC2016
	three_ways 'export LD_PRELOAD=$(ls /usr/lib/*/libjemalloc.so.2)
		[[ $1 != env ]] || set -- env LD_PRELOAD="$SHIM:$LD_PRELOAD" "${@:3}"
		env "$@" "$PROGRAMS/probe" environment >said'
	grep -q 'preloaded: .*libjemalloc' untraced.said
}

@test "errno and results of memory functions" {
	probe errno
}

@test "hints, fixed places, reservations, zeroes and shared pages" {
	probe mappings
}

@test "a program that closes every descriptor" {
	probe closeall "$PWD/said"
	[[ $(<said) == "the first descriptor is 0" ]]
	some_faults recorded.jsonl 100
}

@test "a program started with its standard files closed" {
	# shellcheck disable=SC2016
	three_ways '"$@" bash -c "ls /proc/self/fd >said" <&- >&- 2>&-'
	# shellcheck disable=SC2016
	three_ways '"$@" bash -c "ls /proc/self/fd >said; cat >>said" <<<input 2>&-'
}

@test "a program that may not be read: PR_SET_DUMPABLE 0" {
	probe dumpable
	some_faults recorded.jsonl 300
}

@test "a program that gives up its user" {
	requires root
	probe drop
	some_faults recorded.jsonl 300
}

@test "a program that changes its root" {
	requires root
	mkdir root
	probe chroot "$PWD/root"
	some_faults recorded.jsonl 300
}

@test "a program that may have one thread only" {
	probe unshare
}

@test "a program that handles faults of its own ranges" {
	same_as_untraced "$PROGRAMS/own_userfaultfd" 2000
	grep -q 'served 2000' untraced.out
}

@test "a program that handles SIGSEGV and SIGBUS" {
	same_as_untraced "$PROGRAMS/segv" 200
	some_faults recorded.jsonl
}

@test "signals end the program as without" {
	local signal
	for signal in SEGV BUS KILL TERM ABRT; do
		probe killed "$(kill -l $signal)"
		[[ $(<untraced.status) == $((128 + $(kill -l $signal))) ]]
		trace_lines recorded.jsonl process 'select(.event == "exit") | .signal' |
			grep -q -x "$(kill -l $signal)"
	done
}

@test "exit status" {
	local status
	for status in 0 1 125 127 255; do
		probe exit $status
	done
}

@test "a pipe ends when the program does" {
	local how
	for how in record preload; do
		local start=$SECONDS
		case $how in
		record) set -- "$FAULTLINE" record --quiet --output=pipe.jsonl ;;
		preload) set -- env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT=pipe.jsonl ;;
		esac
		timeout -k 5 30 bash -c '"$@" 2>&1 3>&- 4>&- | cat' bash "$@" \
			"$PROGRAMS/probe" exit 0 >said
		grep -q -x 'probe: leaving' said
		((SECONDS - start < 20))
		wait_until has_ended pipe.jsonl
	done
}

@test "bash counts what is in its pipes" {
	touch one two three
	for _ in 1 2 3; do
		# shellcheck disable=SC2016
		same_as_untraced bash -c 'ls one two three | wc; echo a b | wc -w; x=$(echo y); echo $x'
	done
}

@test "no monitor is left behind" {
	run_faultline record --quiet --output="$PWD/one.jsonl" -- true
	run_command env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/two.jsonl" true
	wait_until has_ended two.jsonl
	# Monitors keep their trace open; ours are known by that.
	wait_until no_process_holds "$PWD"
}

# no_process_holds FOLDER: has no process a file of the folder open?
no_process_holds() {
	! find /proc/[0-9]*/fd -lname "$1/*" 2>/dev/null | grep -q -v "^/proc/$$/"
}

# wake_latency: microseconds that the machine's processors may take to wake.
wake_latency() {
	od --address-radix=n --format=d4 --read-bytes=4 /dev/cpu_dma_latency | tr -d ' '
}

# held: are they kept from deep sleep?
held() {
	(($(wake_latency) <= 2))
}

not_held() {
	! held
}

# Another recording lets go within moments; whoever else holds them does not.
await_deep_sleep() {
	for _ in {1..100}; do
		if not_held; then return; fi
		sleep 0.02
	done
	skip "somebody else keeps the processors from deep sleep"
}

# keep_touching OPTIONS...: records, in the background, a program that touches new memory until
# the file "enough" appears, and then nothing until "end" does.
keep_touching() {
	rm -f enough end
	cat >touching.py <<-'END'
		import mmap, os, time
		while not os.path.exists("enough"):
		    with mmap.mmap(-1, 1 << 20) as memory:
		        memory.write(bytes(1 << 20))
		while not os.path.exists("end"):
		    time.sleep(0.01)
	END
	timeout -k 5 60 "$FAULTLINE" record --quiet "$@" -o trace.jsonl \
		/usr/bin/python3 touching.py 3>&- 4>&- &
}

@test "processors are kept from deep sleep while threads wait for pages, and only then" {
	requires userfaultfd cpu-latency
	await_deep_sleep
	keep_touching
	wait_until held
	touch enough
	wait_until not_held
	touch end
	wait $!
	keep_touching
	wait_until held
	# its request ends with it, however that ends
	kill -9 "$(monitor_of "$PWD/trace.jsonl")"
	wait_until not_held
	touch enough end
	wait $!
}

@test "allow-idle: processors sleep as ever" {
	requires userfaultfd cpu-latency
	await_deep_sleep
	keep_touching --allow-idle
	wait_until has_faults 2000
	not_held
	touch enough end
	wait $!
	(($(trace_count trace.jsonl fault) > 2000))
}

# has_faults NUMBER: are so many in the trace that is being written?
has_faults() {
	(($(grep -c '"type":"fault"' trace.jsonl 2>/dev/null) > $1))
}

@test "no follow: children are not traced" {
	run_faultline record --quiet --no-follow --output=trace.jsonl -- \
		bash -c '/bin/ls / >/dev/null; (exit 3); exec /bin/ls -d /'
	[[ $output == / ]]
	assert_complete trace.jsonl
	(($(trace_lines trace.jsonl fault .pid | sort -u | wc -l) == 1))
}

@test "a program's own words are its own: nothing on stdout, one line on stderr" {
	run_faultline record --output=trace.jsonl -- sh -c 'echo out; echo err >&2'
	[[ $output == out ]]
	(($(wc -l <stderr) == 2))
	grep -q -x err stderr
	run_faultline record --quiet --output=trace.jsonl -- sh -c 'echo out; echo err >&2'
	[[ $output == out ]]
	[[ $(<stderr) == err ]]
}

@test "the monitor loads no library that could ask servers for debug information" {
	nm -D --defined-only "$MONITOR" | grep -q ' T dlopen$'
}

@test "the shim exports what it interposes and nothing else, and needs libc only" {
	nm -D --defined-only "$SHIM" | awk '{ print $3 }' | sort >exported
	{
		# Memory, processes and modules; signals and stacks; what hands memory to the kernel.
		printf '%s\n' aligned_alloc brk calloc dlclose fork free ioctl madvise malloc \
			malloc_usable_size memalign mlock mlock2 mlockall mmap mmap64 mremap munlockall munmap \
			posix_memalign pvalloc realloc reallocarray sbrk shmat shmdt valloc
		printf '%s\n' clone epoll_pwait makecontext ppoll pselect pthread_create \
			pthread_sigmask sigaction sigaltstack signal sigprocmask sigsuspend vfork
		printf '%s\n' __fread_chk __fread_unlocked_chk __getcwd_chk __poll_chk \
			__pread64_chk __pread_chk __read_chk __readlink_chk __readlinkat_chk \
			__recv_chk __recvfrom_chk accept accept4 bind clock_nanosleep connect \
			copy_file_range epoll_wait execv execve execvp execvpe fgetxattr \
			flistxattr fread fread_unlocked fstat fstat64 fstatat fstatat64 fstatfs \
			fstatfs64 fwrite fwrite_unlocked getcwd getdents64 getgroups getitimer \
			getpeername getrandom getrlimit getrlimit64 getrusage getsockname \
			getsockopt getxattr lgetxattr listxattr llistxattr lstat lstat64 msgrcv \
			msgsnd nanosleep open open64 openat openat64 pipe pipe2 poll posix_spawn \
			posix_spawnp prctl pread pread64 preadv preadv2 preadv64 preadv64v2 \
			prlimit prlimit64 process_vm_readv process_vm_writev ptrace pwrite \
			pwrite64 pwritev pwritev2 pwritev64 pwritev64v2 read readlink readlinkat \
			readv recv recvfrom recvmmsg recvmsg sched_getaffinity sched_setaffinity \
			select send sendfile sendfile64 sendmmsg sendmsg sendto setitimer \
			setsockopt setvbuf sigpending sigtimedwait sigwaitinfo socketpair splice \
			stat stat64 statfs statfs64 statx syscall sysinfo timerfd_gettime \
			timerfd_settime times uname vmsplice wait wait4 waitid waitpid write \
			writev
	} | sort >interposed
	diff interposed exported
	# The man page names each, in its usual form.
	tr -cs a-z0-9_ '\n' <"$TOP/man/libfaultline.7" | sort -u >told
	sed -E 's/^__(.*)_chk$/\1/; s/64(v2)?$/\1/; s/v(v2)$/\1/;
		s/^getdents$/getdents64/' exported | sort -u |
		comm -13 told - >untold
	[[ ! -s untold ]] || fail "the man page does not name: $(<untold)"
	readelf -d "$SHIM" | grep NEEDED >needed
	cat needed
	[[ $(wc -l <needed) == 1 ]]
	grep -q 'libc\.so\.6' needed
}

@test "a memory cgroup's limit kills the program as without, and the trace says so" {
	requires root perf
	local group way result
	group=$(mktemp -d "$(memory_cgroup)/faultline-XXXXXX") || skip "cannot make a memory cgroup here"
	echo "$group" >group
	echo $((64 << 20)) >"$group/memory.max" 2>/dev/null ||
		echo $((64 << 20)) >"$group/memory.limit_in_bytes"
	# shellcheck disable=SC2016
	local script='echo $$ >"$1/cgroup.procs" && exec perl -e "\$x = q(a) x (200 << 20); print 1"'
	for way in "" "$FAULTLINE record --quiet --output=trace.jsonl --"; do
		result=0
		# shellcheck disable=SC2086
		timeout -k 5 60 $way sh -c "$script" sh "$group" || result=$?
		echo "status $result"
		((result == 137))
	done
	assert_complete trace.jsonl
	(($(trace_count trace.jsonl fault) > 8000))
	trace_lines trace.jsonl process 'select(.event == "exit") | .signal' | grep -q -x 9
}

# Where memory cgroups can be made: version 1, or version 2 with the controller.
memory_cgroup() {
	local place
	for place in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		if [[ -f $place/memory.limit_in_bytes ]] ||
			grep -q -w memory "$place/cgroup.subtree_control" 2>/dev/null; then
			echo "$place"
			return
		fi
	done
	return 1
}

teardown() {
	if [[ -s group ]]; then
		wait_until rmdir "$(<group)"
	fi
}
