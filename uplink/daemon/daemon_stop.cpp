// How the daemon goes: what is begun is ended first, the dataplane stays.
#include <utility>

#include <spdlog/spdlog.h>

#include "uplink/daemon/daemon.hpp"

namespace edge::uplink {

void Daemon::stop(std::function<void()> done) {
  if (stopping_) { return; }
  stopping_ = true;
  stopped_ = std::move(done);
  stop_timer_.expires_after(undo_at_stop_max);
  stop_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec || ended_) { return; }
    spdlog::warn("daemon.command_left reason=\"not over within {} s\" next=\"the next start\"",
                 undo_at_stop_max.count());
    end();
  });
  commands_.wind_down("the daemon was stopped", [this] { end(); });
}

void Daemon::end() {
  if (std::exchange(ended_, true)) { return; }
  stop_timer_.cancel();
  reconciler_.stop();
  sysctl_watch_.stop();
  record_keeper_.stop();
  flows_.stop();
  failover_.stop();
  drill_.stop();
  group_check_.stop();
  trials_.stop();
  commands_.stop();
  outbox_.stop();
  store_keeper_.stop();
  identity_keeper_.stop();
  retry_timer_.cancel();
  watch_timer_.cancel();
  tunnel_.stop();
  clock_.stop();
  link_monitor_->stop();
  nft_monitor_.reset();
  control_.reset();
  status_server_.reset();
  services_.leave();
  virtual_ip_.leave();
  ports_.stop(std::move(stopped_));
}

}  // namespace edge::uplink
