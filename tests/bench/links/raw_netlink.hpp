// The reference: a program that knows its messages by heart, over one socket, without our code.
#pragma once

#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/bench/links/figures.hpp"

namespace edge::netmodel::bench {

/// A message of at most 64 KiB.
class RawMessage {
 public:
  template <class Fixed>
  RawMessage(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) {
    bytes_.resize(NLMSG_LENGTH(sizeof(Fixed)));
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    std::memcpy(bytes_.data() + NLMSG_HDRLEN, &fixed, sizeof fixed);
  }
  RawMessage& put(std::uint16_t type, const void* data, std::size_t size);
  RawMessage& put32(std::uint16_t type, std::uint32_t value) { return put(type, &value, 4); }
  RawMessage& put_text(std::uint16_t type, const std::string& text) {
    return put(type, text.c_str(), text.size() + 1);
  }
  std::size_t begin(std::uint16_t type);
  void end(std::size_t at);

  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  const std::vector<char>& finish();

 private:
  std::vector<char> bytes_;
};

class RawNetlink {
 public:
  RawNetlink();
  ~RawNetlink();
  RawNetlink(const RawNetlink&) = delete;
  RawNetlink& operator=(const RawNetlink&) = delete;

  /// Sends and waits for the answer, which must be success.
  void request(RawMessage message);
  /// Reads a whole dump and counts its messages.
  std::size_t dump(RawMessage message);

 private:
  int fd_ = -1;
  std::uint32_t sequence_ = 0;
  std::vector<char> buffer_;
};

int index_of(const std::string& link);

}  // namespace edge::netmodel::bench
