/* Threads that the runtime did not make. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* Managed code: returns n + 1. */
int test_foreign(int n);

static void *calls(void *times)
{
	intptr_t sum = 0;

	for (intptr_t i = 0; i < (intptr_t)times; i++)
		sum += test_foreign((int)i) - (int)i;
	return (void *)sum;
}

/* Makes a thread with a stack of that size, or the least that there is, that calls in so many times; how often
 * that went well. */
int c_thread_calls(size_t stack, intptr_t times)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *sum;

	if (stack && stack < (size_t)PTHREAD_STACK_MIN)
		stack = (size_t)PTHREAD_STACK_MIN;
	if (pthread_attr_init(&attr) || (stack && pthread_attr_setstacksize(&attr, stack)))
		return -1;
	if (pthread_create(&thread, &attr, calls, (void *)times) || pthread_join(thread, &sum))
		return -2;
	return (int)(intptr_t)sum;
}

static pthread_key_t early, late;
static int at_exit_calls;

/* Calls in at the end of a thread, in each round that there is. */
static void calls_at_exit(void *rounds)
{
	if (test_foreign(40) == 41)
		__atomic_fetch_add(&at_exit_calls, 1, __ATOMIC_RELAXED);
	if ((intptr_t)rounds > 1)
		pthread_setspecific(late, (void *)((intptr_t)rounds - 1));
}

static void *ends(void *rounds)
{
	test_foreign(1);
	pthread_setspecific(early, (void *)1);
	pthread_setspecific(late, rounds);
	return NULL;
}

int c_make_keys(int which)
{
	return which == 0 ? pthread_key_create(&early, calls_at_exit) : pthread_key_create(&late, calls_at_exit);
}

/* A thread whose keys' destructors call in, one of them in so many rounds; how many of these calls went well. */
int c_calls_at_exit(intptr_t rounds)
{
	pthread_t thread;

	at_exit_calls = 0;
	if (pthread_create(&thread, NULL, ends, (void *)rounds) || pthread_join(thread, NULL))
		return -1;
	return at_exit_calls;
}

static ucontext_t here, there;
static int on_context;

static void runs_on_context(void)
{
	on_context = test_foreign(7);
	on_context += test_foreign(8);
}

/* Calls in from a stack of the program's own; 17 if that went well. */
int c_on_context(void)
{
	static _Alignas(16) char stack[256 << 10];

	if (getcontext(&there))
		return -1;
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof stack;
	there.uc_link = &here;
	makecontext(&there, runs_on_context, 0);
	if (swapcontext(&here, &there))
		return -2;
	return on_context;
}

/* Calls in from depth, from the shallow, and from depth again. */
static int deep(int levels)
{
	volatile char frame[4096];

	frame[0] = (char)levels;
	return levels ? deep(levels - 1) + frame[0] - (char)levels : test_foreign(3);
}

int c_deep_shallow_deep(void)
{
	return deep(100) + test_foreign(4) + deep(100);
}

/* The signals that this thread keeps, as bits. */
uint64_t c_signal_mask(void)
{
	sigset_t set;
	uint64_t mask = 0;

	sigemptyset(&set);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	for (int signal = 1; signal <= 64; signal++)
		if (sigismember(&set, signal) == 1)
			mask |= (uint64_t)1 << (signal - 1);
	return mask;
}

static void at_exit(void)
{
	test_foreign(-1);
}

/* Calls in when the program ends. */
int c_at_exit(void)
{
	return atexit(at_exit);
}
