// Every request to the kernel and every write of the store on the way of a command is a moment at
// which the daemon dies, or at which that one request or write fails. After each: restart, and
// kernel, store and all answers agree on one of the two revisions.
#include <array>
#include <map>
#include <ostream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using store::FaultVfs;
using test::Death;
using test::jumbo;
using test::Life;
using test::Machine;
using test::make_blue;
using test::make_red;

/// What the Console says of a trial that it hears of.
enum class Word { none, confirm, abort };

struct Way {
  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

  const char* name;
  std::vector<std::string> commands;  ///< Sent together; operations of each.
  Word word = Word::confirm;
  std::string more{};                 ///< Fields of each command.
  std::string expected = "done";      ///< How each ends when nothing fails.
  std::vector<std::string> before{};  ///< Commands that are done already.
  bool from_the_start = false;        ///< The first start of the machine is on the way.
  bool lasts_a_second = false;  ///< Deaths only: the faults of the way beside it are the same.
  bool interrupted = false;     ///< A life before it was killed in the trial: this one undoes it.
};

enum class Fault {
  death_at_request,
  death_at_disk,
  power_cut,  ///< As death_at_disk, and the kernel knows nothing any more.
  io_error,   ///< This one write, sync, truncation, creation or deletion; the daemon goes on.
  disk_full,
  request_refused
};
constexpr std::array faults{Fault::death_at_request, Fault::death_at_disk, Fault::power_cut,
                            Fault::io_error,         Fault::disk_full,     Fault::request_refused};

bool is_death(Fault fault) { return fault <= Fault::power_cut; }

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::death_at_request: return "dies at a request";
    case Fault::death_at_disk: return "dies at a write";
    case Fault::power_cut: return "power cut";
    case Fault::io_error: return "one I/O error";
    case Fault::disk_full: return "one full disk";
    case Fault::request_refused: return "one refusal";
  }
  return "";
}

/// What the Console knows of the commands, over all lives.
struct Console {
  std::map<int, std::string> ends;

  /// An end that was told stands for ever.
  void hear(const Life& life) {
    for (int n = 1; n < 10; ++n) {
      for (const auto& message : life.sent) {
        if (message.at("type").as_string() != "result" || message.at("id") != Life::id(n).c_str()) {
          continue;
        }
        const std::string state(message.at("state").as_string());
        const auto [known, fresh] = ends.emplace(n, state);
        EXPECT_EQ(known->second, state) << boost::json::serialize(message);
      }
    }
  }
};

bool all_ended(const Life& life, const Way& way, const Console& console) {
  for (int n = 1; n <= static_cast<int>(way.commands.size()); ++n) {
    if (!console.ends.contains(n) && !life.heard("result", n)) { return false; }
  }
  return true;
}

/// Lives until every command has its end, or death came. The Console says what has none to it.
bool live(Life& life, const Way& way, Console& console, const Death* death = nullptr) {
  life.path_up();
  life.answers = way.word != Word::none;
  life.confirms = way.word == Word::confirm;
  life.aborts = way.word == Word::abort;
  bool ended = life.start();
  life.commands().send_unacked();
  for (int n = 1; n <= static_cast<int>(way.commands.size()); ++n) {
    if (!console.ends.contains(n)) {
      life.send(Life::command(n, way.commands[static_cast<std::size_t>(n - 1)], way.more));
    }
  }
  ended = ended && life.until([&] {
    return (death != nullptr && death->come()) || all_ended(life, way, console);
  });
  console.hear(life);
  return ended;
}

/// A machine at which the way begins.
std::unique_ptr<Machine> at_the_beginning(const Way& way) {
  auto machine = std::make_unique<Machine>();
  machine->add_eth1();
  if (way.from_the_start) { return machine; }
  Life life(*machine);
  life.path_up();
  life.confirms = true;
  EXPECT_TRUE(life.start());
  for (int n = 1; n <= static_cast<int>(way.before.size()); ++n) {
    life.send(Life::command(100 + n, way.before[static_cast<std::size_t>(n - 1)]));
    EXPECT_EQ(life.result_of(100 + n), "done") << life.text_of("result", 100 + n);
    life.say("result_ack", 100 + n);
  }
  life.confirms = false;
  if (way.interrupted) { EXPECT_TRUE(life.try_out(1, way.commands.front(), way.more)); }
  EXPECT_TRUE(life.until([&] { return life.settled(); }));
  return machine;
}

/// The models that the way begins and ends with.
struct Ends {
  netmodel::Model before;
  netmodel::Model after;
};

Ends undisturbed(const Way& way, const Machine& beginning) {
  Machine machine(beginning);
  Console console;
  Ends ends;
  Life life(machine);
  ends.before = life.model();
  EXPECT_TRUE(live(life, way, console));
  for (const auto& [n, state] : console.ends) {
    EXPECT_EQ(state, way.expected) << life.text_of("result", n);
  }
  ends.after = life.model();
  EXPECT_EQ(ends.before != ends.after, way.expected == "done");
  return ends;
}

/// Kernel, store and what was told agree.
void expect_whole(Life& life, const Way& way, const Console& console, const Ends& ends) {
  EXPECT_THAT(life.lacking(), testing::IsEmpty());
  EXPECT_EQ(life.commands().revision() > static_cast<std::int64_t>(way.before.size()),
            life.model() != ends.before);
  EXPECT_EQ(console.ends.size(), way.commands.size());
  for (const auto& [n, state] : console.ends) {
    EXPECT_TRUE(state == way.expected || state == "refused" || state == "rolled_back") << state;
    if (way.commands.size() > 1) {  // Command n makes network n, and nothing else.
      EXPECT_EQ(life.model().networks.contains(fmt::format("n{}", n)), state == "done");
    } else {
      EXPECT_EQ(life.model(), state == "done" ? ends.after : ends.before) << state;
    }
  }
}

void arm(Fault fault, std::uint64_t n, Machine& machine, Death& death) {
  switch (fault) {
    case Fault::death_at_request: death.kernel_point = static_cast<int>(n); return;
    case Fault::death_at_disk:
    case Fault::power_cut:
      return death.disk->arm(n, FaultVfs::Fault::io_error, FaultVfs::Lasting::from_then_on);
    case Fault::io_error:
      return death.disk->arm(n, FaultVfs::Fault::io_error, FaultVfs::Lasting::once);
    case Fault::disk_full:
      return death.disk->arm(n, FaultVfs::Fault::disk_full, FaultVfs::Lasting::once);
    case Fault::request_refused: return machine.kernel.fail_apply(n, EBUSY);
  }
}

/// A life in which the n-th moment is struck: of one that dies of it, its end included; any other
/// is killed when it has answered. False: there were fewer.
bool struck(Machine& machine, const Way& way, Fault fault, int n, Console& console,
            const Ends& ends) {
  FaultVfs disk;
  Death death;
  death.disk = &disk;
  death.mortal = is_death(fault);
  const std::uint64_t last = machine.kernel.writes() + static_cast<std::uint64_t>(n);
  bool fired = false;
  {
    Life life(machine, &death);
    arm(fault, static_cast<std::uint64_t>(n), machine, death);
    EXPECT_TRUE(live(life, way, console, &death));
    if (!death.come()) { expect_whole(life, way, console, ends); }
    fired = disk.fired();
    if (!death.mortal) { disk.arm(1, FaultVfs::Fault::io_error, FaultVfs::Lasting::from_then_on); }
  }
  if (death.mortal) { fired = death.struck || disk.fired(); }
  if (fault == Fault::request_refused) {
    machine.kernel.forget_failures();
    return machine.kernel.writes() >= last;
  }
  return fired;
}

/// All moments of one kind; how many there were.
int all_moments(const Way& way, Fault fault, const Machine& beginning, const Ends& ends) {
  for (int n = 1; n < 1000; ++n) {
    SCOPED_TRACE(fmt::format("{}: {} {}", way.name, name_of(fault), n));
    Machine machine(beginning);
    Console console;
    if (!struck(machine, way, fault, n, console, ends)) { return n - 1; }
    if (fault == Fault::power_cut) { machine.reboot(); }
    Life life(machine);
    EXPECT_TRUE(live(life, way, console));
    expect_whole(life, way, console, ends);
    if (testing::Test::HasFailure()) { return n; }
  }
  return 0;
}

const std::string pair = R"({"op":"group.create","group":"lan","adapters":["eth0","eth1"]})";
const std::string web =
    R"({"op":"interface.attach","interface":"web","vm":"v","network":"default"})";
const std::string publish =
    R"({"op":"gateway.publish","rule":"r","interface":"web","protocol":"tcp","port":80})";
const std::string other_model =
    R"({"op":"model.replace","model":{"networks":[{"network":"green","kind":"nat",
    "subnet":"10.60.0.0/24"},{"network":"dark","kind":"isolated","subnet":"10.61.0.0/24"}],
    "interfaces":[{"interface":"db","vm":"w","network":"green"}]}})";

std::string numbered(int n) {
  return fmt::format(R"({{"op":"network.create","network":"n{}","kind":"nat"}})", n);
}

const std::vector<Way> ways{
    {.name = "a network from the first start", .commands = {make_blue}, .from_the_start = true},
    {.name = "a trial that is kept", .commands = {jumbo}},
    {.name = "a trial that nobody confirms",
     .commands = {jumbo},
     .word = Word::none,
     .more = R"(,"confirm_within_s":1)",
     .expected = "rolled_back",
     .lasts_a_second = true},
    {.name = "a trial that the Console ends",
     .commands = {jumbo},
     .word = Word::abort,
     .expected = "rolled_back"},
    {.name = "the undo at the next start",
     .commands = {jumbo},
     .word = Word::none,
     .expected = "rolled_back",
     .interrupted = true},
    {.name = "a group is made", .commands = {pair}},
    {.name = "a group is made and taken back",
     .commands = {pair},
     .word = Word::abort,
     .expected = "rolled_back"},
    {.name = "a group is dissolved",
     .commands = {R"({"op":"group.delete","group":"lan"})"},
     .before = {pair}},
    {.name = "a management VLAN",
     .commands = {R"({"op":"group.update","group":"lan","management_vlan":77})"},
     .before = {pair}},
    {.name = "an interface is attached", .commands = {web}},
    {.name = "an interface is detached",
     .commands = {R"({"op":"interface.detach","interface":"web"})"},
     .before = {web}},
    {.name = "a publication", .commands = {publish}, .before = {web}},
    {.name = "a publication is withdrawn",
     .commands = {R"({"op":"gateway.withdraw","rule":"r"})"},
     .before = {web, publish}},
    {.name = "model.replace", .commands = {other_model}, .before = {make_blue, web}},
    {.name = "several operations",
     .commands = {make_red + "," + web + "," + publish + R"(,{"op":"network.delete",)" +
                  R"("network":"blue"})"},
     .before = {make_blue}},
    {.name = "three commands at once", .commands = {numbered(1), numbered(2), numbered(3)}}};

class CrashPointsTest : public testing::TestWithParam<Way> {};

TEST_P(CrashPointsTest, KernelStoreAndAnswerAgreeAfterEach) {
  spdlog::set_level(spdlog::level::off);
  const Way& way = GetParam();
  const auto beginning = at_the_beginning(way);
  const Ends ends = undisturbed(way, *beginning);
  std::string row = fmt::format("{:32}", way.name);
  for (const Fault fault : faults) {
    if (HasFailure()) { break; }
    if (way.lasts_a_second && !is_death(fault)) { continue; }
    const int count = all_moments(way, fault, *beginning, ends);
    EXPECT_GT(count, 0) << name_of(fault);
    row += fmt::format(" {:4} {}", count, name_of(fault));
  }
  fmt::print("{}\n", row);
  std::fflush(stdout);
  spdlog::set_level(spdlog::level::info);
}

INSTANTIATE_TEST_SUITE_P(Ways, CrashPointsTest, testing::ValuesIn(ways), [](const auto& tested) {
  std::string name(tested.param.name);
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace edge::uplink
