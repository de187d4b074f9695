// What the API takes and what it says to everything else.
#include "console/api_request.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "netmodel/core/command.hpp"

namespace edge::console {
namespace {

constexpr std::string_view kId = "0192f0c1-2345-4678-89ab-cdef01234567";

TEST(ApiRoute, FindsEachCallOfTheInterface) {
  EXPECT_EQ(route("GET", "/")->call, Call::page);
  EXPECT_EQ(route("GET", "/metrics")->call, Call::metrics);
  EXPECT_EQ(route("GET", "/api/v1/hosts")->call, Call::hosts);
  EXPECT_EQ(route("HEAD", "/api/v1/hosts")->call, Call::hosts);
  const auto page = route("GET", "/api/v1/hosts?after=hv-01&limit=100");
  EXPECT_EQ(page->after_host, "hv-01");
  EXPECT_EQ(page->hosts_max, 100U);
  EXPECT_GT(route("GET", "/api/v1/hosts")->hosts_max, 1'000'000U) << "all of them";
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01")->host, "hv-01");
  EXPECT_EQ(route("POST", "/api/v1/hosts/hv-01/commands?wait=10")->wait_s, 10U);
  const auto command = route("GET", "/api/v1/hosts/hv-01/commands/" + std::string(kId));
  EXPECT_EQ(command->call, Call::command);
  EXPECT_EQ(command->command_id, kId);
  const auto events = route("GET", "/api/v1/hosts/hv-01/events?after=7&limit=20");
  EXPECT_EQ(events->after, 7);
  EXPECT_EQ(events->limit, 20U);
  EXPECT_EQ(route("GET", "/api/v1/events")->call, Call::event_stream);
  EXPECT_EQ(route("POST", "/api/v1/hosts/hv-01/revoke")->call, Call::revoke);
  EXPECT_EQ(route("DELETE", "/api/v1/hosts/hv-01/revoke")->call, Call::restore);
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01/revoke").error().allow, "POST, DELETE");
  EXPECT_EQ(route("POST", "/api/v1/hosts/hv-01/forwards")->call, Call::post_forward);
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01/forwards")->call, Call::forwards);
  EXPECT_EQ(route("POST", "/api/v1/hosts/hv-01/commands/" + std::string(kId) + "/abort")->call,
            Call::abort);
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01/revisions?limit=5")->call, Call::revisions);
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01/revisions/12")->revision, 12);
  EXPECT_EQ(route("GET", "/api/v1/hosts/hv-01/former")->call, Call::former);
  const std::string one = "/api/v1/hosts/hv-01/forwards/" + std::string(kId);
  EXPECT_EQ(route("GET", one)->call, Call::forward);
  EXPECT_EQ(route("DELETE", one)->call, Call::delete_forward);
}

TEST(ApiRoute, SaysWhatIsWrongAndWhatIsAllowed) {
  EXPECT_EQ(route("GET", "/api/v1/nothing").error().status, 404U);
  EXPECT_EQ(route("GET", "").error().status, 404U);
  const auto method = route("DELETE", "/api/v1/hosts/hv-01/commands");
  EXPECT_EQ(method.error().status, 405U);
  EXPECT_EQ(method.error().allow, "POST, GET");
  const auto large =
      route("GET", "/api/v1/hosts/hv-01/commands/0192F0C1-2345-4678-89AB-CDEF01234567");
  ASSERT_TRUE(large);
  EXPECT_EQ(large->command_id, "0192f0c1-2345-4678-89ab-cdef01234567") << "as POST takes it";
  const auto id = route("GET", "/api/v1/hosts/hv-01/commands/not-a-uuid");
  EXPECT_EQ(id.error().status, 400U);
  EXPECT_NE(id.error().detail.find("not-a-uuid"), std::string::npos);
  const auto wait = route("POST", "/api/v1/hosts/hv-01/commands?wait=301");
  EXPECT_NE(wait.error().detail.find("wait=\"301\": expected a whole number 0..300"),
            std::string::npos);
  EXPECT_EQ(route("GET", "/api/v1/hosts?surprise=1").error().status, 400U);
  for (const char* wrong : {"limit=0", "limit=1001", "limit=", "after=", "after=Hv", "after=a/b"}) {
    EXPECT_EQ(route("GET", std::string("/api/v1/hosts?") + wrong).error().status, 400U) << wrong;
  }
  EXPECT_EQ(route("GET", "/api/v1/hosts/h/events?after=-1").error().status, 400U);
  EXPECT_EQ(route("GET", "/api/v1/hosts/h/events?after=1x").error().status, 400U);
}

TEST(ApiCommand, PassesTheOperationsOnAsTheyAre) {
  const auto parsed = parse_command(
      R"({"id":"0192F0C1-2345-4678-89AB-CDEF01234567","operations":[{"op":"network.delete","network":"a"}],"dry_run":true})");
  ASSERT_TRUE(parsed) << parsed.error().detail;
  EXPECT_EQ(parsed->id, kId);
  EXPECT_EQ(
      command_message(kId, *parsed),
      R"({"type":"command","id":"0192f0c1-2345-4678-89ab-cdef01234567","operations":[{"op":"network.delete","network":"a"}],"dry_run":true})");
  EXPECT_EQ(parse_command(R"({"operations":[{"op":"x"}]})")->id, "");
}

TEST(ApiCommand, ListsEveryProblem) {
  const auto parsed = parse_command(
      R"({"id":"7","operations":[{"op":1},5,{"op":"ok"}],"confirm_within_s":0,"deadline":"soon","dry_run":"no","surprise":1})");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().status, 422U);
  std::vector<std::string> fields;
  for (const auto& item : parsed.error().problems) { fields.push_back(item.field); }
  EXPECT_EQ(fields,
            (std::vector<std::string>{"id", "operations[0].op", "operations[1]", "confirm_within_s",
                                      "deadline", "dry_run", "surprise"}));
  EXPECT_EQ(parsed.error().problems[0].what, "\"7\": expected a UUID");
  EXPECT_EQ(parsed.error().problems[1].what, "1: expected a string");
  EXPECT_EQ(parsed.error().problems[2].what, "5: expected an object with a string \"op\"");
  EXPECT_EQ(parsed.error().problems[3].what, "0: expected a whole number 1..86400");
  EXPECT_EQ(parsed.error().problems[5].what, "\"no\": expected true or false");
  const auto body = boost::json::parse(to_json(parsed.error())).as_object();
  EXPECT_EQ(body.at("status"), 422);
  EXPECT_EQ(body.at("problems").as_array().size(), 7U);
  EXPECT_TRUE(body.contains("title"));
}

TEST(ApiCommand, RefusesWhatIsNoCommand) {
  EXPECT_EQ(parse_command("").error().status, 400U);
  EXPECT_EQ(parse_command("[]").error().status, 400U);
  EXPECT_EQ(parse_command("{\"operations\":").error().status, 400U);
  EXPECT_EQ(parse_command("{}").error().status, 422U);
  EXPECT_EQ(parse_command(R"({"operations":[]})").error().status, 422U);
  EXPECT_EQ(parse_command(R"({"operations":"none"})").error().status, 422U);
  EXPECT_EQ(parse_command(std::string(100, '[')).error().status, 400U) << "depth is bounded";
  const std::string large(1U << 20, 'x');
  EXPECT_EQ(parse_command(R"({"operations":[{"op":")" + large + R"("}]})").error().status, 413U);
}

TEST(ApiCommand, TakesAsManyOperationsAsAHostAndNamesTheNumberBeyond) {
  const auto of = [](std::size_t count, std::string_view one) {
    std::string body = R"({"operations":[)";
    for (std::size_t i = 0; i < count; ++i) { body += (i == 0 ? "" : ",") + std::string(one); }
    return parse_command(body + "]}");
  };
  EXPECT_TRUE(of(netmodel::operations_max, R"({"op":"x"})"));
  const auto refused = of(netmodel::operations_max + 1, R"({"op":"x"})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 422U);
  EXPECT_EQ(refused.error().detail, "operations: 10001 entries are out of range 1..10000");
  EXPECT_EQ(of(0, "").error().detail, "operations: 0 entries are out of range 1..10000");
  const auto wrong = of(5000, "7");
  EXPECT_EQ(wrong.error().problems.size(), 100U) << "what is listed is bounded";
  EXPECT_NE(wrong.error().detail.find("(and 4999 more)"), std::string::npos)
      << wrong.error().detail;
}

TEST(ApiCommand, ShowsAWrongValueShortAndOnOneLine) {
  const auto parsed = parse_command(R"({"operations":"one\ntwo)" + std::string(200, 'x') + R"("})");
  ASSERT_FALSE(parsed);
  EXPECT_TRUE(parsed.error().detail.starts_with("operations: \"one?twoxxx"));
  EXPECT_LT(parsed.error().detail.size(), 140U);
  EXPECT_EQ(parse_command("[]").error().detail,
            "the body is a list: expected a JSON object with \"operations\"");
  EXPECT_EQ(parse_forward(R"({"listen":7,"to":[]})").error().problems[1].what,
            "a list: expected HOST:PORT as the host sees it, port 1..65535");
  EXPECT_EQ(parse_revocation(R"({"unseen":"x"})").error().problems[0].what,
            "\"x\": expected true or false");
}

TEST(ApiRevocation, TheReasonIsOneLineOrNone) {
  EXPECT_EQ(parse_revocation("").value(), RevocationRequest{});
  EXPECT_EQ(parse_revocation("{}").value(), RevocationRequest{});
  EXPECT_EQ(parse_revocation(R"({"reason":"gestohlen, Köln"})").value().reason, "gestohlen, Köln");
  EXPECT_EQ(parse_revocation("{").error().status, 400U);
  EXPECT_EQ(parse_revocation("[]").error().status, 400U);
  const std::string most(200, 'x');
  EXPECT_EQ(parse_revocation(R"({"reason":")" + most + R"("})").value().reason, most);
  EXPECT_TRUE(parse_revocation(R"({"unseen":true})").value().unseen);
  for (const std::string& wrong :
       {R"({"reason":")" + most + R"(x"})", std::string(R"({"reason":7})"),
        std::string(R"({"reason":"two\nlines"})"), std::string(R"({"why":"x"})")}) {
    EXPECT_EQ(parse_revocation(wrong).error().status, 422U) << wrong;
  }
}

TEST(ApiToken, OnlyTheWholeTokenOpens) {
  EXPECT_TRUE(authorized("Bearer secret-token", "secret-token"));
  EXPECT_FALSE(authorized("Bearer secret-tokeN", "secret-token"));
  EXPECT_FALSE(authorized("Bearer secret-toke", "secret-token"));
  EXPECT_FALSE(authorized("Bearer secret-token2", "secret-token"));
  EXPECT_FALSE(authorized("Basic secret-token", "secret-token"));
  EXPECT_FALSE(authorized("", "secret-token"));
}

}  // namespace
}  // namespace edge::console
