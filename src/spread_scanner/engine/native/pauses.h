/* Which symbols are paused: the operator's records in the control segment, which name coins, against
 * the tables that this engine has itself. One engine's own; nothing here is shared but the records.
 */
#ifndef SS_PAUSES_H
#define SS_PAUSES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SS_PAUSES_MAX 512
#define SS_PAUSE_IS_SYMBOL (UINT64_C(1) << 63)

typedef struct ss_pauses {
    const char *records; /* each begins with its state: 0, or a symbol's key, or another's mark */
    uint32_t stride, count;
} ss_pauses;

/* Reads the records anew: 1 in `symbols` for each id whose key is paused, of `ids`; a key of 0 stands
 * for nothing. Partner: the operator's release store of a state, after its record. */
static inline void ss_pauses_read(const ss_pauses *pauses, const uint64_t *keys, uint8_t *symbols,
                                  uint32_t ids) {
    uint64_t paused[SS_PAUSES_MAX];
    uint32_t found = 0;
    for (uint32_t i = 0; i < pauses->count && i < SS_PAUSES_MAX; i++) {
        const _Atomic uint64_t *state =
            (const _Atomic uint64_t *)(pauses->records + (size_t)i * pauses->stride);
        uint64_t key = atomic_load_explicit(state, memory_order_acquire);
        if (key & SS_PAUSE_IS_SYMBOL) paused[found++] = key;
    }
    for (uint32_t id = 0; id < ids; id++) {
        uint8_t is_paused = 0;
        for (uint32_t i = 0; i < found && !is_paused; i++)
            is_paused = keys[id] == paused[i];
        symbols[id] = is_paused;
    }
}

#endif
