/*
 * Signing alone, for a firmware that has its own MQTT stack: the fields of its CONNECT, by each of the three methods. A
 * product accepts one of them; which one depends on the EnOS version (see the README).
 *
 *     ENOS_SECRET=... 01_sign device|product PRODUCT_KEY DEVICE_KEY [CLIENT_ID [TIMESTAMP_MS]]
 *
 * device: the secret is the device secret. product: it is the product secret, and the cloud answers with the
 * activation. The secret comes from the environment because every user of a machine can read command lines. Treat the
 * output like the secret: a firmware wipes it after CONNECT.
 */
#include <enos.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int show(const char *title, const enos_sign_params *params)
{
    char client_id[512], username[1024], password[65]; /* the longest keys fit */
    size_t len;

    if (enos_sign_client_id(params, client_id, sizeof client_id, &len) != ENOS_OK ||
        enos_sign_username(params, username, sizeof username, &len) != ENOS_OK ||
        enos_sign_password(params, password, sizeof password, &len) != ENOS_OK) {
        fprintf(stderr, "01_sign: %s\n", enos_last_error());
        return 1;
    }
    printf("%s\n  client id  %s\n  user name  %s\n  password   %s\n", title, client_id, username, password);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        int32_t method;
        const char *title;
    } methods[] = {
        {ENOS_SIGN_HMACSHA1, "HMACSHA1: HMAC-SHA1, the EnOS document as written"},
        {ENOS_SIGN_SHA1, "SHA1: plain SHA-1 under the same label, what Envision's own SDKs send"},
        {ENOS_SIGN_SHA256, "SHA256: plain SHA-256, EnOS 2.1 and later"},
    };
    const char *secret = getenv("ENOS_SECRET");
    char *rest = "";
    uint64_t timestamp_ms = argc == 6 ? strtoumax(argv[5], &rest, 10) : (uint64_t)time(NULL) * 1000;
    enos_sign_params params;

    if (argc < 4 || argc > 6 || *rest != '\0' || secret == NULL ||
        (strcmp(argv[1], "device") != 0 && strcmp(argv[1], "product") != 0)) {
        fprintf(stderr, "ENOS_SECRET=... %s device|product PRODUCT_KEY DEVICE_KEY [CLIENT_ID [TIMESTAMP_MS]]\n",
                argv[0]);
        return 2;
    }
    ENOS_INIT(&params);
    params.secure_mode = argv[1][0] == 'd' ? ENOS_SECURE_MODE_DEVICE : ENOS_SECURE_MODE_PRODUCT;
    params.product_key = argv[2];
    params.device_key = argv[3];
    params.client_id = argc > 4 ? argv[4] : NULL; /* NULL: the device key */
    params.timestamp_ms = timestamp_ms;
    params.secret = secret;
    params.secret_len = ENOS_NUL_TERMINATED;

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        params.sign_method = methods[i].method;
        if (show(methods[i].title, &params) != 0)
            return 1;
    }
    return 0;
}
