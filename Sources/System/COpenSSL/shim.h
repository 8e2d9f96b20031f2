// What Swift cannot import of OpenSSL: macros with arguments, as functions of the same meaning.
#pragma once
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
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
