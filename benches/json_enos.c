/* Building and reading JSON through the ABI. A command is checked as a whole first, as cJSON does it. */

#include "json.h"

#include "bench.h"

#include <enos.h>

const char *build(const char *const *ids, const double *values, int count, size_t *length)
{
    static enos_json *json;
    const char *text;

    if (json == NULL)
        need(enos_json_new(&json) == ENOS_OK, enos_last_error());
    enos_json_clear(json);
    enos_json_begin_measurepoints(json, 1700000000000);
    for (int i = 0; i < count; i++)
        enos_json_double(json, ids[i], values[i]);
    enos_json_end(json);
    need(enos_json_result(json, &text, length) == ENOS_OK, enos_last_error());
    return text;
}

double read_one(const char *command, size_t length, const char *key)
{
    char pointer[64];
    enos_value all;
    double number;

    snprintf(pointer, sizeof pointer, "/params/%s", key);
    need(enos_value_parse(command, length, &all) == ENOS_OK, enos_last_error());
    need(enos_value_double(enos_value_at(all, pointer), &number) == ENOS_OK, enos_last_error());
    return number;
}

double read_all(const char *command, size_t length)
{
    enos_value all, params, key, member;
    size_t cursor = 0;
    double sum = 0, number;

    need(enos_value_parse(command, length, &all) == ENOS_OK, enos_last_error());
    params = enos_value_at(all, "/params");
    while (enos_value_next(params, &cursor, &key, &member) == 1) {
        need(enos_value_double(member, &number) == ENOS_OK, enos_last_error());
        sum += number;
    }
    return sum;
}
