/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Do vector registers survive while others have the processor? Four of them hold a pattern through
 * a loop, again and again, in several domains at once. An emulated hypervisor once lost them.
 *
 *     registers SECONDS PATTERN_BYTE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REGISTERS = 4, BYTES = 16, TURNS = 100000 };

static unsigned char pattern[BYTES] __attribute__((aligned(BYTES)));
static unsigned char held[REGISTERS][BYTES] __attribute__((aligned(BYTES)));

static void hold(long turns)
{
	__asm__ volatile("movdqa %1, %%xmm0\n"
			 "movdqa %1, %%xmm5\n"
			 "movdqa %1, %%xmm10\n"
			 "movdqa %1, %%xmm15\n"
			 "1: dec %0\n"
			 "jnz 1b\n"
			 "movdqa %%xmm0, %2\n"
			 "movdqa %%xmm5, %3\n"
			 "movdqa %%xmm10, %4\n"
			 "movdqa %%xmm15, %5\n"
			 : "+r"(turns)
			 : "m"(pattern), "m"(held[0]), "m"(held[1]), "m"(held[2]), "m"(held[3])
			 : "xmm0", "xmm5", "xmm10", "xmm15", "cc", "memory");
}

int main(int argc, char **argv)
{
	time_t end;
	long tries = 0;
	long lost = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: registers SECONDS PATTERN_BYTE\n");
		return 2;
	}
	end = time(NULL) + strtol(argv[1], NULL, 10);
	memset(pattern, (int)strtol(argv[2], NULL, 10), sizeof(pattern));
	while (time(NULL) < end) {
		hold(TURNS);
		tries++;
		for (int i = 0; i < REGISTERS; i++)
			lost += memcmp(pattern, held[i], BYTES) != 0;
	}
	printf("registers: %ld tries, %ld lost\n", tries, lost);
	return lost || !tries;
}
