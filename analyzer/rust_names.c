/* SPDX-License-Identifier: MIT */
/*
 * rust_names.c: reads mangled names from any source, also damaged ones: how deep they nest and how
 * long they become is limited, since a few letters can refer back to long parts many times.
 */
#include "rust_names.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH   300
#define MOST_LETTERS 16384 /* of a name */
#define MOST_STEPS   16384 /* parts, those that are referred back to included */
#define PUNY_LETTERS 128   /* of an identifier that is not ASCII */

struct reader {
	const char *text; /* behind "_R" */
	size_t at, size;
	char *name;
	size_t used;
	unsigned depth, steps;
	unsigned quiet;		  /* above 0: read without writing */
	uint64_t bound_lifetimes; /* those that `for<...>` has named here */
	bool failed;
};

static void fail(struct reader *reader)
{
	reader->failed = true;
}

static void put(struct reader *reader, const char *text, size_t size)
{
	if (reader->failed || reader->quiet > 0)
		return;
	if (size > MOST_LETTERS - reader->used) {
		fail(reader);
		return;
	}
	memcpy(reader->name + reader->used, text, size);
	reader->used += size;
}

static void put_text(struct reader *reader, const char *text)
{
	put(reader, text, strlen(text));
}

static void put_number(struct reader *reader, uint64_t number)
{
	char digits[24];
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	put_text(reader, digits);
}

/* A code point as UTF-8; false when it is none. */
static bool put_letter(struct reader *reader, uint32_t letter)
{
	char bytes[4];
	size_t size = letter < 0x80 ? 1 : letter < 0x800 ? 2 : letter < 0x10000 ? 3 : 4;
	if (letter > 0x10ffff || (letter >= 0xd800 && letter < 0xe000))
		return false;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = size - 1; i > 0; i--, letter >>= 6)
		bytes[i] = (char)(0x80 | (letter & 0x3f));
	bytes[0] = (char)(first[size] | letter);
	put(reader, bytes, size);
	return true;
}

static char peek(const struct reader *reader)
{
	return reader->at < reader->size ? reader->text[reader->at] : '\0';
}

static char next(struct reader *reader)
{
	if (reader->at < reader->size)
		return reader->text[reader->at++];
	fail(reader);
	return '\0';
}

static bool take(struct reader *reader, char letter)
{
	if (reader->failed || peek(reader) != letter)
		return false;
	reader->at++;
	return true;
}

/* Digits of base 62 up to "_": nothing is 0, "0" is 1. */
static uint64_t read_base62(struct reader *reader)
{
	uint64_t number = 0;
	if (take(reader, '_'))
		return 0;
	for (;;) {
		char letter = next(reader);
		unsigned digit;
		if (letter == '_')
			break;
		if (letter >= '0' && letter <= '9')
			digit = (unsigned)(letter - '0');
		else if (letter >= 'a' && letter <= 'z')
			digit = (unsigned)(letter - 'a') + 10;
		else if (letter >= 'A' && letter <= 'Z')
			digit = (unsigned)(letter - 'A') + 36;
		else
			fail(reader);
		if (reader->failed || __builtin_mul_overflow(number, 62, &number) ||
		    __builtin_add_overflow(number, digit, &number)) {
			fail(reader);
			return 0;
		}
	}
	if (__builtin_add_overflow(number, 1, &number))
		fail(reader);
	return number;
}

/* A number behind a tag, counted from 1; 0 where the tag is not. */
static uint64_t read_optional(struct reader *reader, char tag)
{
	uint64_t number;
	if (!take(reader, tag))
		return 0;
	number = read_base62(reader);
	if (__builtin_add_overflow(number, 1, &number))
		fail(reader);
	return number;
}

struct identifier {
	const char *text;
	size_t size;
	bool is_puny;
	uint64_t disambiguator;
};

static struct identifier read_undisambiguated(struct reader *reader)
{
	struct identifier identifier = {.is_puny = take(reader, 'u')};
	size_t size = 0;
	if (peek(reader) < '0' || peek(reader) > '9')
		fail(reader);
	/* no leading zeros: "0" is a whole number */
	if (!take(reader, '0'))
		while (!reader->failed && peek(reader) >= '0' && peek(reader) <= '9' &&
		       size <= MOST_LETTERS)
			size = size * 10 + (size_t)(next(reader) - '0');
	take(reader, '_');
	if (reader->failed || size > reader->size - reader->at) {
		fail(reader);
		return identifier;
	}
	identifier.text = reader->text + reader->at;
	identifier.size = size;
	reader->at += size;
	return identifier;
}

static struct identifier read_identifier(struct reader *reader)
{
	uint64_t disambiguator = read_optional(reader, 's');
	struct identifier identifier = read_undisambiguated(reader);
	identifier.disambiguator = disambiguator;
	return identifier;
}

/* RFC 3492, 6.1. */
static unsigned adapt_bias(unsigned delta, unsigned count, bool first)
{
	unsigned k = 0;
	delta = first ? delta / 700 : delta / 2;
	for (delta += delta / count; delta > 455; k += 36)
		delta /= 35;
	return k + 36 * delta / (delta + 38);
}

/* RFC 3492, 6.2, with "_" before the digits, which are a to z and 0 to 9. */
static bool decode_puny(const struct identifier *identifier, uint32_t *letters, size_t *count)
{
	const char *text = identifier->text, *digits = text;
	unsigned letter = 128, index = 0, bias = 72;
	const char *separator = memrchr(text, '_', identifier->size);
	*count = 0;
	if (separator) {
		digits = separator + 1;
		for (; text < separator; text++) {
			if (*count == PUNY_LETTERS)
				return false;
			letters[(*count)++] = (unsigned char)*text;
		}
	}
	for (const char *end = identifier->text + identifier->size; digits < end;) {
		unsigned before = index, weight = 1;
		for (unsigned k = 36;; k += 36) {
			if (digits == end)
				return false;
			char c = *digits++;
			unsigned digit = c >= 'a' && c <= 'z'	? (unsigned)(c - 'a')
					 : c >= '0' && c <= '9' ? (unsigned)(c - '0') + 26
								: 36;
			unsigned limit = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias, step;
			if (digit == 36 || __builtin_mul_overflow(digit, weight, &step) ||
			    __builtin_add_overflow(index, step, &index))
				return false;
			if (digit < limit)
				break;
			if (__builtin_mul_overflow(weight, 36 - limit, &weight))
				return false;
		}
		if (*count == PUNY_LETTERS)
			return false;
		unsigned room = (unsigned)*count + 1;
		bias = adapt_bias(index - before, room, before == 0);
		if (__builtin_add_overflow(letter, index / room, &letter))
			return false;
		index %= room;
		memmove(
		    letters + index + 1, letters + index, (*count - index) * sizeof(letters[0]));
		letters[index++] = letter;
		(*count)++;
	}
	return true;
}

static void put_identifier(struct reader *reader, const struct identifier *identifier)
{
	uint32_t letters[PUNY_LETTERS];
	size_t count;
	if (reader->failed)
		return;
	if (!identifier->is_puny) {
		put(reader, identifier->text, identifier->size);
		return;
	}
	if (!decode_puny(identifier, letters, &count)) {
		fail(reader);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (!put_letter(reader, letters[i]))
			fail(reader);
}

static void read_path(struct reader *reader, bool in_value);
static void read_type(struct reader *reader);
static void read_const(struct reader *reader, bool in_value);

/* Goes one level deeper; false when that is too deep. */
static bool enter(struct reader *reader)
{
	if (reader->depth == MOST_DEPTH || reader->steps == MOST_STEPS)
		fail(reader);
	if (reader->failed)
		return false;
	reader->depth++;
	reader->steps++;
	return true;
}

static void leave(struct reader *reader)
{
	reader->depth--;
}

/* Where a "B" refers back to, which must lie before it. What stands there is read from there. */
static size_t read_backref(struct reader *reader)
{
	size_t tag = reader->at - 1;
	uint64_t target = read_base62(reader);
	if (target >= tag)
		fail(reader);
	return reader->failed ? reader->at : (size_t)target;
}

static void put_lifetime(struct reader *reader, uint64_t index)
{
	put_text(reader, "'");
	if (index == 0) {
		put_text(reader, "_");
		return;
	}
	if (index > reader->bound_lifetimes) {
		fail(reader);
		return;
	}
	uint64_t depth = reader->bound_lifetimes - index;
	if (depth < 26) {
		char letter = (char)('a' + depth);
		put(reader, &letter, 1);
	} else {
		put_text(reader, "_");
		put_number(reader, depth);
	}
}

/* `for<'a, 'b> `; returns what to give back to end_binder. */
static uint64_t begin_binder(struct reader *reader)
{
	uint64_t before = reader->bound_lifetimes, count = read_optional(reader, 'G');
	if (count > MOST_LETTERS)
		fail(reader);
	if (reader->failed || count == 0)
		return before;
	put_text(reader, "for<");
	for (uint64_t i = 0; i < count && !reader->failed; i++) {
		if (i > 0)
			put_text(reader, ", ");
		reader->bound_lifetimes++;
		put_lifetime(reader, 1);
	}
	put_text(reader, "> ");
	return before;
}

static void end_binder(struct reader *reader, uint64_t before)
{
	reader->bound_lifetimes = before;
}

static void read_generic_argument(struct reader *reader)
{
	if (take(reader, 'L'))
		put_lifetime(reader, read_base62(reader));
	else if (take(reader, 'K'))
		read_const(reader, false);
	else
		read_type(reader);
}

static void read_generic_arguments(struct reader *reader)
{
	for (bool first = true; !reader->failed && !take(reader, 'E'); first = false) {
		if (!first)
			put_text(reader, ", ");
		read_generic_argument(reader);
	}
}

/* The path of an impl is not shown. */
static void skip_impl_path(struct reader *reader)
{
	read_optional(reader, 's');
	reader->quiet++;
	read_path(reader, false);
	reader->quiet--;
}

static void read_nested(struct reader *reader, bool in_value)
{
	char kind = next(reader);
	read_path(reader, in_value);
	struct identifier identifier = read_identifier(reader);
	if (kind >= 'A' && kind <= 'Z') {
		put_text(reader, "::{");
		if (kind == 'C')
			put_text(reader, "closure");
		else if (kind == 'S')
			put_text(reader, "shim");
		else
			put(reader, &kind, 1);
		if (identifier.size > 0) {
			put_text(reader, ":");
			put_identifier(reader, &identifier);
		}
		put_text(reader, "#");
		put_number(reader, identifier.disambiguator);
		put_text(reader, "}");
	} else if (kind >= 'a' && kind <= 'z') {
		if (identifier.size > 0) {
			put_text(reader, "::");
			put_identifier(reader, &identifier);
		}
	} else {
		fail(reader);
	}
}

static void read_path(struct reader *reader, bool in_value)
{
	if (!enter(reader))
		return;
	char tag = next(reader);
	struct identifier identifier;
	size_t back;
	switch (tag) {
	case 'C':
		identifier = read_identifier(reader);
		put_identifier(reader, &identifier);
		break;
	case 'N':
		read_nested(reader, in_value);
		break;
	case 'M':
	case 'X':
	case 'Y':
		if (tag != 'Y')
			skip_impl_path(reader);
		put_text(reader, "<");
		read_type(reader);
		if (tag != 'M') {
			put_text(reader, " as ");
			read_path(reader, false);
		}
		put_text(reader, ">");
		break;
	case 'I':
		read_path(reader, in_value);
		put_text(reader, in_value ? "::<" : "<");
		read_generic_arguments(reader);
		put_text(reader, ">");
		break;
	case 'B':
		back = read_backref(reader);
		if (reader->quiet == 0) {
			size_t here = reader->at;
			reader->at = back;
			read_path(reader, in_value);
			reader->at = here;
		}
		break;
	default:
		fail(reader);
	}
	leave(reader);
}

static const char *basic_type(char tag)
{
	static const char *const names[] = {"i8", "bool", "char", "f64", "str", "f32", NULL, "u8",
	    "isize", "usize", NULL, "i32", "u32", "i128", "u128", "_", NULL, NULL, "i16", "u16",
	    "()", "...", NULL, "i64", "u64", "!"};
	return tag >= 'a' && tag <= 'z' ? names[tag - 'a'] : NULL;
}

static void read_fn_type(struct reader *reader)
{
	uint64_t before = begin_binder(reader);
	if (take(reader, 'U'))
		put_text(reader, "unsafe ");
	if (take(reader, 'K')) {
		put_text(reader, "extern \"");
		if (take(reader, 'C')) {
			put_text(reader, "C");
		} else {
			struct identifier abi = read_undisambiguated(reader);
			for (size_t i = 0; !reader->failed && i < abi.size; i++)
				put(reader, abi.text[i] == '_' ? "-" : &abi.text[i], 1);
		}
		put_text(reader, "\" ");
	}
	put_text(reader, "fn(");
	for (bool first = true; !reader->failed && !take(reader, 'E'); first = false) {
		if (!first)
			put_text(reader, ", ");
		read_type(reader);
	}
	put_text(reader, ")");
	if (!take(reader, 'u')) {
		put_text(reader, " -> ");
		read_type(reader);
	}
	end_binder(reader, before);
}

/* A path whose generic arguments may be followed by others: true when its ">" is still to come. */
static bool read_open_path(struct reader *reader)
{
	bool open = false;
	if (!enter(reader))
		return false;
	if (take(reader, 'B')) {
		size_t back = read_backref(reader);
		if (reader->quiet == 0) {
			size_t here = reader->at;
			reader->at = back;
			open = read_open_path(reader);
			reader->at = here;
		}
	} else if (take(reader, 'I')) {
		read_path(reader, false);
		put_text(reader, "<");
		read_generic_arguments(reader);
		open = true;
	} else {
		read_path(reader, false);
	}
	leave(reader);
	return open;
}

static void read_dyn_trait(struct reader *reader)
{
	bool open = read_open_path(reader);
	while (!reader->failed && take(reader, 'p')) {
		put_text(reader, open ? ", " : "<");
		open = true;
		struct identifier identifier = read_undisambiguated(reader);
		put_identifier(reader, &identifier);
		put_text(reader, " = ");
		read_type(reader);
	}
	if (open)
		put_text(reader, ">");
}

static void read_dyn_type(struct reader *reader)
{
	put_text(reader, "dyn ");
	uint64_t before = begin_binder(reader);
	for (bool first = true; !reader->failed && !take(reader, 'E'); first = false) {
		if (!first)
			put_text(reader, " + ");
		read_dyn_trait(reader);
	}
	end_binder(reader, before);
	if (!take(reader, 'L')) {
		fail(reader);
		return;
	}
	uint64_t lifetime = read_base62(reader);
	if (lifetime > 0) {
		put_text(reader, " + ");
		put_lifetime(reader, lifetime);
	}
}

static void read_reference(struct reader *reader, bool is_mutable)
{
	put_text(reader, "&");
	if (take(reader, 'L')) {
		uint64_t lifetime = read_base62(reader);
		if (lifetime > 0) {
			put_lifetime(reader, lifetime);
			put_text(reader, " ");
		}
	}
	if (is_mutable)
		put_text(reader, "mut ");
	read_type(reader);
}

static void read_tuple(struct reader *reader)
{
	unsigned count = 0;
	put_text(reader, "(");
	for (; !reader->failed && !take(reader, 'E'); count++) {
		if (count > 0)
			put_text(reader, ", ");
		read_type(reader);
	}
	put_text(reader, count == 1 ? ",)" : ")");
}

static void read_type(struct reader *reader)
{
	if (!enter(reader))
		return;
	char tag = next(reader);
	const char *basic = basic_type(tag);
	size_t back;
	if (basic) {
		put_text(reader, basic);
		leave(reader);
		return;
	}
	switch (tag) {
	case 'R':
	case 'Q':
		read_reference(reader, tag == 'Q');
		break;
	case 'P':
	case 'O':
		put_text(reader, tag == 'P' ? "*const " : "*mut ");
		read_type(reader);
		break;
	case 'A':
	case 'S':
		put_text(reader, "[");
		read_type(reader);
		if (tag == 'A') {
			put_text(reader, "; ");
			read_const(reader, true);
		}
		put_text(reader, "]");
		break;
	case 'T':
		read_tuple(reader);
		break;
	case 'F':
		read_fn_type(reader);
		break;
	case 'D':
		read_dyn_type(reader);
		break;
	case 'B':
		back = read_backref(reader);
		if (reader->quiet == 0) {
			size_t here = reader->at;
			reader->at = back;
			read_type(reader);
			reader->at = here;
		}
		break;
	default:
		reader->at--;
		read_path(reader, false);
	}
	leave(reader);
}

/* Hexadecimal digits up to "_". Their value, or UINT64_MAX where that needs more than 64 bits. */
static const char *read_hex(struct reader *reader, size_t *size, uint64_t *value)
{
	const char *first = reader->text + reader->at;
	*size = 0;
	*value = 0;
	for (char letter; !reader->failed && (letter = next(reader)) != '_'; ++*size) {
		unsigned digit = letter >= '0' && letter <= '9'	  ? (unsigned)(letter - '0')
				 : letter >= 'a' && letter <= 'f' ? (unsigned)(letter - 'a') + 10
								  : 16;
		if (digit == 16)
			fail(reader);
		*value = *size < 16 ? *value << 4 | digit : UINT64_MAX;
	}
	return first;
}

static void put_integer(struct reader *reader)
{
	size_t size;
	uint64_t value;
	if (take(reader, 'n'))
		put_text(reader, "-");
	const char *digits = read_hex(reader, &size, &value);
	if (size <= 16) {
		put_number(reader, value);
	} else {
		put_text(reader, "0x");
		put(reader, digits, size);
	}
}

static void put_char(struct reader *reader)
{
	size_t size;
	uint64_t value;
	char text[16];
	read_hex(reader, &size, &value);
	put_text(reader, "'");
	if (value == '\'' || value == '\\') {
		put_text(reader, value == '\'' ? "\\'" : "\\\\");
	} else if (value >= ' ' && value < 0x7f) {
		put_letter(reader, (uint32_t)value);
	} else {
		snprintf(text, sizeof(text), "\\u{%x}", (unsigned)value);
		put_text(reader, value == '\n'	 ? "\\n"
				 : value == '\t' ? "\\t"
				 : value == '\r' ? "\\r"
						 : text);
	}
	put_text(reader, "'");
	if (value > 0x10ffff)
		fail(reader);
}

/* The constants that stable Rust has: integers, bool and char. */
static void read_const(struct reader *reader, bool in_value)
{
	size_t size, back;
	uint64_t value;
	if (!enter(reader))
		return;
	char tag = next(reader);
	(void)in_value;
	switch (tag) {
	case 'p':
		put_text(reader, "_");
		break;
	case 'b':
		read_hex(reader, &size, &value);
		if (value > 1)
			fail(reader);
		put_text(reader, value ? "true" : "false");
		break;
	case 'c':
		put_char(reader);
		break;
	case 'B':
		back = read_backref(reader);
		if (reader->quiet == 0) {
			size_t here = reader->at;
			reader->at = back;
			read_const(reader, true);
			reader->at = here;
		}
		break;
	default:
		if (!strchr("ahijlmnostxy", tag) || tag == '\0')
			fail(reader);
		put_integer(reader);
	}
	leave(reader);
}

static char *demangle_v0(const char *symbol)
{
	struct reader reader = {.text = symbol + 2, .size = strlen(symbol + 2)};
	if (reader.size > MOST_LETTERS || !strchr("CNMXYIB", peek(&reader)) || reader.size == 0)
		return NULL;
	reader.name = malloc(MOST_LETTERS + 1);
	if (!reader.name)
		return NULL;
	read_path(&reader, true);
	/* the crate that a generic function was made for, and what linkers and LLVM add */
	if (!reader.failed && reader.at < reader.size && !strchr(".$", peek(&reader))) {
		reader.quiet++;
		read_path(&reader, false);
	}
	if (!reader.failed && reader.at < reader.size && !strchr(".$", peek(&reader)))
		fail(&reader);
	if (reader.failed) {
		free(reader.name);
		return NULL;
	}
	reader.name[reader.used] = '\0';
	return reader.name;
}

/* An escape of the first mangling, "$LT$" and so on; its length, or 0. */
static size_t put_escape(struct reader *reader, const char *text, size_t size)
{
	static const struct {
		const char *escape, *text;
	} escapes[] = {{"$SP$", "@"}, {"$BP$", "*"}, {"$RF$", "&"}, {"$LT$", "<"}, {"$GT$", ">"},
	    {"$LP$", "("}, {"$RP$", ")"}, {"$C$", ","}};
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		size_t length = strlen(escapes[i].escape);
		if (length <= size && memcmp(text, escapes[i].escape, length) == 0) {
			put_text(reader, escapes[i].text);
			return length;
		}
	}
	const char *end = size > 2 && text[1] == 'u' ? memchr(text + 2, '$', size - 2) : NULL;
	if (!end || end - text > 8 || end == text + 2)
		return 0;
	uint32_t letter = 0;
	for (const char *at = text + 2; at < end; at++) {
		if (!strchr("0123456789abcdef", *at))
			return 0;
		letter = letter << 4 | (uint32_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	}
	return letter >= ' ' && put_letter(reader, letter) ? (size_t)(end + 1 - text) : 0;
}

static void put_first_identifier(struct reader *reader, const char *text, size_t size)
{
	size_t at = size > 1 && text[0] == '_' && text[1] == '$' ? 1 : 0;
	while (at < size && !reader->failed) {
		size_t escape = text[at] == '$' ? put_escape(reader, text + at, size - at) : 0;
		if (escape > 0) {
			at += escape;
		} else if (text[at] == '.' && at + 1 < size && text[at + 1] == '.') {
			put_text(reader, "::");
			at += 2;
		} else {
			put(reader, text + at, 1);
			at++;
		}
	}
}

/* Is the last identifier a hash, "17h" and 16 hexadecimal digits? That tells Rust from C++. */
static bool is_hash(const char *text, size_t size)
{
	return size == 17 && text[0] == 'h' && strspn(text + 1, "0123456789abcdef") >= 16;
}

/* "_ZN", identifiers after their lengths, the last one a hash, and "E". */
static char *demangle_first(const char *symbol)
{
	struct reader reader = {.name = malloc(MOST_LETTERS + 1)};
	const char *at = symbol + 3;
	bool hashed = false;
	if (!reader.name)
		return NULL;
	while (*at >= '1' && *at <= '9' && !hashed) {
		char *text;
		size_t size = strtoul(at, &text, 10);
		if (size > MOST_LETTERS || strnlen(text, size) < size)
			break;
		at = text + size;
		hashed = *at == 'E' && is_hash(text, size);
		if (!hashed && reader.used > 0)
			put_text(&reader, "::");
		if (!hashed)
			put_first_identifier(&reader, text, size);
	}
	if (!hashed || reader.failed || reader.used == 0) {
		free(reader.name);
		return NULL;
	}
	reader.name[reader.used] = '\0';
	return reader.name;
}

char *rust_demangle(const char *symbol)
{
	if (strncmp(symbol, "_R", 2) == 0)
		return demangle_v0(symbol);
	if (strncmp(symbol, "_ZN", 3) == 0)
		return demangle_first(symbol);
	return NULL;
}
