#include "agent.h"

/* Descriptors that one operation keeps, and that the agent needs beside them: with all in use it can still look for processes. */
enum { MAX_OPERATIONS = 8192, DESCRIPTORS = 3, OWN_DESCRIPTORS = 16, NAP_MS = 5, EVENTS = 64 };

static struct operation *operations;
static int count, poll_fd = -1;

struct operation *find_operation(uint32_t ref) {
    struct operation *o = operations;
    while (o != NULL && (o->ref != ref || o->dropped)) o = o->next;
    return o;
}

struct operation *find_process(pid_t pid) {
    struct operation *o = operations;
    while (o != NULL && (o->pid != pid || !o->running || o->dropped)) o = o->next;
    return o;
}

uint32_t draw_ref(void) {
    static uint32_t last = AGENT_REFS;
    if (++last == 0) die("out of refs");
    return last;
}

struct operation *add_operation(uint32_t ref, uint8_t kind, uint32_t credit) {
    bool fits = count < MAX_OPERATIONS && (rlim_t)(count + 1) * DESCRIPTORS + OWN_DESCRIPTORS <= inherited_files.rlim_max;
    struct operation *o = fits ? calloc(1, sizeof *o) : NULL;
    if (o == NULL && ref < AGENT_REFS) emit(A_ERROR, ref, EMFILE, 5);
    if (o == NULL) return NULL;
    *o = (struct operation){.ref = ref, .kind = kind, .credit = credit, .running = kind != READ && kind != LIST, .next = operations};
    o->in = o->out[0] = o->out[1] = o->slave = (struct source){.fd = -1, .owner = o, .left = -1};
    operations = o;
    count++;
    return o;
}

void drop_operation(struct operation *o) {
    if (o->dropped) return;
    o->dropped = true;
    count--;
    close_source(&o->in);
    close_source(&o->out[0]);
    close_source(&o->out[1]);
    close_source(&o->slave);
    free(o->waiting);
    o->waiting_size = 0;
}

void fail(struct operation *o, int error, enum place place) {
    emit(A_ERROR, o->ref, (uint64_t)error | (uint64_t)place << 32, 5);
    drop_operation(o);
}

void answer(struct operation *o, int result) {
    if (result < 0) return fail(o, errno, PLACE_PATH);
    emit(A_OK, o->ref, 0, 0);
    drop_operation(o);
}

/* What hunts goes on hunting, each turn and each few ms. */
int tidy(void) {
    int timeout = -1;
    for (struct operation *o, **at = &operations; (o = *at) != NULL;) {
        if (o->kind == KILL && !o->dropped && kill_descendants(o->target) == 0) answer(o, 0);
        if (o->kind == KILL && !o->dropped) timeout = NAP_MS;
        if (o->dropped) {
            *at = o->next;
            free(o);
        } else at = &o->next;
    }
    return timeout;
}

void wait_events(int timeout) {
    struct epoll_event events[EVENTS];
    int seen = epoll_wait(poll_fd, events, EVENTS, timeout);
    for (int i = 0; i < seen; i++) {
        struct source *source = events[i].data.ptr;
        /* An earlier event of this turn may have closed it. */
        if (source->wanted != 0) handle_ready(source);
    }
}

void want(struct source *source, uint32_t events) {
    if (source->fd < 0 || source->wanted == events) return;
    if (poll_fd < 0) poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = events, .data.ptr = source};
    int change = events == 0 ? EPOLL_CTL_DEL : source->wanted == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(poll_fd, change, source->fd, &event) != 0) die("epoll refuses a descriptor");
    source->wanted = events;
}

int close_source(struct source *source) {
    if (source->fd < 0) return 0;
    want(source, 0);
    int fd = source->fd;
    source->fd = -1;
    return close(fd);
}
