// The command line, and a conversation with a daemon that the test plays.
#include "uplink/ctl/session.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace edge::uplink::ctl {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

std::expected<Invocation, EarlyEnd> parsed(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "uplinkctl");
  return parse_arguments(static_cast<int>(arguments.size()), arguments.data());
}

TEST(ArgumentsTest, GiveTheDaemonsWords) {
  EXPECT_EQ(parsed({"ports"})->command, "ports");
  EXPECT_EQ(parsed({"ports"})->socket, "/run/uplink/control.sock");
  EXPECT_TRUE(parsed({"ports", "--json"})->json);
  EXPECT_TRUE(parsed({"--json", "ports"})->json);
  EXPECT_EQ(parsed({"drain", "eth0", "10m"})->args,
            (json::object{{"port", "eth0"}, {"seconds", 600}}));
  EXPECT_EQ(parsed({"rollback", "7"})->args, (json::object{{"revision", 7}}));
  EXPECT_EQ(parsed({"rollback"})->args, json::object{});
  EXPECT_EQ(parsed({"recable", "begin"})->args, (json::object{{"action", "begin"}}));
  EXPECT_EQ(parsed({"events", "--follow", "--after", "0"})->args,
            (json::object{{"after", 0}, {"follow", true}}));
  EXPECT_TRUE(parsed({"events", "--follow"})->streaming);
  EXPECT_FALSE(parsed({"events"})->streaming);
  EXPECT_TRUE(parsed({"watch"})->streaming);
  EXPECT_EQ(parsed({"apply", "m.json", "--dry-run"})->file, "m.json");
}

TEST(ArgumentsTest, EveryCommandOfTheInterfaceIsThere) {
  for (const char* command :
       {"status", "ports", "paths", "leases", "groups", "networks", "interfaces", "gateway",
        "history", "watch", "doctor", "plan", "export", "events"}) {
    EXPECT_TRUE(parsed({command})) << command;
  }
  for (const char* command : {"unplug", "identify", "apply", "diag"}) {
    EXPECT_TRUE(parsed({command, "x"})) << command;
  }
}

TEST(ArgumentsTest, MistakesEndWithTwoHelpWithNought) {
  for (const std::vector<const char*>& wrong :
       std::vector<std::vector<const char*>>{{},
                                             {"no-such-command"},
                                             {"ports", "--surprise"},
                                             {"unplug"},
                                             {"recable", "soon"},
                                             {"rollback", "0"},
                                             {"rollback", "x"},
                                             {"drain", "eth0", "soon"},
                                             {"events", "--limit", "0"}}) {
    const auto made = parsed(wrong);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().exit, Exit::usage);
    EXPECT_NE(made.error().text, "");
  }
  EXPECT_EQ(parsed({"--help"}).error().exit, Exit::done);
  EXPECT_THAT(parsed({"--help"}).error().text, HasSubstr("Exit status"));
}

TEST(DurationTest, BothSidesOfEachBoundary) {
  const DurationBounds day{1, 86'400, "1s..1d"};
  EXPECT_EQ(parse_duration_s("1", day), 1);
  EXPECT_EQ(parse_duration_s("90s", day), 90);
  EXPECT_EQ(parse_duration_s("2h", day), 7200);
  EXPECT_EQ(parse_duration_s("1d", day), 86'400);
  for (const char* wrong :
       {"", "0", "-1s", "2d", "86401", "10x", "s", "1.5h", "99999999999999999999"}) {
    ASSERT_FALSE(parse_duration_s(wrong, day).has_value()) << wrong;
    EXPECT_THAT(parse_duration_s(wrong, day).error().what, HasSubstr("expected 1s..1d"));
  }
}

TEST(DurationTest, EachCommandTakesWhatItsOperationTakes) {
  EXPECT_EQ(parsed({"drain", "eth0", "1d", "--force"})->args,
            (json::object{{"port", "eth0"}, {"force", true}, {"seconds", 86'400}}));
  EXPECT_EQ(parsed({"drain", "eth0", "0"})->args, (json::object{{"port", "eth0"}, {"seconds", 0}}));
  EXPECT_THAT(parsed({"drain", "eth0", "25h"}).error().text, HasSubstr("expected 0s..1d"));
  EXPECT_TRUE(parsed({"identify", "eth0", "5m"}));
  EXPECT_THAT(parsed({"identify", "eth0", "301"}).error().text, HasSubstr("expected 1s..5m"));
}

TEST(HistoryTest, IsShortenedAndReadByRevision) {
  EXPECT_EQ(parsed({"history", "--limit", "7"})->args, (json::object{{"limit", 7}}));
  EXPECT_FALSE(parsed({"history", "--limit", "201"}));
  EXPECT_EQ(parsed({"export", "--revision", "7"})->args, (json::object{{"revision", 7}}));
  EXPECT_EQ(parsed({"export"})->args, json::object{});
}

TEST(OrderTest, OneManyOrAWholeModel) {
  const json::object one{{"operations", json::array{json::object{{"op", "x"}}}}};
  EXPECT_EQ(order_in(R"([{"op":"x"}])").value(), one);
  EXPECT_EQ(order_in(R"({"operations":[{"op":"x"}]})").value(), one);
  EXPECT_EQ(order_in(R"({"op":"x"})").value(), one);
  const json::object replace{
      {"operations",
       json::array{json::object{{"op", "model.replace"},
                                {"model", json::object{{"networks", json::array{}}}}}}}};
  EXPECT_EQ(order_in(R"({"networks":[]})").value(), replace);
  EXPECT_EQ(order_in("{\"model\":{\"networks\":[]}}\n").value(), replace);
}

TEST(OrderTest, WhatStandsBesideTheOperationsIsPartOfItOrRefused) {
  const std::string terms =
      R"("revision":7,"dry_run":true,"force":true,"accept_regression":true,"confirm_within_s":9)";
  for (const char* what : {R"("operations":[])", R"("model":{})"}) {
    const auto order = order_in(fmt::format("{{{},{}}}", terms, what));
    ASSERT_TRUE(order) << order.error().what;
    EXPECT_EQ(order->at("revision"), 7);
    EXPECT_EQ(order->at("dry_run"), true);
    EXPECT_EQ(order->at("force"), true);
    EXPECT_EQ(order->at("accept_regression"), true);
    EXPECT_EQ(order->at("confirm_within_s"), 9);
    EXPECT_FALSE(order->contains("model"));
  }
  for (const char* text : {R"({"operations":[],"dryrun":true})", R"({"model":{},"dryrun":true})",
                           R"({"dryrun":true,"operations":[]})"}) {
    const auto order = order_in(text);
    ASSERT_FALSE(order) << text;
    EXPECT_THAT(order.error().what, HasSubstr("\"dryrun\" is unknown beside"));
    EXPECT_THAT(order.error().what, HasSubstr("dry_run, force"));
  }
  EXPECT_FALSE(order_in(R"({"operations":[],"model":{}})")) << "which of both?";
}

TEST(OrderTest, BadFilesNameThePlace) {
  EXPECT_THAT(order_in("{\n  \"a\": 1,\n  oops\n}").error().what,
              HasSubstr("line 3, column 3: not JSON"));
  EXPECT_THAT(order_in("[] []").error().what, HasSubstr("line 1"));
  EXPECT_THAT(order_in("").error().what, HasSubstr("not JSON"));
  EXPECT_THAT(order_in("7").error().what, HasSubstr("expected a list of operations"));
  EXPECT_THAT(order_in(R"({"operations":7})").error().what, HasSubstr("expected a list"));
}

/// Listens like the daemon; answers each client with the given lines and closes.
class FakeDaemon {
 public:
  explicit FakeDaemon(std::vector<std::string> answers) : answers_(std::move(answers)) {
    std::string folder =
        (std::filesystem::temp_directory_path() / "uplinkctl-test-XXXXXX").string();
    folder_ = ::mkdtemp(folder.data());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeDaemon() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  std::string path() const { return (folder_ / "control.sock").string(); }
  std::filesystem::path folder() const { return folder_; }
  /// Pre: the conversation is over.
  json::value request() const { return json::parse(request_); }

 private:
  void serve() {
    while (true) {
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) { return; }
      std::string line;
      for (char byte = 0; ::recv(client.get(), &byte, 1, 0) == 1 && byte != '\n';) { line += byte; }
      if (!line.empty()) { request_ = line; }
      for (const std::string& answer : answers_) {
        (void)!::send(client.get(), (answer + "\n").data(), answer.size() + 1, MSG_NOSIGNAL);
      }
    }
  }

  std::vector<std::string> answers_;
  std::filesystem::path folder_;
  UniqueFd listener_;
  std::string request_;
  std::thread thread_;
};

struct Outcome {
  Exit exit;
  std::string out, err;
};
Outcome asked(const std::string& socket, std::vector<const char*> arguments, bool redraw = false) {
  arguments.insert(arguments.begin(), {"--socket", socket.c_str()});
  std::ostringstream out, err;
  const auto invocation = parsed(arguments);
  const Exit exit =
      run(invocation.value(),
          {.out = out, .err = err, .style = {}, .redraw = redraw, .interrupted = nullptr});
  return {exit, out.str(), err.str()};
}

TEST(SessionTest, ShowsTheAnswerAndEndsAsTheDaemonSays) {
  FakeDaemon daemon({R"({"exit":3,"data":{"port":"eth0","safe":false,"consequences":["x"]}})"});
  const Outcome outcome = asked(daemon.path(), {"unplug", "eth0"});
  EXPECT_EQ(outcome.exit, Exit::not_safe);
  EXPECT_EQ(outcome.out, "eth0: do not unplug\n  - x\n");
  EXPECT_EQ(daemon.request(), json::parse(R"({"command":"unplug","args":{"port":"eth0"}})"));
}

TEST(SessionTest, JsonIsTheDataAsItIs) {
  FakeDaemon daemon({R"({"exit":0,"data":[{"port":"eth0","new_field":1}]})"});
  const Outcome outcome = asked(daemon.path(), {"--json", "ports"});
  EXPECT_EQ(outcome.exit, Exit::done);
  EXPECT_EQ(outcome.out, "[{\"port\":\"eth0\",\"new_field\":1}]\n");
}

TEST(SessionTest, ARefusalGoesToStandardError) {
  FakeDaemon daemon({R"({"exit":1,"error":"this daemon does not know \"recable\""})"});
  const Outcome outcome = asked(daemon.path(), {"recable", "begin"});
  EXPECT_EQ(outcome.exit, Exit::failed);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "uplinkctl: this daemon does not know \"recable\"\n");
}

TEST(SessionTest, ApplySendsTheOperationsOfTheFile) {
  FakeDaemon daemon({R"({"exit":0,"data":{"state":"done","revision":2}})"});
  const std::string file = (daemon.folder() / "model.json").string();
  std::ofstream(file) << R"({"op":"network.delete","network":"lan"})";
  const Outcome outcome = asked(daemon.path(), {"apply", file.c_str(), "--dry-run"});
  EXPECT_EQ(outcome.out, "done, revision 2\n");
  EXPECT_EQ(daemon.request(), json::parse(R"({"command":"apply","args":{"dry_run":true,
                                              "operations":[{"op":"network.delete","network":"lan"}]}})"));
}

TEST(SessionTest, ABadOrMissingFileEndsWithTwoBeforeAnyoneIsAsked) {
  EXPECT_EQ(asked("/nowhere", {"apply", "/nonexistent/model.json"}).exit, Exit::usage);
  EXPECT_THAT(asked("/nowhere", {"apply", "/nonexistent/model.json"}).err,
              HasSubstr("/nonexistent/model.json: No such"));
}

TEST(SessionTest, WithoutADaemonItSaysWhereItLookedAndWhatToDo) {
  const Outcome outcome = asked("/nonexistent/control.sock", {"status"});
  EXPECT_EQ(outcome.exit, Exit::no_daemon);
  EXPECT_THAT(
      outcome.err,
      HasSubstr("no daemon answers at /nonexistent/control.sock: No such file or directory"));
  EXPECT_THAT(outcome.err, HasSubstr("systemctl start uplinkd"));
  EXPECT_EQ(asked(std::string(200, 'x'), {"status"}).exit, Exit::usage);
}

TEST(SessionTest, ADaemonThatEndsTheConnectionIsNoDaemon) {
  FakeDaemon daemon({});
  const Outcome outcome = asked(daemon.path(), {"status"});
  EXPECT_EQ(outcome.exit, Exit::no_daemon);
  EXPECT_THAT(outcome.err, HasSubstr("ended the connection"));
}

TEST(SessionTest, AnAnswerThatIsNoJsonIsShownShortAndHarmless) {
  FakeDaemon daemon({"\x1b[2Jgarbage"});
  const Outcome outcome = asked(daemon.path(), {"status"});
  EXPECT_EQ(outcome.exit, Exit::failed);
  EXPECT_THAT(outcome.err, HasSubstr("not a JSON object: ?[2Jgarbage"));
}

TEST(SessionTest, WatchDrawsOverATerminalAndListsElsewhere) {
  const std::string update =
      R"({"exit":0,"data":{"status":{"host":"hv-01"},"ports":[],"paths":[]}})";
  FakeDaemon daemon({update, update});
  const Outcome drawn = asked(daemon.path(), {"watch"}, true);
  EXPECT_THAT(drawn.out, testing::StartsWith("\x1b[2J\x1b[Hhost      hv-01"));
  EXPECT_THAT(drawn.out, testing::EndsWith("\x1b[J"));
  const Outcome listed = asked(daemon.path(), {"watch"});
  EXPECT_THAT(listed.out, testing::Not(HasSubstr("\x1b")));
}

TEST(SessionTest, DiagPacksEveryAnswerAndTheKernelsView) {
  FakeDaemon daemon({R"({"exit":0,"data":[]})"});
  const std::string archive = (daemon.folder() / "diag.tar.gz").string();
  const Outcome outcome = asked(daemon.path(), {"diag", archive.c_str()});
  EXPECT_EQ(outcome.exit, Exit::done) << outcome.err;
  const std::string list = (daemon.folder() / "list").string();
  ASSERT_EQ(std::system(("tar -tzf " + archive + " > " + list).c_str()), 0);
  std::ifstream in(list);
  const std::string names(std::istreambuf_iterator<char>(in), {});
  for (const char* file : {"status.json", "ports.json", "nft.txt", "ip-route.txt"}) {
    EXPECT_THAT(names, HasSubstr(file));
  }
}

}  // namespace
}  // namespace edge::uplink::ctl
