/* C that calls back. */
#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

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

/* Calls back from below 4 KiB that it has written to. AddressSanitizer has not been told that what it watched there is
   no more: the longjmp has gone over frames of another stack. */
__attribute__((no_sanitize_address)) static void from_deeper(void *closure)
{
	volatile char written[4096];

	for (size_t i = 0; i < sizeof written; i++)
		written[i] = (char)0xa5;
	test_run(closure);
	written[0] = 0;
}

/* Calls back, and again if what it called has come here by a longjmp: two closures, and if the second is for
   from_deeper. */
static jmp_buf left;

int c_jumps(void *closures)
{
	void **closure = closures;

	if (!setjmp(left)) {
		test_run(closure[0]);
		return 1;
	}
	if (closure[2])
		from_deeper(closure[1]);
	else if (closure[1])
		test_run(closure[1]);
	return 2;
}

_Noreturn int c_jumps_back(void *unused)
{
	longjmp(left, 1);
}

/* Calls back on a stack that the caller brings: a closure, and the stack's ends. */
static ucontext_t here, there;
static void *on_stack;

static void runs_on_stack(void)
{
	test_run(on_stack);
}

int c_on_stack(void *closure_and_ends)
{
	void **args = closure_and_ends;

	on_stack = args[0];
	if (getcontext(&there))
		return -1;
	there.uc_stack.ss_sp = args[1];
	there.uc_stack.ss_size = (char *)args[2] - (char *)args[1];
	there.uc_link = &here;
	makecontext(&there, runs_on_stack, 0);
	return swapcontext(&here, &there) ? -2 : 5;
}

/* Gives up, as C does that has no other way out. */
_Noreturn void stackgate_panic(const char *message);

int c_panics(void *message)
{
	stackgate_panic(message);
}
