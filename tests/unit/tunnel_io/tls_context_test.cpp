#include "tunnel/io/tls_context.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fixture.hpp"

namespace edge::tunnel::testing_support {
namespace {

/// Goal: every wrong file gives one line with the file and what is wrong in it.
class TlsContextTest : public TunnelIoTest {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tls_context_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder = name;
    write("ca.pem", ca.pem());
    const PemPair pair = ca.host("hv-01");
    write("own.pem", pair.certificate);
    write("own.key", pair.key);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder + "/" + name) << text;
  }
  std::string error() const {
    const TlsFiles files{
        .ca = folder + "/ca.pem", .certificate = folder + "/own.pem", .key = folder + "/own.key"};
    const auto made = TlsContext::open(TlsRole::client, files, options());
    if (made) { return "no error"; }
    EXPECT_EQ(made.error().what.find('\n'), std::string::npos);
    return made.error().what;
  }
  std::string folder;
};

TEST_F(TlsContextTest, GoodFilesLoadAndAreDescribed) {
  EXPECT_EQ(error(), "no error");
  const auto made = host_context();
  EXPECT_EQ(made->own_certificate().subject, "CN=hv-01");
  EXPECT_FALSE(made->own_validity());
}

TEST_F(TlsContextTest, MissingFileIsNamed) {
  std::filesystem::remove(folder + "/own.pem");
  EXPECT_EQ(error(), "certificate file " + folder + "/own.pem: No such file or directory");
  std::filesystem::remove(folder + "/ca.pem");
  EXPECT_EQ(error(), "ca file " + folder + "/ca.pem: No such file or directory");
}

TEST_F(TlsContextTest, FolderInsteadOfFileIsNamed) {
  std::filesystem::remove(folder + "/own.key");
  std::filesystem::create_directory(folder + "/own.key");
  EXPECT_EQ(error(), "key file " + folder + "/own.key: Is a directory");
}

TEST_F(TlsContextTest, NotAPemShowsHowTheFileBegins) {
  write("own.pem", "hello\x01 world\nsecond line");
  EXPECT_EQ(error(), "certificate file " + folder +
                         "/own.pem: no readable PEM certificate in it; it begins with \"hello? "
                         "world\"");
  write("own.pem", "");
  EXPECT_NE(error().find("the file is empty"), std::string::npos);
}

TEST_F(TlsContextTest, DamagedSecondCertificateIsNotIgnored) {
  write("own.pem", ca.host("hv-01").certificate +
                       "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_NE(error().find("certificate 2 in it is damaged"), std::string::npos) << error();
}

TEST_F(TlsContextTest, KeyFileNeverShowsItsContent) {
  write("own.key", "topsecret");
  EXPECT_EQ(error(),
            "key file " + folder + "/own.key: no readable PEM private key in it (9 bytes)");
}

TEST_F(TlsContextTest, EncryptedKeyIsRefusedWithoutAsking) {
  write("own.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE "
        "KEY-----\n");
  EXPECT_NE(error().find("the key is encrypted"), std::string::npos);
}

TEST_F(TlsContextTest, KeyOfAnotherCertificateIsRefusedNamingBothFiles) {
  write("own.key", ca.host("hv-02").key);
  EXPECT_NE(error().find("own.key does not match certificate file "), std::string::npos);
  EXPECT_NE(error().find("subject CN=hv-01"), std::string::npos);
}

TEST_F(TlsContextTest, LeafAsCaIsRefused) {
  write("ca.pem", ca.host("hv-01").certificate);
  EXPECT_NE(error().find("not a CA certificate: subject CN=hv-01"), std::string::npos);
}

TEST_F(TlsContextTest, HugeFileIsRefused) {
  write("ca.pem", std::string((1U << 20) + 1, 'a'));
  EXPECT_NE(error().find("larger than 1048576 bytes"), std::string::npos);
}

TEST_F(TlsContextTest, ServerNameMustBeANameOrAnAddress) {
  for (const char* bad : {"", ".test", "a b", "console.test\n", "*.test"}) {
    TlsOptions with = options();
    with.server_name = bad;
    const auto made =
        TlsContext::create(TlsRole::client, material(ca.pem(), ca.host("hv-01")), with);
    ASSERT_FALSE(made) << bad;
    EXPECT_NE(made.error().what.find("server_name"), std::string::npos);
  }
}

TEST_F(TlsContextTest, OwnDatesAreJudgedByTheGivenClock) {
  const auto at = [&](WallTime now, WallTime floor = {}) {
    TlsOptions with = options(now);
    with.clock_floor = floor;
    return context(TlsRole::client, ca.host("hv-01"), with)->own_validity();
  };
  EXPECT_FALSE(at(pki_now));
  const auto expired = at(pki_now + Days(11));
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->cause, PathFailure::tls_expired);
  EXPECT_NE(expired->text.find("certificate own.pem has expired: subject CN=hv-01"),
            std::string::npos)
      << expired->text;
  EXPECT_EQ(at(WallTime{})->cause, PathFailure::clock);
  EXPECT_EQ(at(pki_now + Days(11), pki_now + Days(20))->cause, PathFailure::clock);
}

}  // namespace
}  // namespace edge::tunnel::testing_support
