/*
 * insn: counts the instructions that a guest program executes.
 *
 *     qemu-CPU -plugin insn.so,out=FILE[,profile=on] PROGRAM ...
 *
 * Writes one line `total N` to FILE when the guest ends; with `profile=on` also a line
 * `ADDRESS COUNT` (hexadecimal, decimal) for each instruction that ran.
 *
 * A translation block is entered at its head only. It counts as a whole each time it is entered,
 * which is right unless the guest leaves it in the middle by a fault or a signal. Its last
 * instruction is counted for itself: where that of an x86 goes over the end of a page, QEMU gives it
 * a block of its own, but still names it here.
 *
 * The plugin interface is QEMU's version 1. Debian packages no header for it, and what is used of
 * it is this little:
 */
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLUGIN_API __attribute__((visibility("default")))

struct qemu_info_t;
struct qemu_plugin_insn;
struct qemu_plugin_tb;
typedef uint64_t plugin_id;

/* The callback looks at no guest register, so that QEMU need not save any. */
enum { NO_REGISTERS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
        void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block,
        void (*entered)(unsigned vcpu, void *data), int registers, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
        void (*executed)(unsigned vcpu, void *data), int registers, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *data);

PLUGIN_API int qemu_plugin_version = 1;

/* One translation of a block; the guest may have the same one translated again later. */
struct block {
    struct block *next;
    uint64_t entered;
    uint64_t ended;
    size_t length;
    uint64_t address[];
};

static struct block *blocks;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *out;
static int profile;

static void on_entry(unsigned vcpu, void *data)
{
    struct block *block = data;

    (void)vcpu;
    /* Guest threads are host threads. */
    __atomic_fetch_add(&block->entered, 1, __ATOMIC_RELAXED);
}

static void on_last(unsigned vcpu, void *data)
{
    struct block *block = data;

    (void)vcpu;
    __atomic_fetch_add(&block->ended, 1, __ATOMIC_RELAXED);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *translated)
{
    size_t length = qemu_plugin_tb_n_insns(translated);
    struct block *block = calloc(1, sizeof *block + length * sizeof block->address[0]);

    (void)id;
    if (!block) {
        perror("insn plugin");
        abort();
    }
    block->length = length;
    for (size_t i = 0; i < length; i++)
        block->address[i] = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(translated, i));
    pthread_mutex_lock(&blocks_lock);
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&blocks_lock);
    qemu_plugin_register_vcpu_tb_exec_cb(translated, on_entry, NO_REGISTERS, block);
    qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(translated, length - 1), on_last, NO_REGISTERS,
            block);
}

static void on_end(plugin_id id, void *data)
{
    FILE *file = fopen(out, "w");
    uint64_t total = 0;

    (void)id;
    (void)data;
    if (!file) {
        perror(out);
        return;
    }
    pthread_mutex_lock(&blocks_lock);
    for (struct block *block = blocks; block; block = block->next)
        total += block->entered * (block->length - 1) + block->ended;
    fprintf(file, "total %" PRIu64 "\n", total);
    for (struct block *block = profile ? blocks : NULL; block; block = block->next)
        for (size_t i = 0; i < block->length; i++) {
            uint64_t times = i == block->length - 1 ? block->ended : block->entered;

            if (times)
                fprintf(file, "%" PRIx64 " %" PRIu64 "\n", block->address[i], times);
        }
    pthread_mutex_unlock(&blocks_lock);
    fclose(file);
}

PLUGIN_API int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = strdup(argv[i] + 4);
        } else if (strcmp(argv[i], "profile=on") == 0 || strcmp(argv[i], "profile=true") == 0) {
            profile = 1;
        } else {
            fprintf(stderr, "insn plugin: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!out) {
        fprintf(stderr, "insn plugin: out=FILE is missing\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
