/* SPDX-License-Identifier: MIT */
/*
 * hugefile: huge pages that come through a descriptor, whose size mmap's flags do not tell.
 *
 *   hugefile        prints the sum of what it wrote
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define COUNT	  2

int main(void)
{
	volatile char *p;
	unsigned sum = 0;
	int fd = memfd_create("huge", MFD_HUGETLB);

	if (fd < 0 || ftruncate(fd, COUNT * HUGE_PAGE) != 0) {
		perror("memfd_create");
		return 1;
	}
	p = mmap(NULL, COUNT * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (size_t i = 0; i < COUNT * HUGE_PAGE; i += 4096)
		p[i] = 1;
	for (size_t i = 0; i < COUNT * HUGE_PAGE; i += 4096)
		sum += (unsigned)p[i];
	printf("hugefile: %u\n", sum);
	return 0;
}
