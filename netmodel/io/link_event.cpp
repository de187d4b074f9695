// What the kernel says about a change, decoded from bytes. Pure: any bytes are safe to pass in.
#include "netmodel/io/link_event.hpp"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <utility>

#include "netmodel/io/address.hpp"
#include "netmodel/io/link.hpp"
#include "netmodel/io/route.hpp"
#include "netmodel/io/rule.hpp"

namespace edge::netmodel {
namespace {

std::string bounded(std::string text) {
  if (text.size() > KernelChange::text_bytes_max) { text.resize(KernelChange::text_bytes_max); }
  return text;
}

std::string describe(const Route& route) {
  std::string text = to_string(route.destination);
  if (route.gateway) { text += " via " + to_string(*route.gateway); }
  if (!route.link.empty()) { text += " dev " + route.link; }
  if (route.table != table_main) { text += fmt::format(" table {}", route.table); }
  return text + fmt::format(" proto {} metric {}", route.protocol, route.metric);
}

std::string describe(const Rule& rule) {
  std::string text = fmt::format("{}:", rule.priority);
  if (rule.from) { text += " from " + to_string(*rule.from); }
  if (rule.to) { text += " to " + to_string(*rule.to); }
  if (rule.mark) { text += fmt::format(" fwmark {}", *rule.mark); }
  if (!rule.in_link.empty()) { text += " iif " + rule.in_link; }
  if (!rule.out_link.empty()) { text += " oif " + rule.out_link; }
  return text + fmt::format(" lookup {}", rule.table);
}

/// What all decoders of one datagram share.
struct Context {
  const LinkNames& names;
  bool removed = false;
  bool by_us = false;
};

KernelChange change_of(ChangeKind kind, const Context& context, bool ours, std::string link,
                       std::string_view object, const std::string& text) {
  return {.kind = kind,
          .removed = context.removed,
          .ours = ours,
          .by_us = context.by_us,
          .link = std::move(link),
          .text = bounded(fmt::format("{}{} {}", context.removed ? "deleted " : "", object, text))};
}

std::optional<MonitorEvent> link_event(const MessageView& message, const Context& context) {
  const auto decoded = decode_link(message);
  if (!decoded) { return std::nullopt; }
  const ObservedLink& observed = decoded->observed;
  if (decoded->bridge_family) {
    const std::string port = name_of(context.names, observed.index.value);
    return change_of(ChangeKind::bridge_port, context, observed.ours(), port, "bridge port", port);
  }
  return LinkEvent{
      .name = observed.link.name,
      .index = observed.index,
      .kind = observed.link.kind,
      .appeared = false,
      .gone = context.removed,
      .renamed_from = {},
      .admin_up = observed.link.admin_up,
      .carrier = observed.carrier,
      .carrier_up_count = decoded->carrier_up_count,
      .carrier_down_count = observed.carrier_down_count,
      .mac = observed.link.mac,
      .permanent_mac = observed.permanent_mac,
      .mtu = observed.link.mtu.value_or(0),
      .master = name_of(context.names, decoded->master_index),
      .alias = observed.link.alias,
      .bond_active = name_of(context.names, decoded->bond ? decoded->bond->active_index : 0),
      .has_device = observed.has_device,
      .by_us = context.by_us};
}

std::optional<MonitorEvent> address_event(const MessageView& message, const Context& context) {
  const auto decoded = decode_address(message);
  if (!decoded) { return std::nullopt; }
  const std::string link = name_of(context.names, decoded->link_index);
  return change_of(ChangeKind::address, context, decoded->address.ours, link, "address",
                   to_string(decoded->address.prefix) + " dev " + link);
}

std::optional<MonitorEvent> route_event(const MessageView& message, const Context& context) {
  auto decoded = decode_route(message);
  if (!decoded) { return std::nullopt; }
  decoded->route.link = name_of(context.names, decoded->link_index);
  return change_of(ChangeKind::route, context, decoded->route.protocol == our_protocol,
                   decoded->route.link, "route", describe(decoded->route));
}

std::optional<MonitorEvent> rule_event(const MessageView& message, const Context& context) {
  const auto rule = decode_rule(message);
  if (!rule) { return std::nullopt; }
  return change_of(ChangeKind::rule, context, rule->protocol == our_protocol, {}, "rule",
                   describe(*rule));
}

std::optional<MonitorEvent> neighbour_event(const MessageView& message, const Context& context) {
  auto decoded = decode_neighbour(message);
  if (!decoded) { return std::nullopt; }
  decoded->neighbour.link = name_of(context.names, decoded->link_index);
  return NeighbourEvent{.neighbour = std::move(decoded->neighbour), .gone = context.removed};
}

MonitorEvent control_event(const MessageView& message) {
  if (message.header.nlmsg_type == NLMSG_OVERRUN) {
    return MonitorControl{.what = MonitorControl::What::overrun, .os_errno = 0};
  }
  // struct nlmsgerr, or the int at the end of a dump.
  const int error = read_or_zero<int>(message.payload);
  const bool done = message.header.nlmsg_type == NLMSG_DONE;
  if (!done || error < 0) {
    return MonitorControl{.what = MonitorControl::What::error, .os_errno = errno_of_answer(error)};
  }
  const bool interrupted = (message.header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  return MonitorControl{.what = interrupted ? MonitorControl::What::dump_interrupted
                                            : MonitorControl::What::dump_done,
                        .os_errno = 0};
}

/// Routes and neighbours that we have no word for (local, broadcast, multicast routes; a bridge's
/// forwarding entries) come with every address and every guest: well-formed, and no news.
bool is_known_noise(const MessageView& message) {
  switch (message.header.nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return message.payload.size() >= sizeof(rtmsg);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: return message.payload.size() >= sizeof(ndmsg);
    case NLMSG_NOOP: return true;
    default: return false;
  }
}

std::optional<MonitorEvent> decode_one(const MessageView& message, Context context) {
  switch (message.header.nlmsg_type) {
    case NLMSG_DONE:
    case NLMSG_ERROR:
    case NLMSG_OVERRUN: return control_event(message);
    case RTM_DELLINK: context.removed = true; [[fallthrough]];
    case RTM_NEWLINK: return link_event(message, context);
    case RTM_DELADDR: context.removed = true; [[fallthrough]];
    case RTM_NEWADDR: return address_event(message, context);
    case RTM_DELROUTE: context.removed = true; [[fallthrough]];
    case RTM_NEWROUTE: return route_event(message, context);
    case RTM_DELRULE: context.removed = true; [[fallthrough]];
    case RTM_NEWRULE: return rule_event(message, context);
    case RTM_DELNEIGH: context.removed = true; [[fallthrough]];
    case RTM_NEWNEIGH: return neighbour_event(message, context);
    default: return std::nullopt;
  }
}

KernelChange unknown(std::string text) {
  return {.kind = ChangeKind::unknown,
          .removed = false,
          .ours = false,
          .by_us = false,
          .link = {},
          .text = std::move(text)};
}

}  // namespace

void decode_events(std::span<const std::byte> datagram, const LinkNames& names,
                   std::uint32_t own_port, const std::function<void(MonitorEvent)>& sink) {
  const bool whole = for_each_message(datagram, [&](const MessageView& message) {
    const bool by_us = own_port != 0 && message.header.nlmsg_pid == own_port;
    if (auto event = decode_one(message, {.names = names, .removed = false, .by_us = by_us})) {
      sink(std::move(*event));
    } else if (!is_known_noise(message)) {
      sink(unknown(fmt::format("unreadable message of type {} with {} bytes",
                               message.header.nlmsg_type, message.header.nlmsg_len)));
    }
  });
  if (!whole) { sink(unknown(fmt::format("truncated datagram of {} bytes", datagram.size()))); }
}

std::optional<LinkEvent> LinkTable::on_link(LinkEvent event) {
  const auto found = links_.find(event.index.value);
  if (event.gone) {
    if (found == links_.end()) { return std::nullopt; }
    links_.erase(found);
    names_.erase(event.index.value);
    return event;
  }
  event.appeared = found == links_.end();
  if (!event.appeared && found->second.last.name != event.name) {
    event.renamed_from = found->second.last.name;
  }
  names_[event.index.value] = event.name;
  links_[event.index.value] = {.last = event, .seen = true};
  return event;
}

void LinkTable::on_dump_begin() {
  for (auto& [index, known] : links_) { known.seen = false; }
}

std::vector<LinkEvent> LinkTable::on_dump_end() {
  std::vector<LinkEvent> gone;
  for (auto entry = links_.begin(); entry != links_.end();) {
    if (entry->second.seen) {
      ++entry;
      continue;
    }
    LinkEvent last = std::move(entry->second.last);
    last.gone = true;
    last.appeared = false;
    last.renamed_from.clear();
    gone.push_back(std::move(last));
    names_.erase(entry->first);
    entry = links_.erase(entry);
  }
  return gone;
}

}  // namespace edge::netmodel
