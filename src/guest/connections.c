#define _GNU_SOURCE
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct listener {
    struct object object;
    struct source source;
    uint32_t credit;
};

/* Takes the socket, also where it fails. Both directions have a descriptor of their own: each waits for its own events. */
static struct stream *add_connection(const struct request *request, int fd, int64_t credit)
{
    struct stream *s = add_stream(request, CONNECTION, credit);
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->out.source.fd = fd;
    s->in.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return s;
}

/* 127.0.0.1, or ::1 for a server that listens there only. */
static int start_connecting(uint16_t port, bool six)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int connected = connect(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, six ? sizeof v6 : sizeof v4);
    int error = connected == 0 ? 0 : errno;
    socklen_t size = sizeof error;
    /* Loopback answers at once; only a full backlog does not, and then data waits as well as a connection would. */
    if (error == EINPROGRESS) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return fd;
    close(fd);
    errno = error;
    return -1;
}

void connect_port(const struct request *request)
{
    int fd = start_connecting((uint16_t)request->number[0], false);
    if (fd < 0 && errno == ECONNREFUSED) {
        fd = start_connecting((uint16_t)request->number[0], true);
        if (fd < 0) errno = ECONNREFUSED;
    }
    if (fd < 0) {
        emit_error(request->ref, errno, PLACE_PATH);
        return;
    }
    struct stream *s = add_connection(request, fd, (int64_t)request->number[1]);
    if (s == NULL) return;
    emit(A_OK, request->ref, NULL, 0);
    settle(&s->object);
}

static void listener_ready(struct object *object, struct source *source)
{
    uint32_t credit = ((struct listener *)object)->credit;
    int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *s = fd < 0 ? NULL : add_connection(NULL, fd, credit);
    if (s == NULL) return;
    emit_number(A_ACCEPTED, object->ref, s->object.ref, 4);
    settle(&s->object);
}

static void listener_release(struct object *object) { close_source(&((struct listener *)object)->source); }

static const struct kind listener_kind = {.ready = listener_ready, .release = listener_release};

void listen_port(const struct request *request)
{
    struct listener *listener = add_object(request, &listener_kind, sizeof *listener);
    if (listener == NULL) return;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)request->number[0]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    listener->source = (struct source){.fd = fd, .owner = &listener->object};
    listener->credit = (uint32_t)request->number[1];
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        emit_error(request->ref, errno, PLACE_PATH);
        drop_object(&listener->object);
        return;
    }
    want(&listener->source, EPOLLIN);
    emit_number(A_OK, request->ref, ntohs(address.sin_port), 2);
}
