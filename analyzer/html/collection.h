/* SPDX-License-Identifier: MIT */
/*
 * collection.h: what a page needs of a trace: a profile, and beside it what the profile has not
 * got, the time and the pages of faults, in tallies of bounded size, one for each part of the page.
 */
#ifndef FAULTLINE_HTML_COLLECTION_H
#define FAULTLINE_HTML_COLLECTION_H

#include "../profile.h"
#include "tally.h"

/*
 * In keys, thread and owner are indices of the trace + 1 (0: none), the place is that of a stack +
 * 1, the origin one of the profile + 1, the source one of the profile + 1, and access a
 * fault_access. Keys have what is named here and no more; times are those of faults unless said.
 */
struct collection {
	struct profile *profile; /* with regions */
	struct tally code;	 /* faults and bytes by thread, place and source */
	struct tally origins;	 /* the same by thread and origin */
	struct tally shares;	 /* the same by thread and owner: who asked for the memory */
	struct tally map;	 /* the same by page, thread, place, origin, source and access */
	/*
	 * What was asked for, by the time and the thread that did, and the origin: how often, how
	 * many bytes, those of them that were touched at any time, and those that were there
	 * before.
	 */
	struct tally asked;
};

/* 0 or -ENOMEM. The trace must live as long. */
int collection_start(struct collection *collection, const struct trace *trace);
void collection_free(struct collection *collection);

/* Reads the whole trace. 0, or negative errno: trace_error tells. */
int collection_read(struct collection *collection, struct trace *trace);

#endif
