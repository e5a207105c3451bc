/* SPDX-License-Identifier: MIT */
/*
 * hash.h: hashes that the writer of a trace cannot foresee: identifiers and names that were chosen
 * to collide would make a table as slow as a list.
 */
#ifndef FAULTLINE_HASH_H
#define FAULTLINE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Random, of this process; set before main. */
extern uint64_t hash_secret;

/* Mixes well in all 64 bits: the finalizer of MurmurHash3, keyed. */
static inline uint64_t hash_number(uint64_t number)
{
	number ^= hash_secret;
	number ^= number >> 33;
	number *= 0xff51afd7ed558ccd;
	number ^= number >> 33;
	number *= 0xc4ceb9fe1a85ec53;
	return number ^ number >> 33;
}

/* Of two numbers, in this order. */
static inline uint64_t hash_pair(uint64_t first, uint64_t second)
{
	return hash_number(hash_number(first) ^ second);
}

uint64_t hash_bytes(const void *bytes, size_t size);

#endif
