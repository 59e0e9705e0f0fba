/* The least that can be called: what is counted is the crossing, not the callee. */
#include <stddef.h>
#include <stdint.h>

#define LEAST __attribute__((optimize("omit-frame-pointer")))

LEAST int count_empty(void *arg)
{
	(void)arg;
	return 0;
}

LEAST void count_empty_system(void *arg)
{
	(void)arg;
}

LEAST void count_empty_managed(void *frame, size_t n, uintptr_t ctxt)
{
	(void)frame;
	(void)n;
	(void)ctxt;
}

/* A context function that does as little as one can. */
LEAST void count_context(uintptr_t *context)
{
	if (*context == 0)
		*context = 1;
}
