// Reads the carrier of one link without waiting for netlink, which may be a second late.
#include "netmodel/io/carrier_reader.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

#include "netmodel/io/link.hpp"

namespace edge::netmodel {
namespace {

constexpr int open_flags = O_RDONLY | O_CLOEXEC;
constexpr int baseline_attempts_max = 16;

/// A sysfs file of one number, decimal or 0x-hexadecimal.
Result<std::uint32_t> read_number(int fd) {
  std::array<char, 32> buffer;
  const ssize_t size = ::pread(fd, buffer.data(), buffer.size(), 0);
  if (size < 0) { return fail_errno(errno, "read sysfs"); }
  std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) { text.remove_prefix(2); }
  std::uint32_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (parsed.ec != std::errc{}) { return fail(Errc::corrupt, "sysfs: not a number"); }
  return value;
}

Result<UniqueFd> open_attribute(const SysfsNet& sysfs, const std::string& link,
                                std::string_view attribute) {
  const std::string path = link + "/" + std::string(attribute);
  UniqueFd fd(::openat(sysfs.directory(), path.c_str(), open_flags));
  if (!fd) { return fail_errno(errno, "open sysfs " + path); }
  return fd;
}

Result<DecodedLink> get_link(NetlinkSocket& socket, IfIndex index) {
  const NlMessage request = encode_link_get(index);
  EDGE_ASSIGN(const auto answer, socket.get(*request));
  std::optional<DecodedLink> link;
  for_each_message(answer, [&](const MessageView& view) { link = decode_link(view); });
  if (!link) { return fail(Errc::corrupt, "unreadable link"); }
  return std::move(*link);
}

}  // namespace

Result<SysfsNet> SysfsNet::open() {
  // A mount that is attached nowhere: shows the namespace of the caller, ends with its last fd.
  const UniqueFd context(::fsopen("sysfs", FSOPEN_CLOEXEC));
  if (context && ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    const UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
    if (mount) {
      UniqueFd directory(::openat(mount.get(), "class/net", open_flags | O_DIRECTORY));
      if (directory) { return SysfsNet(std::move(directory), true); }
    }
  }
  UniqueFd directory(::open("/sys/class/net", open_flags | O_DIRECTORY));
  if (!directory) { return fail_errno(errno, "open /sys/class/net"); }
  return SysfsNet(std::move(directory), false);
}

Result<CarrierReader> CarrierReader::open(const SysfsNet* sysfs, std::string name, IfIndex index) {
  EDGE_TRY(check_link_name(name));
  CarrierReader reader(std::move(name), index);
  EDGE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open());
  EDGE_TRY(reader.take_baseline(socket));
  if (sysfs == nullptr || !reader.open_sysfs(*sysfs)) {  // Any reason: netlink knows the link.
    reader.netlink_ = std::make_unique<NetlinkSocket>(std::move(socket));
  }
  return reader;
}

Result<void> CarrierReader::open_sysfs(const SysfsNet& sysfs) {
  EDGE_ASSIGN(const UniqueFd index_file, open_attribute(sysfs, name_, "ifindex"));
  EDGE_ASSIGN(const std::uint32_t index, read_number(index_file.get()));
  if (index != index_.value) { return fail(Errc::not_found, "sysfs shows another link"); }
  EDGE_ASSIGN(flags_, open_attribute(sysfs, name_, "flags"));
  EDGE_ASSIGN(up_count_, open_attribute(sysfs, name_, "carrier_up_count"));
  EDGE_ASSIGN(down_count_, open_attribute(sysfs, name_, "carrier_down_count"));
  return {};
}

/// IFLA_CARRIER is the bare bit, also while the link is admin down; two equal answers in a row make
/// sure that bit and counters belong together.
Result<void> CarrierReader::take_baseline(NetlinkSocket& socket) {
  std::optional<std::uint32_t> previous;
  for (int attempt = 0; attempt < baseline_attempts_max; ++attempt) {
    EDGE_ASSIGN(const DecodedLink link, get_link(socket, index_));
    if (link.observed.link.name != name_) {
      return fail(Errc::not_found, "link " + name_ + " is gone");
    }
    const std::uint32_t changes = link.carrier_up_count + link.observed.carrier_down_count;
    baseline_carrier_ = link.carrier_bit;
    baseline_changes_ = changes;
    if (previous == changes) { return {}; }
    previous = changes;
  }
  return {};  // Flaps on and on: the next netlink event resyncs.
}

void CarrierReader::resync(bool carrier, std::uint32_t up_count, std::uint32_t down_count) {
  baseline_carrier_ = carrier;
  baseline_changes_ = up_count + down_count;
}

Result<CarrierReading> CarrierReader::read() {
  return uses_sysfs() ? read_sysfs() : read_netlink();
}

Result<CarrierReading> CarrierReader::read_sysfs() const {
  EDGE_ASSIGN(const std::uint32_t flags, read_number(flags_.get()));
  EDGE_ASSIGN(const std::uint32_t ups, read_number(up_count_.get()));
  EDGE_ASSIGN(const std::uint32_t downs, read_number(down_count_.get()));
  const bool toggled = ((ups + downs - baseline_changes_) & 1U) != 0;
  const bool admin_up = (flags & IFF_UP) != 0;
  return CarrierReading{.admin_up = admin_up,
                        .carrier = admin_up && baseline_carrier_ != toggled,
                        .down_count = downs};
}

Result<CarrierReading> CarrierReader::read_netlink() {
  EDGE_ASSIGN(const DecodedLink link, get_link(*netlink_, index_));
  return CarrierReading{.admin_up = link.observed.link.admin_up,
                        .carrier = link.observed.carrier,
                        .down_count = link.observed.carrier_down_count};
}

}  // namespace edge::netmodel
