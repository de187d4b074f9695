#include "console/handshake_shares.hpp"

#include <algorithm>
#include <utility>

namespace edge::console {
namespace {

IpAddress source_of(const IpAddress& from) {
  if (from.family == Family::v4) { return from; }
  return IpPrefix{.address = from, .length = 64}.network().address;
}

}  // namespace

bool HandshakeShares::admit(const IpAddress& from, MonoTime now) {
  if (per_s_ == 0) { return true; }
  turn(now);
  const IpAddress source = source_of(from);
  using Seconds = std::chrono::duration<double>;
  const double all = per_s_ * Seconds(span + (now - since_)).count();
  const bool busy = present_.sum + before_.sum >= all * busy_from;
  if (busy && !alone(source, now)) {
    const auto sources = static_cast<double>(std::max<std::size_t>(sources_, 2));
    const double share = std::max(all / sources, all * share_least);
    if (begun_by(source) >= share) { return false; }
  }
  count(source, now);
  return true;
}

void HandshakeShares::turn(MonoTime now) {
  if (now - since_ < span) { return; }
  before_ = now - since_ < 2 * span ? std::exchange(present_, {}) : Span{};
  present_ = {};
  sources_ = before_.begun.size();
  since_ = now;
}

bool HandshakeShares::alone(const IpAddress& source, MonoTime now) const {
  const auto& another = newest_ && newest_->source == source ? other_ : newest_;
  return !another || now - another->at >= company;
}

std::uint32_t HandshakeShares::begun_by(const IpAddress& source) const {
  const auto in = [&source](const Span& one) {
    const auto found = one.begun.find(source);
    return found == one.begun.end() ? 0U : found->second;
  };
  return in(present_) + in(before_);
}

void HandshakeShares::count(const IpAddress& source, MonoTime now) {
  if (begun_by(source) == 0) { ++sources_; }
  ++present_.begun[source];
  ++present_.sum;
  if (newest_ && newest_->source != source) { other_ = newest_; }
  newest_ = Seen{.source = source, .at = now};
}

}  // namespace edge::console
