/* The runtime: a queue of tasks that could run, and a loop that resumes the first of them. */
#include "runtime.h"

#include <pthread.h>
#include <stdlib.h>

#define STACK_SIZE (16 << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct task *first, **last = &first;
static __thread struct task *self;

int runtime_init(void)
{
	static stackgate_m m;
	int error;

	error = stackgate_use_linux();
	if (!error)
		error = stackgate_m_adopt(&m);
	if (!error)
		error = stackgate_install_symbolizer();
	if (!error)
		error = stackgate_handle_faults();
	return error;
}

static void enqueue(struct task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&lock);
	*last = task;
	last = &task->next;
	pthread_mutex_unlock(&lock);
}

static struct task *dequeue(void)
{
	struct task *task;

	pthread_mutex_lock(&lock);
	task = first;
	if (task) {
		first = task->next;
		if (!first)
			last = &first;
	}
	pthread_mutex_unlock(&lock);
	return task;
}

/* Where a task begins; the word of its first turn is its address. */
static uintptr_t begin(uintptr_t word)
{
	struct task *task = (struct task *)word;

	return task->main(task->arg);
}

struct task *task_start(uintptr_t (*main)(void *arg), void *arg)
{
	struct task *task = calloc(1, sizeof *task);

	if (!task)
		return NULL;
	if (stackgate_stack_take(STACK_SIZE, &task->stack)) {
		free(task);
		return NULL;
	}
	task->main = main;
	task->arg = arg;
	if (stackgate_g_init(&task->g, task->stack.limit, task->stack.top, begin))
		abort();
	enqueue(task);
	return task;
}

uintptr_t task_end(struct task *task)
{
	uintptr_t result = task->result;

	if (!task->done)
		abort();
	stackgate_stack_put(&task->stack);
	free(task);
	return result;
}

void task_yield(void)
{
	uintptr_t word = 0;

	if (stackgate_yield(&word))
		abort();
}

int task_call(int (*f)(void *arg), void *arg, uintptr_t *thrown)
{
	return stackgate_cgocall_catch(f, arg, thrown);
}

/*
 * Not to be inlined into a task, which may go on on another thread: a compiler takes the address of what is
 * thread-local once for a whole function.
 */
__attribute__((noinline)) struct task *task_self(void)
{
	return self;
}

unsigned long run_tasks(unsigned long most)
{
	unsigned long turns = 0;
	struct task *task;

	while (turns < most && (task = dequeue())) {
		uintptr_t word = (uintptr_t)task;
		int how;

		self = task;
		task->thread = &self;
		how = stackgate_run(&task->g, &word);
		self = NULL;
		turns++;
		if (how < 0)
			abort();
		if (how == 0) {
			enqueue(task);
			continue;
		}
		task->result = word;
		task->done = 1;
	}
	return turns;
}
