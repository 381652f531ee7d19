/* Every function of the library, in its use and at its edges. Runs under valgrind and the sanitizers, so it
 * frees everything and ends the library's threads at its end. */
#define _GNU_SOURCE /* renameat2 */
#include "test.h"
#include <fcntl.h>
#include <poll.h>

#define FOREVER (-1)
#define SECOND 1000

static kaffic_client_t *client;

static void versions(void) {
    size_t len = 0, at;
    const kaffic_status_t *codes = kaffic_status_list(&len);
    CHECK(kaffic_version() == KAFFIC_VERSION);
    CHECK(strchr(kaffic_version_string(), '.') != NULL);
    CHECK(kaffic_has_feature("file") && kaffic_has_feature("memory"));
    CHECK(!kaffic_has_feature("ftp") && !kaffic_has_feature(NULL) && !kaffic_has_feature("\xff"));
    CHECK(kaffic_has_feature("s3") && kaffic_has_feature("gs") && kaffic_has_feature("az"));
    CHECK(len > 20 && codes[0] == KAFFIC_OK && kaffic_status_list(NULL) == codes);
    for (at = 0; at < len; at++) {
        CHECK(kaffic_status_name(codes[at]) != NULL && strlen(kaffic_status_meaning(codes[at])) > 4);
        CHECK(at == 0 || codes[at] > codes[at - 1]);
    }
    CHECK(strcmp(kaffic_status_name(KAFFIC_FENCED), "FENCED") == 0);
    CHECK(kaffic_status_name(12345) == NULL && kaffic_status_meaning(-1) == NULL);
}

static void errors(void) {
    kaffic_error_t *error = NULL;
    kaffic_client_t *none = NULL;
    CHECK(kaffic_client_new("ftp://x", NULL, &none, &error) == KAFFIC_INVALID_ARGUMENT);
    CHECK(none == NULL && kaffic_error_status(error) == KAFFIC_INVALID_ARGUMENT);
    CHECK(strstr(kaffic_error_message(error), "ftp") != NULL);
    CHECK(!kaffic_error_retriable(error) && !kaffic_error_outcome_unknown(error));
    CHECK(kaffic_error_tail(error) == KAFFIC_NO_OFFSET && kaffic_error_earliest(error) == KAFFIC_NO_OFFSET);
    kaffic_error_free(error);
    kaffic_error_free(NULL);
    kaffic_string_free(NULL);
    CHECK(kaffic_error_status(NULL) == KAFFIC_OK && kaffic_error_message(NULL)[0] == '\0');
    CHECK(!kaffic_error_retriable(NULL) && !kaffic_error_outcome_unknown(NULL));
    CHECK(kaffic_error_tail(NULL) == KAFFIC_NO_OFFSET && kaffic_error_earliest(NULL) == KAFFIC_NO_OFFSET);
    /* Nobody has to look at the error. */
    CHECK(kaffic_client_new("ftp://x", NULL, &none, NULL) == KAFFIC_INVALID_ARGUMENT);
    FAILS(KAFFIC_NULL_ARGUMENT, "url", kaffic_client_new(NULL, NULL, &none, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "client", kaffic_client_new("memory://", NULL, NULL, &error));
    FAILS(KAFFIC_INVALID_UTF8, "url", kaffic_client_new("file:///\xff", NULL, &none, &error));
}

static void configs(void) {
    kaffic_config_t *config = kaffic_config_new();
    kaffic_client_t *none = NULL;
    OK(kaffic_config_set(config, "request_timeout", "never", &error));
    OK(kaffic_config_set(config, "request_timeout", "5s", &error));
    OK(kaffic_client_new("memory://", config, &none, &error));
    kaffic_client_free(none);
    none = NULL;
    OK(kaffic_config_set(config, "colour", "red", &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "colour", kaffic_client_new("memory://", config, &none, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "config", kaffic_config_set(NULL, "a", "b", &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "name", kaffic_config_set(config, NULL, "b", &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "value", kaffic_config_set(config, "a", NULL, &error));
    FAILS(KAFFIC_INVALID_UTF8, "value", kaffic_config_set(config, "a", "\xc3", &error));
    kaffic_config_free(config);
    kaffic_config_free(NULL);
}

static void topics(void) {
    const char *const three[] = {"partitions", "3", "retention", "7d", NULL};
    const char *const changed[] = {"retention", "default", "compression", "lz4", NULL};
    const char *const misspelt[] = {"partitons", "3", NULL};
    const char *const old[] = {"before_offset", "1", NULL};
    kaffic_config_t *config = settings(three), *change = settings(changed), *bad = settings(misspelt);
    kaffic_config_t *trim = settings(old);
    char *json = NULL;
    int64_t offset = 7;
    OK(kaffic_topic_create(client, "topics", config, FOREVER, &error));
    FAILS(KAFFIC_TOPIC_EXISTS, "topics", kaffic_topic_create(client, "topics", NULL, FOREVER, &error));
    OK(kaffic_topic_ensure(client, "topics", config, FOREVER, &error));
    OK(kaffic_topic_ensure(client, "other", NULL, FOREVER, &error));
    FAILS(KAFFIC_UNKNOWN_SETTING, "partitions", kaffic_topic_create(client, "x", bad, FOREVER, &error));
    FAILS(KAFFIC_UNKNOWN_SETTING, "partitions", kaffic_topic_ensure(client, "x", bad, FOREVER, &error));
    OK(kaffic_topic_alter(client, "topics", change, FOREVER, &error));
    FAILS(KAFFIC_UNKNOWN_SETTING, "partitions", kaffic_topic_alter(client, "topics", config, FOREVER, &error));
    OK(kaffic_topic_describe(client, "topics", FOREVER, &json, &error));
    CHECK(strstr(json, "\"partitions\":3") && strstr(json, "\"compression\":\"lz4\""));
    CHECK(strstr(json, "\"retention_ms\":null"));
    kaffic_string_free(json);
    OK(kaffic_topic_list(client, FOREVER, &json, &error));
    CHECK(json[0] == '[' && strstr(json, "\"topics\"") && strstr(json, "\"other\""));
    kaffic_string_free(json);
    OK(kaffic_topic_offset(client, "topics", 2, "latest", FOREVER, &offset, &error));
    CHECK(offset == 0);
    OK(kaffic_topic_offset(client, "topics", 2, "earliest", FOREVER, &offset, &error));
    OK(kaffic_topic_offset(client, "topics", 2, "timestamp:5", FOREVER, &offset, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "earliest",
          kaffic_topic_offset(client, "topics", 2, "last:3", FOREVER, &offset, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "-1", kaffic_topic_offset(client, "topics", -1, "latest", FOREVER, &offset, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "offset", kaffic_topic_offset(client, "topics", 0, "latest", FOREVER, NULL, &error));
    OK(kaffic_topic_verify(client, "topics", FOREVER, &json, &error));
    CHECK(strstr(json, "\"issues\":[]"));
    kaffic_string_free(json);
    OK(kaffic_topic_compact(client, "topics", FOREVER, &json, &error));
    CHECK(strstr(json, "\"compacted\":0"));
    kaffic_string_free(json);
    OK(kaffic_topic_trim(client, "topics", trim, FOREVER, &json, &error));
    CHECK(strstr(json, "\"removed\":0"));
    kaffic_string_free(json);
    OK(kaffic_topic_adopt(client, "topics", true, FOREVER, &json, &error));
    CHECK(strstr(json, "\"left_alone\":3"));
    kaffic_string_free(json);
    OK(kaffic_topic_delete(client, "other", FOREVER, &json, &error));
    CHECK(strstr(json, "\"remaining\":"));
    kaffic_string_free(json);
    FAILS(KAFFIC_NULL_ARGUMENT, "json", kaffic_topic_describe(client, "topics", FOREVER, NULL, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "client", kaffic_topic_describe(NULL, "topics", FOREVER, &json, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "topic", kaffic_topic_describe(client, NULL, FOREVER, &json, &error));
    FAILS(KAFFIC_TOPIC_NOT_FOUND, "other", kaffic_topic_describe(client, "other", FOREVER, &json, &error));
    OK(kaffic_client_metrics(client, &json, &error));
    CHECK(strstr(json, "\"duration_ms\"") && strstr(json, "\"conflicts\""));
    kaffic_string_free(json);
    OK(kaffic_client_examine(client, 120 * SECOND, &json, &error));
    CHECK(strstr(json, "\"usable\":true") && strstr(json, "\"result\":\"passed\""));
    kaffic_string_free(json);
    kaffic_config_free(config);
    kaffic_config_free(change);
    kaffic_config_free(bad);
    kaffic_config_free(trim);
}

/* Polls deliveries until `wanted` were told; counts those that failed. */
static size_t deliveries(kaffic_queue_t *queue, size_t wanted, uint64_t least, uint64_t most) {
    size_t told = 0, failed = 0, len = 9, stride = 0, at;
    while (told < wanted) {
        kaffic_event_t *event = NULL;
        const char *first;
        OK(kaffic_queue_poll(queue, 60 * SECOND, &event, &error));
        CHECK(event != NULL && kaffic_event_kind(event) == KAFFIC_EVENT_DELIVERIES);
        CHECK(kaffic_event_tag(event) == 0 && kaffic_event_partitions(event) == NULL);
        first = (const char *)kaffic_event_deliveries(event, &len, &stride);
        CHECK(len > 0 && stride >= sizeof(kaffic_delivery_t));
        for (at = 0; at < len; at++) {
            const kaffic_delivery_t *each = (const kaffic_delivery_t *)(const void *)(first + at * stride);
            const kaffic_error_t *why = kaffic_event_error(event, at);
            CHECK(each->tag >= least && each->tag <= most);
            CHECK((each->status != KAFFIC_OK) == (why != NULL));
            CHECK(each->status == KAFFIC_OK ? each->offset >= 0 : each->offset == KAFFIC_NO_OFFSET);
            CHECK(each->partition >= 0 && kaffic_error_status(why) == each->status);
            failed += why != NULL;
        }
        CHECK(kaffic_event_error(event, len) == NULL);
        told += len;
        kaffic_event_free(event);
    }
    return failed;
}

/* Runs a call that has to run out of time, after which records may be written or not. */
#define UNKNOWN(part, call)                                                                                    \
    do {                                                                                                       \
        kaffic_error_t *error = NULL;                                                                          \
        CHECK((call) == KAFFIC_TIMED_OUT && strstr(kaffic_error_message(error), (part)) != NULL);              \
        CHECK(kaffic_error_outcome_unknown(error) && kaffic_error_retriable(error));                           \
        kaffic_error_free(error);                                                                              \
    } while (0)

static int readable(int fd) {
    struct pollfd waits;
    waits.fd = fd;
    waits.events = POLLIN;
    waits.revents = 0;
    return poll(&waits, 1, 0);
}

/* Puts a file in the place of the store's directory, so that nothing can be written, or the directory back: at
 * once, since what is in the background would make a directory where there is none. */
static void store_is_away(bool is) {
    char away[4096];
    const char *place = getenv("KAFFIC_TEST_URL") + strlen("file://");
    snprintf(away, sizeof away, "%s.away", place);
    if (is) {
        FILE *other = fopen(away, "w");
        CHECK(other != NULL && fclose(other) == 0);
    }
    CHECK(renameat2(AT_FDCWD, place, AT_FDCWD, away, RENAME_EXCHANGE) == 0);
    if (!is) CHECK(remove(away) == 0);
}

static void producing(void) {
    const char *const three[] = {"create_topic", "3", NULL};
    const char *const named[] = {"name", "every", NULL};
    const char *const small[] = {"max_in_flight_bytes", "4KiB", NULL};
    kaffic_config_t *config = settings(three), *name = settings(named), *little = settings(small);
    kaffic_producer_t *producer = NULL, *other = NULL, *none = NULL;
    kaffic_queue_t *queue = NULL;
    kaffic_event_t *event = NULL;
    kaffic_delivery_t delivery;
    struct { kaffic_delivery_t known; uint64_t more; } longer;
    kaffic_header_t headers[2];
    kaffic_record_t records[3], bad;
    size_t accepted = 99, len = 9;
    int64_t sequence = 0;
    char *large;
    int fd;

    OK(kaffic_queue_new(&queue, &error));
    CHECK(kaffic_queue_fd(queue) >= 0 && kaffic_queue_fd(NULL) == -1 && readable(kaffic_queue_fd(queue)) == 0);
    OK(kaffic_queue_poll(queue, 0, &event, &error));
    CHECK(event == NULL);
    OK(kaffic_queue_poll(queue, 5, &event, &error));
    CHECK(event == NULL && kaffic_event_kind(event) == KAFFIC_EVENT_NONE && kaffic_event_tag(event) == 0);
    CHECK(kaffic_event_deliveries(event, &len, NULL) == NULL && len == 0 && kaffic_event_error(event, 0) == NULL);
    CHECK(kaffic_event_deliveries(event, NULL, &len) == NULL && kaffic_event_partitions(event) == NULL);
    OK(kaffic_producer_new(client, "produced", config, queue, FOREVER, &producer, &error));
    CHECK(kaffic_producer_partitions(producer) == 3 && kaffic_producer_epoch(producer) == -1);
    CHECK(kaffic_producer_partitions(NULL) == -1 && kaffic_producer_epoch(NULL) == -1);

    headers[0].name = bytes_of("a");
    headers[0].value = bytes_of("1");
    headers[1].name = bytes_of("b");
    headers[1].value = bytes_of(NULL);
    records[0] = record_of("k", "first");
    records[0].headers = headers;
    records[0].headers_len = 2;
    records[0].timestamp_ms = 1234;
    records[0].partition = 2;
    records[0].flags = KAFFIC_RECORD_TIMESTAMP | KAFFIC_RECORD_PARTITION;
    records[1] = record_of(NULL, NULL);
    records[2] = record_of("", "");
    OK(kaffic_producer_send(producer, records, sizeof records[0], 3, 100, FOREVER, &accepted, &error));
    CHECK(accepted == 3);
    OK(kaffic_producer_flush(producer, 60 * SECOND, &error));
    CHECK(readable(kaffic_queue_fd(queue)) == 1);
    CHECK(deliveries(queue, 3, 100, 102) == 0);
    CHECK(readable(kaffic_queue_fd(queue)) == 0);

    /* What is wrong with a record is told with it, and those before it are sent. */
    bad = record_of("k", "v");
    bad.partition = 3;
    bad.flags = KAFFIC_RECORD_PARTITION;
    records[1] = bad;
    FAILS(KAFFIC_INVALID_ARGUMENT, "partition 3",
          kaffic_producer_send(producer, records, sizeof bad, 3, 0, FOREVER, &accepted, &error));
    CHECK(accepted == 1 && deliveries(queue, 1, 0, 0) == 0);
    bad.partition = -1;
    FAILS(KAFFIC_INVALID_ARGUMENT, "-1", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad.flags = 64;
    FAILS(KAFFIC_INVALID_ARGUMENT, "0x40", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad.flags = KAFFIC_RECORD_SEQUENCE;
    FAILS(KAFFIC_INVALID_ARGUMENT, "name", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad = record_of("k", "v");
    bad.key.data = NULL;
    FAILS(KAFFIC_NULL_ARGUMENT, "key", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad = record_of("k", "v");
    bad.value.len = SIZE_MAX;
    FAILS(KAFFIC_INVALID_ARGUMENT, "value", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad = record_of("k", "v");
    bad.headers_len = 1;
    FAILS(KAFFIC_NULL_ARGUMENT, "headers", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad.headers = headers;
    bad.headers_len = SIZE_MAX;
    FAILS(KAFFIC_INVALID_ARGUMENT, "headers", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    bad.headers_len = 2;
    headers[1].name = bytes_of("\xff");
    FAILS(KAFFIC_INVALID_UTF8, "header", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    headers[1].name = bytes_of(NULL);
    FAILS(KAFFIC_NULL_ARGUMENT, "name", kaffic_producer_send(producer, &bad, sizeof bad, 1, 0, 0, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "record_size",
          kaffic_producer_send(producer, records, sizeof bad - 8, 1, 0, 0, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "record_size",
          kaffic_producer_send(producer, records, sizeof bad + 1, 1, 0, 0, NULL, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "records", kaffic_producer_send(producer, NULL, sizeof bad, 1, 0, 0, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "records",
          kaffic_producer_send(producer, records, sizeof bad, SIZE_MAX, 0, 0, NULL, &error));
    OK(kaffic_producer_send(producer, NULL, sizeof bad, 0, 0, 0, &accepted, &error));
    CHECK(accepted == 0);
    FAILS(KAFFIC_NULL_ARGUMENT, "producer", kaffic_producer_send(NULL, records, sizeof bad, 1, 0, 0, &accepted, &error));

    records[0] = record_of("k", "waited for");
    OK(kaffic_producer_send_and_wait(producer, records, sizeof bad, FOREVER, &delivery, sizeof delivery, &error));
    CHECK(delivery.status == KAFFIC_OK && delivery.offset >= 0 && delivery.timestamp_ms > 0 && delivery.flags == 0);
    OK(kaffic_producer_send_and_wait(producer, records, sizeof bad, FOREVER, NULL, 0, &error));
    CHECK(delivery.partition == kaffic_partition_for_key((const uint8_t *)"k", 1, 3));
    CHECK(kaffic_partition_for_key((const uint8_t *)"", 0, 1) == 0);
    CHECK(kaffic_partition_for_key(NULL, 0, 3) == -1 && kaffic_partition_for_key(NULL, 1, 3) == -1);
    CHECK(kaffic_partition_for_key((const uint8_t *)"k", 1, 0) == -1);
    CHECK(kaffic_partition_for_key((const uint8_t *)"k", 1, -3) == -1);
    /* What a delivery has in programs that are built later is left alone. */
    memset(&longer, 0x55, sizeof longer);
    OK(kaffic_producer_send_and_wait(producer, records, sizeof bad, FOREVER, &longer.known, sizeof longer, &error));
    CHECK(longer.known.status == KAFFIC_OK && longer.more == 0x5555555555555555ULL);
    FAILS(KAFFIC_INVALID_ARGUMENT, "delivery_size",
          kaffic_producer_send_and_wait(producer, records, sizeof bad, 0, &delivery, sizeof delivery - 8, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "delivery_size",
          kaffic_producer_append(producer, 0, records, sizeof bad, 1, 0, 0, &delivery, sizeof delivery + 1, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "record", kaffic_producer_send_and_wait(producer, NULL, sizeof bad, 0, NULL, 0, &error));
    large = (char *)calloc(1, 17 << 20);
    records[0].value.data = (const uint8_t *)large;
    records[0].value.len = 17 << 20;
    FAILS(KAFFIC_RECORD_TOO_LARGE, "max_record_bytes",
          kaffic_producer_send_and_wait(producer, records, sizeof bad, FOREVER, NULL, 0, &error));
    free(large);

    records[0] = record_of("k", "one");
    records[1] = record_of("k", "two");
    OK(kaffic_topic_create(client, "appended", NULL, FOREVER, &error));
    OK(kaffic_producer_new(client, "appended", name, NULL, FOREVER, &other, &error));
    CHECK(kaffic_producer_epoch(other) == 0);
    OK(kaffic_producer_append(other, 0, records, sizeof bad, 2, 0, FOREVER, &delivery, sizeof delivery, &error));
    CHECK(delivery.offset == 0);
    OK(kaffic_producer_append(other, 0, records, sizeof bad, 2, KAFFIC_NO_OFFSET, FOREVER, NULL, 0, &error));
    {
        kaffic_error_t *error = NULL;
        CHECK(kaffic_producer_append(other, 0, records, sizeof bad, 1, 3, FOREVER, NULL, 0, &error) ==
              KAFFIC_CONDITION_FAILED);
        CHECK(kaffic_error_tail(error) == 4 && kaffic_error_earliest(error) == KAFFIC_NO_OFFSET);
        kaffic_error_free(error);
    }
    FAILS(KAFFIC_INVALID_ARGUMENT, "-2", kaffic_producer_append(other, 0, records, sizeof bad, 1, -2, 0, NULL, 0, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "0 records", kaffic_producer_append(other, 0, NULL, sizeof bad, 0, 0, 0, NULL, 0, &error));
    OK(kaffic_producer_last_sequence(other, 0, FOREVER, &sequence, &error));
    CHECK(sequence == -1);
    records[0].sequence = 41;
    records[0].flags = KAFFIC_RECORD_SEQUENCE;
    OK(kaffic_producer_send_and_wait(other, records, sizeof bad, FOREVER, &delivery, sizeof delivery, &error));
    CHECK(delivery.flags == 0);
    OK(kaffic_producer_send_and_wait(other, records, sizeof bad, FOREVER, &delivery, sizeof delivery, &error));
    CHECK(delivery.flags == KAFFIC_DELIVERY_DUPLICATE && delivery.offset == KAFFIC_NO_OFFSET);
    OK(kaffic_producer_last_sequence(other, 0, FOREVER, &sequence, &error));
    CHECK(sequence == 41);
    FAILS(KAFFIC_INVALID_ARGUMENT, "name", kaffic_producer_last_sequence(producer, 0, FOREVER, &sequence, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "sequence", kaffic_producer_last_sequence(other, 0, FOREVER, NULL, &error));
    OK(kaffic_producer_fence_all(other, FOREVER, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "name", kaffic_producer_fence_all(producer, FOREVER, &error));

    /* A newer one of the name: what the older sends without a queue, its flush tells, once. */
    OK(kaffic_producer_new(client, "appended", name, NULL, FOREVER, &none, &error));
    OK(kaffic_producer_fence_all(none, FOREVER, &error));
    records[0].flags = 0;
    OK(kaffic_producer_send(other, records, sizeof bad, 1, 0, FOREVER, NULL, &error));
    FAILS(KAFFIC_FENCED, "every", kaffic_producer_flush(other, FOREVER, &error));
    OK(kaffic_producer_flush(other, FOREVER, &error));
    kaffic_producer_free(other);
    kaffic_producer_free(none);
    none = NULL;

    /* A failure comes with its delivery, too. */
    OK(kaffic_producer_new(client, "appended", name, queue, FOREVER, &other, &error));
    OK(kaffic_producer_send(other, records, sizeof bad, 1, 5, FOREVER, NULL, &error));
    CHECK(deliveries(queue, 1, 5, 5) == 0);
    OK(kaffic_producer_new(client, "appended", name, NULL, FOREVER, &none, &error));
    OK(kaffic_producer_fence_all(none, FOREVER, &error));
    OK(kaffic_producer_send(other, records, sizeof bad, 2, 6, FOREVER, NULL, &error));
    CHECK(deliveries(queue, 2, 6, 7) == 2);
    FAILS(KAFFIC_FENCED, "every", kaffic_producer_close(other, FOREVER, &error));
    kaffic_producer_free(other);
    kaffic_producer_free(none);
    none = NULL;

    /* A buffer that is full, since the store is away. */
    OK(kaffic_producer_new(client, "appended", little, queue, FOREVER, &other, &error));
    store_is_away(true);
    large = (char *)calloc(1, 3000);
    records[0].value.data = records[1].value.data = (const uint8_t *)large;
    records[0].value.len = records[1].value.len = 3000;
    FAILS(KAFFIC_QUEUE_FULL, "max_in_flight_bytes",
          kaffic_producer_send(other, records, sizeof bad, 2, 1, 0, &accepted, &error));
    CHECK(accepted == 1);
    FAILS(KAFFIC_QUEUE_FULL, "max_in_flight_bytes",
          kaffic_producer_send(other, records, sizeof bad, 1, 2, 5, &accepted, &error));
    /* What was sent goes on. */
    UNKNOWN("a flush", kaffic_producer_flush(other, 0, &error));
    UNKNOWN("closing", kaffic_producer_close(other, 0, &error));
    store_is_away(false);
    OK(kaffic_producer_close(other, FOREVER, &error));
    CHECK(deliveries(queue, 1, 1, 1) == 0);
    OK(kaffic_producer_close(other, FOREVER, &error));
    FAILS(KAFFIC_CLOSED, "closed", kaffic_producer_send(other, records, sizeof bad, 1, 1, 0, NULL, &error));
    free(large);
    kaffic_producer_free(other);

    FAILS(KAFFIC_TOPIC_NOT_FOUND, "nowhere", kaffic_producer_new(client, "nowhere", NULL, NULL, FOREVER, &none, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "producer", kaffic_producer_flush(NULL, 0, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "producer", kaffic_producer_close(NULL, 0, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "queue", kaffic_queue_poll(NULL, 0, &event, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "event", kaffic_queue_poll(queue, 0, NULL, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "queue", kaffic_queue_new(NULL, &error));

    /* A queue may go before its producer. */
    records[0] = record_of("k", "last");
    OK(kaffic_producer_send(producer, records, sizeof bad, 1, 1, FOREVER, NULL, &error));
    OK(kaffic_producer_flush(producer, FOREVER, &error));
    fd = kaffic_queue_fd(queue);
    CHECK(readable(fd) == 1);
    kaffic_queue_free(queue);
    kaffic_queue_free(NULL);
    /* It is open as long as a producer has the queue, and tells of nothing. */
    CHECK(readable(fd) == 0);
    OK(kaffic_producer_send(producer, records, sizeof bad, 1, 1, FOREVER, NULL, &error));
    OK(kaffic_producer_flush(producer, FOREVER, &error));
    kaffic_producer_free(producer);
    kaffic_producer_free(NULL);
    kaffic_event_free(NULL);
    kaffic_config_free(config);
    kaffic_config_free(name);
    kaffic_config_free(little);
}

static void partitions(void) {
    kaffic_partitions_t *list = kaffic_partitions_new();
    OK(kaffic_partitions_add(list, "a", 0, KAFFIC_NO_OFFSET, NULL, &error));
    OK(kaffic_partitions_add(list, "b", 7, 42, "note", &error));
    CHECK(kaffic_partitions_len(list) == 2 && kaffic_partitions_len(NULL) == 0);
    CHECK(strcmp(kaffic_partitions_get(list, 0)->topic, "a") == 0);
    CHECK(kaffic_partitions_get(list, 0)->metadata == NULL);
    CHECK(strcmp(kaffic_partitions_get(list, 1)->metadata, "note") == 0);
    CHECK(kaffic_partitions_get(list, 1)->offset == 42 && kaffic_partitions_get(list, 1)->partition == 7);
    CHECK(kaffic_partitions_get(list, 2) == NULL && kaffic_partitions_get(NULL, 0) == NULL);
    FAILS(KAFFIC_INVALID_ARGUMENT, "-1", kaffic_partitions_add(list, "a", -1, 0, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "-2", kaffic_partitions_add(list, "a", 0, -2, NULL, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "topic", kaffic_partitions_add(list, NULL, 0, 0, NULL, &error));
    FAILS(KAFFIC_INVALID_UTF8, "metadata", kaffic_partitions_add(list, "a", 0, 0, "\xff", &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "partitions", kaffic_partitions_add(NULL, "a", 0, 0, NULL, &error));
    CHECK(kaffic_partitions_len(list) == 2);
    kaffic_partitions_free(list);
    kaffic_partitions_free(NULL);
}

static void expect_one(kaffic_partitions_t *list, const char *topic, int partition, int64_t offset) {
    CHECK(kaffic_partitions_len(list) == 1);
    CHECK(strcmp(kaffic_partitions_get(list, 0)->topic, topic) == 0);
    CHECK(kaffic_partitions_get(list, 0)->partition == partition);
    CHECK(kaffic_partitions_get(list, 0)->offset == offset);
    kaffic_partitions_free(list);
}

static void consuming(void) {
    const char *const latest[] = {"until", "latest", NULL}, *const tail[] = {"start", "latest", NULL};
    const char *topic = "produced";
    kaffic_config_t *config = settings(latest);
    kaffic_consumer_t *consumer = NULL;
    kaffic_partitions_t *list = NULL, *two = kaffic_partitions_new();
    kaffic_records_t *records = NULL;
    const kaffic_consumer_record_t *record;
    size_t stride = 0;
    char *name = NULL;

    CHECK(kaffic_consumer_finished(NULL));
    OK(kaffic_consumer_new(client, config, NULL, 0, &consumer, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "subscribe", kaffic_consumer_poll(consumer, 1, 0, &records, &error));
    CHECK(!kaffic_consumer_finished(consumer));
    OK(kaffic_partitions_add(two, "produced", 2, KAFFIC_NO_OFFSET, NULL, &error));
    OK(kaffic_consumer_assign(consumer, two, FOREVER, &error));
    OK(kaffic_consumer_poll(consumer, 1, 60 * SECOND, &records, &error));
    CHECK(kaffic_records_len(records) == 1 && kaffic_records_get(records, 1) == NULL);
    record = kaffic_records_get(records, 0);
    CHECK(kaffic_records_data(records, &stride) == record && stride >= sizeof *record);
    CHECK(kaffic_records_data(records, NULL) == record);
    CHECK(same_bytes(record->key, "k") && same_bytes(record->value, "first"));
    CHECK(strcmp(record->topic, "produced") == 0 && record->partition == 2 && record->offset == 0);
    CHECK(record->timestamp_ms == 1234 && record->headers_len == 2);
    CHECK(same_bytes(record->headers[0].name, "a") && same_bytes(record->headers[0].value, "1"));
    CHECK(same_bytes(record->headers[1].name, "b") && same_bytes(record->headers[1].value, NULL));
    OK(kaffic_consumer_positions(consumer, &list, &error));
    expect_one(list, "produced", 2, 1);
    OK(kaffic_consumer_seek(consumer, "produced", 2, "earliest", FOREVER, &error));
    OK(kaffic_consumer_positions(consumer, &list, &error));
    expect_one(list, "produced", 2, 0);
    OK(kaffic_consumer_pause(consumer, "produced", 2, true, &error));
    OK(kaffic_consumer_pause(consumer, "produced", 2, false, &error));
    OK(kaffic_consumer_end_offsets(consumer, FOREVER, &list, &error));
    CHECK(kaffic_partitions_get(list, 0)->offset >= 1);
    kaffic_partitions_free(list);
    OK(kaffic_consumer_lag(consumer, FOREVER, &list, &error));
    CHECK(kaffic_partitions_get(list, 0)->offset >= 1);
    kaffic_partitions_free(list);
    OK(kaffic_consumer_member_name(consumer, &name, &error));
    CHECK(name == NULL);
    FAILS(KAFFIC_INVALID_ARGUMENT, "group", kaffic_consumer_commit(consumer, NULL, FOREVER, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "group", kaffic_consumer_commit_async(consumer, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "group", kaffic_consumer_committed(consumer, &list, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "assigned", kaffic_consumer_seek(consumer, "produced", 1, "latest", 0, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "earliest", kaffic_consumer_seek(consumer, "produced", 2, "here", 0, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "assigned", kaffic_consumer_pause(consumer, "x", 0, true, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "place", kaffic_consumer_seek(consumer, "produced", 2, NULL, 0, &error));
    /* The record outlives the consumer's going on, and the consumer. */
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, FOREVER, &error));
    while (!kaffic_consumer_finished(consumer)) {
        kaffic_records_t *more = NULL;
        OK(kaffic_consumer_poll(consumer, 1000, 60 * SECOND, &more, &error));
        CHECK((more == NULL) == (kaffic_records_len(more) == 0));
        kaffic_records_free(more);
    }
    kaffic_consumer_wakeup(NULL);
    kaffic_consumer_wakeup(consumer);
    FAILS(KAFFIC_INVALID_ARGUMENT, "topic", kaffic_consumer_subscribe(consumer, NULL, 0, FOREVER, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "topics", kaffic_consumer_subscribe(consumer, NULL, 1, FOREVER, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "group", kaffic_consumer_subscribe_pattern(consumer, "p.*", FOREVER, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "partitions", kaffic_consumer_assign(consumer, NULL, FOREVER, &error));
    OK(kaffic_consumer_close(consumer, FOREVER, &error));
    OK(kaffic_consumer_close(consumer, FOREVER, &error));
    CHECK(kaffic_consumer_finished(consumer));
    FAILS(KAFFIC_CLOSED, "closed", kaffic_consumer_poll(consumer, 1, 0, &records, &error));
    FAILS(KAFFIC_CLOSED, "closed", kaffic_consumer_subscribe(consumer, &topic, 1, 0, &error));
    kaffic_consumer_free(consumer);
    CHECK(same_bytes(record->value, "first"));
    kaffic_records_free(records);
    kaffic_records_free(NULL);
    CHECK(kaffic_records_len(NULL) == 0 && kaffic_records_get(NULL, 0) == NULL);
    CHECK(kaffic_records_data(NULL, NULL) == NULL);
    /* A poll that is woken. */
    kaffic_config_free(config);
    config = settings(tail);
    OK(kaffic_consumer_new(client, config, NULL, 0, &consumer, &error));
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, FOREVER, &error));
    kaffic_consumer_wakeup(consumer);
    FAILS(KAFFIC_INTERRUPTED, "wake", kaffic_consumer_poll(consumer, 1, FOREVER, &records, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "records", kaffic_consumer_poll(consumer, 1, 0, NULL, &error));
    kaffic_consumer_free(consumer);
    kaffic_consumer_free(NULL);
    kaffic_partitions_free(two);
    kaffic_config_free(config);
}

typedef struct {
    kaffic_consumer_t *consumer;
    int assigned, revoked, lost, freed;
} heard_t;

static void rebalanced(void *userdata, kaffic_event_kind_t kind, const kaffic_partitions_t *at,
                       kaffic_partitions_t *commits) {
    heard_t *heard = (heard_t *)userdata;
    kaffic_records_t *records = NULL;
    CHECK(kaffic_partitions_len(at) == 1 && kaffic_partitions_get(at, 0)->partition == 0);
    CHECK((commits != NULL) == (kind == KAFFIC_EVENT_REVOKED));
    /* Nothing that waits can be called. */
    FAILS(KAFFIC_IN_CALLBACK, "callback", kaffic_consumer_poll(heard->consumer, 1, 0, &records, &error));
    FAILS(KAFFIC_IN_CALLBACK, "callback", kaffic_consumer_commit(heard->consumer, NULL, 0, &error));
    FAILS(KAFFIC_IN_CALLBACK, "callback", kaffic_shutdown(0, &error));
    CHECK(!kaffic_consumer_finished(heard->consumer));
    heard->assigned += kind == KAFFIC_EVENT_ASSIGNED;
    heard->revoked += kind == KAFFIC_EVENT_REVOKED;
    heard->lost += kind == KAFFIC_EVENT_LOST;
    if (commits != NULL) {
        OK(kaffic_partitions_add(commits, "grouped", 0, 1, "from the callback", &error));
    }
}

static void freed(void *userdata) { ((heard_t *)userdata)->freed++; }

static void groups(void) {
    const char *const member[] = {"group", "g", "auto_commit", "never", "session_timeout", "6s",
                                  "heartbeat_interval", "1s", NULL};
    const char *topic = "grouped";
    kaffic_config_t *config = settings(member);
    kaffic_consumer_t *consumer = NULL;
    kaffic_producer_t *producer = NULL;
    kaffic_partitions_t *list = NULL;
    kaffic_records_t *records = NULL;
    kaffic_record_t record = record_of("k", "v");
    kaffic_queue_t *queue = NULL;
    kaffic_event_t *event = NULL;
    heard_t heard;
    char *json = NULL, *name = NULL;
    int kinds[5] = {0};

    memset(&heard, 0, sizeof heard);
    OK(kaffic_topic_create(client, "grouped", NULL, FOREVER, &error));
    OK(kaffic_producer_new(client, "grouped", NULL, NULL, FOREVER, &producer, &error));
    OK(kaffic_producer_send_and_wait(producer, &record, sizeof record, FOREVER, NULL, 0, &error));
    OK(kaffic_producer_send_and_wait(producer, &record, sizeof record, FOREVER, NULL, 0, &error));
    kaffic_producer_free(producer);
    OK(kaffic_queue_new(&queue, &error));
    OK(kaffic_consumer_new(client, config, queue, 77, &consumer, &error));
    heard.consumer = consumer;
    OK(kaffic_consumer_on_rebalance(consumer, rebalanced, &heard, freed, &error));
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, FOREVER, &error));
    OK(kaffic_consumer_member_name(consumer, &name, &error));
    CHECK(name != NULL && strlen(name) > 0);
    kaffic_string_free(name);
    while (records == NULL) {
        OK(kaffic_consumer_poll(consumer, 1, 60 * SECOND, &records, &error));
    }
    kaffic_records_free(records);
    CHECK(heard.assigned == 1 && heard.revoked == 0 && heard.freed == 0);
    OK(kaffic_consumer_commit(consumer, NULL, FOREVER, &error));
    OK(kaffic_consumer_committed(consumer, &list, &error));
    expect_one(list, "grouped", 0, 1);
    list = kaffic_partitions_new();
    OK(kaffic_partitions_add(list, "grouped", 0, 2, "by hand", &error));
    OK(kaffic_consumer_commit(consumer, list, FOREVER, &error));
    OK(kaffic_partitions_add(list, "grouped", 0, KAFFIC_NO_OFFSET, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "no offset", kaffic_consumer_commit(consumer, list, FOREVER, &error));
    kaffic_partitions_free(list);
    OK(kaffic_consumer_committed(consumer, &list, &error));
    CHECK(strcmp(kaffic_partitions_get(list, 0)->metadata, "by hand") == 0);
    expect_one(list, "grouped", 0, 2);
    OK(kaffic_consumer_commit_async(consumer, &error));
    OK(kaffic_group_list(client, FOREVER, &json, &error));
    CHECK(strstr(json, "\"g\""));
    kaffic_string_free(json);
    OK(kaffic_group_describe(client, "g", FOREVER, &json, &error));
    CHECK(strstr(json, "\"topic\":\"grouped\"") && strstr(json, "\"owner\":\""));
    kaffic_string_free(json);
    FAILS(KAFFIC_GROUP_NOT_EMPTY, "g", kaffic_group_delete(client, "g", FOREVER, &error));
    OK(kaffic_consumer_close(consumer, FOREVER, &error));
    CHECK(heard.assigned == 1 && heard.revoked == 1 && heard.lost == 0);
    for (;;) {
        OK(kaffic_queue_poll(queue, 0, &event, &error));
        if (event == NULL) break;
        CHECK(kaffic_event_tag(event) == 77 && kaffic_event_kind(event) <= KAFFIC_EVENT_LOST);
        CHECK(kaffic_partitions_len(kaffic_event_partitions(event)) == 1);
        CHECK(kaffic_event_deliveries(event, NULL, NULL) == NULL);
        kinds[kaffic_event_kind(event)]++;
        kaffic_event_free(event);
    }
    CHECK(kinds[KAFFIC_EVENT_ASSIGNED] == 1 && kinds[KAFFIC_EVENT_REVOKED] == 1 && kinds[KAFFIC_EVENT_LOST] == 0);
    OK(kaffic_group_committed(client, "g", FOREVER, &list, &error));
    CHECK(strcmp(kaffic_partitions_get(list, 0)->metadata, "from the callback") == 0);
    expect_one(list, "grouped", 0, 1);
    OK(kaffic_consumer_on_rebalance(consumer, NULL, NULL, NULL, &error));
    CHECK(heard.freed == 1);
    OK(kaffic_consumer_on_rebalance(consumer, rebalanced, &heard, freed, &error));
    kaffic_consumer_free(consumer);
    CHECK(heard.freed == 2);
    FAILS(KAFFIC_NULL_ARGUMENT, "consumer", kaffic_consumer_on_rebalance(NULL, rebalanced, &heard, freed, &error));
    CHECK(heard.freed == 3);
    OK(kaffic_group_reset(client, "g", "grouped", NULL, "latest", true, FOREVER, &json, &error));
    CHECK(strstr(json, "\"offset\":2"));
    kaffic_string_free(json);
    OK(kaffic_group_reset(client, "g", "grouped", NULL, "earliest", false, FOREVER, &json, &error));
    kaffic_string_free(json);
    FAILS(KAFFIC_INVALID_ARGUMENT, "shift",
          kaffic_group_reset(client, "g", "grouped", NULL, "back", false, FOREVER, &json, &error));
    list = kaffic_partitions_new();
    OK(kaffic_partitions_add(list, "topics", 1, KAFFIC_NO_OFFSET, NULL, &error));
    OK(kaffic_group_reset(client, "g", "topics", list, "earliest", true, FOREVER, &json, &error));
    CHECK(strstr(json, "\"partition\":1") && !strstr(json, "\"partition\":0") && !strstr(json, "\"partition\":2"));
    kaffic_string_free(json);
    FAILS(KAFFIC_INVALID_ARGUMENT, "topic topics",
          kaffic_group_reset(client, "g", "grouped", list, "earliest", true, FOREVER, &json, &error));
    kaffic_partitions_free(list);
    list = kaffic_partitions_new();
    OK(kaffic_partitions_add(list, "grouped", 0, 2, NULL, &error));
    OK(kaffic_group_commit(client, "g", list, FOREVER, &error));
    kaffic_partitions_free(list);
    OK(kaffic_group_delete(client, "g", FOREVER, &error));
    FAILS(KAFFIC_GROUP_NOT_FOUND, "g", kaffic_group_describe(client, "g", FOREVER, &json, &error));
    FAILS(KAFFIC_GROUP_NOT_FOUND, "g", kaffic_group_committed(client, "g", FOREVER, &list, &error));
    FAILS(KAFFIC_NULL_ARGUMENT, "offsets", kaffic_group_commit(client, "g", NULL, FOREVER, &error));
    OK(kaffic_consumer_new(client, config, NULL, 0, &consumer, &error));
    OK(kaffic_consumer_subscribe_pattern(consumer, "grouped", FOREVER, &error));
    OK(kaffic_consumer_close(consumer, FOREVER, &error));
    kaffic_consumer_free(consumer);
    kaffic_queue_free(queue);
    kaffic_config_free(config);
}

typedef struct {
    kaffic_consumer_t *consumer;
    kaffic_event_kind_t at;
} leaving_t;

static void leaves(void *userdata, kaffic_event_kind_t kind, const kaffic_partitions_t *at,
                   kaffic_partitions_t *commits) {
    leaving_t *leaving = (leaving_t *)userdata;
    CHECK(kaffic_partitions_len(at) == 1);
    if (kind == leaving->at) {
        kaffic_consumer_free(leaving->consumer);
        leaving->consumer = NULL;
    }
    if (commits != NULL) OK(kaffic_partitions_add(commits, "grouped", 0, 1, NULL, &error));
}

/* A consumer that is freed in a callback from within its own call, which goes on to its end. */
static void leaving(void) {
    static const kaffic_event_kind_t kinds[] = {KAFFIC_EVENT_ASSIGNED, KAFFIC_EVENT_REVOKED};
    const char *topic = "grouped";
    size_t at;
    for (at = 0; at < 2; at++) {
        const char *const member[] = {"group", at == 0 ? "leaves-poll" : "leaves-close", NULL};
        kaffic_config_t *config = settings(member);
        leaving_t leaving;
        memset(&leaving, 0, sizeof leaving);
        leaving.at = kinds[at];
        OK(kaffic_consumer_new(client, config, NULL, 0, &leaving.consumer, &error));
        OK(kaffic_consumer_on_rebalance(leaving.consumer, leaves, &leaving, NULL, &error));
        OK(kaffic_consumer_subscribe(leaving.consumer, &topic, 1, FOREVER, &error));
        for (;;) {
            kaffic_records_t *records = NULL;
            size_t came;
            OK(kaffic_consumer_poll(leaving.consumer, 1, 60 * SECOND, &records, &error));
            came = kaffic_records_len(records);
            kaffic_records_free(records);
            if (leaving.consumer == NULL || came > 0) break;
        }
        CHECK((leaving.consumer == NULL) == (at == 0));
        if (at == 1) OK(kaffic_consumer_close(leaving.consumer, FOREVER, &error));
        CHECK(leaving.consumer == NULL);
        kaffic_config_free(config);
    }
}

/* What threads of the library's touch is at rest before, and atomic: how they agree can't be seen from here. */
typedef struct { int lines, freed; } log_t;
static log_t log_seen;

static void line(void *userdata, kaffic_log_level_t level, const char *target, const char *message) {
    log_t *log = (log_t *)userdata;
    kaffic_error_t *error = NULL;
    CHECK(level >= KAFFIC_LOG_ERROR && level <= KAFFIC_LOG_TRACE);
    CHECK(strncmp(target, "kaffic", 6) == 0 && strlen(message) > 0);
    __atomic_fetch_add(&log->lines, 1, __ATOMIC_SEQ_CST);
    /* Whatever waits fails. */
    CHECK(kaffic_shutdown(0, &error) == KAFFIC_IN_CALLBACK);
    kaffic_error_free(error);
}

static void log_freed(void *userdata) { __atomic_fetch_add(&((log_t *)userdata)->freed, 1, __ATOMIC_SEQ_CST); }

static void logging(void) {
    kaffic_producer_t *producer = NULL;
    kaffic_record_t record = record_of("k", "v");
    OK(kaffic_set_log(line, KAFFIC_LOG_TRACE, &log_seen, log_freed, &error));
    OK(kaffic_producer_new(client, "grouped", NULL, NULL, FOREVER, &producer, &error));
    FAILS(KAFFIC_CONDITION_FAILED, "grouped",
          kaffic_producer_append(producer, 0, &record, sizeof record, 1, 99, FOREVER, NULL, 0, &error));
    kaffic_producer_free(producer);
    CHECK(__atomic_load_n(&log_seen.lines, __ATOMIC_SEQ_CST) > 0);
    OK(kaffic_set_log(NULL, KAFFIC_LOG_ERROR, NULL, NULL, &error));
    FAILS(KAFFIC_INVALID_ARGUMENT, "5", kaffic_set_log(line, 5, &log_seen, log_freed, &error));
    /* A line that was on its way may have been the last. */
    while (__atomic_load_n(&log_seen.freed, __ATOMIC_SEQ_CST) < 2) {
        poll(NULL, 0, 1);
    }
    CHECK(__atomic_load_n(&log_seen.freed, __ATOMIC_SEQ_CST) == 2);
}

/* What was sent is written before the library ends, though nobody waits for it. */
static void ending(const char *name) {
    static kaffic_record_t records[1000];
    kaffic_producer_t *producer = NULL;
    int64_t offset = 0;
    size_t at;
    for (at = 0; at < 1000; at++) records[at] = record_of(NULL, "under way");
    OK(kaffic_topic_create(client, "ended", NULL, FOREVER, &error));
    OK(kaffic_producer_new(client, "ended", NULL, NULL, FOREVER, &producer, &error));
    for (at = 0; at < 20; at++) {
        OK(kaffic_producer_send(producer, records, sizeof records[0], 1000, 0, FOREVER, NULL, &error));
    }
    kaffic_producer_free(producer);
    kaffic_client_free(client);
    OK(kaffic_shutdown(60 * SECOND, &error));
    client = test_client(name);
    OK(kaffic_topic_offset(client, "ended", 0, "latest", FOREVER, &offset, &error));
    CHECK(offset == 20000);
}

int main(void) {
    const char *run = getenv("KAFFIC_TEST_RUN");
    char name[64];
    snprintf(name, sizeof name, "every-%s", run == NULL ? "0" : run);
    versions();
    errors();
    configs();
    client = test_client(name);
    topics();
    producing();
    partitions();
    consuming();
    groups();
    leaving();
    logging();
    ending(name);
    FAILS(KAFFIC_INVALID_ARGUMENT, "free", kaffic_shutdown(0, &error));
    kaffic_client_free(client);
    kaffic_client_free(NULL);
    OK(kaffic_shutdown(10 * SECOND, &error));
    OK(kaffic_shutdown(0, &error));
    puts("every function was called");
    return 0;
}
