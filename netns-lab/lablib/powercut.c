// What a disk would still hold after a power cut: copies each file below $POWERCUT_STATE to $POWERCUT_DURABLE when,
// and only when, it is fsynced. Loaded with LD_PRELOAD by scenario T29.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes the folders of path that do not exist.
static void make_parents(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
  }
}

// Copies the file behind fd to the durable folder, under the name it has in the state folder.
static void keep(int fd) {
  const char *state = getenv("POWERCUT_STATE"), *durable = getenv("POWERCUT_DURABLE");
  char link[64], path[PATH_MAX], target[PATH_MAX + 8], temporary[PATH_MAX + 16];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (!state || !durable || length <= 0) return;
  path[length] = 0;
  size_t prefix = strlen(state);
  struct stat facts;
  if (strncmp(path, state, prefix) != 0 || path[prefix] != '/' || fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode))
    return;
  if (snprintf(target, sizeof target, "%s%s", durable, path + prefix) >= (int)sizeof target) return;
  snprintf(temporary, sizeof temporary, "%s.tmp", target);
  make_parents(target);
  int in = open(path, O_RDONLY | O_CLOEXEC), out = open(temporary, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  off_t left = facts.st_size;
  while (in >= 0 && out >= 0 && left > 0) {
    ssize_t sent = sendfile(out, in, NULL, (size_t)left);
    if (sent <= 0) break;
    left -= sent;
  }
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  if (left == 0) rename(temporary, target);
}

int fsync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  int result = real(fd);
  if (result == 0) keep(fd);
  return result;
}

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  int result = real(fd);
  if (result == 0) keep(fd);
  return result;
}
