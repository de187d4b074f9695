// One supervised program under uplink-dhcp-keeper.
#include "dhcp/io/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fstream>

#include "base/unique_fd.hpp"
#include "dhcp/io/folder.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;

namespace {

constexpr std::size_t line_bytes_max = 240;
constexpr std::size_t processes_max = 64;  // Of one child; dhcpcd has 4 to 5.

int pidfd_open_of(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

void pidfd_signal(int pidfd, int number) {
  syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0);
}

/// Attributes and file actions of posix_spawn, freed together.
struct SpawnPlan {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;

  explicit SpawnPlan(int output) {
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&files);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    // A child that outlives us must not hold our sockets: the next daemon would meet its own
    // control socket, answered by nobody. Asio's sockets are not CLOEXEC.
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
};

std::vector<std::string> arguments_of(const ChildCommand& command) {
  std::vector<std::string> out{command.keeper};
  if (command.stay) {
    out.emplace_back("--stay");
  } else {
    out.insert(out.end(), {"--parent", std::to_string(getpid())});
  }
  out.insert(out.end(), {"--lock", command.lock_file});
  for (const auto& [folder, place] : command.binds) {
    out.insert(out.end(), {"--bind", folder, place});
  }
  out.emplace_back("--");
  out.insert(out.end(), command.argv.begin(), command.argv.end());
  return out;
}

/// The keeper that wrote its pid into a lock file, if it still is that process.
struct Holder {
  pid_t pid = 0;
  UniqueFd pidfd;  ///< Empty: no keeper.
};

Holder holder_of(const std::string& lock_file) {
  const auto text = read_file(lock_file, 16);
  Holder out{.pid = text ? std::atoi(text->c_str()) : 0, .pidfd = {}};
  if (out.pid <= 1) { return out; }
  UniqueFd pidfd(pidfd_open_of(out.pid));
  const auto name = read_file(fmt::format("/proc/{}/comm", out.pid), 64);
  if (name && name->starts_with("uplink-dhcp-kee")) { out.pidfd = std::move(pidfd); }
  return out;
}

/// State letter and name of a process; '\0' when it is gone. Source: proc(5), /proc/pid/stat.
std::pair<char, std::string> state_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= line.size()) {
    return {'\0', ""};
  }
  return {line[close + 2], line.substr(open + 1, close - open - 1)};
}

}  // namespace

struct Child::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(asio::io_context& io) : exit_watch(io), output(io) {}

  void watch_exit() {
    exit_watch.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (!error && !self->abandoned) { self->reap(); }
                          });
  }

  void reap() {
    siginfo_t info{};
    const bool ours = waitid(P_PIDFD, static_cast<id_t>(exit_watch.native_handle()), &info,
                             WEXITED | WNOHANG) == 0 &&
                      info.si_pid != 0;
    if (!ours && !adopted) {
      watch_exit();
      return;
    }
    reaped = true;
    while (output.is_open() && take_output()) {}
    if (!partial.empty()) { take_line(); }
    ChildExit result{.status = adopted                      ? status_unknown
                               : info.si_code == CLD_EXITED ? info.si_status
                                                            : 128 + info.si_status,
                     .last_line = last_line};
    if (output.is_open()) { output.close(); }
    // The owner may destroy us from within its handler.
    auto handler = std::move(on_exit);
    handler(std::move(result));
  }

  void watch_output() {
    output.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](boost::system::error_code error) {
                        if (error || self->abandoned || self->reaped) { return; }
                        if (self->take_output()) { self->watch_output(); }
                      });
  }

  /// False at the end of the stream or when nothing is there.
  bool take_output() {
    std::array<char, 4096> buffer{};
    const ssize_t length = read(output.native_handle(), buffer.data(), buffer.size());
    if (length <= 0) { return length < 0 && errno == EAGAIN && !reaped; }
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(length))) {
      if (c == '\n') {
        take_line();
      } else if (partial.size() < line_bytes_max) {
        partial += (c >= 0x20 && c != 0x7f) ? c : ' ';
      }
    }
    return true;
  }

  void take_line() {
    last_line = std::exchange(partial, {});
    if (on_line && !abandoned) { on_line(last_line); }
  }

  asio::posix::stream_descriptor exit_watch;  ///< The pidfd.
  asio::posix::stream_descriptor output;
  OnExit on_exit;
  OnLine on_line;
  pid_t pid = 0;
  std::string partial;
  std::string last_line;
  bool reaped = false;
  bool abandoned = false;
  bool released = false;
  bool adopted = false;
  bool kill_sent = false;
};

Result<std::unique_ptr<Child>> Child::spawn(asio::io_context& io, const ChildCommand& command,
                                            OnExit on_exit, OnLine on_line) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) { return fail_errno(errno, "make pipe for a child"); }
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  // Only our end: the child's programs expect a blocking stderr.
  if (fcntl(read_end.get(), F_SETFL, O_NONBLOCK) != 0) { return fail_errno(errno, "set pipe"); }

  const SpawnPlan plan(write_end.get());
  std::vector<std::string> arguments = arguments_of(command);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) { argv.push_back(argument.data()); }
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::array<char*, 2> environment{path.data(), nullptr};

  pid_t pid = 0;
  const int error = posix_spawn(&pid, command.keeper.c_str(), &plan.files, &plan.attributes,
                                argv.data(), environment.data());
  if (error != 0) { return fail_errno(error, "start " + command.keeper); }
  // Not reaped by anybody but us, so the pid is still ours.
  UniqueFd pidfd(pidfd_open_of(pid));
  if (!pidfd) {
    const int cause = errno;
    ::kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return fail_errno(cause, "pidfd_open of a child");
  }
  auto impl = std::make_shared<Impl>(io);
  impl->pid = pid;
  impl->on_exit = std::move(on_exit);
  impl->on_line = std::move(on_line);
  impl->exit_watch.assign(pidfd.release());
  impl->output.assign(read_end.release());
  impl->watch_exit();
  impl->watch_output();
  return std::unique_ptr<Child>(new Child(std::move(impl)));
}

Result<std::unique_ptr<Child>> Child::adopt(asio::io_context& io, const std::string& lock_file,
                                            OnExit on_exit) {
  const UniqueFd lock(open(lock_file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock || flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
    return fail(Errc::not_found, lock_file + ": nobody holds it");
  }
  Holder holder = holder_of(lock_file);
  if (!holder.pidfd) {
    return fail(Errc::conflict,
                fmt::format("{}: held by no keeper (pid {})", lock_file, holder.pid));
  }
  auto impl = std::make_shared<Impl>(io);
  impl->pid = holder.pid;
  impl->adopted = true;
  impl->on_exit = std::move(on_exit);
  impl->exit_watch.assign(holder.pidfd.release());
  impl->watch_exit();
  return std::unique_ptr<Child>(new Child(std::move(impl)));
}

bool end_holder(const std::string& lock) {
  const UniqueFd fd(open(lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) { return errno == ENOENT; }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) { return true; }
  if (const Holder holder = holder_of(lock); holder.pidfd) {
    pidfd_signal(holder.pidfd.get(), SIGKILL);
    pollfd watch{.fd = holder.pidfd.get(), .events = POLLIN, .revents = 0};
    poll(&watch, 1, 3000);
    waitpid(holder.pid, nullptr, WNOHANG);  // Ours where we began anew in the same process (exec).
  }
  // The rest of its namespace still holds the lock for some milliseconds.
  constexpr int tries = 300;
  for (int i = 0; i < tries; ++i) {
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) { return true; }
    poll(nullptr, 0, 10);
  }
  return false;
}

Child::Child(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Child::~Child() {
  impl_->abandoned = true;
  if (!impl_->reaped && !impl_->released) {
    const int pidfd = impl_->exit_watch.native_handle();
    pidfd_signal(pidfd, SIGKILL);
    siginfo_t info{};
    // The keeper only waits for signals: it is gone in a moment, and a zombie must not stay.
    pollfd watch{.fd = pidfd, .events = POLLIN, .revents = 0};
    if (impl_->adopted) { poll(&watch, 1, 3000); }
    waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | (impl_->adopted ? WNOHANG : 0));
  }
  impl_->exit_watch.close();
  if (impl_->output.is_open()) { impl_->output.close(); }
}

void Child::signal(int number) {
  if (impl_->reaped) { return; }
  const int pidfd = impl_->exit_watch.native_handle();
  if (number != SIGKILL) {
    pidfd_signal(pidfd, number);
  } else if (std::exchange(impl_->kill_sent, true)) {
    pidfd_signal(pidfd, SIGKILL);
  } else {
    pidfd_signal(pidfd, SIGQUIT);  // The keeper kills all and reports when all are gone.
    pidfd_signal(pidfd, SIGCONT);  // It may be stopped itself.
  }
}

void Child::release() {
  impl_->abandoned = true;
  impl_->released = true;
}

pid_t Child::pid() const { return impl_->reaped ? 0 : impl_->pid; }

std::vector<pid_t> Child::processes() const {
  std::vector<pid_t> out;
  if (impl_->reaped) { return out; }
  out.push_back(impl_->pid);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", out[i]));
    for (pid_t pid = 0; out.size() < processes_max && file >> pid;) { out.push_back(pid); }
  }
  return out;
}

std::string Child::stopped_process() const {
  for (const pid_t pid : processes()) {
    const auto [state, name] = state_of(pid);
    if (state == 'T') { return fmt::format("stopped: {} (pid {})", name, pid); }
  }
  return {};
}

}  // namespace edge::dhcp
