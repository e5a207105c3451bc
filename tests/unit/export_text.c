/* SPDX-License-Identifier: MIT */
/* export_text.c: names of any bytes, as each output takes them. */
#include "export_text.h"
#include "check.h"

#include <inttypes.h>

static char written[256];

static const char *as_json(const char *text)
{
	FILE *out = fmemopen(written, sizeof(written), "w");

	export_json_text(out, text);
	fclose(out);
	return written;
}

static const char *as_csv(const char *text)
{
	FILE *out = fmemopen(written, sizeof(written), "w");

	export_csv_text(out, text);
	fclose(out);
	return written;
}

static const char *as_folded(const char *text)
{
	FILE *out = fmemopen(written, sizeof(written), "w");

	export_folded_text(out, text);
	fclose(out);
	return written;
}

static const char *as_decimal(int64_t value, unsigned decimals)
{
	FILE *out = fmemopen(written, sizeof(written), "w");

	export_decimal(out, value, decimals);
	fclose(out);
	return written;
}

#define SAME(result, wanted) CHECK(strcmp((result), (wanted)) == 0, "\"%s\"", written)

#define REPLACEMENT "\xef\xbf\xbd"

static void test_plain(void)
{
	SAME(as_json("std::vector<int>"), "\"std::vector<int>\"");
	SAME(as_csv("operator,"), "\"operator,\"");
	SAME(as_folded("a b"), "a b");
	SAME(as_json("gr\xc3\xb6\xc3\x9f"
		     "er \xf0\x9f\x98\x80 \xe2\x82\xac"),
	    "\"gr\xc3\xb6\xc3\x9f"
	    "er \xf0\x9f\x98\x80 \xe2\x82\xac\"");
}

static void test_special(void)
{
	SAME(as_json("a\"b\\c\n\x1b[31m\x7f"), "\"a\\\"b\\\\c\\u000a\\u001b[31m\\u007f\"");
	SAME(as_json("\xc2\x9b"
		     "31m"),
	    "\"\\u009b31m\"");
	SAME(as_csv("a\"b\\c\n\x1b[31m\x7f"), "\"a\"\"b\\c??[31m?\"");
	SAME(as_folded("a;b\nc\xc2\x9b"), "a:b?c?");
}

static void test_formulas(void)
{
	SAME(as_csv("=1+1"), "\"'=1+1\"");
	SAME(as_csv("+1"), "\"'+1\"");
	SAME(as_csv("-[NSObject x]"), "\"'-[NSObject x]\"");
	SAME(as_csv("@x"), "\"'@x\"");
	SAME(as_csv("\xef\xbc\x9d"
		    "1"),
	    "\"'\xef\xbc\x9d"
	    "1\"");
	SAME(as_csv("\t=1"), "\"?=1\"");
	SAME(as_csv("a=1"), "\"a=1\"");
}

/* What is no UTF-8: a byte that stands alone, a cut end, too long, a surrogate, too large. */
static void test_invalid(void)
{
	SAME(as_json("a\xff"
		     "b"),
	    "\"a" REPLACEMENT "b\"");
	SAME(as_json("a\x80"), "\"a" REPLACEMENT "\"");
	SAME(as_json("\xe2\x82"), "\"" REPLACEMENT REPLACEMENT "\"");
	SAME(as_json("\xc0\xaf"), "\"" REPLACEMENT REPLACEMENT "\"");
	SAME(as_json("\xe0\x80\xaf"), "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\"");
	SAME(as_json("\xed\xa0\x80"), "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\"");
	SAME(
	    as_json("\xf4\x90\x80\x80"), "\"" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT "\"");
	SAME(
	    as_json("\xf0\x8f\xbf\xbf"), "\"" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT "\"");
}

static void test_plain_copy(void)
{
	char *plain = export_plain_text("a\x1b\xff\xc3\xb6");

	CHECK(plain && strcmp(plain, "a?" REPLACEMENT "\xc3\xb6") == 0, "\"%s\"", plain);
	free(plain);
}

static void test_decimal(void)
{
	SAME(as_decimal(1234567, 3), "1234.567");
	SAME(as_decimal(7, 6), "0.000007");
	SAME(as_decimal(-1500, 3), "-1.500");
	SAME(as_decimal(INT64_MIN, 3), "-9223372036854775.808");
}

int main(void)
{
	check_case("export_text: names are left as they are", test_plain);
	check_case("export_text: special and control characters are escaped", test_special);
	check_case("export_text: formulas become text in CSV", test_formulas);
	check_case("export_text: what is no UTF-8 is replaced", test_invalid);
	check_case("export_text: a plain copy", test_plain_copy);
	check_case("export_text: decimals are exact", test_decimal);
	return check_result();
}
