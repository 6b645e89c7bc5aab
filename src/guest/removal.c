#include "agent.h"

/* Of directories that are open at once. */
enum { MAX_DEPTH = 256 };

static int top;
static bool empty(int parent, const char *name, int depth);

/* Too deep to be emptied where it is: at the top it has its turn. An earlier removal may have left a name there. */
static bool lift(int parent, const char *name) {
    static unsigned int lifted;
    char to[32];
    int result;
    do {
        snprintf(to, sizeof to, ".holdfast-removed-%u", lifted++);
        result = renameat(parent, name, top, to);
    } while (result != 0 && errno == ENOTEMPTY);
    return result == 0;
}

/* Every step is relative to an open directory and follows no link: nothing is removed that was not found below the top. */
static bool remove_entry(int parent, const char *name, int depth) {
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return false;
    do {
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
        if (errno != ENOTEMPTY) return false;
        if (depth == MAX_DEPTH) return lift(parent, name);
    } while (empty(parent, name, depth + 1));
    return false;
}

static bool empty(int parent, const char *name, int depth) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) return false;
    if (depth == 1) top = fd;
    bool removed = true;
    errno = 0;
    for (struct dirent *entry; removed && (entry = readdir(folder)) != NULL; errno = removed ? 0 : errno)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            removed = remove_entry(fd, entry->d_name, depth);
    int error = errno;
    closedir(folder);
    errno = error;
    return error == 0;
}

void remove_path(struct operation *o, const struct request *request) {
    const char *path = request->text[0];
    int result = unlink(path);
    if (result != 0 && errno == EISDIR) result = rmdir(path);
    if (result == 0 || errno != ENOTEMPTY || !(request->number[0] & REMOVE_RECURSIVE)) return answer(o, result);
    o->pid = fork();
    if (o->pid == 0) {
        /* Nobody waits for the end of a pipe that it would keep open. */
        syscall(SYS_close_range, LINK, ~0u, 0);
        _exit(remove_entry(AT_FDCWD, path, 0) ? 0 : errno);
    }
    if (o->pid < 0) answer(o, -1);
}
