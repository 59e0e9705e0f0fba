/* C whose lines tracebacks are to name. Each function writes down the line on which it leaves for the next. */
#include <signal.h>

/* Exported by the tests. */
extern void test_run(void *closure);

enum { IN_INLINED, IN_MIDDLE, IN_OUTER, IN_RAISES, IN_STORES, IN_HANDLES };
int c_lines[6];

static inline __attribute__((always_inline)) int c_sym_inlined(void *closure)
{
	c_lines[IN_INLINED] = __LINE__, test_run(closure);
	return 1;
}

__attribute__((noinline)) int c_sym_middle(void *closure)
{
	int n;

	c_lines[IN_MIDDLE] = __LINE__, n = c_sym_inlined(closure);
	return n + 1;
}

__attribute__((noinline)) int c_sym_outer(void *closure)
{
	int n;

	c_lines[IN_OUTER] = __LINE__, n = c_sym_middle(closure);
	return n + 1;
}

__attribute__((noinline)) int c_sym_other(void *closure)
{
	test_run(closure);
	return 1;
}

/* Interrupts itself. */
__attribute__((noinline)) int c_sym_raises(void *unused)
{
	int n;

	c_lines[IN_RAISES] = __LINE__, n = raise(SIGUSR1);
	return n + 4;
}

/* Is interrupted at the store, the only instruction of its line. */
__attribute__((noinline)) int c_sym_stores(void *page)
{
	c_lines[IN_STORES] = __LINE__ + 2;
	__asm__ volatile("" : "+r"(page) : : "memory");
	*(void *volatile *)page = page;
	return 5;
}

/* A handler, which is interrupted. QEMU 7.2 does not align the stack of one on x86_64. */
void c_sym_handles(int unused)
{
	_Alignas(64) volatile int n;

	c_lines[IN_HANDLES] = __LINE__, n = raise(SIGUSR2);
	n = n;
}

/* Takes its time. */
__attribute__((noinline)) int c_sym_works(void *times)
{
	for (volatile long i = 0; i < (long)times; i++)
		;
	return 6;
}
