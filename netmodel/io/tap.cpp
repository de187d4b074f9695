// Persistent taps: made over /dev/net/tun, finished over rtnetlink.
#include "netmodel/io/tap.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "base/assert.hpp"

namespace edge::netmodel {
namespace {
// linux/if_tun.h, uint16 flag: refuse to attach to a tap that exists.
constexpr short tun_exclusive = static_cast<short>(IFF_TUN_EXCL);
}  // namespace

Result<NewTap> NewTap::create(const std::string& name, const TapAttributes& attributes) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!fd) { return fail_errno(errno, "open /dev/net/tun"); }
  ifreq request{};
  EDGE_ASSERT(name.size() < sizeof request.ifr_name);
  std::memcpy(request.ifr_name, name.data(), name.size());
  int flags = IFF_TAP | IFF_NO_PI | tun_exclusive;
  if (attributes.vnet_hdr) { flags |= IFF_VNET_HDR; }
  if (attributes.multi_queue) { flags |= IFF_MULTI_QUEUE; }
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    // EBUSY: a tap of that name; EINVAL: a link of another kind has it.
    return fail_errno(errno == EINVAL ? EEXIST : errno, "TUNSETIFF");
  }
  if (::ioctl(fd.get(), TUNSETOWNER, static_cast<unsigned long>(attributes.owner_uid)) != 0) {
    return fail_errno(errno, "TUNSETOWNER");
  }
  return NewTap(std::move(fd));
}

Result<void> NewTap::persist() {
  if (::ioctl(fd_.get(), TUNSETPERSIST, 1UL) != 0) { return fail_errno(errno, "TUNSETPERSIST"); }
  fd_.reset();
  return {};
}

}  // namespace edge::netmodel
