/* SPDX-License-Identifier: MIT */
/*
 * message.c: lines for the user on standard error, written whole, so that they do not mix with
 * what a traced program writes there at the same time. Keeps no state.
 */
#include "message.h"

#include "utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void message(const char *format, ...)
{
	static const char prefix[] = "faultline: ";
	char line[8192];
	size_t used = strlen(prefix);
	memcpy(line, prefix, used);
	va_list values;
	va_start(values, format);
	int length = vsnprintf(line + used, sizeof(line) - used - 1, format, values);
	va_end(values);
	if (length < 0)
		return;
	size_t room = sizeof(line) - used - 2;
	used += (size_t)length < room ? (size_t)length : room;
	line[used] = '\0';
	utf8_make_printable(line);
	used = strlen(line);
	line[used++] = '\n';
	for (size_t written = 0; written < used;) {
		ssize_t result = write(STDERR_FILENO, line + written, used - written);
		if (result < 0 && errno == EINTR)
			continue;
		if (result <= 0)
			return;
		written += (size_t)result;
	}
}
