// Reads our table back and says in the model's words what it shows, and where it is not as we made
// it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/error.hpp"
#include "netmodel/core/nft_state.hpp"
#include "netmodel/core/nft_table.hpp"
#include "netmodel/io/nft_socket.hpp"

namespace edge::netmodel::nft {

/// Number of the ruleset in this network namespace; every transaction of anyone raises it.
Result<std::uint32_t> read_generation(NetfilterSocket& socket);

struct Reading {
  std::uint32_t generation = 0;
  std::optional<NftState> state;                ///< Canonical; nullopt: neither table is there.
  std::array<bool, table_ids.size()> tables{};  ///< Which are there. By TableId.
};
/// One consistent view. Errors: transient when the ruleset changed under five attempts.
Result<Reading> read_table(NetfilterSocket& socket);

}  // namespace edge::netmodel::nft
