/* SPDX-License-Identifier: MIT */
/*
 * screen.c: draws by ncurses, which also restores the terminal when a signal ends the process.
 */
#include "screen.h"

#include "message.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

static SCREEN *screen;
static bool shows_utf8;

/* Letters of other languages need a locale; where the user's is not installed, any that has them.
 */
static void set_locale(void)
{
	if (!setlocale(LC_CTYPE, ""))
		setlocale(LC_CTYPE, "C.UTF-8");
	shows_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int screen_open(const char *command)
{
	int error;
	const char *term = getenv("TERM");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		message("%s: standard %s is no terminal to draw on; `faultline report` prints the "
			"same",
		    command, isatty(STDIN_FILENO) ? "output" : "input");
		return -ENOTTY;
	}
	/* a terminal that cannot move its cursor can be written to, but not drawn on */
	bool can_draw = false;
	if (setupterm(NULL, STDOUT_FILENO, &error) == OK) {
		const char *move_cursor = tigetstr("cup");
		can_draw = move_cursor && move_cursor != (char *)-1;
		del_curterm(cur_term); /* a screen has its own */
	}
	if (!can_draw) {
		message("%s: cannot draw on this terminal (TERM=%s); `faultline report` prints the "
			"same",
		    command, term ? term : "");
		return -ENOTTY;
	}
	set_locale();
	use_tioctl(TRUE);
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		message("%s: cannot draw on this terminal (TERM=%s)", command, term);
		return -ENOTTY;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	/* a key that sends several letters does so at once */
	set_escdelay(25);
	curs_set(0);
	return 0;
}

void screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

size_t screen_lines(void)
{
	return LINES > 2 ? (size_t)LINES - 1 : 1;
}

/* One line, which may be cut; a too wide one goes on in the next, which is drawn over it. */
static void draw_line(int row, const char *text, size_t size)
{
	move(row, 0);
	clrtoeol();
	if (shows_utf8) {
		addnstr(text, (int)size);
		return;
	}
	/* a letter of several bytes is one question mark */
	for (size_t i = 0; i < size; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			addch((unsigned char)text[i] < 0x80 ? (chtype)text[i] : '?');
}

void screen_draw(const char *text, size_t first, const char *status)
{
	erase();
	for (; first > 0 && *text != '\0'; first--)
		text += strcspn(text, "\n") + (text[strcspn(text, "\n")] == '\n');
	for (size_t row = 0; row < screen_lines() && *text != '\0'; row++) {
		size_t size = strcspn(text, "\n");
		draw_line((int)row, text, size);
		text += size + (text[size] == '\n');
	}
	attron(A_REVERSE);
	draw_line(LINES - 1, status, strlen(status));
	attroff(A_REVERSE);
	refresh();
}

enum screen_key screen_wait(int milliseconds)
{
	static const struct {
		int code;
		enum screen_key key;
	} keys[] = {{'q', SCREEN_QUIT}, {'Q', SCREEN_QUIT}, {KEY_UP, SCREEN_UP}, {'k', SCREEN_UP},
	    {KEY_DOWN, SCREEN_DOWN}, {'j', SCREEN_DOWN}, {KEY_PPAGE, SCREEN_PAGE_UP},
	    {'b', SCREEN_PAGE_UP}, {KEY_NPAGE, SCREEN_PAGE_DOWN}, {' ', SCREEN_PAGE_DOWN},
	    {KEY_HOME, SCREEN_HOME}, {'g', SCREEN_HOME}, {KEY_END, SCREEN_END}, {'G', SCREEN_END},
	    {KEY_RESIZE, SCREEN_RESIZED}};
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	/* a signal ends it, too: the terminal may have changed its size */
	int ready = poll(&input, 1, milliseconds);
	if (ready > 0 && !(input.revents & POLLIN))
		return SCREEN_QUIT; /* the terminal is gone */
	timeout(0);
	int code = getch();
	if (code == ERR && ready > 0)
		return SCREEN_QUIT;
	if (code == 'L' - '@') { /* what other programs wrote is wiped away */
		clearok(stdscr, TRUE);
		return SCREEN_RESIZED;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].code == code)
			return keys[i].key;
	return SCREEN_NONE;
}
