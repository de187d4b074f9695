// Ends uplinkd before the n-th of the calls by which it changes the kernel's network, its files, or tells the Console something.
// Loaded with LD_PRELOAD by lablib/crashpoints.py; its children are left alone. $CRASHPOINTS names a file that both map.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 48, NAMES = 1024, PING_BYTES = 120 };

// As crashpoints.py knows it.
struct board {
  atomic_uint armed;   // Points count.
  atomic_uint strike;  // Before this one the process ends; 0: before none.
  atomic_uint passed;
  atomic_uint struck;
  char names[NAMES][NAME_BYTES];
};
static struct board *board;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CRASHPOINTS");
  if (!path || strcmp(program_invocation_short_name, "uplinkd") != 0) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  if (memory == MAP_FAILED) abort();
  board = memory;
}

static void point(const char *what, const char *detail) {
  if (!board || !board->armed) return;
  unsigned number = ++board->passed;
  snprintf(board->names[number < NAMES ? number : 0], NAME_BYTES, "%s %s", what, detail);
  if (number != board->strike) return;
  board->armed = 0;
  board->struck = 1;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void file_point(const char *what, int fd) {
  struct stat facts;
  char link[64], path[4096];
  if (!board || !board->armed || fd <= STDERR_FILENO || fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  const char *name = strrchr(path, '/');
  point(what, name ? name + 1 : path);
}

// Requests that only ask are no points.
static void socket_point(int fd, const void *bytes, size_t size) {
  int domain = 0, protocol = 0;
  socklen_t length = sizeof domain;
  if (!board || !board->armed || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return;
  if (domain == AF_INET || domain == AF_INET6) {
    if (size > PING_BYTES) point("tell", "the Console");
    return;
  }
  if (domain != AF_NETLINK || size < sizeof(struct nlmsghdr)) return;
  getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
  const struct nlmsghdr *header = bytes;
  int asks = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ||
             (protocol == NETLINK_ROUTE && ((header->nlmsg_type - RTM_BASE) & 3) == 2);
  char name[32];
  snprintf(name, sizeof name, "%d type %d", protocol, header->nlmsg_type);
  if (!asks) point("netlink", name);
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  size_t size = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i) size += message->msg_iov[i].iov_len;
  if (message->msg_iovlen > 0) socket_point(fd, message->msg_iov[0].iov_base, size);
  return REAL(ssize_t(*)(int, const struct msghdr *, int), "sendmsg")(fd, message, flags);
}
ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
  socket_point(fd, bytes, size);
  return REAL(ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t), "sendto")(fd, bytes, size, flags, to,
                                                                                                     length);
}
ssize_t send(int fd, const void *bytes, size_t size, int flags) {
  socket_point(fd, bytes, size);
  return REAL(ssize_t(*)(int, const void *, size_t, int), "send")(fd, bytes, size, flags);
}
ssize_t write(int fd, const void *bytes, size_t size) {
  file_point("write", fd);
  return REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, bytes, size);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  file_point("pwrite", fd);
  return REAL(ssize_t(*)(int, const void *, size_t, off64_t), "pwrite64")(fd, bytes, size, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  file_point("pwrite", fd);
  return REAL(ssize_t(*)(int, const void *, size_t, off_t), "pwrite")(fd, bytes, size, at);
}
int ftruncate64(int fd, off64_t size) {
  file_point("truncate", fd);
  return REAL(int (*)(int, off64_t), "ftruncate64")(fd, size);
}
int ftruncate(int fd, off_t size) {
  file_point("truncate", fd);
  return REAL(int (*)(int, off_t), "ftruncate")(fd, size);
}
int fsync(int fd) {
  file_point("sync", fd);
  return REAL(int (*)(int), "fsync")(fd);
}
int fdatasync(int fd) {
  file_point("sync", fd);
  return REAL(int (*)(int), "fdatasync")(fd);
}
int rename(const char *from, const char *to) {
  point("rename", strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
  return REAL(int (*)(const char *, const char *), "rename")(from, to);
}
int unlink(const char *path) {
  point("unlink", strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
  return REAL(int (*)(const char *), "unlink")(path);
}
