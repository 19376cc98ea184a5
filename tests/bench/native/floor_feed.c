/* A bare receive loop with the same matcher: connect, shake hands, recv, match, nothing else.
 * What the feed's figures stand beside.
 *
 * Arguments: port, messages expected, protobuf (0/1), epoll (0/1), file. With epoll it waits as
 * whoever has more than one socket must; without, it blocks in recv. The file has a line per template
 * ("T text") and per symbol ("S id px_div sz_mul name"). Prints one JSON object: CPU nanoseconds
 * per message; it aborts unless every message matched.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "decoder.h"

enum { BUFFER = 1 << 18 };

static char buffer[BUFFER];

static void fail(const char *what) {
    fprintf(stderr, "floor_feed: %s\n", what);
    exit(1);
}

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

static ss_decoder *decoder_of(const char *path, int protobuf) {
    static char line[4096], error[128];
    ss_decoder *decoder = ss_decoder_new(4096, protobuf);
    FILE *file = fopen(path, "r");
    if (decoder == NULL || file == NULL) fail("no decoder");
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 'T') {
            if (ss_decoder_add_template(decoder, line + 2, error, sizeof error) != 0) fail(error);
            continue;
        }
        unsigned id;
        double px_div, sz_mul;
        int at;
        if (sscanf(line, "S %u %lf %lf %n", &id, &px_div, &sz_mul, &at) != 3) fail("bad line");
        const char *name = line + at;
        if (ss_symbols_add(decoder->symbols, name, strlen(name), id, px_div, sz_mul) != SS_ADDED)
            fail(name);
    }
    fclose(file);
    return decoder;
}

static int dial(int port) {
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(sock, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
    const char *ask =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    if (send(sock, ask, strlen(ask), 0) < 0) fail("send");
    size_t have = 0;
    while (have < 4 || memcmp(buffer + have - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(sock, buffer + have, 1, 0);
        if (got <= 0) fail("handshake");
        have += (size_t)got;
    }
    return sock;
}

/* Matches the whole frames of buffer[0..have); returns how many bytes they were. */
static size_t frames(ss_decoder *decoder, size_t have, long *matched) {
    size_t at = 0;
    ss_match found;
    while (have - at >= 2) {
        size_t head = 2, size = (unsigned char)buffer[at + 1];
        if (size == 126) {
            if (have - at < 4) break;
            size = (size_t)(unsigned char)buffer[at + 2] << 8 | (unsigned char)buffer[at + 3];
            head = 4;
        }
        if (have - at < head + size) break;
        if (ss_decode(decoder, buffer + at + head, size, &found) != SS_MATCHED) fail("no match");
        ++*matched;
        at += head + size;
    }
    return at;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("port messages protobuf epoll file");
    long wanted = atol(argv[2]), matched = 0;
    ss_decoder *decoder = decoder_of(argv[5], atoi(argv[3]));
    int sock = dial(atoi(argv[1]));
    int poll = atoi(argv[4]) ? epoll_create1(0) : -1;
    struct epoll_event event = {.events = EPOLLIN};
    if (poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, sock, &event) != 0) fail("epoll");
    size_t have = 0;
    double before = cpu_ns();
    if (send(sock, "go", 2, 0) != 2) fail("send");
    while (matched < wanted) {
        if (poll >= 0 && epoll_wait(poll, &event, 1, 1000) != 1) fail("nothing came");
        ssize_t got = recv(sock, buffer + have, BUFFER - have, 0);
        if (got <= 0) fail("the sender hung up");
        have += (size_t)got;
        size_t used = frames(decoder, have, &matched);
        memmove(buffer, buffer + used, have - used);
        have -= used;
    }
    printf("{\"ns_per_message\": %.3f}\n", (cpu_ns() - before) / (double)matched);
    close(sock);
    ss_decoder_free(decoder);
    return 0;
}
