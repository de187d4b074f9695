#include "tunnel/io/resolver.hpp"

#include <fmt/format.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <optional>

#include "tunnel/io/dns_query.hpp"

namespace edge::tunnel {
namespace {

std::string server_name(const DnsServer& server) {
  return server.port == 53 ? to_string(server.address)
                           : to_string(HostPort{to_string(server.address), server.port});
}

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
  initialise_dns_library();
  impl_->start();
}
Resolve::~Resolve() { impl_->cancel(); }

}  // namespace edge::tunnel
