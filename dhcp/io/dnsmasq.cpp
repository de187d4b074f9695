// DHCP and DNS for one VM network: a supervised dnsmasq.
#include "dhcp/io/dnsmasq.hpp"
#include "dhcp/io/clock.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "dhcp/core/child_engine.hpp"
#include "dhcp/io/child.hpp"
#include "dhcp/io/folder.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;

namespace {

/// Where dnsmasq sees its own folder, in its private mounts: it drops root before it reads files
/// again, and our state folder is closed to others.
constexpr std::string_view place = "/run/dnsmasq";
constexpr std::size_t lease_file_bytes_max = 8 * 1024 * 1024;

std::string placed(std::string_view name) { return fmt::format("{}/{}", place, name); }

}  // namespace

struct Dnsmasq::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, DnsmasqOptions given,
       std::function<void(const std::string&)> called)
      : io(context),
        options(std::move(given)),
        on_trouble(std::move(called)),
        logger(options.logger ? options.logger : spdlog::default_logger()),
        timer(context),
        steady(context) {
    options.keeper = program_path(options.keeper);
  }

  std::string folder() const { return options.state_dir + "/dnsmasq/" + settings->network; }
  std::string lock_file() const {
    return fmt::format("{}/dhcp/{}.dnsmasq.lock", options.runtime_dir, settings->network);
  }

  Result<void> write_files(const DnsmasqSettings& wanted) {
    const std::string own = options.state_dir + "/dnsmasq/" + wanted.network;
    const DnsmasqFiles files{.pid = placed("pid"),
                             .leases = placed("leases"),
                             .hosts = placed("hosts"),
                             .servers = placed("servers")};
    EDGE_TRY(make_folder(options.runtime_dir + "/dhcp", 0700));
    EDGE_TRY(make_folder(own, 0755));
    EDGE_TRY(write_file(own + "/servers", render_servers(wanted), 0644));
    EDGE_TRY(write_file(own + "/hosts", render_hosts(wanted), 0644));
    EDGE_TRY(write_file(own + "/conf", render_config(wanted, files), 0644));
    return {};
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
    // Again: a network of the same id that was just deleted may have taken its files along.
    if (const auto written = write_files(*settings); !written) { trouble(written.error().what); }
    if (!std::exchange(alone, true) && !end_holder(lock_file())) {
      trouble(fmt::format("dnsmasq of network \"{}\": one of an earlier run does not end",
                          settings->network));
    }
    const ChildCommand command{
        .keeper = options.keeper,
        .lock_file = lock_file(),
        .stay = true,
        .binds = {{folder(), std::string(place)}},
        .argv = {options.dnsmasq, "--conf-file=" + placed("conf"), "--log-facility=-"}};
    auto spawned = Child::spawn(
        io, command, [this](ChildExit exit) { on_exit(std::move(exit)); },
        [this](std::string_view line) {
          logger->debug("dnsmasq.line network={} line=\"{}\"", settings->network, line);
        });
    if (spawned) {
      child = std::move(*spawned);
      logger->info("dnsmasq.start network={} bridge={} pid={}", settings->network, settings->bridge,
                   child->pid());
      steady.expires_after(std::chrono::seconds(5));
      steady.async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (!error && self && !self->closed && self->child) { self->trouble(""); }
      });
      return;
    }
    trouble(spawned.error().what);
    asio::post(io, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->act(self->engine.on_exited(mono_now())); }
    });
  }

  void on_exit(ChildExit exit) {
    logger->info("dnsmasq.exit network={} status={} line=\"{}\"", settings->network, exit.status,
                 exit.last_line);
    child.reset();
    steady.cancel();
    if (engine.alive() && exit.status != 0) {
      trouble(fmt::format("dnsmasq of network \"{}\" ended with status {}: {}", settings->network,
                          exit.status, exit.last_line));
    }
    act(engine.on_exited(mono_now()));
    if (engine.state() == ChildEngine::State::idle && stopped) {
      asio::post(io, std::exchange(stopped, {}));
    }
  }

  void trouble(const std::string& text) {
    if (text == last_trouble) { return; }
    last_trouble = text;
    if (!text.empty()) { logger->warn("dnsmasq.trouble what=\"{}\"", text); }
    if (!on_trouble) { return; }
    asio::post(io, [weak = weak_from_this(), text] {
      const auto self = weak.lock();
      if (self && !self->closed) { self->on_trouble(text); }
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

  void remove_files() const {
    for (const char* name : {"conf", "hosts", "servers", "leases", "pid"}) {
      unlink((folder() + "/" + name).c_str());
    }
    rmdir(folder().c_str());
    // The lock file stays: a successor may hold it already, and a second inode would be a second
    // lock.
  }

  asio::io_context& io;
  DnsmasqOptions options;
  std::function<void(const std::string&)> on_trouble;
  std::shared_ptr<spdlog::logger> logger;
  ChildEngine engine;
  asio::steady_timer timer;
  asio::steady_timer steady;  ///< Running for a while: the trouble is over.
  std::optional<DnsmasqSettings> settings;
  std::unique_ptr<Child> child;
  std::function<void()> stopped;
  std::string last_trouble;
  bool alone = false;  ///< What an earlier run left has been ended.
  bool closed = false;
};

Dnsmasq::Dnsmasq(asio::io_context& io, DnsmasqOptions options,
                 std::function<void(const std::string&)> on_trouble)
    : impl_(std::make_shared<Impl>(io, std::move(options), std::move(on_trouble))) {}

Dnsmasq::~Dnsmasq() {
  impl_->closed = true;
  impl_->timer.cancel();
  impl_->steady.cancel();
  impl_->child.reset();
}

Result<void> Dnsmasq::apply(const DnsmasqSettings& settings) {
  const auto problems = problems_of(settings);
  if (!problems.empty()) {
    return fail(Errc::invalid_input, fmt::format("{}", fmt::join(problems, "; ")));
  }
  if (impl_->settings && impl_->settings->network != settings.network) {
    return fail(Errc::invalid_input, fmt::format("network \"{}\": this dnsmasq serves \"{}\"",
                                                 settings.network, impl_->settings->network));
  }
  const bool wanted_already = impl_->engine.state() == ChildEngine::State::running ||
                              impl_->engine.state() == ChildEngine::State::waiting;
  const DnsmasqChange change = impl_->settings && wanted_already
                                   ? change_between(*impl_->settings, settings)
                                   : DnsmasqChange::restart;
  if (change == DnsmasqChange::none) { return {}; }
  EDGE_TRY(impl_->write_files(settings));
  impl_->settings = settings;
  if (change == DnsmasqChange::reload) {
    if (impl_->child) { impl_->child->signal(SIGHUP); }
    return {};
  }
  if (impl_->engine.alive()) {
    impl_->act(impl_->engine.replace(mono_now()));
  } else {
    impl_->act(impl_->engine.want(true, mono_now()));
  }
  return {};
}

void Dnsmasq::stop(bool forget, std::function<void()> done) {
  auto finish = [weak = std::weak_ptr(impl_), forget, done = std::move(done)] {
    const auto self = weak.lock();
    if (!self || self->closed) { return; }
    if (forget && self->settings) { self->remove_files(); }
    if (done) { done(); }
  };
  impl_->act(impl_->engine.want(false, mono_now()));
  if (impl_->engine.state() == ChildEngine::State::idle) {
    asio::post(impl_->io, std::move(finish));
  } else {
    impl_->stopped = std::move(finish);
  }
}

void Dnsmasq::leave() {
  impl_->closed = true;
  impl_->timer.cancel();
  impl_->steady.cancel();
  if (impl_->child) { impl_->child->release(); }
}

Result<std::vector<GuestLease>> Dnsmasq::leases() const {
  if (!impl_->settings) { return std::vector<GuestLease>{}; }
  const auto text = read_file(impl_->folder() + "/leases", lease_file_bytes_max);
  if (!text && text.error().code == Errc::not_found) { return std::vector<GuestLease>{}; }
  if (!text) { return std::unexpected(text.error()); }
  return parse_lease_file(*text);
}

bool Dnsmasq::running() const { return impl_->child != nullptr && impl_->engine.alive(); }
int Dnsmasq::pid() const { return impl_->child ? impl_->child->pid() : 0; }
std::uint32_t Dnsmasq::restarts() const { return impl_->engine.restarts(); }

Result<void> end_leftovers(const std::string& runtime_dir, const std::vector<std::string>& keep) {
  constexpr std::string_view suffix = ".dnsmasq.lock";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(runtime_dir + "/dhcp", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(suffix)) { continue; }
    const std::string network = name.substr(0, name.size() - suffix.size());
    if (std::ranges::find(keep, network) != keep.end()) { continue; }
    if (!end_holder(entry.path().string())) {
      return fail(Errc::conflict, fmt::format("dnsmasq of network \"{}\" does not end", network));
    }
  }
  return {};  // No folder yet: nothing was left.
}

}  // namespace edge::dhcp
