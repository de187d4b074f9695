#include "uplink/daemon/virtual_ip.hpp"

#include <signal.h>

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "dhcp/io/folder.hpp"
#include "uplink/core/keepalived_config.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

using dhcp::ChildAction;

namespace {
constexpr std::string_view program = "/usr/sbin/keepalived";
constexpr std::size_t config_bytes_max = 64U << 10;
}  // namespace

VirtualIp::VirtualIp(boost::asio::io_context& io, const Config& config, EventLog& events)
    : io_(io), config_(config), events_(events), timer_(io) {}

VirtualIp::~VirtualIp() = default;

void VirtualIp::apply(const std::optional<netmodel::VirtualAddress>& wanted) {
  const bool first = !std::exchange(looked_, true);
  if (first) { adopt(); }
  const bool left_over = first && child_ != nullptr && !wanted;
  if (wanted == wanted_ && !left_over) { return; }
  wanted_ = wanted;
  if (!wanted_) {
    holder_ = false;
    trouble_.clear();
    act(engine_.want(false, mono_now()));
    return;
  }
  const std::string text = keepalived_config(*wanted_, config_.host.id);
  if (const auto done = configure(text); !done) { note(done.error().what); }
}

/// Whoever runs reads again what is new to it: the holder stays the holder where nothing moved.
Result<void> VirtualIp::configure(const std::string& text) {
  const std::string folder = config_.paths.runtime;
  const bool runs = engine_.alive() && child_;
  const auto read = dhcp::read_file(folder + "/keepalived.read", config_bytes_max);
  if (runs && read && *read == text) { return {}; }
  EDGE_TRY(dhcp::make_folder(folder + "/dhcp", 0700));
  EDGE_TRY(dhcp::write_file(folder + "/keepalived.conf", text, 0600));
  if (runs) {
    child_->signal(SIGHUP);
  } else {
    act(engine_.want(true, mono_now()));
  }
  // Last: who dies before it leaves a keepalived that is told once more.
  return dhcp::write_file(folder + "/keepalived.read", text, 0600);
}

/// What an earlier life left goes on as ours, whatever becomes of it then.
void VirtualIp::adopt() {
  auto found =
      dhcp::Child::adopt(io_, lock_file(), [this](const dhcp::ChildExit& exit) { on_exit(exit); });
  if (!found) {
    if (found.error().code != Errc::not_found) { note(found.error().what); }
    return;
  }
  child_ = std::move(*found);
  holder_known_ = false;
  spdlog::info("keepalived.adopted pid={}", child_->pid());
  engine_.want(true, mono_now());  // It runs: nothing to start.
}

void VirtualIp::act(ChildAction action) {
  switch (action) {
    case ChildAction::none: break;
    case ChildAction::start: start(); break;
    case ChildAction::terminate:
      if (child_) { child_->signal(SIGTERM); }
      break;
    case ChildAction::kill:
      if (child_) { child_->signal(SIGKILL); }
      break;
  }
  arm();
}

void VirtualIp::start() {
  const std::string folder = config_.paths.runtime;
  const dhcp::ChildCommand command{
      .keeper = dhcp::program_path("uplink-dhcp-keeper"),
      .lock_file = lock_file(),
      .stay = true,
      .argv = {std::string(program), "--dont-fork", "--vrrp", "--log-console", "--no-syslog",
               "--use-file=" + folder + "/keepalived.conf", "--pid=" + folder + "/keepalived.pid",
               "--vrrp_pid=" + folder + "/keepalived-vrrp.pid"}};
  auto spawned = dhcp::Child::spawn(
      io_, command, [this](const dhcp::ChildExit& exit) { on_exit(exit); },
      [](std::string_view line) { spdlog::debug("keepalived.line line=\"{}\"", line); });
  if (spawned) {
    child_ = std::move(*spawned);
    spdlog::info("keepalived.start address={} link={} pid={}", to_string(wanted_->address),
                 wanted_->link, child_->pid());
    note("");
    return;
  }
  note(spawned.error().what);
  act(engine_.on_exited(mono_now()));
}

void VirtualIp::on_exit(const dhcp::ChildExit& exit) {
  child_.reset();
  if (engine_.alive()) {
    const bool missing = exit.status == 127 || exit.status == 126;
    note(missing ? "keepalived is not installed: apt-get install keepalived"
         : exit.status == dhcp::status_unknown
             ? "keepalived ended"
             : "keepalived ended with status " + std::to_string(exit.status) + ": " +
                   exit.last_line);
  }
  act(engine_.on_exited(mono_now()));
}

void VirtualIp::note(std::string text) {
  if (text == trouble_) { return; }
  trouble_ = std::move(text);
  if (!trouble_.empty()) { events_.add("virtual_ip.trouble", {{"what", trouble_}}); }
}

void VirtualIp::arm() {
  const auto deadline = engine_.next_deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          deadline->time_since_epoch())));
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) { act(engine_.on_deadline(mono_now())); }
  });
}

void VirtualIp::observe(const netmodel::ObservedState& observed) {
  if (!wanted_) { return; }
  const bool held = std::ranges::any_of(observed.addresses, [&](const netmodel::Address& a) {
    return a.link == wanted_->link && a.prefix.address == wanted_->address.address;
  });
  const bool known = std::exchange(holder_known_, true);
  if (std::exchange(holder_, held) == held || !known) { return; }
  events_.add(held ? "virtual_ip.gained" : "virtual_ip.lost",
              {{"address", to_string(wanted_->address)}, {"link", wanted_->link}});
}

void VirtualIp::leave() {
  timer_.cancel();
  if (child_) { child_->release(); }
}

std::optional<boost::json::object> VirtualIp::view() const {
  if (!wanted_) { return std::nullopt; }
  boost::json::object out{
      {"address", to_string(wanted_->address)}, {"link", wanted_->link}, {"holder", holder_}};
  return out;
}

}  // namespace edge::uplink
