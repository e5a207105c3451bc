# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# stress-ng's stressors check themselves (--verify): traced, they have the same outcome as natively,
# and nothing of them is lost.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf command:stress-ng
}

# outcome COMMAND...: the status of stress-ng, and what it says but for times and process IDs.
outcome() {
	local result=0
	"$TOP/tests/limited" $((120 * TIME_FACTOR)) "$@" >said 2>&1 </dev/null 3>&- 4>&- || result=$?
	echo "status $result"
	sed -E -e 's/\[[0-9]+\]//' -e 's/ in [0-9.]+s.*//' -e '/defaulting to|setting to/d' said
}

# stressed OPERATIONS STRESSOR...: each stressor as natively, in the modes that wait for the kernel.
stressed() {
	local operations=$1 stressor mode
	shift
	for stressor in "$@"; do
		set -- stress-ng --temp-path "$PWD" "--$stressor" 1 "--$stressor-ops" "$operations" \
			--timeout 5 --verify --vm-bytes 16m --mremap-bytes 16m --memthrash-method memset \
			--shm-bytes 1m
		outcome "$@" >native
		for mode in missing write; do
			outcome "$FAULTLINE" record --quiet --mode=$mode -o trace.jsonl.zst -- "$@" >traced
			if ! diff native traced; then
				cat said
				fail "$stressor, --mode=$mode: another outcome"
				return
			fi
			assert_complete trace.jsonl.zst
		done
	done
}

# bats test_tags=stress
@test "stress: memory" {
	stressed 5 vm mmapaddr mmapfixed mmaphuge mmapmany mremap msync munmap madvise malloc bigheap brk \
		stackmmap bad-altstack mlock mincore mprotect memfd shm shm-sysv memthrash pagemove remap \
		rmap userfaultfd vm-addr vm-rw vm-segv vm-splice sysbadaddr zero fault
}

# bats test_tags=stress
@test "stress: processes" {
	stressed 20 fork vfork clone exec daemon spawn zombie wait kill session exit-group
}

# bats test_tags=stress
@test "stress: threads" {
	stressed 20 pthread mutex futex membarrier rseq sem
}

# bats test_tags=stress
@test "stress: signals" {
	stressed 50 sigabrt sigchld sigfd sigfpe sigio signal signest sigpending sigpipe sigq sigrt \
		sigsegv sigsuspend sigtrap itimer timer timerfd alarm
}

# bats test_tags=stress
@test "stress: what the kernel reads and writes" {
	stressed 20 io-uring aio sendfile splice pipe sockfd eventfd ptrace seccomp
}
