// Commands: the revisions that are kept, for a person and for the Console.
#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "tunnel/core/frame.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// A message is one frame; the rest is for its own words.
/// Of what a Console says. Numbers grow from there on, and each JSON reader can hold them below
/// 2^53.
constexpr std::int64_t number_max = std::int64_t{1} << 52;
constexpr std::string_view renumbered_text = "renumbered:";
constexpr std::size_t model_bytes_max = tunnel::command_bytes_max - 4096;

std::int64_t number_of(const json::object& question, std::string_view key, std::int64_t fallback) {
  const auto* value = question.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : fallback;
}

/// The revision with its model, or why there is none.
json::object told(std::int64_t number, const Result<std::optional<store::Revision>>& kept) {
  if (!kept) { return {{"problem", kept.error().what}}; }
  if (!*kept) { return {{"problem", fmt::format("revision {} is not kept", number)}}; }
  const store::Revision& revision = **kept;
  if (revision.model.size() > model_bytes_max) {
    return {
        {"problem",
         fmt::format("the model of revision {0} has {1} bytes, a message at most {2}: read it at "
                     "the host with \"uplinkctl export --revision {0}\"",
                     number, revision.model.size(), model_bytes_max)}};
  }
  boost::system::error_code ec;
  json::value model = json::parse(revision.model, ec);
  if (ec) {
    return {{"problem", fmt::format("revision {} cannot be read: {}", number, ec.message())}};
  }
  json::object row = to_json(
      store::RevisionSummary{.number = revision.number,
                             .cause = revision.cause,
                             .time = revision.time,
                             .model_bytes = static_cast<std::int64_t>(revision.model.size())});
  row["model"] = std::move(model);
  return {{"revision", std::move(row)}};
}

/// `{"op":"model.replace","revision":N}`, without a model; nullptr: there is none.
json::object* replacement_by_number(json::value& command) {
  json::object* message = command.if_object();
  json::value* list = message == nullptr ? nullptr : message->if_contains("operations");
  json::array* operations = list == nullptr ? nullptr : list->if_array();
  if (operations == nullptr) { return nullptr; }
  for (json::value& item : *operations) {
    json::object* operation = item.if_object();
    if (operation == nullptr || operation->contains("model")) { continue; }
    const json::value* op = operation->if_contains("op");
    const json::value* number = operation->if_contains("revision");
    const bool found =
        op != nullptr && *op == "model.replace" && number != nullptr && number->is_int64();
    if (found) { return operation; }
  }
  return nullptr;
}

/// null: it is no JSON.
json::value value_of_payload(const std::string& payload) {
  boost::system::error_code ec;
  json::value out = json::parse(payload, ec, {}, {.max_depth = 32});
  if (ec) { out.emplace_null(); }
  return out;
}

}  // namespace

json::object to_json(const store::RevisionSummary& revision) {
  return {{"revision", revision.number},
          {"cause", revision.cause},
          {"time", to_iso8601(revision.time)},
          {"bytes", revision.model_bytes}};
}

void Commands::remember(std::vector<store::RevisionSummary> newest) {
  for (auto& summary : newest) {
    if (newest_.size() == revisions_shown) { break; }
    newest_.push_back(std::move(summary));
  }
}

json::array Commands::newest_revisions() const {
  json::array out;
  for (const auto& summary : newest_) { out.push_back(to_json(summary)); }
  return out;
}

std::int64_t Commands::revision_before() const {
  std::size_t i = 1;  // What was renumbered is the same model again.
  while (i < newest_.size() && newest_[i - 1].cause.starts_with(renumbered_text)) { ++i; }
  if (i < newest_.size()) { return newest_[i].number; }
  return newest_.size() > 1 ? newest_.back().number : revision_ - 1;
}

/// Said at the begin of a session. More than this host knows of: its store was lost, or is an old
/// copy.
void Commands::on_console_knows(const json::object& message) {
  const std::int64_t top = number_of(message, "revision", 0);
  if (top <= revision_ || top > number_max) { return; }
  console_top_ = top;
  wake();
}

/// The present model under a number that nobody has seen yet.
asio::awaitable<void> Commands::renumber() {
  const std::int64_t was = revision_;
  highest_ = std::max(highest_, std::exchange(console_top_, 0));
  const std::int64_t now = highest_ + 1;
  auto add = [now, was, time = wall_now()](store::Store& s) -> Result<store::RevisionSummary> {
    EDGE_ASSIGN(auto newest, s.newest_revision());
    if (!newest) { return fail(Errc::not_found, "there is no revision"); }
    newest->number = now;
    newest->cause = fmt::format("{} was {}", renumbered_text, was);
    newest->time = time;
    EDGE_TRY(s.add_revision(*newest));
    return store::RevisionSummary{.number = now,
                                  .cause = newest->cause,
                                  .time = time,
                                  .model_bytes = static_cast<std::int64_t>(newest->model.size())};
  };
  const auto added = co_await store_.call(std::move(add));
  if (!added) {  // The Console says it again at the begin of its next session.
    spdlog::error("revision.not_renumbered from={} to={} reason=\"{}\"", was, now,
                  added.error().what);
    co_return;
  }
  revision_ = highest_ = now;
  newest_.push_front(*added);
  if (newest_.size() > revisions_shown) { newest_.pop_back(); }
  events_.add("revision.renumbered", {{"from", was}, {"to", now}});
  hooks_.changed();
}

asio::awaitable<void> Commands::look_up_revisions() {
  while (goes_on()) {
    const auto next = std::ranges::find_if(queue_, [](const Item& item) {
      return item.local && item.undo.empty() && !item.looked_up;
    });
    if (next == queue_.end()) { co_return; }
    next->looked_up = true;
    json::value command = value_of_payload(next->payload);
    const json::object* operation = replacement_by_number(command);
    if (operation == nullptr) { continue; }
    const std::string id = next->id;
    const std::int64_t number = operation->at("revision").get_int64();
    auto read = [number](store::Store& s) { return s.revision(number); };
    const auto kept = co_await store_.call(std::move(read));
    const auto waiting = std::ranges::find(queue_, id, &Item::id);
    if (waiting != queue_.end()) { look_up(*waiting, number, kept); }
  }
}

void Commands::look_up(Item& item, std::int64_t number,
                       const Result<std::optional<store::Revision>>& kept) {
  if (!kept || !*kept) {
    item.unresolved =
        kept ? fmt::format("revision {} is not kept any more; see \"uplinkctl history\"", number)
             : fmt::format("revision {}: {}", number, kept.error().what);
    return;
  }
  boost::system::error_code ec;
  json::value model = json::parse((*kept)->model, ec);
  if (ec) {
    item.unresolved = fmt::format("revision {} cannot be read: {}", number, ec.message());
    return;
  }
  json::value command = value_of_payload(item.payload);
  json::object* operation = replacement_by_number(command);
  operation->erase("revision");
  (*operation)["model"] = std::move(model);
  item.resolved = std::make_shared<const json::value>(std::move(command));
}

void Commands::answer_history(const std::string& id, const json::object& question) {
  if (id.size() > 64) { return; }
  const std::int64_t number = number_of(question, "revision", -1);
  if (number >= 0) {
    store_.run([number](store::Store& s) { return s.revision(number); },
               [this, id, number](const Result<std::optional<store::Revision>>& kept) {
                 json::object answer = told(number, kept);
                 answer["type"] = "history";
                 answer["id"] = id;
                 say(answer);
               });
    return;
  }
  const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(
      number_of(question, "limit", revisions_told_max), 1, revisions_told_max));
  store_.run([limit](store::Store& s) { return s.revisions(limit); },
             [this, id](const Result<std::vector<store::RevisionSummary>>& revisions) {
               json::object answer{{"type", "history"}, {"id", id}};
               if (revisions) {
                 json::array rows;
                 for (const auto& revision : *revisions) { rows.push_back(to_json(revision)); }
                 answer["revisions"] = std::move(rows);
               } else {
                 answer["problem"] = revisions.error().what;
               }
               say(answer);
             });
}

}  // namespace edge::uplink
