/* What code that was made at run time calls, and is called by. */
#include <stackgate.h>

/* After code has been written: what the CPU has fetched before is not what is there. */
void c_flush_code(char *start, char *end)
{
	__builtin___clear_cache(start, end);
}

/* C, called by ccall from such code. */
int c_adds_one(void *number)
{
	return ++*(int *)number;
}

struct entry {
	stackgate_callback_fn code;
	void *words;
};

/* C, called by a task: enters such code, which leaves no register as it was. */
int c_enters(void *arg)
{
	struct entry *entry = arg;

	stackgate_crosscall2(entry->code, entry->words, 0, 0);
	return 1;
}
