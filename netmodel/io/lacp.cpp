#include "netmodel/io/lacp.hpp"

#include <charconv>
#include <fstream>
#include <optional>

namespace edge::netmodel {
namespace {

constexpr unsigned state_defaulted = 0x40;

std::optional<unsigned> number_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  if (!std::getline(file, text)) { return std::nullopt; }
  unsigned value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<LacpState> read_lacp(const std::string& member) {
  const std::string link = "/sys/class/net/" + member;
  const auto state = number_in(link + "/bonding_slave/ad_actor_oper_port_state");
  const auto aggregator = number_in(link + "/bonding_slave/ad_aggregator_id");
  const auto active = number_in(link + "/master/bonding/ad_aggregator");
  if (!state || !aggregator || !active) {
    return fail(Errc::not_found, member + " is no member of an 802.3ad bond");
  }
  return LacpState{.partner = (*state & state_defaulted) == 0,
                   .aggregator = static_cast<std::uint16_t>(*aggregator),
                   .active = static_cast<std::uint16_t>(*active)};
}

}  // namespace edge::netmodel
