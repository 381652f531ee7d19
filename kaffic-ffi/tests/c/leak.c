/* A million records in and out, and calls in between, in memory that does not grow: leak [RECORDS]. Then as many as a
 * queue holds, with nobody who polls it. */
#include "test.h"
#include <unistd.h>

#define A_CALL 1000
#define LONG_MS 600000
#define MOST_DELIVERIES (1 << 20)

static long resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv) {
    const char *const group[] = {"group", "g", "fetch_ahead_bytes", "4MiB", NULL};
    const char *const made[] = {"create_topic", "1", "max_in_flight_bytes", "8MiB", "compaction", "false", NULL};
    const char *topic = "leak";
    long records = argc > 1 ? atol(argv[1]) : 1000000, sent, seen = 0, told = 0, early = 0, late;
    kaffic_config_t *producing = settings(made), *consuming = settings(group);
    kaffic_client_t *client = test_client("leak");
    kaffic_producer_t *producer = NULL;
    kaffic_consumer_t *consumer = NULL;
    kaffic_queue_t *queue = NULL;
    static kaffic_record_t some[A_CALL];
    char value[100];
    size_t at, len;
    memset(value, 'x', sizeof value);
    for (at = 0; at < A_CALL; at++) {
        some[at] = record_of("key", NULL);
        some[at].value.data = (const uint8_t *)value;
        some[at].value.len = sizeof value;
    }
    OK(kaffic_queue_new(&queue, &error));
    OK(kaffic_producer_new(client, topic, producing, queue, LONG_MS, &producer, &error));
    OK(kaffic_consumer_new(client, consuming, queue, 1, &consumer, &error));
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, LONG_MS, &error));
    for (sent = 0; sent < records; sent += A_CALL) {
        kaffic_partitions_t *list = NULL;
        char *json = NULL;
        OK(kaffic_producer_send(producer, some, sizeof some[0], A_CALL, 0, LONG_MS, NULL, &error));
        while (told < sent + A_CALL) {
            kaffic_event_t *event = NULL;
            OK(kaffic_queue_poll(queue, LONG_MS, &event, &error));
            kaffic_event_deliveries(event, &len, NULL);
            told += (long)len;
            kaffic_event_free(event);
        }
        while (seen < sent + A_CALL) {
            kaffic_records_t *polled = NULL;
            OK(kaffic_consumer_poll(consumer, A_CALL, LONG_MS, &polled, &error));
            seen += (long)kaffic_records_len(polled);
            kaffic_records_free(polled);
        }
        OK(kaffic_consumer_commit_async(consumer, &error));
        OK(kaffic_consumer_positions(consumer, &list, &error));
        kaffic_partitions_free(list);
        OK(kaffic_client_metrics(client, &json, &error));
        kaffic_string_free(json);
        FAILS(KAFFIC_INVALID_ARGUMENT, "assigned", kaffic_consumer_seek(consumer, "x", 0, "latest", 0, &error));
        if (sent == records / 5 / A_CALL * A_CALL) early = resident_kib();
    }
    late = resident_kib();
    printf("%ld records: %ld KiB after a fifth, %ld KiB at the end\n", records, early, late);
    CHECK(late < early + early / 10 + 4096);
    /* Where only polling helps, a send that would wait as long as it takes ends. */
    for (sent = 0, len = A_CALL; len == A_CALL; sent += (long)len) {
        kaffic_error_t *error = NULL;
        kaffic_status_t status = kaffic_producer_send(producer, some, sizeof some[0], A_CALL, 0, -1, &len, &error);
        CHECK(status == (len == A_CALL ? KAFFIC_OK : KAFFIC_QUEUE_FULL));
        CHECK(status == KAFFIC_OK || strstr(kaffic_error_message(error), "poll the producer's queue") != NULL);
        kaffic_error_free(error);
    }
    CHECK(sent == MOST_DELIVERIES);
    for (told = 0; told < sent; told += (long)len) {
        kaffic_event_t *event = NULL;
        OK(kaffic_queue_poll(queue, LONG_MS, &event, &error));
        kaffic_event_deliveries(event, &len, NULL);
        kaffic_event_free(event);
    }
    OK(kaffic_producer_send(producer, some, sizeof some[0], A_CALL, 0, -1, NULL, &error));
    OK(kaffic_consumer_close(consumer, LONG_MS, &error));
    kaffic_consumer_free(consumer);
    kaffic_producer_free(producer);
    kaffic_queue_free(queue);
    kaffic_client_free(client);
    kaffic_config_free(producing);
    kaffic_config_free(consuming);
    return 0;
}
