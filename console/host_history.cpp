// Host: questions that the host answers; what it had before it lost its store.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "console/clock.hpp"
#include "console/host.hpp"

namespace edge::console {

namespace json = boost::json;

Result<void> Host::ask(const std::string& id, const json::object& question,
                       std::shared_ptr<Answer> answer) {
  if (!online_) { return fail(Errc::transient, fmt::format("host {} is offline", row_.id)); }
  if (questions_.size() >= questions_max) {
    return fail(Errc::no_space,
                fmt::format("{} questions to host {} wait for an answer", questions_max, row_.id));
  }
  if (!say(json::serialize(question))) {
    return fail(Errc::no_space, fmt::format("host {} does not read what it is told", row_.id));
  }
  questions_[id] = std::move(answer);
  pump();
  return {};
}

json::array Host::kept_revisions() const {
  json::object snapshot = snapshot_object();
  json::value* kept = snapshot.if_contains("revisions");
  return kept != nullptr && kept->is_array() ? std::move(kept->get_array()) : json::array();
}

void Host::on_answer(const std::string& id, const json::object& message) {
  const auto asked = questions_.find(id);
  if (asked == questions_.end()) { return; }  // Too late.
  asked->second->said = message;
  asked->second->timer.cancel();
  questions_.erase(asked);
}

/// What it had is known here alone from now on: its next snapshot tells of another store.
void Host::keep_former_model() {
  const json::object last = snapshot_object();
  const json::value* model = last.if_contains("model");
  const json::value* revision = last.if_contains("revision");
  if (model == nullptr || !model->is_object()) { return; }
  FormerRow row{.host = row_.id,
                .install_id = row_.install_id,
                .revision = revision != nullptr && revision->is_int64() ? revision->get_int64() : 0,
                .model = json::serialize(*model),
                .time = snapshot_time_.value_or(wall_now())};
  db_.run([row = std::move(row)](ConsoleDb& db) { return db.add_former(row); },
          [id = row_.id](const Result<void>& kept) {
            if (!kept) {
              spdlog::error("host.former_not_kept host={} reason=\"{}\"", id, kept.error().what);
            }
          });
}

}  // namespace edge::console
