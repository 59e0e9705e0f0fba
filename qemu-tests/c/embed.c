/* A runtime in C, through stackgate.h: tasks, calls, callbacks, errors, tracebacks. */
#include <stackgate.h>
#include <string.h>

static stackgate_m m;
static stackgate_g g;
static _Alignas(16) char stack[32768];
static int steps;

/* Which check failed, by line; 0 when none did. */
#define CHECK(condition) do { if (!(condition)) return __LINE__; steps++; } while (0)

struct block { int in, out; };

static void managed(void *arg, size_t size, uintptr_t ctxt)
{
	struct block *block = arg;

	block->out = block->in * 2 + (int)size + (int)ctxt;
}

/* C that calls back. */
static int in_c(void *arg)
{
	struct block *block = arg;

	stackgate_enter(managed, block, sizeof *block);
	return block->out + 1;
}

static uintptr_t task(uintptr_t word)
{
	struct block block = { .in = (int)word, .out = 0 };
	uintptr_t given = 0;

	given = (uintptr_t)stackgate_cgocall(in_c, &block);
	if (stackgate_yield(&given) != 0)
		return 1;
	if (given == 78)
		stackgate_finish(given + 1);
	return given + stackgate_topofstack() - (uintptr_t)(stack + sizeof stack);
}

static stackgate_g other;
static _Alignas(16) char other_stack[16384];

/* Adds one to the word that it is given, and switches to g. */
static uintptr_t switches(uintptr_t word)
{
	word++;
	if (stackgate_switch_to(&g, &word) != 0)
		return 1;
	return word + 1;
}

/* Hands its word over to the other task, and gives back what comes from there. */
static uintptr_t hands_over(uintptr_t word)
{
	if (stackgate_switch_to(&g, &word) != STACKGATE_ENOTPARKED || stackgate_switch_to(&other, NULL) != STACKGATE_EADDRESS)
		return 1;
	if (stackgate_switch_to(&other, &word) != 0)
		return 2;
	if (stackgate_switch_to(&other, &word) != 0)
		return 3;
	return word;
}

/* Two tasks in C that switch to each other. */
static int switching(void)
{
	stackgate_g *back = &g;
	uintptr_t word = 10;

	CHECK(stackgate_g_init(&g, stack, stack + sizeof stack, hands_over) == 0);
	CHECK(stackgate_g_init(&other, other_stack, other_stack + sizeof other_stack, switches) == 0);
	CHECK(stackgate_switch_to(&g, &word) == STACKGATE_ENOTATASK);
	CHECK(stackgate_run_any(NULL, &word) == STACKGATE_EADDRESS);
	/* g, other, g, and other again, which ends. */
	CHECK(stackgate_run_any(&back, &word) == 1);
	CHECK(back == &other && word == 12);
	word = 5;
	CHECK(stackgate_run(&g, &word) == 1 && word == 5);
	CHECK(stackgate_run_any(&back, &word) == STACKGATE_ENOTPARKED && back == &other);
	return 0;
}

int embed(void)
{
	uintptr_t word = 10;

	CHECK(stackgate_m_release() == STACKGATE_ENOTG0);
	CHECK(stackgate_run(&g, &word) == STACKGATE_ENOM);
	CHECK(stackgate_m_adopt(NULL) == STACKGATE_EADDRESS);
	CHECK(stackgate_m_adopt(&m) == 0);
	CHECK(stackgate_m_adopt(&m) == STACKGATE_EADOPTED);
	CHECK(stackgate_run(&g, &word) == STACKGATE_ENOTPARKED);
	CHECK(stackgate_g_init(&g, stack, stack + sizeof stack, NULL) == STACKGATE_ENULL);
	CHECK(stackgate_g_init(&g, stack + sizeof stack, stack, task) == STACKGATE_EINVERTED);
	CHECK(stackgate_g_init(&g, stack, stack + 1024, task) == STACKGATE_ESMALL);
	CHECK(stackgate_g_init(&g, stack, stack + 4097, task) == STACKGATE_EALIGN);
	CHECK(stackgate_g_init(&g, stack, stack + sizeof stack, task) == 0);
	CHECK(stackgate_run(&g, &word) == 0);
	CHECK(word == 10 * 2 + sizeof(struct block) + 1);
	CHECK(stackgate_g_init(&g, stack, stack + sizeof stack, task) == STACKGATE_EINUSE);
	word = 77;
	CHECK(stackgate_run(&g, &word) == 1);
	CHECK(word == 77);
	CHECK(stackgate_g_init(&g, stack, stack + sizeof stack, task) == 0);
	CHECK(stackgate_run(&g, &word) == 0);
	word = 78;
	CHECK(stackgate_run(&g, &word) == 1);
	CHECK(word == 79);
	CHECK(switching() == 0);
	CHECK(stackgate_finish(0) == STACKGATE_ENOTATASK);
	CHECK(stackgate_yield(&word) == STACKGATE_ENOTATASK);
	CHECK(stackgate_getg() == &m.g0);
	CHECK(stackgate_notify_runtime_init_done() == STACKGATE_ENOTBEGUN);
	CHECK(stackgate_set_cgo_traceback(1, NULL, NULL, NULL) == STACKGATE_EVERSION);
	CHECK(strlen(stackgate_strerror(STACKGATE_ESMALL)) > 10);
	CHECK(strcmp(stackgate_strerror(0), "no error") == 0);
	CHECK(stackgate_m_release() == 0);
	CHECK(stackgate_getg() == NULL);
	return 0;
}

int embed_steps(void)
{
	return steps;
}
