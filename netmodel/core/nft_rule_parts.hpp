// Pieces that rules are put together from, each in nft syntax and as expressions.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "netmodel/core/nft_table.hpp"

namespace edge::netmodel::nft {

/// A piece of a rule in both languages. tests/contract/nft loads the text with nft and compares the
/// outcome.
struct Part {
  std::string text;
  std::vector<Expression> expressions;
};

inline constexpr std::uint8_t proto_tcp = 6, proto_udp = 17, proto_icmpv6 = 58;

/// Host byte order, as meta and ct load it.
inline std::string u32_bytes(std::uint32_t value) {
  std::string bytes(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t at = std::endian::native == std::endian::little ? i : 3 - i;
    bytes[at] = static_cast<char>(value >> (8 * i));
  }
  return bytes;
}
inline std::string byte(std::uint8_t value) { return std::string(1, static_cast<char>(value)); }
/// Network byte order.
inline std::string u16_bytes(std::uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

inline Part iifname_in(const std::string& set) {
  return {"iifname @" + set, {MetaLoad{MetaKey::iifname, 0}, Lookup{0, set, {}}}};
}
inline Part oifname_in(const std::string& set) {
  return {"oifname @" + set, {MetaLoad{MetaKey::oifname, 0}, Lookup{0, set, {}}}};
}

inline Part counter() { return {"counter", {Counter{}}}; }
inline Part verdict(VerdictKind kind, const std::string& chain = {}) {
  switch (kind) {
    case VerdictKind::accept: return {"accept", {Verdict{kind, {}}}};
    case VerdictKind::drop: return {"drop", {Verdict{kind, {}}}};
    case VerdictKind::return_: return {"return", {Verdict{kind, {}}}};
    case VerdictKind::jump: return {"jump " + chain, {Verdict{kind, chain}}};
  }
  EDGE_ASSERT(false);
}

inline Rule rule(std::string chain, std::initializer_list<Part> parts, std::string comment = {}) {
  Rule made{
      .chain = std::move(chain), .text = {}, .comment = std::move(comment), .expressions = {}};
  for (const Part& part : parts) {
    if (!made.text.empty()) { made.text += ' '; }
    made.text += part.text;
    made.expressions.insert(made.expressions.end(), part.expressions.begin(),
                            part.expressions.end());
  }
  return made;
}

/// Rules of the bridge table: what a guest may claim to be.
void port_rules(std::vector<Rule>& all);

}  // namespace edge::netmodel::nft
