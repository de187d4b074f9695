// Figures of the nft table: publications made, one added, read back; each beside a hand-written
// libnftnl batch with the same elements, in the same run. One JSON object a line, in the form of
// interfaces.md.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "new_connection.hpp"
#include "tests/bench/figure_line.hpp"

namespace edge::netmodel {
namespace {

void require(bool ok, const std::string& what) {
  if (ok) { return; }
  std::fprintf(stderr, "bench_nft: %s\n", what.c_str());
  std::exit(1);
}

NftState state_with(std::size_t publications) {
  NftState state;
  state.uplinks = {{"br02aabbcc0001", 20001, {IpAddress::v4(192, 0, 2, 1)}},
                   {"br02aabbcc0002", 20002, {IpAddress::v4(198, 51, 100, 1)}}};
  state.nat_networks = {{"n-default", {IpAddress::v4(10, 200, 0, 0), 24}}};
  for (std::size_t i = 0; i < publications; ++i) {
    state.publications.push_back(
        {.in_link = i < publications / 2 ? "br02aabbcc0001" : "br02aabbcc0002",
         .transport = Transport::tcp,
         .port = static_cast<std::uint16_t>(10'000 + i),
         .target = IpAddress::v4(10, 200, 0, static_cast<std::uint8_t>(10 + i % 200)),
         .target_port = static_cast<std::uint16_t>(1'024 + i),
         .sources = {}});
  }
  auto clean = canonical(std::move(state));
  require(clean.has_value(), clean ? "" : clean.error().what);
  return *std::move(clean);
}

/// The reference: what a program does that knows its elements and nothing else. Table `inet
/// reference`, one map.
class Reference {
 public:
  Reference() : buffer_(8 * 1024 * 1024) {
    require(::unshare(CLONE_NEWNET) == 0, "needs root: an own network namespace");
    socket_ = mnl_socket_open(NETLINK_NETFILTER);
    require(socket_ != nullptr && mnl_socket_bind(socket_, 0, MNL_SOCKET_AUTOPID) == 0,
            "open reference socket");
    const int size = 16 * 1024 * 1024;
    require(::setsockopt(mnl_socket_get_fd(socket_), SOL_SOCKET, SO_SNDBUFFORCE, &size,
                         sizeof size) == 0,
            "sndbuf");
  }
  ~Reference() { mnl_socket_close(socket_); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  void load(const std::vector<nft::Element>& elements) {
    begin();
    nftnl_table* table = nftnl_table_alloc();
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, "reference");
    nlmsghdr* message = start(NFT_MSG_NEWTABLE, NLM_F_CREATE);
    nftnl_table_nlmsg_build_payload(message, table);
    finish(message);
    nftnl_table_free(table);
    nftnl_set* map = new_map();
    message = start(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
    nftnl_set_nlmsg_build_payload(message, map);
    finish(message);
    nftnl_set_free(map);
    add(elements);
    commit();
  }
  void add_to_loaded(const std::vector<nft::Element>& elements) {
    begin();
    add(elements);
    commit();
  }
  void remove() {
    begin();
    nftnl_table* table = nftnl_table_alloc();
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, "reference");
    nlmsghdr* message = start(NFT_MSG_DELTABLE, 0);
    nftnl_table_nlmsg_build_payload(message, table);
    finish(message);
    nftnl_table_free(table);
    commit();
  }
  /// Elements read.
  std::size_t read() {
    std::vector<char> request(1024);
    nlmsghdr* message = nftnl_nlmsg_build_hdr(request.data(), NFT_MSG_GETSETELEM, NFPROTO_INET,
                                              NLM_F_DUMP, ++sequence_);
    nftnl_set* map = new_map();
    nftnl_set_elems_nlmsg_build_payload(message, map);
    mnl_socket_sendto(socket_, message, message->nlmsg_len);
    int more = 1;
    while (more > 0) {
      const auto size = mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
      require(size > 0, "reference read");
      more = mnl_cb_run(
          buffer_.data(), static_cast<std::size_t>(size), sequence_, 0,
          [](const nlmsghdr* header, void* into) {
            nftnl_set_elems_nlmsg_parse(header, static_cast<nftnl_set*>(into));
            return MNL_CB_OK;
          },
          map);
    }
    std::size_t count = 0;
    nftnl_set_elem_foreach(
        map, [](nftnl_set_elem*, void* into) { return ++*static_cast<std::size_t*>(into), 0; },
        &count);
    nftnl_set_free(map);
    return count;
  }

 private:
  static nftnl_set* new_map() {
    nftnl_set* map = nftnl_set_alloc();
    nftnl_set_set_str(map, NFTNL_SET_TABLE, "reference");
    nftnl_set_set_str(map, NFTNL_SET_NAME, "publish");
    nftnl_set_set_u32(map, NFTNL_SET_ID, 1);
    nftnl_set_set_u32(map, NFTNL_SET_FLAGS, NFT_SET_MAP);
    nftnl_set_set_u32(map, NFTNL_SET_KEY_TYPE, (19U << 12) | (12U << 6) | 13U);
    nftnl_set_set_u32(map, NFTNL_SET_KEY_LEN, 12);
    nftnl_set_set_u32(map, NFTNL_SET_DATA_TYPE, (7U << 6) | 13U);
    nftnl_set_set_u32(map, NFTNL_SET_DATA_LEN, 8);
    return map;
  }
  void begin() {
    used_ = 0;
    used_ += nftnl_batch_begin(buffer_.data(), ++sequence_)->nlmsg_len;
  }
  nlmsghdr* start(std::uint16_t type, std::uint16_t flags) {
    return nftnl_nlmsg_build_hdr(buffer_.data() + used_, type, NFPROTO_INET, flags, ++sequence_);
  }
  void finish(nlmsghdr* message) {
    last_ = message;
    used_ += NLMSG_ALIGN(message->nlmsg_len);
  }
  void add(const std::vector<nft::Element>& elements) {
    if (elements.empty()) { return; }
    nftnl_set* map = new_map();
    for (const nft::Element& element : elements) {
      nftnl_set_elem* made = nftnl_set_elem_alloc();
      nftnl_set_elem_set(made, NFTNL_SET_ELEM_KEY, element.key.data(),
                         static_cast<std::uint32_t>(element.key.size()));
      nftnl_set_elem_set(made, NFTNL_SET_ELEM_DATA, element.data.data(),
                         static_cast<std::uint32_t>(element.data.size()));
      nftnl_set_elem_add(map, made);
    }
    nftnl_set_elems_iter* rest = nftnl_set_elems_iter_create(map);
    for (int more = 1; more > 0;) {
      nlmsghdr* message = start(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL);
      more = nftnl_set_elems_nlmsg_build_payload_iter(message, rest);
      finish(message);
    }
    nftnl_set_elems_iter_destroy(rest);
    nftnl_set_free(map);
  }
  void commit() {
    last_->nlmsg_flags |= NLM_F_ACK;
    const std::uint32_t wanted = last_->nlmsg_seq;
    used_ += nftnl_batch_end(buffer_.data() + used_, ++sequence_)->nlmsg_len;
    require(mnl_socket_sendto(socket_, buffer_.data(), used_) > 0, "reference send");
    const auto size = mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
    const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer_.data());
    require(size > 0 && answer->nlmsg_type == NLMSG_ERROR && answer->nlmsg_seq == wanted &&
                static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(answer))->error == 0,
            "reference batch refused");
  }

  mnl_socket* socket_ = nullptr;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::uint32_t sequence_ = 0;
  nlmsghdr* last_ = nullptr;
};

struct Timing {
  double median = 0, worst = 0;
};

Timing timing_of(std::vector<double> ms) {
  std::ranges::sort(ms);
  return {ms[ms.size() / 2], ms.back()};
}

double milliseconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void print(const std::string& figure, const std::vector<double>& ours,
           const std::string& reference_name, const std::vector<double>& reference,
           double target_ratio, TargetKind kind = TargetKind::wished) {
  const Timing us = timing_of(ours), them = timing_of(reference);
  print_line({.figure = figure,
              .unit = "ms",
              .value = us.median,
              .worst = us.worst,
              .runs = ours.size(),
              .reference_name = reference_name,
              .reference = them.median,
              .target_ratio = target_ratio,
              .kind = kind});
}

void succeed(const Result<void>& done) { require(done.has_value(), done ? "" : done.error().what); }

/// The table is there, as it always is on a running host; `count` publications come at once.
void publish_many(NftKernel& nft, std::size_t count, int runs, TargetKind kind) {
  const NftState none = state_with(0), state = state_with(count);
  const auto elements = nft::elements_of(state)[static_cast<std::size_t>(nft::SetId::publish)];
  Reference reference;
  std::vector<double> ours, theirs;
  for (int run = 0; run < runs; ++run) {
    succeed(nft.commit(none));
    ours.push_back(milliseconds_of([&] { succeed(nft.commit(state)); }));
    reference.load({});
    theirs.push_back(milliseconds_of([&] { reference.add_to_loaded(elements); }));
    reference.remove();
  }
  print(fmt::format("nat.publish_{}", count), ours, "libnftnl-batch", theirs, 2, kind);
}

/// From no table at all, with all sets, chains and rules: a start or a repair. The reference has
/// one map and no rule.
void new_table(NftKernel& nft, std::size_t count, int runs) {
  const NftState state = state_with(count);
  const auto elements = nft::elements_of(state)[static_cast<std::size_t>(nft::SetId::publish)];
  Reference reference;
  std::vector<double> ours, theirs;
  for (int run = 0; run < runs; ++run) {
    succeed(nft.remove());
    ours.push_back(milliseconds_of([&] { succeed(nft.commit(state)); }));
    theirs.push_back(milliseconds_of([&] { reference.load(elements); }));
    reference.remove();
  }
  print(fmt::format("nat.new_table_{}", count), ours, "libnftnl-batch", theirs, 2);
}

/// Ours compares 10,000 wanted publications with 10,000 known ones (0.2 ms) before it sends one
/// element; the reference knows what changed. `nft add element` takes 7 ms for the same (facts:
/// apply, D).
constexpr double one_of_many_target = 50;

/// 10,000 are there; one more, withdrawn again outside the measurement.
void publish_one(NftKernel& nft, int runs) {
  const NftState base = state_with(10'000);
  NftState more = base;
  more.publications.push_back({.in_link = "br02aabbcc0002",
                               .transport = Transport::udp,
                               .port = 53,
                               .target = IpAddress::v4(10, 200, 0, 10),
                               .target_port = 53,
                               .sources = {}});
  const auto extra =
      nft::difference(base, more).added[static_cast<std::size_t>(nft::SetId::publish)];
  Reference reference;
  reference.load(nft::elements_of(base)[static_cast<std::size_t>(nft::SetId::publish)]);
  succeed(nft.commit(base));
  std::vector<double> ours, theirs, unchanged, withdrawn;
  for (int run = 0; run < runs; ++run) {
    ours.push_back(milliseconds_of([&] { succeed(nft.commit(more)); }));
    require(nft.last_commit().elements_added == 1, "one element");
    unchanged.push_back(milliseconds_of([&] { succeed(nft.commit(more)); }));
    require(!nft.last_commit().wrote, "nothing to write");
    withdrawn.push_back(milliseconds_of([&] { succeed(nft.commit(base)); }));
    nft::Element element = extra.front();
    element.key[8] = static_cast<char>(run >> 8);  // Another port each time.
    element.key[9] = static_cast<char>(run);
    theirs.push_back(milliseconds_of([&] { reference.add_to_loaded({element}); }));
  }
  print("nat.publish_one", ours, "libnftnl-one-element", theirs, one_of_many_target);
  print("nat.withdraw_one", withdrawn, "libnftnl-one-element", theirs, one_of_many_target);
  print("nat.unchanged_10000", unchanged, "libnftnl-one-element", theirs, one_of_many_target);
  reference.remove();
}

void read_back(NftKernel& nft, int runs) {
  const NftState base = state_with(10'000);
  Reference reference;
  reference.load(nft::elements_of(base)[static_cast<std::size_t>(nft::SetId::publish)]);
  succeed(nft.commit(base));
  std::vector<double> ours, theirs;
  for (int run = 0; run < runs; ++run) {
    ours.push_back(milliseconds_of(
        [&] { require(nft.dump().value() == base, "the dump is what was committed"); }));
    theirs.push_back(
        milliseconds_of([&] { require(reference.read() == 10'000, "reference read"); }));
  }
  print("nat.dump_10000", ours, "libnftnl-read", theirs, 3);
  reference.remove();
}

int run() {
  require(::unshare(CLONE_NEWNET) == 0, "needs root: an own network namespace");
  auto nft = NftKernel::create();
  require(nft.has_value(), nft ? "" : nft.error().what);
  new_connections(**nft);  // First: every Reference moves on to a namespace of its own.
  publish_many(**nft, 100, 15, TargetKind::wished);
  publish_many(**nft, 10'000, 9, TargetKind::must);
  new_table(**nft, 10'000, 9);
  publish_one(**nft, 101);
  read_back(**nft, 9);
  succeed((*nft)->remove());
  return 0;
}

}  // namespace
}  // namespace edge::netmodel

int main() { return edge::netmodel::run(); }
