// The real kernel of this network namespace: rtnetlink, /dev/net/tun, /proc/sys, and nft by
// delegation.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netmodel/io/fdb.hpp"
#include "netmodel/io/kernel.hpp"
#include "netmodel/io/link.hpp"
#include "netmodel/io/neighbour.hpp"
#include "netmodel/io/netlink_socket.hpp"
#include "netmodel/io/nft_port.hpp"

namespace edge::netmodel {

/// What this kernel can do beyond the common ground. Asked once at start.
struct KernelFeatures {
  bool vlan_filtering = false;  ///< CONFIG_BRIDGE_VLAN_FILTERING.
  bool ipv6 = false;            ///< /proc/sys/net/ipv6 exists.
  bool operator==(const KernelFeatures&) const = default;
};

/// Kernel over libnl-3. Writes carry NLM_F_ACK, answers the kernel's extack text; dumps are strict
/// (NETLINK_GET_STRICT_CHK), without link statistics, and repeated when interrupted.
///
/// Time:    none.
/// Threads: any one thread at a time; it must be in the namespace in which open() ran (/proc/sys).
class RtnetlinkKernel final : public Kernel {
 public:
  /// `nft` must outlive the kernel; nullptr: CommitNft, DeleteNft and dump_nft fail with
  /// unsupported. Errors: denied, or the errno of the socket.
  static Result<std::unique_ptr<RtnetlinkKernel>> open(NftPort* nft);

  Result<ObservedState> dump(std::span<const std::string> sysctls) override;
  Result<std::vector<Sysctl>> read_sysctls(std::span<const std::string> paths) override;
  Result<std::optional<NftState>> dump_nft() override;
  Result<void> apply(const Operation& operation) override;

  /// Makes and deletes a bridge "gallium-probe" (about 20 ms).
  Result<KernelFeatures> probe_features();

  /// The entry of `address` on `link`; nullopt: the kernel has none.
  Result<std::optional<Neighbour>> find_neighbour(const std::string& link,
                                                  const IpAddress& address);

  /// What the ports of a bridge have heard in the last minutes: the guests, and on the uplink
  /// everybody else. The host's own addresses are left out. In order.
  Result<std::vector<LearnedMac>> learned_macs(const std::string& bridge);

  /// The bridge of `port` does not send to this MAC by it any more, until it is heard there again.
  /// It is no error when it had not learned it.
  Result<void> forget_mac(const std::string& port, const MacAddress& mac);

  /// A planned switch: `member` becomes the active one of an active-backup bond. Errors:
  /// invalid_input when it is no member, or has no carrier.
  Result<void> switch_bond(const std::string& bond, const std::string& member);

  /// Write requests sent so far (netlink, tun ioctl sequences, sysctl files, nft batches).
  std::uint64_t writes() const { return writes_; }

  /// Netlink port id of our requests. Notifications of our own writes carry it: LinkMonitor
  /// reports them as `by_us`.
  std::uint32_t port_id() const { return socket_.port_id(); }

 private:
  RtnetlinkKernel(NetlinkSocket socket, NftPort* nft);

  Result<void> write(const CreateLink& operation);
  Result<void> write(const ChangeLink& operation);
  Result<void> write(const DeleteLink& operation);
  Result<void> write(const SetVlans& operation);
  Result<void> write(const AddAddress& operation);
  Result<void> write(const RemoveAddress& operation);
  Result<void> write(const AddRoute& operation);
  Result<void> write(const RemoveRoute& operation);
  Result<void> write(const AddRule& operation);
  Result<void> write(const RemoveRule& operation);
  Result<void> write(const SetSysctl& operation);
  Result<void> write(const CommitNft& operation);
  Result<void> write(const DeleteNft& operation);

  Result<void> create_device(const Link& link, std::uint32_t other_index);
  Result<void> create_tap(const Link& link);
  Result<void> change_link(const DecodedLink& link, const ChangeLink& change, bool set_our_group);
  Result<void> change_membership(const DecodedLink& link, const ChangeLink& change,
                                 const ChangeReferences& references, bool joins_bond);
  Result<void> send(NlMessage message);
  Result<bool> address_is_ours(const Address& wanted, IfIndex index);
  Result<DecodedLink> find_link(const std::string& name);
  Result<IfIndex> index_of(const std::string& name);
  Result<std::uint32_t> index_or_zero(const std::string& name);
  Result<std::optional<IfIndex>> index_of_route_link(const Route& route);
  Result<void> dump_links(std::vector<ObservedLink>& links);
  void read_speeds(std::vector<DecodedLink>& links);
  Result<void> dump_vlans(std::vector<ObservedLink>& links);
  Result<std::vector<Rule>> dump_rules(Family family);

  /// What the driver said, and the carrier's history when it said so.
  struct Speed {
    std::uint32_t carrier_changes = 0;
    std::uint32_t mbps = 0;
  };

  NetlinkSocket socket_;
  NftPort* nft_;
  std::map<std::uint32_t, Speed> speeds_;  ///< By ifindex.
  std::uint64_t writes_ = 0;
};

}  // namespace edge::netmodel
