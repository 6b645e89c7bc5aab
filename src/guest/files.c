#include "agent.h"

#include <sys/inotify.h>

enum { STATUS = 19 };

static void emit_status(uint32_t ref, const struct stat *status) {
    uint8_t *at = write_number(reserve(STATUS), (uint64_t)IFTODT(status->st_mode), 1);
    at = write_number(at, status->st_mode & 07777, 2);
    at = write_number(at, (uint64_t)status->st_size, 8);
    write_number(at, (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec, 8);
    commit(A_OK, ref, STATUS);
}

static void resolve(struct operation *o, const char *from) {
    char *path = (char *)reserve(PATH_MAX);
    if (realpath(from, path) == NULL) return answer(o, -1);
    commit(A_OK, o->ref, strlen(path));
    drop_operation(o);
}

void handle_path(struct operation *o, const struct request *request) {
    char *const *path = request->text;
    struct stat status;
    if (request->kind == REALPATH) return resolve(o, path[0]);
    if (request->kind == MKDIR) return answer(o, mkdir(path[0], (mode_t)request->number[0]));
    if (request->kind == RENAME) return answer(o, rename(path[0], path[1]));
    int flags = request->number[0] & STAT_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(AT_FDCWD, path[0], &status, flags) != 0) return answer(o, -1);
    emit_status(o->ref, &status);
    drop_operation(o);
}

/* What blocks is refused (A3): pipes, sockets, terminals. False: errno says why. */
static bool open_path(struct source *source, const char *path, int flags, mode_t mode, struct stat *status) {
    source->fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    if (source->fd < 0 || fstat(source->fd, status) != 0) return false;
    errno = S_ISDIR(status->st_mode) ? EISDIR : EINVAL;
    return flags & O_DIRECTORY || S_ISREG(status->st_mode) || (S_ISCHR(status->st_mode) && !isatty(source->fd));
}

/*
 * A small file travels with the answer to its request. Entries of a directory go out as the kernel gives them, in its order: who
 * wants another one sorts them at his own expense.
 */
void read_path(struct operation *o, const struct request *request) {
    struct stat status;
    struct source *file = &o->out[0];
    off_t offset = (off_t)request->number[0];
    if (!open_path(file, request->text[0], O_RDONLY | (o->kind == LIST ? O_DIRECTORY : 0), 0, &status) ||
        (offset != 0 && lseek(file->fd, offset, SEEK_SET) < 0))
        return answer(o, -1);
    file->left = request->number[1] < INT64_MAX ? (int64_t)request->number[1] : INT64_MAX;
    emit_status(o->ref, &status);
    settle(o);
}

void write_file(struct operation *o, const struct request *request) {
    struct stat status;
    int flags = O_WRONLY | O_CREAT | (request->number[0] & WRITE_APPEND ? O_APPEND : O_TRUNC);
    if (open_path(&o->in, request->text[0], flags, (mode_t)request->number[1], &status)) emit(A_OK, o->ref, 0, 0);
    else answer(o, -1);
}

/* Events go out as the kernel gives them: what is behind a number, and what a rename moves, the worker keeps. */
void open_watch(struct operation *o, const struct request *request) {
    (void)request;
    o->out[0].fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (o->out[0].fd < 0) return answer(o, -1);
    emit(A_OK, o->ref, 0, 0);
    settle(o);
}

void change_watch(struct operation *o, const struct request *request) {
    struct operation *watch = find_operation((uint32_t)request->number[0]);
    if (watch == NULL || watch->kind != WATCH) return fail(o, ENOENT, PLACE_PATH);
    int fd = watch->out[0].fd, number = (int)request->number[1];
    /* What is dropped may be gone with its directory. */
    if (o->kind == DROP_PATH) inotify_rm_watch(fd, number);
    else number = inotify_add_watch(fd, request->text[0], (uint32_t)request->number[1]);
    /* There is no space for watches, not on the disk. */
    if (number < 0) return fail(o, errno == ENOSPC ? EMFILE : errno, PLACE_PATH);
    emit(A_OK, o->ref, (uint64_t)number, 4);
    drop_operation(o);
}
