/*
 * Prints a topic's records, from the earliest to the present end: consumer URL TOPIC [FROM]
 *   ./consumer file:///tmp/kaffic numbers last:10
 */
#include <kaffic.h>
#include <stdio.h>
#include <stdlib.h>

static void must(kaffic_status_t status, kaffic_error_t *error) {
    if (status != KAFFIC_OK) {
        fprintf(stderr, "%s: %s\n", kaffic_status_name(status), kaffic_error_message(error));
        kaffic_error_free(error);
        exit(1);
    }
}

int main(int argc, char **argv) {
    kaffic_error_t *error = NULL;
    kaffic_client_t *client = NULL;
    kaffic_consumer_t *consumer = NULL;
    kaffic_config_t *config = kaffic_config_new();
    kaffic_status_t status;
    const char *topic;

    if (argc < 3) {
        fprintf(stderr, "usage: %s URL TOPIC [earliest | offset:N | last:N | time:RFC3339]\n", argv[0]);
        return 2;
    }
    topic = argv[2];
    status = kaffic_client_new(argv[1], NULL, &client, &error);
    must(status, error);
    status = kaffic_config_set(config, "start", argc > 3 ? argv[3] : "earliest", &error);
    must(status, error);
    status = kaffic_config_set(config, "until", "latest", &error);
    must(status, error);
    status = kaffic_consumer_new(client, config, NULL, 0, &consumer, &error);
    must(status, error);
    status = kaffic_consumer_subscribe(consumer, &topic, 1, -1, &error);
    must(status, error);

    while (!kaffic_consumer_finished(consumer)) {
        kaffic_records_t *records = NULL;
        size_t at;
        status = kaffic_consumer_poll(consumer, 1000, 1000, &records, &error);
        must(status, error);
        for (at = 0; at < kaffic_records_len(records); at++) {
            const kaffic_consumer_record_t *record = kaffic_records_get(records, at);
            printf("%d/%lld %.*s: %.*s\n", record->partition, (long long)record->offset, (int)record->key.len,
                   (const char *)record->key.data, (int)record->value.len, (const char *)record->value.data);
        }
        kaffic_records_free(records);
    }
    status = kaffic_consumer_close(consumer, -1, &error);
    must(status, error);
    kaffic_consumer_free(consumer);
    kaffic_client_free(client);
    kaffic_config_free(config);
    return 0;
}
