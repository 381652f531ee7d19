/* How fast records of 1 KiB go in and come out: bench URL RECORDS RECORDS-A-CALL. See scripts/bench-c. */
#include "test.h"
#include <time.h>

#define LONG_MS 600000
#define SIZE 1024
/* How often all is consumed. */
#define PASSES 5

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    const char *const made[] = {"create_topic", "1", NULL}, *const latest[] = {"until", "latest", NULL};
    kaffic_config_t *config = settings(made), *end = settings(latest);
    kaffic_client_t *client = NULL;
    kaffic_producer_t *producer = NULL;
    kaffic_consumer_t *consumer = NULL;
    kaffic_queue_t *queue = NULL;
    kaffic_record_t *records;
    const char *topic = "bench";
    size_t count, a_call, sent = 0, told = 0, seen, at, bytes, pass;
    static char value[SIZE];
    double begun, produced;

    CHECK(argc == 4);
    count = strtoul(argv[2], NULL, 10);
    a_call = strtoul(argv[3], NULL, 10);
    records = (kaffic_record_t *)calloc(a_call, sizeof *records);
    for (at = 0; at < SIZE; at++) value[at] = (char)(at * 31);
    for (at = 0; at < a_call; at++) {
        records[at].value.data = (const uint8_t *)value;
        records[at].value.len = SIZE;
    }
    OK(kaffic_client_new(argv[1], NULL, &client, &error));
    OK(kaffic_queue_new(&queue, &error));
    OK(kaffic_producer_new(client, topic, config, queue, LONG_MS, &producer, &error));
    begun = now();
    while (told < count) {
        kaffic_event_t *event = NULL;
        if (sent < count) {
            size_t accepted;
            OK(kaffic_producer_send(producer, records, sizeof *records, a_call, sent, LONG_MS, &accepted, &error));
            sent += accepted;
            if (sent % 8192 >= a_call) continue;
        }
        do {
            size_t len;
            OK(kaffic_queue_poll(queue, sent < count ? 0 : LONG_MS, &event, &error));
            CHECK(event == NULL || kaffic_event_kind(event) == KAFFIC_EVENT_DELIVERIES);
            kaffic_event_deliveries(event, &len, NULL);
            told += len;
            kaffic_event_free(event);
        } while (event != NULL && told < count);
    }
    produced = now() - begun;
    OK(kaffic_producer_close(producer, LONG_MS, &error));
    printf("%.0f", (double)count / produced);
    for (pass = 0; pass < PASSES; pass++) {
        seen = bytes = 0;
        begun = now();
        OK(kaffic_consumer_new(client, end, NULL, 0, &consumer, &error));
        OK(kaffic_consumer_subscribe(consumer, &topic, 1, LONG_MS, &error));
        while (!kaffic_consumer_finished(consumer)) {
            kaffic_records_t *some = NULL;
            OK(kaffic_consumer_poll(consumer, a_call < 100 ? 100 : a_call, LONG_MS, &some, &error));
            for (at = 0; at < kaffic_records_len(some); at++) bytes += kaffic_records_get(some, at)->value.len;
            seen += kaffic_records_len(some);
            kaffic_records_free(some);
        }
        CHECK(seen == count && bytes == count * SIZE);
        printf(" %.0f", (double)count / (now() - begun));
        kaffic_consumer_free(consumer);
    }
    printf("\n");
    kaffic_producer_free(producer);
    kaffic_queue_free(queue);
    kaffic_client_free(client);
    kaffic_config_free(config);
    kaffic_config_free(end);
    free(records);
    return 0;
}
