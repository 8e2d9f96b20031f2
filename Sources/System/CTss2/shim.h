// What Swift cannot import of tpm2-tss: macros that compute or cast, unions behind selectors, and calls through function tables.
#pragma once
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tcti_device.h>

static const ESYS_TR haechi_tpm_no_session = ESYS_TR_NONE;
static const TPM2_CAP haechi_tpm_properties = TPM2_CAP_TPM_PROPERTIES;
static const UINT32 haechi_tpm_manufacturer = TPM2_PT_MANUFACTURER;
static const TPM2_ALG_ID haechi_tpm_sha256 = TPM2_ALG_SHA256;
static const ESYS_TR haechi_tpm_owner = ESYS_TR_RH_OWNER;
static const ESYS_TR haechi_tpm_lockout = ESYS_TR_RH_LOCKOUT;
static const ESYS_TR haechi_tpm_empty_password = ESYS_TR_PASSWORD;
static const TPM2_SE haechi_tpm_hmac_session = TPM2_SE_HMAC;
static const TPM2_SE haechi_tpm_policy_session = TPM2_SE_POLICY;
static const TPM2_SE haechi_tpm_trial_session = TPM2_SE_TRIAL;
static const TPM2_EO haechi_tpm_equal = TPM2_EO_EQ;
static const TPMA_SESSION haechi_tpm_session_continues = TPMA_SESSION_CONTINUESESSION;
static const TPMA_SESSION haechi_tpm_session_encrypts = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
static const TPMA_SESSION haechi_tpm_session_encrypts_response = TPMA_SESSION_ENCRYPT;
static const TPMA_NV haechi_tpm_nv_written = TPMA_NV_WRITTEN;
static const size_t haechi_tpm_secret_maximum = sizeof(((TPM2B_SENSITIVE_DATA *)0)->buffer);

// Response codes without the number of the handle, session or parameter that they are about (TPM 2.0 Library part 2, 6.6).
static const UINT32 haechi_tpm_rc_integrity = TPM2_RC_INTEGRITY;
static const UINT32 haechi_tpm_rc_policy_fail = TPM2_RC_POLICY_FAIL;
static const UINT32 haechi_tpm_rc_policy = TPM2_RC_POLICY;
static const UINT32 haechi_tpm_rc_handle = TPM2_RC_HANDLE;
static const UINT32 haechi_tpm_rc_value = TPM2_RC_VALUE;
static inline UINT32 haechi_tpm_response_code(TSS2_RC result) {
  UINT32 layer = result & TSS2_RC_LAYER_MASK;
  if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER) return 0;
  return result & TPM2_RC_FMT1 ? result & (TPM2_RC_FMT1 | 0x3f) : result & 0x17f;
}

static inline void haechi_tpm_transport_finalize(TSS2_TCTI_CONTEXT *context) { Tss2_Tcti_Finalize(context); }

// AES-128-CFB, for the parameters of a session.
static inline void haechi_tpm_session_cipher(TPMT_SYM_DEF *cipher, int none) {
  memset(cipher, 0, sizeof *cipher);
  cipher->algorithm = none ? TPM2_ALG_NULL : TPM2_ALG_AES;
  if (none) return;
  cipher->keyBits.aes = 128;
  cipher->mode.aes = TPM2_ALG_CFB;
}

// The storage key of the TCG's EK Credential Profile, template H-2: ECC NIST P-256 under the owner hierarchy. Always the same one for a TPM.
static inline void haechi_tpm_storage_key(TPM2B_PUBLIC *key) {
  memset(key, 0, sizeof *key);
  TPMT_PUBLIC *area = &key->publicArea;
  area->type = TPM2_ALG_ECC;
  area->nameAlg = TPM2_ALG_SHA256;
  area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                           TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  area->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
  area->parameters.eccDetail.symmetric.keyBits.aes = 128;
  area->parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
  area->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
  area->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
  area->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
}

// Sealed data that only a session with this policy opens.
static inline void haechi_tpm_sealed_object(TPM2B_PUBLIC *object, const TPM2B_DIGEST *policy) {
  memset(object, 0, sizeof *object);
  TPMT_PUBLIC *area = &object->publicArea;
  area->type = TPM2_ALG_KEYEDHASH;
  area->nameAlg = TPM2_ALG_SHA256;
  area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
  area->authPolicy = *policy;
  area->parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
}

// A key that signs SHA-256 digests by ECDSA over P-256 and nothing else, and that its TPM and its parent never give out.
static inline void haechi_tpm_signing_key(TPM2B_PUBLIC *key) {
  memset(key, 0, sizeof *key);
  TPMT_PUBLIC *area = &key->publicArea;
  area->type = TPM2_ALG_ECC;
  area->nameAlg = TPM2_ALG_SHA256;
  area->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                           TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT;
  area->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
  area->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
  area->parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  area->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
  area->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
}

// What TPM2_Sign is told of a digest that was not made by the TPM: such a key signs it without a ticket.
static inline void haechi_tpm_signing(TPMT_SIG_SCHEME *scheme, TPMT_TK_HASHCHECK *ticket) {
  memset(scheme, 0, sizeof *scheme);
  scheme->scheme = TPM2_ALG_ECDSA;
  scheme->details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  memset(ticket, 0, sizeof *ticket);
  ticket->tag = TPM2_ST_HASHCHECK;
  ticket->hierarchy = TPM2_RH_NULL;
}

// The public part of an RSA key of 2048 bits that signs by RSASSA-PKCS1-v1_5 with SHA-256. Its name is in the policies that it authorises, so that every
// field counts.
static inline void haechi_tpm_authority_key(TPM2B_PUBLIC *key, const BYTE modulus[256]) {
  memset(key, 0, sizeof *key);
  TPMT_PUBLIC *area = &key->publicArea;
  area->type = TPM2_ALG_RSA;
  area->nameAlg = TPM2_ALG_SHA256;
  area->objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH;
  area->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
  area->parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSASSA;
  area->parameters.rsaDetail.scheme.details.rsassa.hashAlg = TPM2_ALG_SHA256;
  area->parameters.rsaDetail.keyBits = 2048;
  // 0 is 65537.
  area->parameters.rsaDetail.exponent = 0;
  area->unique.rsa.size = 256;
  memcpy(area->unique.rsa.buffer, modulus, 256);
}

static inline void haechi_tpm_authority_signature(TPMT_SIGNATURE *signature, const BYTE bytes[256]) {
  memset(signature, 0, sizeof *signature);
  signature->sigAlg = TPM2_ALG_RSASSA;
  signature->signature.rsassa.hash = TPM2_ALG_SHA256;
  signature->signature.rsassa.sig.size = 256;
  memcpy(signature->signature.rsassa.sig.buffer, bytes, 256);
}

// A counter that only ever rises, also past its own removal (TPM 2.0 Library part 1, 37.2.4).
static inline void haechi_tpm_counter(TPM2B_NV_PUBLIC *space, TPMI_RH_NV_INDEX index) {
  memset(space, 0, sizeof *space);
  space->nvPublic.nvIndex = index;
  space->nvPublic.nameAlg = TPM2_ALG_SHA256;
  space->nvPublic.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | TPMA_NV_NO_DA |
                               (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT);
  space->nvPublic.dataSize = 8;
}

// The registers of the SHA-256 bank whose bits are in `registers`.
static inline void haechi_tpm_select(TPML_PCR_SELECTION *selection, UINT32 registers) {
  memset(selection, 0, sizeof *selection);
  selection->count = 1;
  selection->pcrSelections[0].hash = TPM2_ALG_SHA256;
  selection->pcrSelections[0].sizeofSelect = 3;
  for (int byte = 0; byte < 3; byte++) selection->pcrSelections[0].pcrSelect[byte] = (BYTE)(registers >> (8 * byte));
}

static inline void haechi_tpm_extension(TPML_DIGEST_VALUES *values, const BYTE digest[32]) {
  memset(values, 0, sizeof *values);
  values->count = 1;
  values->digests[0].hashAlg = TPM2_ALG_SHA256;
  memcpy(values->digests[0].digest.sha256, digest, 32);
}

// Erases what held a secret, which the compiler may not leave out.
static inline void haechi_tpm_erase(void *bytes, size_t count) { explicit_bzero(bytes, count); }

static inline void haechi_tpm_take_secret(TPM2B_SENSITIVE_CREATE *sensitive, const void *bytes, UINT16 count) {
  memset(sensitive, 0, sizeof *sensitive);
  sensitive->sensitive.data.size = count;
  memcpy(sensitive->sensitive.data.buffer, bytes, count);
}
