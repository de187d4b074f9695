// The two slots that renewed identities are kept in, and which of them is the current one.
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"
#include "tunnel/io/tls_context.hpp"
#include "uplink/core/identity_order.hpp"

namespace edge::uplink {

/// What a slot holds.
struct StoredIdentity {
  std::string certificate_pem;
  std::string key_pem;
  std::string ca_pem;
  std::string generation;  ///< As the Console said with it.
  std::string replaces;  ///< Fingerprint of the configured certificate at that time; may be empty.
  bool operator==(const StoredIdentity&) const = default;
};

/// Each slot is one file, `FOLDER/a.json` or `FOLDER/b.json`, and so is the word which one is
/// current, `FOLDER/current`. A file is replaced in one step (written beside, synced, renamed,
/// folder synced), mode 0600 in a folder of 0700: whenever the machine stops, each is the old one
/// or the new one, whole.
/// Threads: one at a time.
class IdentityFiles {
 public:
  static constexpr std::size_t slot_bytes_max = 256 * 1024;

  explicit IdentityFiles(std::string folder) : folder_(std::move(folder)) {}

  /// nullopt: none is, or the file says nothing that is known.
  std::optional<IdentitySource> current() const;
  /// Pre: a slot. Errors: not_found (empty), corrupt, as open(2) and read(2).
  Result<StoredIdentity> read(IdentitySource slot) const;
  /// Pre: a slot, and not the one that is shown. Errors: as open(2), write(2), fsync(2), rename(2);
  /// the slot is what it was, or new.
  Result<void> write(IdentitySource slot, const StoredIdentity& identity) const;
  /// Pre: a slot that has been written. Errors: as write().
  Result<void> set_current(IdentitySource slot) const;

  /// "FOLDER/a.json"
  std::string path_of(IdentitySource slot) const;
  const std::string& folder() const { return folder_; }

 private:
  Result<void> replace(const std::string& name, std::string_view text) const;
  std::string folder_;
};

/// As TLS takes it, named by its file.
tunnel::TlsMaterial material_of(const StoredIdentity& identity, const std::string& path);

}  // namespace edge::uplink
