// The reference: a program that knows its messages by heart, over one socket, without our code.
#include "tests/bench/links/raw_netlink.hpp"

#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

namespace edge::netmodel::bench {

RawMessage& RawMessage::put(std::uint16_t type, const void* data, std::size_t size) {
  const std::size_t at = bytes_.size();
  bytes_.resize(at + RTA_SPACE(size));
  auto* attribute = reinterpret_cast<rtattr*>(bytes_.data() + at);
  attribute->rta_type = type;
  attribute->rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  std::memcpy(RTA_DATA(attribute), data, size);
  return *this;
}

std::size_t RawMessage::begin(std::uint16_t type) {
  const std::size_t at = bytes_.size();
  put(type, nullptr, 0);
  return at;
}

void RawMessage::end(std::size_t at) {
  reinterpret_cast<rtattr*>(bytes_.data() + at)->rta_len =
      static_cast<unsigned short>(bytes_.size() - at);
}

const std::vector<char>& RawMessage::finish() {
  header()->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  return bytes_;
}

RawNetlink::RawNetlink()
    : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), buffer_(1U << 16U) {
  require(fd_ >= 0, "open netlink");
  const int on = 1;
  require(::setsockopt(fd_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on) == 0, "strict");
}

RawNetlink::~RawNetlink() { ::close(fd_); }

void RawNetlink::request(RawMessage message) {
  message.header()->nlmsg_flags |= NLM_F_ACK;
  message.header()->nlmsg_seq = ++sequence_;
  const std::vector<char>& bytes = message.finish();
  require(::send(fd_, bytes.data(), bytes.size(), 0) > 0, "reference send");
  const auto size = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
  const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer_.data());
  require(size > 0 && answer->nlmsg_type == NLMSG_ERROR, "reference answer");
  const int error = static_cast<const nlmsgerr*>(NLMSG_DATA(answer))->error;
  require(error == 0, std::string("reference refused: ") + std::strerror(-error));
}

std::size_t RawNetlink::dump(RawMessage message) {
  message.header()->nlmsg_flags |= NLM_F_DUMP;
  message.header()->nlmsg_seq = ++sequence_;
  const std::vector<char>& bytes = message.finish();
  require(::send(fd_, bytes.data(), bytes.size(), 0) > 0, "reference send");
  std::size_t count = 0;
  while (true) {
    auto size = static_cast<std::uint32_t>(::recv(fd_, buffer_.data(), buffer_.size(), 0));
    const auto* one = reinterpret_cast<const nlmsghdr*>(buffer_.data());
    for (; NLMSG_OK(one, size); one = NLMSG_NEXT(one, size)) {
      if (one->nlmsg_type == NLMSG_DONE) { return count; }
      require(one->nlmsg_type != NLMSG_ERROR, "reference dump refused");
      ++count;
    }
  }
}

int index_of(const std::string& link) {
  const unsigned index = ::if_nametoindex(link.c_str());
  require(index != 0, "no link " + link);
  return static_cast<int>(index);
}

}  // namespace edge::netmodel::bench
