/* SPDX-License-Identifier: MIT */
/*
 * hugefile: huge pages that come through a descriptor, whose size mmap's flags do not tell: written
 * through one mapping, then read through a second one, where they are there already.
 *
 *   hugefile        prints the sum of what it wrote
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define COUNT	  2

static volatile char *map(int fd)
{
	void *p = mmap(NULL, COUNT * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		perror("mmap");
	return p;
}

int main(void)
{
	volatile char *p, *q;
	unsigned sum = 0;
	int fd = memfd_create("huge", MFD_HUGETLB);

	if (fd < 0 || ftruncate(fd, COUNT * HUGE_PAGE) != 0) {
		perror("memfd_create");
		return 1;
	}
	p = map(fd);
	q = map(fd);
	if (p == MAP_FAILED || q == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < COUNT * HUGE_PAGE; i += 4096)
		p[i] = 1;
	for (size_t i = 0; i < COUNT * HUGE_PAGE; i += 4096)
		sum += (unsigned)q[i];
	printf("hugefile: %u\n", sum);
	return 0;
}
