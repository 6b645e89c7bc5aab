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
 *
 * A text is bytes ended by NUL; texts are a u32 count and as many of them. What a request is answered with, in this order:
 *
 *   Spawn      u8 flags | u16 cols | u16 rows | u32 uid | u32 credit | cwd | argv | environment
 *              -> Ok u32 pid; Data and Errors of its output; Exit. Takes Data, End, Credit, Resize, Discard
 *   Discard    u8 flags of a Spawn's ref             no answer: what it prints there from now on comes to nothing
 *   Kill       u32 ref of a Spawn | u8 signal         -> Ok, for SIGKILL when nothing of it runs any more
 *   Stat       u8 flags | path                        -> Ok: u8 type | u16 mode | u64 size | u64 mtime in ns
 *   List       u32 credit | path                      -> Data, of each entry u8 type | name, by name; End
 *   Mkdir      u16 mode | path                        -> Ok
 *   Remove     u8 flags | path                        -> End
 *   Rename     from | to                              -> Ok
 *   Read       u64 offset | u64 length | u32 credit | path -> Ok as of Stat; Data; End
 *   Write      u8 flags | u16 mode | path             -> Ok when open; takes Data, then End -> Ok
 *   Realpath   u8 flags | path                        -> Ok: the path
 *   Watch      u32 mask | u32 credit | path           -> Ok u32 watch; Data as inotify(7) gives it
 *   WatchMore  u32 ref of a Watch | u32 mask | path   -> Ok u32 watch, of another directory, reported there too
 *   Unwatch    u32 ref of a Watch | u32 watch         -> Ok
 *   Connect    u16 port | u32 credit                  -> Ok; Data, End. Takes Data, End, Credit
 *   Listen     u16 port | u32 credit of each          -> Ok u16 port; Accepted: u32 ref, then as after Connect
 *
 * Each can end with Error instead: u32 errno | u8 place. Close ends an operation without an answer; it does not end a
 * command. The first frame of all is Hello: u32 version, from the agent.
 */
#ifndef HOLDFAST_FRAMES_H
#define HOLDFAST_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_VERSION = 2, HEADER = 9, MAX_FRAME = 1 << 20, MAX_TEXTS = 32768, WINDOW = 262144, CHUNK = 131072 };

enum request_kind {
    SPAWN = 1, DATA, END, CREDIT, CLOSE, RESIZE, KILL, STAT, LIST, MKDIR, REMOVE, RENAME, READ, WRITE, REALPATH,
    WATCH, WATCH_MORE, UNWATCH, CONNECT, LISTEN, DISCARD, REQUEST_KINDS
};

enum answer_kind {
    A_HELLO = 64, A_OK, A_ERROR, A_DATA, A_ERRORS, A_END, A_CREDIT, A_EXIT, A_ACCEPTED
};

enum flag { SPAWN_STDIN = 1, SPAWN_PTY = 2, STAT_FOLLOW = 1, REMOVE_RECURSIVE = 1, WRITE_APPEND = 1, REALPATH_FOLDER = 1, DISCARD_OUT = 1, DISCARD_ERRORS = 2 };
enum place { PLACE_PATH, PLACE_CWD, PLACE_PROGRAM, PLACE_USER };
enum { AGENT_REFS = 0x80000000u, SAME_USER = 0xffffffffu };

/* A request, checked: what its kind does not have is zero. */
struct request {
    uint8_t kind;
    uint32_t ref;
    uint8_t flags;
    uint64_t number[4];         /* in the order of the frame */
    char *text[2];              /* into the frame, ended by NUL */
    char **argv, **environment; /* ended by NULL; the next decode uses them again */
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
