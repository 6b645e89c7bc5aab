#include "agent.h"

/* A terminal does not say how much is left at the end of its process. */
enum { TERMINAL_REST = 65536 };

enum pumped { MOVED, NOTHING, ENDED };

static void close_in(struct stream *s) {
    /* A connection has a direction to end; for the others closing is enough. */
    if (s->type == CONNECTION && s->object.source.fd >= 0) shutdown(s->object.source.fd, SHUT_WR);
    close_source(&s->object.source);
}

/* Where nobody reads any more, all of it into nothing: a writer waits for credit, not for readers. */
static void write_in(struct stream *s) {
    while (s->waiting_size > 0) {
        int fd = s->object.source.fd;
        ssize_t written = (ssize_t)s->waiting_size;
        if (fd >= 0) written = write(fd, s->waiting + s->waiting_start, s->waiting_size);
        if (written < 0 && errno == EAGAIN) break;
        if (written < 0 && errno != EINTR) close_in(s);
        if (written < 0) continue;
        s->waiting_start += (size_t)written;
        s->waiting_size -= (size_t)written;
        s->object.owed += (size_t)written;
    }
    if (s->waiting_size == 0) {
        free(s->waiting);
        s->waiting = NULL;
        s->waiting_start = 0;
        if (s->ending) close_in(s);
    }
    want(&s->object.source, s->waiting_size > 0 ? EPOLLOUT : 0);
    repay(&s->object);
}

static void stream_data(struct object *object, const uint8_t *bytes, size_t size) {
    struct stream *s = (struct stream *)object;
    if (s->waiting_size + object->owed + size > WINDOW) die("more data than it gave credit for");
    if (s->waiting == NULL && (s->waiting = malloc(WINDOW)) == NULL) die("out of memory");
    memmove(s->waiting, s->waiting + s->waiting_start, s->waiting_size);
    memcpy(s->waiting + s->waiting_size, bytes, size);
    s->waiting_start = 0;
    s->waiting_size += size;
    write_in(s);
}

static void stream_end(struct object *object) {
    ((struct stream *)object)->ending = true;
    write_in((struct stream *)object);
    settle(object);
}

/* One read, as far as credit goes. */
static enum pumped pump(struct object *object, struct outlet *outlet) {
    static uint8_t nowhere[WINDOW];
    size_t most = object->credit < CHUNK ? (size_t)object->credit : CHUNK;
    if (outlet->left >= 0 && outlet->left < (int64_t)most) most = (size_t)outlet->left;
    if (outlet->discarded) most = sizeof nowhere;
    if (most == 0) return outlet->left == 0 ? ENDED : NOTHING;
    ssize_t got = read(outlet->source.fd, outlet->discarded ? nowhere : reserve(most), most);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return NOTHING;
    if (got <= 0) return ENDED;
    if (outlet->discarded) return MOVED;
    commit(outlet->kind, object->ref, (size_t)got);
    object->credit -= got;
    if (outlet->left > 0) outlet->left -= got;
    return MOVED;
}

/* What its process wrote before it ended, and no more; then the pipe goes, or is kept for those who still write. */
static void drain(struct stream *s, struct outlet *outlet) {
    enum pumped how = MOVED;
    while (how == MOVED) how = pump(&s->object, outlet);
    if (how == NOTHING && (s->object.credit == 0 || !s->terminal)) return want(&outlet->source, 0);
    uint8_t dropped;
    ssize_t got = read(outlet->source.fd, &dropped, 1);
    outlet->discarded = got > 0 || (got < 0 && errno == EAGAIN);
    if (outlet->discarded) want(&outlet->source, EPOLLIN);
    else close_source(&outlet->source);
}

static void finish(struct stream *s) {
    bool killed = WIFSIGNALED(s->status);
    int code = killed ? WTERMSIG(s->status) : WEXITSTATUS(s->status);
    uint8_t exit[2] = {killed, (uint8_t)code};
    if (s->type == COMMAND) emit(A_EXIT, s->object.ref, exit, sizeof exit);
    else if (s->type == HELPER && s->status != 0) emit_error(s->object.ref, killed ? ECANCELED : code, PLACE_PATH);
    else if (s->type == HELPER) emit(A_END, s->object.ref, NULL, 0);
    s->object.ref = draw_ref();
    s->finished = true;
}

/* Whether something is still to come from it. */
static bool is_open(struct stream *s, struct outlet *outlet) {
    if (outlet->source.fd < 0 || outlet->discarded) return false;
    if (s->running) want(&outlet->source, s->object.credit > 0 ? EPOLLIN : 0);
    else drain(s, outlet);
    return outlet->source.fd >= 0 && !outlet->discarded;
}

void settle(struct object *object) {
    struct stream *s = (struct stream *)object;
    bool out_open = is_open(s, &s->out), errors_open = is_open(s, &s->errors);
    bool over = s->type == CONNECTION ? s->object.source.fd < 0 : !s->running;
    if (!s->finished && over && !out_open && !errors_open) finish(s);
    if (s->finished && s->out.source.fd < 0 && s->errors.source.fd < 0) drop_object(object);
}

static void stream_ready(struct object *object, struct source *source) {
    struct stream *s = (struct stream *)object;
    if (source == &s->object.source) {
        write_in(s);
    } else if (pump(object, source == &s->out.source ? &s->out : &s->errors) == ENDED) {
        close_source(source);
        if (s->type == CONNECTION) emit(A_END, object->ref, NULL, 0);
    }
    settle(object);
}

static void stream_release(struct object *object) {
    struct stream *s = (struct stream *)object;
    close_in(s);
    free(s->waiting);
    close_source(&s->out.source);
    close_source(&s->errors.source);
    if (s->slave >= 0) close(s->slave);
}

static const struct kind stream_kind = {
    .ready = stream_ready, .data = stream_data, .end = stream_end, .credited = settle, .release = stream_release};

struct stream *add_stream(const struct request *request, enum stream_type type, int64_t credit) {
    struct stream *s = add_object(request, &stream_kind, sizeof *s);
    if (s == NULL) return NULL;
    s->type = type;
    s->running = true;
    s->object.credit = credit;
    s->slave = -1;
    s->out = (struct outlet){.source = s->object.source, .kind = A_DATA, .left = -1};
    s->errors = (struct outlet){.source = s->object.source, .kind = A_ERRORS, .left = -1};
    return s;
}

struct stream *as_process(struct object *object) {
    if (object == NULL || object->kind != &stream_kind) return NULL;
    struct stream *s = (struct stream *)object;
    return s->type != CONNECTION && s->running ? s : NULL;
}

/* A pipe that nobody empties would stop the command. */
void discard_output(struct object *object, uint8_t flags) {
    struct stream *s = (struct stream *)object;
    if (object->kind != &stream_kind || s->type != COMMAND) return;
    struct outlet *const outlets[] = {&s->out, &s->errors};
    for (int i = 0; i < 2; i++) {
        bool meant = flags & (i == 0 ? DISCARD_OUT : DISCARD_ERRORS);
        if (!meant || outlets[i]->source.fd < 0 || outlets[i]->discarded) continue;
        outlets[i]->left = s->running ? -1 : 0;
        outlets[i]->discarded = s->running;
        if (s->running) want(&outlets[i]->source, EPOLLIN);
    }
    settle(object);
}

void close_operation(struct object *object) {
    struct stream *s = as_process(object);
    if (s != NULL && s->type == COMMAND) return;
    if (s != NULL) kill(s->pid, SIGKILL);
    drop_object(object);
}

void end_process(struct stream *s, int status) {
    s->running = false;
    s->status = status;
    close_in(s);
    write_in(s);
    if (s->slave >= 0) close(s->slave);
    s->slave = -1;
    struct outlet *const outlets[] = {&s->out, &s->errors};
    for (int i = 0; i < 2; i++) {
        int rest = TERMINAL_REST;
        if (!s->terminal && ioctl(outlets[i]->source.fd, FIONREAD, &rest) != 0) rest = 0;
        outlets[i]->left = rest;
    }
    settle(&s->object);
}
