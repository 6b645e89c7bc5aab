#include "agent.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>

/* Of signals, and of descriptors that may have been inherited. */
enum { SIGNALS = 64, INHERITED = 256 };

struct rlimit inherited_files;

_Noreturn void die(const char *why) {
    dprintf(STDERR_FILENO, "holdfast-guest: %s\n", why);
    _exit(1);
}

static struct source link_source = {.fd = LINK}, signal_source;

void handle(const struct request *request) {
#define ROW_HANDLER(kind, body, handler) [kind] = handler,
    static handler *const handlers[REQUEST_KINDS] = {REQUESTS(ROW_HANDLER)};
    struct operation *o = find_operation(request->ref);
    bool begins = request->kind >= SPAWN;
    if (begins && (o != NULL || request->ref >= AGENT_REFS)) die("a ref that is in use");
    if (begins) o = add_operation(request->ref, request->kind, request->credit);
    if (o != NULL) handlers[request->kind](o, request);
}

void handle_ready(struct source *source) {
    if (source == &link_source) return receive();
    if (source != &signal_source) return operation_ready(source);
    struct signalfd_siginfo seen[2];
    if (read(signal_source.fd, seen, sizeof seen) > 0) reap_children();
}

/* Nothing inherited by commands, signals as a program expects them. */
static void prepare(void) {
    for (int fd = LINK; fd < INHERITED; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (int number = 1; number <= SIGNALS; number++) signal(number, SIG_DFL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    if ((signal_source.fd = signalfd(-1, &blocked, SFD_NONBLOCK | SFD_CLOEXEC)) < 0) die("no signalfd");
    umask(022);
    /* No command can trace the agent or read its memory; orphans are ours also where we are not process 1. */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    getrlimit(RLIMIT_NOFILE, &inherited_files);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){inherited_files.rlim_max, inherited_files.rlim_max});
    protect_tags();
}

int main(void) {
    prepare();
    want(&link_source, EPOLLIN);
    want(&signal_source, EPOLLIN);
    emit(A_HELLO, 0, PROTOCOL_VERSION, 4);
    for (int timeout = -1;; timeout = tidy()) {
        flush();
        wait_events(timeout);
    }
}
