// A host's certificate renewed: request, signature, judgement. What a request asks for is never
// what it gets.
#include "tunnel/io/identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "test_pki.hpp"

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::Days;
using testing_support::pki_now;
using testing_support::TestCa;

std::string rsa_request() {
  const KeyPtr key(EVP_RSA_gen(2048));
  const RequestPtr request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key.get());
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  return to_pem(*request);
}

/// Asks for names, as somebody would who wants to be another host, or a CA.
std::string greedy_request() {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const RequestPtr request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key.get());
  STACK_OF(X509_EXTENSION)* wishes = sk_X509_EXTENSION_new_null();
  for (const auto& [nid, value] :
       {std::pair{NID_subject_alt_name, "URI:urn:gallium:host:hv-99,DNS:console.test"},
        std::pair{NID_basic_constraints, "critical,CA:TRUE"},
        std::pair{NID_ext_key_usage, "serverAuth"}}) {
    sk_X509_EXTENSION_push(wishes, X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  }
  X509_REQ_add_extensions(request.get(), wishes);
  sk_X509_EXTENSION_pop_free(wishes, X509_EXTENSION_free);
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  return to_pem(*request);
}

class IdentityTest : public testing::Test {
 protected:
  std::unique_ptr<const IdentitySigner> signer(const TestCa& by, const std::string& bundle,
                                               std::chrono::hours lifetime = 24h * 90) {
    auto made = IdentitySigner::create(by.pem(), by.key_pem(), bundle, lifetime, "ca.pem");
    EXPECT_TRUE(made) << made.error().what;
    return made ? std::move(*made) : nullptr;
  }
  static TlsMaterial material(const SignedIdentity& made, const IdentityRequest& request,
                              const std::string& bundle) {
    return {.ca_pem = bundle,
            .certificate_pem = made.certificate_pem,
            .key_pem = request.key_pem,
            .names = {}};
  }
  TestCa ca{"ca"};
  TestCa next{"next ca"};
};

TEST_F(IdentityTest, ARequestBecomesACertificateThatThisHostCanUse) {
  const auto request = make_identity_request("hv-01").value();
  const auto made = signer(ca, ca.pem())->sign("hv-01", request.csr_pem, pki_now).value();
  const auto judged = judge_identity(material(made, request, ca.pem()), "hv-01");
  ASSERT_TRUE(judged) << judged.error().what;
  EXPECT_EQ(judged->certificate.serial, made.certificate.serial);
  EXPECT_EQ(made.certificate.not_before, pki_now - IdentitySigner::backdated);
  EXPECT_EQ(made.certificate.not_after, pki_now + Days(90));
  EXPECT_EQ(made.certificate.serial.size(), 32U) << made.certificate.serial;
  EXPECT_TRUE(TlsContext::create(
      TlsRole::client, material(made, request, ca.pem()),
      {.server_name = "console.test", .wall_clock = [] { return pki_now; }, .clock_floor = {}}));
}

TEST_F(IdentityTest, TwoRequestsHaveTwoKeysAndTwoSerials) {
  const auto one = make_identity_request("hv-01").value();
  const auto two = make_identity_request("hv-01").value();
  EXPECT_NE(one.key_pem, two.key_pem);
  const auto by = signer(ca, ca.pem());
  EXPECT_NE(by->sign("hv-01", one.csr_pem, pki_now)->certificate.serial,
            by->sign("hv-01", one.csr_pem, pki_now)->certificate.serial);
  EXPECT_EQ(one.csr_pem.find("PRIVATE"), std::string::npos);
}

TEST_F(IdentityTest, NamesAndRightsAreThoseOfTheSessionWhateverTheRequestSays) {
  const auto made = signer(ca, ca.pem())->sign("hv-01", greedy_request(), pki_now).value();
  const auto leaf = std::move(read_certificates(made.certificate_pem, 1)->front());
  EXPECT_EQ(host_id_of(*leaf).value(), "hv-01");
  EXPECT_EQ(subject_alt_names_text(*leaf), "URI urn:gallium:host:hv-01");
  EXPECT_EQ(X509_check_ca(leaf.get()), 0);
  EXPECT_EQ(X509_get_extended_key_usage(leaf.get()), static_cast<std::uint32_t>(XKU_SSL_CLIENT));
}

TEST_F(IdentityTest, WhatIsNoGoodRequestIsRefusedWithTheReason) {
  const auto by = signer(ca, ca.pem());
  const auto why = [&](const std::string& csr) {
    return by->sign("hv-01", csr, pki_now).error().what;
  };
  EXPECT_THAT(why("nonsense"), HasSubstr("no readable PEM certificate request"));
  EXPECT_THAT(why(std::string(IdentitySigner::request_bytes_max + 1, 'x')), HasSubstr("at most"));
  EXPECT_THAT(why(rsa_request()), HasSubstr("not EC P-256"));
  // Another key in it than the one that signed it: who asks does not possess it.
  const auto request = read_request(make_identity_request("hv-01")->csr_pem).value();
  const KeyPtr other(EVP_EC_gen("P-256"));
  X509_REQ_set_pubkey(request.get(), other.get());
  EXPECT_THAT(why(to_pem(*request)), HasSubstr("not signed with its own key"));
}

TEST_F(IdentityTest, ACertificateEndsWithItsCaAtTheLatest) {
  const auto request = make_identity_request("hv-01").value();
  const auto by = signer(ca, ca.pem(), 24h * 365 * 30);
  EXPECT_EQ(by->sign("hv-01", request.csr_pem, pki_now)->certificate.not_after, by->ca().not_after);
  const auto late = by->sign("hv-01", request.csr_pem, by->ca().not_after + 1s);
  EXPECT_EQ(late.error().code, Errc::denied);
  EXPECT_THAT(late.error().what, HasSubstr("not valid now"));
}

TEST_F(IdentityTest, ASignerThatCannotWorkIsRefusedAtTheStart) {
  const auto why = [](const std::string& cert, const std::string& key, const std::string& bundle) {
    return IdentitySigner::create(cert, key, bundle, 24h, "ca.pem").error().what;
  };
  const auto leaf = ca.host("hv-01");
  EXPECT_THAT(why(ca.pem(), next.key_pem(), ca.pem()), HasSubstr("the key is not that of"));
  EXPECT_THAT(why(leaf.certificate, leaf.key, ca.pem()), HasSubstr("not a CA certificate"));
  EXPECT_THAT(why(ca.pem(), ca.key_pem(), next.pem()), HasSubstr("does not lead to it"));
  EXPECT_THAT(why(ca.pem(), "x", ca.pem()), HasSubstr("private key"));
  EXPECT_THAT(why("x", ca.key_pem(), ca.pem()), HasSubstr("signer ca.pem: no readable"));
}

TEST_F(IdentityTest, TheGenerationTellsBundlesAndSignersApart) {
  const std::string both = ca.pem() + next.pem();
  const std::set<std::string> all{signer(ca, ca.pem())->generation(),
                                  signer(ca, both)->generation(), signer(next, both)->generation(),
                                  signer(next, next.pem())->generation()};
  EXPECT_EQ(all.size(), 4U);
  EXPECT_EQ(signer(ca, both)->generation(), signer(ca, next.pem() + ca.pem())->generation())
      << "the order of the file is no news";
}

TEST_F(IdentityTest, AHostTakesOnlyWhatIsItsOwn) {
  const auto request = make_identity_request("hv-01").value();
  const auto by = signer(ca, ca.pem());
  const auto good = by->sign("hv-01", request.csr_pem, pki_now).value();
  const auto why = [&](TlsMaterial material) {
    return judge_identity(material, "hv-01").error().what;
  };
  TlsMaterial wrong = material(good, request, ca.pem());
  wrong.key_pem = make_identity_request("hv-01")->key_pem;
  EXPECT_THAT(why(wrong), HasSubstr("not that of the certificate"));
  EXPECT_THAT(why(material(by->sign("hv-02", request.csr_pem, pki_now).value(), request, ca.pem())),
              HasSubstr("for host \"hv-02\""));
  EXPECT_THAT(why(material(good, request, next.pem())), HasSubstr("does not lead to a CA"));
  EXPECT_THAT(why(material(good, request, good.certificate_pem)), HasSubstr("not a CA"));
  EXPECT_THAT(why(material(good, request, "")), HasSubstr("CA bundle: no readable"));
  TlsMaterial damaged = material(good, request, ca.pem());
  damaged.certificate_pem.resize(damaged.certificate_pem.size() / 2);
  EXPECT_THAT(why(damaged), HasSubstr("certificate: no readable"));
  // The Console's own certificate, which leads to the same CA, is none for a host.
  const auto server = ca.issue({.common_name = "hv-01",
                                .alt_names = "URI:urn:gallium:host:hv-01",
                                .extended_usage = "serverAuth"});
  EXPECT_THAT(why({.ca_pem = ca.pem(),
                   .certificate_pem = server.certificate,
                   .key_pem = server.key,
                   .names = {}}),
              HasSubstr("does not lead to a CA"));
}

TEST_F(IdentityTest, DuringARotationTheBundleHasBoth) {
  const std::string both = ca.pem() + next.pem();
  const auto request = make_identity_request("hv-01").value();
  const auto made = signer(next, both)->sign("hv-01", request.csr_pem, pki_now).value();
  EXPECT_TRUE(judge_identity(material(made, request, both), "hv-01"));
  EXPECT_TRUE(judge_identity(material(made, request, next.pem()), "hv-01"));
}

}  // namespace
}  // namespace edge::tunnel
