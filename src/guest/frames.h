/*
 * Frames between a worker and the agent inside a sandbox, on one stream socket. Little-endian:
 *
 *   u32 length of what follows | u8 kind | u32 ref | body
 *
 * A ref names one operation, from its request to its last answer, and is never used again. The worker draws them below
 * 2^31, the agent from there on, for connections that it accepts; Hello has 0. What comes for a ref that is over is ignored: it
 * has crossed the end. Anything else that is wrong ends the receiver's link, and with the link the agent.
 *
 * Bytes flow on credit, both ways. To the agent: WINDOW bytes of Data for one ref at first, more by its Credit. To the worker:
 * what the request grants, more by Credit.
 */
#ifndef HOLDFAST_FRAMES_H
#define HOLDFAST_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All requests: 1 2 4 8 are numbers of so many bytes, c is credit, t a text, ended by NUL, T are all texts that are left, d is data;
 * what carries it out; what the fields are, and what it is answered with, in this order. First those about an operation that
 * is under way, which are not answered. Each of the others can end with Error instead: u32 errno | u8 place.
 */
#define REQUESTS(row)                                                                                                       \
    row(DATA, "d", take_input)                                                                                              \
    row(END, "", take_input)                                                                                                \
    row(CREDIT, "c", take_credit)                                                                                           \
    row(CLOSE, "", close_operation)    /* ends it, but for a command */                                                     \
    row(RESIZE, "22", resize_command)  /* cols | rows */                                                                    \
    row(DISCARD, "1", discard_output)  /* flags: what a command prints there from now on comes to nothing */                \
    row(SPAWN, "c1224T", spawn_command) /* flags | cols | rows | number of words, one at least | directory | words | environment
                                           -> Ok u32 pid; Data and Errors of its output; Exit u8 whether by signal | u8 which, or
                                           the exit code. Takes Data, End, Credit, Resize, Discard */                       \
    row(KILL, "41", kill_command)      /* ref of a Spawn | signal -> Ok, for SIGKILL when nothing of it runs any more */    \
    row(STAT, "1t", handle_path)       /* flags | path -> Ok u8 type | u16 mode | u64 size | u64 mtime in ns */             \
    row(MKDIR, "2t", handle_path)      /* mode | path -> Ok */                                                              \
    row(RENAME, "tt", handle_path)     /* from | to -> Ok */                                                                \
    row(REALPATH, "t", handle_path)    /* path -> Ok the path */                                                            \
    row(REMOVE, "1t", remove_path)     /* flags | path -> Ok; of a tree End */                                              \
    row(READ, "c88t", read_path)       /* offset | length | path -> Ok as of Stat; Data; End */                             \
    row(LIST, "c88t", read_path)       /* 0 | 2^63 at least | path -> Ok as of Stat; Data as getdents64(2) gives it; End */  \
    row(WRITE, "12t", write_file)      /* flags | mode | path -> Ok when open; takes Data, then End -> Ok */                \
    row(WATCH, "c", open_watch)        /* -> Ok; Data as inotify(7) gives it, of all paths that are added */                \
    row(ADD_PATH, "44t", change_watch) /* ref of a Watch | mask | path -> Ok u32 number of the path */                      \
    row(DROP_PATH, "44", change_watch) /* ref of a Watch | number of a path -> Ok u32 number */                             \
    row(CONNECT, "c2", open_port)      /* port -> Ok u16 0; Data, End. Takes Data, End, Credit */                           \
    row(LISTEN, "c2", open_port)       /* port -> Ok u16 port; Accepted u32 ref, then as after Connect, with that credit */

#define ROW_KIND(kind, body, handler) kind,
enum request_kind { NO_REQUEST, REQUESTS(ROW_KIND) REQUEST_KINDS };

/* The first of all is Hello: u32 version. */
enum answer_kind { A_HELLO = 64, A_OK, A_ERROR, A_DATA, A_ERRORS, A_END, A_CREDIT, A_EXIT, A_ACCEPTED };

enum { PROTOCOL_VERSION = 3, HEADER = 9, MAX_FRAME = 1 << 20, MAX_TEXTS = 32768, WINDOW = 262144, CHUNK = 131072 };
enum { AGENT_REFS = 0x80000000u, SPAWN_WORDS = 3 };
/* The first number of those that have flags. */
enum flag { SPAWN_STDIN = 1, SPAWN_PTY = 2, STAT_FOLLOW = 1, REMOVE_RECURSIVE = 1, WRITE_APPEND = 1, DISCARD_OUT = 1 };
enum place { PLACE_PATH, PLACE_CWD, PLACE_PROGRAM };

/* A request, checked: what its kind does not have is zero. */
struct request {
    uint8_t kind;
    uint32_t ref, credit;
    uint64_t number[4]; /* in the order of the frame */
    char **text;        /* into the frame, each ended by NUL, all by NULL, as are the words of a Spawn; used again by the next */
    uint8_t *data;
    size_t size;
};

/* Of the first frame, header included; 0: it is not all there, -1: it is none. */
long frame_size(const uint8_t *bytes, size_t size);
/* False: malformed. */
bool decode_request(uint8_t *frame, size_t size, struct request *request);

uint64_t read_number(const uint8_t *bytes, size_t width);
uint8_t *write_number(uint8_t *bytes, uint64_t value, size_t width);

#endif
