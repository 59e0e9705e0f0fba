/* C11 and C++17 alike: callbacks, nested, with a throw through C and a traceback. Links with libstackgate alone. */
#include <stackgate.h>
#include <stdalign.h>

static stackgate_m m;
static stackgate_g g;
alignas(16) static char stack[32768];
static uintptr_t deepest[16];
static uintptr_t frames;

#define DEPTH 5
#define THROWN 1234

static int in_c(void *arg);

/* Managed code: calls C again, and throws where it is deepest. */
static void managed(void *block, size_t size, uintptr_t context)
{
	int *depth = (int *)block;

	(void)size;
	(void)context;
	if (++*depth < DEPTH) {
		stackgate_cgocall(in_c, depth);
		return;
	}
	frames = stackgate_callers(0, deepest, sizeof deepest / sizeof *deepest);
	stackgate_throw(THROWN);
}

static int in_c(void *arg)
{
	stackgate_enter(managed, arg, sizeof(int));
	return 1;
}

static uintptr_t task(uintptr_t word)
{
	uintptr_t thrown = 0;
	int depth = (int)word;

	if (stackgate_cgocall_catch(in_c, &depth, &thrown) != 0 || thrown != THROWN)
		return 1;
	if (stackgate_yield(&thrown) != 0)
		return 2;
	return depth == DEPTH && thrown == 77 ? 0 : 3;
}

int main(void)
{
	uintptr_t word = 0;

	if (stackgate_m_adopt(&m) != 0)
		return 10;
	if (stackgate_g_init(&g, stack, stack + sizeof stack, task) != 0)
		return 11;
	if (stackgate_run(&g, &word) != 0 || word != THROWN)
		return 12;
	/* Without unwind tables a trace goes by frame records; where this file keeps them it is whole. */
	if (frames < 1 || deepest[0] == 0)
		return 13;
	word = 77;
	if (stackgate_run(&g, &word) != 1)
		return 14;
	if (word != 0)
		return (int)word;
	return stackgate_m_release() == 0 && stackgate_getg() == NULL ? 0 : 15;
}
