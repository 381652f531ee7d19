/* C's part of the matrix of languages (scripts/matrix): matrix produce URL TOPIC, matrix check URL TOPIC. */
#include "test.h"

#define KINDS 7
#define BIG (5 << 20)
#define LONG_MS 60000

static kaffic_record_t kinds[KINDS];
static kaffic_header_t headers[3];
static uint8_t big[BIG];

static void make(void) {
    int at;
    kaffic_record_t *bytes = &kinds[4];
    for (at = 0; at < BIG; at++) big[at] = (uint8_t)((at * 31L + 7) % 251);
    kinds[0] = record_of(NULL, NULL);
    kinds[1] = record_of("", "");
    kinds[2] = record_of("k", NULL);
    kinds[3] = record_of(NULL, "v");
    *bytes = record_of("", "gr\xc3\xbc\xc3\x9ft \xf0\x9f\xa6\x80");
    bytes->key.data = (const uint8_t *)"\x00\xff\n";
    bytes->key.len = 3;
    headers[0].name = headers[2].name = bytes_of("a");
    headers[0].value = bytes_of("1");
    headers[1].name = bytes_of("\xc3\xbc");
    headers[2].value = bytes_of("");
    bytes->headers = headers;
    bytes->headers_len = 3;
    bytes->timestamp_ms = 1234567890123LL;
    bytes->flags = KAFFIC_RECORD_TIMESTAMP;
    kinds[5] = record_of("big", NULL);
    kinds[5].value.data = big;
    kinds[5].value.len = BIG;
    kinds[6] = record_of("zero", "");
    for (at = 0; at < KINDS; at++) kinds[at].flags |= KAFFIC_RECORD_PARTITION;
}

static int same(kaffic_bytes_t a, kaffic_bytes_t b) {
    return (a.data == NULL) == (b.data == NULL) && a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int main(int argc, char **argv) {
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    const char *const latest[] = {"until", "latest", NULL};
    kaffic_client_t *client = NULL;
    kaffic_consumer_t *consumer = NULL;
    kaffic_partitions_t *list = kaffic_partitions_new();
    kaffic_config_t *config = settings(latest);
    int codec, seen = 0;
    size_t at, header;
    CHECK(argc == 4);
    make();
    OK(kaffic_client_new(argv[2], NULL, &client, &error));
    if (strcmp(argv[1], "produce") == 0) {
        for (codec = 0; codec < 5; codec++) {
            kaffic_producer_t *producer = NULL;
            kaffic_config_free(config);
            config = kaffic_config_new();
            OK(kaffic_config_set(config, "compression", codecs[codec], &error));
            OK(kaffic_producer_new(client, argv[3], config, NULL, LONG_MS, &producer, &error));
            for (at = 0; at < KINDS; at++) {
                OK(kaffic_producer_send_and_wait(producer, &kinds[at], sizeof kinds[at], LONG_MS, NULL, 0, &error));
            }
            OK(kaffic_producer_close(producer, LONG_MS, &error));
            kaffic_producer_free(producer);
        }
    } else {
        OK(kaffic_consumer_new(client, config, NULL, 0, &consumer, &error));
        OK(kaffic_partitions_add(list, argv[3], 0, KAFFIC_NO_OFFSET, NULL, &error));
        OK(kaffic_consumer_assign(consumer, list, LONG_MS, &error));
        while (!kaffic_consumer_finished(consumer)) {
            kaffic_records_t *records = NULL;
            OK(kaffic_consumer_poll(consumer, 100, LONG_MS, &records, &error));
            for (at = 0; at < kaffic_records_len(records); at++, seen++) {
                const kaffic_consumer_record_t *came = kaffic_records_get(records, at);
                const kaffic_record_t *wanted = &kinds[seen % KINDS];
                CHECK(same(came->key, wanted->key) && same(came->value, wanted->value));
                CHECK(came->headers_len == wanted->headers_len && came->offset == seen);
                for (header = 0; header < came->headers_len; header++) {
                    CHECK(same(came->headers[header].name, headers[header].name));
                    CHECK(same(came->headers[header].value, headers[header].value));
                }
                CHECK(!(wanted->flags & KAFFIC_RECORD_TIMESTAMP) || came->timestamp_ms == wanted->timestamp_ms);
            }
            kaffic_records_free(records);
        }
        CHECK(seen == 5 * KINDS);
        printf("%d records, as they should be\n", seen);
        kaffic_consumer_free(consumer);
    }
    kaffic_client_free(client);
    kaffic_config_free(config);
    kaffic_partitions_free(list);
    return 0;
}
