#include "agent.h"

#include <poll.h>

enum { READ_AT_ONCE = 262144, IN_SIZE = MAX_FRAME + READ_AT_ONCE, OUT_SIZE = 524288, BACKLOG = 131072 };

static uint8_t in[IN_SIZE], out[OUT_SIZE];
static size_t in_size, out_size;

void receive(void) {
    ssize_t got = recv(LINK, in + in_size, READ_AT_ONCE, MSG_DONTWAIT);
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

/* The worker always reads, so this ends; while it does not, the commands of the sandbox stop at their full pipes. */
void flush(void) {
    for (size_t start = 0; start < out_size;) {
        ssize_t sent = send(LINK, out + start, out_size - start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) start += (size_t)sent;
        else if (errno == EAGAIN) poll(&(struct pollfd){.fd = LINK, .events = POLLOUT}, 1, -1);
        else if (errno != EINTR) die("the link is broken");
    }
    out_size = 0;
}

uint8_t *reserve(size_t size) {
    if (HEADER + size > OUT_SIZE) die("an answer is too long");
    if (out_size > BACKLOG || out_size + HEADER + size > OUT_SIZE) flush();
    return out + out_size + HEADER;
}

void commit(uint8_t kind, uint32_t ref, size_t size) {
    write_number(write_number(write_number(out + out_size, HEADER - 4 + size, 4), kind, 1), ref, 4);
    out_size += HEADER + size;
}

void emit(uint8_t kind, uint32_t ref, uint64_t number, size_t width) {
    write_number(reserve(width), number, width);
    commit(kind, ref, width);
}
