# SPDX-License-Identifier: MIT
# Builds, tests and installs faultline. One make for the whole tree: sources are found by wildcard,
# objects lie under build/ as their sources do in the tree. `make help` lists the targets.
#
#   V=1                       shows the commands
#   SAN=address,undefined     monitor, command and unit tests with sanitizers, in build-san/; never
#                             the shim or the traced test programs, which live in other processes
#   COVERAGE=1                the same three with gcov's counters, in build-coverage/
#   WERROR=1                  warnings are errors (as when CI is set)
#   TESTS=, FILTER=, TAGS=    which test files, test names (a regex) and tags `make check` runs
#   CASE=, ROUNDS=            which cases (a regex) `make bench` measures, and how many times (7)

VERSION := 0.1.0

prefix ?= /usr/local
DESTDIR ?=

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
PKG_CONFIG ?= pkg-config
WERROR ?= $(if $(CI),1)

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# --- Debian packages -------------------------------------------------------------------------

PACKAGES := gcc g++ libc6-dev pkg-config libunwind-dev libjansson-dev libelf-dev libdw-dev \
	libzstd-dev libncurses-dev libprotobuf-c-dev protobuf-c-compiler zlib1g-dev node-d3
# What the tests are written with, and the programs that they trace.
PACKAGES_CHECK := bats jq zstd cmark-gfm tmux binutils procps strace mandoc python3 clang libdebuginfod1 rustc \
	default-jdk-headless gdb git libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 make \
	memcached nginx nodejs openssl perl postgresql redis-server redis-tools sqlite3 stress-ng \
	time wrk xz-utils heaptrack linux-perf \
	chromium chromium-driver curl fonts-dejavu-core golang-go golang-github-google-pprof-dev \
	libdevel-nytprof-perl protobuf-compiler python3-jsonschema python3-selenium
# Readers of exports that Debian does not have, from npm, below build/npm.
NPM_PACKAGES_CHECK := @duckdb/node-api@1.5.6-r.1 @firefox-devtools/profiler-cli@0.10.0 \
	@parca/client@0.17.24 chdb@3.4.0 speedscope@1.25.0
PACKAGES_DEMO := python3
PACKAGES_BENCH := chromium chromium-driver default-jre-headless gcc heaptrack jq linux-perf nodejs \
	python3 python3-selenium redis-server redis-tools sqlite3 time
PACKAGES_LINT := clang-format codespell cppcheck mandoc shellcheck \
	eslint node-chalk node-strip-ansi node-text-table node-v8-compile-cache
PACKAGES_COVERAGE := lcov
PACKAGES_FUZZ := afl++ clang libclang-rt-dev

# --- What is built where ---------------------------------------------------------------------

ifdef SAN
B := build-san
INSTRUMENT := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
# Linked in, sanitizers stand it when a user's LD_PRELOAD brings another allocator, and all of them
# report where ASAN_OPTIONS says.
INSTRUMENT += $(if $(findstring address,$(SAN)),-static-libasan) \
	$(if $(findstring undefined,$(SAN)),-static-libubsan)
else ifdef COVERAGE
B := build-coverage
INSTRUMENT := --coverage -fprofile-update=atomic
else
B := build
INSTRUMENT :=
endif

# The shim and the test programs are never instrumented, and are those of the plain build then.
PLAIN := $(if $(INSTRUMENT),build,$(B))

# The command finds shim and monitor in build/ beside it, or in ../lib/faultline from it. The plain
# build leaves it at the top of the tree; every other one makes a small tree as if installed.
ifeq ($(B),build)
FAULTLINE := faultline
LIB := build
else
FAULTLINE := $(B)/bin/faultline
LIB := $(B)/lib/faultline
endif
SHIM := $(LIB)/libfaultline.so
MONITOR := $(LIB)/faultline-monitor

sources = $(sort $(foreach folder,$(1),$(wildcard $(folder)/*.c $(folder)/*.S \
	$(folder)/*/*.c $(folder)/*/*.S)))
objects = $(addprefix $(1)/,$(addsuffix .o,$(basename $(2))))
names = $(sort $(basename $(notdir $(wildcard $(1)))))

shim_objects := $(call objects,$(PLAIN),$(call sources,preload/shim))
options_object := $(call objects,$(B),preload/options.c preload/output.c preload/uffd_features.c preload/uffd_open.c \
	preload/user.c preload/cpu_latency.c)
monitor_objects := $(call objects,$(B),$(call sources,preload/monitor))
messages := $(B)/messages/pprof.pb-c
analyzer_objects := $(call objects,$(B),$(call sources,analyzer)) $(messages).o
all_objects := $(shim_objects) $(options_object) $(monitor_objects) $(analyzer_objects)

unit_tests := $(addprefix $(B)/unit/,$(call names,tests/unit/*.c))
plugins := $(addprefix $(PLAIN)/programs/,$(addsuffix .so,$(call names,tests/programs/lib*.c)))
program_names := $(filter-out lib%,$(call names,tests/programs/*.c tests/programs/*.cc))
programs := $(foreach name,$(program_names),$(addprefix $(PLAIN)/programs/,$(name) $(name)-O2))
bench_programs := $(addprefix $(PLAIN)/bench/,$(call names,tests/bench/*.c))
fuzzers := $(addprefix $(B)/fuzz/,$(call names,tests/fuzz/*.c))

# --- Flags -----------------------------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wpointer-arith $(if $(WERROR),-Werror)
c_warnings := $(warnings) -Wstrict-prototypes -Wmissing-prototypes
base_cppflags := -D_GNU_SOURCE= -DFAULTLINE_VERSION='"$(VERSION)"' -MMD -MP
base_cflags := -std=gnu11 $(c_warnings)

# The shim lives in somebody else's process. initial-exec: its thread-local data must not make the
# loader call malloc, which it interposes. no-builtin: gcc must not turn the pool's own allocation
# functions into calls of each other.
shim_cflags := -fPIC -O2 -fvisibility=hidden -ftls-model=initial-exec -fno-builtin-malloc \
	-fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
shim_ldflags := -shared -Wl,-z,defs -Wl,-z,now -Wl,-z,noexecstack -Wl,-soname,libfaultline.so

# pkg-config is asked when something is linked, not when this file is read: `make check` on a new
# machine installs it first.
libraries = $(shell $(PKG_CONFIG) --libs $(1))
library_cflags = $(eval library_cflags := $(shell $(PKG_CONFIG) --cflags $(all_packages)))$(library_cflags)
monitor_packages := libunwind-generic jansson libdw libelf libzstd
analyzer_packages := jansson ncursesw libdw libelf libprotobuf-c libzstd zlib
all_packages = $(sort $(monitor_packages) $(analyzer_packages))
# libstdc++ is for its demangler; see analyzer/demangle.c.
monitor_libs = $(call libraries,$(monitor_packages)) -pthread
analyzer_libs = $(call libraries,$(analyzer_packages)) -l:libstdc++.a -lm -pthread

# Test programs. PROGRAM_FLAGS_name adds flags for one of them, BENCH_FLAGS_name for a benchmark.
program_cflags := -g -pthread
program_libs := -ldl -pthread
PROGRAM_FLAGS_immune := -static

# The page of `faultline html` has d3 in it, as Debian builds it, and d3's licence.
D3 ?= /usr/share/nodejs/d3/dist/d3.min.js
D3_LICENCE ?= /usr/share/doc/node-d3/copyright
page := $(B)/analyzer/html/page.html
page_sources := $(sort $(wildcard $(addprefix analyzer/html/,*.html *.css *.js)))

# --- Rules -----------------------------------------------------------------------------------

V ?= 0
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2);)
# Uses every processor, unless make was told how many.
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$$(nproc))
install_packages = .ci/install-packages
install_npm_packages = .ci/install-npm-packages

all: $(FAULTLINE) $(SHIM) $(MONITOR) ## build ./faultline, and its shim and monitor under build/ (default)

test-programs: $(unit_tests) $(plugins) $(programs)
bench-programs: $(bench_programs) $(PLAIN)/programs/long_trace
objects: $(all_objects)

# A file that changes when the flags do: objects made with other flags are made again.
flags = $(CC) $(INSTRUMENT) $(base_cppflags) $(CPPFLAGS) $(base_cflags) $(CFLAGS) $(LDFLAGS)
$(sort $(B)/.flags $(PLAIN)/.flags): FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(filter-out $(if $(filter $(PLAIN)/.flags,$@),$(INSTRUMENT)),$(flags)))' \
		>$@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Says what to do when there is nothing to build with.
$(sort $(B)/.tools $(PLAIN)/.tools):
	@command -v $(firstword $(CC)) >/dev/null && $(PKG_CONFIG) --exists $(all_packages) || { \
		echo "A compiler or a library is missing. Run 'make deps', or install what Debian calls:" >&2; \
		echo "    $(PACKAGES)" >&2; exit 1; }
	@mkdir -p $(@D)
	@touch $@

compile_shim = $(CC) $(base_cppflags) $(CPPFLAGS) $(base_cflags) $(CFLAGS) $(shim_cflags) -c -o $@ $<

$(PLAIN)/preload/shim/%.o: preload/shim/%.c $(PLAIN)/.flags | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,CC,$<)$(compile_shim)

$(PLAIN)/preload/shim/%.o: preload/shim/%.S $(PLAIN)/.flags | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,AS,$<)$(compile_shim)

$(B)/%.o: %.c $(B)/.flags | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(base_cppflags) $(library_cflags) $(CPPFLAGS) $(base_cflags) $(CFLAGS) $(INSTRUMENT) -c -o $@ $<

# Code that protobuf-c makes of the messages of pprof.proto.
$(messages).c: analyzer/pprof.proto | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,PROTO,$<)protoc-c --proto_path=$(<D) --c_out=$(@D) $<

$(messages).o: $(messages).c $(B)/.flags
	$(call say,CC,$<)$(CC) $(base_cppflags) $(library_cflags) $(CPPFLAGS) $(CFLAGS) $(INSTRUMENT) -c -o $@ $<

$(B)/analyzer/%.o: base_cppflags += -I$(B)/messages
$(B)/analyzer/export_pprof.o: $(messages).c

$(page): analyzer/html/assemble $(page_sources)
	@mkdir -p $(@D)
	@test -r $(D3) -a -r $(D3_LICENCE) || { \
		echo "d3 is missing. Run 'make deps', or say where it is: D3=.../d3.min.js D3_LICENCE=..." >&2; \
		exit 1; }
	$(call say,PAGE,$@)analyzer/html/assemble $(D3) $(D3_LICENCE) >$@

$(B)/analyzer/html/page.o: $(page)
$(B)/analyzer/html/page.o: base_cppflags += -DPAGE_FILE='"$(page)"'

$(PLAIN)/libfaultline.so: $(shim_objects)
	$(call say,LINK,$@)$(CC) $(shim_ldflags) $(CFLAGS) $(LDFLAGS) -o $@ $^

ifneq ($(SHIM),$(PLAIN)/libfaultline.so)
$(SHIM): $(PLAIN)/libfaultline.so
	@mkdir -p $(@D)
	$(call say,COPY,$@)cp $< $@
endif

$(MONITOR): $(monitor_objects) $(options_object)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ $(monitor_libs)

$(FAULTLINE): $(analyzer_objects) $(options_object)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ $(analyzer_libs)

# Unit tests and fuzzers may call any part of the monitor and the command but their main. The
# command's main.c, where its commands are listed, has another name for that here. From an archive
# the linker takes only the objects that it needs.
testable_objects := $(filter-out %/main.o,$(monitor_objects) $(analyzer_objects)) $(options_object) \
	$(B)/testable/commands.o
testable_cppflags := -Ipreload -Ipreload/monitor -Ianalyzer -I$(B)/messages
testable_libs = $(monitor_libs) $(analyzer_libs)

$(B)/testable/commands.o: analyzer/main.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -Dmain=commands_main $(base_cppflags) $(CPPFLAGS) \
		$(filter-out -Wmissing-prototypes,$(base_cflags)) $(CFLAGS) $(INSTRUMENT) -c -o $@ $<

$(B)/testable.a: $(testable_objects)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(B)/unit/%: tests/unit/%.c $(B)/testable.a $(B)/.flags | $(B)/.tools
	@mkdir -p $(@D)
	$(call say,UNIT,$<)$(CC) $(testable_cppflags) $(base_cppflags) -MF $@.d $(library_cflags) $(CPPFLAGS) \
		$(base_cflags) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS) -o $@ $< $(B)/testable.a $(testable_libs)

# Traced test programs: as a debugger likes them, and as distributions build them.
debug_build := -O0 -fno-omit-frame-pointer
release_build := -O2 -fomit-frame-pointer
compile_program = $(CC) -std=gnu11 -D_GNU_SOURCE= $(c_warnings)
compile_program_cxx = $(CXX) -std=gnu++17 $(warnings)
program_flags = $(program_cflags) -MMD -MP -MF $@.d $(PROGRAM_FLAGS_$(basename $(<F)))

$(PLAIN)/programs/%: tests/programs/%.c Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,PROG,$@)$(compile_program) $(debug_build) $(program_flags) -o $@ $< $(program_libs)

$(PLAIN)/programs/%-O2: tests/programs/%.c Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,PROG,$@)$(compile_program) $(release_build) $(program_flags) -o $@ $< $(program_libs)

$(PLAIN)/programs/%: tests/programs/%.cc Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,PROG,$@)$(compile_program_cxx) $(debug_build) $(program_flags) -o $@ $< $(program_libs)

$(PLAIN)/programs/%-O2: tests/programs/%.cc Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,PROG,$@)$(compile_program_cxx) $(release_build) $(program_flags) -o $@ $< $(program_libs)

$(PLAIN)/programs/lib%.so: tests/programs/lib%.c Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,PROG,$@)$(compile_program) $(release_build) -fPIC -shared $(program_flags) -o $@ $< $(program_libs)

$(PLAIN)/bench/%: tests/bench/%.c Makefile | $(PLAIN)/.tools
	@mkdir -p $(@D)
	$(call say,BENCH,$@)$(compile_program) -Ipreload -O2 $(program_cflags) -MMD -MP -MF $@.d $(BENCH_FLAGS_$*) -o $@ $< $(program_libs)

$(B)/fuzz/%: tests/fuzz/%.c $(B)/testable.a $(B)/.flags
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)$(CC) $(testable_cppflags) $(base_cppflags) -MF $@.d $(library_cflags) $(CPPFLAGS) \
		$(base_cflags) $(CFLAGS) $(INSTRUMENT) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< \
		$(B)/testable.a $(testable_libs)

-include $(all_objects:.o=.d)
-include $(B)/testable/commands.d $(addsuffix .d,$(unit_tests) $(programs) $(plugins) $(bench_programs) $(fuzzers))

# --- Targets for people ----------------------------------------------------------------------
# What needs packages installs them first and builds in a make of its own, which then finds them.

deps: ## install the Debian packages that building needs
	@$(install_packages) $(PACKAGES)

check: ## build, run the tests; ends with "N passed, N failed"
	@$(install_packages) $(PACKAGES) $(PACKAGES_CHECK) $(PACKAGES_FUZZ)
	@$(install_npm_packages) build/npm $(NPM_PACKAGES_CHECK)
	@rm -f $(B)/check-result
	@$(MAKE) $(jobs) all test-programs
	@$(MAKE) fuzz-programs
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
		FAULTLINE='$(abspath $(FAULTLINE))' SHIM='$(abspath $(SHIM))' \
		MONITOR='$(abspath $(MONITOR))' UNIT='$(abspath $(B)/unit)' \
		PROGRAMS='$(abspath $(PLAIN)/programs)' SAN='$(SAN)' MAKE_SETTINGS='$(MAKEOVERRIDES)' \
		FILTER='$(FILTER)' TAGS='$(TAGS)' RESULT='$(B)/check-result' tests/run $(TESTS)

TESTS ?= $(sort $(wildcard tests/*.bats))

demo: ## build, trace a python3 program that shows something, report
	@$(install_packages) $(PACKAGES) $(PACKAGES_DEMO)
	@$(MAKE) $(jobs) all
	@$(MAKE) run-demo

# Userfaultfd is root's nearly everywhere.
sudo = $(shell ./$(FAULTLINE) check >/dev/null 2>&1 || [ "$$(id -u)" = 0 ] || echo 'sudo ')
run-demo:
	$(sudo)./$(FAULTLINE) record --output=$(B)/demo.jsonl /usr/bin/python3 tests/programs/demo.py
	./$(FAULTLINE) report $(B)/demo.jsonl

picture: ## make the README's picture of a page again, of the demo's trace
	@$(install_packages) $(PACKAGES) $(PACKAGES_CHECK)
	@$(MAKE) $(jobs) all
	@$(MAKE) run-picture

run-picture:
	$(sudo)./$(FAULTLINE) record --quiet --output=$(B)/demo.jsonl /usr/bin/python3 tests/programs/demo.py
	./$(FAULTLINE) html --output=$(B)/demo.html $(B)/demo.jsonl
	tests/page.py $(B)/demo.html until document.documentElement.dataset.ready size 1100 1520 \
		view analyzer/html/example.png

bench: ## build, measure what tracing costs; takes hours (CASE=REGEX: a part)
	@$(install_packages) $(PACKAGES) $(PACKAGES_BENCH)
	@$(MAKE) $(jobs) all bench-programs
	@$(measure)

bench-quick: ## the same, a small version of it
	@$(install_packages) $(PACKAGES) $(PACKAGES_BENCH)
	@$(MAKE) $(jobs) all bench-programs
	@$(measure) --quick

bench-table: ## what was measured last, as Markdown
	@tests/bench/table.py --markdown $(bench_results)

bench_results := $(B)/bench/results.json
# The table of what was measured comes last.
measure = measure() { FAULTLINE='$(abspath $(FAULTLINE))' BENCH='$(abspath $(PLAIN)/bench)' \
	PROGRAMS='$(abspath $(PLAIN)/programs)' tests/bench/run.py --output=$(bench_results) \
	--case='$(CASE)' $(if $(ROUNDS),--rounds=$(ROUNDS)) "$$@" && \
	tests/bench/table.py $(bench_results); }; measure

c_files := $(sort $(wildcard $(foreach folder,preload preload/* analyzer analyzer/* tests/*, \
	$(addprefix $(folder)/,*.c *.h *.cc))))
bats_files := $(sort $(wildcard tests/*.bats))
shell_files := $(sort $(wildcard .ci/* analyzer/html/assemble tests/run tests/*/run $(foreach folder,tests tests/*, \
	$(addprefix $(folder)/,*.sh *.bash))))
# shellcheck does not follow bats' load, and takes each test for a subshell.
bats_excludes := --exclude=SC2154,SC2030,SC2031
man_pages := $(sort $(wildcard man/*.[157]))

# Debian's modules are not where every Node looks.
eslint := NODE_PATH=/usr/share/nodejs eslint --no-eslintrc --config analyzer/html/eslint.json

lint: ## all that a machine can say about the sources
	@$(install_packages) $(PACKAGES) $(PACKAGES_LINT)
	@$(MAKE) $(jobs) B=build-lint WERROR=1 objects test-programs bench-programs
	$(call say,LINT,clang-format)clang-format --dry-run -Werror $(c_files)
	$(call say,LINT,cppcheck)cppcheck --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		--suppress=unknownMacro --suppress=ctunullpointer --suppress=ctuuninitvar \
		-D_GNU_SOURCE= -D__x86_64__=1 -DFAULTLINE_VERSION='""' -DPAGE_FILE='""' \
		$(filter-out tests/%,$(filter %.c,$(c_files)))
	$(call say,LINT,shellcheck)shellcheck --external-sources $(shell_files)
	$(if $(bats_files),$(call say,LINT,shellcheck)shellcheck $(bats_excludes) $(bats_files))
	$(call say,LINT,eslint)$(eslint) --rule 'no-undef: off' --rule 'no-unused-vars: off' \
		$(filter %.js,$(page_sources))
	@awk '/^<script>$$/ { script = "" } { script = script $$0 "\n" } END { sub(/^[^\n]*\n/, "", script); \
		sub(/<\/script>.*/, "", script); printf "%s", script }' \
		build-lint/analyzer/html/page.html >build-lint/page.js
	$(call say,LINT,eslint)$(eslint) --rule 'indent: off' build-lint/page.js
	$(call say,LINT,mandoc)mandoc -T lint -W warning $(man_pages)
	$(call say,LINT,codespell)codespell --ignore-words-list=nd,crate $(wildcard README.md Makefile) $(man_pages) $(c_files) \
		$(shell_files) $(bats_files) $(page_sources)

format: ## lay out the C sources as .clang-format says
	clang-format -i $(c_files)

coverage: ## run the tests, write build-coverage/html/index.html
	@$(install_packages) $(PACKAGES_COVERAGE)
	@$(MAKE) check COVERAGE=1
	@lcov --quiet --capture --no-external --base-directory . --directory build-coverage \
		--output-file build-coverage/lcov.info
	@genhtml --quiet --output-directory build-coverage/html build-coverage/lcov.info
	@lcov --summary build-coverage/lcov.info

FUZZ_SECONDS ?= 60
fuzz: ## run each fuzzer of tests/fuzz for FUZZ_SECONDS (60) under libFuzzer and AFL++
	@$(install_packages) $(PACKAGES) $(PACKAGES_FUZZ)
	@$(MAKE) fuzz-programs
	@tests/fuzz/run libfuzzer $(FUZZ_SECONDS)
	@tests/fuzz/run afl $(FUZZ_SECONDS)

fuzz_sanitizers := -fsanitize=address,undefined -fno-sanitize-recover=all
fuzz-programs:
	@$(MAKE) $(jobs) CC=clang B=build-fuzz \
		INSTRUMENT='$(fuzz_sanitizers) -fsanitize=fuzzer-no-link' fuzzers
	@AFL_QUIET=1 $(MAKE) $(jobs) CC=afl-clang-fast B=build-afl INSTRUMENT='$(fuzz_sanitizers)' fuzzers

fuzzers: $(fuzzers)

# --- Installation ----------------------------------------------------------------------------

bin_folder = $(DESTDIR)$(prefix)/bin
lib_folder = $(DESTDIR)$(prefix)/lib/faultline
man_folder = $(DESTDIR)$(prefix)/share/man
doc_folder = $(DESTDIR)$(prefix)/share/doc/faultline
completion_folder = $(DESTDIR)$(prefix)/share/bash-completion/completions

install: all ## install under DESTDIR and prefix (/usr/local)
	install -d $(bin_folder) $(lib_folder) $(doc_folder) $(completion_folder)
	install -m 755 $(FAULTLINE) $(bin_folder)/faultline
	install -m 755 $(MONITOR) $(lib_folder)/faultline-monitor
	install -m 644 $(SHIM) $(lib_folder)/libfaultline.so
	install -m 644 LICENSE README.md $(doc_folder)
	./$(FAULTLINE) completion >$(completion_folder)/faultline
	chmod 644 $(completion_folder)/faultline
	for page in $(man_pages); do \
		install -D -m 644 $$page $(man_folder)/man$${page##*.}/$${page##*/} || exit; \
	done

uninstall: ## remove what install put there
	rm -f $(bin_folder)/faultline $(completion_folder)/faultline
	rm -rf $(lib_folder) $(doc_folder)
	for page in $(man_pages); do rm -f $(man_folder)/man$${page##*.}/$${page##*/}; done

clean: ## remove everything that make made
	rm -rf build build-san build-coverage build-lint build-fuzz build-afl faultline

help: ## list the targets
	@echo 'Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile
	@echo 'Settings:'
	@sed -n '/^#   [A-Z]/,/^$$/s/^# //p' Makefile

.PHONY: all test-programs bench-programs objects deps check demo run-demo picture run-picture \
	bench bench-quick bench-table \
	lint format coverage fuzz fuzz-programs fuzzers install uninstall clean help FORCE
