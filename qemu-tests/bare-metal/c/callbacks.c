/* C that calls back, without a C library. */

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
