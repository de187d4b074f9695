// The life of one port's IPv4 lease: what to ask of dhcpcd, and what may be used meanwhile. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dhcp/core/child_engine.hpp"
#include "dhcp/core/hook_event.hpp"
#include "dhcp/core/lease.hpp"
#include "dhcp/core/lease_update.hpp"

namespace edge::dhcp {

struct LeaseLimits {
  /// After carrier up, until the server answers: SIGHUP again at these offsets. A switch swallows
  /// what is sent before it forwards (0.02 to 0.9 s); a SIGHUP costs one REQUEST. No later than
  /// this: each one also puts off the moment when dhcpcd gives up the old network (`reboot 1`).
  std::vector<Duration> burst{std::chrono::milliseconds(25),  std::chrono::milliseconds(50),
                              std::chrono::milliseconds(80),  std::chrono::milliseconds(110),
                              std::chrono::milliseconds(145), std::chrono::milliseconds(190),
                              std::chrono::milliseconds(250), std::chrono::milliseconds(330),
                              std::chrono::milliseconds(430), std::chrono::milliseconds(550)};
  Duration kick = std::chrono::milliseconds(3800);     ///< No server answer: SIGHUP this often.
  Duration kick_arp_check = std::chrono::seconds(20);  ///< dhcpcd probes for 5 s: do not disturb.
  Duration hup_answer =
      std::chrono::milliseconds(100);             ///< RECONFIGURE must come within; else again.
  Duration hung_after = std::chrono::seconds(3);  ///< SIGHUPs unanswered for so long: replace.
  /// The first hook event of a child; doubled when it does not come, up to the maximum. SIGHUPs are
  /// waited for as long as the child needed to start, where that is longer than `hung_after`.
  Duration start_patience = std::chrono::seconds(10);
  Duration start_patience_max = std::chrono::seconds(160);
  Duration gateway_timeout = std::chrono::milliseconds(2500);
  /// Unknown or other gateway MAC: use the stored lease only after so much silence of the server.
  Duration foreign_gateway_wait = std::chrono::milliseconds(2500);
  Duration renew_min = std::chrono::seconds(10);  ///< Floor of T1, against a server that says 1 s.
  Duration renew_retry_min = std::chrono::seconds(4);
  Duration renew_retry_max = std::chrono::seconds(60);
  int restart_after_kicks = 4;  ///< Unanswered in a row: a dead helper of dhcpcd looks like this.
  ChildLimits child;
};

/// Sans-io: inputs, next_deadline(), on_deadline(). Every input returns what to do, in order.
///
/// Rules (facts/dhcpcd.md): a pull is not the end of a lease, its own expiry is; on carrier up the
/// server and the gateway are asked at once and whoever answers first makes the lease usable (the
/// gateway only with the MAC it had, or after the server's silence); a server's NAK ends it at
/// once; without the server's answer dhcpcd is kicked every `kick`; renewal is a SIGHUP at T1.
///
/// Time: passed in as Now; `mono` never goes backwards. Threads: none.
class LeaseEngine {
 public:
  explicit LeaseEngine(LeaseLimits limits = {});

  /// `stored`: the lease of an earlier run; not valid any more: ignored.
  LeaseActions start(std::optional<Lease> stored, bool carrier, Now now);
  /// Ends the child. No update: the lease stays valid in the store, the dataplane stays as it is.
  LeaseActions stop(Now now);

  LeaseActions on_carrier(bool up, Now now);
  /// carrier_down_count moved without a carrier event.
  LeaseActions on_short_pull(Now now);
  /// The path died although the carrier stayed, the gateway's MAC changed, a person asks.
  LeaseActions revalidate(Now now);
  LeaseActions on_hook(const HookEvent& event, Now now);
  LeaseActions on_child_exited(Now now);
  /// SIGSTOP or the like was seen.
  LeaseActions on_child_hung(std::string_view why, Now now);
  LeaseActions on_gateway_answer(const MacAddress& mac, Now now);
  LeaseActions on_gateway_silent(Now now);
  LeaseActions on_conflict(const MacAddress& mac, Now now);

  LeaseActions on_deadline(Now now);
  std::optional<MonoTime> next_deadline() const;

  LeasePhase phase() const { return phase_; }
  const std::optional<Lease>& lease() const { return lease_; }
  const ChildEngine& child() const { return child_; }
  /// Nothing runs and nothing is to run.
  bool finished() const { return stopping_ && child_.state() == ChildEngine::State::idle; }

 private:
  /// What ARP said about the gateway since the last carrier up or question.
  enum class Gateway : std::uint8_t { unknown, asking, answered, silent };

  void apply(ChildAction action, std::string_view why, Now now);
  void on_child_started(Now now);
  void ask_server(Now now);
  void send_hup(Now now);
  void schedule_kick(Now now);
  void kick(Now now);
  void ask_gateway();
  void take_lease(Lease lease, Now now);
  void lose_lease(LeaseCause cause, std::string detail);
  void server_silent(Now now);
  void enter(LeasePhase phase, LeaseCause cause, std::string detail = {});
  void publish(LeaseCause cause, std::string detail);
  void stop_asking();
  void renew(Now now);
  void set_life(Now now, std::chrono::milliseconds left);
  bool can_signal() const { return child_.alive() && child_ready_; }
  LeaseActions take_actions();

  LeaseLimits limits_;
  ChildEngine child_;
  LeaseActions actions_;

  std::optional<Lease> lease_;
  LeasePhase phase_ = LeasePhase::none;
  std::optional<MonoTime> expires_at_;
  std::optional<MonoTime> renew_at_;
  std::optional<Lease> told_lease_;  ///< Of the last update.
  LeasePhase told_phase_ = LeasePhase::none;

  bool stopping_ = false;
  bool carrier_ = false;
  bool probed_ = false;  ///< The address was probed for duplicates since then.

  std::uint64_t conflicted_ = 0;  ///< The child whose address turned out to be used twice.
  std::uint64_t generation_ = 0;
  bool child_ready_ = false;      ///< It sent an event: its signal handlers are in place.
  bool child_link_down_ = false;  ///< NOCARRIER: the EXPIRE that follows means nothing.
  /// NOCARRIER since our carrier last rose: an answer that follows is of the new cable.
  bool child_saw_loss_ = false;
  bool arp_check_next_ = false;  ///< After a conflict.
  bool arp_check_runs_ = false;
  MonoTime started_at_{};
  Duration start_took_{};  ///< Of the child that runs: from its start to its first event.
  Duration start_patience_;
  std::optional<MonoTime> start_deadline_;

  bool asking_ = false;  ///< The server was asked and has not answered yet.
  bool silent_ = false;  ///< ... and dhcpcd has given up once (EXPIRE).
  MonoTime asked_at_{};
  std::size_t burst_index_ = 0;
  std::optional<MonoTime> burst_at_;
  std::optional<MonoTime> kick_at_;
  int kicks_ = 0;
  std::optional<MonoTime> hup_again_at_;
  std::optional<MonoTime> hung_at_;

  Gateway gateway_ = Gateway::unknown;
  std::optional<MacAddress> gateway_mac_;
  std::optional<MonoTime> foreign_at_;  ///< When a gateway with another MAC may be trusted.
};

}  // namespace edge::dhcp
