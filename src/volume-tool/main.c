/*
 * What containers and sessions call as `holdfast`: commits and reloads of the volumes that they see. It asks the file system
 * itself, by an ioctl of the path: whoever sees a mount may do that, and needs no network, socket or credential for it.
 *
 *   holdfast volume commit PATH [-m MESSAGE] [--fail-on-conflict]
 *   holdfast volume reload PATH [--force]
 *   holdfast volume name PATH
 *
 * Prints the id of the commit that is seen at PATH then; `name` prints the name of the volume. Exit codes: 1 it was refused, 2 wrong words.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { op_commit = 1, op_reload = 2, op_name = 3, flag_given = 1, text_bytes = 4088, refused = 1, wrong_words = 2 };

/* As runtime/mounts/volume-control.ts has it; answered in place, `op` is 0 then where it was done. */
struct ask {
  uint32_t op;
  uint32_t flag;
  char text[text_bytes];
};

static int usage(void) {
  fputs("holdfast volume commit PATH [-m MESSAGE] [--fail-on-conflict]\nholdfast volume reload PATH [--force]\nholdfast volume name PATH\n", stderr);
  return wrong_words;
}

static uint32_t op_of(const char *word) {
  if (strcmp(word, "commit") == 0) return op_commit;
  if (strcmp(word, "reload") == 0) return op_reload;
  return strcmp(word, "name") == 0 ? op_name : 0;
}

static int read_words(struct ask *ask, int count, char **words) {
  for (int at = 0; at < count; at++) {
    if (ask->op == op_commit && strcmp(words[at], "-m") == 0 && at + 1 < count) {
      if (strlen(words[++at]) >= text_bytes) return -1;
      strcpy(ask->text, words[at]);
    } else if (ask->op != op_name && strcmp(words[at], ask->op == op_commit ? "--fail-on-conflict" : "--force") == 0) {
      ask->flag = flag_given;
    } else {
      return -1;
    }
  }
  return 0;
}

int main(int count, char **words) {
  static struct ask ask;
  if (count < 4 || strcmp(words[1], "volume") != 0) return usage();
  ask.op = op_of(words[2]);
  if (ask.op == 0 || read_words(&ask, count - 4, words + 4) != 0) return usage();
  int fd = open(words[3], O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, _IOWR('H', 1, struct ask), &ask) != 0) {
    const char *why = fd >= 0 && (errno == ENOTTY || errno == ENOSYS) ? "it is not in a volume" : strerror(errno);
    fprintf(stderr, "holdfast: volume %s %s: %s\n", words[2], words[3], why);
    return refused;
  }
  ask.text[text_bytes - 1] = '\0';
  if (ask.op != 0) fprintf(stderr, "holdfast: %s\n", ask.text);
  else puts(ask.text);
  return ask.op != 0 ? refused : 0;
}
