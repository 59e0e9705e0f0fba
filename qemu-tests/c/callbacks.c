/* C that calls back. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Exported by the tests. */
extern void test_run(void *closure);

/* Calls the closure as a callback, with frames of its own below. */
__attribute__((noinline)) int c_inner(void *closure)
{
	test_run(closure);
	return 1;
}

__attribute__((noinline)) int c_outer(void *closure)
{
	return c_inner(closure) + 1;
}

/* Sets errno, calls back, and says what errno is then. */
int c_errno(void *closure)
{
	errno = 77;
	test_run(closure);
	return errno;
}

/* Uses about `bytes` of its stack. */
__attribute__((noinline)) int c_deep(void *bytes)
{
	volatile char room[1024];
	uintptr_t left = (uintptr_t)bytes;

	room[0] = 1;
	room[1023] = 2;
	if (left > sizeof room)
		return c_deep((void *)(left - sizeof room)) + room[0] - 1;
	return room[1023];
}

/* Sorts with a comparator that is managed code. */
extern int test_compare(const void *a, const void *b);

int c_qsort(void *words)
{
	qsort(words, 1000, sizeof(int), test_compare);
	return 3;
}

/* Gives up, as C does that has no other way out. */
_Noreturn void stackgate_panic(const char *message);

int c_panics(void *message)
{
	stackgate_panic(message);
}
