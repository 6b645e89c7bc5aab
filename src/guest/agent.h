/*
 * The agent: process 1 of a sandbox. One thread, one epoll loop.
 *
 * A1. No size, count or index that the worker sends is used unchecked, and memory stays flat: buffers have fixed sizes, what
 *     is larger moves on credit.
 * A2. Whatever ends the link ends the agent, and with it, as it is process 1, everything inside.
 * A3. The loop waits for the link and for its files, never for a command, a pipe, a terminal or a connection. What takes
 *     long, lists and removals, is done by a child.
 * A4. An object is freed only between two turns of the loop: events of the turn may still point to it.
 */
#ifndef HOLDFAST_AGENT_H
#define HOLDFAST_AGENT_H

#include <sys/resource.h>
#include <sys/types.h>

#include "frames.h"

/* idle: waits for an event; busy: its step runs each turn; napping: within a few ms. */
enum pace { IDLE, BUSY, NAPPING };

struct object;

/* A descriptor of an object; -1: closed. */
struct source {
    int fd;
    uint32_t wanted; /* events; 0: not in the epoll set, which would report a hang-up for ever */
    struct object *owner;
};

/* What can happen to an object; NULL: nothing then. */
struct kind {
    void (*ready)(struct object *object, struct source *source);
    void (*step)(struct object *object);
    void (*data)(struct object *object, const uint8_t *bytes, size_t size);
    void (*end)(struct object *object);
    void (*credited)(struct object *object);
    void (*release)(struct object *object); /* closes and frees what it has */
};

/* One operation that is under way; the first member of its own struct. */
struct object {
    const struct kind *kind;
    uint32_t ref;
    int64_t credit;
    enum pace pace;
    bool dropped;
    struct object *next;
};

/* What is read for the worker. */
struct outlet {
    struct source source;
    uint8_t kind;   /* of its frames */
    bool discarded; /* its process has ended, but something in the background writes on: it must not break, nor block */
    int64_t left;   /* -1: all until its end */
};

/* A process with its pipes or terminal, or a connection. */
struct stream {
    struct object object;
    enum stream_type { COMMAND, HELPER, CONNECTION } type;
    struct source in;
    uint8_t *waiting; /* of WINDOW bytes, where `in` does not take all at once */
    size_t waiting_start, waiting_size, owed;
    bool in_ending;
    struct outlet out, errors;
    pid_t pid;
    int status;
    bool running;  /* of a process: its status is not known */
    bool finished; /* for the worker it is over */
    bool terminal;
    int slave; /* of its terminal, ours until its end: a program that closes it must not look like one that has ended */
};

/* main.c: what commands get; the agent takes more. */
extern struct rlimit inherited_files;
_Noreturn void die(const char *why);
void close_from(int first, unsigned int flags); /* of close_range */

/* link.c */
void open_link(int fd);
void receive(void (*handle)(const struct request *request));
void flush(void);
uint8_t *reserve(size_t size); /* room for a body; what comes next is commit, or nothing */
void commit(uint8_t kind, uint32_t ref, size_t size);
void emit(uint8_t kind, uint32_t ref, const void *body, size_t size);
void emit_number(uint8_t kind, uint32_t ref, uint64_t value, size_t width);
void emit_error(uint32_t ref, int error, uint8_t place);

/* objects.c */
void *add_object(const struct request *request, const struct kind *kind, size_t size); /* NULL: too many, said so */
struct object *find_object(uint32_t ref);
void drop_object(struct object *object);
void set_pace(struct object *object, enum pace pace);
void each_object(void (*visit)(struct object *object, void *context), void *context);
int run_tasks(void); /* the timeout for wait_events */
void bury_dropped(void);
uint32_t draw_ref(void);

/* sources.c */
void open_poll(void);
void wait_events(int timeout, void (*ready)(struct source *source));
void want(struct source *source, uint32_t events);
void close_source(struct source *source);

/* streams.c */
struct stream *add_stream(const struct request *request, enum stream_type type, int64_t credit);
struct stream *as_process(struct object *object); /* NULL where it is none, or has ended */
void settle(struct object *object);
void end_process(struct stream *stream, int status);
void close_operation(struct object *object);
void repay(uint32_t ref, size_t *owed);

/* commands.c */
void spawn_command(const struct request *request);
void start_helper(const struct request *request, int (*work)(const struct request *request));
void resize_command(const struct request *request);
void kill_command(const struct request *request);
void reap_children(void);

/* processes.c */
uint64_t process_tag(uint32_t ref);
int kill_descendants(uint32_t ref, pid_t leader); /* how many of them still run */

/* files.c, directories.c, watches.c, connections.c */
void stat_path(const struct request *request);
void make_directory(const struct request *request);
void rename_path(const struct request *request);
void resolve_path(const struct request *request);
void read_file(const struct request *request);
void write_file(const struct request *request);
void list_directory(const struct request *request);
void remove_path(const struct request *request);
void watch_path(const struct request *request);
void watch_more(const struct request *request);
void unwatch_path(const struct request *request);
void connect_port(const struct request *request);
void listen_port(const struct request *request);

#endif
