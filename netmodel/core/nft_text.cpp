// Our table in nft syntax.
#include "netmodel/core/nft_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {
namespace nft {
namespace {

std::string_view transport_name(std::uint8_t protocol) {
  return protocol == 6 ? "tcp" : protocol == 17 ? "udp" : "";
}

std::uint32_t number(std::string_view bytes, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = big_endian ? i : bytes.size() - 1 - i;
    value = (value << 8) | static_cast<std::uint8_t>(bytes[at]);
  }
  return value;
}

IpAddress address(std::string_view bytes) {
  IpAddress out;
  out.family = bytes.size() == 4 ? Family::v4 : Family::v6;
  std::ranges::transform(bytes, out.bytes.begin(),
                         [](char c) { return static_cast<std::uint8_t>(c); });
  return out;
}

/// "10.0.0.0/8"; "10.0.0.0-10.0.0.9" where it is no prefix; a single address without length.
std::string address_range(std::string_view first, std::string_view last) {
  const IpAddress from = address(first);
  if (last.empty() || first == last) { return to_string(from); }
  for (unsigned length = 0; length < from.bits(); ++length) {
    std::string end(first);
    for (unsigned bit = length; bit < from.bits(); ++bit) {
      end[bit / 8] =
          static_cast<char>(static_cast<std::uint8_t>(end[bit / 8]) | (0x80U >> (bit % 8)));
    }
    const IpPrefix prefix{from, static_cast<std::uint8_t>(length)};
    if (end == last && prefix.network().address == from) { return to_string(prefix); }
  }
  return fmt::format("{}-{}", to_string(from), to_string(address(last)));
}

std::string field_text(Field field, std::string_view first, std::string_view last,
                       bool marks_big_endian) {
  switch (field) {
    case Field::ifname: return fmt::format("\"{}\"", first.substr(0, first.find('\0')));
    case Field::mark:
      return fmt::format(
          "0x{:08x}", number(first, marks_big_endian || std::endian::native == std::endian::big));
    case Field::inet_proto: {
      const auto protocol = static_cast<std::uint8_t>(first[0]);
      const auto name = transport_name(protocol);
      return name.empty() ? fmt::format("{}", protocol) : std::string(name);
    }
    case Field::inet_service: return fmt::format("{}", number(first, true));
    case Field::ipv4_addr:
    case Field::ipv6_addr: return address_range(first, last);
    case Field::ether_addr: {
      MacAddress mac;
      std::ranges::transform(first, mac.bytes.begin(),
                             [](char c) { return static_cast<std::uint8_t>(c); });
      return to_string(mac);
    }
  }
  return {};
}

std::string concat_text(const std::vector<Field>& fields, std::string_view first,
                        std::string_view last, bool marks_big_endian) {
  std::string text;
  std::size_t at = 0;
  for (const Field field : fields) {
    const std::size_t size = info(field).size_bytes;
    if (at + size > first.size()) { return text + "?"; }
    if (at > 0) { text += " . "; }
    text += field_text(field, first.substr(at, size), last.empty() ? last : last.substr(at, size),
                       marks_big_endian);
    at += padded_bytes(field);
  }
  return text;
}

std::string type_text(const std::vector<Field>& fields) {
  std::string text;
  for (const Field field : fields) {
    if (!text.empty()) { text += " . "; }
    text += info(field).name;
  }
  return text;
}

void write_set(const SetSpec& spec, std::vector<Element> elements, std::string& out) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "\t{} {} {{\n\t\ttype {}", spec.data.empty() ? "set" : "map", spec.name,
                 type_text(spec.key));
  if (!spec.data.empty()) { fmt::format_to(to, " : {}", type_text(spec.data)); }
  out += '\n';
  if (spec.interval) { out += "\t\tflags interval\n"; }
  if (!elements.empty()) {
    std::ranges::sort(elements);
    out += "\t\telements = { ";
    for (std::size_t i = 0; i < elements.size(); ++i) {
      fmt::format_to(to, "{}{}", i == 0 ? "" : ",\n\t\t\t     ", element_text(spec, elements[i]));
    }
    out += " }\n";
  }
  out += "\t}\n\n";
}

std::string_view hook_name(Hook hook) {
  switch (hook) {
    case Hook::prerouting: return "prerouting";
    case Hook::input: return "input";
    case Hook::forward: return "forward";
    case Hook::output: return "output";
    case Hook::postrouting: return "postrouting";
  }
  return {};
}

void write_chain(const Chain& chain, const std::vector<Rule>& all, std::string& out) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "\tchain {} {{\n", chain.name);
  if (chain.base) {
    fmt::format_to(to, "\t\ttype {} hook {} priority {}; policy accept;\n", chain.base->type,
                   hook_name(chain.base->hook), chain.base->priority);
  }
  for (const Rule& rule : all) {
    if (rule.table != chain.table || rule.chain != chain.name) { continue; }
    fmt::format_to(to, "\t\t{}", rule.text);
    if (!rule.comment.empty()) { fmt::format_to(to, " comment \"{}\"", rule.comment); }
    out += '\n';
  }
  out += "\t}\n";
}

void element_lines(std::string_view verb, const Elements& elements,
                   std::vector<std::string>& lines) {
  for (std::size_t i = 0; i < set_count; ++i) {
    const SetSpec& spec = set_specs()[i];
    for (const Element& element : elements[i]) {
      lines.push_back(fmt::format("{} element {} {} {} {{ {} }}", verb, family_name(spec.table),
                                  our_nft_table, spec.name, element_text(spec, element)));
    }
  }
}

}  // namespace

/// Type numbers: enum datatypes of nftables' include/datatype.h.
const FieldInfo& info(Field field) {
  static constexpr std::array<FieldInfo, 7> table{{
      {"ifname", 41, 16, true},
      {"mark", 19, 4, true},
      {"inet_proto", 12, 1, false},
      {"inet_service", 13, 2, false},
      {"ipv4_addr", 7, 4, false},
      {"ipv6_addr", 8, 16, false},
      {"ether_addr", 9, 6, false},
  }};
  return table[static_cast<std::size_t>(field)];
}

std::string_view family_name(TableId table) { return table == TableId::inet ? "inet" : "bridge"; }

std::uint32_t padded_bytes(Field field) { return (info(field).size_bytes + 3U) & ~3U; }

std::string element_text(const SetSpec& spec, const Element& element) {
  std::string text = concat_text(spec.key, element.key, element.key_end, spec.interval);
  if (!spec.data.empty()) { text += " : " + concat_text(spec.data, element.data, {}, false); }
  return text;
}

}  // namespace nft

std::string to_text(const NftState& state) {
  const nft::Elements elements = nft::elements_of(state);
  const std::vector<nft::Rule> rules = nft::rules(state.drop_dhcp_unicast_renewals);
  std::string out;
  for (const nft::TableId table : nft::table_ids) {
    out += fmt::format("{}table {} {} {{\n", out.empty() ? "" : "\n", nft::family_name(table),
                       our_nft_table);
    for (std::size_t i = 0; i < nft::set_count; ++i) {
      const nft::SetSpec& spec = nft::set_specs()[i];
      if (spec.table == table) { nft::write_set(spec, elements[i], out); }
    }
    bool first = true;
    for (const nft::Chain& chain : nft::chains()) {
      if (chain.table != table) { continue; }
      if (!std::exchange(first, false)) { out += '\n'; }
      nft::write_chain(chain, rules, out);
    }
    out += "}\n";
  }
  return out;
}

std::string to_text(const Publication& publication) {
  const std::string target = to_string(publication.target);
  std::string text =
      fmt::format("{}: {} {} -> {}:{}", publication.in_link,
                  publication.transport == Transport::tcp ? "tcp" : "udp", publication.port,
                  publication.target.family == Family::v6 ? "[" + target + "]" : target,
                  publication.target_port);
  for (std::size_t i = 0; i < publication.sources.size(); ++i) {
    text += (i == 0 ? " from " : ", ") + to_string(publication.sources[i]);
  }
  return text;
}

std::vector<std::string> difference_text(const NftState& from, const NftState& to) {
  std::vector<std::string> lines;
  if (from.drop_dhcp_unicast_renewals != to.drop_dhcp_unicast_renewals ||
      !from.foreign_edits.empty()) {
    lines.push_back(fmt::format("rebuild table inet {}", our_nft_table));
    for (const std::string& edit : from.foreign_edits) { lines.push_back("# " + edit); }
    return lines;
  }
  const auto changes = nft::difference(from, to);
  nft::element_lines("delete", changes.removed, lines);
  nft::element_lines("add", changes.added, lines);
  return lines;
}

}  // namespace edge::netmodel
