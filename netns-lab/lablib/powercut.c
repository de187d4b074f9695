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

// Where a file below the state folder has its durable copy; 0 if path lies elsewhere.
static int durable_name(const char *path, char *target, size_t size) {
  const char *state = getenv("POWERCUT_STATE"), *durable = getenv("POWERCUT_DURABLE");
  size_t prefix = state ? strlen(state) : 0;
  if (!durable || !prefix || strncmp(path, state, prefix) != 0 || path[prefix] != '/') return 0;
  return snprintf(target, size, "%s%s", durable, path + prefix) < (int)size;
}

// Copies the file behind fd to the durable folder, under the name it has in the state folder.
static void keep(int fd) {
  char link[64], path[PATH_MAX], target[PATH_MAX + 8], temporary[PATH_MAX + 16];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  struct stat facts;
  if (!durable_name(path, target, sizeof target) || fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return;
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

// SQLite syncs the folder after it deleted a journal, so a deletion counts as durable at once.
int unlink(const char *path) {
  int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
  char target[PATH_MAX + 8];
  if (durable_name(path, target, sizeof target)) real(target);
  return real(path);
}
