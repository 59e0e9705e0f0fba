/* C that goes wrong, three calls deep. */
#include <signal.h>
#include <stdlib.h>

enum { STORES, DIVIDES, ABORTS };

/* The compiler must not know. */
static int *volatile nowhere = (int *)16;

__attribute__((noinline)) static int c_fault_inner(int how)
{
	switch (how) {
	case STORES:
		*nowhere = 1;
		break;
	case DIVIDES:
		/* Not every CPU traps when it divides by zero. */
		raise(SIGFPE);
		break;
	case ABORTS:
		abort();
	}
	return how + 1;
}

__attribute__((noinline)) static int c_fault_middle(int how)
{
	return c_fault_inner(how) + 1;
}

__attribute__((noinline)) int c_fault_outer(void *how)
{
	return c_fault_middle(*(int *)how) + 1;
}
