/* The same with cJSON, which prints into a buffer of the caller. */

#include "json.h"

#include "bench.h"

#include <cjson/cJSON.h>
#include <string.h>

const char *build(const char *const *ids, const double *values, int count, size_t *length)
{
    static char text[16384];
    cJSON *post = cJSON_CreateObject(), *points = cJSON_AddObjectToObject(post, "measurepoints");

    for (int i = 0; i < count; i++)
        need(cJSON_AddNumberToObject(points, ids[i], values[i]) != NULL, "no memory");
    cJSON_AddNumberToObject(post, "time", 1700000000000.0);
    need(cJSON_PrintPreallocated(post, text, sizeof text, 0), "the buffer is too small");
    cJSON_Delete(post);
    *length = strlen(text);
    return text;
}

double read_one(const char *command, size_t length, const char *key)
{
    cJSON *all = cJSON_ParseWithLength(command, length);
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(all, "params"), key);
    double number;

    need(cJSON_IsNumber(member), "no number");
    number = member->valuedouble;
    cJSON_Delete(all);
    return number;
}

double read_all(const char *command, size_t length)
{
    cJSON *all = cJSON_ParseWithLength(command, length);
    const cJSON *member;
    double sum = 0;

    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(all, "params"))
    {
        need(cJSON_IsNumber(member), "no number");
        sum += member->valuedouble;
    }
    cJSON_Delete(all);
    return sum;
}
