#include "agent.h"

enum { FEW = 32768, MANY = 1 << 26, SHORTEST = 3, MAX_DEPTH = 65536 };

struct entries {
    char *names; /* of each: u8 type | name */
    size_t room, used, count;
};

static bool is_dot(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a + 1, *(char *const *)b + 1); }

static uint8_t type_of(DIR *folder, const struct dirent *entry) {
    struct stat status;
    if (entry->d_type != DT_UNKNOWN || fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return entry->d_type;
    return IFTODT(status.st_mode);
}

static int collect(const char *path, struct entries *entries) {
    DIR *folder = opendir(path);
    if (folder == NULL) return errno;
    struct dirent *entry;
    size_t size = 0;
    while ((entry = readdir(folder)) != NULL) {
        if (is_dot(entry->d_name)) continue;
        size = strlen(entry->d_name) + 2;
        if (entries->used + size > entries->room) break;
        entries->names[entries->used] = (char)type_of(folder, entry);
        memcpy(entries->names + entries->used + 1, entry->d_name, size - 1);
        entries->used += size;
        entries->count++;
    }
    closedir(folder);
    return entry == NULL ? 0 : E2BIG;
}

static void sort(const struct entries *entries, char **sorted) {
    char *at = entries->names;
    for (size_t i = 0; i < entries->count; i++, at += strlen(at + 1) + 2) sorted[i] = at;
    qsort(sorted, entries->count, sizeof *sorted, by_name);
}

/* In a child, and in this sandbox: a million names are sorted at its expense, and nothing waits for it. */
static int list_many(const struct request *request) {
    /* Untouched pages of it cost nothing. */
    struct entries entries = {.names = malloc(MANY), .room = MANY};
    if (entries.names == NULL) return ENOMEM;
    int error = collect(request->text[0], &entries);
    char **sorted = malloc((entries.count + 1) * sizeof *sorted);
    if (sorted == NULL) return ENOMEM;
    sort(&entries, sorted);
    for (size_t i = 0; i < entries.count && error == 0; i++)
        if (fwrite(sorted[i], strlen(sorted[i] + 1) + 2, 1, stdout) != 1) error = EPIPE;
    return error != 0 ? error : fflush(stdout) == 0 ? 0 : EPIPE;
}

void list_directory(const struct request *request) {
    static char names[FEW], *sorted[FEW / SHORTEST];
    struct entries entries = {.names = names, .room = request->number[0] < FEW ? 0 : FEW};
    int error = collect(request->text[0], &entries);
    if (error == E2BIG) return start_helper(request, list_many);
    if (error != 0) return emit_error(request->ref, error, PLACE_PATH);
    sort(&entries, sorted);
    uint8_t *at = reserve(entries.used);
    for (size_t i = 0; i < entries.count; i++) at = mempcpy(at, sorted[i], strlen(sorted[i] + 1) + 2);
    if (entries.used > 0) commit(A_DATA, request->ref, entries.used);
    emit(A_END, request->ref, NULL, 0);
}

struct identity {
    dev_t device;
    ino_t inode;
};

/*
 * One directory is open at a time, whatever the depth. Every step is relative to it and follows no link; the way back is
 * "..", taken only where it leads to the directory that we came from. A directory that has become empty is removed when its
 * parent is read again.
 */
struct removal {
    DIR *folder;
    struct identity above[MAX_DEPTH];
    size_t depth;
    bool found_something;
};

static bool identify(DIR *folder, struct identity *identity) {
    struct stat status;
    if (fstat(dirfd(folder), &status) != 0) return false;
    *identity = (struct identity){status.st_dev, status.st_ino};
    return true;
}

static bool enter(struct removal *r, int from, const char *name) {
    int fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) return false;
    if (r->folder != NULL) closedir(r->folder);
    r->folder = folder;
    r->found_something = false;
    return true;
}

/* Everything in it is gone. */
static bool leave(struct removal *r) {
    struct identity found;
    if (!enter(r, dirfd(r->folder), "..") || !identify(r->folder, &found)) return false;
    r->found_something = true;
    struct identity *expected = &r->above[--r->depth];
    errno = EAGAIN;
    return found.device == expected->device && found.inode == expected->inode;
}

static bool remove_entry(struct removal *r, const char *name) {
    int fd = dirfd(r->folder);
    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return false;
    if (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno != ENOTEMPTY) return false;
    errno = ELOOP;
    if (r->depth == MAX_DEPTH || !identify(r->folder, &r->above[r->depth]) || !enter(r, fd, name)) return false;
    r->depth++;
    return true;
}

static int remove_all(const struct request *request) {
    static struct removal r;
    if (!enter(&r, AT_FDCWD, request->text[0])) return errno;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(r.folder);
        if (entry != NULL) {
            if (is_dot(entry->d_name)) continue;
            r.found_something = true;
            if (!remove_entry(&r, entry->d_name)) return errno;
        } else if (errno != 0) {
            return errno;
        } else if (r.found_something) {
            r.found_something = false;
            rewinddir(r.folder);
        } else if (r.depth > 0) {
            if (!leave(&r)) return errno;
        } else {
            if (rmdir(request->text[0]) == 0) return 0;
            if (errno != ENOTEMPTY) return errno;
            r.found_something = true;
        }
    }
}

void remove_path(const struct request *request) {
    const char *path = request->text[0];
    if (unlink(path) == 0 || (errno == EISDIR && rmdir(path) == 0)) emit(A_END, request->ref, NULL, 0);
    else if (errno == ENOTEMPTY && request->flags & REMOVE_RECURSIVE) start_helper(request, remove_all);
    else emit_error(request->ref, errno, PLACE_PATH);
}
