/* Reading and building JSON: what each call does, in every locale, and that nothing is read beyond a value. */
#define _GNU_SOURCE

#include "check.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char *page_end; /* nothing can be read from here on */

/* A value of these bytes, which nobody has checked, up to the end of what can be read. */
static enos_value raw(const char *text, size_t len)
{
    enos_value value;

    value.text = memcpy(page_end - len, text, len);
    value.len = len;
    return value;
}

static enos_value parsed(const char *text)
{
    enos_value value = {NULL, 0};

    CHECK_STATUS(enos_value_parse(text, ENOS_NUL_TERMINATED, &value), ENOS_OK);
    return value;
}

static int is(enos_value value, const char *expected)
{
    return expected == NULL ? value.text == NULL && value.len == 0
                            : value.len == strlen(expected) && memcmp(value.text, expected, value.len) == 0;
}

static void reads(void)
{
    enos_value all =
        parsed(" {\"a\":{\"b/c\":[1,true,null,\"x\\u00e9\\u0000y\"]},\"n\":-0.5e1,\"big\":9007199254740993} ");
    enos_value list = enos_value_at(all, "/a/b~1c"), key, value, text = enos_value_at(list, "/3"), nothing = {NULL, 0};
    int64_t number = 7;
    uint64_t whole = 7;
    double real = 7;
    int32_t flag = 7;
    size_t cursor = 0, len = 0;
    char buffer[8];

    CHECK(enos_value_type(all) == ENOS_VALUE_OBJECT && enos_value_count(all) == 3);
    CHECK(is(enos_value_at(all, "/n"), "-0.5e1") && enos_value_at(all, "").len == all.len);
    CHECK(is(enos_value_at(enos_value_at(all, "/x/y"), "/z"), NULL) && is(enos_value_at(all, NULL), NULL));
    CHECK(enos_value_type(enos_value_at(all, "/x")) == ENOS_VALUE_NONE &&
          enos_value_type(raw("?", 1)) == ENOS_ERR_PARSE);

    CHECK_STATUS(enos_value_int(enos_value_at(all, "/n"), &number), ENOS_OK);
    CHECK(number == -5);
    CHECK_STATUS(enos_value_int(enos_value_at(all, "/big"), &number), ENOS_OK);
    CHECK(number == 9007199254740993);
    CHECK_STATUS(enos_value_uint(enos_value_at(all, "/n"), &whole), ENOS_ERR_TOO_LARGE);
    CHECK_STATUS(enos_value_int(enos_value_at(all, "/x"), &number), ENOS_ERR_NOT_FOUND);
    CHECK_STATUS(enos_value_int(enos_value_at(list, "/1"), &number), ENOS_ERR_INVALID_ARG);
    CHECK_STATUS(enos_value_int(raw("1.", 2), &number), ENOS_ERR_PARSE);
    CHECK_STATUS(enos_value_int(nothing, NULL), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_value_int(raw("9223372036854775808", 19), &number), ENOS_ERR_TOO_LARGE);
    CHECK_STATUS(enos_value_uint(raw("18446744073709551615", 20), &whole), ENOS_OK);
    CHECK(whole == UINT64_MAX && number == 9007199254740993);
    CHECK_STATUS(enos_value_double(enos_value_at(all, "/n"), &real), ENOS_OK);
    CHECK(real == -5.0);
    CHECK_STATUS(enos_value_double(raw("1e400", 5), &real), ENOS_ERR_TOO_LARGE);
    CHECK_STATUS(enos_value_bool(enos_value_at(list, "/1"), &flag), ENOS_OK);
    CHECK(flag == 1 && real == -5.0);

    CHECK_STATUS(enos_value_text(text, buffer, 5, &len), ENOS_ERR_BUFFER_TOO_SMALL);
    CHECK(len == 6 && buffer[0] == '\0');
    CHECK_STATUS(enos_value_text(text, NULL, 0, &len), ENOS_ERR_BUFFER_TOO_SMALL);
    CHECK_STATUS(enos_value_text(text, buffer, 6, &len), ENOS_OK);
    CHECK(len == 5 && memcmp(buffer, "x\xC3\xA9\0y", 6) == 0);
    CHECK(enos_value_equals(text, "x\xC3\xA9\0y", 5) == 1 &&
          enos_value_equals(text, "x\xC3\xA9", ENOS_NUL_TERMINATED) == 0);
    CHECK_STATUS(enos_value_text(raw("\"\\ud800\"", 8), buffer, sizeof buffer, &len), ENOS_ERR_PARSE);

    CHECK(enos_value_next(list, &cursor, &key, &value) == 1 && is(value, "1") && is(key, NULL));
    CHECK(enos_value_next(list, &cursor, NULL, &value) == 1 && is(value, "true"));
    CHECK(enos_value_next(list, &cursor, NULL, &value) == 1 && enos_value_next(list, &cursor, NULL, &value) == 1);
    CHECK(enos_value_next(list, &cursor, &key, &value) == 0 && enos_value_next(list, &cursor, &key, &value) == 0);
    cursor = 0;
    CHECK(enos_value_next(all, &cursor, &key, &value) == 1 && enos_value_equals(key, "a", 1) == 1);
    cursor = 0;
    CHECK(enos_value_next(text, &cursor, &key, &value) == ENOS_ERR_INVALID_ARG);
    CHECK(enos_value_next(nothing, &cursor, &key, &value) == ENOS_ERR_NOT_FOUND);
    CHECK(enos_value_count(raw("[1,]", 4)) == ENOS_ERR_PARSE);

    CHECK_STATUS(enos_value_parse("{\"a\":1} {}", ENOS_NUL_TERMINATED, &value), ENOS_ERR_PARSE);
    CHECK_STATUS(enos_value_parse("{\"a\":1,\"a\":2}", ENOS_NUL_TERMINATED, &value), ENOS_ERR_PARSE);
    CHECK_STATUS(enos_value_parse("[1e999]", ENOS_NUL_TERMINATED, &value), ENOS_ERR_PARSE);
    CHECK_STATUS(enos_value_parse(NULL, 1, &value), ENOS_ERR_NULL_ARG);
    value = raw("1", 1);
    value.len = ENOS_NUL_TERMINATED;
    CHECK_STATUS(enos_value_int(value, &number), ENOS_ERR_INVALID_ARG);
    CHECK(enos_value_type(value) == ENOS_VALUE_NONE && enos_value_count(value) == ENOS_ERR_INVALID_ARG);
}

/* Each reader on every beginning of a text, with the end of memory behind it. */
static void reads_nothing_beyond(void)
{
    static const char text[] =
        "{\"a\\\"}\":[1e5,{\"id\":-2}] ,\"\\ud83d\\ude00\":\"x\\\\\",\"t\":[true,false,null,[[]],{}]}";
    int total = 0;

    for (size_t len = 0; len <= sizeof text - 1; len++) {
        enos_value value = raw(text, len), key, item;
        size_t cursor = 0, text_len;
        int64_t number;
        double real;
        int32_t flag;

        while (enos_value_next(value, &cursor, &key, &item) == 1) {
            total += enos_value_equals(key, "a\"}", 3) + (enos_value_text(key, NULL, 0, &text_len) != ENOS_OK);
            total += enos_value_int(item, &number) == ENOS_OK;
        }
        total += enos_value_count(value) > 0;
        total += enos_value_at(value, "/a\"}/1/id").text != NULL;
        enos_value_double(value, &real);
        enos_value_bool(value, &flag);
        enos_value_type(value);
    }
    CHECK(total > 0);
}

static int builds(enos_json *json, const char *expected)
{
    const char *text = NULL;
    size_t len = 0;
    int same = enos_json_result(json, &text, &len) == ENOS_OK && len == strlen(expected) && strcmp(text, expected) == 0;

    if (!same)
        printf("# %s instead of %s\n", text ? text : enos_last_error(), expected);
    enos_json_clear(json);
    return same;
}

static int fails(enos_json *json, enos_status expected, const char *words)
{
    const char *text = NULL;
    enos_status status = enos_json_result(json, &text, NULL);
    int same = status == expected && text == NULL && strstr(enos_last_error(), words) != NULL;

    if (!same)
        printf("# %d, %s\n", (int)status, enos_last_error());
    enos_json_clear(json);
    return same;
}

static void writes(void)
{
    enos_json *json = NULL;
    enos_value part = {NULL, 0};

    CHECK_STATUS(enos_json_new(&json), ENOS_OK);
    enos_json_begin_measurepoints(json, 1700000000000);
    enos_json_float(json, "t", 21.1f);
    enos_json_double(json, "p", 3.14);
    enos_json_begin_point(json, "v", 9);
    enos_json_int(json, NULL, INT64_MIN);
    enos_json_end(json);
    enos_json_uint(json, "c", UINT64_MAX);
    enos_json_end(json);
    CHECK(builds(json, "{\"measurepoints\":{\"t\":21.1,\"p\":3.14,\"v\":{\"value\":-9223372036854775808,\"quality\":9},"
                       "\"c\":18446744073709551615},\"time\":1700000000000}"));
    enos_json_begin_array(json, NULL);
    enos_json_text(json, NULL, "a\"\n\0\x7F", 5);
    enos_json_text_lossy(json, NULL,
                         "\xB0"
                         "C",
                         ENOS_NUL_TERMINATED);
    enos_json_bool(json, NULL, 2);
    enos_json_null(json, NULL);
    enos_json_raw(json, NULL, " [1] ", ENOS_NUL_TERMINATED);
    part = parsed("{\"x\":{\"y\":1}}");
    enos_json_value(json, NULL, enos_value_at(part, "/x"));
    enos_json_begin_object(json, NULL);
    enos_json_end(json);
    enos_json_double(json, NULL, DBL_MAX);
    enos_json_end(json);
    CHECK(enos_json_size(json) > 0 && enos_json_left_out(json) == 0);
    CHECK(builds(json, "[\"a\\\"\\n\\u0000\x7F\",\"\xEF\xBF\xBD"
                       "C\",true,null,[1],{\"y\":1},{},1.7976931348623157e308]"));

    enos_json_begin_measurepoints(json, ENOS_NO_TIME);
    enos_json_double(json, "broken", NAN);
    enos_json_int(json, "later", 1);
    CHECK(fails(json, ENOS_ERR_INVALID_ARG, "\"broken\""));
    enos_json_set_nonfinite(json, ENOS_NONFINITE_LEAVE_OUT);
    enos_json_begin_measurepoints(json, ENOS_NO_TIME);
    enos_json_float(json, "broken", -INFINITY);
    enos_json_begin_point(json, "too", -1);
    enos_json_double(json, NULL, NAN);
    enos_json_end(json);
    enos_json_int(json, "fine", 1);
    enos_json_end(json);
    CHECK(enos_json_left_out(json) == 2);
    CHECK(builds(json, "{\"measurepoints\":{\"fine\":1}}"));

    enos_json_begin_object(json, NULL);
    enos_json_text(json, "meter", "ab\xFF", 3);
    CHECK(fails(json, ENOS_ERR_INVALID_ARG, "\"meter\": its byte 2"));
    enos_json_begin_object(json, NULL);
    enos_json_int(json, "\xFF", 1);
    CHECK(fails(json, ENOS_ERR_INVALID_ARG, "key is not UTF-8"));
    enos_json_begin_object(json, NULL);
    CHECK(fails(json, ENOS_ERR_STATE, "open"));
    enos_json_raw(json, NULL, "{\"a\":1,}", ENOS_NUL_TERMINATED);
    CHECK(fails(json, ENOS_ERR_PARSE, "is not JSON"));
    enos_json_value(json, NULL, enos_value_at(part, "/nowhere"));
    CHECK(fails(json, ENOS_ERR_NOT_FOUND, "missing"));
    enos_json_set_nonfinite(json, 9);
    CHECK(fails(json, ENOS_ERR_INVALID_ARG, "enos_nonfinite"));
    for (int i = 0; i < 65; i++)
        enos_json_begin_array(json, NULL);
    CHECK(fails(json, ENOS_ERR_TOO_LARGE, "64 levels"));
    CHECK(fails(json, ENOS_ERR_STATE, "nothing was put"));
    enos_json_free(json);
    enos_json_free(NULL);
    enos_json_int(NULL, "k", 1);
    CHECK(enos_json_size(NULL) == 0 && enos_json_left_out(NULL) == 0);
    CHECK_STATUS(enos_json_result(NULL, NULL, NULL), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_json_new(NULL), ENOS_ERR_NULL_ARG);
}

/* Its arguments are the locales to try beside "C". */
int main(int argc, char **argv)
{
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED || mprotect(pages + page, (size_t)page, PROT_NONE) != 0)
        return 1;
    page_end = pages + page;
    for (int i = 0; i < argc; i++) {
        CHECK(setlocale(LC_ALL, i == 0 ? "C" : argv[i]) != NULL);
        reads();
        writes();
    }
    reads_nothing_beyond();
    return checked();
}
