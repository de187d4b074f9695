// DHCPv6 on one interface, only while router advertisements ask for it.
#include "dhcp/io/dhcp6_client.hpp"
#include "dhcp/io/clock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/unique_fd.hpp"
#include "dhcp/core/child_engine.hpp"
#include "dhcp/core/dhcpcd_config.hpp"
#include "dhcp/core/hook_event.hpp"
#include "dhcp/io/child.hpp"
#include "dhcp/io/folder.hpp"
#include "dhcp/io/hook_server.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;

namespace {

/// While no server has answered: dhcpcd's own SOLICIT interval grows to an hour.
constexpr std::chrono::seconds kick_interval{10};
/// How often a child is looked at that may have been stopped: as that of IPv4.
constexpr std::chrono::seconds look_interval6{1};

Result<void> write_sysctl(const std::string& path, std::string_view value) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), value.data(), value.size()) < 0) { return fail_errno(errno, path); }
  return {};
}

}  // namespace

struct Dhcp6Client::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, DhcpClientOptions given, DhcpClientHandlers called)
      : io(context),
        options(std::move(given)),
        handlers(std::move(called)),
        logger(options.logger ? options.logger : spdlog::default_logger()),
        timer(context),
        kick_timer(context),
        look_timer(context) {}

  std::string file(std::string_view suffix) const {
    return fmt::format("{}/dhcp/{}.{}", options.runtime_dir, options.key, suffix);
  }
  std::string lease_folder() const { return options.state_dir + "/dhcp/" + options.key + ".6"; }
  std::string sysctl(std::string_view name) const {
    return fmt::format("/proc/sys/net/ipv6/conf/{}/{}", options.interface, name);
  }

  Result<void> prepare() {
    EDGE_TRY(make_folder(file("run6"), 0755));
    EDGE_TRY(make_folder(lease_folder(), 0755));
    EDGE_ASSIGN(hooks, HookServer::listen(
                           io, file("hook6"), [this](const HookEvent& event) { on_event(event); },
                           [this](const std::string& why, std::uint64_t held_back) {
                             logger->warn("dhcp6.hook_refused port={} reason=\"{}\" held_back={}",
                                          options.key, why, held_back);
                           }));
    return {};
  }

  void want(bool managed_now, bool other) {
    const bool running = managed_now || other;
    if (running && engine.alive() && managed_now != managed) {
      managed = managed_now;
      act(engine.replace(mono_now()));
      return;
    }
    managed = managed_now;
    act(engine.want(running, mono_now()));
    if (!running) { forget(); }
  }

  void act(ChildAction action) {
    switch (action) {
      case ChildAction::none: break;
      case ChildAction::start: start(); break;
      case ChildAction::terminate:
        if (child) { child->signal(SIGTERM); }
        break;
      case ChildAction::kill:
        if (child) { child->signal(SIGKILL); }
        break;
    }
    arm();
  }

  void start() {
    if (++generation == 1) { remember_address_mode(); }
    restore_sysctls();
    const auto written = write_file(file("conf6"), dhcpcd_config_v6(managed), 0600);
    const ChildCommand command{
        .keeper = options.keeper,
        .lock_file = file("lock6"),
        .binds = {{file("run6"), "/run/dhcpcd"}, {lease_folder(), "/var/lib/dhcpcd"}},
        .argv = {options.dhcpcd, "-B", "-6", "-q", "-f", file("conf6"), "-c", options.hook, "-e",
                 "UPLINK_HOOK_SOCKET=" + file("hook6"), "-e",
                 fmt::format("UPLINK_HOOK_CHILD={}", generation), options.interface}};
    auto spawned = written
                       ? Child::spawn(
                             io, command, [this](ChildExit exit) { on_exit(std::move(exit)); },
                             [this](std::string_view line) {
                               logger->debug("dhcp6.dhcpcd port={} line=\"{}\"", options.key, line);
                             })
                       : Result<std::unique_ptr<Child>>(std::unexpected(written.error()));
    if (spawned) {
      child = std::move(*spawned);
      logger->info("dhcp6.child_start port={} interface={} pid={} managed={}", options.key,
                   options.interface, child->pid(), managed);
      kick_later();
      look_later();
      return;
    }
    logger->error("dhcp6.start_failed port={} reason=\"{}\"", options.key, spawned.error().what);
    asio::post(io, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->act(self->engine.on_exited(mono_now())); }
    });
  }

  void on_exit(ChildExit exit) {
    logger->info("dhcp6.child_exit port={} status={} line=\"{}\"", options.key, exit.status,
                 exit.last_line);
    child.reset();
    kick_timer.cancel();
    restore_sysctls();
    act(engine.on_exited(mono_now()));
    if (engine.state() == ChildEngine::State::idle && stopped) {
      asio::post(io, std::exchange(stopped, {}));
    }
  }

  void on_event(const HookEvent& event) {
    if (event.generation != 0 && event.generation != generation) { return; }
    logger->debug("dhcp6.event port={} reason={}", options.key, to_string(event.reason));
    for (const std::string& note : event.notes) {
      logger->warn("dhcp6.value_dropped port={} {}", options.key, note);
    }
    ready = true;
    restore_sysctls();
    if (event.lease6) {
      Lease6 lease = *event.lease6;
      lease.acquired =
          std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
      held = true;
      kick_timer.cancel();
      publish(std::move(lease));
    } else if (event.reason == HookReason::expire6 || event.reason == HookReason::expire ||
               event.reason == HookReason::stop6) {
      // A pull says so too; without an answer after it the lease goes on until it ends.
      if (carrier) {
        forget();
        kick_later();
      }
    }
  }

  /// dhcpcd changes both when it takes an interface and never puts them back.
  void restore_sysctls() {
    for (const auto& [name, value] :
         {std::pair{"accept_ra", "2"}, std::pair{"addr_gen_mode", "0"}}) {
      const auto present = read_file(sysctl(name), 16);
      if (!present || present->starts_with(value)) { continue; }
      const auto written = write_sysctl(sysctl(name), value);
      logger->debug("dhcp6.sysctl port={} name={} value={} result={}", options.key, name, value,
                    written ? "ok" : written.error().what);
    }
  }

  /// A mode of 1 (none) is what an earlier dhcpcd left behind, not anybody's wish.
  void remember_address_mode() {
    const auto present = read_file(sysctl("addr_gen_mode"), 16);
    if (present && !present->empty() && (*present)[0] != '1') {
      address_mode = present->substr(0, 1);
    }
  }

  void forget() {
    if (!std::exchange(held, false)) { return; }
    publish(std::nullopt);
  }

  void publish(std::optional<Lease6> lease) {
    logger->info("dhcp6.lease port={} addresses={}", options.key,
                 lease ? static_cast<int>(lease->addresses.size()) : -1);
    if (!handlers.on_lease6) { return; }
    asio::post(io, [weak = weak_from_this(), lease = std::move(lease)] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->handlers.on_lease6({.lease = lease}); }
    });
  }

  void kick() {
    if (child && ready && engine.alive()) { child->signal(SIGHUP); }
  }

  void kick_later() {
    kick_timer.expires_after(kick_interval);
    kick_timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self || self->closed || self->held) { return; }
      if (self->carrier) { self->kick(); }
      self->kick_later();
    });
  }

  /// The keeper sees that its program was stopped; that the keeper itself was, nobody but us.
  void look_later() {
    look_timer.expires_after(look_interval6);
    look_timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self || self->closed || !self->child) { return; }
      if (const std::string stopped_one = self->child->stopped_process(); !stopped_one.empty()) {
        self->logger->warn("dhcp6.child_hung port={} what=\"{}\"", self->options.key, stopped_one);
        self->act(self->engine.replace(mono_now()));
      }
      self->look_later();
    });
  }

  void arm() {
    const auto deadline = engine.next_deadline();
    if (!deadline) {
      timer.cancel();
      return;
    }
    timer.expires_at(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
            deadline->time_since_epoch())));
    timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (!error && self && !self->closed) { self->act(self->engine.on_deadline(mono_now())); }
    });
  }

  asio::io_context& io;
  DhcpClientOptions options;
  DhcpClientHandlers handlers;
  std::shared_ptr<spdlog::logger> logger;
  ChildEngine engine;
  asio::steady_timer timer;
  asio::steady_timer kick_timer;
  asio::steady_timer look_timer;
  std::unique_ptr<HookServer> hooks;
  std::unique_ptr<Child> child;
  std::function<void()> stopped;
  std::string address_mode = "0";  ///< addr_gen_mode before the first child.
  std::uint64_t generation = 0;
  bool managed = false;
  bool carrier = true;
  bool ready = false;
  bool held = false;
  bool closed = false;
};

Result<std::unique_ptr<Dhcp6Client>> Dhcp6Client::create(asio::io_context& io,
                                                         DhcpClientOptions options,
                                                         DhcpClientHandlers handlers) {
  auto impl = std::make_shared<Impl>(io, std::move(options), std::move(handlers));
  EDGE_TRY(impl->prepare());
  return std::unique_ptr<Dhcp6Client>(new Dhcp6Client(std::move(impl)));
}

Dhcp6Client::Dhcp6Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Dhcp6Client::~Dhcp6Client() {
  impl_->closed = true;
  impl_->timer.cancel();
  impl_->kick_timer.cancel();
  impl_->look_timer.cancel();
  impl_->hooks.reset();
  impl_->child.reset();
}

void Dhcp6Client::want(bool managed, bool other) { impl_->want(managed, other); }

void Dhcp6Client::carrier_changed(bool up) {
  impl_->carrier = up;
  if (up) { impl_->kick(); }
}

void Dhcp6Client::stop(std::function<void()> done) {
  impl_->act(impl_->engine.want(false, mono_now()));
  impl_->kick_timer.cancel();
  if (impl_->engine.state() == ChildEngine::State::idle) {
    asio::post(impl_->io, std::move(done));
  } else {
    impl_->stopped = std::move(done);
  }
}

}  // namespace edge::dhcp
