/* The same, as a firmware would do it with cJSON. It does not wipe memory. */

#include "parse.h"

#include "bench.h"

#include <cjson/cJSON.h>
#include <string.h>

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return value ? value : "";
}

void parse(const char *topic, const char *payload, size_t length, char out[65])
{
    cJSON *message = cJSON_ParseWithLength(payload, length);
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(message, "params");

    need(strcmp(topic, TOPIC) == 0 && strcmp(text(message, "method"), "thing.activate.info") == 0 &&
             strcmp(text(params, "productKey"), PRODUCT_KEY) == 0 &&
             strcmp(text(params, "deviceKey"), DEVICE_KEY) == 0 && text(params, "deviceSecret")[0] != '\0',
         "no activation");
    snprintf(out, 65, "%s", text(params, "deviceSecret"));
    cJSON_Delete(message);
}
