#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# make install and uninstall, and that what was installed works where it is.

load helpers

# The make of this checkout, with the settings that `make check` was given.
checkout_make() {
	run_command --time 300 env MAKEFLAGS="-- ${MAKE_SETTINGS-}" \
		make -C "$TOP" "$@" "DESTDIR=$PWD/root" prefix=/opt/test
}

@test "install: everything goes under DESTDIR and prefix" {
	checkout_make install
	[[ -x root/opt/test/bin/faultline ]]
	[[ -x root/opt/test/lib/faultline/faultline-monitor ]]
	[[ -f root/opt/test/lib/faultline/libfaultline.so ]]
	[[ -f root/opt/test/share/doc/faultline/LICENSE ]]
	for page in "$TOP"/man/*.[157]; do
		[[ -f root/opt/test/share/man/man${page##*.}/${page##*/} ]] ||
			fail "not installed: $page"
	done
	[[ -z $(find root -type f -not -path 'root/opt/test/*') ]]
	# Others can read it all.
	[[ -z $(find root -type f -not -perm -a+r) ]]
}

@test "install: the completion script is bash, and completes" {
	checkout_make install
	# shellcheck disable=SC2016
	run_command bash -c '
		source root/opt/test/share/bash-completion/completions/faultline
		COMP_WORDS=(faultline rec) COMP_CWORD=1
		_faultline
		echo "${COMPREPLY[*]}"'
	[[ $output == record ]]
}

@test "install: the installed command works from its place" {
	requires userfaultfd
	checkout_make install
	run_command root/opt/test/bin/faultline --version
	[[ $output == faultline\ * ]]
	# From another folder, through a symbolic link, as distributions and people do.
	ln -s "$PWD/root/opt/test/bin/faultline" linked
	mkdir elsewhere
	run_command --time 120 env -C elsewhere ../linked record -o ../x.jsonl echo hello
	[[ $output == hello ]]
	assert_complete x.jsonl
	run_command root/opt/test/bin/faultline report x.jsonl
}

@test "install: uninstall leaves nothing" {
	checkout_make install
	checkout_make uninstall
	left=$(find root -not -type d -or -name '*faultline*')
	[[ -z $left ]] || fail "left: $left"
}
