#include "agent.h"

enum { MAX_OBJECTS = 8192, NAP_MS = 5, EVENTS = 64 };

static struct object *objects;
static int count, napping, poll_fd;

struct object *find_object(uint32_t ref) {
    struct object *object = objects;
    while (object != NULL && (object->ref != ref || object->dropped)) object = object->next;
    return object;
}

uint32_t draw_ref(void) {
    static uint32_t last = AGENT_REFS;
    if (++last == 0) die("out of refs");
    return last;
}

void *add_object(const struct request *request, const struct kind *kind, size_t size) {
    struct object *object = count < MAX_OBJECTS ? calloc(1, size) : NULL;
    if (object == NULL) {
        if (request != NULL) emit_error(request->ref, EMFILE, PLACE_PATH);
        return NULL;
    }
    object->kind = kind;
    object->ref = request == NULL ? draw_ref() : request->ref;
    object->source = (struct source){.fd = -1, .owner = object};
    object->next = objects;
    objects = object;
    count++;
    return object;
}

void set_napping(struct object *object, bool naps) {
    napping += naps - object->naps;
    object->naps = naps;
}

void drop_object(struct object *object) {
    if (object->dropped) return;
    object->dropped = true;
    count--;
    set_napping(object, false);
    if (object->kind->release != NULL) object->kind->release(object);
    close_source(&object->source);
}

void fail_object(struct object *object) {
    emit_error(object->ref, errno, PLACE_PATH);
    drop_object(object);
}

/* In pieces: a frame for each line that is written would be as much work as the line. */
void repay(struct object *object) {
    if (object->owed < WINDOW / 4) return;
    emit_number(A_CREDIT, object->ref, object->owed, 4);
    object->owed = 0;
}

void each_object(void (*visit)(struct object *object, void *context), void *context) {
    for (struct object *object = objects; object != NULL; object = object->next)
        if (!object->dropped) visit(object, context);
}

static void wake(struct object *object, void *context) {
    (void)context;
    if (object->naps) object->kind->nap_over(object);
}

int wake_objects(void) {
    if (napping > 0) each_object(wake, NULL);
    return napping > 0 ? NAP_MS : -1;
}

void bury_dropped(void) {
    for (struct object **at = &objects; *at != NULL;) {
        struct object *object = *at;
        if (object->dropped) {
            *at = object->next;
            free(object);
        } else {
            at = &object->next;
        }
    }
}

void open_poll(void) {
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) die("no epoll");
}

void wait_events(int timeout, void (*ready)(struct source *source)) {
    struct epoll_event events[EVENTS];
    int seen = epoll_wait(poll_fd, events, EVENTS, timeout);
    for (int i = 0; i < seen; i++) {
        struct source *source = events[i].data.ptr;
        /* An earlier event of this turn may have closed it. */
        if (source->wanted != 0) ready(source);
    }
}

void want(struct source *source, uint32_t events) {
    if (source->fd < 0 || source->wanted == events) return;
    struct epoll_event event = {.events = events, .data.ptr = source};
    int change = events == 0 ? EPOLL_CTL_DEL : source->wanted == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(poll_fd, change, source->fd, &event) != 0) die("epoll refuses a descriptor");
    source->wanted = events;
}

void close_source(struct source *source) {
    if (source->fd < 0) return;
    want(source, 0);
    close(source->fd);
    source->fd = -1;
}
