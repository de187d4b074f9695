// uplink-dhcp-keeper: runs one program so that neither it nor any helper of it outlives its owner.
//
//   uplink-dhcp-keeper --parent PID|--stay --lock FILE [--bind FOLDER PLACE]... -- PROGRAM
//   [ARGUMENT]...
//
// keeper (PDEATHSIG=KILL) -> init, pid 1 of a new PID and mount namespace (PDEATHSIG=KILL) ->
// program. dhcpcd forks helpers under another user that ignore SIGTERM and clear PDEATHSIG; only
// the end of their PID namespace is certain to take them along. With --stay the keeper outlives its
// owner: guests keep DHCP and DNS while the daemon is away; the lock says who must end first.
// Source: facts/dhcpcd.md 1.5 (all gone in 4.5 ms).
//
// Forwards TERM INT HUP USR1 USR2 ALRM; QUIT kills all and waits until all are gone. Exit status:
// the program's; 128+n when signal n ended it, 147 when it was stopped (then everything is ended);
// 75 the lock is taken; 64 usage; 71 the system refused. C-like on purpose: linked statically, it
// costs half a megabyte per child.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int status_usage = 64;   // Source: sysexits.h EX_USAGE
constexpr int status_system = 71;  // EX_OSERR
constexpr int status_locked = 75;  // EX_TEMPFAIL
constexpr int binds_max = 8;

struct Bind {
  const char* folder;
  const char* place;
};

struct Order {
  pid_t parent = 0;
  bool stay = false;
  const char* lock = nullptr;
  Bind binds[binds_max] = {};
  int bind_count = 0;
  char** program = nullptr;
};

[[noreturn]] void die(int status, const char* doing, const char* what) {
  std::fprintf(stderr, "uplink-dhcp-keeper: %s %s: %s\n", doing, what, std::strerror(errno));
  _exit(status);
}

bool parse(int argc, char** argv, Order& order) {
  int i = 1;
  while (i < argc) {
    if (std::strcmp(argv[i], "--") == 0) {
      order.program = argv + i + 1;
      return i + 1 < argc && (order.parent > 0) != order.stay && order.lock != nullptr;
    }
    if (std::strcmp(argv[i], "--parent") == 0 && i + 1 < argc) {
      order.parent = static_cast<pid_t>(std::strtol(argv[i + 1], nullptr, 10));
      i += 2;
    } else if (std::strcmp(argv[i], "--stay") == 0) {
      order.stay = true;
      i += 1;
    } else if (std::strcmp(argv[i], "--lock") == 0 && i + 1 < argc) {
      order.lock = argv[i + 1];
      i += 2;
    } else if (std::strcmp(argv[i], "--bind") == 0 && i + 2 < argc &&
               order.bind_count < binds_max) {
      order.binds[order.bind_count++] = {argv[i + 1], argv[i + 2]};
      i += 3;
    } else {
      return false;
    }
  }
  return false;
}

sigset_t forwarded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM}) {
    sigaddset(&set, number);
  }
  return set;
}

/// The lock file's descriptor is inherited by every process of the child on purpose: as long as one
/// of them lives, also an orphan, no second child can start.
int take_lock(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (fd < 0) { die(status_system, "open lock", path); }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    die(errno == EWOULDBLOCK ? status_locked : status_system, "another child holds", path);
  }
  char text[16];
  const int length = std::snprintf(text, sizeof text, "%d\n", static_cast<int>(getpid()));
  // The pid is for people; the lock itself decides.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, static_cast<std::size_t>(length), 0) != length) {
    die(status_system, "write lock", path);
  }
  return fd;
}

void make_mounts(const Order& order) {
  // Slave, not private: what the machine unmounts must not stay busy because of us.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    die(status_system, "make mounts slave at", "/");
  }
  for (int i = 0; i < order.bind_count; ++i) {
    const Bind& bind = order.binds[i];
    if (mkdir(bind.place, 0755) != 0 && errno != EEXIST) {
      die(status_system, "mkdir", bind.place);
    }
    if (mount(bind.folder, bind.place, nullptr, MS_BIND, nullptr) != 0) {
      die(status_system, "bind a folder at", bind.place);
    }
  }
}

/// Waits for a signal of `set` (all blocked) or SIGCHLD, whichever is pending first.
int next_signal(const sigset_t& set) {
  for (;;) {
    const int number = sigwaitinfo(&set, nullptr);
    if (number > 0) { return number; }
    if (errno != EINTR) { die(status_system, "wait for", "signals"); }
  }
}

int status_of(int wait_status) {
  if (WIFEXITED(wait_status)) { return WEXITSTATUS(wait_status); }
  if (WIFSTOPPED(wait_status)) { return 128 + SIGSTOP; }
  return 128 + WTERMSIG(wait_status);
}

/// Pid 1 of the namespace: reaps orphans, forwards signals, and ends everything with the program.
[[noreturn]] void run_init(const Order& order, int keeper_pipe, const sigset_t& old_mask) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) { die(status_system, "set", "PDEATHSIG"); }
  // The keeper may have died before the line above: then its end of the pipe is closed.
  pollfd watch{.fd = keeper_pipe, .events = POLLIN, .revents = 0};
  if (poll(&watch, 1, 0) != 0) { _exit(status_system); }
  make_mounts(order);

  const pid_t program = fork();
  if (program < 0) { die(status_system, "fork for", order.program[0]); }
  if (program == 0) {
    sigprocmask(SIG_SETMASK, &old_mask, nullptr);
    close(keeper_pipe);
    execv(order.program[0], order.program);
    die(errno == ENOENT ? 127 : 126, "run", order.program[0]);
  }
  sigset_t set = forwarded_signals();
  sigaddset(&set, SIGCHLD);
  for (;;) {
    const int number = next_signal(set);
    if (number != SIGCHLD) {
      kill(program, number);
      continue;
    }
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
      // Exit of pid 1 kills the rest; a stopped program serves nobody and is replaced.
      if (pid == program) { _exit(status_of(status)); }
    }
  }
}

/// Returns the status to exit with. The end of init is waitable only when all of its namespace is
/// gone, so the owner may start the next child at once.
int keep(pid_t init, const sigset_t& set) {
  for (;;) {
    const int number = next_signal(set);
    if (number == SIGQUIT) {
      kill(init, SIGKILL);
      continue;
    }
    if (number != SIGCHLD) {
      kill(init, number);
      continue;
    }
    int status = 0;
    if (waitpid(init, &status, WNOHANG) == init) { return status_of(status); }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Order order;
  if (!parse(argc, argv, order)) {
    std::fprintf(stderr,
                 "usage: uplink-dhcp-keeper --parent PID|--stay --lock FILE "
                 "[--bind FOLDER PLACE]... "
                 "-- PROGRAM [ARGUMENT]...\n");
    return status_usage;
  }
  // Own process group: a terminal's ^C is for the owner, who then ends us in order.
  setpgid(0, 0);
  if (!order.stay) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) { die(status_system, "set", "PDEATHSIG"); }
    if (getppid() != order.parent) { return status_system; }  // It died before the line above.
  }

  sigset_t old_mask;
  sigset_t set = forwarded_signals();
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGQUIT);
  sigprocmask(SIG_BLOCK, &set, &old_mask);
  sigemptyset(&old_mask);  // The program starts with nothing blocked, whatever the owner blocks.

  take_lock(order.lock);
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) { die(status_system, "make", "pipe"); }
  // Like fork(), but into new namespaces: CLONE_NEWPID by unshare() would only count for the next
  // fork.
  const long init =
      syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (init < 0) { die(status_system, "make namespaces for", order.program[0]); }
  if (init == 0) {
    close(alive[1]);
    run_init(order, alive[0], old_mask);
  }
  close(alive[0]);
  return keep(static_cast<pid_t>(init), set);
}
