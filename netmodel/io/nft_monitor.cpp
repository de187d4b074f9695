// NFNLGRP_NFTABLES. Source: net/netfilter/nf_tables_api.c: a transaction's notifications, then one
// NEWGEN.
#include "netmodel/io/nft_monitor.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "netmodel/core/state.hpp"
#include "netmodel/io/nft_attributes.hpp"

namespace edge::netmodel {
namespace {

/// A commit of 10,000 elements by someone else makes as many notifications; what does not fit is an
/// overrun.
constexpr int event_queue_bytes = 8 * 1024 * 1024;
constexpr std::size_t event_read_bytes = 64 * 1024;
/// Attribute 1 is the table's name in every nf_tables object (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE,
/// ...).
constexpr std::uint16_t table_attribute = 1;

Result<UniqueFd> open_group() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) { return fail_errno(errno, "open nftables monitor"); }
  const sockaddr_nl any{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    return fail_errno(errno, "bind nftables monitor");
  }
  // A smaller queue overruns earlier, which is handled.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &event_queue_bytes,
                     sizeof event_queue_bytes);
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return fail_errno(errno, "join nftables notifications");
  }
  return fd;
}

}  // namespace

struct NftMonitor::Impl {
  Impl(boost::asio::io_context& io, UniqueFd fd, IsOwn own, OnChange change)
      : descriptor(io, fd.release()),
        is_own(std::move(own)),
        on_change(std::move(change)),
        buffer(event_read_bytes) {}

  boost::asio::posix::stream_descriptor descriptor;
  IsOwn is_own;
  OnChange on_change;
  std::vector<char> buffer;
  bool touches_ours = false;  ///< Within the transaction whose notifications are being read.
  bool closed = false;

  void on_generation(const nlmsghdr& header) {
    NftForeignChange change{
        .generation = 0, .touches_ours = std::exchange(touches_ours, false), .process = {}};
    for_each_attribute(attributes_of(header, sizeof(nfgenmsg)),
                       [&](const NetlinkAttribute& attribute) {
                         if (attribute.type == NFTA_GEN_ID) { change.generation = attribute.u32(); }
                         if (attribute.type == NFTA_GEN_PROC_NAME) {
                           change.process = attribute.text();
                         }
                       });
    if (!is_own(change.generation)) { on_change(change); }
  }

  void on_message(const nlmsghdr& header) {
    if (header.nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
        header.nlmsg_len < NLMSG_LENGTH(sizeof(nfgenmsg))) {
      return;
    }
    if ((header.nlmsg_type & 0xff) == NFT_MSG_NEWGEN) { return on_generation(header); }
    const auto* family = static_cast<const nfgenmsg*>(NLMSG_DATA(&header));
    if (family->nfgen_family != NFPROTO_INET && family->nfgen_family != NFPROTO_BRIDGE) { return; }
    for_each_attribute(
        attributes_of(header, sizeof(nfgenmsg)), [&](const NetlinkAttribute& attribute) {
          if (attribute.type == table_attribute && attribute.text() == our_nft_table) {
            touches_ours = true;
          }
        });
  }

  void on_datagram(std::size_t size) {
    std::size_t at = 0;
    while (!closed && at + NLMSG_HDRLEN <= size) {
      const auto& header = *reinterpret_cast<const nlmsghdr*>(buffer.data() + at);
      if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > size - at) { return; }
      on_message(header);
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }

  void drain() {
    while (!closed) {
      const auto size = ::recv(descriptor.native_handle(), buffer.data(), buffer.size(), 0);
      if (size < 0 && errno == EINTR) { continue; }
      if (size < 0 && errno == ENOBUFS) {
        touches_ours = false;
        on_change({.generation = 0, .touches_ours = true, .process = {}});
        continue;
      }
      if (size < 0) { return; }  // EAGAIN: read empty.
      on_datagram(static_cast<std::size_t>(size));
    }
  }

  static void wait(const std::shared_ptr<Impl>& self) {
    self->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                [self](const boost::system::error_code& error) {
                                  if (error || self->closed) { return; }
                                  self->drain();
                                  if (!self->closed) { wait(self); }
                                });
  }
};

NftMonitor::NftMonitor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
NftMonitor::NftMonitor(NftMonitor&&) noexcept = default;
NftMonitor& NftMonitor::operator=(NftMonitor&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

NftMonitor::~NftMonitor() {
  if (!impl_) { return; }
  impl_->closed = true;
  boost::system::error_code ignored;  // Closing a netlink socket cannot fail in a way that matters.
  impl_->descriptor.close(ignored);
}

Result<NftMonitor> NftMonitor::start(boost::asio::io_context& io, IsOwn is_own,
                                     OnChange on_change) {
  EDGE_ASSIGN(UniqueFd fd, open_group());
  auto impl = std::make_shared<Impl>(io, std::move(fd), std::move(is_own), std::move(on_change));
  Impl::wait(impl);
  return NftMonitor(std::move(impl));
}

}  // namespace edge::netmodel
