// uplinkctl diag: what a supporter asks for first, in one archive. No key, no certificate, no token
// is in it.
#pragma once

#include "uplink/ctl/session.hpp"

namespace edge::uplink::ctl {

/// Every question that the daemon answers, and the kernel's own view, as files in `invocation.file`
/// (tar.gz). Without a daemon the kernel's view alone is kept. Exit failed: the archive could not
/// be written.
Exit collect_diag(const Invocation& invocation, const Terminal& terminal);

}  // namespace edge::uplink::ctl
