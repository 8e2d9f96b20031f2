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

/// Of a passphrase with 256 random bits: its derivation need not be slow, and takes no memory.
static const uint32_t haechi_luks_slot_iterations = 1000;

/// Makes key slot `slot`, in which `passphrase` encrypts `key`, by AES-256-XTS whatever the volume's own cipher is: every PC has it.
static inline int haechi_luks_add_slot(
  struct crypt_device *device, int slot, const char *key, size_t key_bytes, const char *passphrase, size_t passphrase_bytes) {
  struct crypt_pbkdf_type derivation = {
    .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = haechi_luks_slot_iterations, .flags = CRYPT_PBKDF_NO_BENCHMARK};
  int result = crypt_set_pbkdf_type(device, &derivation);
  if (result == 0) result = crypt_keyslot_set_encryption(device, "aes-xts-plain64", 64);
  return result < 0 ? result : crypt_keyslot_add_by_volume_key(device, slot, key, key_bytes, passphrase, passphrase_bytes);
}

/// Whether a key slot is there: 0 or 1; negative where it is one of another kind than for this volume's key.
static inline int haechi_luks_has_slot(struct crypt_device *device, int slot) {
  switch (crypt_keyslot_status(device, slot)) {
    case CRYPT_SLOT_INACTIVE: return 0;
    case CRYPT_SLOT_ACTIVE:
    case CRYPT_SLOT_ACTIVE_LAST: return 1;
    default: return -1;
  }
}

static inline int haechi_luks_slot_count(void) { return crypt_keyslot_max(CRYPT_LUKS2); }
static inline int haechi_luks_slot_is_preferred(struct crypt_device *device, int slot) {
  return crypt_keyslot_get_priority(device, slot) != CRYPT_SLOT_PRIORITY_NORMAL;
}
