/* A second thread that has one file at a time synced, while the first goes on.
 *
 * Asked:  by one thread, which hears of each sync before it asks for the next.     It is without
 * the interpreter: a thread that wants that back after each sync meets the first one on its way
 * back from a write, and then both wait, each time, for a wake-up of the other.
 *
 * The thread is begun when it is needed first, is nobody's to join, and frees what is shared when
 * it was told to end: what was begun by then is synced first. It takes no signals.
 */
#ifndef SS_SYNCING_H
#define SS_SYNCING_H

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h> /* struct timespec */
#include <unistd.h>

/* A signal that comes just before the wait does not end it: who waits looks again this often. */
#define SS_SYNC_LOOK_NS 50000000

typedef int (*ss_sync_call)(void *of, int file); /* 0, or an errno */

typedef struct ss_syncing {
    sem_t asked;
    ss_sync_call call;
    void *of;        /* for the call; NULL: fdatasync in its place */
    int file;        /* to be synced; below 0: none, so who is woken is to end */
    int error;       /* of the last sync */
    atomic_int done; /* the futex word of who waits */
    int begun;       /* the thread is */
} ss_syncing;

static inline ss_syncing *ss_syncing_new(ss_sync_call call) {
    ss_syncing *one = calloc(1, sizeof *one);
    if (!one) return NULL;
    one->call = call;
    sem_init(&one->asked, 0, 0);
    return one;
}

static inline void ss_syncing_free(ss_syncing *one) {
    sem_destroy(&one->asked);
    free(one);
}

static inline void *ss_syncing_run(void *shared) {
    ss_syncing *one = shared;
    for (;;) {
        while (sem_wait(&one->asked))
            ;
        if (one->file < 0) break;
        if (one->of)
            one->error = one->call(one->of, one->file);
        else
            one->error = fdatasync(one->file) ? errno : 0;
        one->file = -1; /* before `done`: whoever heard of it asks for the next */
        atomic_store_explicit(&one->done, 1, memory_order_release);
        syscall(SYS_futex, &one->done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    ss_syncing_free(one);
    return NULL;
}

/* 0, or the errno of a thread that could not be begun. */
static inline int ss_syncing_thread(ss_syncing *one) {
    pthread_attr_t detached;
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &detached, ss_syncing_run, one);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    one->begun = !error;
    return error;
}

/* Have a file synced, which stays open until that is over: by fdatasync where `of` is NULL. 0,
 * or an errno: then nothing was begun. */
static inline int ss_syncing_begin(ss_syncing *one, int file, void *of) {
    int error = one->begun ? 0 : ss_syncing_thread(one);
    if (error) return error;
    one->file = file, one->of = of;
    atomic_store_explicit(&one->done, 0, memory_order_relaxed);
    sem_post(&one->asked);
    return 0;
}

static inline int ss_syncing_done(ss_syncing *one) {
    return atomic_load_explicit(&one->done, memory_order_acquire);
}

/* Whether it is over; 0: not yet, see to signals and wait again. */
static inline int ss_syncing_wait(ss_syncing *one) {
    struct timespec timeout = {0, SS_SYNC_LOOK_NS};
    if (!ss_syncing_done(one))
        syscall(SYS_futex, &one->done, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
    return ss_syncing_done(one);
}

static inline void ss_syncing_end(ss_syncing *one) {
    if (!one->begun) {
        ss_syncing_free(one);
        return;
    }
    sem_post(&one->asked);
}

#endif
