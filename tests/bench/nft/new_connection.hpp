// What the first packet of a connection costs, by the number of publications.
#pragma once

#include "netmodel/io/nft_kernel.hpp"

namespace edge::netmodel {

/// Prints a line of JSON per size. Pre: an own network namespace, in which `nft` was created.
void new_connections(NftKernel& nft);

}  // namespace edge::netmodel
