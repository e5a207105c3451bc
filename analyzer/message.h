/* SPDX-License-Identifier: MIT */
/*
 * message.h: lines for the user on standard error.
 */
#ifndef FAULTLINE_MESSAGE_H
#define FAULTLINE_MESSAGE_H

/* Prints "faultline: TEXT" and a newline in one write; control characters become "?". */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
