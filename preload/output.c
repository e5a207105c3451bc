/* SPDX-License-Identifier: MIT */
/*
 * output.c: see output.h. Owns the trace's descriptor. May block on a slow disk, which is why the
 * monitor's service thread does not call it while programs run.
 */
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define PLAIN_BATCH_BYTES (64u << 10)
#define PLAIN_BATCH_NS	  UINT64_C(100000000)
#define ZSTD_BATCH_BYTES  (256u << 10)
#define ZSTD_BATCH_NS	  UINT64_C(1000000000)

/* A recording that is about to end is waited for: one second. */
#define LOCK_NAP_NS 10000000
#define LOCK_NAPS   100

/* The monitor shares the CPUs with the program: the fastest level takes most of the bytes out. */
#define ZSTD_LEVEL 1

/* How every trace begins (line.c); no other file does. */
static const char trace_beginning[] = "{\"type\":\"session\",\"format\":\"faultline-trace\"";
#define BEGINNING_SIZE (sizeof(trace_beginning) - 1)

/* Of a file that may be a zstd trace: the session line has a frame of its own, well under this. */
#define PROBE_BYTES (128u << 10)

/* /dev/null, /dev/zero, /dev/full: devices that never make a writer wait. */
#define MEMORY_DEVICES_MAJOR 1

struct output {
	int fd;
	bool regular;
	bool made; /* by us, and still to be removed when nothing is ever written */
	bool begun;
	char *path;
	uint64_t position; /* bytes in the file, all of them complete */
	ZSTD_CCtx *zstd;   /* NULL: plain */
	char *frame;
	size_t frame_size;
};

/* One sentence about `path`, which may hold any bytes but shall stay on one line. */
static int refuse(char *error, size_t size, int code, const char *path, const char *reason)
{
	char *at = error;

	snprintf(error, size, "cannot write the trace '%s': %s", path, reason);
	for (; *at; at++) {
		if (iscntrl((unsigned char)*at))
			*at = '?';
	}
	return code;
}

/* Why open(2) said `code`, and what to do. */
static int refuse_open(char *error, size_t size, int code, const char *path)
{
	const char *slash = strrchr(path, '/');
	int length = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
	const char *folder = slash ? path : ".";
	char reason[1200];
	struct stat status;

	switch (-code) {
	case ENOENT:
		if (!*path)
			return refuse(error, size, code, path,
			    "the name is empty: name a file with --output");
		snprintf(reason, sizeof(reason),
		    "there is no folder '%.*s': make it with mkdir -p, or choose another file with "
		    "--output",
		    length > 1000 ? 1000 : length, folder);
		break;
	case ENOTDIR:
		snprintf(reason, sizeof(reason),
		    "a part of the path is a file, not a folder: choose another file with "
		    "--output");
		break;
	case EACCES:
	case EPERM:
		if (!stat(path, &status))
			snprintf(reason, sizeof(reason),
			    "no permission to read and write that file: remove it, or choose "
			    "another file with --output");
		else
			snprintf(reason, sizeof(reason),
			    "no permission to make files in '%.*s': choose another file with "
			    "--output",
			    length > 1000 ? 1000 : length, folder);
		break;
	case EROFS:
		snprintf(reason, sizeof(reason),
		    "its file system is read-only: choose a file elsewhere with --output");
		break;
	case EISDIR:
		snprintf(reason, sizeof(reason), "it is a folder: name a file with --output");
		break;
	case ETXTBSY:
		snprintf(reason, sizeof(reason),
		    "it is a program that is running: choose another file with --output");
		break;
	case ENOSPC:
	case EDQUOT:
		snprintf(reason, sizeof(reason),
		    "%s: make room, or choose a file elsewhere with --output", strerror(-code));
		break;
	default:
		snprintf(reason, sizeof(reason), "%s: choose another file with --output",
		    strerror(-code));
	}
	return refuse(error, size, code, path, reason);
}

/* Reads up to `size` bytes of the start of the file; short only at its end or on errors. */
static size_t read_start(int fd, char *buffer, size_t size)
{
	size_t got = 0;
	ssize_t n;

	while (got < size) {
		n = pread(fd, buffer + got, size - got, (off_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

/* Whether the file begins as a trace, plain or compressed, whatever its name ends in. */
static bool begins_as_trace(int fd)
{
	char *start = malloc(PROBE_BYTES);
	char text[BEGINNING_SIZE];
	ZSTD_DCtx *zstd = NULL;
	ZSTD_outBuffer out = {.dst = text, .size = sizeof(text)};
	ZSTD_inBuffer in = {.src = start};
	bool result = false;

	if (!start)
		return false;
	in.size = read_start(fd, start, PROBE_BYTES);
	if (in.size >= BEGINNING_SIZE && !memcmp(start, trace_beginning, BEGINNING_SIZE)) {
		result = true;
		goto out;
	}
	zstd = ZSTD_createDCtx();
	if (!zstd)
		goto out;
	while (out.pos < out.size && in.pos < in.size) {
		if (ZSTD_isError(ZSTD_decompressStream(zstd, &out, &in)))
			goto out;
	}
	result = out.pos == out.size && !memcmp(text, trace_beginning, BEGINNING_SIZE);
out:
	ZSTD_freeDCtx(zstd);
	free(start);
	return result;
}

/* Whether what is at `path` may be opened at all: opening a device or a FIFO can have effects. */
static int check_kind(const struct stat *status, const char *path, char *error, size_t size)
{
	switch (status->st_mode & S_IFMT) {
	case S_IFREG:
		return 0;
	case S_IFCHR:
		if (major(status->st_rdev) == MEMORY_DEVICES_MAJOR)
			return 0;
		return refuse(error, size, -EINVAL, path,
		    "it is a terminal or another device: name a file with --output");
	case S_IFDIR:
		return refuse_open(error, size, -EISDIR, path);
	case S_IFIFO:
	case S_IFSOCK:
		return refuse(error, size, -EINVAL, path,
		    "it is a pipe, whose reader could stop the program: name a file with --output "
		    "(tail -f can follow it)");
	default:
		return refuse(error, size, -EINVAL, path,
		    "it is not a regular file: name a file with --output");
	}
}

/*
 * The lock is held as long as the descriptor is. Whose program was only preloaded does not wait for
 * its trace to be written, and may start the next one meanwhile. Some file systems have no locks:
 * go on without.
 */
static bool take_lock(int fd)
{
	const struct timespec nap = {.tv_nsec = LOCK_NAP_NS};

	for (int naps = 0; flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK; naps++) {
		if (naps == LOCK_NAPS)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static int open_file(struct output *output, const char *path, char *error, size_t error_size)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat status;
	bool exists = !stat(path, &status);
	int result;

	if (exists) {
		result = check_kind(&status, path, error, error_size);
		if (result)
			return result;
	}
	output->fd = open(path, flags | O_CREAT | O_EXCL, 0666);
	output->made = output->fd >= 0;
	if (output->fd < 0 && errno == EEXIST)
		/* O_CREAT for links to nothing. For files of others in /tmp it would be refused. */
		output->fd = open(path, exists ? flags : flags | O_CREAT, 0666);
	if (output->fd < 0 || fstat(output->fd, &status))
		return refuse_open(error, error_size, -errno, path);
	result = check_kind(&status, path, error, error_size);
	if (result)
		return result;
	output->regular = S_ISREG(status.st_mode);
	if (!output->regular)
		return 0;
	if (!take_lock(output->fd))
		return refuse(error, error_size, -EBUSY, path,
		    "another recording is writing to it: choose another file with --output");
	if (fstat(output->fd, &status))
		return refuse_open(error, error_size, -errno, path);
	if (status.st_size > 0 && !begins_as_trace(output->fd))
		return refuse(error, error_size, -EEXIST, path,
		    "it exists and is not a faultline trace: remove it, or choose another file "
		    "with --output");
	return 0;
}

int output_open(struct output **output, const char *path, char *error, size_t error_size)
{
	struct output *made = calloc(1, sizeof(*made));
	size_t length = strlen(path);
	int result = -ENOMEM;

	if (!made)
		return refuse(error, error_size, -ENOMEM, path, "there is no memory left");
	made->fd = -1;
	made->path = strdup(path);
	if (!made->path)
		goto out;
	if (length >= 4 && !strcmp(path + length - 4, ".zst")) {
		made->zstd = ZSTD_createCCtx();
		made->frame_size = ZSTD_compressBound(ZSTD_BATCH_BYTES);
		made->frame = malloc(made->frame_size);
		if (!made->zstd || !made->frame)
			goto out;
		ZSTD_CCtx_setParameter(made->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(made->zstd, ZSTD_c_checksumFlag, 1);
	}
	result = open_file(made, path, error, error_size);
out:
	if (result) {
		if (result == -ENOMEM)
			refuse(error, error_size, result, path, "there is no memory left");
		output_destroy(made);
		return result;
	}
	*output = made;
	return 0;
}

int output_begin(struct output *output)
{
	if (output->regular && ftruncate(output->fd, 0))
		return -errno;
	output->begun = true;
	return 0;
}

size_t output_batch_bytes(const struct output *output)
{
	return output->zstd ? ZSTD_BATCH_BYTES : PLAIN_BATCH_BYTES;
}

uint64_t output_batch_ns(const struct output *output)
{
	return output->zstd ? ZSTD_BATCH_NS : PLAIN_BATCH_NS;
}

bool output_compresses(const struct output *output)
{
	return output->zstd != NULL;
}

uint64_t output_file_bytes(const struct output *output)
{
	return output->position;
}

/* Writes all; *done says how much is in the file, also on failure. */
static int write_all(int fd, const char *bytes, size_t size, size_t *done)
{
	ssize_t n;

	*done = 0;
	while (*done < size) {
		n = write(fd, bytes + *done, size - *done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*done += (size_t)n;
	}
	return 0;
}

/* Takes back what follows the last complete line or frame; a later write goes there. */
static void cut_back(struct output *output)
{
	if (!output->regular)
		return;
	/* Where even this fails, readers meet a line or frame that is cut, which they must bear. */
	if (!ftruncate(output->fd, (off_t)output->position))
		lseek(output->fd, (off_t)output->position, SEEK_SET);
}

static int write_plain(struct output *output, const char *text, size_t size, size_t *kept)
{
	size_t done;
	int result = write_all(output->fd, text, size, &done);
	const char *newline;

	if (result) {
		newline = memrchr(text, '\n', done);
		done = newline ? (size_t)(newline + 1 - text) : 0;
	}
	output->position += done;
	*kept = done;
	if (result)
		cut_back(output);
	return result;
}

static int write_frame(struct output *output, const char *text, size_t size, size_t *kept)
{
	size_t bound = ZSTD_compressBound(size), compressed, done;
	int result;

	*kept = 0;
	if (bound > output->frame_size) {
		char *larger = realloc(output->frame, bound);

		if (!larger)
			return -ENOMEM;
		output->frame = larger;
		output->frame_size = bound;
	}
	compressed = ZSTD_compress2(output->zstd, output->frame, output->frame_size, text, size);
	if (ZSTD_isError(compressed))
		return -ENOMEM;
	result = write_all(output->fd, output->frame, compressed, &done);
	if (result) {
		cut_back(output);
		return result;
	}
	output->position += compressed;
	*kept = size;
	return 0;
}

int output_write(struct output *output, const char *text, size_t size, size_t *kept)
{
	return output->zstd ? write_frame(output, text, size, kept)
			    : write_plain(output, text, size, kept);
}

int output_close(struct output *output)
{
	int fd = output->fd;

	output->fd = -1;
	return fd >= 0 && close(fd) ? -errno : 0;
}

void output_destroy(struct output *output)
{
	struct stat ours, there;

	if (!output)
		return;
	if (output->fd >= 0 && output->made && !output->begun && !fstat(output->fd, &ours) &&
	    !lstat(output->path, &there) && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		unlink(output->path);
	output_close(output);
	ZSTD_freeCCtx(output->zstd);
	free(output->frame);
	free(output->path);
	free(output);
}
