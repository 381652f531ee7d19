/* Random sequences of calls with random bad arguments, within the contract of the header: handles are live or
 * null, pointers are good or null, texts end. Nothing may crash, hang or be lost sight of. fuzz SEQUENCES [SEED] */
#include "test.h"

#define CALLS 40
#define HANDLES 3

static uint64_t state;

static uint32_t draw(uint32_t below) {
    /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ULL) >> 33) % below;
}

static kaffic_config_t *configs[HANDLES];
static kaffic_client_t *clients[HANDLES];
static kaffic_producer_t *producers[HANDLES];
static kaffic_consumer_t *consumers[HANDLES];
static kaffic_queue_t *queues[HANDLES];
static kaffic_partitions_t *lists[HANDLES];
static kaffic_records_t *records;
static kaffic_event_t *event;
static long calls, failures;

/* A handle, or null now and then. */
#define ANY(handles) (draw(12) == 0 ? NULL : (handles)[draw(HANDLES)])

static const char *text(void) {
    static const char *const some[] = {
        "t", "u", "t", "t", "", "a/b", "..", "\xff\xfe", "memory://", "file://", "s3://", "://", "earliest", "latest",
        "offset:0", "offset:-1", "offset:99999999999999999999", "last:3", "timestamp:5", "shift:-1", "g", "group",
        "auto_commit", "never", "start", "max_records", "3", "partitions", "0", "5ms", "1h 1h", "name", "linger",
        "compression", "zstd", "64KiB", "999999999GiB", "true", "(", ".*", "default", "create_topic", "\n%s%n",
    };
    uint32_t at = draw(sizeof some / sizeof some[0] + 2);
    static char large[70000];
    if (at == sizeof some / sizeof some[0]) return NULL;
    if (at > sizeof some / sizeof some[0]) {
        memset(large, 'x', sizeof large - 1);
        return large;
    }
    return some[at];
}

static const char *topic(void) { return draw(4) == 0 ? text() : draw(2) ? "t" : "u"; }

static int64_t number(void) {
    static const int64_t some[] = {0, 1, 2, -1, -2, 3, 100, INT64_MAX, INT64_MIN, INT32_MAX};
    return some[draw(sizeof some / sizeof some[0])];
}

/* 0 to 20 ms: nothing here may wait long. */
static int64_t wait_ms(void) { return draw(3) == 0 ? 0 : (int64_t)draw(20); }

static kaffic_bytes_t bytes(void) {
    static char data[3000];
    kaffic_bytes_t some = {NULL, 0};
    switch (draw(6)) {
    case 0: return some;
    case 1: some.len = 5; return some;
    case 2: some.data = (const uint8_t *)data; return some;
    default:
        some.data = (const uint8_t *)data;
        some.len = draw(sizeof data);
        return some;
    }
}

static size_t fill(kaffic_record_t *some, kaffic_header_t *headers, size_t most) {
    size_t len = draw((uint32_t)most + 1), at;
    for (at = 0; at < 3; at++) {
        headers[at].name = draw(5) == 0 ? bytes() : bytes_of("header");
        headers[at].value = bytes();
    }
    for (at = 0; at < len; at++) {
        memset(&some[at], 0, sizeof some[at]);
        some[at].key = bytes();
        some[at].value = bytes();
        some[at].headers = draw(8) == 0 ? NULL : headers;
        some[at].headers_len = draw(4);
        some[at].timestamp_ms = number();
        some[at].sequence = number();
        some[at].partition = (int32_t)number();
        some[at].flags = draw(3) == 0 ? draw(16) : 0;
    }
    return len;
}

static void took(kaffic_status_t status, kaffic_error_t *error) {
    CHECK(kaffic_status_name(status) != NULL);
    CHECK(status != KAFFIC_PANIC && status != KAFFIC_INTERNAL);
    CHECK((status == KAFFIC_OK) == (error == NULL));
    CHECK(status == KAFFIC_OK || kaffic_error_message(error)[0] != '\0');
    CHECK(kaffic_error_status(error) == status && kaffic_status_meaning(status) != NULL);
    CHECK(kaffic_error_earliest(error) >= KAFFIC_NO_OFFSET && kaffic_error_tail(error) >= KAFFIC_NO_OFFSET);
    CHECK(status != KAFFIC_OK || !(kaffic_error_retriable(error) || kaffic_error_outcome_unknown(error)));
    failures += status != KAFFIC_OK;
    kaffic_error_free(error);
}

static void new_list(void) {
    uint32_t at = draw(HANDLES);
    kaffic_partitions_free(lists[at]);
    lists[at] = NULL;
    if (draw(6)) lists[at] = kaffic_partitions_new();
}

static void on_rebalance(void *userdata, kaffic_event_kind_t kind, const kaffic_partitions_t *at,
                         kaffic_partitions_t *commits) {
    (void)kind;
    CHECK(userdata == &calls && kaffic_partitions_len(at) > 0);
    if (commits != NULL && draw(2)) {
        kaffic_error_t *error = NULL;
        kaffic_status_t came = kaffic_partitions_add(commits, topic(), (int32_t)number(), number(), text(), &error);
        took(came, error);
    }
}

/* Log lines come on any thread. */
static long lines;

static void on_line(void *userdata, kaffic_log_level_t level, const char *target, const char *message) {
    CHECK(userdata == &lines && level >= KAFFIC_LOG_ERROR && level <= KAFFIC_LOG_TRACE);
    CHECK(target[0] != '\0' && message != NULL);
    __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED);
}

/* Looks at all of a list. */
static void look(const kaffic_partitions_t *list) {
    size_t at;
    for (at = 0; at < kaffic_partitions_len(list); at++) {
        const kaffic_partition_t *one = kaffic_partitions_get(list, at);
        CHECK(one->topic != NULL && one->partition >= 0 && one->offset >= KAFFIC_NO_OFFSET);
        CHECK(one->metadata == NULL || strlen(one->metadata) < 100000);
    }
    CHECK(kaffic_partitions_get(list, at) == NULL && kaffic_partitions_get(list, SIZE_MAX) == NULL);
}

static void call(void) {
    kaffic_error_t *error = NULL;
    kaffic_record_t some[4];
    kaffic_header_t headers[3];
    kaffic_delivery_t delivery;
    kaffic_partitions_t *list = NULL;
    const char *topics[2];
    char *json = NULL;
    size_t len;
    int64_t offset;
    uint32_t at = draw(HANDLES);
    kaffic_config_t *config = ANY(configs);
    kaffic_client_t *client = ANY(clients);
    kaffic_producer_t *producer = ANY(producers);
    kaffic_consumer_t *consumer = ANY(consumers);
    kaffic_queue_t *queue = draw(2) ? NULL : ANY(queues);
    bool no = draw(15) == 0;
#define TOOK(call)                                                                                             \
    do {                                                                                                       \
        kaffic_status_t came = (call);                                                                         \
        took(came, error);                                                                                     \
    } while (0)
    calls++;
    switch (draw(57)) {
    case 0:
        kaffic_config_free(configs[at]);
        configs[at] = kaffic_config_new();
        break;
    case 1: case 2: TOOK(kaffic_config_set(config, text(), text(), &error)); break;
    case 3:
        if (draw(5) == 0) {
            kaffic_client_free(clients[at]);
            clients[at] = NULL;
            TOOK(kaffic_client_new(draw(3) ? "memory://" : text(), NULL, no ? NULL : &clients[at], &error));
        }
        break;
    case 4: TOOK(kaffic_client_metrics(client, no ? NULL : &json, &error)); break;
    case 5: TOOK(kaffic_topic_create(client, topic(), config, wait_ms(), &error)); break;
    case 6: case 7: TOOK(kaffic_topic_ensure(client, topic(), draw(2) ? NULL : config, wait_ms(), &error)); break;
    case 8: TOOK(kaffic_topic_alter(client, topic(), config, wait_ms(), &error)); break;
    case 9: if (draw(5) == 0) TOOK(kaffic_topic_delete(client, topic(), wait_ms(), no ? NULL : &json, &error)); break;
    case 10: TOOK(kaffic_topic_describe(client, topic(), wait_ms(), no ? NULL : &json, &error)); break;
    case 11: TOOK(kaffic_topic_list(client, wait_ms(), no ? NULL : &json, &error)); break;
    case 12: TOOK(kaffic_topic_offset(client, topic(), (int32_t)number(), text(), wait_ms(), no ? NULL : &offset, &error)); break;
    case 13: TOOK(kaffic_topic_verify(client, topic(), wait_ms(), no ? NULL : &json, &error)); break;
    case 14: TOOK(kaffic_topic_compact(client, topic(), wait_ms(), no ? NULL : &json, &error)); break;
    case 15: TOOK(kaffic_topic_trim(client, topic(), config, wait_ms(), no ? NULL : &json, &error)); break;
    case 16: TOOK(kaffic_topic_adopt(client, topic(), draw(2), wait_ms(), no ? NULL : &json, &error)); break;
    case 17: new_list(); break;
    case 18: case 19: case 20:
        TOOK(kaffic_partitions_add(lists[at], topic(), (int32_t)number(), number(), draw(2) ? NULL : text(), &error));
        break;
    case 21: TOOK(kaffic_group_list(client, wait_ms(), no ? NULL : &json, &error)); break;
    case 22: TOOK(kaffic_group_describe(client, text(), wait_ms(), no ? NULL : &json, &error)); break;
    case 23: TOOK(kaffic_group_committed(client, text(), wait_ms(), no ? NULL : &list, &error)); break;
    case 24: TOOK(kaffic_group_commit(client, text(), lists[at], wait_ms(), &error)); break;
    case 25: TOOK(kaffic_group_reset(client, text(), topic(), draw(2) ? NULL : lists[at], text(), draw(2), wait_ms(),
                                     no ? NULL : &json, &error)); break;
    case 26: TOOK(kaffic_group_delete(client, text(), wait_ms(), &error)); break;
    case 27:
        kaffic_queue_free(queues[at]);
        queues[at] = NULL;
        TOOK(kaffic_queue_new(no ? NULL : &queues[at], &error));
        break;
    case 28: case 29:
        kaffic_event_free(event);
        event = NULL;
        TOOK(kaffic_queue_poll(ANY(queues), wait_ms() / 4, no ? NULL : &event, &error));
        kaffic_event_deliveries(event, draw(2) ? NULL : &len, draw(2) ? NULL : &len);
        CHECK(kaffic_event_error(event, SIZE_MAX) == NULL);
        CHECK((event == NULL) == (kaffic_event_kind(event) == KAFFIC_EVENT_NONE));
        CHECK((kaffic_event_partitions(event) != NULL) == (kaffic_event_kind(event) > KAFFIC_EVENT_DELIVERIES));
        CHECK(kaffic_event_tag(event) < 9);
        look(kaffic_event_partitions(event));
        break;
    case 30: case 31: case 32:
        kaffic_producer_free(producers[at]);
        producers[at] = NULL;
        TOOK(kaffic_producer_new(client, topic(), draw(2) ? NULL : config, queue, wait_ms(),
                                 no ? NULL : &producers[at], &error));
        break;
    case 33: case 34: case 35: case 36:
        len = fill(some, headers, 4);
        TOOK(kaffic_producer_send(producer, draw(12) ? some : NULL, draw(12) ? sizeof some[0] : draw(sizeof some[0]), len,
                                  draw(100), wait_ms(), no ? NULL : &len, &error));
        break;
    case 37:
        if (fill(some, headers, 1) == 0) break;
        TOOK(kaffic_producer_send_and_wait(producer, no ? NULL : some, sizeof some[0], wait_ms(), no ? NULL : &delivery,
                                           draw(12) ? sizeof delivery : draw(sizeof delivery), &error));
        break;
    case 38:
        len = fill(some, headers, 4);
        TOOK(kaffic_producer_append(producer, (int32_t)number(), some, sizeof some[0], len, number(), wait_ms(),
                                    no ? NULL : &delivery, draw(12) ? sizeof delivery : draw(sizeof delivery), &error));
        break;
    case 39: TOOK(kaffic_producer_flush(producer, wait_ms(), &error)); break;
    case 40: if (draw(3) == 0) TOOK(kaffic_producer_close(producer, wait_ms(), &error)); break;
    case 41:
        CHECK(kaffic_partition_for_key(draw(3) ? (const uint8_t *)"key" : NULL, draw(4),
                                       kaffic_producer_partitions(producer)) >= -1);
        kaffic_producer_epoch(producer);
        TOOK(kaffic_producer_last_sequence(producer, (int32_t)number(), wait_ms(), no ? NULL : &offset, &error));
        error = NULL;
        TOOK(kaffic_producer_fence_all(producer, wait_ms(), &error));
        break;
    case 42: case 43:
        kaffic_consumer_free(consumers[at]);
        consumers[at] = NULL;
        TOOK(kaffic_consumer_new(client, draw(2) ? NULL : config, queue, draw(9), no ? NULL : &consumers[at], &error));
        break;
    case 44: case 45:
        topics[0] = topic();
        topics[1] = topic();
        TOOK(kaffic_consumer_subscribe(consumer, no ? NULL : topics, draw(3), wait_ms(), &error));
        break;
    case 46:
        if (draw(2)) TOOK(kaffic_consumer_subscribe_pattern(consumer, text(), wait_ms(), &error));
        else TOOK(kaffic_consumer_assign(consumer, lists[at], wait_ms(), &error));
        break;
    case 47: case 48:
        kaffic_records_free(records);
        records = NULL;
        TOOK(kaffic_consumer_poll(consumer, draw(100), wait_ms(), no ? NULL : &records, &error));
        CHECK(kaffic_records_get(records, SIZE_MAX) == NULL);
        CHECK(kaffic_records_data(records, draw(2) ? NULL : &len) == kaffic_records_get(records, 0));
        for (len = 0; len < kaffic_records_len(records); len++) {
            CHECK(kaffic_records_get(records, len)->topic[0] != '\0');
        }
        break;
    case 49:
        TOOK(kaffic_consumer_seek(consumer, topic(), (int32_t)number(), text(), wait_ms(), &error));
        error = NULL;
        TOOK(kaffic_consumer_pause(consumer, topic(), (int32_t)number(), draw(2), &error));
        error = NULL;
        TOOK(kaffic_consumer_positions(consumer, no ? NULL : &list, &error));
        break;
    case 50:
        if (draw(2)) kaffic_consumer_wakeup(consumer);
        TOOK(kaffic_consumer_commit(consumer, draw(2) ? NULL : lists[at], wait_ms(), &error));
        error = NULL;
        TOOK(kaffic_consumer_on_rebalance(consumer, draw(3) ? on_rebalance : NULL, &calls, NULL, &error));
        kaffic_consumer_finished(consumer);
        break;
    case 51: case 52:
        TOOK(kaffic_consumer_commit_async(consumer, &error));
        break;
    case 53:
        if (draw(3) == 0) TOOK(kaffic_client_examine(client, wait_ms(), no ? NULL : &json, &error));
        break;
    case 54:
        CHECK(kaffic_queue_fd(ANY(queues)) >= -1);
        look(lists[at]);
        break;
    case 55:
        TOOK(kaffic_set_log(draw(2) ? on_line : NULL, (kaffic_log_level_t)draw(10), &lines, NULL, &error));
        break;
    default:
        switch (draw(5)) {
        case 0: TOOK(kaffic_consumer_close(consumer, wait_ms(), &error)); break;
        case 1: TOOK(kaffic_consumer_lag(consumer, wait_ms(), no ? NULL : &list, &error)); break;
        case 2: TOOK(kaffic_consumer_end_offsets(consumer, wait_ms(), no ? NULL : &list, &error)); break;
        case 3: TOOK(kaffic_consumer_committed(consumer, no ? NULL : &list, &error)); break;
        default: TOOK(kaffic_consumer_member_name(consumer, no ? NULL : &json, &error)); break;
        }
    }
    look(list);
    kaffic_partitions_free(list);
    kaffic_string_free(json);
}

static void take_down(void) {
    int at;
    for (at = 0; at < HANDLES; at++) {
        kaffic_config_free(configs[at]);
        kaffic_client_free(clients[at]);
        kaffic_producer_free(producers[at]);
        kaffic_consumer_free(consumers[at]);
        kaffic_queue_free(queues[at]);
        kaffic_partitions_free(lists[at]);
        configs[at] = NULL;
        clients[at] = NULL;
        producers[at] = NULL;
        consumers[at] = NULL;
        queues[at] = NULL;
        lists[at] = NULL;
    }
}

/* Something that works, so that not everything is refused. */
static void set_up(void) {
    const char *const grouped[] = {"group", "g", NULL}, *const named[] = {"name", "n", NULL};
    kaffic_config_t *member = settings(grouped), *name = settings(named);
    const char *t = "t";
    int at;
    for (at = 0; at < HANDLES; at++) {
        OK(kaffic_client_new("memory://", NULL, &clients[at], &error));
        OK(kaffic_topic_ensure(clients[at], t, NULL, -1, &error));
        OK(kaffic_producer_new(clients[at], t, at == 1 ? name : NULL, NULL, -1, &producers[at], &error));
        OK(kaffic_queue_new(&queues[at], &error));
        OK(kaffic_consumer_new(clients[at], at == 1 ? member : NULL, queues[at], 1, &consumers[at], &error));
        OK(kaffic_consumer_on_rebalance(consumers[at], on_rebalance, &calls, NULL, &error));
        OK(kaffic_consumer_subscribe(consumers[at], &t, 1, -1, &error));
        configs[at] = kaffic_config_new();
        lists[at] = kaffic_partitions_new();
        OK(kaffic_partitions_add(lists[at], t, 0, 0, NULL, &error));
    }
    kaffic_config_free(member);
    kaffic_config_free(name);
}

int main(int argc, char **argv) {
    long sequences = argc > 1 ? atol(argv[1]) : 100, at;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    for (at = 0; at < sequences; at++, seed++) {
        kaffic_error_t *error = NULL;
        int each;
        state = seed * 0x9e3779b97f4a7c15ULL | 1;
        /* What was made last is still there at times, so sequences go on where others ended. */
        if (at == 0 || draw(4) == 0) {
            take_down();
            if (draw(20) == 0) {
                kaffic_status_t came = kaffic_shutdown(1000, &error);
                took(came, error);
            }
            set_up();
        }
        for (each = 0; each < CALLS; each++) call();
    }
    take_down();
    kaffic_records_free(records);
    kaffic_event_free(event);
    OK(kaffic_set_log(NULL, KAFFIC_LOG_ERROR, NULL, NULL, &error));
    OK(kaffic_shutdown(60000, &error));
    CHECK(lines > 0 || sequences < 5000);
    CHECK(failures > 0 && failures < calls);
    printf("%ld sequences, %ld calls, %ld of them refused\n", sequences, calls, failures);
    return 0;
}
