/* Many threads use one client, one producer, one queue and one consumer at once, and end each other's waits. */
#include "test.h"
#include <pthread.h>

#define THREADS 4
#define EACH 500
#define LONG_MS 60000

static kaffic_client_t *client;
static kaffic_producer_t *producer;
static kaffic_consumer_t *consumer;
static kaffic_queue_t *queue;
static int delivered, consumed, closed, log_lines;

static void line(void *userdata, kaffic_log_level_t level, const char *target, const char *message) {
    (void)level;
    (void)target;
    (void)message;
    __atomic_fetch_add((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

static void *send_some(void *number) {
    int at;
    for (at = 0; at < EACH; at++) {
        char value[32];
        kaffic_record_t record;
        snprintf(value, sizeof value, "%d:%d", (int)(intptr_t)number, at);
        record = record_of(NULL, value);
        record.partition = (int)(intptr_t)number % 2;
        record.flags = KAFFIC_RECORD_PARTITION;
        OK(kaffic_producer_send(producer, &record, sizeof record, 1, 0, LONG_MS, NULL, &error));
        if (at % 100 == 0) {
            OK(kaffic_producer_flush(producer, LONG_MS, &error));
            OK(kaffic_set_log(at % 200 ? line : NULL, KAFFIC_LOG_TRACE, &log_lines, NULL, &error));
        }
    }
    return NULL;
}

static void *poll_deliveries(void *unused) {
    (void)unused;
    while (__atomic_load_n(&delivered, __ATOMIC_SEQ_CST) < THREADS * EACH) {
        kaffic_event_t *event = NULL;
        size_t len, stride, at;
        const char *first;
        OK(kaffic_queue_poll(queue, 10, &event, &error));
        first = (const char *)kaffic_event_deliveries(event, &len, &stride);
        for (at = 0; at < len; at++) {
            CHECK(((const kaffic_delivery_t *)(const void *)(first + at * stride))->status == KAFFIC_OK);
        }
        __atomic_fetch_add(&delivered, (int)len, __ATOMIC_SEQ_CST);
        kaffic_event_free(event);
    }
    return NULL;
}

/* Polls until all was consumed by somebody, then waits until the consumer is closed. */
static void *poll_records(void *last) {
    /* Of each sender and partition the numbers grow within what one thread gets. */
    int before[THREADS];
    size_t at;
    (void)last;
    memset(before, -1, sizeof before);
    for (;;) {
        kaffic_records_t *records = NULL;
        kaffic_error_t *error = NULL;
        kaffic_status_t status = kaffic_consumer_poll(consumer, 7, -1, &records, &error);
        if (status == KAFFIC_CLOSED) {
            kaffic_error_free(error);
            return NULL;
        }
        if (status == KAFFIC_INTERRUPTED) {
            kaffic_error_free(error);
            continue;
        }
        CHECK(status == KAFFIC_OK);
        for (at = 0; at < kaffic_records_len(records); at++) {
            kaffic_bytes_t value = kaffic_records_get(records, at)->value;
            char text[32];
            int sender, number;
            snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
            CHECK(sscanf(text, "%d:%d", &sender, &number) == 2);
            CHECK(number > before[sender]);
            before[sender] = number;
        }
        __atomic_fetch_add(&consumed, (int)kaffic_records_len(records), __ATOMIC_SEQ_CST);
        kaffic_records_free(records);
    }
}

/* Asks, wakes and commits while others poll. */
static void *disturb(void *unused) {
    (void)unused;
    while (!__atomic_load_n(&closed, __ATOMIC_SEQ_CST)) {
        kaffic_partitions_t *list = NULL;
        char *json = NULL;
        kaffic_error_t *error = NULL;
        OK(kaffic_consumer_positions(consumer, &list, &error));
        kaffic_partitions_free(list);
        OK(kaffic_consumer_commit_async(consumer, &error));
        kaffic_consumer_wakeup(consumer);
        CHECK(!kaffic_consumer_finished(consumer));
        OK(kaffic_client_metrics(client, &json, &error));
        kaffic_string_free(json);
        CHECK(kaffic_client_new("ftp://x", NULL, NULL, &error) == KAFFIC_NULL_ARGUMENT);
        kaffic_error_free(error);
    }
    return NULL;
}

int main(void) {
    const char *const two[] = {"create_topic", "2", NULL};
    const char *const group[] = {"group", "threads", NULL};
    const char *topic = "threads";
    kaffic_config_t *made = settings(two), *member = settings(group);
    pthread_t senders[THREADS], pollers[2], readers[2], other;
    intptr_t at;
    char name[64];
    snprintf(name, sizeof name, "threads-%s", getenv("KAFFIC_TEST_RUN") ? getenv("KAFFIC_TEST_RUN") : "0");
    client = test_client(name);
    OK(kaffic_queue_new(&queue, &error));
    OK(kaffic_producer_new(client, topic, made, queue, LONG_MS, &producer, &error));
    OK(kaffic_consumer_new(client, member, queue, 1, &consumer, &error));
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, LONG_MS, &error));
    for (at = 0; at < THREADS; at++) CHECK(pthread_create(&senders[at], NULL, send_some, (void *)at) == 0);
    for (at = 0; at < 2; at++) {
        CHECK(pthread_create(&pollers[at], NULL, poll_deliveries, NULL) == 0);
        CHECK(pthread_create(&readers[at], NULL, poll_records, NULL) == 0);
    }
    CHECK(pthread_create(&other, NULL, disturb, NULL) == 0);
    for (at = 0; at < THREADS; at++) pthread_join(senders[at], NULL);
    for (at = 0; at < 2; at++) pthread_join(pollers[at], NULL);
    CHECK(__atomic_load_n(&delivered, __ATOMIC_SEQ_CST) == THREADS * EACH);
    while (__atomic_load_n(&consumed, __ATOMIC_SEQ_CST) < THREADS * EACH) {
        kaffic_partitions_t *list = NULL;
        OK(kaffic_consumer_positions(consumer, &list, &error));
        kaffic_partitions_free(list);
    }
    __atomic_store_n(&closed, 1, __ATOMIC_SEQ_CST);
    pthread_join(other, NULL);
    OK(kaffic_consumer_close(consumer, LONG_MS, &error));
    for (at = 0; at < 2; at++) pthread_join(readers[at], NULL);
    CHECK(__atomic_load_n(&consumed, __ATOMIC_SEQ_CST) == THREADS * EACH);
    OK(kaffic_set_log(NULL, KAFFIC_LOG_ERROR, NULL, NULL, &error));
    kaffic_consumer_free(consumer);
    OK(kaffic_producer_close(producer, LONG_MS, &error));
    kaffic_producer_free(producer);
    kaffic_queue_free(queue);
    kaffic_client_free(client);
    kaffic_config_free(made);
    kaffic_config_free(member);
    OK(kaffic_shutdown(LONG_MS, &error));
    printf("%d records by %d threads\n", THREADS * EACH, THREADS + 5);
    return 0;
}
