#include "agent.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* Takes the socket, also where it fails. Both directions have a descriptor of their own: each waits for its own events. */
static struct stream *add_connection(const struct request *request, int fd, int64_t credit) {
    struct stream *s = add_stream(request, CONNECTION, credit);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (s == NULL) close(fd);
    if (s == NULL) return NULL;
    s->out.source.fd = fd;
    s->object.source.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return s;
}

/* -1: errno says why. */
static int start_connecting(const struct sockaddr *address, socklen_t size) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int error = connect(fd, address, size) == 0 ? 0 : errno;
    socklen_t width = sizeof error;
    /* Loopback answers at once; only a full backlog does not, and then data waits as well as a connection would. */
    if (error == EINPROGRESS) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &width);
    if (error == 0) return fd;
    close(fd);
    errno = error;
    return -1;
}

void connect_port(const struct request *request) {
    uint16_t port = htons((uint16_t)request->number[0]);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = start_connecting((struct sockaddr *)&v4, sizeof v4);
    if (fd < 0) fd = start_connecting((struct sockaddr *)&v6, sizeof v6);
    if (fd < 0) return emit_error(request->ref, ECONNREFUSED, PLACE_PATH);
    struct stream *s = add_connection(request, fd, (int64_t)request->number[1]);
    if (s == NULL) return;
    emit(A_OK, request->ref, NULL, 0);
    settle(&s->object);
}

static void listener_ready(struct object *object, struct source *source) {
    int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *s = fd < 0 ? NULL : add_connection(NULL, fd, object->credit);
    if (s == NULL) return;
    emit_number(A_ACCEPTED, object->ref, s->object.ref, 4);
    settle(&s->object);
}

static const struct kind listener_kind = {.ready = listener_ready};

void listen_port(const struct request *request) {
    struct object *listener = add_object(request, &listener_kind, sizeof *listener);
    if (listener == NULL) return;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)request->number[0]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, fd = listener->source.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    listener->credit = (int64_t)request->number[1];
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return fail_object(listener);
    want(&listener->source, EPOLLIN);
    emit_number(A_OK, request->ref, ntohs(address.sin_port), 2);
}
