/* SPDX-License-Identifier: MIT */
/* output.c: which files the trace may replace, and what is left of it when it is cut or the disk
   is full. */
#include "output.h"

#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <zstd.h>

#define SESSION "{\"type\":\"session\",\"format\":\"faultline-trace\",\"version\":1}\n"

static char error[1024];

/* Opens, and closes again; the result. */
static int try_open(const char *path)
{
	struct output *output = NULL;
	int result;

	error[0] = '\0';
	result = output_open(&output, path, error, sizeof(error));
	output_destroy(output);
	return result;
}

static void check_refused(const char *path, int code, const char *words)
{
	int result = try_open(path);

	CHECK(result == code, "'%s': %d (%s)", path, result, error);
	CHECK(strstr(error, words), "'%s': no \"%s\" in \"%s\"", path, words, error);
	CHECK(!strpbrk(error, "\n\t"), "more than one line: %s", error);
}

static void check_taken(const char *path)
{
	CHECK(try_open(path) == 0, "%s", error);
}

static struct output *open_begun(const char *path)
{
	struct output *output = NULL;

	if (!CHECK(!output_open(&output, path, error, sizeof(error)), "%s", error))
		exit(2);
	CHECK(output_begin(output) == 0, "cannot begin");
	return output;
}

static void put(struct output *output, const char *text)
{
	size_t kept = 0;

	CHECK(output_write(output, text, strlen(text), &kept) == 0, "cannot write");
	CHECK(kept == strlen(text), "kept %zu", kept);
}

static void write_trace(const char *path)
{
	struct output *output = open_begun(path);

	put(output, SESSION);
	put(output, "{\"type\":\"end\"}\n");
	CHECK(output_close(output) == 0, "close");
	output_destroy(output);
}

static bool content_is(const char *path, const char *expected)
{
	size_t size;
	char *text = check_read(path, &size);
	bool same = size == strlen(expected) && !memcmp(text, expected, size);

	free(text);
	return same;
}

static void new_files(void)
{
	check_taken("new.jsonl");
	CHECK(access("new.jsonl", F_OK), "a file that was never begun is left behind");
	write_trace("new.jsonl");
	CHECK(content_is("new.jsonl", SESSION "{\"type\":\"end\"}\n"), "other content");
	mkdir("sub", 0755);
	write_trace("./sub/../sub/deep.jsonl.zst");
	CHECK(!symlink("target", "link"), "symlink");
	write_trace("link");
	CHECK(content_is("target", SESSION "{\"type\":\"end\"}\n"), "a link to nothing");
}

static void existing_files(void)
{
	static const char zstd_of_something_else[] = "this is not a trace, but long enough to be "
						     "looked at as one if one is careless";
	char frame[256];
	size_t size;

	check_write("empty", "", 0);
	check_taken("empty");
	CHECK(!access("empty", F_OK), "an existing empty file was removed");
	write_trace("plain");
	write_trace("packed.zst");
	check_taken("plain");
	check_taken("packed.zst");
	CHECK(
	    content_is("plain", SESSION "{\"type\":\"end\"}\n"), "opening alone changed the file");
	/* The ending of the name says how it will be written, not what is there. */
	CHECK(!rename("packed.zst", "packed.jsonl"), "rename");
	CHECK(!rename("plain", "plain.zst"), "rename");
	write_trace("packed.jsonl");
	write_trace("plain.zst");
	CHECK(content_is("packed.jsonl", SESSION "{\"type\":\"end\"}\n"), "not replaced");

	check_write("other", "precious\n", 9);
	check_refused("other", -EEXIST, "is not a faultline trace");
	CHECK(content_is("other", "precious\n"), "a refused file was changed");
	check_write("json", "{\"type\":\"session\"}\n", 19);
	check_refused("json", -EEXIST, "remove it");
	check_write("short", "{", 1);
	check_refused("short", -EEXIST, "--output");
	size = ZSTD_compress(
	    frame, sizeof(frame), zstd_of_something_else, sizeof(zstd_of_something_else), 1);
	check_write("other.zst", frame, size);
	check_refused("other.zst", -EEXIST, "is not a faultline trace");
	check_write("broken.zst", frame, 9);
	check_refused("broken.zst", -EEXIST, "is not a faultline trace");
	frame[7] ^= 0x55;
	check_write("broken.zst", frame, size);
	check_refused("broken.zst", -EEXIST, "is not a faultline trace");
}

static void in_use(void)
{
	struct output *output = open_begun("used.jsonl");

	put(output, SESSION);
	check_refused("used.jsonl", -EBUSY, "another recording");
	output_destroy(output);
	check_taken("used.jsonl");
}

static void other_kinds(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check_taken("/dev/null");
	CHECK(!access("/dev/null", F_OK), "removed!");
	check_refused("sub", -EISDIR, "it is a folder");
	check_refused("new/", -EISDIR, "it is a folder");
	CHECK(!mkfifo("fifo", 0644), "mkfifo");
	check_refused("fifo", -EINVAL, "it is a pipe");
	CHECK(!bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	close(fd);
	check_refused("socket", -EINVAL, "it is a pipe");
	check_refused("/dev/ptmx", -EINVAL, "device");
}

static void bad_paths(void)
{
	char path[5000];

	check_refused("", -ENOENT, "name is empty");
	check_refused("missing/x.jsonl", -ENOENT, "there is no folder 'missing'");
	check_refused("missing/x\ny.jsonl", -ENOENT, "'missing/x?y.jsonl'");
	check_write("file", "", 0);
	check_refused("file/x.jsonl", -ENOTDIR, "is a file, not a folder");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	CHECK(try_open(path) == -ENAMETOOLONG, "%.200s", error);
	CHECK(strlen(error) < sizeof(error), "too long");
}

/* Runs `body` in a child without root's rights; its checks count. */
static void as_nobody(void (*body)(void))
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(2);
		body();
		fflush(stdout);
		_exit(check_case_failed);
	}
	waitpid(child, &status, 0);
	CHECK(status == 0, "the child ended with %#x", (unsigned)status);
}

static void refused_to_nobody(void)
{
	check_refused("locked/x.jsonl", -EACCES, "no permission to make files in 'locked'");
	check_refused("sub/secret", -EACCES, "no permission to read and write that file");
	check_refused("/proc/x.jsonl", -ENOENT, "folder '/proc'");
}

static void permissions(void)
{
	chmod(".", 0755);
	mkdir("locked", 0555);
	write_trace("sub/secret");
	chmod("sub/secret", 0400);
	as_nobody(refused_to_nobody);
}

/* Complete frames in the first `size` bytes, and the end of the last. */
static size_t complete_frames(const char *bytes, size_t size, size_t *end)
{
	size_t count = 0, frame;

	for (*end = 0; *end < size; *end += frame) {
		frame = ZSTD_findFrameCompressedSize(bytes + *end, size - *end);
		if (ZSTD_isError(frame))
			break;
		count++;
	}
	return count;
}

/* Decodes as much as a reader can. */
static size_t decode(const char *bytes, size_t size, char *text, size_t text_size)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer in = {.src = bytes, .size = size};
	ZSTD_outBuffer out = {.dst = text, .size = text_size};

	while (in.pos < in.size) {
		if (ZSTD_isError(ZSTD_decompressStream(context, &out, &in)))
			break;
	}
	ZSTD_freeDCtx(context);
	return out.pos;
}

static void cut_zstd(void)
{
	enum { FRAMES = 12 };
	struct output *output = open_begun("cut.zst");
	static char all[FRAMES * 2000], text[sizeof(all)];
	size_t used = 0, ends[FRAMES + 1] = {0}, size, end, complete, got;
	char *bytes;

	for (int i = 0; i < FRAMES; i++) {
		size_t start = used;

		for (int line = 0; line <= i * 2; line++)
			used += (size_t)snprintf(all + used, sizeof(all) - used,
			    "{\"type\":\"free\",\"ts\":%d,\"alloc\":%d}\n", rand(), line);
		put(output, all + start);
		ends[i + 1] = used;
	}
	output_destroy(output);
	bytes = check_read("cut.zst", &size);
	CHECK(complete_frames(bytes, size, &end) == FRAMES && end == size, "not %d frames", FRAMES);
	for (size_t cut = 0; cut <= size; cut++) {
		complete = complete_frames(bytes, cut, &end);
		got = decode(bytes, cut, text, sizeof(text));
		if (!CHECK(got >= ends[complete] && !memcmp(text, all, got),
			"cut at %zu: %zu frames, %zu bytes", cut, complete, got))
			break;
	}
	free(bytes);
}

/* A file that may not grow over `limit` bytes stands for a full disk: any user can have one. */
static void check_limited(const char *path, size_t limit)
{
	struct output *output = open_begun(path);
	const struct rlimit small = {limit, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	static char block[200000], text[2 * sizeof(block)];
	size_t size, kept = 1, used, end;
	bool zstd = strstr(path, ".zst");
	char *bytes;
	int result;

	put(output, SESSION);
	for (used = 0; used + 100 < sizeof(block);)
		used += (size_t)snprintf(block + used, sizeof(block) - used,
		    "{\"type\":\"free\",\"ts\":%d%d,\"alloc\":%d}\n", rand(), rand(), rand());
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	result = output_write(output, block, used, &kept);
	CHECK(result == -EFBIG, "%s: %d", path, result);
	setrlimit(RLIMIT_FSIZE, &none);
	bytes = check_read(path, &size);
	CHECK(size == output_file_bytes(output) && size <= limit, "%zu bytes in %s", size, path);
	if (zstd) {
		CHECK(
		    complete_frames(bytes, size, &end) == 1 && end == size, "not one whole frame");
		CHECK(kept == 0, "kept %zu", kept);
	} else {
		CHECK(kept > limit / 2 && kept < used && block[kept - 1] == '\n', "kept %zu", kept);
		CHECK(size == strlen(SESSION) + kept && bytes[size - 1] == '\n' &&
			  !memcmp(bytes + strlen(SESSION), block, kept),
		    "%zu bytes are not the session and what was kept", size);
	}
	free(bytes);
	/* What comes after goes behind the last complete line. */
	put(output, "{\"type\":\"lost\"}\n");
	output_destroy(output);
	bytes = check_read(path, &size);
	size = zstd ? decode(bytes, size, text, sizeof(text)) : (memcpy(text, bytes, size), size);
	CHECK(size == strlen(SESSION) + kept + 16 &&
		  !memcmp(text + size - 17, "\n{\"type\":\"lost\"}\n", 17),
	    "the last line is in the wrong place");
	free(bytes);
}

static void limited(void)
{
	check_limited("limited.jsonl", 100000);
	check_limited("limited.zst", 20000);
}

static void full_device(void)
{
	struct output *output = open_begun("/dev/full");
	size_t kept = 1;

	CHECK(output_write(output, SESSION, strlen(SESSION), &kept) == -ENOSPC, "written");
	CHECK(kept == 0, "kept %zu", kept);
	output_destroy(output);
}

static void read_only(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		check_skip("mounting a file system needs root");
		return;
	}
	mkdir("ro", 0755);
	CHECK(!mount("tmpfs", "ro", "tmpfs", MS_RDONLY, "size=64k"), "mount");
	check_refused("ro/x.jsonl", -EROFS, "file system is read-only");
	umount("ro");
}

int main(void)
{
	char folder[64];

	check_enter_folder(folder);
	check_case("new files", new_files);
	check_case("existing files are replaced only when empty or a trace", existing_files);
	check_case("a trace that is being recorded is refused", in_use);
	check_case("folders, pipes, sockets and devices", other_kinds);
	check_case("bad paths", bad_paths);
	check_case("missing permissions", permissions);
	check_case("a zstd trace cut at every byte decodes to its last complete frame", cut_zstd);
	check_case("a file that may not grow stays readable", limited);
	check_case("a full device", full_device);
	check_case("a read-only file system", read_only);
	check_leave_folder(folder);
	return check_result();
}
