// Sends check frames between the members of groups, now and then and on demand, and keeps the
// verdict.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "netmodel/core/model.hpp"
#include "netmodel/io/member_check.hpp"
#include "store/io/store_worker.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

/// The check blocks for up to half a second, so it has a thread of its own.
struct CheckBox {
  template <class Body>
  auto together(Body&& body) {
    return body();
  }
};

/// Role: tells when a member of a group could not stand in for another, or does not carry its part.
/// Time: steady timer, wall clock for the verdict. Threads: the io_context's; frames on a worker.
class GroupCheck {
 public:
  static constexpr std::chrono::minutes interval{5};
  /// Somebody is at the switch: he wants to see that it is right now.
  static constexpr std::chrono::seconds interval_split{15};
  static constexpr std::chrono::seconds after_change{3};  ///< Switches have begun to forward.
  /// Of 802.3ad groups, which costs three small reads per member. A partner is lost after 3 s,
  /// found within 2 (fast LACPDUs), so what is seen twice in a row is true.
  static constexpr std::chrono::seconds lacp_interval{5};

  struct Verdict {
    WallTime time{};
    std::vector<std::string> members;  ///< Those that were asked: present, with carrier.
    std::vector<std::string> lines;    ///< What is wrong; empty: every one hears every other.
  };
  using Done = std::function<void(const Verdict&)>;

  GroupCheck(boost::asio::io_context& io, const Ports& ports, EventLog& events,
             std::string host_id);

  /// Members came, went or changed their carrier, or the groups did: look soon.
  void changed(const netmodel::Model& model);
  /// Every group of the model that can be checked; `done` when all have a verdict.
  void check_all(const netmodel::Model& model, std::function<void()> done);
  /// Groups of `after` that `before` does not have so: what their members hear, before anything is
  /// made of it. Lines of all of them.
  void check_new(const netmodel::Model& before, const netmodel::Model& after,
                 std::function<void(std::vector<std::string>)> done);

  /// By group id.
  const std::map<std::string, Verdict>& verdicts() const { return verdicts_; }
  void stop();

 private:
  /// Names of the members that can be asked now.
  std::vector<std::string> askable(const netmodel::Group& group) const;
  void ask(const std::string& id, std::vector<std::string> members, Done done);
  void keep(const std::string& id, const Verdict& verdict);
  void arm(std::chrono::steady_clock::duration delay);
  void watch_lacp();
  void look_at_lacp();

  const Ports& ports_;
  EventLog& events_;
  std::string host_id_;
  store::Worker<CheckBox> worker_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer lacp_timer_;
  bool lacp_watched_ = false;
  std::map<std::string, std::vector<std::string>> lacp_before_;  ///< Lines of the last look.
  netmodel::Model model_;                                        ///< Only its groups are looked at.
  std::string seen_;  ///< Members and carriers as of the last change.
  std::map<std::string, Verdict> verdicts_;
  std::uint32_t run_ = 0;
  bool stopped_ = false;
};

}  // namespace edge::uplink
