#include "agent.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* On loopback: connected, or listening; -1: errno says why. */
static int open_socket(int family, uint16_t port, bool listens) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6, width = sizeof(int);
    int on = 1, error = 0, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    /* What a listener accepts has it too. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listens ? bind(fd, address, size) != 0 || listen(fd, SOMAXCONN) != 0 : connect(fd, address, size) != 0) error = errno;
    /* Loopback answers at once; only a full backlog does not, and then data waits as well as a connection would. */
    if (error == EINPROGRESS) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &width);
    if (error == 0) return fd;
    close(fd);
    errno = error;
    return -1;
}

/* Both directions have a descriptor of their own: each waits for its own events. */
static bool start(struct operation *o, int fd) {
    o->out[0].fd = fd;
    if (fd < 0 || o->kind == LISTEN) return fd >= 0;
    return (o->in.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) >= 0;
}

void open_port(struct operation *o, const struct request *request) {
    bool listens = o->kind == LISTEN;
    uint16_t port = (uint16_t)request->number[0];
    int fd = open_socket(AF_INET, port, listens);
    if (fd < 0 && !listens) fd = open_socket(AF_INET6, port, false);
    if (fd < 0 && !listens) errno = ECONNREFUSED;
    struct sockaddr_in own = {0};
    socklen_t size = sizeof own;
    if (!start(o, fd) || (listens && getsockname(fd, (struct sockaddr *)&own, &size) != 0)) return answer(o, -1);
    emit(A_OK, o->ref, ntohs(own.sin_port), 2);
    settle(o);
}

void accept_connection(struct operation *listener) {
    int fd = accept4(listener->out[0].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct operation *o = fd < 0 ? NULL : add_operation(draw_ref(), CONNECT, (uint32_t)listener->credit);
    if (o == NULL && fd >= 0) close(fd);
    if (o == NULL) return;
    if (!start(o, fd)) return drop_operation(o);
    emit(A_ACCEPTED, listener->ref, o->ref, 4);
    settle(o);
}
