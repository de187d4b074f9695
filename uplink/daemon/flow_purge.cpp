// Which flows have become wrong, and their removal from conntrack.
#include "uplink/daemon/flow_purge.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace edge::uplink {

namespace {

constexpr int rest_factor = 9;
constexpr std::chrono::milliseconds rest_max{500};

/// What could not be removed ends by itself, after its timeout.
unsigned told(const Result<unsigned>& removed) {
  if (!removed) { spdlog::warn("conntrack.not_removed reason=\"{}\"", removed.error().what); }
  return removed.value_or(0);
}

}  // namespace

void FlowPurge::on_rules(const netmodel::NftState& rules) {
  const netmodel::NftState before = std::exchange(shown_, rules);
  collect(before, shown_);
  collect(shown_, before);
  run();
}

void FlowPurge::collect(const netmodel::NftState& from, const netmodel::NftState& missing_in) {
  for (const auto& publication : from.publications) {
    if (std::ranges::binary_search(missing_in.publications, publication)) { continue; }
    for (const auto& uplink : from.uplinks) {
      if (uplink.bridge == publication.in_link) {
        wanted_.publications[uplink].push_back(publication);
      }
    }
  }
}

/// One job at a time: what turns ask for meanwhile waits as one, since the price is the dump.
void FlowPurge::run() {
  if (busy_ || stopped_ || wanted_.empty()) { return; }
  const MonoTime began = now_();
  if (wanted_.addresses.empty() && began < rests_until_) { return run_later(); }
  busy_ = true;
  worker_.run(
      [wanted = std::exchange(wanted_, {})](ConntrackBox& box) -> Result<unsigned> {
        unsigned removed = 0;
        for (const auto& address : wanted.addresses) {
          removed += told(box.conntrack->remove_for_address(address));
        }
        for (const auto& [uplink, publications] : wanted.publications) {
          removed += told(box.conntrack->remove_for_publications(publications, uplink));
        }
        return removed;
      },
      [this, began](const Result<unsigned>& removed) {
        const MonoTime ended = now_();
        rests_until_ = ended + std::min<Duration>(rest_factor * (ended - began), rest_max);
        if (removed && *removed > 0) { spdlog::info("conntrack.removed entries={}", *removed); }
        busy_ = false;
        run();
      });
}

void FlowPurge::run_later() {
  if (waiting_) { return; }
  waiting_ = true;
  timer_.expires_at(to_steady(rests_until_));
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (ec) { return; }
    waiting_ = false;
    run();
  });
}

}  // namespace edge::uplink
