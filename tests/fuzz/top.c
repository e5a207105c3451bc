/* SPDX-License-Identifier: MIT */
/*
 * top.c: a trace that has ended is shown, or refused as a report of it is, and what is drawn does
 * nothing to a terminal but draw.
 */
#include "fuzz_command.h"

/* What is drawn goes to a file: nobody has to read it meanwhile. */
int isatty(int fd)
{
	return fd >= 0;
}

/* A terminal whose keys nobody presses, with room for most of what there is. */
static int open_terminal(void)
{
	static int keyboard[2];

	if (keyboard[1] == 0) {
		if (pipe(keyboard) < 0)
			abort();
		setenv("TERM", "linux", 1);
		setenv("LINES", "200", 1);
		setenv("COLUMNS", "80", 1);
		setenv("LC_ALL", "C.UTF-8", 1);
	}
	return keyboard[0];
}

/* The size of what moves the cursor or says how letters look; 0: it is neither. */
static size_t drawing_size(const char *text)
{
	size_t size;

	if (strncmp(text, "\033)0", 3) == 0)
		return 3;
	if (strncmp(text, "\033M", 2) == 0)
		return 2;
	if (strncmp(text, "\033[", 2) != 0)
		return *text == '\r' || *text == '\b' || *text == '\017';
	size = 2 + strspn(text + 2, "0123456789;?");
	return size + (text[size] != '\0');
}

/* Leaves what was shown, and returns its size. */
static size_t strip(char *text)
{
	char *kept = text;

	for (const char *at = text; *at != '\0';) {
		size_t size = drawing_size(at);

		if (size == 0)
			*kept++ = *at++;
		at += size;
	}
	*kept = '\0';
	return (size_t)(kept - text);
}

static void check(const char *trace, size_t size)
{
	static const char *const watched[] = {"--exit", "--by=all", NULL};
	static const char *const printed[] = {"--no-lines", "--by=all", NULL};
	size_t shown_size, report_size;
	char *shown = fuzz_command(&top_command, watched, trace, size, &shown_size);
	char *report = fuzz_command(&report_command, printed, trace, size, &report_size);

	if (!shown != !report ||
	    (shown && (strlen(shown) != shown_size || !fuzz_is_harmless(shown, strip(shown)))))
		abort();
	free(report);
	free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *trace = NULL;
	size_t length;
	FILE *out;
	int kept_in;

	/* Of a trace without an end more is waited for; but what is compressed can get none. */
	if (size == 0 || data[0] != '{')
		return 0;
	out = open_memstream(&trace, &length);
	fwrite(data, 1, size, out);
	fprintf(out, "%s{\"type\":\"end\"}\n", data[size - 1] == '\n' ? "" : "\n");
	fclose(out);
	kept_in = dup(STDIN_FILENO);
	if (dup2(open_terminal(), STDIN_FILENO) < 0)
		abort();
	check(trace, length);
	dup2(kept_in, STDIN_FILENO);
	close(kept_in);
	free(trace);
	return 0;
}
