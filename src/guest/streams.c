#include "agent.h"

/* A terminal does not say how much is left at the end of its process; entries and events come whole, or not at all. */
enum { TERMINAL_REST = 65536, LONGEST_ENTRY = 4096 };
enum pumped { MOVED, NOTHING, ENDED, BROKEN };

static bool is_file(struct operation *o) { return o->kind == READ || o->kind == LIST; }

static bool has_credit(struct operation *o) { return o->credit >= (o->kind == LIST || o->kind == WATCH ? LONGEST_ENTRY : 1); }

static void close_in(struct operation *o) {
    /* A connection has a direction to end; for the others closing is enough. */
    if (o->kind == CONNECT && o->in.fd >= 0) shutdown(o->in.fd, SHUT_WR);
    int result = close_source(&o->in);
    if (o->kind == WRITE && !o->dropped) answer(o, result);
}

/* How much went. Where nobody reads any more, all of it into nothing: a writer waits for credit, not for readers. */
static size_t write_some(struct operation *o, const uint8_t *bytes, size_t size) {
    for (size_t done = 0; done < size && o->in.fd >= 0;) {
        ssize_t written = write(o->in.fd, bytes + done, size - done);
        if (written == 0) errno = EIO;
        if (written > 0) done += (size_t)written;
        else if (errno == EAGAIN) return done;
        else if (o->kind == WRITE) answer(o, -1);
        else if (errno != EINTR) close_in(o);
    }
    return size;
}

static void write_waiting(struct operation *o) {
    size_t done = o->waiting_size == 0 ? 0 : write_some(o, o->waiting + o->waiting_start, o->waiting_size);
    if (o->dropped) return;
    o->waiting_start += done;
    o->waiting_size -= done;
    o->owed += done;
    want(&o->in, o->waiting_size > 0 ? EPOLLOUT : 0);
    /* In pieces: a frame for each line that is written would be as much work as the line. */
    if (o->owed >= WINDOW / 4) {
        emit(A_CREDIT, o->ref, o->owed, 4);
        o->owed = 0;
    }
    if (o->waiting_size > 0) return;
    free(o->waiting);
    o->waiting = NULL;
    o->waiting_start = 0;
    if (o->ending) close_in(o);
}

void take_input(struct operation *o, const struct request *request) {
    bool takes = o->kind == SPAWN || o->kind == WRITE || o->kind == CONNECT;
    if (request->kind == DATA && !takes) die("data for what takes none");
    if (o->waiting_size + o->owed + request->size > WINDOW) die("more data than it gave credit for");
    size_t done = o->waiting_size > 0 ? 0 : write_some(o, request->data, request->size);
    o->owed += done;
    if (done < request->size) {
        if (o->waiting == NULL && (o->waiting = malloc(WINDOW)) == NULL) die("out of memory");
        memmove(o->waiting, o->waiting + o->waiting_start, o->waiting_size);
        memcpy(o->waiting + o->waiting_size, request->data + done, request->size - done);
        o->waiting_start = 0;
        o->waiting_size += request->size - done;
    }
    o->ending = o->ending || request->kind == END;
    write_waiting(o);
    settle(o);
}

void take_credit(struct operation *o, const struct request *request) {
    o->credit += request->credit;
    if (o->credit > UINT32_MAX) o->credit = UINT32_MAX;
    settle(o);
}

/* One read, as far as credit goes. */
static enum pumped pump(struct operation *o, struct source *source) {
    static uint8_t nowhere[WINDOW];
    int64_t most = o->credit < CHUNK ? o->credit : CHUNK;
    if (source->left >= 0 && source->left < most) most = source->left;
    if (source->discarded) most = sizeof nowhere;
    else if (source->left == 0) return ENDED;
    else if (!has_credit(o)) return NOTHING;
    uint8_t *bytes = source->discarded ? nowhere : reserve((size_t)most);
    ssize_t got = o->kind == LIST ? syscall(SYS_getdents64, source->fd, bytes, most) : read(source->fd, bytes, (size_t)most);
    if (got < 0 && !is_file(o) && (errno == EAGAIN || errno == EINTR)) return NOTHING;
    if (got <= 0) return got == 0 ? ENDED : BROKEN;
    if (source->discarded) return MOVED;
    commit(source == &o->out[0] ? A_DATA : A_ERRORS, o->ref, (size_t)got);
    o->credit -= got;
    if (source->left > 0) source->left -= got;
    return MOVED;
}

/* A file to its end. What a process wrote before it ended, and no more: its pipe stays for those who may still write. */
static void drain(struct operation *o, struct source *source) {
    enum pumped how = MOVED;
    while (how == MOVED) how = pump(o, source);
    if (how == BROKEN && is_file(o)) return answer(o, -1);
    if (how == NOTHING && !has_credit(o)) return want(source, 0);
    if (is_file(o)) close_source(source);
    source->discarded = true;
    want(source, EPOLLIN);
}

static void finish(struct operation *o) {
    int killed = WIFSIGNALED(o->status), code = killed ? WTERMSIG(o->status) : WEXITSTATUS(o->status);
    if (o->kind == SPAWN) emit(A_EXIT, o->ref, (uint64_t)(killed | code << 8), 2);
    else if (o->status != 0) return fail(o, killed ? ECANCELED : code, PLACE_PATH);
    else if (o->kind != CONNECT) emit(A_END, o->ref, 0, 0);
    o->ref = draw_ref();
    o->finished = true;
}

/* Whether something is still to come from it. */
static bool is_open(struct operation *o, struct source *source) {
    if (source->fd < 0 || source->discarded) return false;
    if (o->running) want(source, has_credit(o) ? EPOLLIN : 0);
    else drain(o, source);
    return source->fd >= 0 && !source->discarded;
}

/* After whatever has happened to it. */
void settle(struct operation *o) {
    bool is_read = is_open(o, &o->out[0]) | is_open(o, &o->out[1]);
    if (o->dropped) return;
    bool over = o->kind == CONNECT ? o->in.fd < 0 : !o->running;
    if (!o->finished && over && !is_read) finish(o);
    if (o->finished && o->out[0].fd < 0 && o->out[1].fd < 0) drop_operation(o);
}

void operation_ready(struct source *source) {
    struct operation *o = source->owner;
    if (o->kind == LISTEN) return accept_connection(o);
    if (source == &o->in) write_waiting(o);
    else if (pump(o, source) >= ENDED) {
        close_source(source);
        if (o->kind == CONNECT) emit(A_END, o->ref, 0, 0);
    }
    settle(o);
}

/* A pipe that nobody empties would stop the command. */
void discard_output(struct operation *o, const struct request *request) {
    for (int i = 0; i < 2 && o->kind == SPAWN; i++) {
        struct source *source = &o->out[i];
        if (!(request->number[0] & (uint64_t)DISCARD_OUT << i)) continue;
        source->discarded = true;
        want(source, EPOLLIN);
    }
    settle(o);
}

void close_operation(struct operation *o, const struct request *request) {
    (void)request;
    if (o->kind == SPAWN && o->running) return;
    if (o->kind == REMOVE) kill(o->pid, SIGKILL);
    drop_operation(o);
}

void end_process(struct operation *o, int status) {
    o->running = false;
    o->status = status;
    close_in(o);
    write_waiting(o);
    close_source(&o->slave);
    for (int i = 0; i < 2; i++) {
        int rest = TERMINAL_REST;
        if (!o->terminal && ioctl(o->out[i].fd, FIONREAD, &rest) != 0) rest = 0;
        o->out[i].left = rest;
    }
    settle(o);
}
