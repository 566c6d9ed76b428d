/*
 * Shared by the devices of these tests: they end at the first call that fails; a client; a storage that is the
 * library's directory behind a vtable of the test.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <enos.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(call) must((call), #call)

static inline void must(enos_status status, const char *call)
{
    if (status != ENOS_OK) {
        printf("%s: %s: %s\n", call, enos_strerror(status), enos_last_error());
        exit(1);
    }
}

/* The test adds the secret, the storage and the rest. */
static inline enos_config *configure(const char *uri, const char *product_key, const char *device_key,
                                     enos_event_cb on_event)
{
    enos_config *config = NULL;

    MUST(enos_config_new(&config));
    MUST(enos_config_set_server(config, uri));
    MUST(enos_config_set_identity(config, product_key, device_key));
    MUST(enos_config_set_event_cb(config, on_event, NULL));
    return config;
}

static inline enos_client *create(enos_config *config)
{
    enos_client *client = NULL;

    MUST(enos_client_create(config, &client));
    enos_config_free(config);
    return client;
}

static inline void end(enos_client *client)
{
    MUST(enos_client_disconnect(client));
    MUST(enos_client_wait(client, ENOS_STATE_IDLE, 60000));
    MUST(enos_client_destroy(client));
}

static enos_storage directory;

/* Called before and after each storage call; a store is performed only if it returns 0 before. */
enum call { LOAD, STORE, ERASE };
static int32_t (*around)(enum call call, int after, const char *key);

static inline int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    int32_t result;

    (void)ctx;
    around(LOAD, 0, key);
    result = directory.load(directory.ctx, key, buf, cap, out_len);
    around(LOAD, 1, key);
    return result;
}

static inline int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    int32_t result;

    (void)ctx;
    result = around(STORE, 0, key);
    if (result == 0)
        result = directory.store(directory.ctx, key, data, len);
    around(STORE, 1, key);
    return result;
}

static inline int32_t erase(void *ctx, const char *key)
{
    int32_t result;

    (void)ctx;
    around(ERASE, 0, key);
    result = directory.erase(directory.ctx, key);
    around(ERASE, 1, key);
    return result;
}

static inline void release(void *ctx)
{
    (void)ctx;
    directory.release(directory.ctx);
}

static inline void set_directory(enos_config *config, const char *path,
                                 int32_t (*watch)(enum call call, int after, const char *key))
{
    enos_storage storage;

    around = watch;
    ENOS_INIT(&directory);
    MUST(enos_storage_directory_create(path, &directory));
    ENOS_INIT(&storage);
    storage.load = load;
    storage.store = store;
    storage.erase = erase;
    storage.release = release;
    MUST(enos_config_set_storage(config, &storage));
}

#endif
