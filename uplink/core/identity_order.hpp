// Which of a host's identities is shown first. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edge::uplink {

/// Where an identity is from: the files that uplink.toml names, or one of the two slots that
/// renewals are written into.
enum class IdentitySource : std::uint8_t { configured, slot_a, slot_b };
/// "uplink.toml", "slot a", "slot b".
std::string_view to_string(IdentitySource source);
/// The slot that a renewal may overwrite: never the one that is shown.
IdentitySource spare_of(std::optional<IdentitySource> shown, std::optional<IdentitySource> current);

/// What is seen of one that can be read and is whole.
struct IdentitySight {
  bool in_date = true;      ///< By this machine's clock.
  std::string fingerprint;  ///< Of its certificate.
  std::string replaces;     ///< Slots: fingerprint of the configured one when it was renewed.
};

/// All that are there, best first; empty when none is.
/// - What is in date goes before what is not.
/// - The current slot, then the other one, then the files of uplink.toml.
/// - But files that are other ones than at the last renewal go first: a person put them there.
std::vector<IdentitySource> identity_order(const std::map<IdentitySource, IdentitySight>& seen,
                                           std::optional<IdentitySource> current);

}  // namespace edge::uplink
