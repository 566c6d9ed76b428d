/* The JSON reader of the examples: its results, and that it never reads past the end. */
#define _GNU_SOURCE

#include "../../c_examples/json.h"
#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

static char *page_end; /* memory from here on is not readable */

/* Copies the text, without a NUL, to the end of the readable memory. */
static const char *at_the_end(const char *text, size_t len)
{
    return memcpy(page_end - len, text, len);
}

static int member_is(const char *json, const char *name, const char *expected)
{
    const char *value = NULL;
    size_t len = json_member(at_the_end(json, strlen(json)), strlen(json), name, &value);

    return expected == NULL ? len == 0 : len == strlen(expected) && memcmp(value, expected, len) == 0;
}

static int element_is(const char *json, size_t place, const char *expected)
{
    const char *value = NULL;
    size_t len = json_element(at_the_end(json, strlen(json)), strlen(json), place, &value);

    return expected == NULL ? len == 0 : len == strlen(expected) && memcmp(value, expected, len) == 0;
}

static int text_is(const char *json, const char *expected)
{
    char out[8];
    int found = json_text(at_the_end(json, strlen(json)), strlen(json), "id", out, sizeof out);

    return expected == NULL ? !found : found && strcmp(out, expected) == 0;
}

int main(void)
{
    static const char command[] =
        " {\"a\\\"}\":[1,{\"id\":2}] ,\n\"id\" : \"7\",\"params\":{\"x\":\"}\",\"y\":[[]]} } ";
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int whole = 1;

    if (pages == MAP_FAILED || mprotect(pages + page, (size_t)page, PROT_NONE) != 0)
        return 1;
    page_end = pages + page;

    CHECK(member_is(command, "id", "\"7\""));
    CHECK(member_is(command, "params", "{\"x\":\"}\",\"y\":[[]]}"));
    CHECK(member_is(command, "x", NULL));
    CHECK(member_is("{\"n\": -1.5e3 }", "n", "-1.5e3"));
    CHECK(member_is("{\"n\":true}", "n", "true"));
    CHECK(member_is("", "n", NULL) && member_is("{", "n", NULL) && member_is("[1]", "n", NULL));
    CHECK(member_is("{}", "n", NULL) && member_is("{\"n\"}", "n", NULL) && member_is("{\"n\":}", "n", NULL));
    CHECK(element_is(" [ \"a\" ,[1,2], {\"b\":3} ]", 0, "\"a\"") && element_is("[1,[2,3],4]", 1, "[2,3]"));
    CHECK(element_is("[1, 2 ]", 1, "2") && element_is("[1,2]", 2, NULL) && element_is("[]", 0, NULL));
    CHECK(element_is("", 0, NULL) && element_is("[", 0, NULL) && element_is("[1", 0, NULL) &&
          element_is("{}", 0, NULL));
    CHECK(text_is(command, "7") && text_is("{\"id\":42}", "42") && text_is("{\"id\":\"1234567\"}", "1234567"));
    CHECK(text_is("{\"id\":\"12345678\"}", NULL)); /* does not fit */
    CHECK(text_is("{\"id\":null}", NULL) && text_is("{\"id\":[1]}", NULL) && text_is("{\"id\":\"\\u0031\"}", NULL));
    for (size_t len = 0; len < sizeof command - 1; len++) {
        char out[8];
        const char *value, *text = at_the_end(command, len);
        int complete = json_member(text, len, "params", &value) > 0;
        whole &= complete == (len > (size_t)(strrchr(command, '}') - command)); /* up to the outermost bracket */
        json_text(text, len, "id", out, sizeof out);
    }
    CHECK(whole);
    return checked();
}
