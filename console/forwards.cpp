#include "console/forwards.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/net.hpp"
#include "console/clock.hpp"

namespace edge::console {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// Pre: checked by parse_forward. Port 0 is one that parse_host_port does not take.
std::optional<tcp::endpoint> endpoint_of(const std::string& listen) {
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) { return std::nullopt; }
  std::string host = listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) { host = host.substr(1, host.size() - 2); }
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (ec) { return std::nullopt; }
  return tcp::endpoint(address, static_cast<std::uint16_t>(std::stoul(listen.substr(colon + 1))));
}

}  // namespace

Forwards::Forwards(asio::io_context& io, Fleet& fleet) : io_(io), fleet_(fleet), retry_timer_(io) {}

Forwards::~Forwards() { stop(); }

void Forwards::stop() {
  retry_timer_.cancel();
  for (const auto& [id, forward] : forwards_) {
    error_code ignored;
    forward->acceptor.close(ignored);
    forward->pause.cancel();
  }
}

void Forwards::restore(std::vector<ForwardRow> rows) {
  bool failed = false;
  for (ForwardRow& row : rows) {
    const auto forward = std::make_shared<Forward>(io_);
    forward->row = std::move(row);
    forwards_[forward->row.id] = forward;
    const auto opened = listen(*forward);
    if (opened) {
      accept(forward);
    } else {
      failed = true;
      spdlog::error("forward.not_open host={} listen={} reason=\"{}\": trying again every {} s",
                    forward->row.host, forward->row.listen, opened.error().what,
                    retry_period.count());
    }
  }
  if (failed) { retry_later(); }
}

void Forwards::retry_later() {
  retry_timer_.expires_after(retry_period);
  retry_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& ec) {
    if (ec || alive.expired()) { return; }
    bool failed = false;
    for (const auto& [id, forward] : forwards_) {
      if (forward->problem.empty()) { continue; }
      if (listen(*forward)) {
        spdlog::info("forward.open host={} listen={}", forward->row.host, forward->row.listen);
        accept(forward);
      } else {
        failed = true;
      }
    }
    if (failed) { retry_later(); }
  });
}

Result<void> Forwards::listen(Forward& forward) {
  const auto endpoint = endpoint_of(forward.row.listen);
  if (!endpoint) { return fail(Errc::invalid_input, forward.row.listen + ": no address"); }
  error_code ec;
  const auto step = [&](std::string_view what) -> Result<void> {
    if (!ec) { return {}; }
    forward.problem = fmt::format("{} {}: {}", what, forward.row.listen, ec.message());
    error_code ignored;
    forward.acceptor.close(ignored);
    const Errc code =
        ec == asio::error::address_in_use ? Errc::conflict : errc_of_errno(ec.value());
    return fail(code, forward.problem, ec.value());
  };
  forward.acceptor.open(endpoint->protocol(), ec);
  EDGE_TRY(step("open"));
  forward.acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  EDGE_TRY(step("reuse"));
  forward.acceptor.bind(*endpoint, ec);
  EDGE_TRY(step("bind"));
  forward.acceptor.listen(asio::socket_base::max_listen_connections, ec);
  EDGE_TRY(step("listen on"));
  forward.problem.clear();
  return {};
}

Result<void> Forwards::open(ForwardRow& row) {
  const auto of_host = std::ranges::count_if(
      forwards_, [&row](const auto& item) { return item.second->row.host == row.host; });
  if (forwards_.size() >= forwards_max || static_cast<std::size_t>(of_host) >= per_host_max) {
    return fail(Errc::no_space,
                fmt::format("{} forwards of host {} and {} in all; at most {} and "
                            "{} are allowed; delete one",
                            of_host, row.host, forwards_.size(), per_host_max, forwards_max));
  }
  const auto forward = std::make_shared<Forward>(io_);
  forward->row = row;
  EDGE_TRY(listen(*forward));
  const auto where = forward->acceptor.local_endpoint();
  forward->row.listen = row.listen = to_string(HostPort{where.address().to_string(), where.port()});
  forwards_[row.id] = forward;
  return {};
}

void Forwards::begin(const std::string& id) {
  if (const auto found = forwards_.find(id); found != forwards_.end()) { accept(found->second); }
}

bool Forwards::has(const std::string& host, const std::string& id) const {
  const auto found = forwards_.find(id);
  return found != forwards_.end() && found->second->row.host == host;
}

bool Forwards::close(const std::string& host, const std::string& id) {
  if (!has(host, id)) { return false; }
  const auto forward = forwards_.at(id);
  forwards_.erase(id);
  error_code ignored;
  forward->acceptor.close(ignored);
  forward->pause.cancel();
  if (Host* owner = fleet_.find(host); owner != nullptr && owner->stream_connections(id) > 0) {
    owner->streams().drop(id);
  }
  return true;
}

void Forwards::accept(const std::shared_ptr<Forward>& forward) {
  forward->acceptor.async_accept([this, forward](const error_code& ec, tcp::socket socket) {
    if (!forward->acceptor.is_open()) { return; }  // Closed; `this` may be gone.
    if (!ec) {
      if (Host* host = fleet_.find(forward->row.host); host != nullptr) {
        host->streams().take(std::move(socket), forward->row.id, forward->row.to);
      }
      return accept(forward);
    }
    spdlog::warn("forward.accept_failed listen={} reason=\"{}\"", forward->row.listen,
                 ec.message());
    forward->pause.expires_after(std::chrono::milliseconds(100));  // Out of descriptors, likely.
    forward->pause.async_wait([this, forward](const error_code& cancelled) {
      if (!cancelled && forward->acceptor.is_open()) { accept(forward); }
    });
  });
}

json::object Forwards::show(const std::string& id) const {
  const Forward& forward = *forwards_.at(id);
  const Host* host = fleet_.find(forward.row.host);
  return {
      {"id", forward.row.id},
      {"host", forward.row.host},
      {"listen", forward.row.listen},
      {"to", forward.row.to},
      {"created", to_iso8601(forward.row.created)},
      {"state", forward.problem.empty() ? "listening" : "failed"},
      {"problem", forward.problem.empty() ? json::value(nullptr) : json::value(forward.problem)},
      {"connections", host == nullptr ? 0 : host->stream_connections(id)}};
}

json::array Forwards::list(const std::string& host) const {
  json::array out;
  for (const auto& [id, forward] : forwards_) {
    if (forward->row.host == host) { out.emplace_back(show(id)); }
  }
  return out;
}

}  // namespace edge::console
