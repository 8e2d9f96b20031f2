// What Swift cannot import of OpenSSL: macros with arguments, as functions of the same meaning.
#pragma once
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline int haechi_SSL_CTX_set_min_proto_version(SSL_CTX *ctx, int version) { return (int)SSL_CTX_set_min_proto_version(ctx, version); }
static inline int haechi_SSL_CTX_set_max_proto_version(SSL_CTX *ctx, int version) { return (int)SSL_CTX_set_max_proto_version(ctx, version); }
static inline int haechi_SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *list) { return (int)SSL_CTX_set1_groups_list(ctx, list); }
static inline int haechi_SSL_CTX_set1_sigalgs_list(SSL_CTX *ctx, const char *list) { return (int)SSL_CTX_set1_sigalgs_list(ctx, list); }
static inline int haechi_SSL_CTX_set1_client_sigalgs_list(SSL_CTX *ctx, const char *list) { return (int)SSL_CTX_set1_client_sigalgs_list(ctx, list); }
static inline void haechi_SSL_CTX_set_mode(SSL_CTX *ctx, long mode) { SSL_CTX_set_mode(ctx, mode); }
static inline void haechi_SSL_CTX_set_max_cert_list(SSL_CTX *ctx, long size) { SSL_CTX_set_max_cert_list(ctx, size); }
static inline void haechi_SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, long mode) { SSL_CTX_set_session_cache_mode(ctx, mode); }
static inline int haechi_SSL_set_tlsext_host_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline int haechi_SSL_get_negotiated_group(SSL *ssl) { return (int)SSL_get_negotiated_group(ssl); }
static inline int haechi_ERR_GET_REASON(unsigned long code) { return ERR_GET_REASON(code); }
static inline int haechi_ERR_GET_LIB(unsigned long code) { return ERR_GET_LIB(code); }
static inline void haechi_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void haechi_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline long haechi_BIO_get_mem_data(BIO *bio, char **start) { return BIO_get_mem_data(bio, start); }

// XN_FLAG_RFC2253 is an expression of constants, which Swift does not import.
static const unsigned long haechi_XN_FLAG_RFC2253 = XN_FLAG_RFC2253;
static inline void haechi_SSL_CTX_clear_mode(SSL_CTX *ctx, long mode) { SSL_CTX_clear_mode(ctx, mode); }
// The options that every TLS context of Haechi has; each is a shifted constant, which Swift does not import.
static const uint64_t haechi_tls_options =
  SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
static const uint64_t haechi_SSL_OP_NO_TICKET = SSL_OP_NO_TICKET;

// Keys that lie outside this process. EC_KEY_METHOD is deprecated since 3.0 in favour of a provider, which for this one call would be a table of some thirty
// functions; it is there for as long as version 3 is, and a key with a method of its own is signed with by the method in both (pkey->foreign).
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
typedef int (*haechi_ec_sign)(int type, const unsigned char *digest, int digest_length, unsigned char *signature, unsigned int *length, const BIGNUM *kinv,
                              const BIGNUM *r, EC_KEY *key);

static inline EC_KEY_METHOD *haechi_outside_method(haechi_ec_sign sign) {
  EC_KEY_METHOD *method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
  // No set-up and no signature in halves: there is one way to a signature.
  if (method != NULL) EC_KEY_METHOD_set_sign(method, sign, NULL, NULL);
  return method;
}

static inline int haechi_outside_index(CRYPTO_EX_dup *dup, CRYPTO_EX_free *release) {
  return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_EC_KEY, 0, NULL, NULL, dup, release);
}

// A key of which only the public half is here (SubjectPublicKeyInfo), with `data` at `index` for the method; NULL where it is no EC key or memory is short:
// `data` is the caller's still then.
static inline EVP_PKEY *haechi_outside_key(const unsigned char *der, long count, EC_KEY_METHOD *method, int index, void *data) {
  EC_KEY *key = d2i_EC_PUBKEY(NULL, &der, count);
  if (key == NULL) return NULL;
  EVP_PKEY *result = EVP_PKEY_new();
  if (result != NULL && EC_KEY_set_method(key, method) == 1 && EVP_PKEY_assign(result, EVP_PKEY_EC, key) == 1) {
    if (EC_KEY_set_ex_data(key, index, data) == 1) return result;
    key = NULL;
  }
  EC_KEY_free(key);
  EVP_PKEY_free(result);
  return NULL;
}

static inline void *haechi_outside_data(EC_KEY *key, int index) { return EC_KEY_get_ex_data(key, index); }
static inline int haechi_outside_verify(const unsigned char *digest, int digest_length, const unsigned char *signature, int count, EC_KEY *key) {
  return ECDSA_verify(0, digest, digest_length, signature, count, key);
}
#pragma clang diagnostic pop

// An error of ours in OpenSSL's queue, where whoever asked for the signature reads it.
static inline void haechi_raise(const char *words) { ERR_raise_data(ERR_LIB_USER, 1, "%s", words); }
static const int haechi_ERR_LIB_USER = ERR_LIB_USER;
