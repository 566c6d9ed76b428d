/*
 * The ABI, as a C program uses it. Structs are on the heap with their exact size, so that valgrind finds an access
 * beyond them.
 */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

static const char topic[] = "/ext/session/pk/dk/thing/activate/info";
static const char message[] =
    "{\"id\":7,\"version\":\"1.0\",\"method\":\"thing.activate.info\",\"params\":{\"assetId\":\"a1\","
    "\"productKey\":\"pk\",\"deviceKey\":\"dk\",\"deviceSecret\":\"hush\"}}";

/* A copy of `size` bytes, of which the first are those of the struct. */
static void *resized(const void *it, size_t known, size_t size)
{
    char *copy = (char *)calloc(1, size);

    memcpy(copy, it, known < size ? known : size);
    memcpy(copy, &size, sizeof size);
    return copy;
}

static void version(void)
{
    char expected[32];

    snprintf(expected, sizeof expected, "%d.%d.%d", ENOS_VERSION_MAJOR, ENOS_VERSION_MINOR, ENOS_VERSION_PATCH);
    CHECK(strcmp(enos_version(), expected) == 0);
    CHECK(enos_abi_version() == ENOS_ABI_VERSION);
    CHECK((enos_features() & ENOS_FEATURE_DURABLE) != 0);
    CHECK(strcmp(enos_strerror(ENOS_OK), "success") == 0);
    CHECK(strcmp(enos_strerror(12345), "unknown status") == 0);
}

static void sign(void)
{
    enos_sign_params params;
    char out[128];
    size_t len = 0, size;
    void *other;

    /* ENOS_INIT() evaluates its argument once. */
    {
        enos_request messages[2];
        size_t n = 0;

        memset(messages, 0xA5, sizeof messages);
        ENOS_INIT(&messages[n++]);
        CHECK(n == 1 && messages[0].struct_size == sizeof messages[0] && messages[0].name == NULL);
        CHECK(messages[1].struct_size != sizeof messages[1]);
    }
    ENOS_INIT(&params);
    params.client_id = "123";
    params.product_key = "123";
    params.device_key = "test";
    params.secret = "deviceSecretxxx";
    params.secret_len = ENOS_NUL_TERMINATED;
    params.secure_mode = ENOS_SECURE_MODE_DEVICE;
    params.sign_method = ENOS_SIGN_SHA1;
    params.timestamp_ms = 1524448722000u;
    CHECK_STATUS(enos_sign_password(&params, out, sizeof out, &len), ENOS_OK);
    CHECK(strcmp(out, "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08") == 0 && len == 40);
    CHECK_STATUS(enos_sign_client_id(&params, out, sizeof out, &len), ENOS_OK);
    CHECK(strcmp(out, "123|securemode=2,signmethod=hmacsha1,timestamp=1524448722000|") == 0);
    CHECK_STATUS(enos_sign_username(&params, out, sizeof out, &len), ENOS_OK);
    CHECK(strcmp(out, "test&123") == 0 && len == 8);

    CHECK_STATUS(enos_sign_username(&params, NULL, 0, &len), ENOS_ERR_BUFFER_TOO_SMALL);
    CHECK(len == 9);
    CHECK_STATUS(enos_sign_username(&params, out, 8, &len), ENOS_ERR_BUFFER_TOO_SMALL);
    CHECK(out[0] == '\0' && len == 9);

    /* A caller that was compiled with a later header, and does or does not set the new fields. */
    other = resized(&params, sizeof params, sizeof params + 24);
    CHECK_STATUS(enos_sign_username((enos_sign_params *)other, out, sizeof out, &len), ENOS_OK);
    ((char *)other)[sizeof params + 23] = 1;
    CHECK_STATUS(enos_sign_username((enos_sign_params *)other, out, sizeof out, &len), ENOS_ERR_STRUCT_SIZE);
    free(other);
    /* Invalid sizes: nothing beyond them is read. */
    for (size = sizeof size; size < sizeof params; size += sizeof size) {
        other = resized(&params, sizeof params, size);
        CHECK_STATUS(enos_sign_username((enos_sign_params *)other, out, sizeof out, &len), ENOS_ERR_STRUCT_SIZE);
        free(other);
    }
    params.struct_size = (size_t)-1;
    CHECK_STATUS(enos_sign_username(&params, out, sizeof out, &len), ENOS_ERR_STRUCT_SIZE);
}

static void activation(void)
{
    enos_activation *it = NULL;
    char reply_topic[64], reply[64], *payload;
    size_t topic_len = 0, reply_len = 0, len = sizeof message - 1;

    /* Neither text is terminated here. */
    payload = (char *)malloc(len);
    memcpy(payload, message, len);
    CHECK_STATUS(enos_activation_parse("pk", "dk", topic, sizeof topic - 1, (const uint8_t *)payload, len, &it),
                 ENOS_OK);
    free(payload);
    CHECK(strcmp(enos_activation_product_key(it), "pk") == 0);
    CHECK(strcmp(enos_activation_device_key(it), "dk") == 0);
    CHECK(strcmp(enos_activation_device_secret(it), "hush") == 0);
    CHECK(strcmp(enos_activation_asset_id(it), "a1") == 0);
    CHECK_STATUS(
        enos_activation_reply(it, reply_topic, sizeof reply_topic, &topic_len, reply, sizeof reply, &reply_len),
        ENOS_OK);
    CHECK(strcmp(reply_topic, "/ext/session/pk/dk/thing/activate/info_reply") == 0);
    CHECK(strcmp(reply, "{\"id\":7,\"code\":200}") == 0 && reply_len == strlen(reply));
    enos_activation_free(it);

    it = NULL;
    CHECK_STATUS(enos_activation_parse("pk", "other", topic, ENOS_NUL_TERMINATED, (const uint8_t *)message,
                                       ENOS_NUL_TERMINATED, &it),
                 ENOS_ERR_IDENTITY_MISMATCH);
    CHECK(it == NULL);
    /* The result of a failed read() is not a length. */
    CHECK_STATUS(
        enos_activation_parse("pk", "dk", topic, ENOS_NUL_TERMINATED, (const uint8_t *)message, (size_t)-1, &it),
        ENOS_ERR_INVALID_ARG);
    CHECK(enos_activation_device_secret(NULL) == NULL);
    enos_activation_free(NULL);
}

static void firmware(void)
{
    const char *json =
        "{\"version\":\"2\",\"fileUrl\":\"/f\",\"signMethod\":\"md5\",\"sign\":\"0a\",\"fileSize\":5368709120}";
    enos_value value = {json, strlen(json)}, missing = {NULL, 0};
    enos_firmware *it = NULL, *copy = NULL;

    CHECK_STATUS(enos_firmware_parse(value, 7, &it), ENOS_OK);
    CHECK_STATUS(enos_firmware_copy(it, &copy), ENOS_OK);
    enos_firmware_free(it);
    CHECK(strcmp(enos_firmware_version(copy), "2") == 0 && strcmp(enos_firmware_url(copy), "/f") == 0);
    CHECK(strcmp(enos_firmware_sign_method(copy), "md5") == 0 && strcmp(enos_firmware_sign(copy), "0a") == 0);
    CHECK(enos_firmware_size(copy) == UINT64_C(5368709120) && enos_firmware_subdevice(copy) == 7);
    CHECK(enos_firmware_get_state(copy) == ENOS_FIRMWARE_OFFERED);
    CHECK(strcmp(enos_firmware_state_name(ENOS_FIRMWARE_FAILED), "FAILED") == 0);
    CHECK(strcmp(enos_firmware_state_name(0), "UNKNOWN") == 0);

    it = NULL;
    CHECK_STATUS(enos_firmware_parse(missing, 0, &it), ENOS_ERR_NOT_FOUND);
    value.len--;
    CHECK_STATUS(enos_firmware_parse(value, 0, &it), ENOS_ERR_PARSE);
    CHECK_STATUS(enos_firmware_parse(value, 0, NULL), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_firmware_copy(NULL, &it), ENOS_ERR_NULL_ARG);
    CHECK(it == NULL && enos_firmware_version(NULL) == NULL && enos_firmware_url(NULL) == NULL);
    CHECK(enos_firmware_sign_method(NULL) == NULL && enos_firmware_sign(NULL) == NULL);
    CHECK(enos_firmware_size(NULL) == 0 && enos_firmware_subdevice(NULL) == 0 && enos_firmware_get_state(NULL) == 0);
    CHECK_STATUS(enos_ota_report(NULL, copy, 1, NULL, NULL), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_ota_installed(NULL, copy), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_config_set_firmware_version(NULL, "1"), ENOS_ERR_NULL_ARG);
    enos_firmware_free(copy);
    enos_firmware_free(NULL);
}

static void *in_a_thread(void *unused)
{
    CHECK(enos_last_error()[0] == '\0');
    CHECK_STATUS(enos_config_new(NULL), ENOS_ERR_NULL_ARG);
    return unused;
}

static void last_error(void)
{
    pthread_t thread;

    CHECK_STATUS(enos_client_loop(NULL, 0), ENOS_ERR_NULL_ARG);
    CHECK(strcmp(enos_last_error(), "client is NULL") == 0);
    pthread_create(&thread, NULL, in_a_thread, NULL);
    pthread_join(thread, NULL);
    CHECK(strcmp(enos_last_error(), "client is NULL") == 0);
    CHECK_STATUS(enos_client_destroy(NULL), ENOS_OK);
}

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    (void)ctx, (void)key, (void)buf, (void)cap, (void)out_len;
    return ENOS_STORAGE_NOT_FOUND;
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    (void)ctx, (void)key, (void)data, (void)len;
    return -1;
}

static int32_t erase(void *ctx, const char *key)
{
    (void)ctx, (void)key;
    return ENOS_STORAGE_OK;
}

static void release(void *ctx)
{
    int *released = (int *)ctx;

    *released += 1;
    CHECK_STATUS(enos_config_new(NULL), ENOS_ERR_IN_CALLBACK);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client, (void)event;
}

static void client(void)
{
    enos_storage storage;
    enos_config *config = NULL;
    enos_client *it = NULL;
    struct pollfd fd;
    uint64_t token = 77;
    int released = 0;
    void *other;

    ENOS_INIT(&storage);
    storage.ctx = &released;
    storage.load = load;
    storage.store = store;
    storage.erase = erase;
    storage.release = release;
    CHECK_STATUS(enos_config_new(&config), ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &it), ENOS_ERR_INVALID_ARG);
    CHECK_STATUS(enos_config_set_server(config, "tcp://[::1]:1883"), ENOS_OK);
    CHECK_STATUS(enos_config_set_server(config, "ssl://localhost"),
                 enos_features() & ENOS_FEATURE_TLS ? ENOS_OK : ENOS_ERR_UNSUPPORTED);
    CHECK_STATUS(enos_config_set_server(config, "tcp://[::1]:1883"), ENOS_OK);
    CHECK_STATUS(enos_config_set_identity(config, "pk", "d\xFFk"), ENOS_ERR_INVALID_ARG);
    CHECK_STATUS(enos_config_set_identity(config, "pk", "dk"), ENOS_OK);
    CHECK_STATUS(enos_config_set_product_secret(config, "hush", 4), ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &it), ENOS_ERR_INVALID_ARG);
    other = resized(&storage, sizeof storage, sizeof storage - sizeof storage.release);
    CHECK_STATUS(enos_config_set_storage(config, (enos_storage *)other), ENOS_ERR_STRUCT_SIZE);
    free(other);
    other = resized(&storage, sizeof storage, sizeof storage + 8);
    CHECK_STATUS(enos_config_set_storage(config, (enos_storage *)other), ENOS_OK);
    free(other);
    CHECK_STATUS(enos_config_set_event_cb(config, on_event, NULL), ENOS_OK);
    CHECK(it == NULL);
    CHECK_STATUS(enos_client_create(config, &it), ENOS_OK);
    enos_config_free(config);

    CHECK(enos_client_state(it) == ENOS_STATE_IDLE);
    CHECK(strcmp(enos_state_name(enos_client_state(it)), "IDLE") == 0);
    fd.fd = enos_client_fd(it);
    fd.events = POLLIN;
    CHECK(fd.fd >= 0 && poll(&fd, 1, 0) >= 0 && (fd.revents & (POLLERR | POLLNVAL)) == 0);
    CHECK_STATUS(enos_client_publish(it, "t", NULL, 0, 0, 0, &token), ENOS_ERR_STATE);
    CHECK_STATUS(enos_client_publish(it, "t", NULL, 1, 0, 0, &token), ENOS_ERR_NULL_ARG);
    CHECK_STATUS(enos_client_publish(it, "t", NULL, 0, 1, ENOS_REQUEST_UNTIL_REPLY, &token), ENOS_ERR_INVALID_ARG);
    CHECK(token == 77);
    enos_client_wake(it);
    CHECK_STATUS(enos_client_loop(it, 60000), ENOS_OK);
    CHECK(released == 0);
    CHECK_STATUS(enos_client_destroy(it), ENOS_OK);
    CHECK(released == 1);
}

static void directory(const char *path)
{
    enos_storage storage, second;

    ENOS_INIT(&storage);
    CHECK_STATUS(enos_storage_directory(path, &storage), ENOS_ERR_STORAGE);
    CHECK(strstr(enos_last_error(), "enos_storage_directory_create()") != NULL && storage.load == NULL);
    CHECK_STATUS(enos_storage_directory_create(path, &storage), ENOS_OK);
    CHECK(storage.struct_size == sizeof storage && storage.load && storage.store && storage.erase && storage.release);
    ENOS_INIT(&second);
    CHECK_STATUS(enos_storage_directory(path, &second), ENOS_ERR_STATE);
    CHECK(second.load == NULL);
    storage.release(storage.ctx);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s <directory to create>\n", argv[0]);
        return 2;
    }
    version();
    sign();
    activation();
    firmware();
    last_error();
    client();
    directory(argv[1]);
    return checked();
}
