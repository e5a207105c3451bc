/* SPDX-License-Identifier: MIT */
/*
 * elf_check.c: reads the headers, the dynamic section and the symbols of a program with libelf.
 * Runs in `faultline record` before anything is started; changes nothing.
 */
#include "elf_check.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "which e_machine has this architecture?"
#endif

/*
 * Runtimes that must come first, or own the address space: linked as a library of that name, or
 * into the program, where they define that symbol.
 */
static const struct {
	const char *library, *symbol, *name;
} sanitizers[] = {
    {"libasan.so", "__asan_init", "AddressSanitizer"},
    {"libclang_rt.asan", "__asan_init", "AddressSanitizer"},
    {"libhwasan.so", "__hwasan_init", "HWAddressSanitizer"},
    {"libtsan.so", "__tsan_init", "ThreadSanitizer"},
    {"libclang_rt.tsan", "__tsan_init", "ThreadSanitizer"},
    {"libclang_rt.msan", "__msan_init", "MemorySanitizer"},
    {"liblsan.so", "__lsan_init", "LeakSanitizer"},
    {"libubsan.so", "__ubsan_handle_type_mismatch_v1", "UndefinedBehaviorSanitizer"},
    {"libclang_rt.ubsan", "__ubsan_handle_type_mismatch_v1", "UndefinedBehaviorSanitizer"},
};
#define SANITIZERS (sizeof(sanitizers) / sizeof(sanitizers[0]))

static const char *sanitizer_of_library(const char *library)
{
	for (size_t i = 0; i < SANITIZERS; i++)
		if (strncmp(library, sanitizers[i].library, strlen(sanitizers[i].library)) == 0)
			return sanitizers[i].name;
	return NULL;
}

/* The sanitizer whose runtime one of the section's symbols belongs to, or NULL. */
static const char *sanitizer_of_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	if (!data || header->sh_entsize == 0)
		return NULL;
	int count = (int)(header->sh_size / header->sh_entsize);
	for (int i = 0; i < count; i++) {
		GElf_Sym symbol;
		if (!gelf_getsym(data, i, &symbol) || symbol.st_shndx == SHN_UNDEF)
			continue;
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!name || name[0] != '_' || name[1] != '_')
			continue;
		for (size_t j = 0; j < SANITIZERS; j++)
			if (strcmp(name, sanitizers[j].symbol) == 0)
				return sanitizers[j].name;
	}
	return NULL;
}

/* What of the dynamic section matters. The strings belong to `elf`. */
struct dynamic {
	const char *soname;
	const char *sanitizer;
};

static void read_dynamic(
    Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct dynamic *dynamic)
{
	Elf_Data *data = elf_getdata(section, NULL);
	if (!data || header->sh_entsize == 0)
		return;
	int count = (int)(header->sh_size / header->sh_entsize);
	for (int i = 0; i < count; i++) {
		GElf_Dyn entry;
		if (!gelf_getdyn(data, i, &entry) || entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag != DT_SONAME && entry.d_tag != DT_NEEDED)
			continue;
		const char *name = elf_strptr(elf, header->sh_link, entry.d_un.d_val);
		if (!name)
			continue;
		if (entry.d_tag == DT_SONAME)
			dynamic->soname = name;
		else if (!dynamic->sanitizer)
			dynamic->sanitizer = sanitizer_of_library(name);
	}
}

static void read_sections(Elf *elf, struct dynamic *dynamic)
{
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_DYNAMIC)
			read_dynamic(elf, section, &header, dynamic);
		else if ((header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB) &&
			 !dynamic->sanitizer)
			dynamic->sanitizer = sanitizer_of_symbols(elf, section, &header);
	}
}

/* The path in PT_INTERP, or "" when there is none. 0 or negative errno. */
static int read_loader(Elf *elf, int fd, char loader[PATH_MAX])
{
	size_t count;
	loader[0] = '\0';
	if (elf_getphdrnum(elf, &count) < 0)
		return -ENOEXEC;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr header;
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_INTERP)
			continue;
		if (header.p_filesz < 2 || header.p_filesz > PATH_MAX)
			return -ENOEXEC;
		ssize_t length = pread(fd, loader, header.p_filesz, (off_t)header.p_offset);
		if (length != (ssize_t)header.p_filesz || loader[length - 1] != '\0')
			return -ENOEXEC;
		return 0;
	}
	return 0;
}

static bool begins_with(const char *text, const char *prefix)
{
	return text && strncmp(text, prefix, strlen(prefix)) == 0;
}

static int check_loading(Elf *elf, int fd, char *reason, size_t size)
{
	char loader[PATH_MAX];
	int result = read_loader(elf, fd, loader);
	if (result < 0)
		return result;
	struct dynamic dynamic = {0};
	read_sections(elf, &dynamic);
	/* The loader run as a program has no loader of its own, but heeds LD_PRELOAD. */
	if (loader[0] == '\0' && !begins_with(dynamic.soname, "ld-linux")) {
		snprintf(reason, size,
		    "is statically linked: nothing can be preloaded into it; link it dynamically");
		return 1;
	}
	if (loader[0] != '\0' && access(loader, F_OK) < 0) {
		snprintf(reason, size, "%s", loader);
		return -ENOENT;
	}
	const char *base = strrchr(loader, '/');
	if (begins_with(base, "/ld-musl")) {
		snprintf(reason, size,
		    "is linked with musl: the shim needs glibc; build the program with glibc");
		return 1;
	}
	if (dynamic.sanitizer) {
		snprintf(reason, size,
		    "is built with %s, which must own the memory functions; "
		    "build it without -fsanitize",
		    dynamic.sanitizer);
		return 1;
	}
	return 0;
}

int elf_check(int fd, char *reason, size_t size)
{
	unsigned char identity[EI_NIDENT + 4];
	ssize_t length = pread(fd, identity, sizeof(identity), 0);
	if (length < 0)
		return -errno;
	if (length < (ssize_t)sizeof(identity) || memcmp(identity, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -EINVAL;
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	GElf_Ehdr header;
	int result = -ENOEXEC;
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
		goto out;
	if (gelf_getclass(elf) != ELFCLASS64) {
		snprintf(reason, size,
		    "is a 32-bit program: faultline traces 64-bit ones; "
		    "build it for 64 bits");
		result = 1;
	} else if (header.e_machine != OUR_MACHINE) {
		snprintf(reason, size,
		    "is built for another machine (ELF machine %u): "
		    "build it for this one",
		    header.e_machine);
		result = 1;
	} else {
		result = check_loading(elf, fd, reason, size);
	}
out:
	elf_end(elf);
	return result;
}

/* The capability set that a line such as "CapBnd:" of /proc/self/status tells; all on failure. */
static uint64_t own_capabilities(const char *field)
{
	uint64_t set = UINT64_MAX;
	FILE *status = fopen("/proc/self/status", "re");
	if (!status)
		return set;
	char line[256];
	size_t length = strlen(field);
	while (fgets(line, sizeof(line), status))
		if (strncmp(line, field, length) == 0)
			set = strtoull(line + length, NULL, 16);
	fclose(status);
	return set;
}

/* Do the file's capabilities give a process of ours any, or ask for secure mode by themselves? */
static bool gains_capabilities(int fd)
{
	struct vfs_ns_cap_data data;
	ssize_t size = fgetxattr(fd, "security.capability", &data, sizeof(data));
	if (size < (ssize_t)(sizeof(data.magic_etc) + sizeof(data.data[0])))
		return false;
	if (le32toh(data.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE)
		return true;
	uint64_t permitted = le32toh(data.data[0].permitted);
	uint64_t inheritable = le32toh(data.data[0].inheritable);
	if (size >= (ssize_t)(sizeof(data.magic_etc) + sizeof(data.data))) {
		permitted |= (uint64_t)le32toh(data.data[1].permitted) << 32;
		inheritable |= (uint64_t)le32toh(data.data[1].inheritable) << 32;
	}
	return ((permitted & own_capabilities("CapBnd:")) |
		   (inheritable & own_capabilities("CapInh:"))) != 0;
}

int elf_check_privileges(int fd, char *reason, size_t size)
{
	struct stat status;
	struct statvfs mount;
	if (fstat(fd, &status) < 0 || fstatvfs(fd, &mount) < 0)
		return -errno;
	uid_t user = geteuid();
	gid_t group = getegid();
	bool ignored = (mount.f_flag & ST_NOSUID) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (!ignored && (status.st_mode & S_ISUID))
		user = status.st_uid;
	if (!ignored && (status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP))
		group = status.st_gid;
	const char *what = NULL;
	if (user != getuid())
		what = status.st_mode & S_ISUID ? "is setuid" : "runs with another user's rights";
	else if (group != getgid())
		what = status.st_mode & S_ISGID ? "is setgid" : "runs with another group's rights";
	else if (!ignored && getuid() != 0 && gains_capabilities(fd))
		what = "has file capabilities";
	if (!what)
		return 0;
	snprintf(reason, size,
	    "%s: the loader ignores LD_PRELOAD there; run it as the user it "
	    "changes to, or trace a copy without these rights",
	    what);
	return 1;
}
