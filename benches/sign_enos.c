/* Signing through the ABI. */

#include "sign.h"

#include "bench.h"

#include <enos.h>

void sign(enum method method, uint64_t timestamp_ms, char out[65])
{
    enos_sign_params params;
    size_t length;

    ENOS_INIT(&params);
    params.client_id = CLIENT_ID;
    params.device_key = DEVICE_KEY;
    params.product_key = PRODUCT_KEY;
    params.secret = SECRET;
    params.secret_len = ENOS_NUL_TERMINATED;
    params.secure_mode = ENOS_SECURE_MODE_DEVICE;
    params.sign_method = method == HMAC_SHA1 ? ENOS_SIGN_HMACSHA1 : ENOS_SIGN_SHA256;
    params.timestamp_ms = timestamp_ms;
    need(enos_sign_password(&params, out, 65, &length) == ENOS_OK, enos_last_error());
}
