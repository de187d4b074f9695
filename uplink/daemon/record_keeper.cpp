#include "uplink/daemon/record_keeper.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace edge::uplink {

namespace {

/// Runs on the kernel thread. Why not all is on disk; empty: it is.
Result<std::string> write_records(KernelBox& box) {
  std::string trouble = box.before ? box.before->write_again() : "";
  std::string other = box.originals ? box.originals->write_again() : "";
  return trouble.empty() ? other : trouble;
}

}  // namespace

void RecordKeeper::look() {
  if (stopped_) { return; }
  kernel_.run(write_records, [this](const Result<std::string>& trouble) {
    on_look(trouble ? *trouble : trouble.error().what);
    if (stopped_) { return; }
    timer_.expires_after(interval_);
    timer_.async_wait([this](boost::system::error_code ec) {
      if (!ec) { look(); }
    });
  });
}

void RecordKeeper::on_look(const std::string& trouble) {
  const bool same = trouble.empty() == trouble_.empty();
  trouble_ = trouble;
  if (same) { return; }
  if (trouble.empty()) {
    spdlog::info("purge_record.kept");
  } else {
    spdlog::warn("purge_record.not_kept what=\"{}\" next=\"in memory; written when it can be\"",
                 trouble);
  }
  changed_();
}

void RecordKeeper::stop() {
  stopped_ = true;
  timer_.cancel();
  kernel_.run(write_records, [](const Result<std::string>&) {});
}

std::string RecordKeeper::problem() const {
  if (trouble_.empty()) { return {}; }
  return fmt::format(
      "uplinkd --purge could not give the machine back as it was found if the daemon ended now: "
      "{}; "
      "tried again every 2 s",
      trouble_);
}

}  // namespace edge::uplink
