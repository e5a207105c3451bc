#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# bats file_tags=fuzz
# fuzz.bats: every fuzzer of tests/fuzz, for a moment under each engine; `make fuzz` runs them longer.

load helpers

# run_fuzzers ENGINE: for three seconds each.
run_fuzzers() {
	local sources=("$TOP"/tests/fuzz/*.c)
	run_command --time 500 "$TOP/tests/fuzz/run" "$1" 3
	[[ $(grep -c '^  [a-z_]*: inputs: [1-9]' stdout) == "${#sources[@]}" ]]
}

@test "fuzz: libFuzzer finds nothing in a moment" {
	run_fuzzers libfuzzer
}

@test "fuzz: AFL++ finds nothing in a moment" {
	run_fuzzers afl
}
