#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { EVENTS = 4096 };

/* Events go out as the kernel gives them: what is behind a watch, and what a rename moves, the worker keeps. */
struct watch {
    struct object object;
    struct source source;
};

static void watch_credited(struct object *object)
{
    want(&((struct watch *)object)->source, object->credit >= EVENTS ? EPOLLIN : 0);
}

static void watch_ready(struct object *object, struct source *source)
{
    uint8_t *room = reserve(EVENTS);
    ssize_t got = read(source->fd, room, EVENTS);
    if (got <= 0) return;
    commit(A_DATA, object->ref, (size_t)got);
    object->credit -= got;
    watch_credited(object);
}

static void watch_release(struct object *object) { close_source(&((struct watch *)object)->source); }

static const struct kind watch_kind = {.ready = watch_ready, .credited = watch_credited, .release = watch_release};

static bool add_watch(const struct request *request, struct watch *watch, uint32_t mask)
{
    int added = inotify_add_watch(watch->source.fd, request->text[0], mask);
    /* Of watches, not of the disk. */
    if (added < 0) emit_error(request->ref, errno == ENOSPC ? EMFILE : errno, PLACE_PATH);
    else emit_number(A_OK, request->ref, (uint64_t)added, 4);
    return added >= 0;
}

void watch_path(const struct request *request)
{
    struct watch *watch = add_object(request, &watch_kind, sizeof *watch);
    if (watch == NULL) return;
    watch->object.credit = (int64_t)request->number[1];
    watch->source = (struct source){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .owner = &watch->object};
    if (add_watch(request, watch, (uint32_t)request->number[0])) watch_credited(&watch->object);
    else drop_object(&watch->object);
}

/* NULL: it is over, and answered so. */
static struct watch *watch_of(const struct request *request)
{
    struct object *object = find_object((uint32_t)request->number[0]);
    if (object != NULL && object->kind == &watch_kind) return (struct watch *)object;
    emit_error(request->ref, ENOENT, PLACE_PATH);
    return NULL;
}

void watch_more(const struct request *request)
{
    struct watch *watch = watch_of(request);
    if (watch != NULL) add_watch(request, watch, (uint32_t)request->number[1]);
}

void unwatch_path(const struct request *request)
{
    struct watch *watch = watch_of(request);
    if (watch == NULL) return;
    /* It may be gone with its directory. */
    inotify_rm_watch(watch->source.fd, (int)request->number[1]);
    emit(A_OK, request->ref, NULL, 0);
}
