/* The scenarios of bindings/conformance through the C library: conformance FILE… */
#include "test.h"
#include <ctype.h>
#include <stdarg.h>

#define MOST 64
#define LONG_MS 60000

typedef struct { char *data; size_t len; } word_t;
typedef struct { char name[256]; word_t value; int has_value; } pair_t;
typedef struct { const char *topic; int partition; } own_t;

typedef struct {
    char verb[64];
    word_t args[MOST];
    int args_len;
    pair_t given[MOST], expected[MOST];
    int given_len, expected_len;
} step_t;

typedef struct {
    char name[64];
    kaffic_producer_t *producer;
    kaffic_queue_t *deliveries;
    kaffic_consumer_t *consumer;
    kaffic_records_t *ahead[4096]; /* polled one at a time, and not yet asked for */
    int first, last;
    char owns[MOST][128];
    int owns_len;
} thing_t;

static kaffic_client_t *client;
static thing_t things[MOST];
static int things_len;
static char fields[MOST][2][512];
static int fields_len;
static kaffic_error_t *failed;
static char wrong[4096];

static int say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(wrong, sizeof wrong, format, list);
    va_end(list);
    return 0;
}

static void field(const char *name, const char *format, ...) {
    va_list list;
    va_start(list, format);
    CHECK(fields_len < MOST);
    snprintf(fields[fields_len][0], sizeof fields[0][0], "%s", name);
    vsnprintf(fields[fields_len][1], sizeof fields[0][1], format, list);
    fields_len++;
    va_end(list);
}

/* %XX is a byte, and repeat:x:N is x, N times. */
static word_t decoded(const char *text, size_t len) {
    word_t word = {(char *)malloc(len + 1), 0};
    size_t at, times = 1, unit;
    const char *end = text + len, *colon;
    if (len > 7 && memcmp(text, "repeat:", 7) == 0) {
        for (colon = end - 1; colon > text + 6 && *colon != ':'; colon--) {
        }
        if (colon > text + 6) {
            times = strtoul(colon + 1, NULL, 10);
            text += 7;
            len = (size_t)(colon - text);
        }
    }
    for (at = 0; at < len; at++) {
        if (text[at] == '%') {
            char hex[3] = {text[at + 1], text[at + 2], 0};
            word.data[word.len++] = (char)strtoul(hex, NULL, 16);
            at += 2;
        } else {
            word.data[word.len++] = text[at];
        }
    }
    unit = word.len;
    word.data = (char *)realloc(word.data, unit * times + 1);
    for (at = 1; at < times; at++) {
        memcpy(word.data + at * unit, word.data, unit);
    }
    word.len = unit * times;
    word.data[word.len] = '\0';
    return word;
}

static void parse(step_t *step, char *line) {
    int behind = 0, first = 1;
    char *word, *next;
    memset(step, 0, sizeof *step);
    for (word = line; word != NULL; word = next) {
        char *equals;
        next = strchr(word, ' ');
        if (next != NULL) {
            *next++ = '\0';
        }
        equals = strchr(word, '=');
        if (first) {
            snprintf(step->verb, sizeof step->verb, "%s", word);
            first = 0;
        } else if (strcmp(word, "->") == 0) {
            behind = 1;
        } else if (!behind && equals == NULL) {
            CHECK(step->args_len < MOST);
            step->args[step->args_len++] = decoded(word, strlen(word));
        } else {
            pair_t *pair = behind ? &step->expected[step->expected_len++] : &step->given[step->given_len++];
            size_t name_len = equals == NULL ? strlen(word) : (size_t)(equals - word);
            snprintf(pair->name, sizeof pair->name, "%.*s", (int)name_len, word);
            pair->has_value = equals != NULL;
            pair->value = equals == NULL ? decoded("", 0) : decoded(equals + 1, strlen(equals + 1));
        }
    }
}

static void forget(step_t *step) {
    int at;
    for (at = 0; at < step->args_len; at++) free(step->args[at].data);
    for (at = 0; at < step->given_len; at++) free(step->given[at].value.data);
    for (at = 0; at < step->expected_len; at++) free(step->expected[at].value.data);
}

static const char *arg(const step_t *step, int at) { return at < step->args_len ? step->args[at].data : ""; }

static const pair_t *find(const pair_t *pairs, int len, const char *name) {
    int at;
    for (at = 0; at < len; at++) {
        if (strcmp(pairs[at].name, name) == 0) return &pairs[at];
    }
    return NULL;
}

static const char *expects(const step_t *step, const char *name) {
    const pair_t *pair = find(step->expected, step->expected_len, name);
    return pair == NULL ? NULL : pair->value.data;
}

static kaffic_config_t *given(const step_t *step) {
    kaffic_config_t *config = kaffic_config_new();
    int at;
    for (at = 0; at < step->given_len; at++) {
        OK(kaffic_config_set(config, step->given[at].name, step->given[at].value.data, &error));
    }
    return config;
}

static thing_t *thing(const char *name) {
    int at;
    for (at = 0; at < things_len; at++) {
        if (strcmp(things[at].name, name) == 0) return &things[at];
    }
    return NULL;
}

static kaffic_bytes_t to_bytes(word_t word) {
    kaffic_bytes_t bytes;
    bytes.data = (const uint8_t *)word.data;
    bytes.len = word.len;
    return bytes;
}

/* NAME:VALUE, or NAME with a null value. */
static kaffic_header_t to_header(word_t word) {
    kaffic_header_t header;
    const char *colon = (const char *)memchr(word.data, ':', word.len);
    header.name = to_bytes(word);
    header.value.data = NULL;
    header.value.len = 0;
    if (colon != NULL) {
        header.name.len = (size_t)(colon - word.data);
        header.value.data = (const uint8_t *)colon + 1;
        header.value.len = word.len - header.name.len - 1;
    }
    return header;
}

/* Splits TOPIC:PARTITION in place; returns the partition. */
static int place(char *text) {
    char *colon = strrchr(text, ':');
    CHECK(colon != NULL);
    *colon = '\0';
    return atoi(colon + 1);
}

static void list_fields(kaffic_partitions_t *list) {
    size_t at;
    char name[300];
    for (at = 0; at < kaffic_partitions_len(list); at++) {
        const kaffic_partition_t *each = kaffic_partitions_get(list, at);
        snprintf(name, sizeof name, "%s:%d", each->topic, each->partition);
        field(name, "%lld", (long long)each->offset);
    }
    kaffic_partitions_free(list);
}

/* A field of a JSON object, as text. */
static int json_field(const char *json, const char *name, char *out, size_t size) {
    char quoted[128];
    const char *at, *end;
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    at = strstr(json, quoted);
    if (at == NULL) return 0;
    at += strlen(quoted);
    if (*at == '"') {
        end = strchr(++at, '"');
    } else {
        end = at + strcspn(at, ",}");
    }
    snprintf(out, size, "%.*s", (int)(end - at), at);
    return 1;
}

static int count(const char *text, const char *part) {
    int times = 0;
    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) times++;
    return times;
}

static void json_names(const char *json) {
    char name[256];
    while ((json = strstr(json, "\"name\":")) != NULL) {
        json_field(json, "name", name, sizeof name);
        field(name, "%s", "");
        json++;
    }
}

/* The fields that a step expects, of a JSON object. */
static void json_fields(const step_t *step, const char *json) {
    char value[256];
    int at;
    for (at = 0; at < step->expected_len; at++) {
        const char *name = step->expected[at].name;
        if (strcmp(name, "issues") == 0) {
            field(name, "%d", count(json, "\"problem\":"));
        } else if (json_field(json, name, value, sizeof value)) {
            field(name, "%s", value);
        }
    }
}

static void rebalanced(void *userdata, kaffic_event_kind_t kind, const kaffic_partitions_t *partitions,
                       kaffic_partitions_t *commits) {
    thing_t *of = (thing_t *)userdata;
    size_t at;
    int own;
    (void)commits;
    for (at = 0; at < kaffic_partitions_len(partitions); at++) {
        const kaffic_partition_t *each = kaffic_partitions_get(partitions, at);
        char name[128];
        snprintf(name, sizeof name, "%s:%d", each->topic, each->partition);
        if (kind == KAFFIC_EVENT_ASSIGNED) {
            CHECK(of->owns_len < MOST);
            strcpy(of->owns[of->owns_len++], name);
        } else {
            for (own = 0; own < of->owns_len; own++) {
                if (strcmp(of->owns[own], name) == 0) strcpy(of->owns[own], of->owns[--of->owns_len]);
            }
        }
    }
}

/* Polls once, for what will be asked for later too; 1 if a record came, 0 if none, -1 if it failed. */
static int fetch(thing_t *of, int64_t wait_ms) {
    kaffic_records_t *records = NULL;
    if (kaffic_consumer_poll(of->consumer, 1, wait_ms, &records, &failed) != KAFFIC_OK) return -1;
    if (records == NULL) return 0;
    CHECK(of->last < (int)(sizeof of->ahead / sizeof of->ahead[0]));
    of->ahead[of->last++] = records;
    return 1;
}

/* The next record, to be freed with its list. */
static kaffic_records_t *next(thing_t *of) {
    if (of->first == of->last && fetch(of, LONG_MS) <= 0) {
        if (failed == NULL) say("no record came");
        return NULL;
    }
    return of->ahead[of->first++];
}

static int is(kaffic_bytes_t bytes, word_t word) {
    return bytes.data != NULL && bytes.len == word.len && memcmp(bytes.data, word.data, word.len) == 0;
}

static int same(const step_t *step, const kaffic_consumer_record_t *record) {
    int at;
    size_t headers = 0;
    for (at = 0; at < step->expected_len; at++) {
        const pair_t *pair = &step->expected[at];
        const char *name = pair->name, *text = pair->value.data;
        int good = 0;
        if (strcmp(name, "topic") == 0) good = strcmp(record->topic, text) == 0;
        else if (strcmp(name, "key") == 0) good = is(record->key, pair->value);
        else if (strcmp(name, "value") == 0) good = is(record->value, pair->value);
        else if (strcmp(name, "null") == 0) good = (*text == 'k' ? record->key : record->value).data == NULL;
        else if (strcmp(name, "partition") == 0) good = record->partition == atoi(text);
        else if (strcmp(name, "offset") == 0) good = record->offset == atoll(text);
        else if (strcmp(name, "timestamp") == 0) good = record->timestamp_ms == atoll(text);
        else if (strcmp(name, "headers") == 0) good = (int)record->headers_len == atoi(text);
        else if (strcmp(name, "header") == 0 && headers < record->headers_len) {
            kaffic_header_t came = record->headers[headers], wanted = to_header(pair->value);
            headers++;
            good = came.name.len == wanted.name.len && came.value.len == wanted.value.len &&
                   (came.value.data == NULL) == (wanted.value.data == NULL) &&
                   memcmp(came.name.data, wanted.name.data, came.name.len) == 0 &&
                   (came.value.data == NULL || memcmp(came.value.data, wanted.value.data, came.value.len) == 0);
        }
        if (!good) return say("%s is another, at offset %lld", name, (long long)record->offset);
    }
    if (headers > 0 && headers != record->headers_len) return say("there are other headers");
    return 1;
}

/* A number for a topic's partition. */
static long lane(const kaffic_consumer_record_t *record, char names[MOST][128], int *len) {
    char name[128];
    int at;
    snprintf(name, sizeof name, "%s:%d", record->topic, record->partition);
    for (at = 0; at < *len; at++) {
        if (strcmp(names[at], name) == 0) return at;
    }
    CHECK(*len < MOST);
    strcpy(names[*len], name);
    return (*len)++;
}

static long number_in(kaffic_bytes_t bytes, size_t skip) {
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)(bytes.len - skip), (const char *)bytes.data + skip);
    return atol(text);
}

static int read_records(const step_t *step, thing_t *of) {
    const char *verb = step->verb;
    int wanted = atoi(arg(step, 1)), keys = atoi(arg(step, 2)), at;
    kaffic_records_t *records;
    const kaffic_consumer_record_t *record;
    if (strcmp(verb, "next") == 0) {
        int good;
        if ((records = next(of)) == NULL) return 0;
        good = same(step, kaffic_records_get(records, 0));
        kaffic_records_free(records);
        return good;
    }
    if (strcmp(verb, "values") == 0) {
        for (at = 1; at < step->args_len; at++) {
            int good;
            if ((records = next(of)) == NULL) return 0;
            good = is(kaffic_records_get(records, 0)->value, step->args[at]);
            kaffic_records_free(records);
            if (!good) return say("another value came than %s", step->args[at].data);
        }
        return 1;
    }
    if (strcmp(verb, "count") == 0 || strcmp(verb, "ordered") == 0) {
        long last[MOST];
        char lanes[MOST][128];
        int lanes_len = 0, seen[MOST] = {0}, ordered = strcmp(verb, "ordered") == 0;
        for (at = 0; at < MOST; at++) last[at] = -1;
        for (at = 0; at < wanted; at++) {
            long of_what, number;
            if ((records = next(of)) == NULL) return 0;
            record = kaffic_records_get(records, 0);
            of_what = ordered ? number_in(record->key, 1) : lane(record, lanes, &lanes_len);
            number = ordered ? number_in(record->value, 0) : (long)record->offset;
            kaffic_records_free(records);
            if (number <= last[of_what]) return say("%ld came after %ld", number, last[of_what]);
            if (ordered && number % keys != of_what) return say("%ld has the key k%ld", number, of_what);
            last[of_what] = number;
            seen[of_what]++;
        }
        for (at = 0; ordered && at < keys; at++) {
            if (seen[at] != (wanted - at + keys - 1) / keys) return say("of k%d came %d", at, seen[at]);
        }
        return 1;
    }
    if (strcmp(verb, "finished") == 0) {
        for (at = 0; at < 100; at++) {
            int came = fetch(of, LONG_MS);
            if (came != 0 || of->first != of->last) return failed != NULL ? 0 : say("there was more");
            if (kaffic_consumer_finished(of->consumer)) return 1;
        }
        return say("it is not finished");
    }
    if (strcmp(verb, "quiet") == 0) {
        int came = fetch(of, 200);
        return came == 0 ? 1 : failed != NULL ? 0 : say("there was more");
    }
    return say("no step of a consumer: %s", verb);
}

static int consume(const step_t *step, thing_t *of) {
    const char *verb = step->verb;
    kaffic_consumer_t *consumer = of->consumer;
    kaffic_partitions_t *list = NULL;
    kaffic_status_t status;
    int at;
    if (strcmp(verb, "subscribe") == 0) {
        const char *topics[MOST];
        for (at = 1; at < step->args_len; at++) topics[at - 1] = step->args[at].data;
        status = kaffic_consumer_subscribe(consumer, topics, (size_t)(step->args_len - 1), LONG_MS, &failed);
    } else if (strcmp(verb, "pattern") == 0) {
        status = kaffic_consumer_subscribe_pattern(consumer, arg(step, 1), LONG_MS, &failed);
    } else if (strcmp(verb, "assign") == 0) {
        list = kaffic_partitions_new();
        for (at = 1; at < step->args_len; at++) {
            char *text = step->args[at].data, *from = strchr(text, '@');
            int64_t offset = from == NULL ? KAFFIC_NO_OFFSET : atoll(from + 1);
            int partition;
            if (from != NULL) *from = '\0';
            partition = place(text);
            OK(kaffic_partitions_add(list, text, partition, offset, NULL, &error));
        }
        status = kaffic_consumer_assign(consumer, list, LONG_MS, &failed);
        kaffic_partitions_free(list);
    } else if (strcmp(verb, "seek") == 0) {
        int partition = place(step->args[1].data);
        status = kaffic_consumer_seek(consumer, arg(step, 1), partition, arg(step, 2), LONG_MS, &failed);
    } else if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0) {
        int partition = place(step->args[1].data);
        status = kaffic_consumer_pause(consumer, arg(step, 1), partition, *verb == 'p', &failed);
    } else if (strcmp(verb, "positions") == 0) {
        status = kaffic_consumer_positions(consumer, &list, &failed);
        if (status == KAFFIC_OK) list_fields(list);
    } else if (strcmp(verb, "ends") == 0) {
        status = kaffic_consumer_end_offsets(consumer, LONG_MS, &list, &failed);
        if (status == KAFFIC_OK) list_fields(list);
    } else if (strcmp(verb, "lag") == 0) {
        status = kaffic_consumer_lag(consumer, LONG_MS, &list, &failed);
        if (status == KAFFIC_OK) list_fields(list);
    } else if (strcmp(verb, "committed") == 0) {
        status = kaffic_consumer_committed(consumer, &list, &failed);
        if (status == KAFFIC_OK) list_fields(list);
    } else if (strcmp(verb, "commit") == 0) {
        if (step->given_len > 0) list = kaffic_partitions_new();
        for (at = 0; at < step->given_len; at++) {
            char name[256];
            int partition;
            strcpy(name, step->given[at].name);
            partition = place(name);
            OK(kaffic_partitions_add(list, name, partition, atoll(step->given[at].value.data), NULL, &error));
        }
        status = kaffic_consumer_commit(consumer, list, LONG_MS, &failed);
        kaffic_partitions_free(list);
    } else if (strcmp(verb, "close") == 0) {
        status = kaffic_consumer_close(consumer, LONG_MS, &failed);
    } else {
        return read_records(step, of);
    }
    return status == KAFFIC_OK;
}

static void delivered(const kaffic_delivery_t *delivery) {
    field("partition", "%d", delivery->partition);
    field("offset", "%lld", (long long)delivery->offset);
    field("timestamp", "%lld", (long long)delivery->timestamp_ms);
    field("duplicate", "%s", delivery->flags & KAFFIC_DELIVERY_DUPLICATE ? "true" : "false");
}

/* Sends N records at once, and polls for as many deliveries. */
static int burst(const step_t *step, thing_t *of) {
    const pair_t *keys = find(step->given, step->given_len, "keys");
    int wanted = atoi(arg(step, 1)), at, told = 0;
    for (at = 0; at < wanted; at++) {
        char key[32], value[32];
        kaffic_record_t record;
        snprintf(value, sizeof value, "%d", at);
        snprintf(key, sizeof key, "k%d", keys == NULL ? 0 : at % atoi(keys->value.data));
        record = record_of(keys == NULL ? NULL : key, value);
        if (kaffic_producer_send(of->producer, &record, sizeof record, 1, (uint64_t)at, LONG_MS, NULL, &failed)) {
            return 0;
        }
    }
    while (told < wanted) {
        kaffic_event_t *event = NULL;
        size_t len, stride, each;
        const char *first;
        OK(kaffic_queue_poll(of->deliveries, LONG_MS, &event, &error));
        if (event == NULL) return say("only %d deliveries came", told);
        first = (const char *)kaffic_event_deliveries(event, &len, &stride);
        for (each = 0; each < len; each++) {
            const kaffic_delivery_t *delivery = (const kaffic_delivery_t *)(first + each * stride);
            if (delivery->status != KAFFIC_OK) {
                return say("%s", kaffic_error_message(kaffic_event_error(event, each)));
            }
            told++;
        }
        kaffic_event_free(event);
    }
    return 1;
}

static int produce(const step_t *step, thing_t *of) {
    const char *verb = step->verb;
    kaffic_producer_t *producer = of->producer;
    kaffic_delivery_t delivery;
    kaffic_header_t headers[MOST];
    kaffic_record_t records[MOST];
    const pair_t *pair;
    int64_t number;
    int at, len = 0;
    memset(records, 0, sizeof records);
    if (strcmp(verb, "send") == 0) {
        kaffic_record_t *record = &records[0];
        for (at = 0; at < step->given_len; at++) {
            const char *name = step->given[at].name;
            word_t value = step->given[at].value;
            if (strcmp(name, "key") == 0) record->key = to_bytes(value);
            else if (strcmp(name, "value") == 0) record->value = to_bytes(value);
            else if (strcmp(name, "header") == 0) headers[len++] = to_header(value);
            else if (strcmp(name, "timestamp") == 0) {
                record->timestamp_ms = atoll(value.data);
                record->flags |= KAFFIC_RECORD_TIMESTAMP;
            } else if (strcmp(name, "partition") == 0) {
                record->partition = atoi(value.data);
                record->flags |= KAFFIC_RECORD_PARTITION;
            } else if (strcmp(name, "sequence") == 0) {
                record->sequence = atoll(value.data);
                record->flags |= KAFFIC_RECORD_SEQUENCE;
            } else return say("no part of a record: %s", name);
        }
        record->headers = headers;
        record->headers_len = (size_t)len;
        if (kaffic_producer_send_and_wait(producer, record, sizeof *record, LONG_MS, &delivery, sizeof delivery, &failed)) return 0;
        delivered(&delivery);
        return 1;
    }
    if (strcmp(verb, "append") == 0) {
        for (at = 0; at < step->given_len; at++) {
            if (strcmp(step->given[at].name, "value") == 0) records[len++].value = to_bytes(step->given[at].value);
        }
        pair = find(step->given, step->given_len, "expected");
        number = pair == NULL ? KAFFIC_NO_OFFSET : atoll(pair->value.data);
        if (kaffic_producer_append(producer, atoi(arg(step, 1)), records, sizeof records[0], (size_t)len, number,
                                   LONG_MS, &delivery, sizeof delivery, &failed)) {
            return 0;
        }
        delivered(&delivery);
        return 1;
    }
    if (strcmp(verb, "burst") == 0) return burst(step, of);
    if (strcmp(verb, "flush") == 0) return kaffic_producer_flush(producer, LONG_MS, &failed) == KAFFIC_OK;
    if (strcmp(verb, "fence") == 0) return kaffic_producer_fence_all(producer, LONG_MS, &failed) == KAFFIC_OK;
    if (strcmp(verb, "close") == 0) return kaffic_producer_close(producer, LONG_MS, &failed) == KAFFIC_OK;
    if (strcmp(verb, "epoch") == 0) {
        number = kaffic_producer_epoch(producer);
    } else {
        CHECK(strcmp(verb, "last") == 0);
        if (kaffic_producer_last_sequence(producer, atoi(arg(step, 1)), LONG_MS, &number, &failed)) return 0;
    }
    if (number < 0) field("is", "none");
    else field("is", "%lld", (long long)number);
    return 1;
}

static int share(const step_t *step) {
    int wanted = atoi(arg(step, 0)), round, at, own, other;
    for (round = 0; round < 600; round++) {
        char all[MOST][128];
        int len = 0, each = 1, twice = 0;
        for (at = 1; at < step->args_len; at++) {
            thing_t *of = thing(arg(step, at));
            if (fetch(of, 100) < 0) return 0;
            each = each && of->owns_len > 0;
            for (own = 0; own < of->owns_len; own++) {
                for (other = 0; other < len; other++) twice |= strcmp(all[other], of->owns[own]) == 0;
                strcpy(all[len++], of->owns[own]);
            }
        }
        if (each && len == wanted && !twice) return 1;
    }
    return say("they did not come to share the partitions");
}

static int make(const step_t *step) {
    kaffic_config_t *config = given(step);
    thing_t *made = &things[things_len];
    kaffic_status_t status;
    CHECK(things_len < MOST);
    memset(made, 0, sizeof *made);
    if (strcmp(step->verb, "producer") == 0) {
        OK(kaffic_queue_new(&made->deliveries, &error));
        status = kaffic_producer_new(client, arg(step, 1), config, made->deliveries, LONG_MS, &made->producer, &failed);
    } else {
        status = kaffic_consumer_new(client, config, NULL, 0, &made->consumer, &failed);
    }
    kaffic_config_free(config);
    if (status != KAFFIC_OK) {
        kaffic_queue_free(made->deliveries);
        return 0;
    }
    if (made->consumer != NULL) {
        OK(kaffic_consumer_on_rebalance(made->consumer, rebalanced, made, NULL, &error));
    }
    snprintf(made->name, sizeof made->name, "%s", arg(step, 0));
    things_len++;
    return 1;
}

static int of_groups(const step_t *step) {
    const char *verb = step->verb, *group = arg(step, 0);
    kaffic_partitions_t *list = NULL;
    kaffic_status_t status;
    char *json = NULL;
    int at;
    if (strcmp(verb, "groups") == 0) {
        if (kaffic_group_list(client, LONG_MS, &json, &failed)) return 0;
        json_names(json);
    } else if (strcmp(verb, "group") == 0) {
        if (kaffic_group_describe(client, group, LONG_MS, &json, &failed)) return 0;
        field("members", "%d", count(json, "\"joined_ms\":"));
        OK(kaffic_group_committed(client, group, LONG_MS, &list, &error));
        list_fields(list);
    } else if (strcmp(verb, "commit-group") == 0) {
        list = kaffic_partitions_new();
        for (at = 0; at < step->given_len; at++) {
            char name[256];
            int partition;
            strcpy(name, step->given[at].name);
            partition = place(name);
            status = kaffic_partitions_add(list, name, partition, atoll(step->given[at].value.data), NULL, &failed);
            if (status != KAFFIC_OK) {
                kaffic_partitions_free(list);
                return 0;
            }
        }
        status = kaffic_group_commit(client, group, list, LONG_MS, &failed);
        kaffic_partitions_free(list);
        return status == KAFFIC_OK;
    } else if (strcmp(verb, "reset") == 0) {
        const char *rest;
        status = kaffic_group_reset(client, group, arg(step, 1), NULL, arg(step, 2), false, LONG_MS, &json, &failed);
        if (status != KAFFIC_OK) return 0;
        for (rest = strchr(json, '{'); rest != NULL; rest = strchr(rest + 1, '{')) {
            char topic[128], partition[32], offset[32], name[200];
            CHECK(json_field(rest, "topic", topic, sizeof topic));
            CHECK(json_field(rest, "partition", partition, sizeof partition));
            CHECK(json_field(rest, "offset", offset, sizeof offset));
            snprintf(name, sizeof name, "%s:%s", topic, partition);
            field(name, "%s", offset);
        }
    } else {
        CHECK(strcmp(verb, "delete-group") == 0);
        return kaffic_group_delete(client, group, LONG_MS, &failed) == KAFFIC_OK;
    }
    kaffic_string_free(json);
    return 1;
}

static int admin(const step_t *step) {
    const char *verb = step->verb, *topic = arg(step, 0);
    kaffic_config_t *config;
    kaffic_status_t status;
    char *json = NULL;
    int64_t offset;
    if (strstr(verb, "group") != NULL || strcmp(verb, "reset") == 0) return of_groups(step);
    config = given(step);
    if (strcmp(verb, "create") == 0) status = kaffic_topic_create(client, topic, config, LONG_MS, &failed);
    else if (strcmp(verb, "alter") == 0) status = kaffic_topic_alter(client, topic, config, LONG_MS, &failed);
    else if (strcmp(verb, "delete") == 0) status = kaffic_topic_delete(client, topic, LONG_MS, &json, &failed);
    else if (strcmp(verb, "topics") == 0) status = kaffic_topic_list(client, LONG_MS, &json, &failed);
    else if (strcmp(verb, "topic") == 0) status = kaffic_topic_describe(client, topic, LONG_MS, &json, &failed);
    else if (strcmp(verb, "verify") == 0) status = kaffic_topic_verify(client, topic, LONG_MS, &json, &failed);
    else if (strcmp(verb, "compact") == 0) status = kaffic_topic_compact(client, topic, LONG_MS, &json, &failed);
    else if (strcmp(verb, "trim") == 0) status = kaffic_topic_trim(client, topic, config, LONG_MS, &json, &failed);
    else {
        CHECK(strcmp(verb, "offset") == 0);
        status = kaffic_topic_offset(client, topic, atoi(arg(step, 1)), arg(step, 2), LONG_MS, &offset, &failed);
        if (status == KAFFIC_OK) field("is", "%lld", (long long)offset);
    }
    kaffic_config_free(config);
    if (status != KAFFIC_OK) return 0;
    if (strcmp(verb, "topics") == 0) json_names(json);
    else if (json != NULL) json_fields(step, json);
    kaffic_string_free(json);
    return 1;
}

static int run(const step_t *step) {
    thing_t *of = thing(arg(step, 0));
    if (strcmp(step->verb, "producer") == 0 || strcmp(step->verb, "consumer") == 0) return make(step);
    if (strcmp(step->verb, "share") == 0) return share(step);
    if (of == NULL) return admin(step);
    return of->producer != NULL ? produce(step, of) : consume(step, of);
}

/* Whether what came is what was expected. */
static int compare(const step_t *step) {
    static const char *const whole[] = {"topics", "groups", "positions", "ends", "lag", "committed", "reset"};
    int at, each;
    if (strcmp(step->verb, "next") == 0) return 1;
    for (at = 0; at < step->expected_len; at++) {
        const pair_t *pair = &step->expected[at];
        int found = 0;
        for (each = 0; each < fields_len; each++) {
            if (strcmp(fields[each][0], pair->name) == 0) {
                found = 1;
                if (strcmp(fields[each][1], pair->value.data) != 0) {
                    return say("%s is %s", pair->name, fields[each][1]);
                }
            }
        }
        if (!found) return say("there is no %s", pair->name);
    }
    for (at = 0; at < (int)(sizeof whole / sizeof whole[0]); at++) {
        if (strcmp(step->verb, whole[at]) == 0 && fields_len != step->expected_len) {
            return say("there were %d, not %d", fields_len, step->expected_len);
        }
    }
    return 1;
}

static int take(const step_t *step) {
    const char *status = expects(step, "error"), *text;
    int good;
    fields_len = 0;
    wrong[0] = '\0';
    failed = NULL;
    if (run(step)) return status == NULL ? compare(step) : say("it did not fail");
    if (failed == NULL) return 0;
    good = status != NULL && strcmp(kaffic_status_name(kaffic_error_status(failed)), status) == 0;
    if ((text = expects(step, "says")) != NULL) good &= strstr(kaffic_error_message(failed), text) != NULL;
    if ((text = expects(step, "tail")) != NULL) good &= kaffic_error_tail(failed) == atoll(text);
    if ((text = expects(step, "earliest")) != NULL) good &= kaffic_error_earliest(failed) == atoll(text);
    if (!good) say("%s: %s", kaffic_status_name(kaffic_error_status(failed)), kaffic_error_message(failed));
    kaffic_error_free(failed);
    return good;
}

static void scenario(const char *path) {
    char line[8192], kept[8192], name[256];
    const char *slash = strrchr(path, '/');
    FILE *file = fopen(path, "r");
    int number = 0, at;
    step_t step;
    CHECK(file != NULL);
    snprintf(name, sizeof name, "c-%s-%s", getenv("KAFFIC_TEST_RUN") ? getenv("KAFFIC_TEST_RUN") : "0",
             slash == NULL ? path : slash + 1);
    *strrchr(name, '.') = '\0';
    client = test_client(name);
    while (fgets(line, sizeof line, file) != NULL) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        strcpy(kept, line);
        if (line[0] == '\0' || line[0] == '#') continue;
        parse(&step, line);
        if (!take(&step)) {
            fprintf(stderr, "%s line %d: %s\n  %s\n", path, number, wrong, kept);
            exit(1);
        }
        forget(&step);
    }
    fclose(file);
    for (at = 0; at < things_len; at++) {
        thing_t *of = &things[at];
        while (of->first < of->last) kaffic_records_free(of->ahead[of->first++]);
        kaffic_producer_free(of->producer);
        kaffic_consumer_free(of->consumer);
        kaffic_queue_free(of->deliveries);
    }
    things_len = 0;
    kaffic_client_free(client);
}

int main(int argc, char **argv) {
    int at;
    CHECK(argc > 1);
    for (at = 1; at < argc; at++) scenario(argv[at]);
    printf("%d scenarios passed\n", argc - 1);
    return 0;
}
