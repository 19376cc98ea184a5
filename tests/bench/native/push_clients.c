/* So many clients of the stream in one thread: how late what is pushed arrives, at a cost that does
 * not stand in the sender's way. Clients in Python took a core for themselves, and were what was
 * measured.
 *
 * Arguments: port, clients, what wall time is more than the machine's clock (ns), the wish. Says
 * "ready" when every client has its snapshot; a line on its standard input is the time of the last
 * quote, and when every client has been told of it, it prints one JSON object: frames, and from the
 * write of a quote to a client p50_us and p99_us. It fails where a client was not told in ten seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 22, EVENTS = 64, PING = 9, PONG = 10, TEXT = 1 };

static const char PRICES[] = "{\"type\":\"prices\",\"snapshot\":";
static const char RECEIVED[] = "\"ts_recv_ns\":";
static const int64_t PATIENCE_NS = 10LL * 1000000000;

typedef struct {
    int sock;
    int ready;
    char *bytes;
    size_t have;
    int64_t newest_ns;
} client;

static client *clients;
static long count, ready, frames;
static int64_t anchor_ns, since_ns;
static float *late_us;
static size_t lates, room;

static void fail(const char *what) {
    fprintf(stderr, "push_clients: %s\n", what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec + anchor_ns;
}

/* A short frame; its mask is zero, which leaves the bytes as they are. */
static void say(const client *to, int opcode, const char *bytes, size_t size) {
    char frame[6 + 125] = {(char)(0x80 | opcode), (char)(0x80 | size)};
    if (size > 125) fail("a frame that is not short");
    memcpy(frame + 6, bytes, size);
    if (send(to->sock, frame, 6 + size, 0) != (ssize_t)(6 + size)) fail("send");
}

static void dial(client *one, int port, const char *wish) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->sock = socket(AF_INET, SOCK_STREAM, 0);
    one->bytes = malloc(BUFFER);
    if (one->bytes == NULL) fail("no memory");
    if (connect(one->sock, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
    char ask[512];
    int size = snprintf(ask, sizeof ask,
                        "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                        port);
    if (send(one->sock, ask, (size_t)size, 0) != size) fail("send");
    while (one->have < 4 || memcmp(one->bytes + one->have - 4, "\r\n\r\n", 4) != 0) {
        if (one->have == BUFFER || recv(one->sock, one->bytes + one->have++, 1, 0) != 1)
            fail("handshake");
    }
    if (memcmp(one->bytes, "HTTP/1.1 101", 12) != 0) fail("refused");
    one->have = 0;
    say(one, TEXT, wish, strlen(wish));
    fcntl(one->sock, F_SETFL, O_NONBLOCK);
}

static void note(int64_t took_ns) {
    if (lates == room) {
        room = room ? 2 * room : 1 << 20;
        late_us = realloc(late_us, room * sizeof *late_us);
        if (late_us == NULL) fail("no memory");
    }
    late_us[lates++] = (float)took_ns / 1000;
}

/* What was told in one frame that arrived at `at_ns`. What stood before the snapshots is no news. */
static void heard(client *one, const char *text, size_t size, int64_t at_ns) {
    size_t head = sizeof PRICES - 1;
    if (size <= head || memcmp(text, PRICES, head) != 0) return;
    if (text[head] == 't') {
        if (!one->ready++ && ++ready == count) {
            since_ns = now_ns();
            puts("ready");
            fflush(stdout);
        }
        return;
    }
    frames++;
    const char *end = text + size, *at = text;
    while ((at = memmem(at, (size_t)(end - at), RECEIVED, sizeof RECEIVED - 1)) != NULL) {
        int64_t made_ns = 0;
        for (at += sizeof RECEIVED - 1; at < end && *at >= '0' && *at <= '9'; at++)
            made_ns = 10 * made_ns + (*at - '0');
        if (since_ns && made_ns > since_ns) note(at_ns - made_ns);
        if (made_ns > one->newest_ns) one->newest_ns = made_ns;
    }
}

/* Takes the whole frames that are there. */
static void take(client *one, int64_t at_ns) {
    size_t at = 0;
    while (one->have - at >= 2) {
        const unsigned char *bytes = (unsigned char *)one->bytes + at;
        size_t head = 2, size = bytes[1], wide = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (one->have - at < head + wide) break;
        if (wide) size = 0;
        for (size_t i = 0; i < wide; i++)
            size = size << 8 | bytes[head + i];
        head += wide;
        if (head + size > BUFFER) fail("a frame without end");
        if (one->have - at < head + size) break;
        int opcode = bytes[0] & 15;
        if (opcode == PING) say(one, PONG, (const char *)bytes + head, size);
        if (opcode == TEXT) heard(one, (const char *)bytes + head, size, at_ns);
        at += head + size;
    }
    memmove(one->bytes, one->bytes + at, one->have - at);
    one->have -= at;
}

static void hear(client *one) {
    ssize_t got = recv(one->sock, one->bytes + one->have, BUFFER - one->have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("the stream ended");
    one->have += (size_t)got;
    take(one, now_ns());
}

static int all_told(int64_t last_ns) {
    for (long i = 0; i < count; i++)
        if (clients[i].newest_ns < last_ns) return 0;
    return 1;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print(void) {
    if (lates == 0) fail("nothing was told");
    qsort(late_us, lates, sizeof *late_us, ascending);
    printf("{\"frames\": %ld, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", frames, late_us[lates / 2],
           late_us[lates * 99 / 100]);
}

int main(int argc, char **argv) {
    if (argc != 5) fail("port clients anchor_ns wish");
    count = atol(argv[2]);
    anchor_ns = atoll(argv[3]);
    clients = calloc((size_t)count, sizeof *clients);
    int poll = epoll_create1(0);
    if (clients == NULL || poll < 0) fail("no memory");
    for (long i = 0; i < count; i++) {
        dial(&clients[i], atoi(argv[1]), argv[4]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].sock, &event) != 0) fail("epoll");
    }
    struct epoll_event last = {.events = EPOLLIN};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &last) != 0) fail("epoll");
    int64_t last_ns = 0, until_ns = 0;
    while (!last_ns || !all_told(last_ns)) {
        struct epoll_event events[EVENTS];
        int found = epoll_wait(poll, events, EVENTS, 100);
        for (int i = 0; i < found; i++) {
            if (events[i].data.ptr != NULL) {
                hear(events[i].data.ptr);
                continue;
            }
            if (scanf("%" SCNd64, &last_ns) != 1) fail("no time of the last quote");
            until_ns = now_ns() + PATIENCE_NS;
            epoll_ctl(poll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        }
        if (until_ns && now_ns() > until_ns) fail("a client was not told the last quote");
    }
    print();
    return 0;
}
