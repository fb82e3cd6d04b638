/* A closed loop of HTTP requests over kept connections, one epoll: cheap enough to leave the processor to the server.
 *
 *   load PORT CONNECTIONS SECONDS REQUEST [ID_AT ... , SEQ_AT ...]
 *
 * REQUEST is a file with one whole request. For each connection the 8 bytes at every ID offset become its number in hex; before each
 * send the 4 bytes at every SEQ offset become a counter from 1, big-endian. Offsets are given as iN and sN.
 * Prints: requests errors seconds p50_us p99_us
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY 65536
struct link { int fd; char *request; unsigned sequence; size_t got; double began; char reply[REPLY]; };

static size_t length;
static size_t sequence_at[16]; static int sequences;
static float *latencies; static size_t done, room, errors;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void die(const char *what) { perror(what); exit(1); }

static void send_next(struct link *l) {
    l->sequence++;
    for (int i = 0; i < sequences; i++) { unsigned n = htonl(l->sequence); memcpy(l->request + sequence_at[i], &n, 4); }
    l->got = 0; l->began = now();
    for (size_t sent = 0; sent < length;) {
        ssize_t n = write(l->fd, l->request + sent, length - sent);
        if (n < 0) die("write");
        sent += n;
    }
}

/* 1 when a whole reply is there. */
static int complete(struct link *l) {
    l->reply[l->got] = 0;
    char *end = strstr(l->reply, "\r\n\r\n");
    if (!end) return 0;
    char *field = strcasestr(l->reply, "content-length:");
    size_t body = field && field < end ? strtoul(field + 15, 0, 10) : 0;
    return l->got >= (size_t)(end + 4 - l->reply) + body;
}

static int rising(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return (x > y) - (x < y); }

int main(int argc, char **argv) {
    if (argc < 5) { fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS REQUEST [iN sN ...]\n"); return 2; }
    int port = atoi(argv[1]), count = atoi(argv[2]); double seconds = atof(argv[3]);
    FILE *file = fopen(argv[4], "rb"); if (!file) die(argv[4]);
    char *request = malloc(1 << 20); length = fread(request, 1, 1 << 20, file); fclose(file);
    for (int i = 5; i < argc; i++) if (argv[i][0] == 's') sequence_at[sequences++] = strtoul(argv[i] + 1, 0, 10);
    room = 1 << 22; latencies = malloc(room * sizeof *latencies);

    int poll = epoll_create1(0);
    struct link *links = calloc(count, sizeof *links);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int c = 0; c < count; c++) {
        struct link *l = &links[c];
        l->request = malloc(length); memcpy(l->request, request, length);
        for (int i = 5; i < argc; i++) if (argv[i][0] == 'i') {
            char id[9]; snprintf(id, sizeof id, "%08x", c); memcpy(l->request + strtoul(argv[i] + 1, 0, 10), id, 8);
        }
        l->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(l->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
        int one = 1; setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
        epoll_ctl(poll, EPOLL_CTL_ADD, l->fd, &event);
    }
    double began = now(), end = began + seconds; int open = count;
    for (int c = 0; c < count; c++) send_next(&links[c]);
    struct epoll_event ready[64];
    while (open) {
        int n = epoll_wait(poll, ready, 64, 5000);
        if (n == 0) { fprintf(stderr, "no reply within 5 s\n"); return 1; }
        for (int i = 0; i < n; i++) {
            struct link *l = ready[i].data.ptr;
            ssize_t got = read(l->fd, l->reply + l->got, REPLY - 1 - l->got);
            if (got <= 0) { fprintf(stderr, "connection closed by the server\n"); return 1; }
            l->got += got;
            if (!complete(l)) continue;
            if (strncmp(l->reply, "HTTP/1.1 2", 10)) { if (!errors++) fprintf(stderr, "%.300s\n", l->reply); }
            if (done < room) latencies[done] = (now() - l->began) * 1e6;
            done++;
            if (now() < end) send_next(l); else { epoll_ctl(poll, EPOLL_CTL_DEL, l->fd, 0); close(l->fd); open--; }
        }
    }
    double took = now() - began; size_t kept = done < room ? done : room;
    qsort(latencies, kept, sizeof *latencies, rising);
    printf("%zu %zu %.6f %.1f %.1f\n", done, errors, took, latencies[kept / 2], latencies[kept * 99 / 100]);
    return 0;
}
