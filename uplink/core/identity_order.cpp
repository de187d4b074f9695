#include "uplink/core/identity_order.hpp"

#include <algorithm>
#include <iterator>

namespace edge::uplink {
namespace {

IdentitySource other_slot(IdentitySource slot) {
  return slot == IdentitySource::slot_a ? IdentitySource::slot_b : IdentitySource::slot_a;
}

}  // namespace

std::string_view to_string(IdentitySource source) {
  switch (source) {
    case IdentitySource::configured: return "uplink.toml";
    case IdentitySource::slot_a: return "slot a";
    case IdentitySource::slot_b: return "slot b";
  }
  return "unknown";
}

IdentitySource spare_of(std::optional<IdentitySource> shown,
                        std::optional<IdentitySource> current) {
  if (shown && *shown != IdentitySource::configured) { return other_slot(*shown); }
  if (current && *current != IdentitySource::configured) { return other_slot(*current); }
  return IdentitySource::slot_a;
}

std::vector<IdentitySource> identity_order(const std::map<IdentitySource, IdentitySight>& seen,
                                           std::optional<IdentitySource> current) {
  std::vector<IdentitySource> out;
  if (current && *current != IdentitySource::configured) {
    out = {*current, other_slot(*current), IdentitySource::configured};
    const auto newest =
        std::ranges::find_if(out, [&seen](IdentitySource one) { return seen.contains(one); });
    const auto files = seen.find(IdentitySource::configured);
    const bool put_there = newest != out.end() && *newest != IdentitySource::configured &&
                           files != seen.end() &&
                           files->second.fingerprint != seen.at(*newest).replaces;
    if (put_there) { std::ranges::rotate(out, out.end() - 1); }
  } else {
    out = {IdentitySource::configured, IdentitySource::slot_a, IdentitySource::slot_b};
  }
  std::vector<IdentitySource> ordered;
  for (const bool in_date : {true, false}) {
    std::ranges::copy_if(out, std::back_inserter(ordered), [&](IdentitySource one) {
      const auto found = seen.find(one);
      return found != seen.end() && found->second.in_date == in_date;
    });
  }
  return ordered;
}

}  // namespace edge::uplink
