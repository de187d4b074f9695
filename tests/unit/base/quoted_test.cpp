#include "base/quoted.hpp"

#include <gtest/gtest.h>

namespace edge {
namespace {

TEST(QuotedTest, ForeignTextIsShortAndHasNoControlCharacters) {
  EXPECT_EQ(edge::quoted("eth0"), "\"eth0\"");
  EXPECT_EQ(edge::quoted("a\nb\"c\x7f"), "\"a?b?c?\"");
  EXPECT_EQ(edge::quoted(std::string(65, 'x')), "\"" + std::string(64, 'x') + "...\"");
}

TEST(OneLineTest, ControlCharactersAreEscapedAndTheRestIsAsItWas) {
  EXPECT_EQ(one_line("plain \"text\" with \xc3\xa9"), "plain \"text\" with \xc3\xa9");
  EXPECT_EQ(one_line("a\nb"), "a\\nb");
  EXPECT_EQ(one_line(std::string_view("\0\x1b[2J\x7f", 6)), "\\x00\\x1b[2J\\x7f");
  EXPECT_EQ(one_line("\xc2\x9b"
                     "2J"),
            "\xc2\\x9b"
            "2J")
      << "CSI as one character of UTF-8";
  EXPECT_EQ(one_line("\xe2\x80\x9b"), "\xe2\x80\x9b") << "no control character";
}

TEST(OneLineTest, OfMuchTheBeginningIsShown) {
  EXPECT_EQ(one_line(std::string(16384, 'x')), std::string(16384, 'x'));
  EXPECT_EQ(one_line(std::string(16385, 'x')), std::string(16384, 'x') + "... (16385 bytes)");
}

}  // namespace
}  // namespace edge
