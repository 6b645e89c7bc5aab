/*
 * Prepares, as root and in a mount namespace of its own, what an isolated process stands on, then becomes bubblewrap as the
 * user that the sandbox runs as. Debian 12's bubblewrap knows no overlays, `mount` looks at every loop device of the host
 * before it takes one, and neither may see folders that only root can enter: hence a program.
 *
 *   launcher STEP... exec PROGRAM ARGUMENT...
 *
 *   cgroup FILE           joins the group of this cgroup.procs
 *   oom-score NUMBER      so that a host that is out of memory ends sandboxes before anything else
 *   urgent NUMBER         so much above its neighbours on the processor, by setpriority(2), where that may be had
 *   copy SOURCE TARGET    a sparse copy, shared where the file system can; nothing where TARGET is there
 *   namespace STAGE       a mount namespace, and at STAGE an empty folder to build a root in, for the next steps
 *   folder TARGET
 *   link TEXT TARGET      a symbolic link
 *   bind SOURCE TARGET    a file or folder of the host, and what is mounted below it
 *   layer SOURCE TARGET FROM TO
 *                         a folder of the host, read-only; what is user FROM's in it is seen as user TO's
 *   below FOLDER NAME TARGET
 *                         binds the folder of that name in FOLDER, where it is one and no link
 *   input NUMBER          this descriptor becomes the standard input, and no other than the standard ones is inherited
 *   disk IMAGE TARGET     mounts the ext4 file system in IMAGE
 *   own TARGET USER       gives it and all below it to a user, unless it is his
 *   overlay TARGET OPTIONS
 *   pivot STAGE           the stage becomes the root, the host's is gone
 *   user NUMBER           that user and group, no other groups, no new privileges
 *   exec PROGRAM ...      by path
 *   unused IMAGE          waits until nobody has it mounted: a namespace that has ended is taken down a little later
 *   sync PID TARGET       writes out the file system at TARGET, as process PID sees it
 *   fuse TARGET           mounts what whoever has the other end of descriptor 3, an open /dev/fuse, says
 *   flush TARGET          writes out the file system at TARGET
 *   unmount TARGET        whatever is mounted there, and is not; who uses it goes on with it
 *
 * I1. Nothing is left of it when its processes are gone: mounts go with the namespace, the loop device with its last mount.
 * I2. An image is mounted once at a time: the loop device keeps the locked file open, so the lock lasts as long as it does.
 * I3. Root follows no path below what `disk` has mounted: its files were named by hostile code. `own` goes by descriptors
 *     and follows no link; bubblewrap, which follows paths there, is an unprivileged user and sees nothing but the stage.
 *
 * The first step that fails is named on stderr, and the exit code is 125.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { failed = 125, loop_tries = 1000, deepest_folder = 4096, lock_seconds = 30, copy_bytes = 1 << 20, first_foreign = 6 };

static const char *step = "start";
static const char *subject = "";

static void fail(void) {
  fprintf(stderr, "launcher: %s %s: %s\n", step, subject, strerror(errno));
  exit(failed);
}

static void check(int result) {
  if (result < 0) fail();
}

static void refuse(int error) {
  errno = error;
  fail();
}

static int open_file(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  check(fd);
  return fd;
}

static void write_text(const char *path, const char *text) {
  int fd = open_file(path, O_WRONLY);
  check((int)write(fd, text, strlen(text)));
  close(fd);
}

static long number(const char *text) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text || value < 0) refuse(EINVAL);
  return value;
}

static void join_cgroup(char **words) { write_text(words[0], "0"); }

static void set_oom_score(char **words) { write_text("/proc/self/oom_score_adj", words[0]); }

/* A container without CAP_SYS_NICE may not: it is slower then, and no less isolated. */
static void make_urgent(char **words) { (void)!setpriority(PRIO_PROCESS, 0, (int)-number(words[0])); }

static void enter_namespace(char **words) {
  check(unshare(CLONE_NEWNS));
  check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
  check(mount("holdfast", words[0], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"));
}

static void make_folder(char **words) { check(mkdir(words[0], 0755)); }

static void make_link(char **words) { check(symlink(words[0], words[1])); }

static void bind(char **words) {
  struct stat info;
  check(stat(words[0], &info));
  if (S_ISDIR(info.st_mode)) check(mkdir(words[1], 0755));
  else close(open_file(words[1], O_WRONLY | O_CREAT));
  check(mount(words[0], words[1], NULL, MS_BIND | MS_REC, NULL));
}

/* By descriptor: a sandbox can have put a link there (I3). */
static void bind_below(char **words) {
  char path[64];
  int folder = open_file(words[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  int found = openat(folder, words[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  check(mkdir(words[2], 01777));
  if (found >= 0) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", found);
    check(mount(path, words[2], NULL, MS_BIND, NULL));
    close(found);
  }
  close(folder);
}

static void take_input(char **words) {
  check(dup2((int)number(words[0]), STDIN_FILENO));
  check((int)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0));
}

static void write_map(long pid, const char *map, char **ids) {
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%ld/%s", pid, map);
  snprintf(text, sizeof text, "%ld %ld 1", number(ids[0]), number(ids[1]));
  write_text(path, text);
}

/* A user namespace that says whose files look like whose; a process has to live in it until somebody else holds it. */
static int user_namespace(char **ids) {
  int ends[2];
  check(pipe2(ends, O_CLOEXEC));
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  check((int)child);
  if (child == 0) {
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) != 0);
  }
  write_map(child, "uid_map", ids);
  write_map(child, "gid_map", ids);
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/ns/user", child);
  int user = open_file(path, O_RDONLY);
  close(ends[0]);
  close(ends[1]);
  check(waitpid((pid_t)child, NULL, 0));
  return user;
}

/* Calls and numbers of linux/mount.h, which cannot be included beside sys/mount.h everywhere. */
enum { nr_open_tree = 428, nr_move_mount = 429, nr_mount_setattr = 442 };
enum { open_tree_clone = 1, move_mount_from_fd = 4, attr_readonly = 1, attr_nosuid = 2, attr_nodev = 4, attr_idmap = 0x100000 };

static void mount_mapped(char **words, uint64_t flags) {
  struct {
    uint64_t set, clear, propagation, user;
  } attributes = {.set = flags | attr_nosuid | attr_nodev | attr_idmap, .user = (uint64_t)user_namespace(words + 2)};
  int tree = (int)syscall(nr_open_tree, AT_FDCWD, words[0], open_tree_clone | O_CLOEXEC);
  check(tree);
  if (syscall(nr_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    step = "images and volumes of a host need Linux 5.19 and a data folder on ext4, XFS or Btrfs; this one cannot map owners: mount";
    fail();
  }
  check(mkdir(words[1], 0755));
  check((int)syscall(nr_move_mount, tree, "", AT_FDCWD, words[1], move_mount_from_fd));
  close(tree);
  close((int)attributes.user);
}

static void mount_layer(char **words) { mount_mapped(words, attr_readonly); }

static void mount_owned(char **words) { mount_mapped(words, 0); }

/* The previous process of a session that was woken may still be letting go of it: then the lock waits. */
static int lock_image(const char *image) {
  int fd = open_file(image, O_RDWR);
  alarm(lock_seconds);
  check(flock(fd, LOCK_EX));
  alarm(0);
  return fd;
}

/* Two that ask at the same time may be told the same free device; one of them is refused and asks again. */
static int attach_loop(int image, char *name, size_t name_bytes) {
  struct loop_config config = {
      .fd = (unsigned)image, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
  int control = open_file("/dev/loop-control", O_RDWR);
  for (int tries = 0; tries < loop_tries; tries++) {
    int index = ioctl(control, LOOP_CTL_GET_FREE);
    check(index);
    snprintf(name, name_bytes, "/dev/loop%d", index);
    int device = open_file(name, O_RDWR);
    if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
      close(control);
      return device;
    }
    if (errno != EBUSY) fail();
    close(device);
  }
  refuse(EBUSY);
  return -1;
}

static void mount_image(char **words, const char *options) {
  char name[32];
  int image = lock_image(words[0]);
  int device = attach_loop(image, name, sizeof name);
  check(mkdir(words[1], 0755));
  check(mount(name, words[1], "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, options));
  close(device);
  close(image);
}

/* The files of a sandbox do not outlive its host, so nothing waits for the disk; `discard` gives back what is deleted. */
static void mount_disk(char **words) { mount_image(words, "nobarrier,discard,noinit_itable"); }

static void mount_volume(char **words) { mount_image(words, "discard"); }

static void await_unused(char **words) { close(lock_image(words[0])); }

/* The folder itself comes last: one that is the user's already says that all below it is. */
static void own_below(int folder, uid_t user, int depth) {
  struct stat info;
  check(fstat(folder, &info));
  if (depth == 0 && info.st_uid == user) return;
  if (depth > deepest_folder) refuse(ELOOP);
  DIR *entries = fdopendir(dup(folder));
  if (entries == NULL) fail();
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (entry->d_type != DT_DIR) {
      check(fchownat(folder, entry->d_name, user, user, AT_SYMLINK_NOFOLLOW));
      continue;
    }
    int child = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    check(child);
    own_below(child, user, depth + 1);
    close(child);
  }
  closedir(entries);
  check(fchown(folder, user, user));
}

static void own(char **words) {
  int folder = open_file(words[0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  own_below(folder, (uid_t)number(words[1]), 0);
  close(folder);
}

static void mount_overlay(char **words) {
  check(mkdir(words[0], 0755));
  check(mount("overlay", words[0], "overlay", MS_NOSUID | MS_NODEV, words[1]));
}

static void pivot(char **words) {
  check(chdir(words[0]));
  check((int)syscall(SYS_pivot_root, ".", "."));
  check(umount2(".", MNT_DETACH));
  check(chdir("/"));
}

static void become_user(char **words) {
  uid_t user = (uid_t)number(words[0]);
  check(setgroups(0, NULL));
  check(setresgid(user, user, user));
  check(setresuid(user, user, user));
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void copy_range(int from, int to, off_t start, off_t end) {
  static char buffer[copy_bytes];
  while (start < end) {
    size_t wanted = end - start < copy_bytes ? (size_t)(end - start) : copy_bytes;
    ssize_t got = pread(from, buffer, wanted, start);
    check((int)got);
    if (got == 0) refuse(EIO);
    errno = 0;
    if (pwrite(to, buffer, (size_t)got, start) != got) refuse(errno == 0 ? ENOSPC : errno);
    start += got;
  }
}

static void copy_data(int from, int to) {
  struct stat info;
  check(fstat(from, &info));
  check(ftruncate(to, info.st_size));
  for (off_t end = 0;;) {
    off_t start = lseek(from, end, SEEK_DATA);
    if (start < 0 && errno == ENXIO) return;
    check(start < 0 ? -1 : 0);
    end = lseek(from, start, SEEK_HOLE);
    check(end < 0 ? -1 : 0);
    copy_range(from, to, start, end);
  }
}

/* Renamed when it is whole: a launcher that is killed leaves nothing that looks like a copy. */
static void copy(char **words) {
  char partial[4096];
  if (access(words[1], F_OK) == 0) return;
  if (snprintf(partial, sizeof partial, "%s.partial", words[1]) >= (int)sizeof partial) refuse(ENAMETOOLONG);
  int from = open_file(words[0], O_RDONLY);
  int to = open_file(partial, O_WRONLY | O_CREAT | O_TRUNC);
  if (ioctl(to, FICLONE, from) != 0) copy_data(from, to);
  close(to);
  close(from);
  check(rename(partial, words[1]));
}

static void sync_as(char **words) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/ns/mnt", number(words[0]));
  check(setns(open_file(path, O_RDONLY), CLONE_NEWNS));
  check(syncfs(open_file(words[1], O_RDONLY | O_DIRECTORY)));
}

/* Permissions are the kernel's to check; others than root may come in, as files belong to the users of sandboxes. */
static void mount_fuse(char **words) {
  const char *options = "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
  check(mount("holdfast", words[0], "fuse.holdfast", MS_NOSUID | MS_NODEV | MS_NOATIME, options));
}

/* What could not be written is told to whoever wrote it: it may be a file of any sandbox, and must not stop the others. */
static void flush(char **words) { (void)!syncfs(open_file(words[0], O_RDONLY | O_DIRECTORY)); }

static void unmount(char **words) {
  while (umount2(words[0], MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
  if (errno != EINVAL && errno != ENOENT) fail();
}

static const struct {
  const char *name;
  int words;
  void (*run)(char **words);
} steps[] = {
    {"cgroup", 1, join_cgroup},
    {"oom-score", 1, set_oom_score},
    {"urgent", 1, make_urgent},
    {"copy", 2, copy},
    {"namespace", 1, enter_namespace},
    {"folder", 1, make_folder},
    {"link", 2, make_link},
    {"bind", 2, bind},
    {"layer", 4, mount_layer},
    {"below", 3, bind_below},
    {"input", 1, take_input},
    {"disk", 2, mount_disk},
    {"volume", 2, mount_volume},
    {"owned", 4, mount_owned},
    {"own", 2, own},
    {"overlay", 2, mount_overlay},
    {"pivot", 1, pivot},
    {"user", 1, become_user},
    {"unused", 1, await_unused},
    {"sync", 2, sync_as},
    {"fuse", 1, mount_fuse},
    {"flush", 1, flush},
    {"unmount", 1, unmount},
};

/* Returns how many words the step took. */
static int run(char **words, int count) {
  for (size_t at = 0; at < sizeof steps / sizeof *steps; at++) {
    if (strcmp(step, steps[at].name) != 0) continue;
    if (count < steps[at].words) refuse(EINVAL);
    subject = words[0];
    steps[at].run(words);
    return steps[at].words;
  }
  refuse(ENOSYS);
  return 0;
}

int main(int count, char **words) {
  /* Whatever the worker was started with and does not know of must not be inherited. */
  check((int)syscall(SYS_close_range, first_foreign, ~0U, 0));
  for (int at = 1; at < count;) {
    step = words[at++];
    if (strcmp(step, "exec") == 0) {
      if (at == count) refuse(EINVAL);
      subject = words[at];
      execv(words[at], words + at);
      fail();
    }
    at += run(words + at, count - at);
  }
  return 0;
}
