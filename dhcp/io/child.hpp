// One supervised program under uplink-dhcp-keeper: spawned, watched by pidfd, never left behind.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace edge::dhcp {

struct ChildCommand {
  std::string keeper;     ///< Path of uplink-dhcp-keeper.
  std::string lock_file;  ///< Held while any process of the child lives: a second one is refused.
  bool stay = false;      ///< It goes on when its owner dies; end_holder() ends it then.
  /// Folders of ours (first) that the child sees at the given places (second).
  std::vector<std::pair<std::string, std::string>> binds;
  std::vector<std::string> argv;  ///< Program (absolute path) and its arguments.
};

/// How it ended: exit status of the program, 128+n when signal n ended it.
struct ChildExit {
  int status = 0;
  std::string last_line;  ///< The last it wrote, bounded; often the reason.
};

/// The keeper's status when the lock is taken: another child for the same port lives.
inline constexpr int keeper_status_locked = 75;
/// The program was stopped (SIGSTOP) and therefore ended.
inline constexpr int keeper_status_stopped = 147;
/// Of a child that was adopted: only its owner of then could have heard it.
inline constexpr int status_unknown = -1;

/// Owns one run of a child. Destruction kills all of its processes, unless it was released.
/// Threads: that of the io_context. The thread that calls spawn() must live as long as the child
/// (PR_SET_PDEATHSIG is bound to it).
class Child {
 public:
  using OnExit = std::function<void(ChildExit)>;
  using OnLine = std::function<void(std::string_view)>;

  /// on_exit comes once, from the io_context, and never after destruction; on_line per line
  /// written. Errors: as posix_spawn(3), pipe2(2), pidfd_open(2).
  static Result<std::unique_ptr<Child>> spawn(boost::asio::io_context& io,
                                              const ChildCommand& command, OnExit on_exit,
                                              OnLine on_line = {});
  /// Takes over what an earlier owner left with release(), or by its death: it runs on, what it
  /// writes is not heard, otherwise it is as if we had spawned it.
  /// Errors: not_found, nobody holds the lock; conflict, somebody else does.
  static Result<std::unique_ptr<Child>> adopt(boost::asio::io_context& io,
                                              const std::string& lock_file, OnExit on_exit);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Forwarded by the keeper to the program: SIGTERM, SIGHUP, SIGUSR1, SIGALRM; SIGKILL ends all of
  /// it.
  void signal(int number);
  /// Lets it run on without an owner; nothing is called any more. Pre: spawned with `stay`.
  void release();
  pid_t pid() const;
  /// "stopped: dhcpcd (pid 12)" when a process of the child is in state T; empty: all run.
  std::string stopped_process() const;
  /// Of all processes of the child, the keeper first.
  std::vector<pid_t> processes() const;

 private:
  struct Impl;
  explicit Child(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// Ends whatever child holds the lock file, one of an earlier run of its owner too; true when the
/// lock is free. Blocks until it is, at most 6 s; some 10 ms as a rule.
bool end_holder(const std::string& lock_file);

}  // namespace edge::dhcp
