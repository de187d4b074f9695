// The forwards of all hosts: ports of this Console whose connections run through a tunnel.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/json/array.hpp>

#include "console/fleet.hpp"

namespace edge::console {

/// Forwards are on disk and open again after a restart; connections are not, and end with it. A
/// port that another program has then is tried again.
///
/// Time: one steady timer for what could not be opened. Threads: the io_context's.
class Forwards {
 public:
  static constexpr std::size_t per_host_max = 64;
  static constexpr std::size_t forwards_max = 1024;
  static constexpr std::chrono::seconds retry_period{5};

  Forwards(boost::asio::io_context& io, Fleet& fleet);
  ~Forwards();

  /// What is on disk. Ports that cannot be opened now are tried again.
  void restore(std::vector<ForwardRow> rows);
  /// Binds and listens, accepts nothing yet; `row.listen` gets the port that was chosen.
  /// Errors: conflict (taken), invalid_input (no address of this machine), denied, no_space.
  Result<void> open(ForwardRow& row);
  /// Accepts from now on. Pre: open(), and on disk.
  void begin(const std::string& id);
  /// Closes the port and its connections. False: there is none of this host.
  bool close(const std::string& host, const std::string& id);

  bool has(const std::string& host, const std::string& id) const;
  boost::json::array list(const std::string& host) const;
  boost::json::object show(const std::string& id) const;
  std::size_t count() const { return forwards_.size(); }
  void stop();

 private:
  struct Forward {
    explicit Forward(boost::asio::io_context& io) : acceptor(io), pause(io) {}
    ForwardRow row;
    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::steady_timer pause;  ///< After a failed accept.
    std::string problem;              ///< Why it does not listen; empty: it does.
  };
  Result<void> listen(Forward& forward);
  void accept(const std::shared_ptr<Forward>& forward);
  void retry_later();

  boost::asio::io_context& io_;
  Fleet& fleet_;
  std::map<std::string, std::shared_ptr<Forward>> forwards_;  ///< Shared with pending handlers.
  boost::asio::steady_timer retry_timer_;
  /// A handler that was queued when its timer went asks this.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace edge::console
