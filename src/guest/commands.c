#include "agent.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>

/* Pids are below PIDS, see proc(5). Of a filter, see seccomp(2): instructions and results. */
enum { MAX_PROCESSES = 32768, PIDS = 1 << 22, LOAD = 0x20, IS = 0x15, RETURN = 0x06, ALLOW = 0x7fff0000, REFUSE = 0x50000 | EPERM };
struct process { pid_t pid, parent, session; };

/*
 * A command marks what it starts by a limit that no kernel enforces any more (RLIMIT_LOCKS since Linux 2.6): children inherit
 * it whatever session, parent or environment they give themselves, and nobody in the sandbox can change it: none may raise a
 * limit, and a filter lets nobody set this one who does not know the agent's secret, in an argument that the call has no use for.
 */
#define TAG(ref) (0x4846000000000000u | (ref))
static uint64_t secret;

void protect_tags(void) {
    if (getrandom(&secret, sizeof secret, 0) != sizeof secret) die("no random numbers");
    struct { uint16_t code; uint8_t then, otherwise; uint32_t value; } filter[] = {
        /* The call; from 16 on its arguments, of 8 bytes: no new limit, which limit, the secret; then those of setrlimit. */
        {LOAD, 0, 0, 0}, {IS, 11, 0, SYS_setrlimit}, {IS, 0, 12, SYS_prlimit64}, {LOAD, 0, 0, 32}, {IS, 0, 2, 0}, {LOAD, 0, 0, 36},
        {IS, 8, 0, 0}, {LOAD, 0, 0, 24}, {IS, 0, 6, RLIMIT_LOCKS}, {LOAD, 0, 0, 48}, {IS, 0, 5, (uint32_t)secret}, {LOAD, 0, 0, 52},
        {IS, 2, 3, secret >> 32}, {LOAD, 0, 0, 16}, {IS, 1, 0, RLIMIT_LOCKS}, {RETURN, 0, 0, ALLOW}, {RETURN, 0, 0, REFUSE},
    };
    prctl(PR_SET_SECCOMP, 2, &(struct { uint16_t size; void *at; }){sizeof filter / sizeof *filter, filter});
}

/* What the child needs; it shares our memory until it runs the program. */
struct launch {
    const struct request *request;
    int fds[3];
    int error;
    enum place place;
};

static int run_child(void *context) {
    struct launch *launch = context;
    const struct request *request = launch->request;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    /* The agent comes first in its sandbox, and it alone. */
    setpriority(PRIO_PROCESS, 0, 0);
    /* Refused where there is a limit already: such a child is found by its parents only. */
    syscall(SYS_prlimit64, 0, RLIMIT_LOCKS, &(struct rlimit){TAG(request->ref), TAG(request->ref)}, NULL, secret);
    setrlimit(RLIMIT_NOFILE, &inherited_files);
    bool ready = !(request->number[0] & SPAWN_PTY) || ioctl(launch->fds[0], TIOCSCTTY, 0) == 0;
    for (int i = 0; i < 3; i++) ready = ready && dup2(launch->fds[i], i) >= 0;
    if (ready) launch->place = PLACE_CWD;
    if (ready && chdir(request->text[0]) == 0) {
        launch->place = PLACE_PROGRAM;
        /* Of the agent too, which asks it for nothing: this is where execvp takes PATH from. */
        environ = request->text + request->number[SPAWN_WORDS] + 2;
        execvp(request->text[1], request->text + 1);
    }
    launch->error = errno;
    return 127;
}

static bool open_pipe(struct source *ours, int *theirs, bool reading) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    ours->fd = ends[reading ? 0 : 1];
    *theirs = ends[reading ? 1 : 0];
    return fcntl(ours->fd, F_SETFL, O_NONBLOCK) == 0;
}

static void set_size(int fd, const uint64_t *number) {
    struct winsize size = {.ws_col = (uint16_t)number[0], .ws_row = (uint16_t)number[1]};
    ioctl(fd, TIOCSWINSZ, &size);
}

static bool open_terminal(struct operation *o, int fds[3], const struct request *request) {
    char path[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return false;
    o->terminal = true;
    o->out[0].fd = master;
    /* The two directions wait for their own events. */
    o->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
    set_size(master, request->number + 1);
    if (unlockpt(master) != 0 || ptsname_r(master, path, sizeof path) != 0) return false;
    fds[0] = fds[1] = fds[2] = o->slave.fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return o->in.fd >= 0 && o->slave.fd >= 0;
}

static bool open_streams(struct operation *o, int fds[3], const struct request *request) {
    if (request->number[0] & SPAWN_PTY) return open_terminal(o, fds, request);
    if (request->number[0] & SPAWN_STDIN ? !open_pipe(&o->in, &fds[0], false)
                                         : (fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    return open_pipe(&o->out[0], &fds[1], true) && open_pipe(&o->out[1], &fds[2], true);
}

void spawn_command(struct operation *o, const struct request *request) {
    /* execvp copies the argument list of a script there. */
    static uint8_t stack[MAX_TEXTS * sizeof(char *) + 65536] __attribute__((aligned(16)));
    struct launch launch = {.request = request, .fds = {-1, -1, -1}, .place = PLACE_PROGRAM};
    /* Memory is shared and we are stopped meanwhile: no page table is copied, and its errno is ours to read. */
    if (!open_streams(o, launch.fds, request) ||
        (o->pid = clone(run_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &launch)) < 0)
        launch.error = errno;
    for (int i = 0; i < 3; i++)
        if (!o->terminal && launch.fds[i] >= 0) close(launch.fds[i]);
    if (launch.error != 0) return fail(o, launch.error, launch.place);
    emit(A_OK, o->ref, (uint64_t)o->pid, 4);
    settle(o);
}

void resize_command(struct operation *o, const struct request *request) {
    if (o->terminal && o->running) set_size(o->out[0].fd, request->number);
}

static pid_t pid_of(uint32_t ref) {
    struct operation *o = find_operation(ref);
    return o != NULL && o->kind == SPAWN && o->running ? o->pid : 0;
}

/* Whether it runs: others of its threads may, when the first has ended. See proc(5); the name, in brackets, may hold anything. */
static bool read_process(struct process *process) {
    char path[64], text[1024], state;
    snprintf(path, sizeof path, "/proc/%d/stat", process->pid);
    int threads, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size < 0 ? 0 : size] = 0;
    const char *fields = strrchr(text, ')');
    const char *format = " %c %d %*d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d";
    return fields != NULL && sscanf(fields + 1, format, &state, &process->parent, &process->session, &threads) == 4 &&
           ((state != 'Z' && state != 'X') || threads > 1) && process->parent >= 0 && process->parent < PIDS;
}

int kill_descendants(uint32_t ref) {
    static struct process all[MAX_PROCESSES];
    static bool member[PIDS];
    pid_t leader = pid_of(ref);
    size_t count = 0;
    DIR *folder = opendir("/proc");
    if (folder == NULL) return leader > 0 ? kill(-leader, SIGKILL) + 1 : 0;
    for (struct dirent *entry; count < MAX_PROCESSES && (entry = readdir(folder)) != NULL;) {
        struct process process = {.pid = atoi(entry->d_name)};
        struct rlimit limit;
        if (process.pid <= 0 || process.pid >= PIDS || process.pid == getpid() || !read_process(&process)) continue;
        bool tagged = prlimit(process.pid, RLIMIT_LOCKS, NULL, &limit) == 0 && limit.rlim_max == TAG(ref);
        member[process.pid] = tagged || (leader > 0 && process.session == leader);
        all[count++] = process;
    }
    closedir(folder);
    for (bool changed = true; changed;)
        for (size_t i = changed = 0; i < count; i++)
            if (!member[all[i].pid] && member[all[i].parent]) member[all[i].pid] = changed = true;
    int killed = 0;
    for (size_t i = 0; i < count; i++) {
        if (member[all[i].pid] && kill(all[i].pid, SIGKILL) == 0) killed++;
        member[all[i].pid] = false;
    }
    return killed;
}

/* What is killed for good is hunted again and again, see tidy: it may still be forking. */
void kill_command(struct operation *o, const struct request *request) {
    o->target = (uint32_t)request->number[0];
    if (request->number[1] == SIGKILL) return;
    pid_t leader = pid_of(o->target);
    if (leader > 0) kill(-leader, (int)request->number[1]);
    answer(o, 0);
}

void reap_children(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct operation *o = find_process(pid);
        if (o != NULL) end_process(o, status);
    }
}
