// Policy rules over rtnetlink: struct fib_rule_hdr and its FRA_ attributes, encode beside decode.
#pragma once

#include <optional>
#include <span>

#include "netmodel/core/state.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// A rule whose action is not "lookup" has table 0. Selectors beyond Rule (uid, ports, tos..) are
/// not shown; ours never have them. Source: fib_nl_fill_rule(), net/core/fib_rules.c.
std::optional<Rule> decode_rule(const MessageView& message);

NlMessage encode_rule_dump(Family family);
/// NLM_F_CREATE|NLM_F_EXCL: the same rule twice is EEXIST.
NlMessage encode_rule_add(const Rule& rule);
/// The kernel removes the first rule that has all that is said; what is not said matches anything.
NlMessage encode_rule_remove(const Rule& rule);
/// What the kernel would remove for encode_rule_remove(wanted), given the rules in order of
/// priority; nullptr: nothing. Source: rule_find().
const Rule* first_rule_removed(std::span<const Rule> rules, const Rule& wanted);

}  // namespace edge::netmodel
