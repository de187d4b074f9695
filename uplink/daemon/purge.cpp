// `uplinkd --purge`: gives the machine back as it was found, without anything that is marked ours.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>

#include "base/unique_fd.hpp"
#include "dhcp/io/child.hpp"
#include "dhcp/io/dhcp_client.hpp"
#include "netmodel/core/plan.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "uplink/daemon/daemon.hpp"
#include "uplink/daemon/hand_back.hpp"
#include "uplink/daemon/originals.hpp"

namespace edge::uplink {

namespace {

/// Gives the virtual address up by itself: left on the bridge it would ride to the adapter with
/// what others have put there, and the peers would wait for three advertisements.
void end_keepalived(const Config& config) {
  boost::asio::io_context io(1);
  auto child = dhcp::Child::adopt(io, config.paths.runtime + "/dhcp/keepalived.lock",
                                  [](const dhcp::ChildExit&) {});
  if (!child) { return; }  // None runs; or who holds its lock will not end below either.
  (*child)->signal(SIGTERM);
  io.run_for(std::chrono::seconds(3));  // Until it has ended; what has not is killed here.
}

/// What a daemon that runs would make again at once, without the folders that we take from it.
Result<void> refuse_beside_daemon(const std::string& socket_path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!fd || socket_path.size() >= sizeof(address.sun_path)) { return fail_errno(errno, "socket"); }
  std::ranges::copy(socket_path, address.sun_path);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd.get(), generic, sizeof(address)) != 0 && errno != EAGAIN) { return {}; }
  return fail(Errc::conflict,
              fmt::format("uplinkd runs ({} answers) and would make everything again; nothing was "
                          "touched: stop it first, for instance systemctl stop uplinkd",
                          socket_path));
}

}  // namespace

Result<std::vector<std::string>> purge(const Config& config) {
  EDGE_TRY(refuse_beside_daemon(config.paths.runtime + "/control.sock"));
  end_keepalived(config);
  EDGE_TRY(dhcp::purge(config.paths.runtime, config.paths.state));
  EDGE_ASSIGN(auto nft, netmodel::NftKernel::create());
  EDGE_ASSIGN(auto kernel, netmodel::RtnetlinkKernel::open(nft.get()));
  std::vector<std::string> written;
  std::string failures;
  // Removing one thing may take another with it; a second look shows what is really left.
  for (int round = 0; round < 3; ++round) {
    failures.clear();
    EDGE_ASSIGN(const auto observed, kernel->dump({}));
    EDGE_ASSIGN(const auto table, kernel->dump_nft());
    const netmodel::Plan plan = netmodel::make_purge_plan(observed, table.has_value());
    if (plan.empty()) { break; }
    for (const auto& operation : plan) {
      const auto applied = kernel->apply(operation);
      if (applied) {
        written.push_back(netmodel::to_text(operation));
      } else if (applied.error().code != Errc::not_found) {
        failures += (failures.empty() ? "" : "; ") + applied.error().what;
      }
    }
  }
  if (!failures.empty()) { return fail(Errc::transient, "not removed: " + failures); }
  HandBack before = HandBack::open(config.paths.state);
  const auto add = [&](const std::vector<std::string>& lines) {
    written.insert(written.end(), lines.begin(), lines.end());
  };
  const auto links = before.restore_links(*kernel);
  EDGE_ASSIGN(const auto restored, OriginalsFile::open(config.paths.state).restore(*kernel));
  EDGE_ASSIGN(const auto sysctls, before.restore_sysctls(*kernel));
  if (!links) { return std::unexpected(links.error()); }
  add(*links);
  add(restored);
  add(sysctls);
  for (const char* name :
       {"last-known.json", "keepalived.conf", "keepalived.read", "resolv.conf"}) {
    ::unlink((config.paths.runtime + "/" + name).c_str());
  }
  return written;
}

}  // namespace edge::uplink
