/* SPDX-License-Identifier: MIT */
/*
 * environment.c: builds environments as new vectors of new strings; the process's own is never
 * changed.
 */
#include "environment.h"

#include "../preload/launch.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRELOAD_VARIABLE "LD_PRELOAD"

void environment_free(char **environment)
{
	if (!environment)
		return;
	for (char **entry = environment; *entry; entry++)
		free(*entry);
	free(environment);
}

/* A zeroed vector with room for all of `from` and `more`. */
static char **make_vector(char *const *from, size_t more)
{
	size_t count = 0;
	while (from[count])
		count++;
	return calloc(count + more + 1, sizeof(char *));
}

static bool is_variable(const char *entry, const char *variable)
{
	size_t length = strlen(variable);
	return strncmp(entry, variable, length) == 0 && entry[length] == '=';
}

/* "VARIABLE=FIRST[SEPARATOR SECOND]", or NULL. */
static char *join(const char *variable, const char *first, const char *second)
{
	char *entry;
	bool two = second && second[0] != '\0';
	if (asprintf(&entry, "%s=%s%s%s", variable, first, two ? ":" : "", two ? second : "") < 0)
		return NULL;
	return entry;
}

static bool is_set(const char *entry, const struct setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_variable(entry, settings[i].variable))
			return true;
	return false;
}

/* Adds the settings behind `used` entries. False without memory. */
static bool add_settings(char **made, size_t used, const struct setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		made[used] = join(settings[i].variable, settings[i].value, NULL);
		if (!made[used++])
			return false;
	}
	return true;
}

char **environment_for_program(char *const *from, const char *shim, const char *socket,
    const struct setting *settings, size_t setting_count)
{
	char **made = make_vector(from, 2 + setting_count);
	if (!made)
		return NULL;
	size_t count = 0;
	bool preloaded = false;
	for (; *from; from++) {
		if (is_variable(*from, FL_MONITOR_VARIABLE) ||
		    is_set(*from, settings, setting_count))
			continue;
		if (is_variable(*from, PRELOAD_VARIABLE)) {
			made[count] =
			    join(PRELOAD_VARIABLE, shim, *from + strlen(PRELOAD_VARIABLE) + 1);
			preloaded = true;
		} else {
			made[count] = strdup(*from);
		}
		if (!made[count++])
			goto out;
	}
	if (!preloaded && !(made[count++] = join(PRELOAD_VARIABLE, shim, NULL)))
		goto out;
	made[count] = join(FL_MONITOR_VARIABLE, socket, NULL);
	if (made[count++] && add_settings(made, count, settings, setting_count))
		return made;
out:
	environment_free(made);
	return NULL;
}

char **environment_for_monitor(char *const *from, const struct setting *settings, size_t count)
{
	char **made = make_vector(from, count);
	if (!made)
		return NULL;
	size_t used = 0;
	for (; *from; from++) {
		if (is_variable(*from, FL_MONITOR_VARIABLE) ||
		    is_variable(*from, PRELOAD_VARIABLE) || is_set(*from, settings, count))
			continue;
		made[used] = strdup(*from);
		if (!made[used++])
			goto out;
	}
	if (add_settings(made, used, settings, count))
		return made;
out:
	environment_free(made);
	return NULL;
}
