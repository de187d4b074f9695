// Rule expressions: between our values and libnftnl's objects, encode beside decode.
#pragma once

#include <string>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/state.hpp"

struct nftnl_expr;
struct nftnl_rule;

namespace edge::netmodel::nft {

/// As C's libraries want it: ended by a zero.
inline const std::string own_table(our_nft_table);

/// Pre: not Foreign. The result belongs to the caller (usually a nftnl_rule takes it).
nftnl_expr* encode(const Expression& expression);

/// Foreign with libnftnl's text for whatever we would never write.
Expression decode(const nftnl_expr& expression);

/// Chain, expressions and comment; `text` is the expressions as libnftnl prints them.
Rule decode(const nftnl_rule& rule);

}  // namespace edge::netmodel::nft
