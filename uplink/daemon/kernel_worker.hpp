// The kernel on a thread of its own: rtnl is one lock for the whole machine, and a bridge deleted
// by anybody holds it for up to seconds (facts: apply, traps); heartbeats must not wait for that.
#pragma once

#include <memory>

#include "netmodel/io/conntrack_port.hpp"
#include "netmodel/io/kernel.hpp"
#include "netmodel/io/nft_port.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "store/io/store_worker.hpp"
#include "uplink/daemon/hand_back.hpp"
#include "uplink/daemon/originals.hpp"

namespace edge::uplink {

/// What the kernel thread owns. Value in, value out; no decisions.
struct KernelBox {
  std::unique_ptr<netmodel::NftPort> nft;
  std::unique_ptr<netmodel::Kernel> kernel;
  /// The machine's own sysctls; nullptr: not kept.
  std::unique_ptr<OriginalsFile> originals;
  /// Its adapters as they were found; nullptr: not kept.
  std::unique_ptr<HandBack> before;

  /// The same object where it is the real one: what only that can tell.
  netmodel::RtnetlinkKernel* rtnetlink = nullptr;

  /// Worker's group commit means nothing here: jobs run one by one.
  template <class Body>
  auto together(Body&& body) {
    return body();
  }
};

using KernelWorker = store::Worker<KernelBox>;

/// Conntrack has a thread of its own: its filtered dump walks the whole table, and commands must
/// not wait behind that at the very moment a cable is pulled.
struct ConntrackBox {
  std::unique_ptr<netmodel::ConntrackPort> conntrack;

  template <class Body>
  auto together(Body&& body) {
    return body();
  }
};

using ConntrackWorker = store::Worker<ConntrackBox>;

}  // namespace edge::uplink
