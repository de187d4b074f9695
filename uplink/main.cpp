// uplinkd: the host's daemon. Options, signals, and nothing else.
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/io/log_line.hpp"
#include "uplink/daemon/daemon.hpp"
#include "uplink/daemon/notify.hpp"

namespace {

using edge::uplink::Config;
using edge::uplink::ConfigProblems;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

std::expected<Config, ConfigProblems> load(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return std::unexpected(
        ConfigProblems{fmt::format("{}: cannot be read: {}", file, std::strerror(errno))});
  }
  std::ostringstream text;
  text << in.rdbuf();
  const auto folder = std::filesystem::absolute(file).parent_path().string();
  return edge::uplink::parse_config(text.str(), file, folder);
}

void log_to_stderr(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("uplinkd",
                                                 std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_formatter(edge::log_line());
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int run_purge(const Config& config) {
  const auto removed = edge::uplink::purge(config);
  if (!removed) {
    fmt::print(stderr, "uplinkd --purge: {}\n", removed.error().what);
    return exit_failed;
  }
  for (const auto& line : *removed) { fmt::print("{}\n", line); }
  fmt::print("removed: {} things; the store in {} is kept\n", removed->size(), config.paths.state);
  return 0;
}

enum class End { stop, reload };

/// SIGTERM, SIGINT and SIGHUP: blocked for good, before there is any other thread, and read from a
/// descriptor. What comes while no life reads is pending, over execv too (execve(2)), and the next
/// one reads it. Children begin with none blocked.
class Signals {
 public:
  static sigset_t all() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) { sigaddset(&set, number); }
    return set;
  }
  static void block() {
    const sigset_t set = all();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
  /// Errors: as signalfd(2).
  static std::optional<Signals> open(boost::asio::io_context& io) {
    const sigset_t set = all();
    const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) { return std::nullopt; }
    return Signals(io, fd);
  }
  /// Calls back for each that comes.
  void wait(std::function<void(int number)> on_signal) {
    pipe_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this, on_signal](boost::system::error_code ec) {
                       if (ec) { return; }
                       signalfd_siginfo info{};
                       if (::read(pipe_.native_handle(), &info, sizeof info) == sizeof info) {
                         on_signal(static_cast<int>(info.ssi_signo));
                       }
                       wait(on_signal);
                     });
  }

 private:
  Signals(boost::asio::io_context& io, int fd) : pipe_(io, fd) {}
  boost::asio::posix::stream_descriptor pipe_;
};

/// Runs until a signal says otherwise. Pre: Signals::block().
std::expected<End, int> run(Config config) {
  boost::asio::io_context io(1);
  auto signals = Signals::open(io);
  if (!signals) {
    fmt::print(stderr, "uplinkd: signalfd: {}\n", std::strerror(errno));
    return std::unexpected(exit_failed);
  }
  auto daemon = edge::uplink::Daemon::create(io, std::move(config));
  if (!daemon) {
    fmt::print(stderr, "uplinkd: {}\n", daemon.error().what);
    return std::unexpected(exit_failed);
  }
  (*daemon)->start();
  End end = End::stop;
  boost::asio::steady_timer patience(io);
  bool stopping = false;
  const auto stop = [&](End how) {
    if (how == End::stop) {
      end = how;  // Also while a reload is under way: it does not come back from that.
      edge::uplink::notify_systemd("STOPPING=1");
    }
    if (std::exchange(stopping, true)) { return; }
    end = how;
    if (how == End::reload) { edge::uplink::notify_systemd(edge::uplink::reloading_state()); }
    patience.expires_after(std::chrono::seconds(8));  // Ends within 10 s whatever a child does.
    patience.async_wait([&io](boost::system::error_code waited) {
      if (!waited) { io.stop(); }
    });
    (*daemon)->stop([&io] { io.stop(); });
  };
  signals->wait([&](int number) {
    spdlog::info("daemon.stopping signal={}", number);
    stop(number == SIGHUP ? End::reload : End::stop);
  });
  (*daemon)->on_restart([&] { stop(End::reload); });
  io.run();
  daemon->reset();
  return end;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Uplink host daemon: multi-path Console tunnel and network of this hypervisor"};
  std::string file;
  bool check = false;
  bool purging = false;
  app.add_option("--config", file, "Configuration file (uplink.toml)");
  app.add_flag("--check", check, "Only check the configuration");
  app.add_flag("--purge", purging,
               "Remove all that is marked ours from this machine's network, then end; without "
               "--config with the folders of the defaults");
  app.set_version_flag("--version", std::string(edge::uplink::uplink_version));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : exit_usage; }

  if (file.empty() && !purging) {
    fmt::print(stderr, "uplinkd: --config FILE is required (FILE: uplink.toml of this host)\n");
    return exit_usage;
  }
  auto config = file.empty() ? std::expected<Config, ConfigProblems>(Config{}) : load(file);
  if (!config) {
    for (const auto& problem : config.error()) { fmt::print(stderr, "{}\n", problem); }
    if (purging) {
      fmt::print(stderr,
                 "uplinkd --purge: it needs the [paths] of that file; without --config it "
                 "takes the defaults\n");
    }
    return exit_usage;
  }
  if (check) {
    fmt::print("{}: good\n", file);
    return 0;
  }
  std::signal(SIGPIPE, SIG_IGN);
  if (purging) { return run_purge(*config); }

  log_to_stderr(config->log.level);
  Signals::block();
  while (true) {
    const auto end = run(*config);
    if (!end) { return end.error(); }
    if (*end == End::stop) { return 0; }
    // A reload is a fresh start in the same process: the dataplane stays, leases and session state
    // are in the store. A file with a mistake keeps the old configuration, until the next reload.
    const auto next = load(file);
    if (next) { break; }
    for (const auto& problem : next.error()) { spdlog::error("reload.refused {}", problem); }
  }
  ::execv("/proc/self/exe", argv);
  fmt::print(stderr, "uplinkd: reload: {}\n", std::strerror(errno));
  return exit_failed;
}
