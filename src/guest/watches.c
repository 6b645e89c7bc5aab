#include "agent.h"

#include <sys/inotify.h>

/* Events go out as the kernel gives them: what is behind a watch, and what a rename moves, the worker keeps. */
enum { EVENTS = 4096 };

static void watch_credited(struct object *object) {
    want(&object->source, object->credit >= EVENTS ? EPOLLIN : 0);
}

static void watch_ready(struct object *object, struct source *source) {
    ssize_t got = read(source->fd, reserve(EVENTS), EVENTS);
    if (got <= 0) return;
    commit(A_DATA, object->ref, (size_t)got);
    object->credit -= got;
    watch_credited(object);
}

static const struct kind watch_kind = {.ready = watch_ready, .credited = watch_credited};

static bool add_watch(const struct request *request, struct object *watch, uint32_t mask) {
    int added = inotify_add_watch(watch->source.fd, request->text[0], mask);
    /* Of watches, not of the disk. */
    if (added < 0) emit_error(request->ref, errno == ENOSPC ? EMFILE : errno, PLACE_PATH);
    else emit_number(A_OK, request->ref, (uint64_t)added, 4);
    return added >= 0;
}

void watch_path(const struct request *request) {
    struct object *watch = add_object(request, &watch_kind, sizeof *watch);
    if (watch == NULL) return;
    watch->credit = (int64_t)request->number[1];
    watch->source.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->source.fd < 0) fail_object(watch);
    else if (add_watch(request, watch, (uint32_t)request->number[0])) watch_credited(watch);
    else drop_object(watch);
}

/* NULL: it is over, and answered so. */
static struct object *watch_of(const struct request *request) {
    struct object *object = find_object((uint32_t)request->number[0]);
    if (object != NULL && object->kind == &watch_kind) return object;
    emit_error(request->ref, ENOENT, PLACE_PATH);
    return NULL;
}

void watch_more(const struct request *request) {
    struct object *watch = watch_of(request);
    if (watch != NULL) add_watch(request, watch, (uint32_t)request->number[1]);
}

void unwatch_path(const struct request *request) {
    struct object *watch = watch_of(request);
    if (watch == NULL) return;
    /* It may be gone with its directory. */
    inotify_rm_watch(watch->source.fd, (int)request->number[1]);
    emit(A_OK, request->ref, NULL, 0);
}
