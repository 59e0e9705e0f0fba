/*
 * User functions without a frame, so that what a path uses is its own; and a signal handler on a stack that the
 * caller gives.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include <stackgate.h>

#define LEAST __attribute__((optimize("omit-frame-pointer")))

LEAST int depth_user_c(void *arg)
{
	(void)arg;
	return 0;
}

LEAST void depth_user_system(void *arg)
{
	(void)arg;
}

LEAST void depth_user_managed(void *frame, size_t n, uintptr_t ctxt)
{
	(void)frame;
	(void)n;
	(void)ctxt;
}

LEAST uintptr_t depth_user_entry(uintptr_t word)
{
	return word;
}

LEAST uintptr_t depth_user_entering_c(void)
{
	return 1;
}

LEAST void depth_user_word(uintptr_t word)
{
	(void)word;
}

LEAST uint64_t depth_user_body(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
			       double g, double h, double i, double j, double k, double l)
{
	(void)a, (void)b, (void)c, (void)d, (void)e;
	(void)g, (void)h, (void)i, (void)j, (void)k, (void)l;
	return f;
}

LEAST void depth_user_write(const char *bytes, size_t n)
{
	(void)bytes;
	(void)n;
}

LEAST void depth_user_context(struct stackgate_context_arg *arg)
{
	if (arg->context == 0)
		arg->context = 1;
}

LEAST void depth_user_traceback(struct stackgate_traceback_arg *arg)
{
	size_t at;

	for (at = 0; at < arg->max; at++)
		arg->buf[at] = (uintptr_t)depth_user_traceback + at;
}

LEAST void depth_user_symbolizer(struct stackgate_symbolizer_arg *arg)
{
	arg->func = "function";
	arg->file = "file";
	arg->lineno = 4294967295u;
}

static void (*handler_runs)(void *ucontext);

#if defined(__i386__) || defined(__x86_64__)
/* The emulator enters a handler with SP one word off what the ABI says. */
__attribute__((force_align_arg_pointer))
#endif
static void handler(int signal, siginfo_t *info, void *ucontext)
{
	(void)signal;
	(void)info;
	handler_runs(ucontext);
}

/* Runs `f` in a handler on this stack. */
int depth_in_handler(void (*f)(void *ucontext), void *stack, size_t size)
{
	stack_t own = { .ss_sp = stack, .ss_size = size }, former;
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	handler_runs = f;
	return sigaltstack(&own, &former) || sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1)
		|| sigaltstack(&former, NULL);
}
