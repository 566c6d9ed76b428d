/* Reading an activation through the ABI. */

#include "parse.h"

#include "bench.h"

#include <enos.h>
#include <string.h>

void parse(const char *topic, const char *payload, size_t length, char out[65])
{
    enos_activation *activation;

    need(enos_activation_parse(PRODUCT_KEY, DEVICE_KEY, topic, ENOS_NUL_TERMINATED, (const uint8_t *)payload, length,
                               &activation) == ENOS_OK,
         enos_last_error());
    snprintf(out, 65, "%s", enos_activation_device_secret(activation));
    enos_activation_free(activation);
}
