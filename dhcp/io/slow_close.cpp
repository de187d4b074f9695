// Closing what the kernel is slow to close.
#include "dhcp/io/slow_close.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace edge::dhcp {
namespace {

class Closer {
 public:
  Closer() : thread_([this] { loop(); }) {}
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;
  ~Closer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void take(UniqueFd fd) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(fd));
    }
    wake_.notify_one();
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    while (!stopping_ || !waiting_.empty()) {
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      std::vector<UniqueFd> now = std::exchange(waiting_, {});
      lock.unlock();
      now.clear();  // Here it waits.
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<UniqueFd> waiting_;
  bool stopping_ = false;
  std::thread thread_;  ///< Last: starts when all above stands.
};

}  // namespace

void close_apart(UniqueFd fd) {
  static Closer closer;
  closer.take(std::move(fd));
}

}  // namespace edge::dhcp
