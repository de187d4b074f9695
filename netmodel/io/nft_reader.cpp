// Dumps of table `inet uplink`. Source: linux/netfilter/nf_tables.h.
#include "netmodel/io/nft_reader.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/core/state.hpp"
#include "netmodel/io/nft_attributes.hpp"
#include "netmodel/io/nft_expression.hpp"

namespace edge::netmodel::nft {
namespace {

constexpr std::size_t edits_max = 32;  // More lines tell nobody more.
constexpr int attempts_max = 5;

/// What the kernel holds, before it is judged.
struct RawTables {
  std::array<bool, table_ids.size()> present{};
  std::uint32_t flags = 0;                     ///< Of either.
  std::vector<std::pair<Chain, bool>> chains;  ///< With: policy is accept.
  std::vector<Rule> rules;
  std::map<std::pair<TableId, std::string>, std::string> sets;  ///< Name to signature.
  Elements elements;
};

class Request {
 public:
  Request(TableId table, int message_type, std::uint16_t flags) {
    header_ = mnl_nlmsg_put_header(buffer_.data());
    header_->nlmsg_type = static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | message_type);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    extra->nfgen_family = table == TableId::inet ? NFPROTO_INET : NFPROTO_BRIDGE;
  }
  void put(std::uint16_t attribute, const std::string& text) {
    mnl_attr_put_strz(header_, attribute, text.c_str());
  }
  nlmsghdr& header() { return *header_; }

 private:
  alignas(nlmsghdr) std::array<char, 512> buffer_{};
  nlmsghdr* header_;
};

Result<bool> read_flags(NetfilterSocket& socket, TableId table, RawTables& raw) {
  Request request(table, NFT_MSG_GETTABLE, 0);
  request.put(NFTA_TABLE_NAME, own_table);
  const auto answer = socket.exchange(request.header(), [&](const nlmsghdr& header) {
    for_each_attribute(attributes_of(header, sizeof(nfgenmsg)),
                       [&](const NetlinkAttribute& attribute) {
                         if (attribute.type == NFTA_TABLE_FLAGS) { raw.flags |= attribute.u32(); }
                       });
  });
  if (!answer && answer.error().os_errno == ENOENT) { return false; }
  if (!answer) {
    return fail_in(fmt::format("read table {} {}", family_name(table), own_table), answer.error());
  }
  return true;
}

Result<void> read_chains(NetfilterSocket& socket, TableId table, RawTables& raw) {
  Request request(table, NFT_MSG_GETCHAIN, NLM_F_DUMP);
  return socket.exchange(request.header(), [&](const nlmsghdr& header) {
    const std::unique_ptr<nftnl_chain, decltype([](nftnl_chain* c) { nftnl_chain_free(c); })> chain(
        nftnl_chain_alloc());
    if (nftnl_chain_nlmsg_parse(&header, chain.get()) < 0) { return; }
    if (nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE) != own_table) {
      return;
    }  // Dumps are of all tables.
    Chain made{nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME), {}, table};
    bool accepts = true;
    if (nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM)) {
      made.base =
          BaseChain{nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TYPE),
                    static_cast<Hook>(nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM)),
                    nftnl_chain_get_s32(chain.get(), NFTNL_CHAIN_PRIO)};
      accepts = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_POLICY) == NF_ACCEPT;
    }
    raw.chains.emplace_back(std::move(made), accepts);
  });
}

Result<void> read_rules(NetfilterSocket& socket, TableId table, RawTables& raw) {
  Request request(table, NFT_MSG_GETRULE, NLM_F_DUMP);
  request.put(NFTA_RULE_TABLE, own_table);
  return socket.exchange(request.header(), [&](const nlmsghdr& header) {
    const std::unique_ptr<nftnl_rule, decltype([](nftnl_rule* r) { nftnl_rule_free(r); })> rule(
        nftnl_rule_alloc());
    if (nftnl_rule_nlmsg_parse(&header, rule.get()) < 0) { return; }
    raw.rules.push_back(decode(*rule));
    raw.rules.back().table = table;
  });
}

/// Key, data and behaviour of a set in one string: only equality matters.
std::string signature(std::uint32_t key_type, std::uint32_t key_bytes, std::uint32_t data_type,
                      std::uint32_t data_bytes, std::uint32_t flags) {
  return fmt::format("key type {:x} of {} bytes, data type {:x} of {} bytes, flags {:x}", key_type,
                     key_bytes, data_type, data_bytes, flags);
}

Result<void> read_sets(NetfilterSocket& socket, TableId table, RawTables& raw) {
  Request request(table, NFT_MSG_GETSET, NLM_F_DUMP);
  request.put(NFTA_SET_TABLE, own_table);
  return socket.exchange(request.header(), [&](const nlmsghdr& header) {
    const std::unique_ptr<nftnl_set, decltype([](nftnl_set* s) { nftnl_set_free(s); })> set(
        nftnl_set_alloc());
    if (nftnl_set_nlmsg_parse(&header, set.get()) < 0) { return; }
    const auto number = [&](std::uint16_t attribute) {
      return nftnl_set_get_u32(set.get(), attribute);
    };
    const std::uint32_t flags = number(NFTNL_SET_FLAGS);
    const bool map = (flags & NFT_SET_MAP) != 0;
    raw.sets.emplace(std::pair(table, nftnl_set_get_str(set.get(), NFTNL_SET_NAME)),
                     signature(number(NFTNL_SET_KEY_TYPE), number(NFTNL_SET_KEY_LEN),
                               map ? number(NFTNL_SET_DATA_TYPE) : 0,
                               map ? number(NFTNL_SET_DATA_LEN) : 0, flags));
  });
}

std::string value_of(const NetlinkAttribute& nested) {
  std::string value;
  for_each_attribute(nested.payload, [&](const NetlinkAttribute& inner) {
    if (inner.type == NFTA_DATA_VALUE) { value = inner.bytes(); }
  });
  return value;
}

Element read_element(std::span<const char> attributes) {
  Element element;
  for_each_attribute(attributes, [&](const NetlinkAttribute& attribute) {
    if (attribute.type == NFTA_SET_ELEM_KEY) { element.key = value_of(attribute); }
    if (attribute.type == NFTA_SET_ELEM_KEY_END) { element.key_end = value_of(attribute); }
    if (attribute.type == NFTA_SET_ELEM_DATA) { element.data = value_of(attribute); }
  });
  return element;
}

Result<void> read_elements(NetfilterSocket& socket, SetId id, RawTables& raw) {
  Request request(set_specs()[static_cast<std::size_t>(id)].table, NFT_MSG_GETSETELEM, NLM_F_DUMP);
  request.put(NFTA_SET_ELEM_LIST_TABLE, own_table);
  request.put(NFTA_SET_ELEM_LIST_SET, std::string(set_specs()[static_cast<std::size_t>(id)].name));
  auto& into = raw.elements[static_cast<std::size_t>(id)];
  return socket.exchange(request.header(), [&](const nlmsghdr& header) {
    for_each_attribute(attributes_of(header, sizeof(nfgenmsg)), [&](const NetlinkAttribute& list) {
      if (list.type != NFTA_SET_ELEM_LIST_ELEMENTS) { return; }
      for_each_attribute(list.payload, [&](const NetlinkAttribute& element) {
        into.push_back(read_element(element.payload));
      });
    });
  });
}

std::string expected_signature(const SetSpec& spec) {
  const auto type = [](const std::vector<Field>& fields) {
    std::uint32_t out = 0;
    for (const Field field : fields) { out = (out << 6) | info(field).type; }
    return out;
  };
  const auto bytes = [](const std::vector<Field>& fields) {
    if (fields.size() == 1) { return info(fields.front()).size_bytes; }
    std::uint32_t out = 0;
    for (const Field field : fields) { out += padded_bytes(field); }
    return out;
  };
  std::uint32_t flags = spec.data.empty() ? 0U : static_cast<std::uint32_t>(NFT_SET_MAP);
  if (spec.interval) { flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT; }
  return signature(type(spec.key), bytes(spec.key), type(spec.data), bytes(spec.data), flags);
}

Result<void> read_raw(NetfilterSocket& socket, RawTables& raw) {
  for (const TableId table : table_ids) {
    EDGE_ASSIGN(const bool exists, read_flags(socket, table, raw));
    raw.present[static_cast<std::size_t>(table)] = exists;
    if (!exists) { continue; }
    EDGE_TRY(read_chains(socket, table, raw));
    EDGE_TRY(read_rules(socket, table, raw));
    EDGE_TRY(read_sets(socket, table, raw));
  }
  for (std::size_t i = 0; i < set_count; ++i) {
    const SetSpec& spec = set_specs()[i];
    const auto found = raw.sets.find({spec.table, std::string(spec.name)});
    // Elements of another shape than ours say nothing; the set itself is judged later.
    if (found == raw.sets.end() || found->second != expected_signature(spec)) { continue; }
    EDGE_TRY(read_elements(socket, static_cast<SetId>(i), raw));
  }
  return {};
}

// ---- judge ----

void judge_sets(const RawTables& raw, std::vector<std::string>& edits) {
  std::map<std::pair<TableId, std::string>, std::string> expected;
  for (const SetSpec& spec : set_specs()) {
    expected.emplace(std::pair(spec.table, std::string(spec.name)), expected_signature(spec));
  }
  for (const auto& [key, wanted] : expected) {
    const auto found = raw.sets.find(key);
    const std::string& name = key.second;
    if (found == raw.sets.end()) {
      edits.push_back(fmt::format("set {} is missing", name));
    } else if (found->second != wanted) {
      edits.push_back(fmt::format("set {} has {} instead of {}", name, found->second, wanted));
    }
  }
  for (const auto& [key, unused] : raw.sets) {
    if (!expected.contains(key)) { edits.push_back(fmt::format("foreign set {}", key.second)); }
  }
}

void judge_chains(const RawTables& raw, std::vector<std::string>& edits) {
  for (const Chain& wanted : chains()) {
    const auto found = std::ranges::find_if(raw.chains, [&](const auto& c) {
      return c.first.table == wanted.table && c.first.name == wanted.name;
    });
    if (found == raw.chains.end()) {
      edits.push_back(fmt::format("chain {} is missing", wanted.name));
    } else if (found->first != wanted || !found->second) {
      edits.push_back(
          fmt::format("chain {} has another type, hook, priority or policy", wanted.name));
    }
  }
  for (const auto& [chain, unused] : raw.chains) {
    const bool ours = std::ranges::any_of(
        chains(), [&](const Chain& c) { return c.table == chain.table && c.name == chain.name; });
    if (!ours) { edits.push_back(fmt::format("foreign chain {}", chain.name)); }
  }
}

void judge_rules_of(const std::string& chain, std::vector<Rule> wanted, std::vector<Rule> shown,
                    std::vector<std::string>& edits) {
  if (std::ranges::equal(wanted, shown, same_effect)) { return; }
  const std::size_t before = edits.size();
  for (const Rule& rule : wanted) {
    const auto found =
        std::ranges::find_if(shown, [&](const Rule& r) { return same_effect(r, rule); });
    if (found == shown.end()) {
      edits.push_back(fmt::format("rule missing in chain {}: {}", chain, rule.text));
    } else {
      shown.erase(found);
    }
  }
  for (const Rule& rule : shown) {
    edits.push_back(fmt::format("foreign rule in chain {}: {}{}{}", chain, rule.text,
                                rule.comment.empty() ? "" : " # ", rule.comment));
  }
  if (edits.size() == before) {
    edits.push_back(fmt::format("rules of chain {} are in another order", chain));
  }
}

std::vector<Rule> rules_of(const std::vector<Rule>& all, const Chain& chain) {
  std::vector<Rule> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const Rule& rule) {
    return rule.table == chain.table && rule.chain == chain.name;
  });
  return out;
}

/// Returns whether the rule against unicast renewals is there: the one rule that is a choice.
bool judge_rules(const RawTables& raw, std::vector<std::string>& edits) {
  const Chain choice_chain{"output", std::nullopt, TableId::inet};
  const auto choice = rules_of(rules(true), choice_chain);
  const bool drops = std::ranges::any_of(
      raw.rules, [&](const Rule& rule) { return same_effect(rule, choice.front()); });
  const auto wanted = rules(drops);
  for (const Chain& chain : chains()) {
    judge_rules_of(chain.name, rules_of(wanted, chain), rules_of(raw.rules, chain), edits);
  }
  return drops;
}

NftState judge_elements(const RawTables& raw, std::vector<std::string>& edits) {
  NftState state = state_of(raw.elements);
  auto clean = canonical(state);
  if (!clean) {
    edits.push_back("elements contradict each other: " + clean.error().what);
    return state;
  }
  state = *std::move(clean);
  const ElementDifference changes = difference(raw.elements, elements_of(state));
  for (std::size_t i = 0; i < set_count; ++i) {
    const SetSpec& spec = set_specs()[i];
    for (const Element& element : changes.removed[i]) {
      edits.push_back(
          fmt::format("foreign element in {}: {}", spec.name, element_text(spec, element)));
    }
    for (const Element& element : changes.added[i]) {
      edits.push_back(
          fmt::format("element missing in {}: {}", spec.name, element_text(spec, element)));
    }
  }
  return state;
}

NftState judge(const RawTables& raw) {
  std::vector<std::string> edits;
  for (const TableId table : table_ids) {
    if (raw.present[static_cast<std::size_t>(table)]) { continue; }
    edits.push_back(fmt::format("table {} {} is missing", family_name(table), own_table));
  }
  if (raw.flags != 0) {
    edits.push_back(fmt::format("table flags {:x}: our rules do not run", raw.flags));
  }
  judge_sets(raw, edits);
  judge_chains(raw, edits);
  const bool drops = judge_rules(raw, edits);
  NftState state = judge_elements(raw, edits);
  state.drop_dhcp_unicast_renewals = drops;
  if (edits.size() > edits_max) {
    const std::size_t more = edits.size() - edits_max;
    edits.resize(edits_max);
    edits.push_back(fmt::format("and {} more differences", more));
  }
  state.foreign_edits = std::move(edits);
  return state;
}

}  // namespace

Result<std::uint32_t> read_generation(NetfilterSocket& socket) {
  Request request(TableId::inet, NFT_MSG_GETGEN, 0);
  std::uint32_t generation = 0;
  const auto answer = socket.exchange(request.header(), [&](const nlmsghdr& header) {
    for_each_attribute(attributes_of(header, sizeof(nfgenmsg)),
                       [&](const NetlinkAttribute& attribute) {
                         if (attribute.type == NFTA_GEN_ID) { generation = attribute.u32(); }
                       });
  });
  if (!answer) { return fail_in("read nft generation", answer.error()); }
  return generation;
}

Result<Reading> read_table(NetfilterSocket& socket) {
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    EDGE_ASSIGN(const std::uint32_t before, read_generation(socket));
    RawTables raw;
    const auto read = read_raw(socket, raw);
    EDGE_ASSIGN(const std::uint32_t after, read_generation(socket));
    if (before != after) { continue; }  // What failed or was torn meanwhile counts for nothing.
    if (!read) { return std::unexpected(read.error()); }
    const bool any = std::ranges::any_of(raw.present, std::identity{});
    return Reading{after, any ? std::optional(judge(raw)) : std::nullopt, raw.present};
  }
  return fail(Errc::transient, "read table inet uplink: the ruleset keeps changing");
}

}  // namespace edge::netmodel::nft
