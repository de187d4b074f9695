// One life of the daemon's commands over a fake kernel and a real store; several in a row share
// both.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include "netmodel/core/render.hpp"
#include "tests/fake/fake_kernel.hpp"
#include "tests/unit/store/temp_folder.hpp"
#include "tests/unit/uplink_daemon/commands_faults.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/memory.hpp"
#include "uplink/daemon/reconciler.hpp"

namespace edge::uplink::test {

// Operations of commands: two networks, and a change of a port, which is a trial.
inline const std::string make_blue =
    R"({"op":"network.create","network":"blue","kind":"nat","subnet":"10.50.0.0/24"})";
inline const std::string make_red =
    R"({"op":"network.create","network":"red","kind":"nat","subnet":"10.51.0.0/24"})";
inline const std::string jumbo = R"({"op":"adapter.set","adapter":"eth0","mtu":9000})";

/// What stays when the daemon goes: a machine with one adapter or two, and the disk.
struct Machine {
  Machine() { kernel.plug_adapter("eth0", eth0); }
  /// Another one in the same state. Pre: no life of `other` is under way; nothing foreign is in it.
  Machine(const Machine& other) : boot(other.boot), limits(other.limits), needed(other.needed) {
    kernel.plug_adapter("eth0", eth0);
    if (other.two) { add_eth1(); }
    for (const netmodel::Operation& operation : other.kernel.applied()) {
      EXPECT_TRUE(kernel.apply(operation));
    }
    std::filesystem::copy(other.disk.path(), disk.path(), std::filesystem::copy_options::recursive);
  }
  Machine& operator=(const Machine&) = delete;
  ~Machine() = default;

  void add_eth1() {
    two = true;
    kernel.plug_adapter("eth1", eth1);
  }

  bool has_link(const std::string& name) const { return kernel.state().find_link(name) != nullptr; }
  std::uint32_t mtu() const { return kernel.state().find_link("eth0")->link.mtu.value_or(0); }
  /// Somebody else's, under a name that we may need.
  void add_foreign_bridge(const std::string& name) {
    netmodel::Link foreign;
    foreign.name = name;
    foreign.kind = netmodel::LinkKind::bridge;
    kernel.add_foreign_link(foreign);
  }

  /// The disk stays, the kernel knows nothing any more. Pre: no life is under way.
  void reboot() {
    std::destroy_at(&kernel);
    std::construct_at(&kernel);
    kernel.plug_adapter("eth0", eth0);
    if (two) { kernel.plug_adapter("eth1", eth1); }
    boot = "boot-2";
  }

  std::string boot = "boot-1";
  bool two = false;  ///< There is an eth1.
  MacAddress eth0 = parse_mac("02:00:00:00:00:01").value();
  MacAddress eth1 = parse_mac("02:00:00:00:00:02").value();
  netmodel::FakeKernel kernel;
  store::TempFolder disk;
  store::StoreLimits limits;                    ///< Of its store.
  std::vector<netmodel::NeededAddress> needed;  ///< What its paths need.
  bool read_only = false;                       ///< A life has its store in memory.

  netmodel::RenderFacts facts() const {
    netmodel::RenderFacts out;
    out.host_id = "hv-01";
    out.needed = needed;
    out.adapters = {facts_of("eth0", eth0, 1)};
    if (two) { out.adapters.push_back(facts_of("eth1", eth1, 2)); }
    return out;
  }
  std::vector<netmodel::KnownAdapter> ranges() const {
    std::vector<netmodel::KnownAdapter> out{{eth0, "eth0", 68, 9000}};
    if (two) { out.push_back({eth1, "eth1", 68, 9000}); }
    return out;
  }

 private:
  static netmodel::AdapterFacts facts_of(const std::string& name, const MacAddress& mac,
                                         int number) {
    netmodel::AdapterFacts adapter;
    adapter.name = name;
    adapter.base_mac = mac;
    adapter.table = static_cast<std::uint32_t>(20000 + number);
    adapter.mtu_max = 9000;
    adapter.carrier = true;
    netmodel::LeaseFacts lease;
    lease.address = parse_prefix(fmt::format("192.168.{}.50/24", number)).value();
    lease.routers = {parse_ip(fmt::format("192.168.{}.1", number)).value()};
    adapter.lease = lease;
    return adapter;
  }
};

/// From one start to the next kill.
class Life {
 public:
  explicit Life(Machine& machine, Death* death = nullptr)
      : machine_(machine),
        death_(death),
        store_(io_, open_store()),
        kernel_(io_,
                KernelBox{nullptr, std::make_unique<BorrowedKernel>(machine.kernel, death), {}}),
        events_(store_),
        reconciler_(io_, kernel_, model_,
                    {.facts = [this] { return machine_.facts(); },
                     .on_model = {},
                     .on_turn = [this](const TurnResult& turn) { turns_.push_back(turn.plan); },
                     .look_age_max = std::chrono::hours(1)}),
        trials_(io_, {.sights =
                          [this] {
                            ++looks;
                            return paths;
                          },
                      .redial = [this](const PathKey& key) { redial(key); },
                      .active = [] { return std::optional<PathKey>(PathKey{eth0_key, 0}); },
                      .prove = [](const std::set<std::string>&) {},
                      .remind = [this] { commands_.say_confirming(); },
                      .changed = [] {}}),
        commands_(io_, store_, events_, reconciler_, trials_,
                  {.facts =
                       [this] {
                         netmodel::ModelFacts facts;
                         facts.host_id = "hv-01";
                         facts.needed = machine_.needed;
                         facts.adapters = machine_.ranges();
                         return facts;
                       },
                   .act =
                       [this](const netmodel::HostAction& action,
                              std::function<void(Result<std::string>)> done) {
                         ++actions;
                         if (const auto* drain = std::get_if<netmodel::DrainPort>(&action)) {
                           drains.push_back(drain->duration);
                           drained_until.reset();
                           if (drain->duration.count() > 0) {
                             drained_until = mono_now() + drain->duration;
                           }
                           return done({});
                         }
                         if (act_fails) { return done(fail(Errc::unsupported, "no light")); }
                         done({});
                       },
                   .drained_until = [this](const MacAddress&) { return drained_until; },
                   .send = [this](std::string_view text) -> Result<void> {
                     if (!online) { return fail(Errc::transient, "offline"); }
                     if (death_ != nullptr && death_->come()) { return {}; }  // Unsaid.
                     if (room && *room == 0) { return fail(Errc::no_space, "full"); }
                     if (room) { --*room; }
                     sent.push_back(boost::json::parse(text).as_object());
                     confirm_if_asked(sent.back());
                     return {};
                   },
                   .say = [this](std::string_view text) -> Result<void> {
                     if (!online) { return fail(Errc::transient, "offline"); }
                     if (death_ != nullptr && death_->come()) { return {}; }  // Unsaid.
                     sent.push_back(boost::json::parse(text).as_object());
                     confirm_if_asked(sent.back());
                     return {};
                   },
                   .advise =
                       [this](const netmodel::Model&, const netmodel::Model&,
                              std::function<void(std::vector<std::string>)> done) {
                         if (hold_advice) {
                           advised = std::move(done);
                           return;
                         }
                         done({"eth0 does not hear eth1"});
                       },
                   .changed = [] {},
                   .undone = [this] { ++undone; },
                   .tried = {},
                   .replaced = [this] { ++replaced; },
                   .ways =
                       [this](const netmodel::Model&, const TrialTerms& terms) {
                         std::vector<Way> up;
                         for (const PathSight& path : paths) {
                           if (path.up()) { up.push_back({path.key.port, "eth0", "console:8443"}); }
                         }
                         return ways_after(up,
                                           {.leaving = terms.leaving, .affected = terms.affected});
                       },
                   .disk_period = std::chrono::milliseconds(20),
                   .send_period = std::chrono::milliseconds(20)},
                  machine.boot, {.revision = revision_, .highest = highest_}) {}
  /// As kill -9: what waits is never done.
  ~Life() {
    reconciler_.stop();
    trials_.stop();
    commands_.stop();
  }

  static constexpr const char* eth0_key = "020000000001";
  /// A path that is up over eth0, for trials.
  void path_up() { paths = {{.key = {eth0_key, 0}, .name = "eth0/console:8443", .welcomes = 1}}; }
  void redial(const PathKey& key) {
    for (PathSight& path : paths) {
      if (path.key == key && answers) { ++path.welcomes; }
      if (path.key == key && !answers) { path.broken = Step::tcp; }
    }
    trials_.poke();
  }
  Trials& trials() { return trials_; }
  void confirm_if_asked(const boost::json::object& message) {
    const auto* state = message.if_contains("state");
    if (!(confirms || aborts) || state == nullptr || state->as_string() != "confirming") { return; }
    boost::asio::post(io_, [this, id = std::string(message.at("id").as_string())] {
      commands_.on_message(
          fmt::format(R"({{"type":"{}","id":"{}"}})", confirms ? "confirm" : "abort", id));
    });
  }

  void recover() { commands_.recover(std::move(unfinished_)); }
  /// The Console's acknowledgements are on disk too.
  bool settled() {
    std::optional<bool> rest;
    store_.run([](store::Store& s) { return s.unacked_results(1); },
               [&rest](const auto& records) { rest = records && records->empty(); });
    return until([&] { return rest.has_value(); }) && *rest;
  }
  /// As the daemon starts: first the network of the stored revision, then what was interrupted.
  bool start() {
    reconciler_.request("start");
    if (!until([&] { return reconciler_.turns() > 0; })) { return false; }
    recover();
    return true;
  }
  /// What would have to be written for the kernel to show the model.
  std::vector<std::string> lacking() {
    std::optional<std::vector<std::string>> out;
    boost::asio::co_spawn(
        io_,
        [&]() -> boost::asio::awaitable<void> {
          netmodel::Model model = reconciler_.model();
          TurnResult turn = co_await reconciler_.plan_only(std::move(model));
          out = std::move(turn.plan);
        },
        boost::asio::detached);
    if (!until([&] { return out.has_value(); })) { return {"no answer"}; }
    return *out;
  }
  void send(const std::string& message) { commands_.on_message(message); }
  /// A command under id n. Pre: n < 1000.
  static std::string command(int n, const std::string& operations, const std::string& more = "") {
    return fmt::format(R"({{"type":"command","id":"{}","operations":[{}]{}}})", id(n), operations,
                       more);
  }
  /// The Console's word about command n: "confirm", "abort", "history".
  void say(std::string_view type, int n, std::string_view more = "") {
    send(fmt::format(R"({{"type":"{}","id":"{}"{}}})", type, id(n), more));
  }
  /// Sends a command that is a trial; true: it is under way.
  bool try_out(int n, const std::string& operations, const std::string& more = "") {
    send(command(n, operations, more));
    return until([&] { return trials_.running(); });
  }
  static std::string id(int n) { return fmt::format("00000000-0000-4000-8000-000000000{:03}", n); }

  template <class Predicate>
  bool until(Predicate predicate) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!predicate()) {
      if (std::chrono::steady_clock::now() > deadline) { return false; }
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(20));
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
  /// Pre: it was heard.
  std::string text_of(std::string_view type, int n) const {
    return boost::json::serialize(heard(type, n).value());
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
  bool hold_advice = false;
  std::function<void(std::vector<std::string>)> advised;  ///< Held: who waits for it.
  std::optional<std::size_t> room;  ///< Messages that the tunnel still takes; nullopt: all.
  int actions = 0;
  std::vector<std::chrono::seconds> drains;  ///< Never fails.
  std::optional<MonoTime> drained_until;     ///< By the last of them.
  int looks = 0;                             ///< At the paths.
  bool act_fails = false;
  int undone = 0;
  int replaced = 0;
  std::vector<PathSight> paths;
  bool confirms = false;  ///< The Console, what it hears of.
  bool aborts = false;    ///< The same.
  bool answers = true;    ///< The Console, to a path that is dialled anew.

 private:
  store::Store open_store() {
    store::StoreOptions options{.limits = machine_.limits, .vfs = {}};
    if (death_ != nullptr && death_->disk != nullptr) { options.vfs = store::FaultVfs::kName; }
    const std::string file = machine_.disk.file("uplink.db");
    auto opened = machine_.read_only
                      ? store::Store::open_volatile(file, machine_.disk.path(),
                                                    {Errc::denied, 0, "read-only"}, WallTime{})
                      : store::Store::open(file, WallTime{}, options);
    EXPECT_TRUE(opened) << opened.error().what;
    model_ = netmodel::Model::defaults();
    if (const auto newest = opened->newest_revision().value()) {
      revision_ = newest->number;
      model_ = netmodel::model_from_json(newest->model).value();
    }
    highest_ = opened->highest_revision_number().value();
    unfinished_ = taken_up(opened->unfinished().value(), opened->standing(), false);
    return std::move(*opened);
  }

  Machine& machine_;
  Death* death_ = nullptr;
  boost::asio::io_context io_{1};
  netmodel::Model model_;
  std::int64_t revision_ = 0;
  std::int64_t highest_ = 0;
  std::vector<store::CommandRecord> unfinished_;
  std::vector<std::vector<std::string>> turns_;
  store::StoreWorker store_;
  KernelWorker kernel_;
  EventLog events_;
  Reconciler reconciler_;
  Trials trials_;
  Commands commands_;
};

/// A life that ends in the trial of command 1.
inline void die_in_a_trial(Machine& machine) {
  Life life(machine);
  life.path_up();
  ASSERT_TRUE(life.try_out(1, jumbo, R"(,"confirm_within_s":60)"));
  ASSERT_EQ(machine.mtu(), 9000U);
}

}  // namespace edge::uplink::test
