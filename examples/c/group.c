/*
 * A member of a consumer group, until Ctrl-C: group URL GROUP TOPIC [RECORDS]
 * Start it several times: the members share the topic's partitions, and take over from one that ends.
 *   ./group file:///tmp/kaffic billing numbers
 */
#include <kaffic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static void must(kaffic_status_t status, kaffic_error_t *error) {
    if (status != KAFFIC_OK) {
        fprintf(stderr, "%s: %s\n", kaffic_status_name(status), kaffic_error_message(error));
        kaffic_error_free(error);
        exit(1);
    }
}

/* Told from within a poll. */
static void rebalanced(void *userdata, kaffic_event_kind_t kind, const kaffic_partitions_t *partitions,
                       kaffic_partitions_t *commits) {
    size_t at;
    (void)userdata;
    (void)commits;
    for (at = 0; at < kaffic_partitions_len(partitions); at++) {
        const kaffic_partition_t *each = kaffic_partitions_get(partitions, at);
        fprintf(stderr, "%s %s/%d at %lld\n", kind == KAFFIC_EVENT_ASSIGNED ? "got" : "gave up", each->topic,
                each->partition, (long long)each->offset);
    }
}

int main(int argc, char **argv) {
    kaffic_error_t *error = NULL;
    kaffic_client_t *client = NULL;
    kaffic_consumer_t *consumer = NULL;
    kaffic_config_t *config = kaffic_config_new();
    kaffic_status_t status;
    const char *topic;
    long seen = 0, most;

    if (argc < 4) {
        fprintf(stderr, "usage: %s URL GROUP TOPIC [RECORDS]\n", argv[0]);
        return 2;
    }
    topic = argv[3];
    most = argc > 4 ? atol(argv[4]) : -1;
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    status = kaffic_client_new(argv[1], NULL, &client, &error);
    must(status, error);
    status = kaffic_config_set(config, "group", argv[2], &error);
    must(status, error);
    /* Commits are made here, after the records were processed. */
    status = kaffic_config_set(config, "auto_commit", "never", &error);
    must(status, error);
    status = kaffic_consumer_new(client, config, NULL, 0, &consumer, &error);
    must(status, error);
    status = kaffic_consumer_on_rebalance(consumer, rebalanced, NULL, NULL, &error);
    must(status, error);
    status = kaffic_consumer_subscribe(consumer, &topic, 1, -1, &error);
    must(status, error);

    while (!stopped && (most < 0 || seen < most)) {
        kaffic_records_t *records = NULL;
        size_t at;
        status = kaffic_consumer_poll(consumer, 100, 500, &records, &error);
        must(status, error);
        for (at = 0; at < kaffic_records_len(records); at++) {
            const kaffic_consumer_record_t *record = kaffic_records_get(records, at);
            printf("%d/%lld: %.*s\n", record->partition, (long long)record->offset, (int)record->value.len,
                   (const char *)record->value.data);
            seen++;
        }
        if (records != NULL) {
            status = kaffic_consumer_commit(consumer, NULL, -1, &error);
            if (status == KAFFIC_FENCED) {
                /* A partition went to another, which gets these records again. */
                kaffic_error_free(error);
                error = NULL;
            } else {
                must(status, error);
            }
        }
        kaffic_records_free(records);
    }
    /* Leaves the group, so that others go on at once. */
    status = kaffic_consumer_close(consumer, -1, &error);
    must(status, error);
    kaffic_consumer_free(consumer);
    kaffic_client_free(client);
    kaffic_config_free(config);
    return 0;
}
