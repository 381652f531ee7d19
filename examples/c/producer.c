/*
 * Sends the lines of standard input as records: producer URL TOPIC [KEY-SEPARATOR]
 *   seq 1 100 | ./producer file:///tmp/kaffic numbers
 */
#include <kaffic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 1000

/* Ends the program with what went wrong. */
static void must(kaffic_status_t status, kaffic_error_t *error) {
    if (status != KAFFIC_OK) {
        fprintf(stderr, "%s: %s\n", kaffic_status_name(status), kaffic_error_message(error));
        kaffic_error_free(error);
        exit(1);
    }
}

/* Takes in what became of records; returns how many. */
static size_t take_deliveries(kaffic_queue_t *queue, int64_t timeout_ms) {
    kaffic_error_t *error = NULL;
    kaffic_event_t *event = NULL;
    size_t len, stride, at;
    const char *first;
    kaffic_status_t status = kaffic_queue_poll(queue, timeout_ms, &event, &error);
    must(status, error);
    first = (const char *)kaffic_event_deliveries(event, &len, &stride);
    for (at = 0; at < len; at++) {
        const kaffic_delivery_t *delivery = (const kaffic_delivery_t *)(const void *)(first + at * stride);
        if (delivery->status != KAFFIC_OK) {
            fprintf(stderr, "line %llu: %s\n", (unsigned long long)delivery->tag,
                    kaffic_error_message(kaffic_event_error(event, at)));
        }
    }
    kaffic_event_free(event);
    return len;
}

int main(int argc, char **argv) {
    kaffic_error_t *error = NULL;
    kaffic_client_t *client = NULL;
    kaffic_producer_t *producer = NULL;
    kaffic_queue_t *queue = NULL;
    kaffic_config_t *config = kaffic_config_new();
    kaffic_status_t status;
    unsigned long long line_number = 0, told = 0;
    char line[65536];

    if (argc < 3) {
        fprintf(stderr, "usage: %s URL TOPIC [KEY-SEPARATOR]\n", argv[0]);
        return 2;
    }
    status = kaffic_client_new(argv[1], NULL, &client, &error);
    must(status, error);
    status = kaffic_queue_new(&queue, &error);
    must(status, error);
    status = kaffic_config_set(config, "create_topic", "3", &error);
    must(status, error);
    status = kaffic_config_set(config, "compression", "zstd", &error);
    must(status, error);
    status = kaffic_producer_new(client, argv[2], config, queue, -1, &producer, &error);
    must(status, error);

    while (fgets(line, sizeof line, stdin) != NULL) {
        kaffic_record_t record;
        char *value = line, *separator = argc > 3 ? strstr(line, argv[3]) : NULL;
        line[strcspn(line, "\n")] = '\0';
        memset(&record, 0, sizeof record);
        if (separator != NULL) {
            record.key.data = (const uint8_t *)line;
            record.key.len = (size_t)(separator - line);
            value = separator + strlen(argv[3]);
        }
        record.value.data = (const uint8_t *)value;
        record.value.len = strlen(value);
        /* Copied into the producer's buffer: the line may be read anew. */
        status = kaffic_producer_send(producer, &record, sizeof record, 1, ++line_number, -1, NULL, &error);
        must(status, error);
        while (line_number - told > IN_FLIGHT) {
            told += take_deliveries(queue, -1);
        }
    }
    while (told < line_number) {
        told += take_deliveries(queue, -1);
    }
    status = kaffic_producer_close(producer, -1, &error);
    must(status, error);
    printf("%llu records are durable\n", told);
    kaffic_producer_free(producer);
    kaffic_queue_free(queue);
    kaffic_client_free(client);
    kaffic_config_free(config);
    return 0;
}
