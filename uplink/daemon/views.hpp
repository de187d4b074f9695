// The same facts for uplinkctl, the Console's snapshot and the local page.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "uplink/daemon/clock_keeper.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/group_check.hpp"
#include "uplink/daemon/identity_keeper.hpp"
#include "uplink/daemon/ports.hpp"
#include "uplink/daemon/reconciler.hpp"
#include "uplink/daemon/record_keeper.hpp"
#include "uplink/daemon/services.hpp"
#include "uplink/daemon/store_keeper.hpp"
#include "uplink/daemon/trials.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/virtual_ip.hpp"

namespace edge::uplink {

/// What the views are drawn from; borrowed, the daemon owns it all.
struct ViewSources {
  const std::string& host_id;
  MonoTime started;
  const Ports& ports;
  const TunnelClient& tunnel;
  const Reconciler& reconciler;
  const Commands& commands;
  const Services& services;
  const GroupCheck& checks;
  const VirtualIp& virtual_ip;
  const Trials& trials;
  const StoreKeeper& store;
  const IdentityKeeper& identity;
  const ClockKeeper& clock;
  const RecordKeeper& records;
};

boost::json::object status_view(const ViewSources& s);
boost::json::array ports_view(const ViewSources& s);
/// What is wrong with an adapter or its group beside its path; empty: nothing.
std::string trouble_of(const ViewSources& s, const Port& port);
boost::json::array leases_view(const ViewSources& s);
boost::json::array groups_view(const ViewSources& s);
boost::json::array networks_view(const ViewSources& s);
boost::json::array interfaces_view(const ViewSources& s);
boost::json::array gateway_view(const ViewSources& s);
/// Everything of the above that the Console shows.
boost::json::object snapshot_view(const ViewSources& s);
/// Prometheus text.
std::string metrics_view(const ViewSources& s);
/// The local page: one self-contained document that redraws itself.
std::string page_view(const ViewSources& s);

inline constexpr std::string_view uplink_version = "0.1.0";

}  // namespace edge::uplink
