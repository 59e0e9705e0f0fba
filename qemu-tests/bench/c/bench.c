/* The least that can be called, the same for everybody who is compared: what is timed is the way there. */
#include <stddef.h>
#include <stdint.h>

int bench_leaf(void *arg)
{
	(void)arg;
	return 0;
}

void bench_leaf_void(void *arg)
{
	(void)arg;
}

void bench_leaf_managed(void *frame, size_t n, uintptr_t ctxt)
{
	(void)frame;
	(void)n;
	(void)ctxt;
}

/* The same, and they count: before anything is timed. */
size_t bench_count;

int bench_counted(void *arg)
{
	(void)arg;
	bench_count++;
	return 0;
}

void bench_counted_void(void *arg)
{
	(void)arg;
	bench_count++;
}

void bench_counted_managed(void *frame, size_t n, uintptr_t ctxt)
{
	(void)frame;
	(void)n;
	(void)ctxt;
	bench_count++;
}

struct back {
	void (*function)(void);
	size_t times;
};

/* C that calls back. */
int bench_call_back(void *arg)
{
	const struct back *back = arg;

	for (size_t left = back->times; left > 0; left--)
		back->function();
	return 0;
}

/* The same once, as C does that was called for one thing. */
int bench_call_back_once(void *arg)
{
	const struct back *back = arg;

	back->function();
	return 0;
}

int bench_counted_call_back_once(void *arg)
{
	bench_count++;
	return bench_call_back_once(arg);
}

/* The crossing of a callback alone. */
typedef void managed(void *frame, size_t n, uintptr_t ctxt);
typedef void cgocallback(managed *function, void *frame, size_t n, uintptr_t ctxt);

struct crossing {
	cgocallback *cross;
	managed *function;
	size_t times;
};

int bench_cross_back(void *arg)
{
	const struct crossing *crossing = arg;

	for (size_t left = crossing->times; left > 0; left--)
		crossing->cross(crossing->function, NULL, 0, 0);
	return 0;
}
