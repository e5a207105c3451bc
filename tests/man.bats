#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Manual pages, --help and the completion script say the same.

load helpers

# help_of COMMAND...: its --help without the filters, which have a page of their own.
help_of() {
	"$FAULTLINE" "$@" --help | sed '/^Filters/,/^$/d'
}

# options_of_help COMMAND...: the options that its --help lists, as "--flag" or "--flag=ARGUMENT".
options_of_help() {
	help_of "$@" | sed -nE 's/^ +(-[A-Za-z], )?(--[a-z-]+(=[A-Z]+)?).*/\2/p' | sort
}

# options_of_page PAGE: the same of a manual page.
options_of_page() {
	grep '^\.It Fl' "$TOP/man/$1" | sed 's/ Ns = Ns Ar /=/' | grep -oE 'Fl --?[a-z-]+(=[A-Z]+)?' |
		sed 's/^Fl /-/' | sort
}

same_sets() {
	[[ -s $1 ]] || fail "$1 is empty"
	diff -u "$1" "$2"
}

@test "man: every option in --help is in the page, and the other way round" {
	for command in record stop report top html filter merge diff export check; do
		options_of_help "$command" >"help of $command"
		options_of_page "faultline-$command.1" >"page of $command"
		same_sets "help of $command" "page of $command"
	done
	options_of_help >"help of faultline"
	options_of_page faultline.1 >"page of faultline"
	same_sets "help of faultline" "page of faultline"
}

@test "man: every short option is in the page, and the other way round" {
	for command in record stop report top html filter merge diff export check; do
		help_of "$command" | sed -nE 's/^ +(-[A-Za-z]), --.*/\1/p' | sort >help
		sed -nE 's/^\.It Fl ([A-Za-z]) ,.*/-\1/p' "$TOP/man/faultline-$command.1" | sort >page
		same_sets help page
	done
}

@test "man: every filter in --help is in faultline-filters(7), and the other way round" {
	for command in report top html filter merge diff export; do
		"$FAULTLINE" "$command" --help | sed -n '/^Filters/,/^$/p' |
			sed -nE 's/^ +(--[a-z-]+=[A-Z]+).*/\1/p' | sort >help
		options_of_page faultline-filters.7 >page
		same_sets help page
		grep -q 'Xr faultline-filters 7' "$TOP/man/faultline-$command.1"
	done
}

@test "man: every command is in faultline(1), and the other way round" {
	"$FAULTLINE" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' | sort >help
	sed -nE 's/^\.It Cm ([a-z]+).*/\1/p' "$TOP/man/faultline.1" | sort >page
	same_sets help page
}

@test "man: every variable in --help is in the pages, and the other way round" {
	"$FAULTLINE" record --help | grep -oE 'FAULTLINE_[A-Z_]+' | sort -u >help
	for page in faultline-record.1 libfaultline.7; do
		# This one is faultline's own, and no setting.
		grep -oE '^\.(It )?Ev FAULTLINE_[A-Z_]+' "$TOP/man/$page" |
			grep -oE 'FAULTLINE_[A-Z_]+' | grep -v -x -e FAULTLINE_ -e FAULTLINE_MONITOR |
			sort -u >"$page"
		same_sets help "$page"
	done
}

@test "man: the completion script knows every option" {
	"$FAULTLINE" completion >script
	for command in record stop report top html filter merge diff export check; do
		for option in $(options_of_help "$command"); do
			grep -qF -e "${option%%=*}" script || fail "$command: no $option"
		done
	done
}

@test "man: every type and key of a trace is in faultline-trace(5)" {
	requires userfaultfd
	run_faultline record -o x.jsonl sh -c 'ls -l / >/dev/null; exit 0'
	jq -r 'keys[], .type, (.frames? // [] | .[] | keys[])' x.jsonl | sort -u >used
	grep -E '^\.(It |Ss |Cm |.* Cm )' "$TOP/man/faultline-trace.5" | tr ' ' '\n' | sort -u >told
	comm -23 used told >missing
	[[ ! -s missing ]] || fail "not in the page: $(tr '\n' ' ' <missing)"
}

@test "man: the example in faultline-trace(5) can be read" {
	# Broken lines are joined again.
	mandoc -T utf8 "$TOP/man/faultline-trace.5" | col -b |
		sed -nE '/^ +\{"type":"session"/,/^ *$/p' | sed -E 's/^ +//' |
		sed -E ':a; /\\$/ { N; s/\\\n//; ba }' | sed '/^$/d' >example.jsonl
	assert_complete example.jsonl
	run_faultline report --json example.jsonl
	jq -e . <<<"$output"
}
