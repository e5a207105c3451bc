/* SPDX-License-Identifier: MIT */
/*
 * symbols.c: names for addresses, from every place where they may stand. The truth comes from nm
 * and from the running process. Makes its own ELF files with gcc and binutils.
 */
#include "symbols.h"

#include "check.h"
#include <dirent.h>
#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <time.h>

static struct symbols *symbols;

static const char source[] =
    "#include <stdio.h>\n"
    "static __attribute__((noinline,noclone)) int hidden_one(int n) { return n * 3 + puts(\"1\"); "
    "}\n"
    "static __attribute__((noinline,noclone)) int hidden_two(int n) { return n * 5 + puts(\"2\"); "
    "}\n"
    "__attribute__((noinline)) int seen(int n) { return hidden_one(n) + hidden_two(n); }\n"
    "int main(int argc, char **argv) { (void)argv; puts(NAME); return seen(argc); }\n";

/* Runs a shell command; false, and the case fails, when it fails. */
__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[4096];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return CHECK(system(command) == 0, "%s", command);
}

/* What nm says of a function; 0 when there is none. */
static uint64_t address_of(const char *file, const char *name)
{
	char command[PATH_MAX + 100];
	uint64_t address = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "nm '%s' 2>/dev/null | awk '$3 == \"%s\" { print $1 }'",
	    file, name);
	pipe = popen(command, "re");
	if (!pipe || fscanf(pipe, "%lx", &address) != 1)
		address = 0;
	if (pipe)
		pclose(pipe);
	return address;
}

struct build_id {
	uint8_t bytes[64];
	uint32_t size;
};

static struct build_id build_id_of(const char *path)
{
	struct build_id id = {.size = 0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const void *bits;
	ssize_t size;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	size = dwelf_elf_gnu_build_id(elf, &bits);
	if (size > 0 && size <= (ssize_t)sizeof(id.bytes)) {
		id.size = (uint32_t)size;
		memcpy(id.bytes, bits, id.size);
	}
	elf_end(elf);
	close(fd);
	return id;
}

static const char *absolute(const char *path)
{
	static char full[PATH_MAX];

	return realpath(path, full) ? full : path;
}

static const char *look_up(
    const char *path, const struct build_id *id, uint64_t offset, uint64_t *at)
{
	return symbols_of_file(symbols, absolute(path), getpid(), -1, id ? id->bytes : NULL,
	    id ? id->size : 0, offset, at);
}

static void check_name(const char *path, const struct build_id *id, uint64_t address,
    uint64_t inside, const char *name)
{
	uint64_t at = UINT64_MAX;
	const char *found = look_up(path, id, address + inside, &at);

	CHECK(address != 0, "nm does not know %s", name);
	CHECK(found && !strcmp(found, name) && at == inside, "%s+%lu in %s: %s+%lu", name, inside,
	    path, found ? found : "(none)", at);
}

static void check_no_name(const char *path, const struct build_id *id, uint64_t address)
{
	uint64_t at = 0;
	const char *found = look_up(path, id, address, &at);

	CHECK(!found, "%#lx in %s: %s+%lu", address, path, found, at);
}

/* Each has another build-id: tables are remembered by it. */
static bool make_program(const char *name, const char *flags)
{
	check_write("program.c", source, sizeof(source) - 1);
	return shell("gcc -O1 -g -fPIE -pie %s -o %s '-DNAME=\"%s\"' program.c", flags, name, name);
}

static void with_symtab(void)
{
	struct build_id id;

	if (!make_program("plain", "-Wl,--build-id"))
		return;
	id = build_id_of("plain");
	CHECK(id.size > 0, "no build-id");
	check_name("plain", &id, address_of("plain", "main"), 0, "main");
	check_name("plain", &id, address_of("plain", "hidden_one"), 3, "hidden_one");
	check_name("plain", &id, address_of("plain", "hidden_two"), 1, "hidden_two");
	check_name("plain", &id, address_of("plain", "seen"), 5, "seen");
	/* No size in the file: to the end of its section, .init, and no further. */
	check_name("plain", &id, address_of("plain", "_init"), 2, "_init");
	check_no_name("plain", &id, 0);
	check_no_name("plain", &id, UINT64_MAX);
	check_no_name("plain", &id, address_of("plain", "_IO_stdin_used"));
}

static void without_build_id(void)
{
	uint64_t main_address;
	pid_t child;

	if (!make_program("nameless", "-Wl,--build-id=none"))
		return;
	main_address = address_of("nameless", "main");
	check_name("nameless", NULL, main_address, 1, "main");
	/* Another file in its place, seen by another process. */
	if (!shell("sed 's/hidden_one/rewritten/' program.c > other.c &&"
		   "gcc -O1 -fPIE -pie -Wl,--build-id=none -DNAME=__FILE__ -o nameless other.c"))
		return;
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	uint64_t at, address = address_of("nameless", "rewritten");
	const char *found =
	    symbols_of_file(symbols, absolute("nameless"), child, -1, NULL, 0, address + 2, &at);
	CHECK(found && !strcmp(found, "rewritten") && at == 2, "%s", found ? found : "(none)");
	/* One that nobody can find by its name any more. */
	int descriptor = open("nameless", O_RDONLY);
	char name[PATH_MAX + 8];
	snprintf(name, sizeof(name), "%s-gone", absolute("nameless"));
	found = symbols_of_file(symbols, name, child, descriptor, NULL, 0, address + 3, &at);
	CHECK(found && !strcmp(found, "rewritten") && at == 3, "%s", found ? found : "(none)");
	close(descriptor);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void with_debugdata(void)
{
	struct build_id id;
	uint64_t hidden, seen;

	if (!make_program("mini", "-Wl,--build-id -rdynamic"))
		return;
	id = build_id_of("mini");
	hidden = address_of("mini", "hidden_one");
	seen = address_of("mini", "seen");
	/* As distributions make .gnu_debugdata: the functions that .dynsym does not have, packed.
	 */
	if (!shell(
		"nm -D mini --format=posix --defined-only | awk '{ print $1 }' | sort > dynsyms;"
		"nm mini --format=posix --defined-only |"
		" awk '$2 ~ /[Tt]/ { print $1 }' | sort > funcsyms;"
		"comm -13 dynsyms funcsyms > keep &&"
		"objcopy --only-keep-debug mini mini.debug &&"
		"objcopy -S --remove-section .comment --keep-symbols=keep mini.debug mini.mini &&"
		"strip --strip-all -R .comment mini && rm -f mini.mini.xz && xz mini.mini &&"
		"objcopy --add-section .gnu_debugdata=mini.mini.xz mini && rm mini.debug"))
		return;
	CHECK(address_of("mini", "hidden_one") == 0, "the file is not stripped");
	check_name("mini", &id, hidden, 2, "hidden_one");
	check_name("mini", &id, seen, 2, "seen");
}

static void stripped(void)
{
	struct build_id id;
	uint64_t hidden, seen;

	if (!make_program("bare", "-Wl,--build-id -rdynamic"))
		return;
	id = build_id_of("bare");
	hidden = address_of("bare", "hidden_one");
	seen = address_of("bare", "seen");
	if (!shell("strip --strip-all bare"))
		return;
	check_name("bare", &id, seen, 4, "seen"); /* .dynsym */
	check_no_name("bare", &id, hidden);
	if (!make_program("barest", "-Wl,--build-id") || !shell("strip --strip-all barest"))
		return;
	id = build_id_of("barest");
	check_no_name("barest", &id, hidden);
}

/* A process with another root, where the program and its debug file lie. */
static pid_t start_in_root(const char *root)
{
	int ready[2];
	char byte;
	pid_t child;

	if (pipe(ready))
		return -1;
	child = fork();
	if (child == 0) {
		close(ready[0]);
		if (geteuid() != 0 && unshare(CLONE_NEWUSER))
			_exit(1);
		if (chroot(root) || chdir("/") || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(child, NULL, 0);
		child = -1;
	}
	close(ready[0]);
	return child;
}

static void separate_debug_file(void)
{
	char hex[2 * sizeof(((struct build_id *)0)->bytes) + 1] = "";
	uint64_t hidden, at = 0;
	struct build_id id;
	const char *found;
	pid_t child;

	if (!shell("mkdir -p root/bin") || !make_program("root/bin/split", "-Wl,--build-id"))
		return;
	id = build_id_of("root/bin/split");
	hidden = address_of("root/bin/split", "hidden_two");
	for (uint32_t i = 0; i < id.size; i++)
		snprintf(hex + 2 * i, 3, "%02x", id.bytes[i]);
	if (!shell("d=root/usr/lib/debug/.build-id/%.2s && mkdir -p $d &&"
		   "objcopy --only-keep-debug root/bin/split $d/%s.debug &&"
		   "strip --strip-all root/bin/split",
		hex, hex + 2))
		return;
	child = start_in_root("root");
	if (child < 0) {
		check_skip("neither chroot nor user namespaces are permitted");
		return;
	}
	found =
	    symbols_of_file(symbols, "/bin/split", child, -1, id.bytes, id.size, hidden + 1, &at);
	CHECK(found && !strcmp(found, "hidden_two") && at == 1, "%s", found ? found : "(none)");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	/* The table stays when the process has gone. */
	found = symbols_of_file(symbols, "/bin/split", child, -1, id.bytes, id.size, hidden, &at);
	CHECK(found && !strcmp(found, "hidden_two"), "forgotten");
	/* A name beside the program (.gnu_debuglink). */
	if (!make_program("linked", "-Wl,--build-id=none") ||
	    !shell("objcopy --only-keep-debug linked linked.debug && strip --strip-all linked &&"
		   "objcopy --add-gnu-debuglink=linked.debug linked"))
		return;
	check_name("linked", NULL, address_of("linked.debug", "hidden_one"), 1, "hidden_one");
}

/* The C library of this process: .dynsym for exported functions, and what its debug file adds. */
static void libc(void)
{
	void *library = dlopen("libc.so.6", RTLD_NOW);
	struct link_map *map;
	char path[PATH_MAX], debug[PATH_MAX] = "/usr/lib/debug/.build-id/";
	static const char *const names[] = {"malloc", "getenv", "qsort_r", "strtoul"};
	struct build_id id;
	uint64_t address;
	size_t length = strlen(debug);

	if (!CHECK(
		library && !dlinfo(library, RTLD_DI_LINKMAP, &map) && realpath(map->l_name, path),
		"where is libc?"))
		return;
	id = build_id_of(path);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t at = UINT64_MAX;
		const char *found;

		address = (uint64_t)(uintptr_t)dlsym(library, names[i]) - map->l_addr;
		found = look_up(path, &id, address + 4, &at);
		/* Some have two names of equal standing. */
		CHECK(found && at == 4 && (strstr(found, names[i]) || strstr(found, "strtoull")),
		    "%s: %s+%lu", names[i], found ? found : "(none)", at);
		CHECK(found && !strchr(found, '@'), "%s has its version in it", found);
	}
	dlclose(library);

	for (uint32_t i = 0; i < id.size; i++)
		length += (size_t)snprintf(debug + length, sizeof(debug) - length, "%02x%s",
		    id.bytes[i], i == 0 ? "/" : "");
	snprintf(debug + length, sizeof(debug) - length, ".debug");
	if (access(debug, R_OK)) {
		check_skip("exported names only: the debug file of libc (libc6-dbg) is missing");
		return;
	}
	address = address_of(debug, "_int_malloc");
	check_name(path, &id, address, 16, "_int_malloc");
}

static void vdso(void)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	uint64_t at = UINT64_MAX;
	const char *found;
	Dl_info info;
	void *handle, *function;

	if (!image) {
		check_skip("this system has no vdso");
		return;
	}
	handle = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	function = handle ? dlvsym(handle, "__vdso_clock_gettime", "LINUX_2.6") : NULL;
	if (!function || !dladdr(function, &info)) {
		check_skip("the loader does not show the vdso's functions");
		return;
	}
	found = symbols_of_file(symbols, "[vdso]", getpid(), -1, NULL, 0,
	    (uint64_t)((const char *)function - image) + 3, &at);
	CHECK(found && strstr(found, "clock_gettime") && at == 3, "%s+%lu",
	    found ? found : "(none)", at);
	CHECK(!symbols_of_file(symbols, "[vdso]", getpid(), -1, NULL, 0, 1 << 20, &at), "outside");
}

/* Functions in functions, labels without a size, two names for one address. */
static void shapes(void)
{
	static const char text[] =
	    ".text\n"
	    ".type outer,@function\nouter: .fill 16,1,0x90\n"
	    "bare_label: .fill 16,1,0x90\n"
	    ".type inner,@function\ninner: .fill 16,1,0x90\n.size inner,.-inner\n"
	    ".fill 16,1,0x90\n.size outer,.-outer\n"
	    ".fill 16,1,0x90\n"
	    ".type open,@function\nopen: .fill 16,1,0x90\n"
	    "loose: .fill 16,1,0x90\n"
	    ".type both,@function\n.type _both,@function\n.type weaker,@function\n"
	    ".type local_one,@function\n.globl both\n.globl _both\n.weak weaker\n"
	    "local_one:\nweaker:\n_both:\nboth: .fill 16,1,0x90\n"
	    ".size both,16\n.size _both,16\n.size weaker,16\n.size local_one,16\n"
	    ".type fresh,@function\n.globl fresh\nfresh: .fill 16,1,0x90\n"
	    ".size fresh,16\n.symver fresh,versioned@@V1,remove\n"
	    ".data\n.globl datum\ndatum: .quad 0\n";
	uint64_t outer, at;

	check_write("shapes.s", text, sizeof(text) - 1);
	check_write("shapes.map", "V1 { global: *; };\n", 19);
	if (!shell("gcc -nostdlib -shared -Wl,--version-script=shapes.map -o shapes.so shapes.s"))
		return;
	outer = address_of("shapes.so", "outer");
	check_name("shapes.so", NULL, outer, 0, "outer");
	check_name("shapes.so", NULL, outer, 20, "outer"); /* the label is inside it */
	check_name("shapes.so", NULL, outer + 32, 15, "inner");
	check_name("shapes.so", NULL, outer, 50, "outer"); /* behind inner */
	check_no_name("shapes.so", NULL, outer + 64);
	check_name("shapes.so", NULL, outer + 80, 15, "open");
	check_name("shapes.so", NULL, outer + 96, 5, "loose");
	check_name("shapes.so", NULL, outer + 112, 5, "both");
	check_name("shapes.so", NULL, outer + 128, 5, "versioned");
	check_no_name("shapes.so", NULL, outer + 144);
	check_no_name("shapes.so", NULL, address_of("shapes.so", "datum"));
	CHECK(!look_up("shapes.so", NULL, outer - 1, &at), "before the first");
}

static void nothing_to_read(void)
{
	const struct build_id other = {.bytes = {1, 2, 3, 4}, .size = 4};
	uint64_t at;

	check_no_name("/no/such/file", NULL, 4096);
	check_no_name("/no/such/file (deleted)", &other, 4096);
	check_no_name("/etc/passwd", NULL, 10);
	check_no_name("/tmp", NULL, 10);
	CHECK(!mkfifo("fifo", 0600), "mkfifo");
	check_no_name("fifo", NULL, 10);
	check_no_name("/dev/zero", NULL, 10);
	CHECK(!symbols_of_file(symbols, "//anon", 1, -1, NULL, 0, 1, &at), "//anon");
	CHECK(!symbols_of_file(symbols, "", 1, -1, NULL, 0, 1, &at), "an empty path");
	check_write("cut", "\177ELF\2\1\1", 7);
	check_no_name("cut", NULL, 10);
	/* Replaced by another build since it was mapped: no name rather than a wrong one. */
	if (make_program("replaced", "-Wl,--build-id"))
		check_no_name("replaced", &other, address_of("replaced", "main"));
}

static void append(const char *path, const char *text)
{
	FILE *file = fopen(path, "ae");

	fputs(text, file);
	fclose(file);
}

/* Waits, for a second at most, until `ip` has this name (NULL: none). */
static void check_generated(pid_t pid, uint64_t ip, uint64_t inside, const char *name)
{
	const char *found = NULL;
	uint64_t at = 0;

	for (int i = 0; i < 200; i++) {
		found = symbols_of_process(symbols, pid, ip + inside, &at);
		if (name ? found && !strcmp(found, name) && at == inside : !found)
			return;
		usleep(5000);
	}
	CHECK(false, "%#lx: %s instead of %s", ip + inside, found ? found : "(none)",
	    name ? name : "(none)");
}

static void perf_map(void)
{
	pid_t pid = getpid();
	char path[64], line[256];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	unlink(path);
	check_generated(pid, 0x1000, 0, NULL);
	append(path, "1000 100 first\n2000 80 LazyCompile:~second file.js:12\n");
	check_generated(pid, 0x1000, 0xff, "first");
	check_generated(pid, 0x1100, 0, NULL);
	check_generated(pid, 0x2000, 0x7f, "LazyCompile:~second file.js:12");
	check_generated(pid, 0xfff, 0, NULL);

	/* It grows; the last line is not complete yet. */
	append(path, "3000 10 third\nffffffffff000000 10 hi");
	check_generated(pid, 0x3000, 1, "third");
	check_generated(pid, 0xffffffffff000000, 1, NULL);
	append(path, "gh\n500 10 lowest\n");
	check_generated(pid, 0xffffffffff000000, 1, "high");
	check_generated(pid, 0x500, 1, "lowest");

	/* New code in an old place, larger and smaller. */
	append(path, "1080 10 newer\n2800 1000 wider\n");
	check_generated(pid, 0x1080, 3, "newer");
	check_generated(pid, 0x2800, 0x805, "wider");
	check_generated(pid, 0x1000, 3, NULL);

	/* Junk. */
	append(path, "\nzz 10 junk\n4000\n4000 \n4000 10\n4000 10 \n4000 0 none\n"
		     "fffffffffffffff0 20 wraps\n0x5000 0x10 prefixed\n4100 10 fine\n");
	check_generated(pid, 0x4100, 1, "fine");
	check_generated(pid, 0x4000, 0, NULL);
	check_generated(pid, 0x5000, 2, "prefixed");

	/* Many at once, more than one read takes. */
	FILE *file = fopen(path, "ae");
	for (unsigned i = 0; i < 20000; i++)
		fprintf(file, "%x 10 generated_%u\n", 0x100000 + i * 16, i);
	fclose(file);
	for (unsigned i = 0; i < 20000; i += 997) {
		snprintf(line, sizeof(line), "generated_%u", i);
		check_generated(pid, 0x100000 + i * 16, 15, line);
	}

	/* Written anew. */
	check_write(path, "1000 10 again\n", 14);
	check_generated(pid, 0x1000, 2, "again");
	check_generated(pid, 0x3000, 1, NULL);
	unlink(path);
	check_generated(pid, 0x1000, 2, "again");

	/* More processes than are remembered. */
	for (pid_t other = 1; other < 200; other++)
		symbols_of_process(symbols, 4000000 + other, 1, &(uint64_t){0});
}

static void no_servers(void)
{
	CHECK(!getenv("DEBUGINFOD_URLS"), "debuginfod's servers would be asked");
}

static int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (folder && readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static int descriptors_before;

static void no_leaks(void)
{
	symbols_destroy(symbols);
	CHECK(open_descriptors() == descriptors_before, "%d instead of %d", open_descriptors(),
	    descriptors_before);
}

int main(void)
{
	char folder[64];

	check_enter_folder(folder);
	descriptors_before = open_descriptors();
	setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1/", 1);
	symbols = symbols_create();
	check_case("no servers are asked", no_servers);
	check_case("a file with .symtab", with_symtab);
	check_case("files without a build-id", without_build_id);
	check_case("a stripped file with .gnu_debugdata", with_debugdata);
	check_case("stripped files", stripped);
	check_case("a separate debug file, in another root", separate_debug_file);
	check_case("the C library", libc);
	check_case("the vdso", vdso);
	check_case("nested, open and doubly named functions", shapes);
	check_case("files that are gone, replaced or something else", nothing_to_read);
	check_case("perf maps grow", perf_map);
	check_case("no descriptors stay open", no_leaks);
	symbols_destroy(NULL);
	check_leave_folder(folder);
	return check_result();
}
