// Which flows have become wrong, and their removal from conntrack; never the whole table.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <vector>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/kernel_worker.hpp"

namespace edge::uplink {

/// Role: collects what changed and asks conntrack once for all of it: the price is the dump, whose
/// kernel walks every bucket of the whole table. After one it rests nine times as long, at most
/// half a second, unless an uplink's address is gone: a burst of publications took 61 % of a core.
/// Time: asked for. Threads: the io_context's; conntrack on its worker.
class FlowPurge {
 public:
  using Now = std::function<MonoTime()>;
  FlowPurge(boost::asio::io_context& io, ConntrackWorker& worker, Now now = mono_now)
      : worker_(worker), timer_(io), now_(std::move(now)) {}

  /// An address of an uplink is not usable any more (cable pulled, lease gone): with the next
  /// rules.
  void address_gone(const IpAddress& address) { wanted_.addresses.push_back(address); }
  /// These rules stood before this life: their flows are as good as they were. Before any other.
  void stood(netmodel::NftState rules) { shown_ = std::move(rules); }
  /// The kernel shows these rules now. Flows of publications that came, went or changed, and of the
  /// addresses that went, are removed, once the rules that judge new packets are in place.
  void on_rules(const netmodel::NftState& rules);
  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  struct Wanted {
    std::vector<IpAddress> addresses;
    std::map<netmodel::UplinkPort, std::vector<netmodel::Publication>> publications;
    bool empty() const { return addresses.empty() && publications.empty(); }
  };
  void collect(const netmodel::NftState& from, const netmodel::NftState& missing_in);
  void run();
  void run_later();

  ConntrackWorker& worker_;
  boost::asio::steady_timer timer_;
  Now now_;
  MonoTime rests_until_{};
  netmodel::NftState shown_;
  Wanted wanted_;
  bool busy_ = false;
  bool waiting_ = false;
  bool stopped_ = false;
};

}  // namespace edge::uplink
