#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

// A macro over a variadic function, which Swift doesn't see.
static inline EVP_PKEY *pvmigrate_new_p256_key(void) {
    return EVP_EC_gen("P-256");
}
