/* SPDX-License-Identifier: MIT */
/*
 * uffd_features.h: userfaultfd's features, in one table: what the monitor asks the kernel for, what
 * the trace's session line lists, what `faultline check` tells, what --without names.
 */
#ifndef FAULTLINE_UFFD_FEATURES_H
#define FAULTLINE_UFFD_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fl_feature {
	uint64_t bit;	  /* UFFD_FEATURE_... */
	const char *name; /* the kernel's, in lower case with dashes */
	const char *purpose;
	const char *since; /* the Linux version that brought it */
	bool needed;	   /* nothing is recorded without it */
	bool used;	   /* false: only told by `faultline check` */
};

/* In the order of their bits; ended by one whose name is NULL. */
extern const struct fl_feature fl_features[];

/* The bit of the feature of that name of `length` bytes; 0: there is none. */
uint64_t fl_feature_bit(const char *name, size_t length);

#endif
