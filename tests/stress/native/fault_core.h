/* Gives the fault build of the Python module its hooks; read with -include. After
 * faults_arm(k) the process ends before the k-th store, and while fault_looks is above zero each
 * second look of a reader meets a publication. */
#ifndef FAULT_CORE_H
#define FAULT_CORE_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static long fault_armed_at, fault_count;
static long fault_looks;
static _Atomic uint64_t *fault_sequence;

/* Called by the tests through ctypes. */
__attribute__((visibility("default"))) void faults_arm(long at) {
    fault_armed_at = at;
    fault_count = 0;
}

__attribute__((visibility("default"))) void faults_publish(uint64_t sequence, long looks) {
    fault_sequence = (_Atomic uint64_t *)sequence;
    fault_looks = looks;
}

void ss_fault_point(void) {
    if (fault_armed_at > 0 && ++fault_count == fault_armed_at) _exit(137);
}

void ss_fault_look(void) {
    if (fault_looks > 0) {
        fault_looks--;
        atomic_fetch_add_explicit(fault_sequence, 2, memory_order_release);
    }
}

#endif
