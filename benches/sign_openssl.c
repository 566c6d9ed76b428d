/*
 * The same, as a firmware would do it with OpenSSL: one buffer, one call. It does not check arguments or wipe memory.
 */

#include "sign.h"

#include "bench.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

void sign(enum method method, uint64_t timestamp_ms, char out[65])
{
    char content[256];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length;
    int used = snprintf(content, sizeof content,
                        "clientId" CLIENT_ID "deviceKey" DEVICE_KEY "productKey" PRODUCT_KEY "timestamp%" PRIu64 SECRET,
                        timestamp_ms);

    if (method == HMAC_SHA1)
        need(HMAC(EVP_sha1(), SECRET, (int)strlen(SECRET), (unsigned char *)content, (size_t)used, digest, &length) !=
                 NULL,
             "HMAC");
    else
        need(EVP_Digest(content, (size_t)used, digest, &length, EVP_sha256(), NULL), "EVP_Digest");
    for (unsigned int i = 0; i < length; i++) {
        out[2 * i] = "0123456789ABCDEF"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789ABCDEF"[digest[i] & 15];
    }
    out[2 * length] = '\0';
}
