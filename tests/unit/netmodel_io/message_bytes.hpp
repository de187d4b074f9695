// What an encoder made, as the bytes that the kernel gets, and read again.
#pragma once

#include <gtest/gtest.h>
#include <netlink/msg.h>

#include <cstddef>
#include <vector>

#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {

inline std::vector<std::byte> bytes_of(const NlMessage& message) {
  const nlmsghdr* header = nlmsg_hdr(message.get());
  const auto* begin = reinterpret_cast<const std::byte*>(header);
  return {begin, begin + header->nlmsg_len};
}

inline MessageView view_of(const std::vector<std::byte>& bytes) {
  MessageView view{};
  EXPECT_TRUE(for_each_message(bytes, [&](const MessageView& one) { view = one; }));
  return view;
}

}  // namespace edge::netmodel
