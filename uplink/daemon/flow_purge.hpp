// Which flows have become wrong, and their removal from conntrack; never the whole table.
#pragma once

#include <map>
#include <vector>

#include "uplink/daemon/kernel_worker.hpp"

namespace edge::uplink {

/// Role: collects what changed and asks conntrack once for all of it: the price is the dump.
/// Time: none. Threads: the io_context's; conntrack on its worker.
class FlowPurge {
 public:
  explicit FlowPurge(ConntrackWorker& worker) : worker_(worker) {}

  /// An address of an uplink is not usable any more (cable pulled, lease gone): with the next
  /// rules.
  void address_gone(const IpAddress& address) { wanted_.addresses.push_back(address); }
  /// These rules stand now. Flows of publications that came, went or changed, and of the addresses
  /// that went, are removed, once the rules that judge new packets are in place.
  void on_rules(const netmodel::NftState& rules);
  void stop() { stopped_ = true; }

 private:
  struct Wanted {
    std::vector<IpAddress> addresses;
    std::map<netmodel::UplinkPort, std::vector<netmodel::Publication>> publications;
    bool empty() const { return addresses.empty() && publications.empty(); }
  };
  void collect(const netmodel::NftState& from, const netmodel::NftState& missing_in);
  void run();

  ConntrackWorker& worker_;
  netmodel::NftState shown_;
  Wanted wanted_;
  bool busy_ = false;
  bool stopped_ = false;
};

}  // namespace edge::uplink
