// Which nftables tables of others there are: to be told, never touched.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace edge::netmodel {

/// "ip nat", "inet firewalld" ...: all but ours, in the kernel's order. iptables-nft's are among
/// them. In the calling thread's network namespace. Errors: the errno.
Result<std::vector<std::string>> foreign_nft_tables();

}  // namespace edge::netmodel
