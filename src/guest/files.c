#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS = 19 };

/* As an open file: read from with credit, written to with Data. */
struct file {
    struct object object;
    int fd;
    uint64_t left;
    size_t owed;
};

static void answer(const struct request *request, int result)
{
    if (result < 0) emit_error(request->ref, errno, PLACE_PATH);
    else emit(A_OK, request->ref, NULL, 0);
}

static void emit_status(uint32_t ref, const struct stat *status)
{
    uint8_t body[STATUS];
    uint8_t *at = write_number(body, (uint64_t)IFTODT(status->st_mode), 1);
    at = write_number(at, status->st_mode & 07777, 2);
    at = write_number(at, (uint64_t)status->st_size, 8);
    write_number(at, (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec, 8);
    emit(A_OK, ref, body, sizeof body);
}

void stat_path(const struct request *request)
{
    struct stat status;
    int flags = request->flags & STAT_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(AT_FDCWD, request->text[0], &status, flags) != 0) answer(request, -1);
    else emit_status(request->ref, &status);
}

void make_directory(const struct request *request)
{
    answer(request, mkdir(request->text[0], (mode_t)request->number[0]));
}

void rename_path(const struct request *request) { answer(request, rename(request->text[0], request->text[1])); }

void resolve_path(const struct request *request)
{
    char path[PATH_MAX];
    struct stat status;
    bool resolved = realpath(request->text[0], path) != NULL;
    if (resolved && request->flags & REALPATH_FOLDER) {
        resolved = stat(path, &status) == 0 && S_ISDIR(status.st_mode) && access(path, X_OK) == 0;
        if (!resolved && !S_ISDIR(status.st_mode)) errno = ENOTDIR;
    }
    if (resolved) emit(A_OK, request->ref, path, strlen(path));
    else answer(request, -1);
}

static void file_release(struct object *object)
{
    struct file *file = (struct file *)object;
    if (file->fd >= 0) close(file->fd);
}

/* What blocks is refused (A3): pipes, sockets, terminals. */
static int open_file(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    struct stat status;
    if (fd < 0 || (fstat(fd, &status) == 0 && !S_ISFIFO(status.st_mode) && !S_ISDIR(status.st_mode) && !isatty(fd)))
        return fd;
    close(fd);
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return -1;
}

static void read_step(struct object *object)
{
    struct file *file = (struct file *)object;
    uint64_t most = file->left < CHUNK ? file->left : CHUNK;
    if (object->credit <= 0 && most > 0) {
        set_pace(object, IDLE);
        return;
    }
    if ((int64_t)most > object->credit) most = (uint64_t)object->credit;
    uint8_t *room = reserve(most);
    ssize_t got = read(file->fd, room, most);
    if (got > 0) {
        commit(A_DATA, object->ref, (size_t)got);
        object->credit -= got;
        file->left -= (uint64_t)got;
        return;
    }
    if (got < 0) emit_error(object->ref, errno, PLACE_PATH);
    else emit(A_END, object->ref, NULL, 0);
    drop_object(object);
}

static void read_credited(struct object *object) { set_pace(object, BUSY); }

static const struct kind reader_kind = {.step = read_step, .credited = read_credited, .release = file_release};

void read_file(const struct request *request)
{
    struct file *file = add_object(request, &reader_kind, sizeof *file);
    if (file == NULL) return;
    struct stat status;
    file->fd = open_file(request->text[0], O_RDONLY, 0);
    file->left = request->number[1];
    file->object.credit = (int64_t)request->number[2];
    off_t offset = (off_t)request->number[0];
    if (file->fd < 0 || fstat(file->fd, &status) != 0 || (offset != 0 && lseek(file->fd, offset, SEEK_SET) < 0)) {
        answer(request, -1);
        drop_object(&file->object);
        return;
    }
    emit_status(request->ref, &status);
    set_pace(&file->object, BUSY);
    /* A small file travels with its answer. */
    read_step(&file->object);
}

static void file_data(struct object *object, const uint8_t *bytes, size_t size)
{
    struct file *file = (struct file *)object;
    if (file->owed + size > WINDOW) die("more data than it gave credit for");
    file->owed += size;
    while (size > 0) {
        ssize_t written = write(file->fd, bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            emit_error(object->ref, written == 0 ? EIO : errno, PLACE_PATH);
            drop_object(object);
            return;
        }
        bytes += written;
        size -= (size_t)written;
    }
    repay(object->ref, &file->owed);
}

static void file_end(struct object *object)
{
    struct file *file = (struct file *)object;
    if (close(file->fd) != 0) emit_error(object->ref, errno, PLACE_PATH);
    else emit(A_OK, object->ref, NULL, 0);
    file->fd = -1;
    drop_object(object);
}

static const struct kind writer_kind = {.data = file_data, .end = file_end, .release = file_release};

void write_file(const struct request *request)
{
    struct file *file = add_object(request, &writer_kind, sizeof *file);
    if (file == NULL) return;
    int flags = O_WRONLY | O_CREAT | (request->flags & WRITE_APPEND ? O_APPEND : O_TRUNC);
    file->fd = open_file(request->text[0], flags, (mode_t)request->number[0]);
    answer(request, file->fd);
    if (file->fd < 0) drop_object(&file->object);
}
