// Persistent taps: made over /dev/net/tun, finished over rtnetlink.
#pragma once

#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// A tap that lives as long as this value, until persist(). So a process that ends in between
/// leaves nothing behind.
class NewTap {
 public:
  /// struct ifreq with TUNSETIFF, TUNSETOWNER. Pre: check_link_name(name).
  /// Errors: conflict when a link of that name exists; not_found without /dev/net/tun.
  static Result<NewTap> create(const std::string& name, const TapAttributes& attributes);
  /// TUNSETPERSIST, then lets go: the tap stays, without carrier until a VM opens it.
  Result<void> persist();

 private:
  explicit NewTap(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace edge::netmodel
