// One life of the daemon's commands over a fake kernel and a real store; several in a row share
// both.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "netmodel/core/render.hpp"
#include "tests/fake/fake_kernel.hpp"
#include "tests/unit/store/temp_folder.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/reconciler.hpp"

namespace edge::uplink::test {

/// The kernel outlives the daemon: its worker owns only this.
class BorrowedKernel final : public netmodel::Kernel {
 public:
  explicit BorrowedKernel(netmodel::FakeKernel& kernel) : kernel_(kernel) {}
  Result<netmodel::ObservedState> dump(std::span<const std::string> sysctls) override {
    return kernel_.dump(sysctls);
  }
  Result<std::optional<netmodel::NftState>> dump_nft() override { return kernel_.dump_nft(); }
  Result<void> apply(const netmodel::Operation& operation) override {
    return kernel_.apply(operation);
  }

 private:
  netmodel::FakeKernel& kernel_;
};

/// What stays when the daemon goes: a machine with one adapter, and the disk.
struct Machine {
  Machine() { kernel.plug_adapter("eth0", eth0); }
  MacAddress eth0 = parse_mac("02:00:00:00:00:01").value();
  netmodel::FakeKernel kernel;
  store::TempFolder disk;

  netmodel::RenderFacts facts() const {
    netmodel::AdapterFacts adapter;
    adapter.name = "eth0";
    adapter.base_mac = eth0;
    adapter.table = 20001;
    adapter.mtu_max = 9000;
    adapter.carrier = true;
    netmodel::LeaseFacts lease;
    lease.address = parse_prefix("192.168.1.50/24").value();
    lease.routers = {parse_ip("192.168.1.1").value()};
    adapter.lease = lease;
    netmodel::RenderFacts out;
    out.host_id = "hv-01";
    out.adapters = {adapter};
    return out;
  }
};

/// From one start to the next kill.
class Life {
 public:
  explicit Life(Machine& machine)
      : machine_(machine),
        store_(io_, open_store()),
        kernel_(io_, KernelBox{nullptr, std::make_unique<BorrowedKernel>(machine.kernel), {}}),
        events_(store_),
        reconciler_(io_, kernel_, model_,
                    {.facts = [this] { return machine_.facts(); },
                     .on_model = {},
                     .on_turn = [this](const TurnResult& turn) { turns_.push_back(turn.plan); }}),
        commands_(io_, store_, events_, reconciler_,
                  {.facts =
                       [this] {
                         netmodel::ModelFacts facts;
                         facts.host_id = "hv-01";
                         facts.adapters = {{machine_.eth0, "eth0", 68, 9000}};
                         return facts;
                       },
                   .act =
                       [this](const netmodel::HostAction&, std::function<void(Result<void>)> done) {
                         ++actions;
                         done({});
                       },
                   .send = [this](std::string_view text) -> Result<void> {
                     if (!online) { return fail(Errc::transient, "offline"); }
                     sent.push_back(boost::json::parse(text).as_object());
                     return {};
                   },
                   .advise =
                       [](const netmodel::Model&, const netmodel::Model&,
                          std::function<void(std::vector<std::string>)> done) {
                         done({"eth0 does not hear eth1"});
                       },
                   .changed = [] {}},
                  "boot-1", revision_) {}
  /// As kill -9: what waits is never done.
  ~Life() {
    reconciler_.stop();
    commands_.stop();
  }

  void recover() { commands_.recover(std::move(unfinished_)); }
  void send(const std::string& message) { commands_.on_message(message); }
  /// A command under id n. Pre: n < 1000.
  static std::string command(int n, const std::string& operations, const std::string& more = "") {
    return fmt::format(R"({{"type":"command","id":"{}","operations":[{}]{}}})", id(n), operations,
                       more);
  }
  static std::string id(int n) { return fmt::format("00000000-0000-4000-8000-000000000{:03}", n); }

  template <class Predicate>
  bool until(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline) { return false; }
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  /// The first message of a type about command n.
  std::optional<boost::json::object> heard(std::string_view type, int n) const {
    for (const auto& message : sent) {
      if (message.at("type").as_string() == type && message.at("id").as_string() == id(n)) {
        return message;
      }
    }
    return std::nullopt;
  }
  std::string result_of(int n) {
    if (!until([&] { return heard("result", n).has_value(); })) { return "none"; }
    return std::string(heard("result", n)->at("state").as_string());
  }
  std::size_t results_of(int n) const {
    return static_cast<std::size_t>(std::ranges::count_if(sent, [&](const auto& message) {
      return message.at("type").as_string() == "result" && message.at("id").as_string() == id(n);
    }));
  }

  const netmodel::Model& model() const { return reconciler_.model(); }
  Reconciler& reconciler() { return reconciler_; }
  Commands& commands() { return commands_; }
  const std::vector<std::vector<std::string>>& turns() const { return turns_; }

  std::vector<boost::json::object> sent;
  bool online = true;
  int actions = 0;

 private:
  store::Store open_store() {
    auto opened = store::Store::open(machine_.disk.file("uplink.db"), WallTime{});
    EXPECT_TRUE(opened) << opened.error().what;
    model_ = netmodel::Model::defaults();
    if (const auto newest = opened->newest_revision().value()) {
      revision_ = newest->number;
      model_ = netmodel::model_from_json(newest->model).value();
    }
    unfinished_ = opened->unfinished().value();
    return std::move(*opened);
  }

  Machine& machine_;
  boost::asio::io_context io_{1};
  netmodel::Model model_;
  std::int64_t revision_ = 0;
  std::vector<store::CommandRecord> unfinished_;
  std::vector<std::vector<std::string>> turns_;
  store::StoreWorker store_;
  KernelWorker kernel_;
  EventLog events_;
  Reconciler reconciler_;
  Commands commands_;
};

}  // namespace edge::uplink::test
