// What uplinkctl and the local page ask, and what the daemon answers.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>

#include "netmodel/core/names.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/daemon.hpp"
#include "uplink/daemon/random.hpp"

namespace edge::uplink {

namespace json = boost::json;
using ClientPtr = std::shared_ptr<ControlClient>;

namespace {

std::string text_arg(const json::object& args, std::string_view key) {
  const auto* value = args.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::int64_t number_arg(const json::object& args, std::string_view key, std::int64_t fallback) {
  const auto* value = args.if_contains(key);
  return value != nullptr && value->is_int64() ? value->as_int64() : fallback;
}

bool flag_arg(const json::object& args, std::string_view key) {
  const auto* value = args.if_contains(key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

json::object command_row(const store::CommandRecord& command) {
  json::object row{{"id", command.id},
                   {"state", std::string(store::to_string(command.state))},
                   {"received", to_iso8601(command.received)},
                   {"result_acked", command.result_acked}};
  if (command.finished) { row["finished"] = to_iso8601(*command.finished); }
  return row;
}

/// What a command says of how it is to be run, in `uplinkctl apply` as in the Console's message.
constexpr std::array<const char*, 7> order_keys{
    "type", "revision", "deadline", "dry_run", "force", "accept_regression", "confirm_within_s"};

}  // namespace

void Daemon::on_control(ControlRequest request, ClientPtr client) {
  const std::string& command = request.command;
  const ViewSources v = views();
  if (command == "status") {
    json::object status = status_view(v);
    const bool good = tunnel_.online() && status.at("problems").as_array().empty();
    client->answer(std::move(status), good ? 0 : 3);
  } else if (command == "ports") {
    client->answer(ports_view(v));
  } else if (command == "paths") {
    client->answer(tunnel_.paths_json());
  } else if (command == "leases") {
    client->answer(leases_view(v));
  } else if (command == "groups") {
    control_groups(request.args, std::move(client));
  } else if (command == "networks") {
    client->answer(networks_view(v));
  } else if (command == "interfaces") {
    client->answer(interfaces_view(v));
  } else if (command == "gateway") {
    client->answer(gateway_view(v));
  } else if (command == "events") {
    control_events(request.args, std::move(client));
  } else if (command == "history") {
    control_history(request.args, std::move(client));
  } else if (command == "watch") {
    watchers_.push_back(client);
    push_watch();
  } else if (command == "doctor") {
    control_doctor(request.args, std::move(client));
  } else if (command == "recable") {
    control_recable(text_arg(request.args, "action"), std::move(client));
  } else if (command == "unplug") {
    control_unplug(request.args, std::move(client));
  } else if (command == "apply") {
    control_apply(request.args, std::move(client));
  } else if (command == "plan") {
    control_plan(std::move(client));
  } else if (command == "rollback") {
    control_rollback(request.args, std::move(client));
  } else if (command == "export") {
    control_export(request.args, std::move(client));
  } else if (command == "renew") {
    control_renew(std::move(client));
  } else if (command == "drain") {
    const std::int64_t seconds = number_arg(request.args, "seconds", 600);
    run_operations({json::object{{"op", "path.drain"},
                                 {"adapter", text_arg(request.args, "port")},
                                 {"seconds", seconds}}},
                   request.args, std::move(client));
  } else if (command == "drill") {
    json::object drill{{"op", "failover.drill"},
                       {"seconds", number_arg(request.args, "seconds", 30)}};
    if (const std::string port = text_arg(request.args, "port"); !port.empty()) {
      drill["adapter"] = port;
    }
    run_operations({std::move(drill)}, {}, std::move(client));
  } else if (command == "identify") {
    run_operations({json::object{{"op", "port.identify"},
                                 {"adapter", text_arg(request.args, "port")},
                                 {"seconds", number_arg(request.args, "seconds", 10)}}},
                   {}, std::move(client));
  } else {
    client->refuse(
        fmt::format("this daemon (version {}) does not know \"{}\"", uplink_version, command));
  }
}

void Daemon::control_groups(const json::object& args, ClientPtr client) {
  if (!flag_arg(args, "check")) {
    client->answer(groups_view(views()));
    return;
  }
  group_check_.check_all(reconciler_.model(), [this, client] {
    const bool whole = std::ranges::all_of(
        group_check_.verdicts(), [](const auto& item) { return item.second.lines.empty(); });
    client->answer(groups_view(views()), whole ? 0 : 3);
  });
}

void Daemon::control_events(const json::object& args, ClientPtr client) {
  const bool follow = flag_arg(args, "follow");
  const std::int64_t after = number_arg(args, "after", -1);
  const auto limit =
      static_cast<std::size_t>(std::clamp<std::int64_t>(number_arg(args, "limit", 200), 1, 10000));
  events_.when_stored([this, follow, after, limit, args, client] {
    store_.run(
        [after, limit](store::Store& s) {
          return after >= 0 ? s.events_after(after, limit) : s.newest_events(limit);
        },
        [this, follow, limit, args, client](const Result<std::vector<store::EventRecord>>& events) {
          if (!events) {
            client->refuse(events.error().what);
            return;
          }
          json::array rows;
          for (const auto& event : *events) { rows.push_back(to_json(event)); }
          client->answer(std::move(rows));
          if (!follow) { return; }
          if (number_arg(args, "after", -1) >= 0 &&
              events->size() == limit) {  // There may be more.
            json::object next = args;
            next["after"] = events->back().number;
            control_events(next, client);
            return;
          }
          event_followers_.push_back(client);
        });
  });
}

void Daemon::control_history(const json::object& args, ClientPtr client) {
  const std::int64_t limit = number_arg(args, "limit", 0);
  const auto at_most = [limit](std::int64_t usual) {
    return static_cast<std::size_t>(limit > 0 ? std::min(limit, Commands::revisions_told_max)
                                              : usual);
  };
  store_.run(
      [revisions_max = at_most(Commands::revisions_told_max),
       commands_max = at_most(50)](store::Store& s) -> Result<json::object> {
        EDGE_ASSIGN(const auto revisions, s.revisions(revisions_max));
        EDGE_ASSIGN(const auto commands, s.recent_commands(commands_max));
        json::array revision_rows;
        for (const auto& revision : revisions) { revision_rows.push_back(to_json(revision)); }
        json::array command_rows;
        for (const auto& command : commands) { command_rows.push_back(command_row(command)); }
        return json::object{{"revisions", std::move(revision_rows)},
                            {"commands", std::move(command_rows)}};
      },
      [client](const Result<json::object>& history) {
        if (history) {
          client->answer(*history);
        } else {
          client->refuse(history.error().what);
        }
      });
}

/// The model of a kept revision; `then` is called only where there is one.
void Daemon::with_revision(std::int64_t wanted, ClientPtr client,
                           std::function<void(json::value)> then) {
  store_.run(
      [wanted](store::Store& s) { return s.revision(wanted); },
      [wanted, client, then](const Result<std::optional<store::Revision>>& revision) {
        if (!revision || !*revision) {
          client->refuse(
              revision ? fmt::format("there is no revision {}; see \"uplinkctl history\"", wanted)
                       : revision.error().what);
          return;
        }
        boost::system::error_code ec;
        json::value model = json::parse((*revision)->model, ec);
        if (ec) {
          client->refuse(fmt::format("revision {} cannot be read: {}", wanted, ec.message()));
          return;
        }
        then(std::move(model));
      });
}

void Daemon::control_export(const json::object& args, ClientPtr client) {
  if (!args.contains("revision")) {
    client->answer(netmodel::to_json(reconciler_.model()));
    return;
  }
  with_revision(number_arg(args, "revision", 0), client,
                [client](json::value model) { client->answer(std::move(model)); });
}

void Daemon::run_operations(json::array operations, const json::object& args, ClientPtr client) {
  json::object command{
      {"type", "command"}, {"id", random_uuid()}, {"operations", std::move(operations)}};
  for (const char* key : order_keys) {
    if (const auto* value = args.if_contains(key)) { command[key] = *value; }
  }
  commands_.run_local(command, [client](json::object result) {
    const bool done = result.at("state").as_string() == "done";
    client->answer(std::move(result), done ? 0 : 1);
  });
}

/// Begun, not done: how it ends is in status and events.
void Daemon::control_renew(ClientPtr client) {
  if (const auto ordered = identity_keeper_.order(); !ordered) {
    client->refuse(ordered.error().what);
    return;
  }
  client->answer(identity_keeper_.view());
}

void Daemon::control_apply(const json::object& args, ClientPtr client) {
  const auto* operations = args.if_contains("operations");
  if (operations == nullptr || !operations->is_array()) {
    client->refuse("apply: expected {\"operations\":[...]}", 2);
    return;
  }
  run_operations(operations->as_array(), args, std::move(client));
}

void Daemon::control_plan(ClientPtr client) {
  boost::asio::co_spawn(io_, plan_now(std::move(client)), boost::asio::detached);
}

boost::asio::awaitable<void> Daemon::plan_now(ClientPtr client) {
  netmodel::Model model = reconciler_.model();
  TurnResult turn = co_await reconciler_.plan_only(std::move(model));
  json::array lines;
  for (const auto& line : turn.plan) { lines.emplace_back(line); }
  json::array consequences;
  for (const auto& line : netmodel::to_lines(turn.consequences)) {
    consequences.emplace_back(line);
  }
  const WaysAfter ways = ways_after_change(reconciler_.model(), {});
  if (std::string line = to_line(ways); !line.empty()) { consequences.emplace_back(line); }
  json::array problems;
  for (const auto& text : turn.conflicts) { problems.push_back(json::object{{"what", text}}); }
  for (const auto& text : turn.errors) { problems.push_back(json::object{{"what", text}}); }
  client->answer(json::object{{"state", lines.empty() ? "done" : "differs"},
                              {"plan", std::move(lines)},
                              {"problems", std::move(problems)},
                              {"consequences", std::move(consequences)},
                              {"console", to_json(ways)},
                              {"revision", commands_.revision()}});
}

/// While a trial is under way it is that which is ended, at once; a revision is gone to after it.
void Daemon::control_rollback(const json::object& args, ClientPtr client) {
  const bool further = args.contains("revision");
  const bool ended = commands_.abort_trial(
      "ended by a person at the machine", [this, args, further, client](json::object result) {
        if (further) {
          roll_back_to(args, client);
          return;
        }
        const auto& state = result.at("state").as_string();
        const bool back = state == "rolled_back" || state == "refused";
        client->answer(std::move(result), back ? 0 : 1);
      });
  if (!ended) { roll_back_to(args, std::move(client)); }
}

void Daemon::roll_back_to(const json::object& args, ClientPtr client) {
  json::object terms = args;
  terms.erase("revision");  // Of the command: the one that it is made for.
  // "The one before" is that only as long as this one is in force.
  if (!args.contains("revision")) { terms["revision"] = commands_.revision(); }
  const std::int64_t wanted = number_arg(args, "revision", commands_.revision_before());
  // By its number: a model may be larger than a command. An adapter that it names may be away
  // today.
  with_revision(wanted, client, [this, terms, wanted, client](const json::value&) {
    run_operations(
        {json::object{{"op", "model.replace"}, {"revision", wanted}, {"allow_pending", true}}},
        terms, client);
  });
}

void Daemon::control_doctor(const json::object& args, ClientPtr client) {
  const std::string name = text_arg(args, "port");
  if (!name.empty() && ports_.find_by_name(name) == nullptr) {
    client->refuse(fmt::format("there is no port \"{}\"; see \"uplinkctl ports\"", name));
    return;
  }
  json::array rows;
  bool all_well = true;
  for (const auto& [key, port] : ports_.all()) {
    if (!name.empty() && ports_.find_by_name(name)->key != key) { continue; }
    json::object row{
        {"port", port.name}, {"broken_step", nullptr}, {"cause", ""}, {"advice", "nothing to do"}};
    if (!port.leads()) {
      if (port.present && !port.card_carrier) {
        row["broken_step"] = "carrier";
        row["cause"] = "no carrier; the other adapters of " + port.group + " carry its traffic";
        row["advice"] = "check the cable and the switch port";
      }
    } else if (!port.live) {
      row["broken_step"] = "carrier";
      row["cause"] = "the adapter is not in this machine";
      row["advice"] = "insert the card again, or check its driver with dmesg";
    } else if (const auto status = tunnel_.worst_status(key);
               status && status->broken != Step::none) {
      row["broken_step"] = std::string(to_string(status->broken));
      row["cause"] = status->cause;
      row["advice"] = std::string(advice(status->broken));
    }
    all_well = all_well && row.at("broken_step").is_null();
    const std::string trouble = trouble_of(views(), port);
    if (!trouble.empty()) { row["trouble"] = trouble; }
    rows.push_back(std::move(row));
  }
  if (const std::string problem = store_keeper_.problem(); name.empty() && !problem.empty()) {
    all_well = false;
    const json::object store = store_keeper_.view();
    const auto* next = store.if_contains("next");
    rows.push_back(
        json::object{{"port", "(store)"},
                     {"broken_step", "store"},
                     {"cause", problem},
                     {"advice", next == nullptr ? json::value("send model.replace") : *next}});
  }
  client->answer(std::move(rows), all_well ? 0 : 3);
}

StatusPage Daemon::on_http(const std::string& target) {
  const ViewSources v = views();
  if (target == "/") { return {200, "text/html; charset=utf-8", page_view(v)}; }
  if (target == "/metrics") { return {200, "text/plain; version=0.0.4", metrics_view(v)}; }
  if (target == "/status.json") {
    const json::object all{{"status", status_view(v)},
                           {"ports", ports_view(v)},
                           {"paths", tunnel_.paths_json()},
                           {"networks", networks_view(v)}};
    return {200, "application/json", json::serialize(all)};
  }
  return {404, "text/plain", "not here: try / , /status.json or /metrics\n"};
}

}  // namespace edge::uplink
