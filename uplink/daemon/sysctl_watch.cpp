// Sysctls that a turn left in order are read again.
#include "uplink/daemon/sysctl_watch.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "uplink/core/sysctl_originals.hpp"

namespace edge::uplink {

using netmodel::Sysctl;

void SysctlWatch::expect(std::vector<Sysctl> values) {
  ++turn_;
  values_ = std::move(values);
  const auto links = std::ranges::partition(
      values_, [](const Sysctl& sysctl) { return is_machine_wide(sysctl.path); });
  machine_wide_ = values_.size() - links.size();
  arm();
}

void SysctlWatch::arm() {
  if (armed_ || stopped_) { return; }
  armed_ = true;
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) { look(); }
  });
}

void SysctlWatch::look() {
  const std::size_t links = values_.size() - machine_wide_;
  const auto first = values_.begin();
  std::vector<Sysctl> expected(first, first + static_cast<std::ptrdiff_t>(machine_wide_));
  const std::size_t count = std::min(links, links_per_look);
  for (std::size_t i = 0; i < count; ++i) {
    expected.push_back(values_[machine_wide_ + ((next_ + i) % links)]);
  }
  next_ = links == 0 ? 0 : (next_ + count) % links;
  std::vector<std::string> paths;
  paths.reserve(expected.size());
  for (const Sysctl& sysctl : expected) { paths.push_back(sysctl.path); }
  kernel_.run(
      [paths = std::move(paths)](KernelBox& box) { return box.kernel->read_sysctls(paths); },
      [this, expected = std::move(expected), turn = turn_](const Result<std::vector<Sysctl>>& now) {
        armed_ = false;
        if (turn == turn_) { on_look(expected, now); }  // Else a turn has looked meanwhile.
        arm();
      });
}

/// A file that is away went with its link, of which netlink tells.
void SysctlWatch::on_look(const std::vector<Sysctl>& expected,
                          const Result<std::vector<Sysctl>>& now) {
  if (!now) {
    spdlog::warn("sysctl.unreadable reason={}", now.error().what);
    return;
  }
  auto wanted = expected.begin();
  for (const Sysctl& found : *now) {
    wanted = std::find_if(wanted, expected.end(),
                          [&](const Sysctl& sysctl) { return sysctl.path == found.path; });
    if (wanted != expected.end() && wanted->value != found.value) { return differs_(found); }
  }
}

void SysctlWatch::stop() {
  stopped_ = true;
  timer_.cancel();
}

}  // namespace edge::uplink
