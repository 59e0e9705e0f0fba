/* What the runtime does, each held against what it must come to. The last line has the counts. */
#include "runtime.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition)								\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);	\
			exit(1);							\
		}									\
		__atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);			\
	} while (0)

static unsigned long checks, turns, calls, callbacks, foreign, throws, frames, moves, signals;

/* ---- Tasks take turns. */

#define TASKS 1000
#define ROUNDS 10

static unsigned long round_of[ROUNDS];

static uintptr_t takes_turns(void *arg)
{
	uintptr_t sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		round_of[round]++;
		sum += (uintptr_t)arg;
		task_yield();
		/* Everybody has had this turn. */
		if (round_of[round] != TASKS)
			return 0;
	}
	return sum;
}

static void test_turns(void)
{
	static struct task *tasks[TASKS];

	for (uintptr_t i = 0; i < TASKS; i++)
		EXPECT((tasks[i] = task_start(takes_turns, (void *)(i + 1))));
	turns += run_tasks(ALL);
	EXPECT(turns == TASKS * (ROUNDS + 1));
	for (uintptr_t i = 0; i < TASKS; i++)
		EXPECT(task_end(tasks[i]) == (i + 1) * ROUNDS);
}

/* ---- A task calls C, which calls back, and so on; each sees whose stack it is on. */

#define DEPTH 20

static int on_stack_of(struct task *task, void *place)
{
	return (char *)place >= (char *)task->stack.limit && (char *)place < (char *)task->stack.top;
}

static int deeper(void *arg);

static int goes_deeper(void *arg)
{
	int *depth = arg, here = 0;

	__atomic_fetch_add(&callbacks, 1, __ATOMIC_RELAXED);
	if (!on_stack_of(task_self(), &here))
		return -1;
	if (++*depth == DEPTH)
		return 1;
	calls++;
	return stackgate_cgocall(deeper, arg) + 1;
}
CALLBACK(int, call_deeper, goes_deeper)

/* C: on the thread's own stack, and with the errno that it has set. */
static int deeper(void *arg)
{
	int here = 0, result;

	if (on_stack_of(task_self(), &here))
		return -1000;
	errno = ERANGE;
	result = call_deeper(arg);
	return errno == ERANGE ? result : -2000;
}

static uintptr_t nests(void *arg)
{
	int depth = 0;
	uintptr_t thrown = 1;
	int result = task_call(deeper, &depth, &thrown);

	(void)arg;
	calls++;
	return thrown == 0 && depth == DEPTH ? (uintptr_t)result : 0;
}

static void test_nesting(void)
{
	struct task *task = task_start(nests, NULL);

	EXPECT(task);
	turns += run_tasks(ALL);
	EXPECT(task_end(task) == DEPTH);
	EXPECT(callbacks == DEPTH && calls == DEPTH);
}

/* ---- qsort sorts with a comparison that is managed code, and a traceback taken in one goes through it. */

#define NUMBERS 500

struct pair { const int *a, *b; };

static char trace[16 << 10];
static size_t trace_size;

static void keep(const char *text, uintptr_t size, void *arg)
{
	(void)arg;
	if (size > sizeof trace - 1 - trace_size)
		size = sizeof trace - 1 - trace_size;
	memcpy(trace + trace_size, text, size);
	trace_size += size;
}

static int compares(void *arg)
{
	struct pair *pair = arg;

	if (callbacks++ == DEPTH + 100)
		stackgate_print_traceback(NULL, keep, NULL);
	return (*pair->a > *pair->b) - (*pair->a < *pair->b);
}
CALLBACK(int, call_compare, compares)

static int compare(const void *a, const void *b)
{
	struct pair pair = { a, b };

	return call_compare(&pair);
}

static int sort_in_c(void *numbers)
{
	qsort(numbers, NUMBERS, sizeof(int), compare);
	return 0;
}

static uintptr_t sorts(void *numbers)
{
	uintptr_t thrown;

	calls++;
	task_call(sort_in_c, numbers, &thrown);
	return thrown == 0;
}

/* Where a function is in the trace, as its frame's first line. */
static const char *frame_of(const char *name, const char *from)
{
	size_t length = strlen(name);

	for (const char *line = from; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, name, length) && line[length] == '\n')
			return line;
	return NULL;
}

static void test_sorting(void)
{
	static const char *const expected[] = { "compares", "call_compare", "compare", "sort_in_c", "sorts" };
	static int numbers[NUMBERS];
	struct task *task;
	const char *at = trace, *compare_at = NULL, *sort_at;

	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = i * 7919 % NUMBERS;
	EXPECT((task = task_start(sorts, numbers)));
	turns += run_tasks(ALL);
	EXPECT(task_end(task) == 1);
	for (int i = 0; i < NUMBERS; i++)
		EXPECT(numbers[i] == i);
	/* Innermost first; a compiler may have inlined one into another, which the debug information knows. */
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		at = frame_of(expected[i], at);
		if (!at)
			fprintf(stderr, "%s is not there, or not in its place:\n%s", expected[i], trace);
		EXPECT(at);
		frames++;
		if (!strcmp(expected[i], "compare"))
			compare_at = at;
	}
	/* qsort itself, under whatever names: two lines a frame, at least one frame. */
	sort_at = frame_of("sort_in_c", trace);
	for (at = compare_at; at < sort_at; at = strchr(at, '\n') + 1)
		frames++;
	EXPECT(frames > sizeof expected / sizeof *expected + 2);
	EXPECT(strstr(trace, "main.c:") && !strstr(trace, "stopped"));
}

/* ---- Throws go through C to where a task has called it. */

static int throws_once(void *arg)
{
	throws++;
	stackgate_throw((uintptr_t)arg);
	return 0;
}
CALLBACK(int, call_throw, throws_once)

static volatile int passed_by;

static int in_between(void *arg)
{
	int result = call_throw(arg);

	passed_by++;	/* never: the throw has dropped this frame */
	return result;
}

static uintptr_t catches(void *arg)
{
	static const char what[] = "what was thrown";
	uintptr_t thrown, sum = 0;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		calls++;
		task_call(in_between, (void *)(uintptr_t)what, &thrown);
		sum += thrown == (uintptr_t)what;
		if (i % 10 == 0)
			task_yield();
	}
	return sum;
}

static void test_throws(void)
{
	struct task *task = task_start(catches, NULL);

	EXPECT(task);
	turns += run_tasks(ALL);
	EXPECT(task_end(task) == 100);
	EXPECT(throws == 100 && passed_by == 0);
}

/* ---- Threads that the runtime did not make call in. */

#define THREADS 8
#define TIMES 100

static int counts(void *arg)
{
	int here = 0;
	stackgate_g *g = stackgate_getg();

	/* On a managed stack, as a task, that is this thread's. */
	if ((uintptr_t)&here < g->stack.limit || (uintptr_t)&here >= g->stack.top)
		return 0;
	__atomic_fetch_add(&foreign, 1, __ATOMIC_RELAXED);
	return *(int *)arg + 1;
}
CALLBACK(int, call_count, counts)

static void *calls_in(void *arg)
{
	uintptr_t good = 0;

	(void)arg;
	for (int i = 0; i < TIMES; i++)
		good += call_count(&i) == i + 1;
	return (void *)good;
}

static void test_foreign_threads(void)
{
	pthread_t threads[THREADS];

	EXPECT(stackgate_prepare_extra_ms(2) == 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&threads[i], NULL, calls_in, NULL) == 0);
	for (int i = 0; i < THREADS; i++) {
		void *good;

		EXPECT(pthread_join(threads[i], &good) == 0 && (uintptr_t)good == TIMES);
	}
	EXPECT(foreign == THREADS * TIMES);
}

/* ---- Tasks go on where another thread has left them. */

static pthread_mutex_t workers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t workers_change = PTHREAD_COND_INITIALIZER;
static int workers_done;

static uintptr_t moves_about(void *arg)
{
	uintptr_t changes = 0;

	(void)arg;
	for (int i = 0; i < 50; i++) {
		void *thread = task_self()->thread;

		task_yield();
		changes += task_self()->thread != thread;
	}
	return changes;
}

static void works(void *arg)
{
	unsigned long mine = run_tasks(ALL);

	pthread_mutex_lock(&workers_lock);
	*(unsigned long *)arg += mine;
	workers_done++;
	pthread_cond_signal(&workers_change);
	pthread_mutex_unlock(&workers_lock);
}

#define MOVERS 20
#define WORKERS 3

static void test_moves(void)
{
	struct task *tasks[MOVERS];
	unsigned long mine = 0;

	for (int i = 0; i < MOVERS; i++)
		EXPECT((tasks[i] = task_start(moves_about, NULL)));
	/* Each has its first turn here, and the next one elsewhere. */
	turns += run_tasks(MOVERS);
	for (int i = 0; i < WORKERS; i++)
		EXPECT(stackgate_start_thread(works, &mine, 0, 0) == 0);
	pthread_mutex_lock(&workers_lock);
	while (workers_done < WORKERS)
		pthread_cond_wait(&workers_change, &workers_lock);
	pthread_mutex_unlock(&workers_lock);
	EXPECT(mine == MOVERS * 50);
	turns += mine;
	for (int i = 0; i < MOVERS; i++)
		moves += task_end(tasks[i]);
	EXPECT(moves >= MOVERS);
}

/* ---- A signal handler sees what it has interrupted. */

static uintptr_t interrupted[64];
static volatile uintptr_t interrupted_frames;
static volatile sig_atomic_t again = 1;

static void on_signal(int signal, void *info, void *ucontext)
{
	(void)signal;
	(void)info;
	/* Another one may have been on its way. */
	if (!again)
		return;
	interrupted_frames = stackgate_callers_interrupted(ucontext, interrupted, 64);
	signals++;
	again = 0;
}

static pthread_t spinning;

static __attribute__((noinline)) uintptr_t spins(void *arg)
{
	uintptr_t turns_of_it = 0;

	(void)arg;
	while (again)
		turns_of_it++;
	return turns_of_it + 1;
}

static void *interrupts(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000 && again; i++) {
		struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

		nanosleep(&pause, NULL);
		pthread_kill(spinning, SIGUSR1);
	}
	return NULL;
}

static void test_signals(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char signal_stack[64 << 10];
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack };
	struct task *task;
	pthread_t thread;
	int found = 0;

	EXPECT(sigaltstack(&stack, NULL) == 0);
	/* The same function: stackgate.h needs no signal.h, and has void for siginfo_t. */
	action.sa_sigaction = (void (*)(int, siginfo_t *, void *))stackgate_sigtramp;
	EXPECT(stackgate_set_signal_handler(on_signal) == 0);
	EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
	spinning = pthread_self();
	EXPECT((task = task_start(spins, NULL)));
	EXPECT(pthread_create(&thread, NULL, interrupts, NULL) == 0);
	turns += run_tasks(ALL);
	EXPECT(pthread_join(thread, NULL) == 0);
	EXPECT(task_end(task) > 0 && signals > 0);
	/* spins, and begin, which has called it unless that was a jump. */
	for (uintptr_t i = 0; i < interrupted_frames; i++)
		found |= interrupted[i] - (uintptr_t)spins < 256;
	EXPECT(found && interrupted_frames < 64);
	frames += interrupted_frames;
}

/* With an argument: without signals, for an emulator that cannot deliver them to threads. */
int main(int argc, char **argv)
{
	int error = runtime_init();

	(void)argv;
	if (error) {
		fprintf(stderr, "the runtime does not begin: %s\n", stackgate_strerror(error));
		return 1;
	}
	test_turns();
	test_nesting();
	test_sorting();
	test_throws();
	test_foreign_threads();
	test_moves();
	if (argc == 1)
		test_signals();
	printf("%lu checks: %lu turns (%lu where another thread had left off), %lu calls, %lu callbacks, %lu of foreign threads, "
	       "%lu throws, %lu frames, %lu signals\n",
	       checks, turns, moves, calls, callbacks, foreign, throws, frames, signals);
	return 0;
}
