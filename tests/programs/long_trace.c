/* SPDX-License-Identifier: MIT */
/*
 * long_trace.c: prints a trace of FAULTS faults in the recorder's shape, without recording any, for
 * what has to be shown with more faults than a test can wait for. It is the same each time. Eight
 * threads take turns, a block of 1 MiB each: every other block is a region of its own, unmapped
 * some blocks later; the others are allocations in one region, of which one in eight is never
 * freed. Stacks have 16 frames; there are 4,000 of them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE	    4096u
#define BLOCK	    (256 * PAGE)
#define ALLOC_PAGES 16u
#define ALIVE	    64u /* blocks after which memory is given back */
#define THREADS	    8u
#define STACKS	    4000u
#define FRAMES	    16u
#define FUNCTIONS   1500u
#define MODULES	    6u
#define HEAP	    UINT64_C(0x555500000000)
#define MAPPINGS    UINT64_C(0x7f0000000000)

static unsigned long long now = 1000;

/* As good as random, and the same each time. */
static unsigned mixed(unsigned long long number)
{
	number = (number + 1) * 0x9e3779b97f4a7c15u;
	return (unsigned)(number >> 40);
}

static void print_stack(unsigned id)
{
	printf("{\"type\":\"stack\",\"id\":%u,\"frames\":[", id);
	for (unsigned i = 0; i < FRAMES; i++) {
		/* the callers of many stacks are the same, as in a program */
		unsigned function = i == FRAMES - 1 ? 0 : mixed(id >> i) % FUNCTIONS;
		printf("%s{\"ip\":\"0x%x\",\"module\":%u,\"offset\":\"0x%x\",\"symbol\":\"function_"
		       "%u\","
		       "\"symbol_offset\":%u}",
		    i ? "," : "", 0x400000 + function * 64, function % MODULES + 1, function * 64,
		    function, 16 + (id >> i) % 16);
	}
	printf("]}\n");
}

static void print_head(unsigned long long faults)
{
	printf(
	    "{\"type\":\"session\",\"format\":\"faultline-trace\",\"version\":1,"
	    "\"tool\":\"faultline\",\"time\":\"2026-01-01T00:00:00Z\",\"ts\":%llu,"
	    "\"clock\":\"monotonic\",\"page_size\":%u,\"kernel\":\"6.18.0\",\"machine\":\"x86_64\","
	    "\"mode\":\"missing\",\"capture\":\"perf\",\"command\":[\"long_trace\",\"%llu\"]}\n",
	    now, PAGE, faults);
	printf("{\"type\":\"process\",\"ts\":%llu,\"pid\":100,\"ppid\":1,\"event\":\"start\","
	       "\"exe\":\"/usr/bin/long_trace\"}\n",
	    now);
	for (unsigned i = 0; i < THREADS; i++)
		printf("{\"type\":\"thread\",\"ts\":%llu,\"pid\":100,\"tid\":%u,\"name\":\"thread "
		       "%u\"}\n",
		    now, 100 + i, i);
	for (unsigned i = 1; i <= MODULES; i++)
		printf(
		    "{\"type\":\"module\",\"id\":%u,\"pid\":100,\"path\":\"/usr/lib/module_%u.so\","
		    "\"start\":\"0x400000\",\"end\":\"0x500000\",\"offset\":0}\n",
		    i, i);
	for (unsigned i = 1; i <= STACKS; i++)
		print_stack(i);
	printf(
	    "{\"type\":\"region\",\"id\":1,\"ts\":%llu,\"pid\":100,\"tid\":100,\"start\":\"0x%"
	    "llx\","
	    "\"size\":%llu,\"source\":\"brk\",\"memory\":\"anon\",\"page_size\":%u,\"stack\":1}\n",
	    now, (unsigned long long)HEAP, (faults + 512) * PAGE, PAGE);
}

/* Fault number `fault` is page `fault` of its half of the address space. */
static void print_fault(unsigned long long fault, unsigned long long block)
{
	int mapped = block % 2;
	unsigned long long offset = fault * PAGE + mixed(fault) % PAGE;
	unsigned long long addr = (mapped ? MAPPINGS : HEAP) + offset;
	const char *access = fault % 8 ? "write" : "read", *served = fault % 8 ? "copy" : "zero";

	now += 700 + mixed(fault) % 1000;
	printf("{\"type\":\"fault\",\"ts\":%llu,\"pid\":100,\"tid\":%u,\"addr\":\"0x%llx\","
	       "\"access\":\"%s\",\"kind\":\"missing\",\"origin\":\"user\",\"region\":%llu,"
	       "\"offset\":%llu",
	    now, 100 + (unsigned)(block % THREADS), addr, access, mapped ? block + 1 : 1,
	    mapped ? offset % BLOCK : offset);
	if (!mapped)
		printf(",\"alloc\":%llu", fault / ALLOC_PAGES + 1);
	printf(",\"stack\":%u,\"served\":\"%s\",\"service_ns\":%u}\n",
	    mixed(fault / 32) % STACKS + 1, served, 900 + mixed(fault) % 500);
}

static void give_back(unsigned long long block)
{
	unsigned long long first = block * (BLOCK / PAGE / ALLOC_PAGES) + 1;

	if (block % 2) {
		printf("{\"type\":\"region_end\",\"id\":%llu,\"ts\":%llu,\"pid\":100,"
		       "\"reason\":\"unmap\"}\n",
		    block + 1, now);
		return;
	}
	for (unsigned i = 0; i < BLOCK / PAGE / ALLOC_PAGES; i++)
		if (i % 8)
			printf("{\"type\":\"free\",\"ts\":%llu,\"pid\":100,\"tid\":%u,\"alloc\":%"
			       "llu}\n",
			    now, 100 + (unsigned)(block % THREADS), first + i);
}

int main(int count, char **words)
{
	unsigned long long faults = count == 2 ? strtoull(words[1], NULL, 10) : 0;
	unsigned long long regions = 1;

	if (faults == 0 || faults > 1000000000) {
		fprintf(stderr, "Usage: %s FAULTS\n", words[0]);
		return 2;
	}
	print_head(faults);
	for (unsigned long long fault = 0; fault < faults; fault++) {
		unsigned long long block = fault * PAGE / BLOCK;
		unsigned thread = 100 + (unsigned)(block % THREADS);

		if (fault * PAGE % BLOCK == 0) {
			if (block >= ALIVE)
				give_back(block - ALIVE);
			if (block % 2) {
				printf("{\"type\":\"region\",\"id\":%llu,\"ts\":%llu,\"pid\":100,"
				       "\"tid\":%u,"
				       "\"start\":\"0x%llx\",\"size\":%u,\"source\":\"mmap\","
				       "\"memory\":\"anon\",\"page_size\":%u,\"stack\":%u}\n",
				    block + 1, now, thread,
				    (unsigned long long)MAPPINGS + block * BLOCK, BLOCK, PAGE,
				    mixed(block) % STACKS + 1);
				regions++;
			}
		}
		if (block % 2 == 0 && fault % ALLOC_PAGES == 0)
			printf(
			    "{\"type\":\"alloc\",\"id\":%llu,\"ts\":%llu,\"pid\":100,\"tid\":%u,"
			    "\"addr\":\"0x%llx\",\"size\":%u,\"func\":\"malloc\",\"stack\":%u}\n",
			    fault / ALLOC_PAGES + 1, now, thread,
			    (unsigned long long)HEAP + fault * PAGE, ALLOC_PAGES * PAGE,
			    mixed(fault / ALLOC_PAGES % 400) % STACKS + 1);
		print_fault(fault, block);
	}
	printf("{\"type\":\"process\",\"ts\":%llu,\"pid\":100,\"event\":\"exit\",\"status\":0}\n",
	    now);
	printf("{\"type\":\"end\",\"ts\":%llu,\"faults\":%llu,\"regions\":%llu,\"stacks\":%u,"
	       "\"lost\":0,"
	       "\"duration_ns\":%llu,\"processes\":1}\n",
	    now, faults, regions, STACKS, now - 1000);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("long_trace");
		return 1;
	}
	return 0;
}
