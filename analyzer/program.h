/* SPDX-License-Identifier: MIT */
/*
 * program.h: finds the file that execvp(3) would run, and tells beforehand what LD_PRELOAD
 * cannot trace: there the loader would ignore the shim, or the program would break.
 */
#ifndef FAULTLINE_PROGRAM_H
#define FAULTLINE_PROGRAM_H

#include <limits.h>
#include <stddef.h>

/*
 * Finds `name` as execvp would with the PATH of this process, and writes the file's path to
 * `path` (PATH_MAX bytes). Follows "#!" lines as the kernel does and inspects the program that
 * would run in the end. Returns 0 when it can be traced; else the status that `record` exits
 * with, after writing one sentence to `error`:
 * STATUS_NOT_FOUND (also when an interpreter or loader is missing, as with env(1)),
 * STATUS_NOT_RUN (a directory, not executable), STATUS_NOT_TRACED.
 */
int program_find(const char *name, char *path, char *error, size_t error_size);

#endif
