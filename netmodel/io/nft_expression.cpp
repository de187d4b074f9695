// nft expressions. Source: linux/netfilter/nf_tables.h; registers: nft_parse_register,
// nft_dump_register.
#include "netmodel/io/nft_expression.hpp"

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/assert.hpp"

namespace edge::netmodel::nft {
namespace {

/// Words 0, 4, 8, 12 are the old 128-bit registers 1..4, the others 32-bit registers from 8 on.
std::uint32_t wire(Register word) { return word % 4 == 0 ? 1U + word / 4U : NFT_REG32_00 + word; }
Register word_of(std::uint32_t wire_register) {
  return static_cast<Register>(wire_register < NFT_REG32_00 ? (wire_register - 1) * 4
                                                            : wire_register - NFT_REG32_00);
}

nftnl_expr* make(const char* name) {
  nftnl_expr* made = nftnl_expr_alloc(name);
  EDGE_ASSERT(made != nullptr);  // Only an unknown name or no memory.
  return made;
}
std::uint32_t get(const nftnl_expr& e, std::uint16_t attribute) {
  return nftnl_expr_get_u32(&e, attribute);
}
std::string get_bytes(const nftnl_expr& e, std::uint16_t attribute) {
  std::uint32_t size = 0;
  const void* data = nftnl_expr_get(&e, attribute, &size);
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}
bool has(const nftnl_expr& e, std::uint16_t attribute) { return nftnl_expr_is_set(&e, attribute); }

std::uint32_t kernel_meta(MetaKey key) {
  switch (key) {
    case MetaKey::protocol: return NFT_META_PROTOCOL;
    case MetaKey::mark: return NFT_META_MARK;
    case MetaKey::iifname: return NFT_META_IIFNAME;
    case MetaKey::oifname: return NFT_META_OIFNAME;
    case MetaKey::nfproto: return NFT_META_NFPROTO;
    case MetaKey::l4proto: return NFT_META_L4PROTO;
  }
  EDGE_ASSERT(false);
}
std::optional<MetaKey> meta_key(std::uint32_t key) {
  for (const MetaKey known : {MetaKey::protocol, MetaKey::mark, MetaKey::iifname, MetaKey::oifname,
                              MetaKey::nfproto, MetaKey::l4proto}) {
    if (kernel_meta(known) == key) { return known; }
  }
  return std::nullopt;
}

struct Encoder {
  nftnl_expr* operator()(const MetaLoad& e) const {
    nftnl_expr* made = make("meta");
    nftnl_expr_set_u32(made, NFTNL_EXPR_META_KEY, kernel_meta(e.key));
    nftnl_expr_set_u32(made, NFTNL_EXPR_META_DREG, wire(e.to));
    return made;
  }
  nftnl_expr* operator()(const MarkStore& e) const {
    nftnl_expr* made = make("meta");
    nftnl_expr_set_u32(made, NFTNL_EXPR_META_KEY, NFT_META_MARK);
    nftnl_expr_set_u32(made, NFTNL_EXPR_META_SREG, wire(e.from));
    return made;
  }
  nftnl_expr* operator()(const CtLoad& e) const {
    nftnl_expr* made = make("ct");
    nftnl_expr_set_u32(made, NFTNL_EXPR_CT_KEY, static_cast<std::uint32_t>(e.key));
    nftnl_expr_set_u32(made, NFTNL_EXPR_CT_DREG, wire(e.to));
    return made;
  }
  nftnl_expr* operator()(const CtMarkStore& e) const {
    nftnl_expr* made = make("ct");
    nftnl_expr_set_u32(made, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
    nftnl_expr_set_u32(made, NFTNL_EXPR_CT_SREG, wire(e.from));
    return made;
  }
  nftnl_expr* operator()(const PayloadLoad& e) const {
    nftnl_expr* made = make("payload");
    nftnl_expr_set_u32(made, NFTNL_EXPR_PAYLOAD_BASE, static_cast<std::uint32_t>(e.base));
    nftnl_expr_set_u32(made, NFTNL_EXPR_PAYLOAD_OFFSET, e.offset);
    nftnl_expr_set_u32(made, NFTNL_EXPR_PAYLOAD_LEN, e.size);
    nftnl_expr_set_u32(made, NFTNL_EXPR_PAYLOAD_DREG, wire(e.to));
    return made;
  }
  nftnl_expr* operator()(const FibDestinationType& e) const {
    nftnl_expr* made = make("fib");
    nftnl_expr_set_u32(made, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nftnl_expr_set_u32(made, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
    nftnl_expr_set_u32(made, NFTNL_EXPR_FIB_DREG, wire(e.to));
    return made;
  }
  nftnl_expr* operator()(const Compare& e) const {
    nftnl_expr* made = make("cmp");
    nftnl_expr_set_u32(made, NFTNL_EXPR_CMP_SREG, wire(e.from));
    nftnl_expr_set_u32(made, NFTNL_EXPR_CMP_OP, e.equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    nftnl_expr_set(made, NFTNL_EXPR_CMP_DATA, e.value.data(),
                   static_cast<std::uint32_t>(e.value.size()));
    return made;
  }
  nftnl_expr* operator()(const Mask& e) const {
    nftnl_expr* made = make("bitwise");
    const auto size = static_cast<std::uint32_t>(e.mask.size());
    const std::string zero(e.mask.size(), '\0');
    nftnl_expr_set_u32(made, NFTNL_EXPR_BITWISE_SREG, wire(e.reg));
    nftnl_expr_set_u32(made, NFTNL_EXPR_BITWISE_DREG, wire(e.reg));
    nftnl_expr_set_u32(made, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(made, NFTNL_EXPR_BITWISE_LEN, size);
    nftnl_expr_set(made, NFTNL_EXPR_BITWISE_MASK, e.mask.data(), size);
    nftnl_expr_set(made, NFTNL_EXPR_BITWISE_XOR, zero.data(), size);
    return made;
  }
  nftnl_expr* operator()(const ToBigEndian& e) const {
    nftnl_expr* made = make("byteorder");
    nftnl_expr_set_u32(made, NFTNL_EXPR_BYTEORDER_SREG, wire(e.reg));
    nftnl_expr_set_u32(made, NFTNL_EXPR_BYTEORDER_DREG, wire(e.reg));
    nftnl_expr_set_u32(made, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    nftnl_expr_set_u32(made, NFTNL_EXPR_BYTEORDER_LEN, 4);
    nftnl_expr_set_u32(made, NFTNL_EXPR_BYTEORDER_SIZE, 4);
    return made;
  }
  nftnl_expr* operator()(const Lookup& e) const {
    nftnl_expr* made = make("lookup");
    nftnl_expr_set_u32(made, NFTNL_EXPR_LOOKUP_SREG, wire(e.from));
    nftnl_expr_set_str(made, NFTNL_EXPR_LOOKUP_SET, e.set.c_str());
    if (e.to) { nftnl_expr_set_u32(made, NFTNL_EXPR_LOOKUP_DREG, wire(*e.to)); }
    return made;
  }
  nftnl_expr* operator()(const Dnat& e) const {
    nftnl_expr* made = make("nat");
    nftnl_expr_set_u32(made, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
    nftnl_expr_set_u32(made, NFTNL_EXPR_NAT_FAMILY,
                       e.family == Family::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    nftnl_expr_set_u32(made, NFTNL_EXPR_NAT_REG_ADDR_MIN, wire(e.address));
    nftnl_expr_set_u32(made, NFTNL_EXPR_NAT_REG_PROTO_MIN, wire(e.port));
    return made;
  }
  nftnl_expr* operator()(const Masquerade&) const { return make("masq"); }
  nftnl_expr* operator()(const Counter&) const { return make("counter"); }
  nftnl_expr* operator()(const Verdict& e) const {
    nftnl_expr* made = make("immediate");
    nftnl_expr_set_u32(made, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(made, NFTNL_EXPR_IMM_VERDICT,
                       static_cast<std::uint32_t>(static_cast<int>(e.kind)));
    if (!e.chain.empty()) { nftnl_expr_set_str(made, NFTNL_EXPR_IMM_CHAIN, e.chain.c_str()); }
    return made;
  }
  nftnl_expr* operator()(const Foreign&) const { EDGE_ASSERT(false); }
};

std::string text_of(const nftnl_expr& e) {
  std::array<char, 256> text{};
  nftnl_expr_snprintf(text.data(), text.size(), &e, NFTNL_OUTPUT_DEFAULT, 0);
  const char* name = nftnl_expr_get_str(&e, NFTNL_EXPR_NAME);
  return std::string(name == nullptr ? "" : name) + " " + text.data();
}

/// Each returns nullopt for attributes that we never write.
std::optional<Expression> decode_meta(const nftnl_expr& e) {
  if (has(e, NFTNL_EXPR_META_SREG)) {
    if (get(e, NFTNL_EXPR_META_KEY) != NFT_META_MARK) { return std::nullopt; }
    return MarkStore{word_of(get(e, NFTNL_EXPR_META_SREG))};
  }
  const auto key = meta_key(get(e, NFTNL_EXPR_META_KEY));
  if (!key) { return std::nullopt; }
  return MetaLoad{*key, word_of(get(e, NFTNL_EXPR_META_DREG))};
}

std::optional<Expression> decode_ct(const nftnl_expr& e) {
  const std::uint32_t key = get(e, NFTNL_EXPR_CT_KEY);
  if (has(e, NFTNL_EXPR_CT_SREG)) {
    if (key != NFT_CT_MARK) { return std::nullopt; }
    return CtMarkStore{word_of(get(e, NFTNL_EXPR_CT_SREG))};
  }
  if (key > NFT_CT_MARK || has(e, NFTNL_EXPR_CT_DIR)) { return std::nullopt; }
  return CtLoad{static_cast<CtKey>(key), word_of(get(e, NFTNL_EXPR_CT_DREG))};
}

std::optional<Expression> decode_payload(const nftnl_expr& e) {
  const std::uint32_t base = get(e, NFTNL_EXPR_PAYLOAD_BASE);
  const bool known = base == NFT_PAYLOAD_LL_HEADER || base == NFT_PAYLOAD_NETWORK_HEADER ||
                     base == NFT_PAYLOAD_TRANSPORT_HEADER;
  if (!known || has(e, NFTNL_EXPR_PAYLOAD_SREG)) { return std::nullopt; }
  return PayloadLoad{static_cast<PayloadBase>(base), get(e, NFTNL_EXPR_PAYLOAD_OFFSET),
                     get(e, NFTNL_EXPR_PAYLOAD_LEN), word_of(get(e, NFTNL_EXPR_PAYLOAD_DREG))};
}

std::optional<Expression> decode_fib(const nftnl_expr& e) {
  const bool ours = get(e, NFTNL_EXPR_FIB_RESULT) == NFT_FIB_RESULT_ADDRTYPE &&
                    get(e, NFTNL_EXPR_FIB_FLAGS) == NFTA_FIB_F_DADDR;
  if (!ours) { return std::nullopt; }
  return FibDestinationType{word_of(get(e, NFTNL_EXPR_FIB_DREG))};
}

std::optional<Expression> decode_compare(const nftnl_expr& e) {
  const std::uint32_t operation = get(e, NFTNL_EXPR_CMP_OP);
  if (operation != NFT_CMP_EQ && operation != NFT_CMP_NEQ) { return std::nullopt; }
  return Compare{word_of(get(e, NFTNL_EXPR_CMP_SREG)), operation == NFT_CMP_EQ,
                 get_bytes(e, NFTNL_EXPR_CMP_DATA)};
}

std::optional<Expression> decode_mask(const nftnl_expr& e) {
  const std::string mask = get_bytes(e, NFTNL_EXPR_BITWISE_MASK);
  const bool ours = get(e, NFTNL_EXPR_BITWISE_SREG) == get(e, NFTNL_EXPR_BITWISE_DREG) &&
                    get(e, NFTNL_EXPR_BITWISE_OP) == NFT_BITWISE_BOOL &&
                    get_bytes(e, NFTNL_EXPR_BITWISE_XOR) == std::string(mask.size(), '\0');
  if (!ours) { return std::nullopt; }
  return Mask{word_of(get(e, NFTNL_EXPR_BITWISE_SREG)), mask};
}

std::optional<Expression> decode_byteorder(const nftnl_expr& e) {
  const std::uint32_t from = get(e, NFTNL_EXPR_BYTEORDER_SREG);
  const bool ours = from == get(e, NFTNL_EXPR_BYTEORDER_DREG) &&
                    get(e, NFTNL_EXPR_BYTEORDER_OP) == NFT_BYTEORDER_HTON &&
                    get(e, NFTNL_EXPR_BYTEORDER_LEN) == 4 && get(e, NFTNL_EXPR_BYTEORDER_SIZE) == 4;
  if (!ours) { return std::nullopt; }
  return ToBigEndian{word_of(from)};
}

std::optional<Expression> decode_lookup(const nftnl_expr& e) {
  if (get(e, NFTNL_EXPR_LOOKUP_FLAGS) != 0) { return std::nullopt; }  // An inverted match.
  Lookup lookup{
      word_of(get(e, NFTNL_EXPR_LOOKUP_SREG)), nftnl_expr_get_str(&e, NFTNL_EXPR_LOOKUP_SET), {}};
  if (has(e, NFTNL_EXPR_LOOKUP_DREG)) { lookup.to = word_of(get(e, NFTNL_EXPR_LOOKUP_DREG)); }
  return lookup;
}

/// The kernel fills in the upper bounds of ranges; its flags say how ports are chosen, which we
/// never ask.
std::optional<Expression> decode_nat(const nftnl_expr& e) {
  const auto same_as = [&](std::uint16_t max, std::uint16_t min) {
    return !has(e, max) || get(e, max) == get(e, min);
  };
  constexpr std::uint32_t range_flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED;
  const std::uint32_t family = get(e, NFTNL_EXPR_NAT_FAMILY);
  const bool ours = get(e, NFTNL_EXPR_NAT_TYPE) == NFT_NAT_DNAT &&
                    (family == NFPROTO_IPV4 || family == NFPROTO_IPV6) &&
                    same_as(NFTNL_EXPR_NAT_REG_ADDR_MAX, NFTNL_EXPR_NAT_REG_ADDR_MIN) &&
                    same_as(NFTNL_EXPR_NAT_REG_PROTO_MAX, NFTNL_EXPR_NAT_REG_PROTO_MIN) &&
                    (get(e, NFTNL_EXPR_NAT_FLAGS) & ~range_flags) == 0;
  if (!ours) { return std::nullopt; }
  return Dnat{family == NFPROTO_IPV4 ? Family::v4 : Family::v6,
              word_of(get(e, NFTNL_EXPR_NAT_REG_ADDR_MIN)),
              word_of(get(e, NFTNL_EXPR_NAT_REG_PROTO_MIN))};
}

std::optional<Expression> decode_masquerade(const nftnl_expr& e) {
  const bool plain = get(e, NFTNL_EXPR_MASQ_FLAGS) == 0 && !has(e, NFTNL_EXPR_MASQ_REG_PROTO_MIN);
  if (!plain) { return std::nullopt; }
  return Masquerade{};
}

std::optional<Expression> decode_immediate(const nftnl_expr& e) {
  if (get(e, NFTNL_EXPR_IMM_DREG) != NFT_REG_VERDICT) { return std::nullopt; }
  const int verdict = static_cast<int>(get(e, NFTNL_EXPR_IMM_VERDICT));
  for (const VerdictKind kind :
       {VerdictKind::accept, VerdictKind::drop, VerdictKind::jump, VerdictKind::return_}) {
    if (static_cast<int>(kind) != verdict) { continue; }
    const char* chain = nftnl_expr_get_str(&e, NFTNL_EXPR_IMM_CHAIN);
    return Verdict{kind, chain == nullptr ? "" : chain};
  }
  return std::nullopt;
}

std::optional<Expression> decode_known(const nftnl_expr& e) {
  const std::string_view name = nftnl_expr_get_str(&e, NFTNL_EXPR_NAME);
  if (name == "meta") { return decode_meta(e); }
  if (name == "ct") { return decode_ct(e); }
  if (name == "payload") { return decode_payload(e); }
  if (name == "fib") { return decode_fib(e); }
  if (name == "cmp") { return decode_compare(e); }
  if (name == "bitwise") { return decode_mask(e); }
  if (name == "byteorder") { return decode_byteorder(e); }
  if (name == "lookup") { return decode_lookup(e); }
  if (name == "nat") { return decode_nat(e); }
  if (name == "masq") { return decode_masquerade(e); }
  if (name == "counter") { return Counter{}; }
  if (name == "immediate") { return decode_immediate(e); }
  return std::nullopt;
}

/// nft 1.0 swaps single bytes in interval keys: `byteorder reg 9 = hton(reg 9, 2, 1)` moves no
/// byte.
bool does_nothing(const nftnl_expr& e) {
  return std::string_view(nftnl_expr_get_str(&e, NFTNL_EXPR_NAME)) == "byteorder" &&
         get(e, NFTNL_EXPR_BYTEORDER_LEN) < get(e, NFTNL_EXPR_BYTEORDER_SIZE) &&
         get(e, NFTNL_EXPR_BYTEORDER_SREG) == get(e, NFTNL_EXPR_BYTEORDER_DREG);
}

std::string comment_of(const nftnl_rule& rule) {
  std::uint32_t size = 0;
  const void* data = nftnl_rule_get_data(&rule, NFTNL_RULE_USERDATA, &size);
  if (data == nullptr) { return {}; }
  // Type, length, value; nft writes the terminating zero into the value.
  const std::string_view bytes(static_cast<const char*>(data), size);
  for (std::size_t at = 0; at + 2 <= bytes.size();) {
    const auto length = static_cast<std::uint8_t>(bytes[at + 1]);
    if (at + 2 + length > bytes.size()) { break; }
    const auto value = bytes.substr(at + 2, length);
    if (bytes[at] == NFTNL_UDATA_RULE_COMMENT) {
      return std::string(value.substr(0, value.find('\0')));
    }
    at += 2U + length;
  }
  return {};
}

}  // namespace

nftnl_expr* encode(const Expression& expression) { return std::visit(Encoder{}, expression); }

Expression decode(const nftnl_expr& expression) {
  auto known = decode_known(expression);
  return known ? *std::move(known) : Expression(Foreign{text_of(expression)});
}

Rule decode(const nftnl_rule& rule) {
  Rule decoded{.chain = nftnl_rule_get_str(&rule, NFTNL_RULE_CHAIN),
               .text = {},
               .comment = comment_of(rule),
               .expressions = {}};
  const auto each = [](nftnl_expr* e, void* to) {
    auto& into = *static_cast<Rule*>(to);
    const std::string text = text_of(*e);
    into.text += (into.text.empty() ? "[ " : " [ ") + text + " ]";
    if (!does_nothing(*e)) { into.expressions.push_back(decode(*e)); }
    return 0;
  };
  nftnl_expr_foreach(const_cast<nftnl_rule*>(&rule), each, &decoded);
  return decoded;
}

}  // namespace edge::netmodel::nft
