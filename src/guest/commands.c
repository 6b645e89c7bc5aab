#include "agent.h"

#include <grp.h>
#include <sched.h>

/* What the child needs; it shares our memory until it runs the program. */
struct launch {
    const struct request *request;
    int fds[3];
    int error;
    uint8_t place;
};

static int fail(struct launch *launch, uint8_t place) {
    launch->error = errno;
    launch->place = place;
    return 127;
}

static int run_child(void *context) {
    struct launch *launch = context;
    const struct request *request = launch->request;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    /* The agent comes first in its sandbox, and it alone. */
    setpriority(PRIO_PROCESS, 0, 0);
    if (request->flags & SPAWN_PTY && ioctl(launch->fds[0], TIOCSCTTY, 0) != 0) return fail(launch, PLACE_PROGRAM);
    for (int i = 0; i < 3; i++)
        if (dup2(launch->fds[i], i) < 0) return fail(launch, PLACE_PROGRAM);
    /* Refused where there is a limit already: such a child is found by its parents only. */
    struct rlimit tag = {process_tag(request->ref), process_tag(request->ref)};
    setrlimit(RLIMIT_LOCKS, &tag);
    setrlimit(RLIMIT_NOFILE, &inherited_files);
    uint32_t user = (uint32_t)request->number[2];
    if (user != SAME_USER && (setgroups(0, NULL) != 0 || setgid(user) != 0 || setuid(user) != 0))
        return fail(launch, PLACE_USER);
    if (chdir(request->text[0]) != 0) return fail(launch, PLACE_CWD);
    /* Of the agent too, which asks it for nothing: this is where execvp takes PATH from. */
    environ = request->environment;
    execvp(request->argv[0], request->argv);
    return fail(launch, PLACE_PROGRAM);
}

static bool open_pipe(struct source *ours, int *theirs, bool reading) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    ours->fd = ends[reading ? 0 : 1];
    *theirs = ends[reading ? 1 : 0];
    return fcntl(ours->fd, F_SETFL, O_NONBLOCK) == 0;
}

static void set_size(int fd, const struct request *request) {
    struct winsize size = {.ws_col = (uint16_t)request->number[0], .ws_row = (uint16_t)request->number[1]};
    ioctl(fd, TIOCSWINSZ, &size);
}

static bool open_terminal(struct stream *s, int fds[3], const struct request *request) {
    char path[32];
    int unlocked = 0, number, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return false;
    s->terminal = true;
    s->out.source.fd = master;
    /* The two directions wait for their own events. */
    s->object.source.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
    set_size(master, request);
    if (ioctl(master, TIOCSPTLCK, &unlocked) != 0 || ioctl(master, TIOCGPTN, &number) != 0) return false;
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    s->slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    fds[0] = fds[1] = fds[2] = s->slave;
    return s->object.source.fd >= 0 && s->slave >= 0;
}

static bool open_streams(struct stream *s, int fds[3], const struct request *request) {
    if (request->flags & SPAWN_PTY) return open_terminal(s, fds, request);
    if (request->flags & SPAWN_STDIN ? !open_pipe(&s->object.source, &fds[0], false)
                                     : (fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    return open_pipe(&s->out.source, &fds[1], true) && open_pipe(&s->errors.source, &fds[2], true);
}

void spawn_command(const struct request *request) {
    /* execvp copies the argument list of a script there. */
    static uint8_t stack[MAX_TEXTS * sizeof(char *) + 65536] __attribute__((aligned(16)));
    struct stream *s = add_stream(request, COMMAND, (int64_t)request->number[3]);
    if (s == NULL) return;
    struct launch launch = {.request = request, .fds = {-1, -1, -1}};
    errno = EINVAL;
    if (request->argv[0] == NULL || !open_streams(s, launch.fds, request)) fail(&launch, PLACE_PROGRAM);
    /* Memory is shared and we are stopped meanwhile: no page table is copied, and its errno is ours to read. */
    else s->pid = clone(run_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &launch);
    if (s->pid < 0) fail(&launch, PLACE_PROGRAM);
    for (int i = 0; i < 3; i++)
        if (!s->terminal && launch.fds[i] >= 0) close(launch.fds[i]);
    if (launch.error != 0) {
        emit_error(request->ref, launch.error, launch.place);
        drop_object(&s->object);
        return;
    }
    emit_number(A_OK, request->ref, (uint64_t)s->pid, 4);
    settle(&s->object);
}

/* Runs `work` in a copy of the agent: its standard output becomes Data, what it returns is an errno. */
void start_helper(const struct request *request, int (*work)(const struct request *request)) {
    struct stream *s = add_stream(request, HELPER, (int64_t)request->number[0]);
    int output = -1;
    if (s == NULL) return;
    if (open_pipe(&s->out.source, &output, true)) s->pid = fork();
    if (s->pid == 0 && output >= 0) {
        dup2(output, STDOUT_FILENO);
        /* Nobody waits for the end of a pipe that it would keep open. */
        close_from(3, 0);
        _exit(work(request));
    }
    if (output >= 0) close(output);
    if (s->pid > 0) settle(&s->object);
    else fail_object(&s->object);
}

void resize_command(const struct request *request) {
    struct stream *s = as_process(find_object(request->ref));
    if (s != NULL && s->terminal) set_size(s->out.source.fd, request);
}

/* Again and again: what is to die may still be forking. */
static void hunt(struct object *object) {
    uint32_t target = (uint32_t)object->left;
    struct stream *leader = as_process(find_object(target));
    if (kill_descendants(target, leader == NULL ? 0 : leader->pid) > 0) return set_napping(object, true);
    emit(A_OK, object->ref, NULL, 0);
    drop_object(object);
}

static const struct kind hunt_kind = {.nap_over = hunt};

void kill_command(const struct request *request) {
    uint32_t target = (uint32_t)request->number[0];
    struct stream *leader = as_process(find_object(target));
    if (request->number[1] != SIGKILL && leader != NULL) kill(-leader->pid, (int)request->number[1]);
    if (request->number[1] != SIGKILL) return emit(A_OK, request->ref, NULL, 0);
    struct object *object = add_object(request, &hunt_kind, sizeof *object);
    if (object == NULL) return;
    object->left = target;
    hunt(object);
}

struct ended {
    pid_t pid;
    int status;
};

static void note_end(struct object *object, void *context) {
    const struct ended *ended = context;
    struct stream *s = as_process(object);
    if (s != NULL && s->pid == ended->pid) end_process(s, ended->status);
}

void reap_children(void) {
    struct ended ended;
    while ((ended.pid = waitpid(-1, &ended.status, WNOHANG)) > 0) each_object(note_end, &ended);
}
