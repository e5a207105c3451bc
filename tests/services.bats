# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Services that many machines run, each started, loaded and stopped, natively and under
# `faultline record`, as the user that it is made for: the same answers, a clean log, and a trace
# that is complete. What a server's trace says of its memory is compared with the kernel's own books
# while it runs. Each has a folder, a socket and a network of its own: services of the machine are
# neither in the way nor disturbed.

# Functions are called by name, as before or as the program.
# shellcheck disable=SC2016,SC2317

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	requires userfaultfd perf root unprivileged-user
	PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
	mkdir service
	chmod 755 service
	cd service || return
}

teardown() {
	if [[ -n ${server-} ]]; then
		kill -TERM "$server" 2>/dev/null || true
	fi
}

# as USER COMMAND...: what --user makes of a command, without faultline.
as() {
	setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups "${@:2}"
}

# begin WAY USER COMMAND...: starts a server, natively or recorded. Its own process is `server`, what
# has to be waited for is `job`. Its words go to the file log.
begin() {
	local way=$1 user=$2
	shift 2
	rm -f log trace.jsonl
	case $way in
	native) set -- setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups "$@" ;;
	recorded) set -- "$FAULTLINE" record --quiet "--user=$user" --output="$PWD/trace.jsonl" -- "$@" ;;
	esac
	timeout --foreground -k 5 $((150 * TIME_FACTOR)) "$@" >log 2>&1 3>&- 4>&- &
	job=$!
	if [[ $way == native ]]; then
		wait_until child_of "$job" >server
	else
		wait_until started trace.jsonl >server
	fi
	server=$(<server)
}

# Both print a process; questions, for wait_until.
child_of() {
	pgrep -P "$1"
}

started() {
	[[ -s $1 ]] && trace_lines "$1" process 'select(.event == "start") | .pid' | grep .
}

# end_of_server: waits for the server that was told to stop; its exit status is in `status`.
end_of_server() {
	status=0
	wait "$job" || status=$?
	server=
	cat log
}

# true_memory: the trace of the running server has just the pages that it has.
true_memory() {
	wait_until "$TOP/tests/check_resident.py" "$server" trace.jsonl >books 2>&1 ||
		{ tail -n 20 books && return 1; }
	tail -n 1 books
}

# sound TRACE FAULTS PROCESSES: it is complete, keeps the format's rules, has at least so many faults
# and processes, and each process has an end.
sound() {
	assert_complete "$1"
	run_command --time 200 "$TOP/tests/check_trace.py" "$1"
	(($(trace_count "$1" fault) >= $2))
	trace_lines "$1" process 'select(.event != "exec") | "\(.pid) \(.event)"' >processes
	local begun ended
	begun=$(awk '$2 != "exit" { print $1 }' processes | sort -u)
	ended=$(awk '$2 == "exit" { print $1 }' processes | sort -u)
	diff <(echo "$begun") <(echo "$ended")
	echo "$(wc -l <<<"$begun") processes"
	(($(wc -l <<<"$begun") >= $3))
}

# alone COMMAND...: in a network of its own, where every port is free.
alone() {
	unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"
}

# --- PostgreSQL --------------------------------------------------------------------------------

# sql QUERY: asks the server.
sql() {
	as postgres psql -h "$PWD" -X -q -A -t -c "$1" postgres
}

is_ready() {
	as postgres "$PG/pg_isready" -q -h "$PWD"
}

# postgres_answers: fills the server, runs clients at once, and prints what can only come out one way,
# whoever of them is faster.
postgres_answers() {
	local pgbench=(as postgres "$PG/pgbench" -h "$PWD")
	"${pgbench[@]}" -i -q -s 1 postgres 2>/dev/null
	"${pgbench[@]}" -n -c 4 -j 2 -t 100 --random-seed=7 postgres 2>&1 |
		grep -E 'transactions actually|failed'
	sql 'SELECT sum(abalance), count(*), count(DISTINCT filler) FROM pgbench_accounts'
	sql 'SELECT sum(tbalance) FROM pgbench_tellers'
	sql 'SELECT count(*), sum(delta) FROM pgbench_history'
	sql "SET work_mem = '64MB'; SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0;
		SET min_parallel_table_scan_size = 0; SET parallel_tuple_cost = 0;
		SELECT md5(string_agg(x, ',')) FROM (SELECT md5(aid::text || bid) x FROM pgbench_accounts
		ORDER BY 1) y"
	sql 'CREATE INDEX ON pgbench_accounts (md5(filler), aid)'
	sql 'VACUUM FULL ANALYZE'
	sql 'SELECT 1/0' 2>&1 || echo "status $?"
	sql "SELECT pid FROM pg_stat_activity WHERE backend_type <> 'client backend'" | wc -l
}

# postgres_run WAY: makes a cluster, serves, answers, stops.
postgres_run() {
	local initdb=("$PG/initdb" -D data -A trust --no-sync --locale=C --encoding=UTF8)
	rm -rf data
	if [[ $1 == native ]]; then
		run_command setpriv --reuid=postgres "--regid=$(id -g postgres)" --init-groups \
			"${initdb[@]}"
	else
		run_faultline --time 120 record --quiet --user=postgres -o initdb.jsonl -- "${initdb[@]}"
		[[ $(stat -c %U initdb.jsonl) == postgres ]]
	fi
	mv stdout "initdb.$1"
	cat >>data/postgresql.conf <<-END
		listen_addresses = ''
		unix_socket_directories = '$PWD'
		shared_buffers = 32MB
		fsync = off
		autovacuum = off
		log_line_prefix = ''
		log_checkpoints = off
	END
	begin "$1" postgres "$PG/postgres" -D data
	wait_until --time 30 is_ready
	postgres_answers >"answers.$1" 2>&1
	if [[ $1 == recorded ]]; then
		true_memory
	fi
	as postgres "$PG/pg_ctl" -D data stop -m smart >stopped
	end_of_server
	((status == 0))
	# Whether a client that asks comes too early is chance.
	sed -E '/FATAL:  the database system is starting up/d
		s/PID [0-9]+/PID/; s/shut down at .*/shut down/' log >"log.$1"
	as postgres "$PG/pg_controldata" data | grep 'cluster state' >>"log.$1"
}

# bats test_tags=stress
@test "PostgreSQL as its own user: initdb, pgbench, parallel queries, a clean stop" {
	PG=$(dirname "$(find /usr/lib/postgresql -name pgbench | sort -V | tail -n 1)")
	chown postgres .
	postgres_run native
	postgres_run recorded
	cat answers.native
	grep -q 'actually processed: 400/400' answers.native
	diff initdb.native initdb.recorded
	diff answers.native answers.recorded
	diff log.native log.recorded
	! grep -E 'WARNING|FATAL|PANIC' log.recorded || fail "the log is not clean"
	grep -q 'shut down$' log.recorded
	# Its helpers, a process for each connection, and those of parallel queries.
	sound initdb.jsonl 5000 3
	sound trace.jsonl 10000 15
	trace_lines trace.jsonl process 'select(.event == "exit" and .signal) | .signal' >killed
	[[ ! -s killed ]]
	# The shared buffers: one process brings a page in, others find it.
	trace_lines trace.jsonl region 'select(.memory == "shmem") | .id' | jq -s . >shared
	trace_lines trace.jsonl fault '"\(.region) \(.kind)"' |
		jq -R -s --slurpfile shared shared 'split("\n") | map(select(. != "") | split(" ")) |
		map(select((.[0] | tonumber) as $id | $shared[0] | index($id))) | group_by(.[1]) |
		map({key: .[0][1], value: length}) | from_entries' >kinds
	cat kinds
	jq -e '.missing > 500 and .minor > 500' kinds
}

# --- redis -------------------------------------------------------------------------------------

redis() {
	redis-cli -s "$PWD/socket" "$@"
}

redis_answers() {
	redis-benchmark -s "$PWD/socket" -q -n 5000 -c 20 -d 200 -t set,incr,lpush,hset,spop,zadd,mset |
		tr '\r' '\n' | grep -c 'requests per second'
	redis eval 'for i = 1, 20000 do redis.call("hset", "h" .. i % 100, i, string.rep(i, 20)) end
		local s = "" for i = 0, 99 do s = redis.sha1hex(s .. redis.call("hlen", "h" .. i)
		.. redis.call("hget", "h" .. i, i > 0 and i or 100)) end return s' 0
	redis save
	redis bgsave
	wait_until redis_is_saved
	redis info persistence | grep -E 'rdb_last_bgsave_status|aof_last_write_status' | tr -d '\r'
	redis flushall
	redis dbsize
	redis set answer 42
	redis incrby answer 1
}

redis_is_saved() {
	redis info persistence | grep -q rdb_bgsave_in_progress:0
}

redis_is_up() {
	[[ $(redis ping 2>/dev/null) == PONG ]]
}

redis_run() {
	rm -rf data
	mkdir data
	chown redis data
	begin "$1" redis redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD/data" --save "" \
		--appendonly yes --loglevel notice
	wait_until --time 30 redis_is_up
	redis_answers >"answers.$1" 2>&1
	if [[ $1 == recorded ]]; then
		true_memory
	fi
	kill -TERM "$server"
	end_of_server
	((status == 0))
	grep -v -i 'overcommit\|transparent huge\|monotonic clock\|TCP backlog' log |
		sed -E 's/^[0-9]+:(.) .{24} /\1 /; s/^[0-9]+:signal-handler \([0-9]+\)//; s/pid[= ][0-9]+/pid/g; s/[0-9]+[0-9.]* (MB|seconds)/N \1/g' \
			>"log.$1"
	if [[ $1 == recorded ]]; then
		mv trace.jsonl kept.jsonl
	fi
	# What it wrote is read by another one.
	begin native redis redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD/data" \
		--save "" --appendonly yes
	wait_until --time 30 redis_is_up
	[[ $(redis get answer) == 43 ]]
	kill -TERM "$server"
	end_of_server
}

@test "redis as its own user: loaded, saved by a child, stopped by a signal" {
	chown redis .
	redis_run native
	redis_run recorded
	cat answers.recorded
	diff answers.native answers.recorded
	diff log.native log.recorded
	grep -q 'bgsave_status:ok' answers.recorded
	grep -q 'ready to exit' log.recorded
	! grep -E '^. #.*(error|fail|WARNING)' log.recorded || fail "the log is not clean"
	sound kept.jsonl 1000 2
}

# --- memcached ---------------------------------------------------------------------------------

memcached_run() {
	rm -f socket
	begin "$1" nobody memcached -s "$PWD/socket" -m 64 -t 4 -v
	wait_until test -S socket
	/usr/bin/python3 load.py socket >"answers.$1"
	if [[ $1 == recorded ]]; then
		true_memory
	fi
	kill -TERM "$server"
	end_of_server
	((status == 0))
	cp log "log.$1"
}

@test "memcached: filled by many connections, asked, stopped by a signal" {
	chmod 1777 .
	cat >load.py <<-'END'
		import hashlib, socket, sys, threading

		def talk(n, results):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1])
		    f = s.makefile("rwb")
		    def value(i):
		        return b"%d %d " % (n, i) * (1 + i % 300)
		    for i in range(2000):
		        f.write(b"set k%d.%d 0 0 %d\r\n%s\r\n" % (n, i, len(value(i)), value(i)))
		        f.flush()
		        assert f.readline() == b"STORED\r\n"
		    digest = hashlib.sha256()
		    for i in range(2000):
		        f.write(b"get k%d.%d\r\n" % (n, i))
		        f.flush()
		        assert f.readline().startswith(b"VALUE")
		        line = f.readline()
		        assert line == value(i) + b"\r\n"
		        digest.update(line)
		        assert f.readline() == b"END\r\n"
		    results[n] = digest.hexdigest()

		results = {}
		threads = [threading.Thread(target=talk, args=(n, results)) for n in range(8)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		print(sorted(results.items()))
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"stats\r\n")
		text = b""
		while not text.endswith(b"END\r\n"):
		    text += s.recv(65536)
		for line in text.decode().splitlines():
		    if line.split()[1:2] and line.split()[1] in ("curr_items", "bytes", "cmd_set", "get_hits", "evictions", "threads"):
		        print(line)
	END
	memcached_run native
	memcached_run recorded
	cat answers.recorded
	diff answers.native answers.recorded
	grep -q 'curr_items 16000' answers.recorded
	diff log.native log.recorded
	sound trace.jsonl 4000 1
	# Its workers did it: the pages of the values are theirs.
	(($(trace_lines trace.jsonl fault .tid | sort -u | wc -l) >= 4))
}

# --- nginx -------------------------------------------------------------------------------------

# nginx_run WAY: master and workers of another user, loaded by wrk, reloaded, and stopped gracefully.
# Called in a network of its own.
nginx_run() {
	rm -f ./*.log pid
	cat >nginx.conf <<-END
		daemon off;
		user nobody nogroup;
		worker_processes 2;
		pid $PWD/pid;
		error_log $PWD/error.log notice;
		events { worker_connections 256; }
		http {
			access_log $PWD/access.log;
			client_body_temp_path $PWD/temp;
			proxy_temp_path $PWD/temp;
			fastcgi_temp_path $PWD/temp;
			uwsgi_temp_path $PWD/temp;
			scgi_temp_path $PWD/temp;
			gzip on;
			gzip_types *;
			gzip_proxied any;
			server {
				listen 127.0.0.1:8080;
				root $PWD/www;
				log_not_found off;
				location /twice { proxy_pass http://127.0.0.1:8080/; }
			}
		}
	END
	begin "$1" root nginx -c "$PWD/nginx.conf" -e "$PWD/error.log"
	wait_until answers_http
	ask >"answers.$1"
	wrk -t 2 -c 20 -d 1s http://127.0.0.1:8080/page >"wrk.$1"
	wrk -t 1 -c 5 -d 1s -H 'Accept-Encoding: gzip' http://127.0.0.1:8080/twice/text >>"wrk.$1"
	cat "wrk.$1"
	local workers
	workers=$(pgrep -P "$server" | sort | tr '\n' ' ')
	kill -HUP "$server"
	# Workers that were there before are gone, others answer.
	wait_until --time 30 others_than "$workers"
	ask >>"answers.$1"
	if [[ $1 == recorded ]]; then
		true_memory
	fi
	kill -QUIT "$server"
	end_of_server
	((status == 0))
	! grep -E '\[(warn|error|crit|alert|emerg)\]' error.log || fail "the log is not clean"
	grep -q 'gracefully shutting down' error.log
	# Every request was answered rightly, but for those that wrk hung up on at its end (499).
	awk '$9 != 200 && $9 != 404 && $9 != 499' access.log | head -n 5 >wrong
	[[ ! -s wrong ]]
	(($(wc -l <access.log) > 100))
}

answers_http() {
	/usr/bin/python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8080/page")' \
		2>/dev/null
}

others_than() {
	local now
	now=$(pgrep -P "$server" | sort | tr '\n' ' ')
	(($(wc -w <<<"$now") == 2)) && [[ -z $(comm -12 <(tr ' ' '\n' <<<"$1" | grep .) \
		<(tr ' ' '\n' <<<"$now" | grep .)) ]]
}

ask() {
	/usr/bin/python3 - <<-'END'
		import gzip, hashlib, urllib.request, urllib.error
		for path in "page", "text", "large", "twice/text", "absent", "":
		    for encoding in "identity", "gzip":
		        request = urllib.request.Request("http://127.0.0.1:8080/" + path,
		            headers={"Accept-Encoding": encoding})
		        try:
		            answer = urllib.request.urlopen(request)
		        except urllib.error.HTTPError as error:
		            answer = error
		        body = answer.read()
		        if answer.headers.get("Content-Encoding") == "gzip":
		            body = gzip.decompress(body)
		        print(path, answer.status, len(body), hashlib.sha256(body).hexdigest(),
		            answer.headers.get("Content-Encoding"), answer.headers.get("Content-Type"))
	END
}

@test "nginx under wrk: workers of another user, a reload, a graceful stop" {
	alone true || skip "cannot make a network here"
	mkdir -p www temp
	chown nobody temp
	echo '<html>a page</html>' >www/page
	echo 'an index' >www/index.html
	seq 1 40000 >www/text
	head -c 3000000 /dev/zero | tr '\0' x >www/large
	chmod -R a+rX www
	export -f nginx_run begin end_of_server wait_until fail true_memory answers_http others_than ask \
		child_of started trace_lines trace_text
	export FAULTLINE TOP TIME_FACTOR
	local way
	for way in native recorded; do
		run_command --time 200 unshare --net bash -c 'set -e; ip link set lo up; nginx_run "$1"' \
			bash "$way"
	done
	diff answers.native answers.recorded
	grep -q '^text 200 228894 .* gzip' answers.recorded
	! grep -E 'Socket errors|Non-2xx' wrk.recorded || fail "wrk was not served"
	sound trace.jsonl 200 5
	# Each worker was traced, though it is another user's.
	(($(trace_lines trace.jsonl fault .pid | sort -u | wc -l) >= 5))
}

# --- The packages ------------------------------------------------------------------------------

@test "installing the packages starts no service" {
	requires command:invoke-rc.d
	mkdir stubs
	# A package whose service would be started, as Debian's scripts do it.
	cat >stubs/dpkg-query <<-'END'
		#!/bin/sh
	END
	cat >stubs/apt-get <<-'END'
		#!/bin/sh
		case $* in
		*--simulate*) ;;
		*) invoke-rc.d redis-server start ;;
		esac
	END
	cat >init <<-END
		#!/bin/sh
		echo "\$1" >$PWD/started
	END
	chmod +x stubs/* init
	: >policy
	# Nothing but the environment keeps it from starting.
	local here='mount --bind init /etc/init.d/redis-server &&
		{ [ ! -e /usr/sbin/policy-rc.d ] || mount --bind policy /usr/sbin/policy-rc.d; } &&
		PATH=$PWD/stubs:$PATH exec "$@"'
	local hidden=(unshare --mount --propagation private sh -c "$here" sh)
	"${hidden[@]}" true || skip "cannot mount here"
	[[ ! -d /run/systemd/system ]] || skip "services here are systemd's"
	run_command "${hidden[@]}" env RUNLEVEL=2 invoke-rc.d redis-server start
	[[ $(<started) == start ]]
	rm started
	run_command "${hidden[@]}" env RUNLEVEL=2 "$TOP/.ci/install-packages" redis-server
	[[ ! -e started ]]
}
