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

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.h"

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
    void (*data)(struct object *object, const uint8_t *bytes, size_t size);
    void (*end)(struct object *object);
    void (*credited)(struct object *object);
    void (*nap_over)(struct object *object); /* each turn while it naps, and each few ms */
    void (*release)(struct object *object);  /* what it has besides its source */
};

/* One operation that is under way; a file, a watch and a listener are no more than that. */
struct object {
    const struct kind *kind;
    uint32_t ref;
    struct source source;
    int64_t credit; /* bytes that may be sent */
    size_t owed;    /* bytes that were taken, credit for which was not given back yet */
    uint64_t left;  /* of a file, in bytes; of a hunt, its target */
    bool naps, dropped;
    struct object *next;
};

/* What is read for the worker. */
struct outlet {
    struct source source;
    uint8_t kind;   /* of its frames */
    bool discarded; /* its process has ended, but something in the background writes on: it must not break, nor block */
    int64_t left;   /* -1: all until its end */
};

/* A process with its pipes or terminal, or a connection; what it is written to is its object's source. */
struct stream {
    struct object object;
    enum stream_type { COMMAND, HELPER, CONNECTION } type;
    uint8_t *waiting; /* of WINDOW bytes, where not all is taken at once */
    size_t waiting_start, waiting_size;
    bool ending;
    struct outlet out, errors;
    pid_t pid;
    int status;
    bool running;  /* of a process: its status is not known */
    bool finished; /* for the worker it is over */
    bool terminal;
    int slave; /* of its terminal, ours until its end: a program that closes it must not look like one that has ended */
};

/* main.c */
extern struct rlimit inherited_files; /* what commands get; the agent takes more */
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
void fail_object(struct object *object); /* with errno */
void each_object(void (*visit)(struct object *object, void *context), void *context);
void set_napping(struct object *object, bool naps);
uint32_t draw_ref(void);
void repay(struct object *object);
int wake_objects(void); /* the timeout for wait_events */
void bury_dropped(void);
void open_poll(void);
void wait_events(int timeout, void (*ready)(struct source *source));
void want(struct source *source, uint32_t events);
void close_source(struct source *source);

/* streams.c */
struct stream *add_stream(const struct request *request, enum stream_type type, int64_t credit);
struct stream *as_process(struct object *object); /* NULL where it is none, or has ended */
void settle(struct object *object);
void end_process(struct stream *stream, int status);
void discard_output(struct object *object, uint8_t flags);
void close_operation(struct object *object);

/* commands.c, processes.c */
void start_helper(const struct request *request, int (*work)(const struct request *request));
void reap_children(void);
uint64_t process_tag(uint32_t ref);
int kill_descendants(uint32_t ref, pid_t leader); /* how many of them still run */

/* What begins with a request, in the files of those names. */
typedef void handler(const struct request *request);
handler spawn_command, resize_command, kill_command;
handler stat_path, make_directory, rename_path, resolve_path, read_file, write_file;
handler list_directory, remove_path, watch_path, watch_more, unwatch_path, connect_port, listen_port;

#endif
