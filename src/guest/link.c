#include "agent.h"

#include <poll.h>

enum { READ_AT_ONCE = 262144, IN_SIZE = MAX_FRAME + READ_AT_ONCE, OUT_SIZE = 524288, BACKLOG = 131072 };

static int link_fd;
static uint8_t in[IN_SIZE], out[OUT_SIZE];
static size_t in_size, out_start, out_end;

void open_link(int fd) {
    link_fd = fd;
    emit_number(A_HELLO, 0, PROTOCOL_VERSION, 4);
}

void receive(void (*handle)(const struct request *request)) {
    ssize_t got = recv(link_fd, in + in_size, READ_AT_ONCE, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got == 0) _exit(0);
    if (got < 0) die("the link is broken");
    in_size += (size_t)got;
    size_t at = 0;
    for (long size; (size = frame_size(in + at, in_size - at)) != 0; at += (size_t)size) {
        struct request request;
        if (size < 0 || !decode_request(in + at, (size_t)size, &request)) die("malformed frame");
        handle(&request);
    }
    in_size -= at;
    memmove(in, in + at, in_size);
}

static void send_some(void) {
    ssize_t sent = send(link_fd, out + out_start, out_end - out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct pollfd link = {.fd = link_fd, .events = POLLOUT};
    if (sent >= 0) out_start += (size_t)sent;
    else if (errno == EAGAIN) poll(&link, 1, -1);
    else if (errno != EINTR) die("the link is broken");
}

/* The worker always reads, so this ends; while it does not, the commands of the sandbox stop at their full pipes. */
void flush(void) {
    while (out_end > out_start) send_some();
    out_start = out_end = 0;
}

uint8_t *reserve(size_t size) {
    if (HEADER + size > OUT_SIZE) die("an answer is too long");
    if (out_end > BACKLOG || out_end + HEADER + size > OUT_SIZE) flush();
    return out + out_end + HEADER;
}

void commit(uint8_t kind, uint32_t ref, size_t size) {
    write_number(write_number(write_number(out + out_end, HEADER - 4 + size, 4), kind, 1), ref, 4);
    out_end += HEADER + size;
}

void emit(uint8_t kind, uint32_t ref, const void *body, size_t size) {
    uint8_t *at = reserve(size);
    if (size > 0) memcpy(at, body, size);
    commit(kind, ref, size);
}

void emit_number(uint8_t kind, uint32_t ref, uint64_t value, size_t width) {
    write_number(reserve(width), value, width);
    commit(kind, ref, width);
}

void emit_error(uint32_t ref, int error, uint8_t place) {
    *write_number(reserve(5), (uint64_t)error, 4) = place;
    commit(A_ERROR, ref, 5);
}
