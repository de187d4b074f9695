// Builds one rtnetlink request over libnl's nl_msg.
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "base/assert.hpp"
#include "base/net.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// Our requests are far smaller than a message's page, so a put that fails is a broken invariant:
/// names and aliases are checked for length before.
class MessageBuilder {
 public:
  template <class Fixed>
    requires std::is_trivially_copyable_v<Fixed>
  MessageBuilder(std::uint16_t type, int flags, const Fixed& fixed)
      : message_(nlmsg_alloc_simple(type, flags)) {
    EDGE_ASSERT(message_ != nullptr);
    Fixed copy = fixed;
    EDGE_ASSERT(nlmsg_append(message_.get(), &copy, sizeof copy, NLMSG_ALIGNTO) == 0);
  }

  MessageBuilder& u8(int type, std::uint8_t value) { return raw(type, &value, sizeof value); }
  MessageBuilder& u16(int type, std::uint16_t value) { return raw(type, &value, sizeof value); }
  MessageBuilder& u32(int type, std::uint32_t value) { return raw(type, &value, sizeof value); }
  MessageBuilder& text(int type, const std::string& value) {
    return raw(type, value.c_str(), static_cast<int>(value.size()) + 1);
  }
  MessageBuilder& mac(int type, const MacAddress& value) {
    return raw(type, value.bytes.data(), static_cast<int>(value.bytes.size()));
  }
  MessageBuilder& ip(int type, const IpAddress& value) {
    return raw(type, value.bytes.data(), static_cast<int>(value.size_bytes()));
  }
  MessageBuilder& raw(int type, const void* data, int size_bytes) {
    EDGE_ASSERT(nla_put(message_.get(), type, size_bytes, data) == 0);
    return *this;
  }
  /// Calls fill(*this) between the begin and the end of a nested attribute.
  template <class Fill>
  MessageBuilder& nest(int type, Fill&& fill) {
    nlattr* begin = nla_nest_start(message_.get(), type);
    EDGE_ASSERT(begin != nullptr);
    fill(*this);
    nla_nest_end(message_.get(), begin);
    return *this;
  }
  NlMessage take() { return std::move(message_); }

 private:
  NlMessage message_;
};

/// AF_INET or AF_INET6.
std::uint8_t address_family(Family family);

}  // namespace edge::netmodel
