// The daemon: composes the rooms, translates between them, and owns start and stop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "netmodel/io/conntrack_kernel.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "netmodel/io/nft_monitor.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "uplink/core/kernel_sight.hpp"
#include "uplink/core/recable.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/failover.hpp"
#include "uplink/daemon/failover_drill.hpp"
#include "uplink/daemon/flow_purge.hpp"
#include "uplink/daemon/group_check.hpp"
#include "uplink/daemon/host_ports.hpp"
#include "uplink/daemon/host_resolvers.hpp"
#include "uplink/daemon/identity_keeper.hpp"
#include "uplink/daemon/kernel_worker.hpp"
#include "uplink/daemon/memory.hpp"
#include "uplink/daemon/notify.hpp"
#include "uplink/daemon/outbox.hpp"
#include "uplink/daemon/ports.hpp"
#include "uplink/daemon/reconciler.hpp"
#include "uplink/daemon/record_keeper.hpp"
#include "uplink/daemon/services.hpp"
#include "uplink/daemon/store_keeper.hpp"
#include "uplink/daemon/sysctl_watch.hpp"
#include "uplink/daemon/trials.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/views.hpp"
#include "uplink/daemon/virtual_ip.hpp"
#include "uplink/io/control_socket.hpp"
#include "uplink/io/port_light.hpp"
#include "uplink/io/status_server.hpp"

namespace edge::uplink {

/// What the kernel is asked once, before its thread owns it.
struct KernelTraits {
  netmodel::KernelFeatures features;
  std::uint32_t port_id = 0;  ///< Of our own writes, to know their notifications.
  bool bonding = false;       ///< Its bonding module is there.
};

/// Role: the composition root of uplinkd.
/// Threads: its own io_context's, beside the workers of store, kernel and conntrack.
class Daemon {
 public:
  /// Opens everything; nothing is written to the kernel yet.
  static Result<std::unique_ptr<Daemon>> create(boost::asio::io_context& io, Config config);
  ~Daemon();

  void start();
  /// Called once when a fresh start in the same process would be better off: the store is back.
  void on_restart(std::function<void()> restart) { restart_ = std::move(restart); }
  /// A trial that is under way is taken back first, if that is done within `undo_at_stop_max`; the
  /// next start does it otherwise. Ends children and sockets, leaves the dataplane as it is, then
  /// calls `done`.
  void stop(std::function<void()> done);

  /// main.cpp gives a stop 8 s: the rest is the children's.
  static constexpr std::chrono::seconds undo_at_stop_max{3};

 private:
  Daemon(boost::asio::io_context& io, Config config, std::string host_id, store::Store store,
         Memory memory, KernelBox kernel, KernelTraits traits, const netmodel::NftKernel& nft,
         ConntrackBox conntrack);

  netmodel::RenderFacts render_facts() const;
  std::vector<netmodel::NeededAddress> needed() const;
  netmodel::ModelFacts model_facts();
  std::vector<IpAddress> uplink_addresses() const;
  unsigned rank_of(const Port& port) const;
  Result<void> listen();
  void first_look();
  void on_model(const netmodel::Model& model);
  void retire_endpoints();
  void on_turn(const TurnResult& turn);
  void end();
  void tell_sight(bool readable, std::string_view why);
  void tell_takeover(const netmodel::ObservedState& observed);
  void tell_drift(const TurnResult& turn);
  void tell_notes(const TurnResult& turn);
  void tell_released(const TurnResult& turn);
  void on_tunnel_message(tunnel::Channel channel, std::string_view text);
  void act(const netmodel::HostAction& action, std::function<void(Result<std::string>)> done);
  void identify(const netmodel::IdentifyPort& wanted,
                std::function<void(Result<std::string>)> done);
  void changed();
  void push_watch();

  void on_control(ControlRequest request, std::shared_ptr<ControlClient> client);
  void control_events(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_history(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_export(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void with_revision(std::int64_t wanted, std::shared_ptr<ControlClient> client,
                     std::function<void(boost::json::value)> then);
  void control_apply(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_rollback(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void roll_back_to(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_plan(std::shared_ptr<ControlClient> client);
  boost::asio::awaitable<void> plan_now(std::shared_ptr<ControlClient> client);
  WaysAfter ways_after_change(const netmodel::Model& wanted, const TrialTerms& terms) const;
  void control_unplug(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_doctor(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_groups(const boost::json::object& args, std::shared_ptr<ControlClient> client);
  void control_renew(std::shared_ptr<ControlClient> client);
  void control_recable(const std::string& action, std::shared_ptr<ControlClient> client);
  std::vector<PortSight> port_sights() const;
  void recable_begin(std::shared_ptr<ControlClient> client);
  void recable_end(bool degraded);
  /// `args`: what a person said of the trial; see trial_keys.
  void run_operations(boost::json::array operations, const boost::json::object& args,
                      std::shared_ptr<ControlClient> client);
  StatusPage on_http(const std::string& target);
  ViewSources views() const;
  StoreKeeper::Hooks store_hooks();
  LastKnown last_known() const;

  boost::asio::io_context& io_;
  Config config_;
  std::string host_id_;
  std::string boot_id_;
  MonoTime started_;
  HostPorts host_ports_;
  std::map<std::string, IpPrefix> automatic_subnets_;
  KernelTraits traits_;
  std::uint32_t tap_owner_uid_ = 0;
  Memory memory_;
  store::StoreWorker store_;
  KernelWorker kernel_;
  ConntrackWorker conntrack_;
  FlowPurge flows_;
  const netmodel::NftKernel&
      nft_;  ///< Inside kernel_; only its atomic is_own_generation is asked here.
  EventLog events_;
  StoreKeeper store_keeper_;
  ClockKeeper clock_;
  Ports ports_;
  Reconciler reconciler_;
  SysctlWatch sysctl_watch_;
  RecordKeeper record_keeper_;
  Services services_;
  HostResolvers resolvers_;
  VirtualIp virtual_ip_;
  Failover failover_;
  GroupCheck group_check_;
  PortLight lights_;
  Identities identities_;
  TunnelClient tunnel_;
  FailoverDrill drill_;
  IdentityKeeper identity_keeper_;
  Trials trials_;
  Commands commands_;
  Outbox outbox_;
  std::unique_ptr<netmodel::LinkMonitor> link_monitor_;
  std::optional<netmodel::NftMonitor> nft_monitor_;
  std::unique_ptr<ControlSocket> control_;
  std::unique_ptr<StatusServer> status_server_;
  std::vector<std::weak_ptr<ControlClient>> watchers_;
  std::vector<std::weak_ptr<ControlClient>> event_followers_;
  boost::asio::steady_timer watch_timer_;
  boost::asio::steady_timer retry_timer_;
  boost::asio::steady_timer stop_timer_;
  KernelSight sight_;
  ReadyNote ready_;
  std::function<void()> restart_;
  bool watch_armed_ = false;
  std::vector<std::string> notes_told_;
  bool recovered_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  std::function<void()> stopped_;  ///< What stop() was told to call.
};

/// `uplinkd --purge`. Errors: what could not be removed, all of it.
Result<std::vector<std::string>> purge(const Config& config);

}  // namespace edge::uplink
