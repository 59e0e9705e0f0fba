/* The functions that towers are built of, each with another frame. Compiled more than once, see build.rs: TOWER begins
   their names. What a function calls is the next one of a list. */
#include <alloca.h>
#include <stackgate.h>
#include <stdint.h>
#include <stdlib.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(name) JOIN(TOWER, name)

struct tower {
	int (*const *next)(void *);
	/* Where a signal comes from that is to interrupt the innermost function. */
	volatile char *page;
	size_t room;
};

#define AFTER(passed) (*((struct tower *)(passed))->next++)
#define NEXT(passed) AFTER(passed)(passed)

__attribute__((noipa)) static int sum(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int last)
{
	return a + b + c + d + e + f + g + h + i + j + last;
}

int NAME(plain)(void *tower)
{
	return NEXT(tower) + 1;
}

/* A frame whose size is known only when it runs. */
int NAME(dynamic)(void *tower)
{
	volatile char *room = alloca(((struct tower *)tower)->room++ * 7 % 900 + 1);

	room[0] = 2;
	return NEXT(tower) + room[0] - 1;
}

int NAME(large)(void *tower)
{
	volatile char room[2500];

	room[0] = room[2499] = 2;
	return NEXT(tower) + room[0] + room[2499] - 3;
}

/* Arguments on the stack. */
int NAME(many)(void *tower)
{
	return sum(9, -8, 7, -6, 5, -4, 3, -2, -4, 1, NEXT(tower));
}

/* More values than there are registers that a call keeps. */
int NAME(busy)(void *tower)
{
	volatile long one = 1;
	long a = one, b = one, c = one, d = one, e = one, f = one, g = one, h = one, i = one, j = one, k = one, l = one;
	int rest = NEXT(tower);

	return rest + (int)(a - b + c - d + e - f + g - h + i - j + k - l) + 1;
}

int NAME(floating)(void *tower)
{
	volatile double one = 1;
	double a = one, b = one, c = one, d = one, e = one, f = one, g = one, h = one, i = one, j = one;
	int rest = NEXT(tower);

	return rest + (int)(a - b + c - d + e - f + g - h + i - j) + 1;
}

/* More aligned than the stack is. */
int NAME(aligned)(void *tower)
{
	_Alignas(64) volatile char room[64];

	room[0] = (uintptr_t)room % 64 == 0;
	return NEXT(tower) + room[0];
}

int NAME(calls_c)(void *tower)
{
	return stackgate_asmcgocall(AFTER(tower), tower) + 1;
}

int NAME(catches)(void *tower)
{
	uintptr_t thrown = 1;
	int rest = stackgate_asmcgocall_catch(AFTER(tower), tower, &thrown);

	return rest + 1 + (int)thrown;
}

void NAME(entered)(void *tower, uintptr_t result, uintptr_t context)
{
	*(int *)result = NEXT(tower) + 1 + (int)context;
}

int NAME(calls_back)(void *tower)
{
	int rest = 0;

	stackgate_enter(NAME(entered), tower, (uintptr_t)&rest);
	return rest + 1;
}

static int result;

int NAME(compares)(const void *a, const void *b)
{
	result = a == b ? 0 : NEXT(*(void *const *)a) + 1;
	return 0;
}

/* Through the C library's own code. */
int NAME(sorts)(void *tower)
{
	void *two[2] = { tower, tower };

	qsort(two, 2, sizeof *two, NAME(compares));
	return result + 1;
}

int NAME(leaf)(void *tower)
{
	*((struct tower *)tower)->page = 1;
	return 1;
}

/* Interrupted as well, and has a frame: it calls. */
int NAME(ends)(void *tower)
{
	int one = sum(9, -8, 7, -6, 5, -4, 3, -2, -4, 1, 0);

	*((struct tower *)tower)->page = 1;
	return sum(9, -8, 7, -6, 5, -4, 3, -2, -4, 1, one - 1);
}

/* In the order of `Shape`. */
const void *const NAME(shapes)[] = {
	NAME(plain), NAME(dynamic), NAME(large), NAME(many), NAME(busy), NAME(floating), NAME(aligned), NAME(calls_c),
	NAME(catches), NAME(calls_back), NAME(entered), NAME(sorts), NAME(compares), NAME(leaf), NAME(ends),
};

/* Whether a function compiled from here keeps frame records of the form that walkers follow. gcc's on arm have another,
   and in Thumb code none. */
#ifdef __arm__
const int NAME(keeps_records) = 0;
#else
const int NAME(keeps_records) = 1;
#endif
