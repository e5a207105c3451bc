/* SPDX-License-Identifier: MIT */
/* immune: a static program: nothing is preloaded into it. Says so much and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	char *p = malloc(100000);

	memset(p, 1, 100000);
	printf("immune: %d\n", p[99999]);
	free(p);
	return 23;
}
