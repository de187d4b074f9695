// Policy rules over rtnetlink: struct fib_rule_hdr and its FRA_ attributes, encode beside decode.
#include "netmodel/io/rule.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

NlMessage encode(std::uint16_t type, int flags, const Rule& rule) {
  fib_rule_hdr fixed{};
  fixed.family = address_family(rule.family);
  fixed.action = FR_ACT_TO_TBL;
  fixed.table =
      rule.table < 256 ? static_cast<std::uint8_t>(rule.table) : std::uint8_t{RT_TABLE_UNSPEC};
  fixed.src_len = rule.from ? rule.from->length : std::uint8_t{0};
  fixed.dst_len = rule.to ? rule.to->length : std::uint8_t{0};
  MessageBuilder message(type, flags, fixed);
  message.u32(FRA_PRIORITY, rule.priority)
      .u32(FRA_TABLE, rule.table)
      .u8(FRA_PROTOCOL, rule.protocol);
  if (rule.from) { message.ip(FRA_SRC, rule.from->network().address); }
  if (rule.to) { message.ip(FRA_DST, rule.to->network().address); }
  if (!rule.in_link.empty()) { message.text(FRA_IIFNAME, rule.in_link); }
  if (!rule.out_link.empty()) { message.text(FRA_OIFNAME, rule.out_link); }
  if (rule.mark) { message.u32(FRA_FWMARK, *rule.mark).u32(FRA_FWMASK, rule.mark_mask); }
  return message.take();
}

std::optional<IpPrefix> selector(const std::optional<IpAddress>& address, std::uint8_t length,
                                 Family family) {
  if (!address || address->family != family || length > address->bits()) { return std::nullopt; }
  return IpPrefix{.address = *address, .length = length};
}

}  // namespace

std::optional<Rule> decode_rule(const MessageView& message) {
  if (message.header.nlmsg_type != RTM_NEWRULE && message.header.nlmsg_type != RTM_DELRULE) {
    return std::nullopt;
  }
  const auto fixed = read_as<fib_rule_hdr>(message.payload);
  if (!fixed || (fixed->family != AF_INET && fixed->family != AF_INET6)) { return std::nullopt; }

  Rule rule;
  rule.family = fixed->family == AF_INET ? Family::v4 : Family::v6;
  rule.protocol = 0;
  rule.table = fixed->table;
  std::optional<IpAddress> from;
  std::optional<IpAddress> to;
  for_each_attribute(attributes_after(message.payload, sizeof(fib_rule_hdr)),
                     [&](std::uint16_t type, Bytes value) {
                       switch (type) {
                         case FRA_PRIORITY:
                           rule.priority = read_or_zero<std::uint32_t>(value);
                           break;
                         case FRA_TABLE: rule.table = read_or_zero<std::uint32_t>(value); break;
                         case FRA_PROTOCOL:
                           rule.protocol = read_or_zero<std::uint8_t>(value);
                           break;
                         case FRA_SRC: from = read_ip(value); break;
                         case FRA_DST: to = read_ip(value); break;
                         case FRA_IIFNAME: rule.in_link = read_text(value); break;
                         case FRA_OIFNAME: rule.out_link = read_text(value); break;
                         case FRA_FWMARK: rule.mark = read_as<std::uint32_t>(value); break;
                         case FRA_FWMASK:
                           rule.mark_mask = read_or_zero<std::uint32_t>(value);
                           if (!rule.mark) { rule.mark = 0; }  // The kernel leaves a mark of 0 out.
                           break;
                         default: break;
                       }
                     });
  rule.from = selector(from, fixed->src_len, rule.family);
  rule.to = selector(to, fixed->dst_len, rule.family);
  if (fixed->action != FR_ACT_TO_TBL) { rule.table = 0; }
  return rule;
}

NlMessage encode_rule_dump(Family family) {
  fib_rule_hdr fixed{};
  fixed.family = address_family(family);
  return MessageBuilder(RTM_GETRULE, 0, fixed).take();
}

NlMessage encode_rule_add(const Rule& rule) {
  return encode(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

NlMessage encode_rule_remove(const Rule& rule) { return encode(RTM_DELRULE, 0, rule); }

const Rule* first_rule_removed(std::span<const Rule> rules, const Rule& wanted) {
  const auto hit = std::ranges::find_if(rules, [&](const Rule& rule) {
    return rule.family == wanted.family && rule.priority == wanted.priority &&
           rule.table == wanted.table && rule.protocol == wanted.protocol &&
           (!wanted.from || rule.from == wanted.from) && (!wanted.to || rule.to == wanted.to) &&
           (wanted.in_link.empty() || rule.in_link == wanted.in_link) &&
           (wanted.out_link.empty() || rule.out_link == wanted.out_link) &&
           (!wanted.mark || (rule.mark == wanted.mark && rule.mark_mask == wanted.mark_mask));
  });
  return hit == rules.end() ? nullptr : &*hit;
}

}  // namespace edge::netmodel
