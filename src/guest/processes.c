#include "agent.h"

enum { MAX_PROCESSES = 32768 };

struct process {
    pid_t pid, parent;
    bool member;
};

/*
 * A command marks what it starts by a limit that no kernel enforces any more (RLIMIT_LOCKS since Linux 2.6): children inherit
 * it whatever session, parent or environment they give themselves, and nobody in the sandbox can raise it.
 */
static const uint64_t tag_base = 0x4846000000000000u;

uint64_t process_tag(uint32_t ref) { return tag_base | ref; }

static bool is_tagged(pid_t pid, uint32_t ref) {
    struct rlimit limit;
    return prlimit(pid, RLIMIT_LOCKS, NULL, &limit) == 0 && limit.rlim_max == process_tag(ref);
}

/* Of one that runs; `near`: in the group or session of that leader. See proc(5); the name, in brackets, may hold anything. */
static bool read_process(pid_t pid, pid_t leader, pid_t *parent, bool *near) {
    char path[64], text[1024], state;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int group, session, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size < 0 ? 0 : size] = 0;
    const char *fields = strrchr(text, ')');
    if (fields == NULL || sscanf(fields + 1, " %c %d %d %d", &state, parent, &group, &session) != 4) return false;
    *near = leader > 0 && (pid == leader || group == leader || session == leader);
    return state != 'Z' && state != 'X';
}

static int by_pid(const void *a, const void *b) {
    return ((const struct process *)a)->pid - ((const struct process *)b)->pid;
}

static bool adopt_by_parent(struct process *all, size_t count) {
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        struct process key = {.pid = all[i].parent};
        struct process *parent = all[i].member ? NULL : bsearch(&key, all, count, sizeof key, by_pid);
        if (parent == NULL || !parent->member) continue;
        all[i].member = changed = true;
    }
    return changed;
}

int kill_descendants(uint32_t ref, pid_t leader) {
    static struct process all[MAX_PROCESSES];
    size_t count = 0;
    DIR *folder = opendir("/proc");
    if (folder == NULL) return leader > 0 ? kill(-leader, SIGKILL) + 1 : 0;
    for (struct dirent *entry; count < MAX_PROCESSES && (entry = readdir(folder)) != NULL;) {
        pid_t parent, pid = atoi(entry->d_name);
        bool near;
        if (pid > 0 && pid != getpid() && read_process(pid, leader, &parent, &near))
            all[count++] = (struct process){pid, parent, near || is_tagged(pid, ref)};
    }
    closedir(folder);
    qsort(all, count, sizeof *all, by_pid);
    while (adopt_by_parent(all, count)) continue;
    int killed = 0;
    for (size_t i = 0; i < count; i++)
        if (all[i].member && kill(all[i].pid, SIGKILL) == 0) killed++;
    return killed;
}
