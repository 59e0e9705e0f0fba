/*
 * A small runtime in C: tasks on managed stacks of 16 KiB, which take turns on one or several threads.
 *
 * A task is ordinary C. What needs more stack than it has, which is nearly all of a C library, it calls by
 * task_call(), on the stack of the thread; C calls back into tasks through functions made by CALLBACK().
 *
 * For tracebacks, compile everything with -fasynchronous-unwind-tables, which is not what every compiler does for
 * C on every CPU, and link with what `pkg-config --libs stackgate-libc` says.
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stackgate-libc.h>

struct task {
	stackgate_g g;	/* first: the current g is the current task */
	struct stackgate_managed_stack stack;
	struct task *next;
	uintptr_t (*main)(void *arg);
	void *arg;
	uintptr_t result;
	int done;
	void *thread;	/* tells the thread that it runs on from others */
};

/* Once, on the first thread. 0, or an error of stackgate.h. */
int runtime_init(void);

/* A task that runs main(arg) when its turn comes; NULL where no stack is left. */
struct task *task_start(uintptr_t (*main)(void *arg), void *arg);

/* Frees a task that is done, and says what its function has returned. */
uintptr_t task_end(struct task *task);

/* In a task: lets the others run. */
void task_yield(void);

/*
 * In a task: f(arg) on the thread's stack. If a callback throws, what was thrown is in *thrown, which is 0
 * otherwise, and f has not returned.
 */
int task_call(int (*f)(void *arg), void *arg, uintptr_t *thrown);

/* The task that runs, or has called the C that runs. */
struct task *task_self(void);

/*
 * On a thread that is an m: runs tasks until there is none that could go on, or has resumed so many. How often one
 * was resumed.
 */
unsigned long run_tasks(unsigned long most);
#define ALL (~0ul)

/*
 * A function for C, `name(arg)`, which runs `body(arg)` as managed code on the stack of the task that called C,
 * or on one of its own where a thread calls that no task runs on. `type` is what it returns.
 */
#define CALLBACK(type, name, body)							\
	struct name##_block { void *arg; type result; };				\
	static void name##_managed(void *block, size_t size, uintptr_t context)		\
	{										\
		struct name##_block *b = block;						\
											\
		(void)size;								\
		(void)context;								\
		b->result = body(b->arg);						\
	}										\
	static type name(void *arg)							\
	{										\
		struct name##_block block = { .arg = arg };				\
											\
		stackgate_enter(name##_managed, &block, sizeof block);			\
		return block.result;							\
	}

#endif
