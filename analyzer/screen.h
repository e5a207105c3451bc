/* SPDX-License-Identifier: MIT */
/*
 * screen.h: the terminal that standard input and output are, as a screen that shows a text and
 * takes keys. Attributes that a terminal has not got are left out; no color is used. There is one
 * screen.
 */
#ifndef FAULTLINE_SCREEN_H
#define FAULTLINE_SCREEN_H

#include <stddef.h>

enum screen_key {
	SCREEN_NONE, /* the time is over, or it was another key */
	SCREEN_QUIT,
	SCREEN_UP,
	SCREEN_DOWN,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_HOME,
	SCREEN_END,
	SCREEN_RESIZED, /* or was drawn over: draw it again */
};

/* 0, or -ENOTTY after a message for which `command` is responsible. */
int screen_open(const char *command);

/* Gives the terminal back as it was. Does nothing without a screen. */
void screen_close(void);

/* Lines of text that it has room for, at least 1. */
size_t screen_lines(void);

/* Shows text from its line `first` on, and one line of `status` below. */
void screen_draw(const char *text, size_t first, const char *status);

/* Waits for a key, no longer than that. */
enum screen_key screen_wait(int milliseconds);

#endif
