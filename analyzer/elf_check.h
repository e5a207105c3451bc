/* SPDX-License-Identifier: MIT */
/*
 * elf_check.h: can a shim be preloaded into this ELF program?
 */
#ifndef FAULTLINE_ELF_CHECK_H
#define FAULTLINE_ELF_CHECK_H

#include <stddef.h>

/*
 * Inspects the open file. Returns 0 when a shim can be preloaded; 1 after writing to `reason`
 * what speaks against it, as the end of a sentence ("is statically linked: ..."); -ENOEXEC when
 * it is no ELF file; -ENOENT after writing to `reason` the path of a loader that is missing; or
 * another negative errno.
 */
int elf_check(int fd, char *reason, size_t size);

/*
 * Would executing this file make the loader run in secure mode (AT_SECURE), where it ignores
 * LD_PRELOAD? As cap_bprm_creds_from_file() in Linux's security/commoncap.c decides it. Returns
 * 1 after writing the reason, 0, or a negative errno.
 */
int elf_check_privileges(int fd, char *reason, size_t size);

#endif
