// What the store knew when the daemon started.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/net.hpp"
#include "netmodel/core/model.hpp"
#include "store/io/store.hpp"
#include "uplink/daemon/open_store.hpp"

namespace edge::uplink {

struct Memory {
  store::Identity identity;
  std::vector<store::AdapterRecord> adapters;
  std::vector<store::LeaseRecord> leases;
  std::vector<store::CommandRecord> unfinished;
  netmodel::Model model;
  std::int64_t revision = 0;
  std::int64_t highest_revision = 0;              ///< Number ever given, also to what did not stay.
  std::vector<store::RevisionSummary> revisions;  ///< Newest first.
  std::map<std::string, IpPrefix> automatic_subnets;
  std::string own_mtus;
  std::vector<std::string> notes;  ///< To be said as events once the log stands.
  StoreStart store;
};

/// Reads everything that is needed to start, but for `store`. Pre: the store is
/// open. Errors: as the store; a model that cannot be read falls back to the revision before it.
Result<Memory> remember(store::Store& store);

/// What `Memory::automatic_subnets` is read from at the next start. Errors: as the store.
Result<void> keep_subnets(store::Store& store, const std::map<std::string, IpPrefix>& subnets);

/// What a start takes up of what is unfinished. In memory nothing can be ended: it waits for the
/// file, but for the undo of a trial, which is shown all the same. Only its end has to wait. Of an
/// older copy nothing is: its trial was over long ago, and what stands is what was rebuilt.
std::vector<store::CommandRecord> taken_up(std::vector<store::CommandRecord> unfinished,
                                           const store::Standing& standing, bool older_copy);

/// One of them was being tried out: its undo has to be shown.
bool has_undo(const std::vector<store::CommandRecord>& commands);

}  // namespace edge::uplink
