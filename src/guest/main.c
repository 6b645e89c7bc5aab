#include "agent.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

enum { LINK = 3, SIGNALS = 64 };

struct rlimit inherited_files;

_Noreturn void die(const char *why) {
    dprintf(STDERR_FILENO, "holdfast-guest: %s\n", why);
    _exit(1);
}

static struct source link_source = {.fd = LINK}, signal_source;

void close_from(int first, unsigned int flags) {
    if (syscall(SYS_close_range, first, ~0u, flags) == 0) return;
    /* Linux before 5.11. */
    for (int fd = first; fd < 1024; fd++)
        if (flags == 0) close(fd);
        else fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Of an operation that is under way; NULL where it is over already. */
static void handle_later(const struct request *request, struct object *object) {
    if (object == NULL) return;
    const struct kind *kind = object->kind;
    if (request->kind == DATA && kind->data == NULL) die("data for what takes none");
    if (request->kind == DATA) kind->data(object, request->data, request->size);
    if (request->kind == END && kind->end != NULL) kind->end(object);
    if (request->kind == RESIZE) resize_command(request);
    if (request->kind == DISCARD) discard_output(object, request->flags);
    if (request->kind == CLOSE) close_operation(object);
    if (request->kind != CREDIT) return;
    int64_t credit = object->credit + (int64_t)request->number[0];
    object->credit = credit < UINT32_MAX ? credit : UINT32_MAX;
    if (kind->credited != NULL) kind->credited(object);
}

static void handle(const struct request *request) {
    static handler *const first[REQUEST_KINDS] = {
        [SPAWN] = spawn_command,  [KILL] = kill_command,    [STAT] = stat_path,        [WATCH_MORE] = watch_more,
        [LIST] = list_directory,  [MKDIR] = make_directory, [REMOVE] = remove_path,    [RENAME] = rename_path,
        [READ] = read_file,       [WRITE] = write_file,     [REALPATH] = resolve_path, [WATCH] = watch_path,
        [CONNECT] = connect_port, [LISTEN] = listen_port,   [UNWATCH] = unwatch_path,
    };
    struct object *object = find_object(request->ref);
    if (first[request->kind] == NULL) handle_later(request, object);
    else if (object != NULL || request->ref >= AGENT_REFS) die("a ref that is in use");
    else first[request->kind](request);
}

static void handle_ready(struct source *source) {
    if (source == &link_source) {
        receive(handle);
    } else if (source == &signal_source) {
        struct signalfd_siginfo seen[16];
        while (read(signal_source.fd, seen, sizeof seen) > 0) continue;
        reap_children();
    } else {
        source->owner->kind->ready(source->owner, source);
    }
}

/* Standard streams that are open, nothing inherited by commands, signals as a program expects them. */
static void prepare(void) {
    int null;
    while ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && null < LINK) continue;
    if (null >= 0) close(null);
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0) _exit(2);
    close_from(LINK, CLOSE_RANGE_CLOEXEC);
    for (int number = 1; number <= SIGNALS; number++) signal(number, SIG_DFL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigdelset(&blocked, SIGPIPE);
    signal_source.fd = signalfd(-1, &blocked, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_source.fd < 0) die("no signalfd");
    umask(022);
    /* No command can trace the agent or read its memory; orphans are ours also where we are not process 1. */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    getrlimit(RLIMIT_NOFILE, &inherited_files);
    struct rlimit most = {inherited_files.rlim_max, inherited_files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &most);
}

int main(void) {
    prepare();
    open_poll();
    want(&link_source, EPOLLIN);
    want(&signal_source, EPOLLIN);
    open_link(LINK);
    for (int timeout = -1;;) {
        flush();
        wait_events(timeout, handle_ready);
        timeout = wake_objects();
        bury_dropped();
    }
}
