#pragma once
#include <nftables/libnftables.h>

// An anonymous enumerator, which Swift imports with another type than the call that takes it.
static const unsigned haechi_nft_no_lookup = NFT_CTX_INPUT_NO_DNS;
