// The CA for hosts, as console.toml names it.
#pragma once

#include <memory>

#include "console/config.hpp"
#include "tunnel/io/identity.hpp"

namespace edge::console {

/// null: no [signer]. Errors: one line with the file and what is wrong with it.
Result<std::shared_ptr<const tunnel::IdentitySigner>> open_signer(const Config& config);

}  // namespace edge::console
