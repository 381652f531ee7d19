/* What the test programs share. C99 and C++. */
#ifndef KAFFIC_TEST_H
#define KAFFIC_TEST_H

#include <kaffic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                                            \
    do {                                                                                                       \
        if (!(what)) {                                                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                 \
            abort();                                                                                           \
        }                                                                                                      \
    } while (0)

/* Runs a call that has to succeed; `error` is the name of its last argument. */
#define OK(call)                                                                                               \
    do {                                                                                                       \
        kaffic_error_t *error = NULL;                                                                          \
        if ((call) != KAFFIC_OK) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n  %s: %s\n", __FILE__, __LINE__, #call,                                \
                    kaffic_status_name(kaffic_error_status(error)), kaffic_error_message(error));              \
            abort();                                                                                           \
        }                                                                                                      \
        CHECK(error == NULL);                                                                                  \
    } while (0)

/* Runs a call that has to fail with `status` and a message that has `part` in it. */
#define FAILS(expected, part, call)                                                                            \
    do {                                                                                                       \
        kaffic_error_t *error = NULL;                                                                          \
        kaffic_status_t came = (call);                                                                         \
        if (came != (expected) || strstr(kaffic_error_message(error), (part)) == NULL) {                       \
            fprintf(stderr, "%s:%d: %s\n  %d: %s\n", __FILE__, __LINE__, #call, (int)came,                     \
                    kaffic_error_message(error));                                                              \
            abort();                                                                                           \
        }                                                                                                      \
        CHECK(kaffic_error_status(error) == came);                                                             \
        kaffic_error_free(error);                                                                              \
    } while (0)

static inline kaffic_bytes_t bytes_of(const char *text) {
    kaffic_bytes_t bytes = {NULL, 0};
    if (text != NULL) {
        bytes.data = (const uint8_t *)text;
        bytes.len = strlen(text);
    }
    return bytes;
}

static inline kaffic_record_t record_of(const char *key, const char *value) {
    kaffic_record_t record;
    memset(&record, 0, sizeof record);
    record.key = bytes_of(key);
    record.value = bytes_of(value);
    return record;
}

static inline int same_bytes(kaffic_bytes_t bytes, const char *text) {
    if (text == NULL) {
        return bytes.data == NULL;
    }
    return bytes.data != NULL && bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

/* A new prefix of the store that KAFFIC_TEST_URL names. */
static inline void test_url(char *url, size_t size, const char *name) {
    const char *base = getenv("KAFFIC_TEST_URL");
    CHECK(base != NULL);
    snprintf(url, size, "%s/%s", base, name);
}

/* The options in KAFFIC_TEST_OPTIONS: key=value,key=value. */
static inline kaffic_config_t *test_options(void) {
    kaffic_config_t *config = kaffic_config_new();
    const char *options = getenv("KAFFIC_TEST_OPTIONS");
    char *copy = (char *)malloc(options == NULL ? 1 : strlen(options) + 1);
    char *at, *next, *value;
    strcpy(copy, options == NULL ? "" : options);
    for (at = copy; *at != '\0'; at = next) {
        next = at + strcspn(at, ",");
        if (*next != '\0') {
            *next++ = '\0';
        }
        value = strchr(at, '=');
        CHECK(value != NULL);
        *value++ = '\0';
        OK(kaffic_config_set(config, at, value, &error));
    }
    free(copy);
    return config;
}

static inline kaffic_client_t *test_client(const char *name) {
    char url[1024];
    kaffic_client_t *client = NULL;
    kaffic_config_t *options = test_options();
    test_url(url, sizeof url, name);
    OK(kaffic_client_new(url, options, &client, &error));
    kaffic_config_free(options);
    return client;
}

/* Settings from name, value, …, NULL. */
static inline kaffic_config_t *settings(const char *const *pairs) {
    kaffic_config_t *config = kaffic_config_new();
    for (; *pairs != NULL; pairs += 2) {
        OK(kaffic_config_set(config, pairs[0], pairs[1], &error));
    }
    return config;
}

#endif
