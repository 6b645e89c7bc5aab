#define _GNU_SOURCE
#include "agent.h"

#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64 };

static int poll_fd;

void open_poll(void)
{
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("no epoll");
}

void wait_events(int timeout, void (*ready)(struct source *source))
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poll_fd, events, EVENTS, timeout);
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        /* An earlier event of this turn may have closed it. */
        if (source->wanted != 0) ready(source);
    }
}

void want(struct source *source, uint32_t events)
{
    if (source->fd < 0 || source->wanted == events) return;
    struct epoll_event event = {.events = events, .data.ptr = source};
    int change = events == 0 ? EPOLL_CTL_DEL : source->wanted == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(poll_fd, change, source->fd, &event) != 0) die("epoll refuses a descriptor");
    source->wanted = events;
}

void close_source(struct source *source)
{
    if (source->fd < 0) return;
    want(source, 0);
    close(source->fd);
    source->fd = -1;
}
