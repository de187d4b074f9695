#include "tunnel/io/resolver.hpp"

#include <ares.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel {
namespace {

using Descriptor = asio::posix::stream_descriptor;

std::string server_name(const DnsServer& server) {
  return server.port == 53 ? to_string(server.address)
                           : to_string(HostPort{to_string(server.address), server.port});
}

long long milliseconds(Duration duration) {
  return std::chrono::floor<std::chrono::milliseconds>(duration).count();
}

/// c-ares wants its library initialised once per process, before the first channel.
int initialise_library() {
  static std::once_flag once;
  static int status = ARES_SUCCESS;
  std::call_once(once, [] { status = ares_library_init(ARES_LIB_INIT_ALL); });
  return status;
}

IpAddress address_of(const ares_addrinfo_node& node) {
  sockaddr_storage storage{};
  std::memcpy(&storage, node.ai_addr, std::min<std::size_t>(node.ai_addrlen, sizeof storage));
  return from_socket_address(storage).address;
}

/// What one family of one server came to; nullopt: not yet.
using Status = std::optional<int>;

/// One server asked over one c-ares channel of its own: c-ares does not tell which of several
/// servers failed, and a person at the machine has to know.
class ServerQuery {
 public:
  ServerQuery(asio::any_io_executor executor, DnsServer server, PathBinding binding,
              ResolveLimits limits, std::function<void()> progress)
      : executor_(executor),
        timer_(executor),
        server_(server),
        binding_(std::move(binding)),
        limits_(limits),
        progress_(std::move(progress)) {}
  ~ServerQuery() {
    destroying_ = true;
    if (channel_ != nullptr) { ares_destroy(channel_); }
    for (auto& [fd, watch] : watches_) { watch->descriptor.release(); }
  }
  ServerQuery(const ServerQuery&) = delete;
  ServerQuery& operator=(const ServerQuery&) = delete;

  /// Pre: called once. Results may be there when it returns.
  void start(const std::string& host, bool want4, bool want6) {
    want_[0] = want4;
    want_[1] = want6;
    if (!binding_.allows(server_.address.family)) {
      local_problem_ = fmt::format("no {} address on this port to ask it from",
                                   server_.address.family == Family::v4 ? "IPv4" : "IPv6");
      return fail_all(ARES_ECONNREFUSED);
    }
    if (const int status = open_channel(); status != ARES_SUCCESS) { return fail_all(status); }
    // IPv6 first: its answer is the one that is waited for less.
    for (const int index : {1, 0}) {
      if (!want_[static_cast<std::size_t>(index)]) { continue; }
      ares_addrinfo_hints hints{};
      hints.ai_family = index == 0 ? AF_INET : AF_INET6;
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = ARES_AI_NOSORT;
      ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints,
                       index == 0 ? &ServerQuery::on_v4 : &ServerQuery::on_v6, this);
    }
    watch_timer();
  }

  bool done() const { return settled(0) && settled(1); }
  bool answered(std::size_t index) const { return status_[index].has_value(); }
  const std::vector<IpAddress>& addresses(std::size_t index) const { return found_[index]; }
  bool has_addresses() const { return !found_[0].empty() || !found_[1].empty(); }
  std::optional<PathFailure> local_cause() const { return local_cause_; }
  /// It answered that the name does not exist or has no address.
  bool denies() const {
    return done() && !has_addresses() && (says(ARES_ENOTFOUND) || says(ARES_ENODATA));
  }

  DnsServerReport report() const { return {server_, verdict()}; }

 private:
  struct Watch {
    explicit Watch(const asio::any_io_executor& executor) : descriptor(executor) {}
    Descriptor descriptor;
    bool want_read = false;
    bool want_write = false;
    bool read_waiting = false;
    bool write_waiting = false;
  };

  bool settled(std::size_t index) const { return !want_[index] || status_[index]; }
  bool says(int status) const { return status_[0] == status || status_[1] == status; }

  std::string verdict() const {
    if (has_addresses()) { return "ok"; }
    if (!local_problem_.empty()) { return local_problem_; }
    if (!done()) { return "no answer yet"; }
    if (says(ARES_ENOTFOUND)) { return "the name does not exist (NXDOMAIN)"; }
    if (says(ARES_ENODATA)) { return "the name has no address"; }
    const int status = status_[0].value_or(status_[1].value_or(ARES_ETIMEOUT));
    switch (status) {
      case ARES_ETIMEOUT: return fmt::format("no answer within {} ms", milliseconds(patience()));
      case ARES_ECONNREFUSED: return fmt::format("nothing listens on port {}", server_.port);
      case ARES_ESERVFAIL: return "the server failed (SERVFAIL)";
      case ARES_EREFUSED: return "the server refused to answer (REFUSED)";
      case ARES_EBADRESP:
      case ARES_EFORMERR: return "malformed answer";
      case ARES_EBADNAME: return "not a valid name";
      default: return ares_strerror(status);
    }
  }

  /// c-ares doubles the wait with each try.
  Duration patience() const { return limits_.try_timeout * ((1 << limits_.tries) - 1); }

  int open_channel() {
    ares_options options{};
    // A SERVFAIL or REFUSED is an answer here: c-ares would hide it behind "connection refused".
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP;
    options.timeout = static_cast<int>(milliseconds(limits_.try_timeout));
    options.tries = limits_.tries;
    options.sock_state_cb = &ServerQuery::on_socket_state;
    options.sock_state_cb_data = this;
    char lookups[] = "b";  // DNS only, never /etc/hosts.
    options.lookups = lookups;
    options.ndots = 1;
    options.ndomains = 0;  // Nor the search list of /etc/resolv.conf.
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                     ARES_OPT_LOOKUPS | ARES_OPT_NDOTS | ARES_OPT_DOMAINS;
    if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
      channel_ = nullptr;
      return status;
    }
    ares_addr_port_node node{};
    node.family = server_.address.family == Family::v4 ? AF_INET : AF_INET6;
    std::memcpy(&node.addr, server_.address.bytes.data(), server_.address.size_bytes());
    node.udp_port = server_.port;
    node.tcp_port = server_.port;
    ares_set_socket_configure_callback(channel_, &ServerQuery::on_socket_made, this);
    return ares_set_servers_ports(channel_, &node);
  }

  void fail_all(int status) {
    for (std::size_t i = 0; i < 2; ++i) {
      if (want_[i]) { status_[i] = status; }
    }
  }

  // ---- callbacks of c-ares ----

  static int on_socket_made(ares_socket_t fd, int, void* data) {
    auto& self = *static_cast<ServerQuery*>(data);
    const auto bound = bind_to_path(fd, self.server_.address.family, self.binding_);
    if (bound) { return 0; }
    self.local_problem_ = bound.error().what;
    if (bound.error().os_errno != 0) {
      self.local_cause_ = cause_of_connect_errno(bound.error().os_errno);
    }
    return -1;
  }

  static void on_v4(void* data, int status, int, ares_addrinfo* info) {
    static_cast<ServerQuery*>(data)->on_answer(0, status, info);
  }
  static void on_v6(void* data, int status, int, ares_addrinfo* info) {
    static_cast<ServerQuery*>(data)->on_answer(1, status, info);
  }
  void on_answer(std::size_t index, int status, ares_addrinfo* info) {
    if (!destroying_) {
      const Family family = index == 0 ? Family::v4 : Family::v6;
      for (const ares_addrinfo_node* node = info != nullptr ? info->nodes : nullptr;
           node != nullptr && found_[index].size() < ResolveLimits::addresses_max;
           node = node->ai_next) {
        const IpAddress address = address_of(*node);
        if (address.family == family && !address.is_unspecified() && !address.is_multicast()) {
          found_[index].push_back(address);
        }
      }
      status_[index] = status == ARES_SUCCESS && found_[index].empty() ? ARES_ENODATA : status;
    }
    if (info != nullptr) { ares_freeaddrinfo(info); }
    if (!destroying_) { progress_(); }
  }

  static void on_socket_state(void* data, ares_socket_t fd, int readable, int writable) {
    static_cast<ServerQuery*>(data)->watch_socket(fd, readable != 0, writable != 0);
  }

  void watch_socket(int fd, bool read, bool write) {
    auto it = watches_.find(fd);
    if (!read && !write) {
      if (it == watches_.end()) { return; }
      it->second->descriptor.release();  // c-ares closes it next.
      watches_.erase(it);
      return;
    }
    if (it == watches_.end()) {
      it = watches_.emplace(fd, std::make_shared<Watch>(executor_)).first;
      boost::system::error_code unwatched;  // Then the server's time-out speaks.
      it->second->descriptor.assign(fd, unwatched);
    }
    it->second->want_read = read;
    it->second->want_write = write;
    arm(fd, it->second);
  }

  void arm(int fd, const std::shared_ptr<Watch>& watch) {
    if (watch->want_read && !watch->read_waiting) {
      watch->read_waiting = true;
      watch->descriptor.async_wait(Descriptor::wait_read, ready(fd, watch, true));
    }
    if (watch->want_write && !watch->write_waiting) {
      watch->write_waiting = true;
      watch->descriptor.async_wait(Descriptor::wait_write, ready(fd, watch, false));
    }
  }

  std::function<void(boost::system::error_code)> ready(int fd, const std::shared_ptr<Watch>& watch,
                                                       bool for_read) {
    return [this, life = std::weak_ptr<int>(life_), fd, watch,
            for_read](const boost::system::error_code& ec) {
      (for_read ? watch->read_waiting : watch->write_waiting) = false;
      if (ec || life.expired()) { return; }
      ares_process_fd(channel_, for_read ? fd : ARES_SOCKET_BAD, for_read ? ARES_SOCKET_BAD : fd);
      const auto it = watches_.find(fd);
      if (it != watches_.end() && it->second == watch) { arm(fd, watch); }
      watch_timer();
    };
  }

  void watch_timer() {
    timeval wait{};
    if (ares_timeout(channel_, nullptr, &wait) == nullptr) {
      timer_.cancel();
      return;
    }
    timer_.expires_after(std::chrono::seconds(wait.tv_sec) +
                         std::chrono::microseconds(wait.tv_usec));
    timer_.async_wait(
        [this, life = std::weak_ptr<int>(life_)](const boost::system::error_code& ec) {
          if (ec || life.expired()) { return; }
          ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
          watch_timer();
        });
  }

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  DnsServer server_;
  PathBinding binding_;
  ResolveLimits limits_;
  std::function<void()> progress_;
  ares_channel channel_ = nullptr;
  std::map<int, std::shared_ptr<Watch>> watches_;
  std::shared_ptr<int> life_ = std::make_shared<int>(0);  ///< Handlers look whether we still are.
  std::array<bool, 2> want_{};
  std::array<Status, 2> status_;
  std::array<std::vector<IpAddress>, 2> found_;
  std::string local_problem_;
  std::optional<PathFailure> local_cause_;
  bool destroying_ = false;
};

}  // namespace

class Resolve::Impl : public std::enable_shared_from_this<Resolve::Impl> {
 public:
  Impl(asio::any_io_executor executor, ResolveRequest request, Done done)
      : executor_(executor),
        stagger_(executor),
        patience_(executor),
        total_(executor),
        request_(std::move(request)),
        done_(std::move(done)) {
    if (request_.servers.size() > ResolveLimits::servers_max) {
      request_.servers.resize(ResolveLimits::servers_max);
    }
  }

  void start() {
    asio::post(executor_, [self = shared_from_this()] { self->begin(); });
  }
  void cancel() {
    finished_ = true;
    done_ = nullptr;
    stop();
  }

 private:
  void begin() {
    if (finished_) { return; }
    if (const auto literal = parse_ip(request_.host)) {
      return finish(Resolved{.addresses = {*literal}, .servers = {}});
    }
    if (request_.servers.empty()) {
      return finish(path_fail(PathFailure::dns,
                              fmt::format("no DNS server is known on this port to resolve \"{}\" "
                                          "(the lease names none)",
                                          request_.host)));
    }
    total_.expires_after(request_.limits.total);
    total_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec) { self->conclude(); }
    });
    ask_next();
  }

  void ask_next() {
    const std::size_t index = queries_.size();
    if (index >= request_.servers.size() || finished_) { return; }
    queries_.push_back(std::make_unique<ServerQuery>(executor_, request_.servers[index],
                                                     request_.binding, request_.limits,
                                                     [weak = weak_from_this()] {
                                                       if (const auto self = weak.lock()) {
                                                         self->review_later();
                                                       }
                                                     }));
    queries_.back()->start(request_.host, request_.binding.allows(Family::v4),
                           request_.binding.allows(Family::v6));
    review_later();
    stagger_.expires_after(request_.limits.server_stagger);
    stagger_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec) { self->ask_next(); }
    });
  }

  /// Out of the c-ares callback, where a channel must not be destroyed.
  void review_later() {
    if (review_posted_ || finished_) { return; }
    review_posted_ = true;
    asio::post(executor_, [self = shared_from_this()] {
      self->review_posted_ = false;
      self->review();
    });
  }

  void review() {
    if (finished_) { return; }
    bool all_done = true;
    bool any = false;
    for (const auto& query : queries_) {
      all_done = all_done && query->done();
      any = any || query->has_addresses();
      if (query->has_addresses() && query->done()) { return conclude(); }
    }
    if (any) { return wait_for_other_family(); }
    if (!all_done) { return; }
    if (queries_.size() < request_.servers.size()) { return ask_next(); }
    conclude();
  }

  void wait_for_other_family() {
    if (patience_started_) { return; }
    patience_started_ = true;
    patience_.expires_after(request_.limits.family_delay);
    patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec) { self->conclude(); }
    });
  }

  void conclude() {
    if (finished_) { return; }
    Resolved out;
    for (const auto& query : queries_) {
      out.servers.push_back(query->report());
      if (out.addresses.empty()) { out.addresses = interleave(*query); }
    }
    if (!out.addresses.empty()) { return finish(std::move(out)); }
    finish(explain(out.servers));
  }

  static std::vector<IpAddress> interleave(const ServerQuery& query) {
    std::vector<IpAddress> out;
    const auto& v4 = query.addresses(0);
    const auto& v6 = query.addresses(1);
    for (std::size_t i = 0; i < std::max(v4.size(), v6.size()); ++i) {
      if (i < v6.size()) { out.push_back(v6[i]); }
      if (i < v4.size()) { out.push_back(v4[i]); }
    }
    if (out.size() > ResolveLimits::addresses_max) { out.resize(ResolveLimits::addresses_max); }
    return out;
  }

  PathResult<Resolved> explain(const std::vector<DnsServerReport>& reports) const {
    PathFailure cause = PathFailure::dns;
    std::string text;
    for (std::size_t i = 0; i < reports.size(); ++i) {
      text += fmt::format("{}{}: {}", i == 0 ? "" : "; ", server_name(reports[i].server),
                          reports[i].text);
      // A binding that failed for every server is not the servers' fault.
      if (const auto local = queries_[i]->local_cause(); local && i == 0) { cause = *local; }
      if (!queries_[i]->local_cause()) { cause = PathFailure::dns; }
    }
    return path_fail(cause, fmt::format("\"{}\" cannot be resolved: {}", request_.host, text));
  }

  void finish(PathResult<Resolved> result) {
    finished_ = true;
    stop();
    const Done done = std::exchange(done_, nullptr);
    if (done) { done(std::move(result)); }
  }

  void stop() {
    stagger_.cancel();
    patience_.cancel();
    total_.cancel();
    queries_.clear();
  }

  asio::any_io_executor executor_;
  asio::steady_timer stagger_;
  asio::steady_timer patience_;
  asio::steady_timer total_;
  ResolveRequest request_;
  Done done_;
  std::vector<std::unique_ptr<ServerQuery>> queries_;
  bool review_posted_ = false;
  bool patience_started_ = false;
  bool finished_ = false;
};

Resolve::Resolve(asio::any_io_executor executor, ResolveRequest request, Done done)
    : impl_(std::make_shared<Impl>(executor, std::move(request), std::move(done))) {
  initialise_library();
  impl_->start();
}
Resolve::~Resolve() { impl_->cancel(); }

}  // namespace edge::tunnel
