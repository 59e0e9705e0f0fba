/*
 * sigstep: raises a signal in the guest at each instruction of chosen address ranges.
 *
 *     qemu-CPU -singlestep -plugin sigstep.so,range=LOW-HIGH[,range=...][,signal=N]
 *              [,pause=ADDRESS,resume=ADDRESS] PROGRAM ...
 *
 * Addresses are hexadecimal, HIGH is one past the last. Before an instruction of a range runs, the
 * host signal N (10, SIGUSR1, unless told otherwise) is sent to the host thread that runs the guest
 * thread. The emulator notices before the next instruction, so that the guest's handler sees the
 * address of the instruction after it, wherever control went. Two things follow:
 *
 * - To see the first instruction of a function, the instruction that calls it must be in a range
 *   too: name the caller's range, and let the handler leave out addresses that it does not want.
 * - `-singlestep` is needed: without it the emulator looks for signals between blocks only.
 *
 * A handler that itself runs code of a range would find the signal pending again when it returns,
 * and never get on. `pause` is the address of the handler's first instruction and `resume` that of
 * one that it runs last: between the two the thread gets no signal.
 *
 * The plugin interface is QEMU's version 1. Debian packages no header for it, and what is used of
 * it is this little:
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLUGIN_API __attribute__((visibility("default")))

struct qemu_info_t;
struct qemu_plugin_insn;
struct qemu_plugin_tb;
typedef uint64_t plugin_id;

enum { NO_REGISTERS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
        void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
        void (*reached)(unsigned vcpu, void *data), int registers, void *data);

PLUGIN_API int qemu_plugin_version = 1;

struct range {
    uint64_t low, high;
};

/* More functions than any contract has. */
static struct range ranges[512];
static size_t range_count;
static int signal_number = 10;
static uint64_t pause_at, resume_at;
static __thread int paused;

static void on_range(unsigned vcpu, void *data)
{
    (void)vcpu;
    (void)data;
    if (!paused)
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
}

static void on_pause(unsigned vcpu, void *data)
{
    (void)vcpu;
    (void)data;
    paused = 1;
}

static void on_resume(unsigned vcpu, void *data)
{
    (void)vcpu;
    (void)data;
    paused = 0;
}

static int in_a_range(uint64_t address)
{
    for (size_t i = 0; i < range_count; i++)
        if (address >= ranges[i].low && address < ranges[i].high)
            return 1;
    return 0;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(instruction);

        if (pause_at && address == pause_at)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_pause, NO_REGISTERS, NULL);
        if (in_a_range(address))
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_range, NO_REGISTERS, NULL);
        /* After the range's own: the instruction that resumes is still inside the handler. */
        if (resume_at && address == resume_at)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_resume, NO_REGISTERS, NULL);
    }
}

static int add_range(const char *text)
{
    char *rest;
    struct range range;

    if (range_count == sizeof ranges / sizeof ranges[0])
        return 0;
    range.low = strtoull(text, &rest, 16);
    if (*rest != '-')
        return 0;
    range.high = strtoull(rest + 1, &rest, 16);
    ranges[range_count++] = range;
    return *rest == '\0' && range.low < range.high;
}

PLUGIN_API int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        int good = 1;

        if (strncmp(argv[i], "range=", 6) == 0)
            good = add_range(argv[i] + 6);
        else if (strncmp(argv[i], "signal=", 7) == 0)
            signal_number = atoi(argv[i] + 7);
        else if (strncmp(argv[i], "pause=", 6) == 0)
            pause_at = strtoull(argv[i] + 6, NULL, 16);
        else if (strncmp(argv[i], "resume=", 7) == 0)
            resume_at = strtoull(argv[i] + 7, NULL, 16);
        else
            good = 0;
        if (!good) {
            fprintf(stderr, "sigstep plugin: bad argument %s\n", argv[i]);
            return -1;
        }
    }
    if (range_count == 0 || !pause_at != !resume_at) {
        fprintf(stderr, "sigstep plugin: a range is needed, and pause and resume go together\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
