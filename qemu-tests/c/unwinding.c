/* Who called whom, by libgcc's unwinder. */
#include <stdint.h>
#include <unwind.h>

struct trace { uintptr_t *pc; int n, max; };

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *arg)
{
	struct trace *trace = arg;

	if (trace->n == trace->max)
		return _URC_END_OF_STACK;
	trace->pc[trace->n++] = (uintptr_t)_Unwind_GetIP(context);
	return _URC_NO_REASON;
}

/* Writes at most `max` PCs, innermost first; returns how many. */
int c_backtrace(uintptr_t *pc, int max)
{
	struct trace trace = { .pc = pc, .n = 0, .max = max };

	_Unwind_Backtrace(frame, &trace);
	return trace.n;
}
