// The store at the start of the daemon: opened, or done without; rebuilt where it was lost.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "netmodel/core/nft_state.hpp"
#include "netmodel/core/state.hpp"
#include "store/io/store.hpp"
#include "uplink/core/config.hpp"
#include "uplink/core/last_known.hpp"

namespace edge::uplink {

/// What the start found out about the store.
struct StoreStart {
  store::Standing standing;
  /// Not 0: what was run before is not known. Commands that the Console may be repeating are not
  /// run until it has the event of this number, which says so.
  std::int64_t settle_event = 0;
  /// Links of ours that nothing explains: left alone until a model.replace.
  std::set<std::string> kept;
  /// This start found that the store is behind: what it says is under way was over long ago.
  bool older_copy = false;
  std::string file;    ///< Of the store, whether it can be used or not.
  std::string folder;  ///< Where it is; the children use another one while it cannot be written.
};

/// A setting: JSON array of StoreStart::kept, as the next start finds it. "[]" from the commit on
/// that ends a model.replace.
inline constexpr std::string_view kept_links_setting = "kept_links";

std::string store_path(const Config& config);

/// The store on disk; where that cannot be opened or written (read-only, full, unreadable), one in
/// memory. Errors: unsupported (written by a newer program), conflict (another program's file).
Result<store::Store> open_store(const Config& config);

/// A store that lost its content, by accident or by its disk, gets back what the kernel and the
/// file of the last known model still say: routing tables under their numbers, the model, and the
/// event `store.lost`. What an old copy of it holds unfinished ends as indeterminate: the life that
/// went on from there may have run it. On a first start, and where nothing was lost, it changes
/// nothing. `host_id`: a file of another host is not believed.
Result<StoreStart> rebuild_store(store::Store& store, const Config& config,
                                 const std::string& host_id,
                                 const netmodel::ObservedState& observed,
                                 const std::optional<netmodel::NftState>& nft);

/// Of the two copies the newer one; nullopt: there is none that can be read.
std::optional<LastKnown> read_last_known(const Config& config, const std::string& host_id);
/// Errors: of the copy beside the store too; the one in the runtime folder is written first.
Result<void> write_last_known(const std::string& runtime_folder, const std::string& state_folder,
                              const std::string& text);

}  // namespace edge::uplink
