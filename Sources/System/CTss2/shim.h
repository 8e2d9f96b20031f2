// What Swift cannot import of tpm2-tss: macros that compute, and calls through function tables.
#pragma once
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tcti_device.h>

static const ESYS_TR haechi_tpm_no_session = ESYS_TR_NONE;
static const TPM2_CAP haechi_tpm_properties = TPM2_CAP_TPM_PROPERTIES;
static const UINT32 haechi_tpm_manufacturer = TPM2_PT_MANUFACTURER;
static const TPM2_ALG_ID haechi_tpm_sha256 = TPM2_ALG_SHA256;

static inline void haechi_tpm_transport_finalize(TSS2_TCTI_CONTEXT *context) { Tss2_Tcti_Finalize(context); }
