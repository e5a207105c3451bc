# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Programs that people run, untraced, under `faultline record` and with LD_PRELOAD alone: the same
# output and exit status three times, a trace with sensible content, and nothing lost.

# Called by same_as_untraced; variables for make and perl, not the shell.
# shellcheck disable=SC2317,SC2016

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd
	# pyenv and its like put scripts before the programs that are meant.
	PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
}

# sensible TRACE [FAULTS]: the trace keeps the format's rules, has more than so many faults, and
# three of four stacks reach the outermost function of a program or a thread: a frame of the
# loader, or one that nothing called. Stacks of generated code may end where it begins; and of a page
# that the kernel served before it was registered the stack may have been left when it is read.
sensible() {
	run_command --time 120 "$TOP/tests/check_trace.py" "$1"
	(($(trace_count "$1" fault) > ${2:-100}))
	trace_lines "$1" fault 'select(.origin == "user" and .served != "native") | has("stack")' | sort | uniq -c >with-stack
	cat with-stack
	[[ $(awk '{ print $2 }' with-stack) == true ]]
	trace_lines "$1" stack 'select(.frames | length > 2) | .frames[-1].symbol // "?"' |
		sort | uniq -c | sort -rn >outermost
	head -n 5 outermost
}

# roots TRACE REGEX: so many of its whole stacks end in a function of that name.
roots() {
	local all good
	all=$(trace_count "$1" stack '.truncated | not')
	good=$(trace_lines "$1" stack \
		'select(.truncated | not) | [.frames[].symbol // ""] | join(" ")' |
		grep -c -E -- "$2") || true
	echo "$good of $all stacks go through $2"
	((good * 10 >= all * 9))
}

# real [--faults N] [OPTIONS OF same_as_untraced] PROGRAM...
real() {
	local faults=100
	if [[ $1 == --faults ]]; then
		faults=$2
		shift 2
	fi
	same_as_untraced "$@"
	head -c 600 untraced.out
	sensible recorded.jsonl "$faults"
	sensible preloaded.jsonl "$faults"
}

# make_sources N: a small program of N generated files, each of some size, and its Makefile.
make_sources() {
	local i
	for ((i = 0; i < $1; i++)); do
		awk -v part="$i" 'BEGIN {
			print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
			for (f = 0; f < 60; f++)
				printf "int f%d_%d(int x, char *s)\n{\n\tint sum = %d;\n" \
				    "\tfor (int i = 0; i < x; i++) {\n\t\tswitch (i %% 5) {\n" \
				    "\t\tcase 0: sum += s[i]; break;\n\t\tcase 1: sum ^= i << 3; break;\n" \
				    "\t\tdefault: sum *= %d; s[i] = (char)sum;\n\t\t}\n\t}\n" \
				    "\tif (sum %% 2)\n\t\tsprintf(s, \"%%d %%d\", sum, x);\n" \
				    "\treturn sum + (int)strlen(s);\n}\n", part, f, f, f + 3
		}' >part$i.c
	done
	printf 'int main(void)\n{\n\treturn 0;\n}\n' >main.c
	{
		echo "objects := main.o $(for ((i = 0; i < $1; i++)); do printf 'part%d.o ' $i; done)"
		printf 'program: $(objects)\n\tgcc -o $@ $^\n'
		printf '%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n'
	} >Makefile
}

@test "ls -lR of a large tree" {
	# ls frees after each folder: one large one gives it work.
	mkdir many
	(cd many && seq -f 'a file with number %g' 4000 | xargs -d '\n' touch)
	real ls -lR /usr/include /usr/share/doc "$PWD/many"
	roots recorded.jsonl '_start|main'
}

@test "bash scripts with pipes" {
	seq 1 2000 >numbers
	cat >script <<-'END'
		set -o pipefail
		ls | wc -l
		sort -rn numbers | head -n 3 | tr '\n' ' '
		for i in 1 2 3 4 5; do echo "$i $(grep -c "$i" numbers)"; done | sort -k2 | tail -n 2
		cat <<<"here $((6 * 7))" | sed 's/here/there/' | cat -
		while read -r a; do b=$((b + a)); done <numbers
		echo "$b"
		(exit 3) | true
		echo "${PIPESTATUS[@]} $?"
		diff <(seq 1 5) <(seq 2 6)
		sleep 0.1 &
		wait $!
		trap 'echo bye' EXIT
		kill -TERM $BASHPID
	END
	real bash -c 'ls /usr/bin | wc; ls / | sort | tail -n 1'
	real bash script
	[[ $(<untraced.status) == 143 ]]
}

@test "gcc -O2" {
	make_sources 2
	before_each_run() {
		rm -f part0.o part1.o
	}
	real --faults 5000 gcc -O2 -g -c part0.c part1.c
	mv part0.o traced.o
	gcc -O2 -g -c part0.c
	cmp part0.o traced.o
	# The driver, the compiler and the assembler.
	(($(trace_lines recorded.jsonl process '.exe // empty' | sort -u | wc -l) >= 3))
}

@test "g++ -O2" {
	cat >program.cc <<-'END'
		#include <algorithm>
		#include <functional>
		#include <iostream>
		#include <map>
		#include <memory>
		#include <string>
		#include <unordered_map>
		#include <vector>
		int main(int argc, char **argv)
		{
			std::map<std::string, std::vector<std::shared_ptr<int>>> tree;
			std::unordered_map<int, std::function<int(int)>> table;
			for (int i = 0; i < 1000; i++) {
				tree[std::to_string(i % 37)].push_back(std::make_shared<int>(i));
				table[i] = [i](int x) { return x * i; };
			}
			long sum = 0;
			for (auto &[name, values] : tree)
				for (auto &value : values)
					sum += table[*value](2) + (int)name.size();
			std::cout << sum << std::endl;
		}
	END
	before_each_run() {
		rm -f program
	}
	real --faults 5000 g++ -O2 -o program program.cc
	[[ $(./program) == 1000729 ]]
}

@test "make -j2" {
	make_sources 4
	before_each_run() {
		rm -f ./*.o program
	}
	real --faults 5000 make -j2 --silent
	[[ -x program ]]
	(($(trace_lines recorded.jsonl process .pid | sort -u | wc -l) >= 15))
}

@test "python3 with large lists" {
	real --faults 5000 /usr/bin/python3 -c '
import array, hashlib, json, sys
numbers = list(range(300000))
squares = {n: str(n * n) for n in numbers[:100000]}
words = array.array("d", (n / 7 for n in numbers))
text = json.dumps([squares[n] for n in range(0, 100000, 3)])
block = bytearray(20 << 20)
block[::4096] = b"x" * len(block[::4096])
print(len(text), sum(words), hashlib.sha256(text.encode() + block).hexdigest())
sys.exit(4)'
	roots recorded.jsonl '_start|main'
}

@test "python3 with multiprocessing, forked and spawned" {
	cat >workers.py <<-'END'
		import multiprocessing, sys

		def work(n):
		    block = bytearray(1 << 20)
		    block[::4096] = bytes([n % 256]) * 256
		    return sum(block) + len([str(i) for i in range(20000)])

		if __name__ == "__main__":
		    for way in "fork", "spawn":
		        with multiprocessing.get_context(way).Pool(2) as pool:
		            print(way, pool.map(work, range(12), chunksize=2))
		    queue = multiprocessing.Queue()
		    child = multiprocessing.Process(target=queue.put, args=("x" * 300000,))
		    child.start()
		    print(len(queue.get()))
		    child.join()
		    sys.exit(child.exitcode)
	END
	real --faults 5000 /usr/bin/python3 workers.py
	(($(trace_lines recorded.jsonl fault .pid | sort -u | wc -l) >= 6))
}

@test "perl" {
	real --faults 2000 perl -e '
		my %count;
		$count{$_ % 5003} .= "x$_" for 1 .. 200000;
		my $text = join ",", map { "$_=$count{$_}" } sort keys %count;
		$text =~ s/x(\d+)7/<$1>/g;
		my $pid = fork;
		if ($pid == 0) { my @list = (1) x 100000; exit @list / 50000 }
		waitpid $pid, 0;
		print length($text), " ", $? >> 8, " ", unpack("%32C*", $text), "\n";
		print `echo from a shell`;
		exit 9'
}

@test "node" {
	cat >program.js <<-'END'
		const { execSync } = require("child_process");
		const { Worker, isMainThread, parentPort } = require("worker_threads");
		if (!isMainThread) {
			const list = Array.from({ length: 100000 }, (_, i) => ({ i }));
			parentPort.postMessage(list.reduce((sum, { i }) => sum + i, 0));
		} else {
			const map = new Map();
			for (let i = 0; i < 200000; i++) map.set(`key ${i}`, { i, text: String(i).repeat(3) });
			const buffer = Buffer.alloc(16 << 20, "abc");
			let sum = 0;
			for (const [key, { i, text }] of map) sum += key.length * i + text.length;
			process.on("SIGUSR1", () => console.log("SIGUSR1"));
			process.kill(process.pid, "SIGUSR1");
			console.log(sum, buffer[buffer.length - 1], execSync("echo child").toString());
			new Worker(__filename).on("message", (total) => {
				console.log(total);
				process.exitCode = 6;
			});
		}
	END
	real --faults 3000 node program.js
}

@test "java, with its own handler of SIGSEGV" {
	cat >Program.java <<-'END'
		import java.util.*;

		public class Program {
			static int[] none;

			public static void main(String[] arguments) throws Exception {
				Map<String, List<Integer>> map = new TreeMap<>();
				for (int i = 0; i < 200000; i++)
					map.computeIfAbsent("key " + i % 1000, key -> new ArrayList<>()).add(i);
				long sum = 0;
				for (List<Integer> list : map.values())
					for (int number : list)
						sum += number;
				int caught = 0;
				for (int i = 0; i < 20000; i++) {
					try {
						caught += none.length;
					} catch (NullPointerException e) {
						caught++;
					}
				}
				byte[][] blocks = new byte[64][1 << 18];
				for (byte[] block : blocks)
					Arrays.fill(block, (byte) 1);
				Thread[] threads = new Thread[4];
				long[] totals = new long[4];
				for (int t = 0; t < 4; t++) {
					int self = t;
					threads[t] = new Thread(() -> {
						StringBuilder text = new StringBuilder();
						for (int i = 0; i < 50000; i++)
							text.append(i);
						totals[self] = text.length();
					});
					threads[t].start();
				}
				for (Thread thread : threads)
					thread.join();
				System.gc();
				System.out.println(sum + " " + caught + " " + Arrays.toString(totals));
				System.exit(8);
			}
		}
	END
	javac Program.java
	real --faults 3000 java -Xmx256m -XX:-UsePerfData Program
}

@test "sqlite3 with a million rows in memory" {
	real --faults 5000 sqlite3 :memory: "
		CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
		WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000)
			INSERT INTO t SELECT x, 'name ' || x, x / 7.0 FROM c;
		CREATE INDEX i ON t(value);
		SELECT count(*), sum(id), max(name) FROM t WHERE value BETWEEN 1000 AND 20000;
		PRAGMA integrity_check;"
	roots recorded.jsonl '_start|main'
}

@test "redis-server, filled by redis-benchmark, saved by its child and shut down" {
	cat >serve <<-'END'
		# Runs a redis-server by the words given, fills it, and prints what it answers.
		port=$((20000 + RANDOM % 20000))
		rm -rf data
		mkdir data
		"$@" redis-server --port $port --dir "$PWD/data" --save "" --daemonize no \
			--loglevel warning >server.log 2>&1 &
		server=$!
		cli() {
			redis-cli -p $port "$@"
		}
		for ((i = 0; i < 300; i++)); do
			[[ $(cli ping 2>/dev/null) == PONG ]] && break
			sleep 0.1
		done
		redis-benchmark -p $port -q -n 20000 -c 20 -r 100000 -d 200 -t set,lpush,hset >/dev/null
		cli debug jmap >/dev/null 2>&1
		cli set answer 42
		cli eval 'local s = 0 for i = 1, 1000 do s = s + i end return s' 0
		cli bgsave
		for ((i = 0; i < 300; i++)); do
			cli info persistence | grep -q rdb_bgsave_in_progress:0 && break
			sleep 0.1
		done
		cli info persistence | grep -E 'rdb_last_bgsave_status' | tr -d '\r'
		cli get answer
		cli llen mylist
		cli shutdown nosave
		wait $server
		echo "status $?"
	END
	local how
	for how in untraced recorded preloaded; do
		case $how in
		untraced) set -- ;;
		recorded) set -- "$FAULTLINE" record --quiet --output="$PWD/recorded.jsonl" -- ;;
		preloaded) set -- env LD_PRELOAD="$SHIM" FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" ;;
		esac
		timeout -k 5 150 bash serve "$@" >$how.out 2>$how.err 3>&- 4>&-
		cat $how.out $how.err server.log
	done
	grep -q -x 'rdb_last_bgsave_status:ok' untraced.out
	diff untraced.out recorded.out
	diff untraced.out preloaded.out
	assert_complete recorded.jsonl
	wait_until --time 30 has_ended preloaded.jsonl
	assert_complete preloaded.jsonl
	sensible recorded.jsonl 1000
	sensible preloaded.jsonl 1000
	(($(trace_count recorded.jsonl process '.event == "fork"') >= 1))
}

@test "sort -S 1G --parallel=2" {
	seq 1 400000 | awk '{ print ($1 * 7919) % 1000003, $1 }' >numbers
	real --faults 2000 bash -c 'sort -S 1G --parallel=2 -n numbers | sha256sum'
}

@test "xz -T2" {
	seq 1 1500000 >numbers
	real --faults 5000 bash -c 'xz -T2 -2 --block-size=2MiB -c numbers | tee xz.out | xz -dc -T2 | sha256sum'
}

@test "git gc" {
	local i
	git init --quiet repository
	for i in {1..40}; do
		seq $((i * 100)) $((i * 100 + 3000)) >repository/file$((i % 7))
		git -C repository add .
		git -C repository -c user.name=n -c user.email=e@example.org commit --quiet -m "$i"
	done
	before_each_run() {
		rm -rf work
		cp -a repository work
	}
	real git -C work gc --quiet --aggressive --prune=now
	git -C work fsck --strict
	real git -C work log --stat -n 20
}

@test "openssl speed for a second" {
	real --normalise 's/[0-9.]+k?//g; s/ +/ /g' openssl speed -seconds 1 -bytes 1048576 sha256
}

@test "gdb running a program" {
	cat >commands <<-'END'
		set confirm off
		set disable-randomization on
		break puts
		run
		backtrace
		continue
	END
	# gdb starts its program through a shell, which the shim is preloaded into as well.
	local script='s/0x[0-9a-f]+/ADDRESS/g; s/process [0-9]+/process/; /debuginfod/d; /^warning: /d'
	real --normalise "$script" gdb -nx -q -batch -x commands --args "$PROGRAMS/leaf" /dev/null 400
	grep -q 'leaf: done' untraced.out
}

@test "foreign allocators: jemalloc, tcmalloc, mimalloc" {
	local library name
	for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0; do
		library=$(ls /usr/lib/*/"$library")
		name=${library##*/}
		for program in "perl -e my@x=map{\"a\$_\"x40}1..60000;print(scalar(@x),qq(\n));exit(2)" \
			"$PROGRAMS/churn 6" "$PROGRAMS/probe-O2 threads 80"; do
			read -r -a words <<<"$program"
			local untraced=0 result=0
			timeout -k 5 60 env LD_PRELOAD="$library" "${words[@]}" >untraced.out || untraced=$?
			LD_PRELOAD=$library timeout -k 5 60 "$FAULTLINE" record --quiet \
				--output="$PWD/recorded.jsonl" -- "${words[@]}" >recorded.out || result=$?
			[[ $result == "$untraced" ]]
			diff untraced.out recorded.out
			assert_complete recorded.jsonl
			sensible recorded.jsonl
			result=0
			timeout -k 5 60 env LD_PRELOAD="$SHIM:$library" FAULTLINE_QUIET=1 \
				FAULTLINE_OUTPUT="$PWD/preloaded.jsonl" "${words[@]}" >preloaded.out || result=$?
			[[ $result == "$untraced" ]]
			diff untraced.out preloaded.out
			wait_until --time 30 has_ended preloaded.jsonl
			assert_complete preloaded.jsonl
			sensible preloaded.jsonl
		done
		trace_lines recorded.jsonl module .path | grep -q -F "$name"
	done
}

@test "stacks of real programs are what libunwind alone makes of them" {
	requires perf
	make_sources 1
	for program in "gcc -O1 -c part0.c" "perl -e @a=(1..20000)" "/usr/bin/python3 -c print(1)"; do
		read -r -a words <<<"$program"
		run_faultline --time 200 record --quiet --verify-stacks -o verified.jsonl -- "${words[@]}"
		grep -E '[0-9]{2,} stacks were unwound by libunwind as well; 0 differ' <<<"$stderr$output"
	done
}
