/*
 * The agent: process 1 of a sandbox. One thread, one epoll loop.
 *
 * A1. No size, count or index that the worker sends is used unchecked, and memory stays flat: buffers have fixed sizes, what
 *     is larger moves on credit.
 * A2. Whatever ends the link ends the agent, and with it, as it is process 1, everything inside.
 * A3. The loop waits for the link and for its files, never for a command, a pipe, a terminal or a connection. What takes
 *     long, the removal of a tree, is done by a child.
 * A4. An operation is freed only between two turns of the loop: events of the turn may still point to it.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.h"

enum { LINK = 3 };

/* A descriptor of an operation; -1: closed. */
struct source {
    int fd;
    uint32_t wanted; /* events; 0: not in the epoll set, which would report a hang-up for ever */
    struct operation *owner;
    bool discarded; /* its process has ended, but something in the background writes on: it must not break, nor block */
    int64_t left;   /* bytes to read; -1: all until its end */
};

/* One operation that is under way. */
struct operation {
    uint8_t kind; /* of its request */
    uint32_t ref;
    struct source in, out[2]; /* what it is written to; what is read for the worker */
    struct source slave;      /* of its terminal, ours until its end: a program that closes it must not look like one that ended */
    int64_t credit;           /* bytes that may be sent; of a listener, by each connection */
    size_t owed;              /* bytes that were taken, credit for which was not given back yet */
    uint8_t *waiting;         /* of WINDOW bytes, where not all is taken at once */
    size_t waiting_start, waiting_size;
    bool ending;   /* `in` closes when nothing waits any more */
    bool running;  /* more may come of it than there is now; of a process: its status is not known */
    bool finished; /* for the worker it is over */
    bool dropped, terminal;
    pid_t pid;
    int status;
    uint32_t target; /* of a hunt */
    struct operation *next;
};

/* main.c, link.c */
extern struct rlimit inherited_files; /* what commands get; the agent takes more */
_Noreturn void die(const char *why);
void handle(const struct request *request);
void handle_ready(struct source *source);
void receive(void);
void flush(void);
uint8_t *reserve(size_t size); /* room for a body; what comes next is commit, or nothing */
void commit(uint8_t kind, uint32_t ref, size_t size);
void emit(uint8_t kind, uint32_t ref, uint64_t number, size_t width);

/* operations.c */
struct operation *add_operation(uint32_t ref, uint8_t kind, uint32_t credit); /* NULL: too many, said so */
struct operation *find_operation(uint32_t ref);
struct operation *find_process(pid_t pid); /* that runs */
void drop_operation(struct operation *o);
void answer(struct operation *o, int result);                     /* its last; negative: with errno */
void fail(struct operation *o, int error, enum place place); /* the same */
uint32_t draw_ref(void);
int tidy(void); /* between two turns: the timeout for wait_events */
void wait_events(int timeout);
void want(struct source *source, uint32_t events);
int close_source(struct source *source);

/* streams.c, commands.c, connections.c */
void settle(struct operation *o);
void end_process(struct operation *o, int status);
void operation_ready(struct source *source);
void protect_tags(void); /* before any command */
void reap_children(void);
int kill_descendants(uint32_t ref); /* of a command; how many of them still run */
void accept_connection(struct operation *listener);

/* What carries out a request: of an operation that has just been added for it, or that it is about. */
typedef void handler(struct operation *o, const struct request *request);
handler take_input, take_credit, close_operation, resize_command, discard_output, spawn_command, kill_command, handle_path;
handler remove_path, read_path, write_file, open_watch, change_watch, open_port;

#endif
