/* SPDX-License-Identifier: MIT */
/*
 * temporary_file.c: without a name from the start, or, on file systems that cannot do that, soon
 * after it.
 */
#include "temporary_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int temporary_file_open(void)
{
	const char *folder = secure_getenv("TMPDIR");
	if (!folder || folder[0] == '\0')
		folder = "/tmp";
	int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return file >= 0 ? file : -errno;
	char path[4096];
	if ((size_t)snprintf(path, sizeof(path), "%s/faultline.XXXXXX", folder) >= sizeof(path))
		return -ENAMETOOLONG;
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0)
		return -errno;
	unlink(path);
	return file;
}

int temporary_file_write(int file, const void *bytes, size_t size, int64_t offset)
{
	const char *next = bytes;
	while (size > 0) {
		ssize_t length = pwrite(file, next, size, offset);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length < 0 ? -errno : -EIO;
		next += length;
		size -= (size_t)length;
		offset += length;
	}
	return 0;
}

int temporary_file_read(int file, void *bytes, size_t size, int64_t offset)
{
	char *next = bytes;
	while (size > 0) {
		ssize_t length = pread(file, next, size, offset);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length < 0 ? -errno : -EIO;
		next += length;
		size -= (size_t)length;
		offset += length;
	}
	return 0;
}
