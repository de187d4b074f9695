// What purge needs to know of the machine before us, and the disk did not take: written when it
// can be.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "uplink/daemon/kernel_worker.hpp"

namespace edge::uplink {

/// Role: asks the kernel's thread, which owns the files of HandBack and OriginalsFile, every
/// `interval` and once more at the end, to write what is in memory alone. Logs begin and end.
/// Time: steady timer. Threads: the io_context's; files are written on the kernel's.
class RecordKeeper {
 public:
  static constexpr std::chrono::milliseconds every{2000};

  /// `changed`: what problem() says is different now.
  RecordKeeper(boost::asio::io_context& io, KernelWorker& kernel, std::function<void()> changed,
               std::chrono::milliseconds interval = every)
      : kernel_(kernel), changed_(std::move(changed)), interval_(interval), timer_(io) {}

  void start() { look(); }
  /// The last try: a life that ends takes along what is not on disk.
  void stop();
  /// One line for a person; empty: all is on disk.
  std::string problem() const;

 private:
  void look();
  void on_look(const std::string& trouble);

  KernelWorker& kernel_;
  std::function<void()> changed_;
  std::chrono::milliseconds interval_;
  boost::asio::steady_timer timer_;
  std::string trouble_;  ///< Of the last try; empty: none.
  bool stopped_ = false;
};

}  // namespace edge::uplink
