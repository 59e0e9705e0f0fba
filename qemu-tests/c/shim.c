/*
 * What the cases of the shim need of C: the layouts that headers have, functions that need deep stacks, and
 * libc functions that fail or return when they are told to (the linker's --wrap: see build.rs).
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#define _TIME_BITS 64

#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SIZE(type) sizeof(type), _Alignof(type)
#define FIELD(type, field) offsetof(type, field), sizeof(((type *)0)->field)

/* The same order as in cases/libc_shim.rs. */
const size_t c_layouts[] = {
        SIZE(struct timespec), FIELD(struct timespec, tv_sec), FIELD(struct timespec, tv_nsec),
        SIZE(struct itimerspec), FIELD(struct itimerspec, it_interval), FIELD(struct itimerspec, it_value),
        SIZE(struct timeval), FIELD(struct timeval, tv_sec), FIELD(struct timeval, tv_usec),
        SIZE(struct itimerval), FIELD(struct itimerval, it_interval), FIELD(struct itimerval, it_value),
        SIZE(sigset_t),
        SIZE(struct sigaction), FIELD(struct sigaction, sa_sigaction), FIELD(struct sigaction, sa_mask),
        FIELD(struct sigaction, sa_flags), FIELD(struct sigaction, sa_restorer),
        SIZE(stack_t), FIELD(stack_t, ss_sp), FIELD(stack_t, ss_flags), FIELD(stack_t, ss_size),
        SIZE(struct sigevent), FIELD(struct sigevent, sigev_value), FIELD(struct sigevent, sigev_signo),
        FIELD(struct sigevent, sigev_notify), FIELD(struct sigevent, _sigev_un._tid),
        SIZE(struct pollfd), FIELD(struct pollfd, fd), FIELD(struct pollfd, events), FIELD(struct pollfd, revents),
        SIZE(pthread_attr_t),
        SIZE(off_t),
};
const size_t c_layouts_count = sizeof c_layouts / sizeof c_layouts[0];

/* The C library's name of an error, or null. */
const char *c_errno_name(int number)
{
    return strerrorname_np(number);
}

/* Functions that need much of a stack: more than 8 KiB the first two, a measured amount the others. */

int c_big_frame(void *unused)
{
    volatile char bytes[12288];

    for (size_t i = 0; i < sizeof bytes; i += 512)
        bytes[i] = 1;
    return bytes[0];
}

int c_regcomp(void *unused)
{
    enum { DEPTH = 64 };
    char pattern[2 * DEPTH + 2];
    regex_t compiled;
    int failed;

    memset(pattern, '(', DEPTH);
    pattern[DEPTH] = 'a';
    memset(pattern + DEPTH + 1, ')', DEPTH);
    pattern[2 * DEPTH + 1] = '\0';
    failed = regcomp(&compiled, pattern, REG_EXTENDED);
    if (!failed)
        regfree(&compiled);
    return failed ? -1 : 1;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int c_deep_qsort(void *unused)
{
    static int numbers[1000];

    for (int i = 0; i < 1000; i++)
        numbers[i] = (i * 7919) % 1000;
    qsort(numbers, 1000, sizeof numbers[0], compare);
    return numbers[1] == 1 ? 1 : -1;
}

int c_deep_printf(void *unused)
{
    static char text[128];

    return snprintf(text, sizeof text, "%La", 3.14159265358979323846L) > 4 ? 1 : -1;
}

int c_deep_fnmatch(void *unused)
{
    return fnmatch("*[a-c]*[[:digit:]]?(x)*.tx[!u]", "some name abc 123 x.txt", FNM_EXTMATCH) == 0 ? 1 : -1;
}

/* Ends the process by a code that says where the fault was. */
size_t c_guard_limit, c_guard_top;

void c_on_fault(int signal, siginfo_t *info, void *context)
{
    size_t address = (size_t)info->si_addr;

    _exit(address >= c_guard_limit && address < c_guard_top ? 42 : 43);
}

/* Functions that may not return, and do so this many times. */
int c_returns;

void __real_exit(int code);
void __real__exit(int code);

#ifdef __PCREL__
/* Calls within the C library keep no TOC pointer. */
#pragma GCC target ("no-pcrel")
#endif

void __wrap_exit(int code)
{
    if (c_returns > 0)
        c_returns--;
    else
        __real_exit(code);
}

void __wrap__exit(int code)
{
    if (c_returns > 0)
        c_returns--;
    else
        __real__exit(code);
}

/* Runs once, between close and whoever asks for its errno. */
void (*c_after_close)(void);

int __real_close(int fd);

int __wrap_close(int fd)
{
    int result = __real_close(fd);
    void (*after)(void) = c_after_close;

    c_after_close = 0;
    if (after)
        after();
    return result;
}

/* The offset that the last mapping of a file was asked for with. */
off_t c_mapped_from;

void *__real_mmap64(void *address, size_t n, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *address, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0)
        c_mapped_from = offset;
    return __real_mmap64(address, n, protection, flags, fd, offset);
}

/* Starts of a thread that fail, and when each was tried. */
int c_start_failures, c_start_error;
int c_starts;
long long c_start_times[64];
void *c_start_id;

int __real_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

int __wrap_pthread_create(
        pthread_t *id, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (c_starts < 64)
        c_start_times[c_starts] = now.tv_sec * 1000000000LL + now.tv_nsec;
    c_starts++;
    c_start_id = id;
    if (c_start_failures > 0) {
        c_start_failures--;
        return c_start_error;
    }
    return __real_pthread_create(id, attributes, start, argument);
}

/* glibc's own growing array, by which pthread_atfork may run out of memory. */
int c_no_memory;

_Bool __real___libc_dynarray_emplace_enlarge(void *list, void *scratch, size_t element);

_Bool __wrap___libc_dynarray_emplace_enlarge(void *list, void *scratch, size_t element)
{
    return c_no_memory ? 0 : __real___libc_dynarray_emplace_enlarge(list, scratch, element);
}
