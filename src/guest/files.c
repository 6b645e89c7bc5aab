#include "agent.h"

enum { STATUS = 19 };

static void answer(const struct request *request, int result) {
    if (result < 0) emit_error(request->ref, errno, PLACE_PATH);
    else emit(A_OK, request->ref, NULL, 0);
}

static void emit_status(uint32_t ref, const struct stat *status) {
    uint8_t *at = write_number(reserve(STATUS), (uint64_t)IFTODT(status->st_mode), 1);
    at = write_number(at, status->st_mode & 07777, 2);
    at = write_number(at, (uint64_t)status->st_size, 8);
    write_number(at, (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec, 8);
    commit(A_OK, ref, STATUS);
}

void stat_path(const struct request *request) {
    struct stat status;
    int flags = request->flags & STAT_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(AT_FDCWD, request->text[0], &status, flags) != 0) answer(request, -1);
    else emit_status(request->ref, &status);
}

void make_directory(const struct request *request) {
    answer(request, mkdir(request->text[0], (mode_t)request->number[0]));
}

void rename_path(const struct request *request) { answer(request, rename(request->text[0], request->text[1])); }

void resolve_path(const struct request *request) {
    char path[PATH_MAX];
    struct stat status = {0};
    bool resolved = realpath(request->text[0], path) != NULL && stat(path, &status) == 0;
    if (resolved && request->flags & REALPATH_FOLDER) {
        resolved = S_ISDIR(status.st_mode) && access(path, X_OK) == 0;
        if (!S_ISDIR(status.st_mode)) errno = ENOTDIR;
    }
    if (resolved) emit(A_OK, request->ref, path, strlen(path));
    else answer(request, -1);
}

/* What blocks is refused (A3): pipes, sockets, terminals. False: errno says why. */
static bool open_file(struct object *object, const char *path, int flags, mode_t mode) {
    struct stat status;
    object->source.fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    if (object->source.fd < 0 || fstat(object->source.fd, &status) != 0) return false;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return S_ISREG(status.st_mode) || (S_ISCHR(status.st_mode) && !isatty(object->source.fd));
}

/* As far as credit goes. A small file travels with the answer to its request. */
static void read_more(struct object *object) {
    for (ssize_t got = 1; got > 0;) {
        uint64_t most = object->left < CHUNK ? object->left : CHUNK;
        if (most > 0 && object->credit == 0) return;
        if ((int64_t)most > object->credit) most = (uint64_t)object->credit;
        got = read(object->source.fd, reserve(most), most);
        if (got < 0) return fail_object(object);
        if (got == 0) break;
        commit(A_DATA, object->ref, (size_t)got);
        object->credit -= got;
        object->left -= (uint64_t)got;
    }
    emit(A_END, object->ref, NULL, 0);
    drop_object(object);
}

static const struct kind reader_kind = {.credited = read_more};

void read_file(const struct request *request) {
    struct object *file = add_object(request, &reader_kind, sizeof *file);
    if (file == NULL) return;
    struct stat status;
    off_t offset = (off_t)request->number[0];
    file->left = request->number[1];
    file->credit = (int64_t)request->number[2];
    if (!open_file(file, request->text[0], O_RDONLY, 0) || fstat(file->source.fd, &status) != 0 ||
        (offset != 0 && lseek(file->source.fd, offset, SEEK_SET) < 0))
        return fail_object(file);
    emit_status(request->ref, &status);
    read_more(file);
}

static void write_more(struct object *object, const uint8_t *bytes, size_t size) {
    if (object->owed + size > WINDOW) die("more data than it gave credit for");
    object->owed += size;
    while (size > 0) {
        ssize_t written = write(object->source.fd, bytes, size);
        if (written == 0) errno = EIO;
        if (written <= 0) return fail_object(object);
        bytes += written;
        size -= (size_t)written;
    }
    repay(object);
}

static void end_file(struct object *object) {
    int fd = object->source.fd;
    object->source.fd = -1;
    if (close(fd) != 0) return fail_object(object);
    emit(A_OK, object->ref, NULL, 0);
    drop_object(object);
}

static const struct kind writer_kind = {.data = write_more, .end = end_file};

void write_file(const struct request *request) {
    struct object *file = add_object(request, &writer_kind, sizeof *file);
    if (file == NULL) return;
    int flags = O_WRONLY | O_CREAT | (request->flags & WRITE_APPEND ? O_APPEND : O_TRUNC);
    if (open_file(file, request->text[0], flags, (mode_t)request->number[0])) emit(A_OK, request->ref, NULL, 0);
    else fail_object(file);
}
