// DHCP on one layer-3 interface: a supervised dhcpcd and the engine that judges its events.
#include "dhcp/io/dhcp_client.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "dhcp/core/dhcpcd_config.hpp"
#include "dhcp/io/arp_probe.hpp"
#include "dhcp/io/child.hpp"
#include "dhcp/io/dhcp6_client.hpp"
#include "dhcp/io/folder.hpp"
#include "dhcp/io/hook_server.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;

namespace {

/// How often the child's processes are looked at: dhcpcd gives no sign of life of its own, and a
/// stopped helper is seen nowhere else.
constexpr std::chrono::seconds look_interval{1};
constexpr int mute_exits_max = 3;
constexpr std::chrono::milliseconds conflict_timeout{1500};

Now now_of() {
  return {.mono = MonoTime(std::chrono::steady_clock::now().time_since_epoch()),
          .wall = std::chrono::time_point_cast<std::chrono::milliseconds>(
              std::chrono::system_clock::now())};
}

std::string to_text(const std::optional<Lease>& lease) {
  return lease ? to_string(lease->address) : std::string("-");
}

}  // namespace

struct DhcpClient::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, DhcpClientOptions given, DhcpClientHandlers called)
      : io(context),
        options(std::move(given)),
        handlers(std::move(called)),
        logger(options.logger ? options.logger : spdlog::default_logger()),
        engine(options.limits),
        timer(context),
        look_timer(context),
        gateway_probe(context),
        conflict_probe(context) {}

  std::string runtime_file(std::string_view suffix) const {
    return fmt::format("{}/dhcp/{}.{}", options.runtime_dir, options.key, suffix);
  }
  std::string lease_folder() const { return options.state_dir + "/dhcp/" + options.key; }

  Result<void> prepare() {
    options.keeper = program_path(options.keeper);
    options.hook = program_path(options.hook);
    EDGE_TRY(make_folder(options.runtime_dir + "/dhcp", 0700));
    EDGE_TRY(make_folder(runtime_file("run"), 0755));
    EDGE_TRY(make_folder(options.state_dir + "/dhcp", 0700));
    EDGE_TRY(make_folder(lease_folder(), 0755));
    EDGE_ASSIGN(hooks,
                HookServer::listen(
                    io, runtime_file("hook"), [this](const HookEvent& event) { on_event(event); },
                    [this](const std::string& why, std::uint64_t held_back) {
                      logger->warn("dhcp.hook_refused port={} reason=\"{}\" held_back={}",
                                   options.key, why, held_back);
                    }));
    return {};
  }

  // --- into the engine -------------------------------------------------------------------------

  void on_event(const HookEvent& event) {
    last_event = to_string(event.reason);
    logger->debug("dhcp.event port={} reason={} address={}", options.key, last_event,
                  to_text(event.lease));
    for (const std::string& note : event.notes) {
      logger->warn("dhcp.value_dropped port={} {}", options.key, note);
    }
    const bool granted = event.reason == HookReason::bound || event.reason == HookReason::reboot ||
                         event.reason == HookReason::renew || event.reason == HookReason::rebind;
    if (granted) {
      trouble(event.lease ? ""
                          : "the DHCP server's lease is unusable: " +
                                (event.notes.empty() ? "no address" : event.notes.front()));
    }
    run(engine.on_hook(event, now_of()));
  }

  void run(LeaseActions actions) {
    for (LeaseAction& action : actions) {
      std::visit([this](auto& order) { obey(order); }, action);
    }
    arm();
    if (engine.finished() && stopped) { asio::post(io, std::exchange(stopped, {})); }
  }

  void arm() {
    const auto deadline = engine.next_deadline();
    if (deadline == armed) { return; }
    armed = deadline;
    if (!deadline) {
      timer.cancel();
      return;
    }
    timer.expires_at(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
            deadline->time_since_epoch())));
    timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self || self->closed) { return; }
      self->armed.reset();
      self->run(self->engine.on_deadline(now_of()));
    });
  }

  // --- orders of the engine --------------------------------------------------------------------

  void obey(const StartChild& order) {
    // Handlers run later; the engine hears of a failed start as of an exit.
    const auto started = start_child(order);
    if (started) { return; }
    logger->error("dhcp.start_failed port={} reason=\"{}\"", options.key, started.error().what);
    trouble(started.error().what);
    asio::post(io, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->run(self->engine.on_child_exited(now_of())); }
    });
  }

  Result<void> start_child(const StartChild& order) {
    EDGE_TRY(write_file(runtime_file("conf"), dhcpcd_config_v4(order.arp_check), 0600));
    if (order.forget_lease) {
      const std::string file = fmt::format("{}/{}.lease", lease_folder(), options.interface);
      if (std::remove(file.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(errno, "remove " + file);
      }
    }
    const ChildCommand command{
        .keeper = options.keeper,
        .lock_file = runtime_file("lock"),
        .binds = {{runtime_file("run"), "/run/dhcpcd"}, {lease_folder(), "/var/lib/dhcpcd"}},
        .argv = {options.dhcpcd, "-B", "-4", "-q", "-f", runtime_file("conf"), "-c", options.hook,
                 "-e", "UPLINK_HOOK_SOCKET=" + runtime_file("hook"), "-e",
                 fmt::format("UPLINK_HOOK_CHILD={}", order.generation), options.interface}};
    EDGE_ASSIGN(child, Child::spawn(
                           io, command, [this](ChildExit exit) { on_exit(std::move(exit)); },
                           [this](std::string_view line) {
                             logger->debug("dhcp.dhcpcd port={} line=\"{}\"", options.key, line);
                           }));
    logger->info("dhcp.child_start port={} interface={} pid={} arp_check={}", options.key,
                 options.interface, child->pid(), order.arp_check);
    look_later();
    return {};
  }

  void on_exit(ChildExit exit) {
    last_exit = fmt::format("status {}: {}", exit.status, exit.last_line);
    logger->info("dhcp.child_exit port={} status={} line=\"{}\"", options.key, exit.status,
                 exit.last_line);
    if (exit.status == keeper_status_locked) {
      trouble("another DHCP child of this port is still alive; it is tried again");
    } else if (exit.status == 126 || exit.status == 127) {
      trouble(exit.last_line + "; install dhcpcd-base");
    } else if (note_mute_exit(exit)) {
      trouble(fmt::format("dhcpcd ends at once, with status {}: {}", exit.status, exit.last_line));
    }
    child.reset();
    last_event.clear();
    look_timer.cancel();
    run(engine.on_child_exited(now_of()));
  }

  /// It has ended by itself before it said a word, again and again: true.
  bool note_mute_exit(const ChildExit& exit) {
    const bool asked = exit.status == 128 + SIGTERM || exit.status == 128 + SIGKILL;
    if (asked || !last_event.empty()) {
      mute_exits = 0;
      return false;
    }
    return ++mute_exits >= mute_exits_max;
  }

  void obey(const TerminateChild&) {
    if (child) { child->signal(SIGTERM); }
  }
  void obey(const KillChild& order) {
    logger->warn("dhcp.child_kill port={} reason=\"{}\"", options.key, order.why);
    if (child) { child->signal(SIGKILL); }
  }
  void obey(const SendHup&) {
    if (child) { child->signal(SIGHUP); }
  }

  void obey(const ProbeGateway& order) {
    gateway_probe.ask({.interface = options.interface,
                       .target = order.gateway,
                       .source = order.source,
                       .timeout = order.timeout},
                      [this](Result<ArpAnswer> answer) {
                        if (!answer) {
                          logger->debug("dhcp.gateway_silent port={} reason=\"{}\"", options.key,
                                        answer.error().what);
                          run(engine.on_gateway_silent(now_of()));
                        } else {
                          run(engine.on_gateway_answer(answer->mac, now_of()));
                        }
                      });
  }
  void obey(const CancelProbe&) {
    gateway_probe.cancel();
    conflict_probe.cancel();
  }
  void obey(const ProbeConflict& order) {
    conflict_probe.ask({.interface = options.interface,
                        .target = order.address,
                        .source = IpAddress::v4(0, 0, 0, 0),
                        .timeout = conflict_timeout},
                       [this](Result<ArpAnswer> answer) {
                         if (answer) { run(engine.on_conflict(answer->mac, now_of())); }
                       });
  }

  void obey(LeaseUpdate& update) {
    logger->info("dhcp.lease port={} phase={} cause={} address={} detail=\"{}\"", options.key,
                 to_string(update.phase), to_string(update.cause), to_text(update.lease),
                 update.detail);
    if (update.cause == LeaseCause::conflict) { trouble(update.detail); }
    if (!handlers.on_lease) { return; }
    asio::post(io, [weak = weak_from_this(), update = std::move(update)] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->handlers.on_lease(update); }
    });
  }

  void trouble(const std::string& text) {
    if (text == last_trouble) { return; }
    last_trouble = text;
    if (!text.empty()) { logger->warn("dhcp.trouble port={} what=\"{}\"", options.key, text); }
    if (!handlers.on_trouble) { return; }
    asio::post(io, [weak = weak_from_this(), text] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->handlers.on_trouble(text); }
    });
  }

  void look_later() {
    look_timer.expires_after(look_interval);
    look_timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self || self->closed || !self->child) { return; }
      const std::string stopped_one = self->child->stopped_process();
      if (!stopped_one.empty()) { self->run(self->engine.on_child_hung(stopped_one, now_of())); }
      self->look_later();
    });
  }

  asio::io_context& io;
  DhcpClientOptions options;
  DhcpClientHandlers handlers;
  std::shared_ptr<spdlog::logger> logger;
  LeaseEngine engine;
  asio::steady_timer timer;
  std::optional<MonoTime> armed;
  asio::steady_timer look_timer;
  ArpProbe gateway_probe;
  ArpProbe conflict_probe;
  std::unique_ptr<HookServer> hooks;
  std::unique_ptr<Child> child;
  std::unique_ptr<Dhcp6Client> v6;
  std::function<void()> stopped;
  std::string last_event;
  std::string last_exit;
  std::string last_trouble;
  int mute_exits = 0;
  bool closed = false;
};

Result<std::unique_ptr<DhcpClient>> DhcpClient::create(asio::io_context& io,
                                                       DhcpClientOptions options,
                                                       DhcpClientHandlers handlers) {
  if (options.interface.empty() || options.interface.size() > 15) {
    return fail(
        Errc::invalid_input,
        fmt::format("interface \"{}\": a name of 1..15 characters is allowed", options.interface));
  }
  if (options.key.empty() || options.key.size() > 32 ||
      options.key.find_first_of("/. ") != std::string::npos) {
    return fail(
        Errc::invalid_input,
        fmt::format("port key \"{}\": 1..32 characters without slash, dot and blank are allowed",
                    options.key));
  }
  DhcpClientHandlers handlers6{.on_lease6 = handlers.on_lease6, .on_trouble = handlers.on_trouble};
  auto impl = std::make_shared<Impl>(io, std::move(options), std::move(handlers));
  if (auto prepared = impl->prepare(); !prepared) {
    return fail_in(fmt::format("dhcp on {}", impl->options.interface), prepared.error());
  }
  EDGE_ASSIGN(impl->v6, Dhcp6Client::create(io, impl->options, std::move(handlers6)));
  return std::unique_ptr<DhcpClient>(new DhcpClient(std::move(impl)));
}

DhcpClient::DhcpClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

DhcpClient::~DhcpClient() {
  impl_->closed = true;
  impl_->timer.cancel();
  impl_->look_timer.cancel();
  impl_->gateway_probe.cancel();
  impl_->conflict_probe.cancel();
  impl_->hooks.reset();
  impl_->v6.reset();
  impl_->child.reset();
}

void DhcpClient::start_with(std::optional<Lease> stored, bool carrier) {
  impl_->trouble(foreign_dhcp_client(impl_->options.interface));
  impl_->run(impl_->engine.start(std::move(stored), carrier, now_of()));
}

void DhcpClient::carrier_changed(bool up) {
  impl_->run(impl_->engine.on_carrier(up, now_of()));
  impl_->v6->carrier_changed(up);
}

void DhcpClient::short_pull() { impl_->run(impl_->engine.on_short_pull(now_of())); }

void DhcpClient::revalidate(std::string_view reason) {
  impl_->logger->debug("dhcp.revalidate port={} reason={}", impl_->options.key, reason);
  impl_->run(impl_->engine.revalidate(now_of()));
}

void DhcpClient::renew_v6(bool managed, bool other) { impl_->v6->want(managed, other); }

void DhcpClient::stop(std::function<void()> done) {
  impl_->v6->stop([weak = std::weak_ptr(impl_), done = std::move(done)]() mutable {
    const auto self = weak.lock();
    if (!self || self->closed) { return; }
    self->stopped = done ? std::move(done) : [] {};
    self->run(self->engine.stop(now_of()));
  });
}

DhcpClientStatus DhcpClient::status() const {
  return {.phase = impl_->engine.phase(),
          .pid = impl_->child ? impl_->child->pid() : 0,
          .restarts = impl_->engine.child().restarts(),
          .last_event = impl_->last_event,
          .last_exit = impl_->last_exit};
}

}  // namespace edge::dhcp
