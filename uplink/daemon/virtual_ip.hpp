// The cluster's virtual address: a supervised keepalived, and who holds the address.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "dhcp/core/child_engine.hpp"
#include "dhcp/io/child.hpp"
#include "netmodel/core/render.hpp"
#include "uplink/core/config.hpp"
#include "uplink/daemon/events.hpp"

namespace edge::uplink {

/// Lifetime: keepalived serves on while the daemon is away (leave()), and the next start adopts it:
/// the address moves by the cluster's rules only. A purge ends it. Threads: the io_context's.
class VirtualIp {
 public:
  VirtualIp(boost::asio::io_context& io, const Config& config, EventLog& events);
  ~VirtualIp();
  VirtualIp(const VirtualIp&) = delete;
  VirtualIp& operator=(const VirtualIp&) = delete;

  /// As the last render says; nullopt: no virtual address, keepalived ends and takes it away.
  void apply(const std::optional<netmodel::VirtualAddress>& wanted);
  /// Tells by event who holds the address now.
  void observe(const netmodel::ObservedState& observed);
  void leave();

  /// {"address", "link", "holder": bool}; nullopt: there is none.
  std::optional<boost::json::object> view() const;
  /// What is wrong with it; empty: nothing.
  const std::string& trouble() const { return trouble_; }

 private:
  void adopt();
  Result<void> configure(const std::string& text);
  void act(dhcp::ChildAction action);
  void start();
  void on_exit(const dhcp::ChildExit& exit);
  void note(std::string text);
  void arm();
  /// Among the locks of the other children: a purge ends whatever holds one.
  std::string lock_file() const { return config_.paths.runtime + "/dhcp/keepalived.lock"; }

  boost::asio::io_context& io_;
  const Config& config_;
  EventLog& events_;
  boost::asio::steady_timer timer_;
  dhcp::ChildEngine engine_;
  std::unique_ptr<dhcp::Child> child_;
  std::optional<netmodel::VirtualAddress> wanted_;
  std::string trouble_;
  bool holder_ = false;
  bool looked_ = false;       ///< What an earlier run left has been looked for.
  bool holder_known_ = true;  ///< false: adopted, and not observed yet.
};

}  // namespace edge::uplink
