#include "base/toml_reader.hpp"

#include <gtest/gtest.h>

#include "base/quoted.hpp"

namespace edge {
namespace {

struct Values {
  std::string text = "unset";
  std::string file = "unset";
  unsigned number = 7;
  bool flag = false;
  std::vector<std::string> texts;
};

std::vector<std::string> read(std::string_view text, Values& out) {
  namespace into = toml_into;
  TomlReader in("f.toml", "/etc");
  in.read(text, {{"s",
                  {{"text", into::text(out.text)},
                   {"file", into::file_name(out.file)},
                   {"number", into::number(out.number, 1, 9)},
                   {"flag", into::flag(out.flag)},
                   {"texts", into::texts(out.texts, 2)}}}});
  return in.take_problems();
}

TEST(TomlReader, FillsWhatIsGivenAndKeepsTheRest) {
  Values values;
  EXPECT_TRUE(
      read("[s]\ntext = \"a\"\nfile = \"b\"\nflag = true\ntexts = [\"x\"]\n", values).empty());
  EXPECT_EQ(values.text, "a");
  EXPECT_EQ(values.file, "/etc/b");
  EXPECT_EQ(values.number, 7U);
  EXPECT_TRUE(values.flag);
  EXPECT_EQ(values.texts, std::vector<std::string>{"x"});
}

TEST(TomlReader, EachWrongValueIsOneLineWithItsPlaceTheValueAndWhatIsAllowed) {
  for (const auto& [line, said] : std::vector<std::pair<std::string, std::string>>{
           {"text = 5", "s.text: 5: expected a string"},
           {"text = 1.5", "s.text: 1.5: expected a string"},
           {"text = {a = 1}", "s.text: a table: expected a string"},
           {"text = 1979-05-27", "s.text: a date or time: expected a string"},
           {"number = \"many\"", "s.number: \"many\": expected a whole number 1..9"},
           {"number = true", "s.number: true: expected a whole number 1..9"},
           {"number = 0", "s.number: 0 is out of range 1..9"},
           {"number = -3", "s.number: -3 is out of range 1..9"},
           {"number = 10", "s.number: 10 is out of range 1..9"},
           {"flag = 1", "s.flag: 1: expected true or false"},
           {"texts = \"x\"", "s.texts: \"x\": expected a list of 0..2 strings"},
           {"texts = [\"a\", \"b\", \"c\"]", "s.texts: 3 entries: expected a list of 0..2 strings"},
           {"texts = [\"a\", 2]", "s.texts: 2: expected a string"},
           {"speed = 1",
            "unknown key \"speed\" in [s]; allowed: file, flag, number, text, texts"}}) {
    Values values;
    EXPECT_EQ(read("\n[s]\n" + line + "\n", values), std::vector<std::string>{"f.toml:3: " + said});
    EXPECT_EQ(values.text, "unset");
    EXPECT_EQ(values.number, 7U);
  }
  Values values;
  EXPECT_EQ(read("[t]\n", values).front(), "f.toml:1: unknown section \"t\"; allowed: s");
  EXPECT_EQ(read("s = 4\n", values).front(), "f.toml:1: s: 4: expected a section [s]");
}

TEST(TomlReader, WhatIsMissingIsSaidUnlessTheKeyWasWrong) {
  Values values;
  TomlReader in("f.toml", "/");
  in.read("[s]\ntext = 5\n", {{"s", {{"text", toml_into::text(values.text)}}}});
  in.require(false, "s.text", "a text");
  in.require(false, "s.other", "another text");
  in.require(true, "s.third", "a third");
  EXPECT_EQ(in.take_problems(),
            (std::vector<std::string>{"f.toml:2: s.text: 5: expected a string",
                                      "f.toml:1: s.other is missing; expected another text"}));
}

TEST(TomlReader, HostileTextStaysOneShortLine) {
  Values values;
  const auto problems = read("[s]\nnumber = \"a\\n" + std::string(9000, 'x') + "\"\n", values);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_LT(problems.front().size(), 140U);
  EXPECT_EQ(problems.front().find('\n'), std::string::npos);
  EXPECT_EQ(edge::quoted("a\x01\"b"), "\"a??b\"");
  EXPECT_EQ(edge::quoted(std::string(63, 'x') + "\xc3\xa4"), "\"" + std::string(63, 'x') + "...\"")
      << "no half character";
}

}  // namespace
}  // namespace edge
