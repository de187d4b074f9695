// nf_tables transactions. Source: linux/netfilter/nf_tables.h, net/netfilter/nfnetlink.c
// (nfnetlink_rcv_batch).
#include "netmodel/io/nft_batch.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/assert.hpp"
#include "netmodel/core/state.hpp"
#include "netmodel/io/nft_expression.hpp"

namespace edge::netmodel::nft {
namespace {

constexpr std::size_t message_bytes_max =
    64 * 1024 + 1024;  // One list of elements of nearly 64 KiB and its frame.
constexpr std::size_t list_bytes_max = 60 * 1024;  // An attribute's length is 16 bits.

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;

std::uint32_t type_of(const std::vector<Field>& fields) {
  std::uint32_t type = 0;
  for (const Field field : fields) { type = (type << 6) | info(field).type; }
  return type;
}
std::uint32_t size_of(const std::vector<Field>& fields) {
  if (fields.size() == 1) { return info(fields.front()).size_bytes; }
  std::uint32_t size = 0;
  for (const Field field : fields) { size += padded_bytes(field); }
  return size;
}

/// nft prints numbers of a set by these. Source: nftables include/datatype.h, enum byteorder.
std::uint32_t byteorder_of(const std::vector<Field>& fields) {
  constexpr std::uint32_t invalid = 0, host = 1, big = 2;
  if (fields.size() != 1) { return invalid; }
  return info(fields.front()).host_byte_order ? host : big;
}

void put_userdata(nftnl_set& set, const SetSpec& spec) {
  const Owned<nftnl_udata_buf, nftnl_udata_buf_free> userdata(nftnl_udata_buf_alloc(64));
  EDGE_ASSERT(userdata != nullptr);
  nftnl_udata_put_u32(userdata.get(), NFTNL_UDATA_SET_KEYBYTEORDER, byteorder_of(spec.key));
  if (!spec.data.empty()) {
    nftnl_udata_put_u32(userdata.get(), NFTNL_UDATA_SET_DATABYTEORDER, byteorder_of(spec.data));
  }
  nftnl_set_set_data(&set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(userdata.get()),
                     nftnl_udata_buf_len(userdata.get()));
}

std::size_t element_bytes(const Element& element) {
  const auto nested = [](const std::string& bytes) {
    return bytes.empty() ? 0 : 8 + ((bytes.size() + 3) & ~std::size_t{3});
  };
  return 4 + nested(element.key) + nested(element.key_end) + nested(element.data);
}

std::uint16_t family_number(TableId table) {
  return table == TableId::inet ? NFPROTO_INET : NFPROTO_BRIDGE;
}

void put_value(nlmsghdr* message, std::uint16_t type, const std::string& bytes) {
  if (bytes.empty()) { return; }
  nlattr* nest = mnl_attr_nest_start(message, type);
  mnl_attr_put(message, NFTA_DATA_VALUE, bytes.size(), bytes.data());
  mnl_attr_nest_end(message, nest);
}

nlmsghdr* at_end(std::vector<char>& bytes, std::size_t used) {
  if (bytes.size() < used + message_bytes_max) {
    bytes.resize(std::max(bytes.size() * 2, used + message_bytes_max));
  }
  return reinterpret_cast<nlmsghdr*>(bytes.data() + used);
}

}  // namespace

Batch::Batch(NetfilterSocket& socket, std::uint32_t generation) : socket_(socket) {
  nlmsghdr* begin =
      nftnl_batch_begin(reinterpret_cast<char*>(at_end(bytes_, 0)), socket_.next_sequence());
  mnl_attr_put_u32(begin, NFNL_BATCH_GENID, htonl(generation));
  steps_.push_back({.sequence = begin->nlmsg_seq,
                    .at = 0,
                    .text = "nft transaction",
                    .elements = {},
                    .set = {}});
  finish(begin);
}

nlmsghdr* Batch::start(TableId table, std::uint16_t type, std::uint16_t flags, std::string text) {
  char* at = reinterpret_cast<char*>(at_end(bytes_, used_));
  nlmsghdr* message =
      nftnl_nlmsg_build_hdr(at, type, family_number(table), flags, socket_.next_sequence());
  steps_.push_back({.sequence = message->nlmsg_seq,
                    .at = used_,
                    .text = std::move(text),
                    .elements = {},
                    .set = {}});
  return message;
}

void Batch::finish(const nlmsghdr* message) { used_ += NLMSG_ALIGN(message->nlmsg_len); }

void Batch::add_table(TableId id) {
  const Owned<nftnl_table, nftnl_table_free> table(nftnl_table_alloc());
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, own_table.c_str());
  nlmsghdr* message = start(id, NFT_MSG_NEWTABLE, NLM_F_CREATE,
                            fmt::format("add table {} {}", family_name(id), own_table));
  nftnl_table_nlmsg_build_payload(message, table.get());
  finish(message);
}

void Batch::remove_table(TableId id) {
  const Owned<nftnl_table, nftnl_table_free> table(nftnl_table_alloc());
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, own_table.c_str());
  nlmsghdr* message =
      start(id, NFT_MSG_DELTABLE, 0, fmt::format("delete table {} {}", family_name(id), own_table));
  nftnl_table_nlmsg_build_payload(message, table.get());
  finish(message);
}

void Batch::add_set(SetId id) {
  const SetSpec& spec = set_specs()[static_cast<std::size_t>(id)];
  const Owned<nftnl_set, nftnl_set_free> set(nftnl_set_alloc());
  std::uint32_t flags = 0;
  if (!spec.data.empty()) { flags |= NFT_SET_MAP; }
  if (spec.interval) { flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT; }
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, own_table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(spec.name).c_str());
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, static_cast<std::uint32_t>(id) + 1);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, flags);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, type_of(spec.key));
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, size_of(spec.key));
  if (!spec.data.empty()) {
    nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_TYPE, type_of(spec.data));
    nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_LEN, size_of(spec.data));
  }
  if (spec.interval) {
    std::array<std::uint8_t, NFT_REG32_COUNT> lengths{};
    for (std::size_t i = 0; i < spec.key.size(); ++i) {
      lengths[i] = static_cast<std::uint8_t>(info(spec.key[i]).size_bytes);
    }
    nftnl_set_set_data(set.get(), NFTNL_SET_DESC_CONCAT, lengths.data(),
                       static_cast<std::uint32_t>(spec.key.size()));
  }
  put_userdata(*set, spec);
  nlmsghdr* message = start(spec.table, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL,
                            fmt::format("add {} {} {} {}", spec.data.empty() ? "set" : "map",
                                        family_name(spec.table), own_table, spec.name));
  nftnl_set_nlmsg_build_payload(message, set.get());
  finish(message);
}

void Batch::add_chain(const Chain& chain) {
  const Owned<nftnl_chain, nftnl_chain_free> made(nftnl_chain_alloc());
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TABLE, own_table.c_str());
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_NAME, chain.name.c_str());
  if (chain.base) {
    nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TYPE, chain.base->type.c_str());
    nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_HOOKNUM,
                        static_cast<std::uint32_t>(chain.base->hook));
    nftnl_chain_set_s32(made.get(), NFTNL_CHAIN_PRIO, chain.base->priority);
    nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  }
  nlmsghdr* message =
      start(chain.table, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL,
            fmt::format("add chain {} {} {}", family_name(chain.table), own_table, chain.name));
  nftnl_chain_nlmsg_build_payload(message, made.get());
  finish(message);
}

void Batch::add_rule(const Rule& rule) {
  const Owned<nftnl_rule, nftnl_rule_free> made(nftnl_rule_alloc());
  nftnl_rule_set_str(made.get(), NFTNL_RULE_TABLE, own_table.c_str());
  nftnl_rule_set_str(made.get(), NFTNL_RULE_CHAIN, rule.chain.c_str());
  nftnl_rule_set_u32(made.get(), NFTNL_RULE_FAMILY, family_number(rule.table));
  for (const Expression& expression : rule.expressions) {
    nftnl_rule_add_expr(made.get(), encode(expression));
  }
  if (!rule.comment.empty()) {
    const Owned<nftnl_udata_buf, nftnl_udata_buf_free> userdata(
        nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
    EDGE_ASSERT(userdata != nullptr && rule.comment.size() < NFTNL_UDATA_COMMENT_MAXLEN);
    nftnl_udata_put_strz(userdata.get(), NFTNL_UDATA_RULE_COMMENT, rule.comment.c_str());
    nftnl_rule_set_data(made.get(), NFTNL_RULE_USERDATA, nftnl_udata_buf_data(userdata.get()),
                        nftnl_udata_buf_len(userdata.get()));
  }
  nlmsghdr* message = start(rule.table, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
                            fmt::format("add rule {} {} {} {}", family_name(rule.table), own_table,
                                        rule.chain, rule.text));
  nftnl_rule_nlmsg_build_payload(message, made.get());
  finish(message);
}

void Batch::put_elements(SetId id, std::span<const Element> elements, bool add) {
  const SetSpec& spec = set_specs()[static_cast<std::size_t>(id)];
  const std::string name(spec.name);
  while (!elements.empty()) {
    const auto type = static_cast<std::uint16_t>(add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
    const auto flags = static_cast<std::uint16_t>(add ? NLM_F_CREATE | NLM_F_EXCL : 0);
    nlmsghdr* message = start(spec.table, type, flags,
                              fmt::format("{} element {} {} {}", add ? "add" : "delete",
                                          family_name(spec.table), own_table, name));
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, own_table.c_str());
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, name.c_str());
    nlattr* list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    std::size_t count = 0;
    for (std::size_t bytes = 0; count < elements.size(); ++count) {
      const Element& element = elements[count];
      bytes += element_bytes(element);
      if (bytes > list_bytes_max) { break; }
      nlattr* nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
      put_value(message, NFTA_SET_ELEM_KEY, element.key);
      put_value(message, NFTA_SET_ELEM_KEY_END, element.key_end);
      if (add) { put_value(message, NFTA_SET_ELEM_DATA, element.data); }
      mnl_attr_nest_end(message, nest);
    }
    mnl_attr_nest_end(message, list);
    steps_.back().elements = elements.first(count);
    steps_.back().set = id;
    finish(message);
    elements = elements.subspan(count);
  }
}

void Batch::add_elements(SetId id, std::span<const Element> elements) {
  put_elements(id, elements, true);
}
void Batch::remove_elements(SetId id, std::span<const Element> elements) {
  put_elements(id, elements, false);
}

/// The kernel points at the element within the message (nf_tables_newsetelem: NL_SET_BAD_ATTR).
std::string Batch::describe(const NetfilterError& error) const {
  const auto step = std::ranges::find(steps_, error.sequence, &Step::sequence);
  if (step == steps_.end()) { return "nft transaction"; }
  if (step->elements.empty()) { return step->text; }
  // Elements are equally laid out: walk them to the offset. Without one, a message of one element
  // is certain.
  const SetSpec& spec = set_specs()[static_cast<std::size_t>(step->set)];
  if (step->elements.size() == 1) {
    return fmt::format("{} {{ {} }}", step->text, element_text(spec, step->elements.front()));
  }
  std::size_t first = NLMSG_HDRLEN + sizeof(nfgenmsg) + 2 * NLA_HDRLEN +
                      NLA_ALIGN(own_table.size() + 1) + NLA_ALIGN(spec.name.size() + 1) +
                      NLA_HDRLEN;
  const bool removal = step->text.starts_with("delete");
  for (const Element& element : step->elements) {
    Element sent = element;
    if (removal) { sent.data.clear(); }
    const std::size_t end = first + element_bytes(sent);
    if (error.offset_bytes >= first && error.offset_bytes < end) {
      return fmt::format("{} {{ {} }}", step->text, element_text(spec, element));
    }
    first = end;
  }
  return fmt::format("{}, one of {} elements", step->text, step->elements.size());
}

Result<void> Batch::commit() {
  EDGE_ASSERT(steps_.size() > 1);
  // Errors come unasked; the acknowledgement of the last message says that all of it was taken.
  reinterpret_cast<nlmsghdr*>(bytes_.data() + steps_.back().at)->nlmsg_flags |= NLM_F_ACK;
  finish(nftnl_batch_end(reinterpret_cast<char*>(at_end(bytes_, used_)), socket_.next_sequence()));
  EDGE_ASSIGN(const auto errors, socket_.send_batch({bytes_.data(), used_}));
  if (errors.empty()) { return {}; }
  const NetfilterError& error = errors.front();
  if (error.os_errno == ERESTART) {
    return fail(Errc::transient, "nft transaction: the ruleset changed meanwhile", ERESTART);
  }
  std::string what = fmt::format("{}: {}", describe(error), std::strerror(error.os_errno));
  if (!error.message.empty()) { what += "; kernel: " + error.message; }
  if (errors.size() > 1) { what += fmt::format(" (and {} more)", errors.size() - 1); }
  return fail(errc_of_errno(error.os_errno), what, error.os_errno);
}

}  // namespace edge::netmodel::nft
