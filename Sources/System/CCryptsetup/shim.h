// What Swift cannot say to libcryptsetup: structures that hold C strings, and constants that are casts.
#pragma once
#include <libcryptsetup.h>
#include <stdint.h>

/// A LUKS2 header without key slots. The volume key is random, so its digest needs no slow function: the least iterations, no benchmark, no Argon2.
static inline int haechi_luks_format(
  struct crypt_device *device, const char *cipher, const char *mode, const char *key, size_t key_bytes, uint32_t sector_bytes, const char *label) {
  struct crypt_pbkdf_type derivation = {
    .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK};
  struct crypt_params_luks2 parameters = {.pbkdf = &derivation, .sector_size = sector_bytes, .label = label};
  int result = crypt_set_pbkdf_type(device, &derivation);
  return result < 0 ? result : crypt_format(device, CRYPT_LUKS2, cipher, mode, NULL, key, key_bytes, &parameters);
}

static const uint32_t haechi_luks_deactivate_deferred = CRYPT_DEACTIVATE_DEFERRED;

static inline int haechi_luks_load(struct crypt_device *device) { return crypt_load(device, CRYPT_LUKS2, NULL); }

/// Whether the header asks for anything beyond plain encryption: integrity tags, flags, a reencryption under way. Negative where it cannot be told.
static inline int haechi_luks_has_extras(struct crypt_device *device) {
  uint32_t activation = 0, requirements = 0;
  struct crypt_params_integrity integrity = {0};
  int result = crypt_persistent_flags_get(device, CRYPT_FLAGS_ACTIVATION, &activation);
  if (result == 0) result = crypt_persistent_flags_get(device, CRYPT_FLAGS_REQUIREMENTS, &requirements);
  if (result < 0) return result;
  // It fails where there is no integrity, which is as it should be.
  int has_integrity = crypt_get_integrity_info(device, &integrity) == 0 && integrity.tag_size != 0;
  return activation != 0 || requirements != 0 || has_integrity || crypt_reencrypt_status(device, NULL) != CRYPT_REENCRYPT_NONE;
}
