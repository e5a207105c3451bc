/* SPDX-License-Identifier: MIT */
/*
 * hash.c: the secret, and hashing of texts eight bytes at a time.
 */
#include "hash.h"

#include <string.h>
#include <sys/auxv.h>

uint64_t hash_secret;

/* The kernel gives every process sixteen random bytes (getauxval(3)). */
__attribute__((constructor)) static void choose_secret(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	if (random)
		memcpy(&hash_secret, random, sizeof(hash_secret));
}

uint64_t hash_bytes(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t hash = hash_number(size), word;
	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = hash_number(hash ^ word);
	}
	word = 0;
	memcpy(&word, at, size);
	return hash_number(hash ^ word);
}
