// What goes wrong around the commands of a life: death, a disk that fails, a file that is held.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "store/io/sqlite.hpp"
#include "tests/fake/fake_kernel.hpp"
#include "tests/unit/store/fault_vfs.hpp"

namespace edge::uplink::test {

/// The moment at which a life ends: a request to the kernel, or a call by which the store changes
/// the disk. From then on nothing that the dying life does has any effect.
struct Death {
  store::FaultVfs* disk = nullptr;     ///< Fires by itself at a point of the store.
  std::atomic<int> kernel_point = 0;   ///< 2n-1: before the n-th request, 2n: after it; 0: never.
  std::atomic<int> kernel_points = 0;  ///< Passed so far.
  std::atomic<bool> struck = false;

  bool mortal = true;  ///< false: a fault of the disk is no death, only a fault.

  bool come() const { return mortal && (struck || (disk != nullptr && disk->fired())); }
  void pass() {
    if (++kernel_points != kernel_point) { return; }
    struck = true;
    using Fault = store::FaultVfs;
    if (disk != nullptr) { disk->arm(1, Fault::Fault::io_error, Fault::Lasting::from_then_on); }
  }
};

/// A disk that fails and works again; nobody dies of it.
struct FaultyDisk {
  FaultyDisk() {
    death.disk = &vfs;
    death.mortal = false;
  }
  void fail() {
    vfs.arm(1, store::FaultVfs::Fault::io_error, store::FaultVfs::Lasting::from_then_on);
  }
  void heal() { vfs.disarm(); }

  store::FaultVfs vfs;
  Death death;
};

/// A person's sqlite3 beside the daemon, in a transaction that is left open.
/// Threads: one at a time.
class PersonsLock {
 public:
  explicit PersonsLock(const std::string& file) : database_(store::Database::open(file).value()) {}
  void take() { EXPECT_TRUE(database_.execute("BEGIN IMMEDIATE")); }
  void release() { EXPECT_TRUE(database_.execute("ROLLBACK")); }

 private:
  store::Database database_;
};

/// The kernel outlives the daemon: its worker owns only this.
class BorrowedKernel final : public netmodel::Kernel {
 public:
  explicit BorrowedKernel(netmodel::FakeKernel& kernel, Death* death = nullptr)
      : kernel_(kernel), death_(death) {}
  Result<netmodel::ObservedState> dump(std::span<const std::string> sysctls) override {
    return kernel_.dump(sysctls);
  }
  Result<std::vector<netmodel::Sysctl>> read_sysctls(std::span<const std::string> paths) override {
    return kernel_.read_sysctls(paths);
  }
  Result<std::optional<netmodel::NftState>> dump_nft() override { return kernel_.dump_nft(); }
  Result<void> apply(const netmodel::Operation& operation) override {
    if (death_ == nullptr) { return kernel_.apply(operation); }
    death_->pass();
    if (death_->come()) { return fail(Errc::transient, "dead"); }
    auto done = kernel_.apply(operation);
    death_->pass();
    return done;
  }

 private:
  netmodel::FakeKernel& kernel_;
  Death* death_;
};

}  // namespace edge::uplink::test
