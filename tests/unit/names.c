/* SPDX-License-Identifier: MIT */
/*
 * names.c: names of functions as programmers wrote them, those that would do harm, and texts made
 * fit for a terminal and for JSON.
 */
#include "check.h"
#include "demangle.h"
#include "runtime_names.h"
#include "rust_names.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct pair {
	const char *symbol, *name; /* name NULL: shown as it is */
};

static void check_pairs(const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *expected = pairs[i].name ? pairs[i].name : pairs[i].symbol;
		char *name = demangle(pairs[i].symbol);

		CHECK(name && strcmp(name, expected) == 0, "%s is %s, not %s", pairs[i].symbol,
		    name, expected);
		free(name);
	}
}

static void test_cxx(void)
{
	static const struct pair pairs[] = {
	    {"main", NULL},
	    {"", NULL},
	    {"_", NULL},
	    {"_Z", NULL},
	    {"_Zzz", NULL},
	    {"_ZN4demo4fillEPci", "demo::fill(char*, int)"},
	    {"_ZNSt6vectorIiSaIiEE9push_backERKi",
		"std::vector<int, std::allocator<int> >::push_back(int const&)"},
	    /* a namespace that looks like one of Rust's, with what is no hash */
	    {"_ZN4core4initE", "core::init"},
	    {"_ZN4core17h0123456789abcdegE", "core::h0123456789abcdeg"},
	};

	check_pairs(pairs, COUNT(pairs));
}

/* Examples of RFC 2603 and of the compiler's own tests of it, and what rustc makes today. */
static void test_rust_v0(void)
{
	static const struct pair pairs[] = {
	    {"_RNvC6_123foo3bar", "123foo::bar"},
	    {"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
	    {"_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
		"utf8_idents::\u10e1\u10d0\u10ed\u10db\u10d4\u10da\u10d0\u10d3_"
		"\u10d2\u10d4\u10db\u10e0\u10d8\u10d4\u10da\u10d8_"
		"\u10e1\u10d0\u10d3\u10d8\u10da\u10d8"},
	    {"_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_", "cc::spawn::{closure#0}::{closure#0}"},
	    {"_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_4iter8iterator8"
	     "Iterator9rpositionNCNgNpB9_6memchr7memrchrs_0E0Bb_",
		"<core::slice::Iter<u8> as core::iter::iterator::Iterator>::rposition::"
		"<core::slice::memchr::memrchr::{closure#1}>::{closure#0}"},
	    {"_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_"
	     "ECs1iopQbuBiw2_3std",
		"alloc::alloc::box_free::<dyn alloc::boxed::FnBox<(), Output = ()>>"},
	    {"_RMC0INtC8arrayvec8ArrayVechKj7b_E", "<arrayvec::ArrayVec<u8, 123>>"},
	    {"_RNvYNvC3foo3barNtB4_3Baz3qux", "<foo::bar as foo::Baz>::qux"},
	    {"_RIC3fooKc22_E", "foo::<'\"'>"},
	    {"_RIC3fooKan5_E", "foo::<-5>"},
	    {"_RC3foo.llvm.9D1C9369", "foo"},
	    /* damaged: cut, backwards past the beginning, into itself, with what no Rust has */
	    {"_R", NULL},
	    {"_RNvC6_123foo3ba", NULL},
	    {"_RNvNvB_B_", NULL},
	    {"_RNvMs_C1aB3_B3_", NULL},
	    {"_RNvC1a99999999999999999999b", NULL},
	    {"_RIC1aKb2_E", NULL},
	    {"_RNvC1a1bx", NULL},
	};

	check_pairs(pairs, COUNT(pairs));
}

static void test_rust_first(void)
{
	static const struct pair pairs[] = {
	    {"_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"},
	    {"_ZN56_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$names..Fill$GT$"
	     "4fill17h0123456789abcdefE",
		"<alloc::vec::Vec<T> as names::Fill>::fill"},
	    {"_ZN4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE", "main::{{closure}}"},
	    {"_ZN3foo10$RF$$BP$$C$17h0123456789abcdefE", NULL},
	    {"_ZN3foo11$RF$$BP$$C$17h0123456789abcdefE", "foo::&*,"},
	};

	check_pairs(pairs, COUNT(pairs));
}

/* Names of a few hundred letters that stand for gigabytes, or nest without end, are given up on. */
static void test_bombs(void)
{
	static char symbol[16000];
	char *at = stpcpy(symbol, "_Z1f1aIiiE"), *name;

	/* each a pair of the one before: S0_ is a<int, int> */
	for (int i = 0; i < 30; i++)
		at += i < 10 ? sprintf(at, "S_IS%d_S%d_E", i, i)
			     : sprintf(at, "S_IS%c_S%c_E", 'A' + i - 10, 'A' + i - 10);
	name = demangle(symbol);
	CHECK(name && strcmp(name, symbol) == 0, "doubled 30 times: %zu letters", strlen(name));
	free(name);

	/* (((..., and each of them twice in the next by reference */
	at = stpcpy(symbol, "_RIC1a");
	for (int i = 0; i < 40; i++)
		at = stpcpy(at, "TThEB5_E");
	strcpy(at, "E");
	name = demangle(symbol);
	CHECK(name && strlen(name) < 70000, "%zu letters", strlen(name));
	free(name);

	memset(symbol, 'N', sizeof(symbol) - 1);
	memcpy(symbol, "_R", 2);
	name = demangle(symbol);
	CHECK(name && strcmp(name, symbol) == 0, "nested without end");
	free(name);
	memset(symbol, 'P', sizeof(symbol) - 1);
	memcpy(symbol, "_Z1f", 4);
	name = demangle(symbol);
	CHECK(name && strcmp(name, symbol) == 0, "a pointer to a pointer to ...");
	free(name);
}

static void test_runtime(void)
{
	static const struct {
		const char *symbol;
		bool is_runtime;
	} symbols[] = {
	    {"memset", false}, /* its file says it */
	    {"_ZNSt6vectorIiSaIiEE9push_backERKi", true},
	    {"_Znwm", true},
	    {"_ZN4demo4fillEPci", false},
	    {"_ZN4core4initE", false}, /* C++ */
	    {"__rust_alloc", true},
	    {"_ZN4core3ptr13drop_in_place17h0123456789abcdefE", true},
	    {"_ZN5names4main17h0123456789abcdefE", false},
	    {"_RNvYNvC3foo3barNtB4_3Baz3qux", false},
	    /* <alloc::vec::Vec<T> as names::Fill>::fill: a trait of the program's */
	    {"_ZN56_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$names..Fill$GT$"
	     "4fill17h0123456789abcdefE",
		false},
	    /* <core::slice::Iter<u8> as core::iter::iterator::Iterator>::... */
	    {"_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_4iter8iterator8"
	     "Iterator9rpositionNCNgNpB9_6memchr7memrchrs_0E0Bb_",
		true},
	};

	for (size_t i = 0; i < COUNT(symbols); i++)
		CHECK(runtime_names_symbol(symbols[i].symbol) == symbols[i].is_runtime, "%s",
		    symbols[i].symbol);
	CHECK(runtime_names_file("/lib/x86_64-linux-gnu/libc.so.6"), "libc");
	CHECK(runtime_names_file("[vdso]") && !runtime_names_file("/x/libcrypto.so.3"), "others");
}

static void test_utf8(void)
{
	static const struct pair texts[] = {
	    {"plain \u00e4\u20ac\U0001f600", "plain \u00e4\u20ac\U0001f600"},
	    {"\x1b[31m\x7f\t", "?[31m??"},
	    {"\xc2\x9b"
	     "31m",
		"?31m"},		       /* C1 */
	    {"a\u202e\u2066\u200fb", "a???b"}, /* direction */
	    {"\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80z", "??????????z"},
	    {"\xe2\x82", "??"}, /* cut */
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		char *text = strdup(texts[i].symbol);
		json_t *json = utf8_json(texts[i].symbol);

		utf8_make_printable(text);
		CHECK(strcmp(text, texts[i].name) == 0, "text %zu: %s", i, text);
		CHECK(json_is_string(json), "text %zu", i);
		free(text);
		json_decref(json);
	}
}

int main(void)
{
	check_case("C++", test_cxx);
	check_case("Rust, RFC 2603", test_rust_v0);
	check_case("Rust, as it was first", test_rust_first);
	check_case("names that stand for too much", test_bombs);
	check_case("what is runtime", test_runtime);
	check_case("letters that do harm", test_utf8);
	return check_result();
}
