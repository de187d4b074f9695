// Store: model revisions, and what is kept per adapter.
#include <algorithm>
#include <cstdlib>
#include <iterator>

#include <boost/json.hpp>

#include "store/io/store_state.hpp"

namespace edge::store {
namespace {

constexpr std::size_t kGoodAddressesMax = 8;
constexpr std::int64_t kEndpointRowsMax = 4096;
constexpr std::size_t kJsonBytesMax = 256U << 10;  ///< One lease or reputation.
constexpr std::string_view kRetired = "revision_retired";

Result<void> check_json(std::string_view what, std::string_view json) {
  if (json.size() <= kJsonBytesMax) { return {}; }
  return fail(Errc::invalid_input, fmt::format("{} has {} bytes; at most {} are allowed", what,
                                               json.size(), kJsonBytesMax));
}

/// Keys in the file are hex form. A row that a person broke is skipped: Result empty.
Result<MacAddress> mac_of_hex(const std::string& hex) {
  if (hex.size() != 12) { return fail(Errc::corrupt, fmt::format("stored MAC \"{}\"", hex)); }
  return parse_mac(fmt::format("{}:{}:{}:{}:{}:{}", hex.substr(0, 2), hex.substr(2, 2),
                               hex.substr(4, 2), hex.substr(6, 2), hex.substr(8, 2),
                               hex.substr(10, 2)));
}

Revision to_revision(Query& row) {
  return {.number = row.integer(0),
          .model = row.text(1),
          .cause = row.text(2),
          .time = from_ms(row.integer(3))};
}

Result<RevisionBytes> count_revisions(Database& database) {
  RevisionBytes sizes;
  EDGE_ASSIGN(Query rows,
              database.query("SELECT number,length(CAST(model AS BLOB)) FROM revisions"));
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return sizes; }
    sizes[rows.integer(0)] = rows.integer(1);
  }
}

/// Keeps the newest revision whatever its size. The sizes are kept here because SQLite reads every
/// revision to tell its length: 200 of 90 kB took a quarter of all that a command costs.
Result<void> drop_old_revisions(Database& database, const StoreLimits& limits,
                                RevisionBytes& sizes) {
  std::int64_t held = 0;
  std::int64_t kept = 0;
  auto oldest = sizes.end();
  while (oldest != sizes.begin()) {
    const auto next = std::prev(oldest);
    held += next->second;
    ++kept;
    if (kept > 1 && (kept > limits.revisions_max || held > limits.revisions_bytes_max)) { break; }
    oldest = next;
  }
  if (oldest == sizes.begin()) { return {}; }
  EDGE_ASSIGN(Query row, database.query("DELETE FROM revisions WHERE number<?1"));
  EDGE_TRY(row.bind(oldest->first).run());
  sizes.erase(sizes.begin(), oldest);
  return {};
}

}  // namespace

Result<void> Store::add_revision(const Revision& revision) {
  if (revision.model.size() > state_->limits.model_bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("model has {} bytes; at most {} are allowed", revision.model.size(),
                            state_->limits.model_bytes_max));
  }
  return state_->must_write([&]() -> Result<void> {
    Database& database = state_->database;
    EDGE_ASSIGN(const std::int64_t highest, highest_revision_number());
    if (revision.number <= highest) {
      return fail(Errc::conflict, fmt::format("revision {} is not above the highest ever given, {}",
                                              revision.number, highest));
    }
    EDGE_ASSIGN(Query row, database.query("INSERT INTO revisions VALUES(?1,?2,?3,?4)"));
    EDGE_TRY(row.bind(revision.number, revision.model, revision.cause, to_ms(revision.time)).run());
    auto& sizes = state_->revision_bytes;
    if (!sizes) {
      EDGE_ASSIGN(sizes, count_revisions(database));
    } else {
      (*sizes)[revision.number] = static_cast<std::int64_t>(revision.model.size());
    }
    return drop_old_revisions(database, state_->limits, *sizes);
  });
}

Result<void> Store::retire_revision(std::int64_t number) {
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(const std::int64_t highest, highest_revision_number());
    if (number <= highest) { return {}; }
    return put_setting(kRetired, std::to_string(number));
  });
}

Result<std::int64_t> Store::highest_revision_number() {
  EDGE_ASSIGN(const std::int64_t newest,
              state_->database.integer("SELECT coalesce(max(number),0) FROM revisions"));
  EDGE_ASSIGN(const auto retired, setting(kRetired));
  return std::max<std::int64_t>(newest, std::atoll(retired.value_or("0").c_str()));
}

Result<std::optional<Revision>> Store::newest_revision() {
  EDGE_ASSIGN(Query rows, state_->database.query("SELECT number,model,cause,time FROM revisions"
                                                 " ORDER BY number DESC LIMIT 1"));
  return optional_row(rows, to_revision);
}

Result<std::optional<Revision>> Store::revision(std::int64_t number) {
  EDGE_ASSIGN(Query rows, state_->database.query(
                              "SELECT number,model,cause,time FROM revisions WHERE number=?1"));
  rows.bind(number);
  return optional_row(rows, to_revision);
}

Result<std::vector<RevisionSummary>> Store::revisions(std::size_t limit) {
  EDGE_ASSIGN(Query rows,
              state_->database.query("SELECT number,cause,time,length(model) FROM revisions"
                                     " ORDER BY number DESC LIMIT ?1"));
  rows.bind(limit);
  return all_rows(rows, [](Query& row) {
    return RevisionSummary{.number = row.integer(0),
                           .cause = row.text(1),
                           .time = from_ms(row.integer(2)),
                           .model_bytes = row.integer(3)};
  });
}

Result<AdapterRecord> Store::remember_adapter(const MacAddress& base_mac, std::string_view name,
                                              WallTime now) {
  const std::string mac = to_hex(base_mac);
  return state_->must_write([&]() -> Result<AdapterRecord> {
    Database& database = state_->database;
    {
      EDGE_ASSIGN(Query known, database.query("UPDATE adapters SET last_name=?2 WHERE mac=?1"));
      EDGE_TRY(known.bind(mac, name).run());
    }
    if (database.changes() == 0) {
      EDGE_ASSIGN(const std::int64_t highest,
                  database.integer("SELECT coalesce(max(number),0) FROM adapters"));
      if (highest >= state_->limits.adapters_max) {
        return fail(Errc::no_space,
                    fmt::format("adapter {} is one too many: {} were seen, at most {} are kept",
                                to_string(base_mac), highest, state_->limits.adapters_max));
      }
      EDGE_ASSIGN(Query row, database.query("INSERT INTO adapters VALUES(?1,?2,?3,?4)"));
      EDGE_TRY(row.bind(mac, highest + 1, name, to_ms(now)).run());
    }
    EDGE_ASSIGN(Query rows,
                database.query("SELECT number,last_name,first_seen FROM adapters WHERE mac=?1"));
    EDGE_ASSIGN(const bool found, rows.bind(mac).step());
    if (!found) {
      return fail(Errc::corrupt, fmt::format("adapter {} vanished", to_string(base_mac)));
    }
    return AdapterRecord{.base_mac = base_mac,
                         .number = static_cast<std::uint32_t>(rows.integer(0)),
                         .last_name = rows.text(1),
                         .first_seen = from_ms(rows.integer(2))};
  });
}

Result<void> Store::restore_adapter(const AdapterRecord& adapter) {
  if (adapter.number == 0) { return fail(Errc::invalid_input, "adapter numbers begin at 1"); }
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("INSERT OR IGNORE INTO adapters VALUES(?1,?2,?3,?4)"));
    return row
        .bind(to_hex(adapter.base_mac), adapter.number, adapter.last_name,
              to_ms(adapter.first_seen))
        .run();
  });
}

Result<std::vector<AdapterRecord>> Store::adapters() {
  EDGE_ASSIGN(Query rows,
              state_->database.query(
                  "SELECT mac,number,last_name,first_seen FROM adapters ORDER BY number"));
  std::vector<AdapterRecord> out;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    const auto mac = mac_of_hex(rows.text(0));
    if (!mac) { continue; }
    out.push_back({.base_mac = *mac,
                   .number = static_cast<std::uint32_t>(rows.integer(1)),
                   .last_name = rows.text(2),
                   .first_seen = from_ms(rows.integer(3))});
  }
}

Result<void> Store::put_lease(const LeaseRecord& lease) {
  EDGE_TRY(check_json("lease", lease.json));
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("INSERT OR REPLACE INTO leases VALUES(?1,?2,?3,?4)"));
    return row
        .bind(to_hex(lease.adapter), static_cast<int>(lease.family), lease.json,
              to_ms(lease.stored))
        .run();
  });
}

Result<void> Store::remove_lease(const MacAddress& adapter, Family family) {
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("DELETE FROM leases WHERE adapter=?1 AND family=?2"));
    return row.bind(to_hex(adapter), static_cast<int>(family)).run();
  });
}

Result<std::vector<LeaseRecord>> Store::leases() {
  EDGE_ASSIGN(Query rows,
              state_->database.query(
                  "SELECT adapter,family,json,stored FROM leases ORDER BY adapter,family"));
  std::vector<LeaseRecord> out;
  while (true) {
    EDGE_ASSIGN(const bool found, rows.step());
    if (!found) { return out; }
    const auto mac = mac_of_hex(rows.text(0));
    if (!mac) { continue; }
    out.push_back({.adapter = *mac,
                   .family = rows.integer(1) == 0 ? Family::v4 : Family::v6,
                   .json = rows.text(2),
                   .stored = from_ms(rows.integer(3))});
  }
}

Result<void> Store::put_good_addresses(const MacAddress& adapter, std::string_view endpoint,
                                       const std::vector<IpAddress>& addresses, WallTime now) {
  boost::json::array list;
  for (const IpAddress& address : addresses) {
    if (list.size() < kGoodAddressesMax) { list.emplace_back(to_string(address)); }
  }
  const std::string json = boost::json::serialize(list);
  return state_->must_write([&]() -> Result<void> {
    Database& database = state_->database;
    EDGE_ASSIGN(Query row, database.query("INSERT OR REPLACE INTO endpoints VALUES(?1,?2,?3,?4)"));
    EDGE_TRY(row.bind(to_hex(adapter), endpoint, json, to_ms(now)).run());
    EDGE_ASSIGN(const std::int64_t rows, database.integer("SELECT count(*) FROM endpoints"));
    if (rows <= kEndpointRowsMax) { return {}; }
    return database.execute(
        "DELETE FROM endpoints WHERE (adapter,endpoint) IN"
        " (SELECT adapter,endpoint FROM endpoints ORDER BY stored LIMIT 64)");
  });
}

Result<std::vector<IpAddress>> Store::good_addresses(const MacAddress& adapter,
                                                     std::string_view endpoint) {
  EDGE_ASSIGN(Query rows, state_->database.query(
                              "SELECT addresses FROM endpoints WHERE adapter=?1 AND endpoint=?2"));
  EDGE_ASSIGN(const bool found, rows.bind(to_hex(adapter), endpoint).step());
  std::vector<IpAddress> out;
  if (!found) { return out; }
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(rows.text(0), ec);
  if (ec || !parsed.is_array()) { return out; }
  for (const auto& item : parsed.get_array()) {
    if (!item.is_string()) { continue; }
    if (const auto address = parse_ip(item.get_string())) { out.push_back(*address); }
  }
  return out;
}

Result<void> Store::put_reputation(const MacAddress& adapter, std::string_view json) {
  EDGE_TRY(check_json("reputation", json));
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("INSERT OR REPLACE INTO reputation VALUES(?1,?2)"));
    return row.bind(to_hex(adapter), json).run();
  });
}

Result<std::optional<std::string>> Store::reputation(const MacAddress& adapter) {
  EDGE_ASSIGN(Query rows, state_->database.query("SELECT json FROM reputation WHERE adapter=?1"));
  rows.bind(to_hex(adapter));
  return optional_row(rows, [](Query& row) { return row.text(0); });
}

}  // namespace edge::store
