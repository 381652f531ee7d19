/* A fork with a thousand records under way: the child can't use what the parent made, frees it without harm, and
 * works with what it makes itself; the parent loses nothing, and nothing is sent twice. fork [TIMES] */
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 1000
#define LONG_MS 60000

static void send_thousand(kaffic_producer_t *producer, int round) {
    kaffic_record_t records[RECORDS];
    static char values[RECORDS][32];
    size_t accepted = 0;
    int at;
    for (at = 0; at < RECORDS; at++) {
        snprintf(values[at], sizeof values[at], "%d:%d", round, at);
        records[at] = record_of(NULL, values[at]);
    }
    OK(kaffic_producer_send(producer, records, sizeof records[0], RECORDS, 0, LONG_MS, &accepted, &error));
    CHECK(accepted == RECORDS);
}

/* Log lines come on any thread. */
static long lines;

static void line(void *userdata, kaffic_log_level_t level, const char *target, const char *message) {
    CHECK(userdata == &lines && level <= KAFFIC_LOG_TRACE && target != NULL && message != NULL);
    __atomic_fetch_add(&lines, 1, __ATOMIC_SEQ_CST);
}

static int child(const char *name, kaffic_client_t *client, kaffic_producer_t *producer,
                 kaffic_consumer_t *consumer, kaffic_queue_t *queue, kaffic_records_t *records, kaffic_config_t *config,
                 int round) {
    const char *topic = "forked";
    kaffic_record_t record = record_of("k", "child");
    kaffic_client_t *own = NULL;
    kaffic_producer_t *sends = NULL;
    kaffic_consumer_t *reads = NULL;
    kaffic_records_t *polled = NULL;
    kaffic_event_t *event = NULL;
    char *json = NULL;
    long before = __atomic_load_n(&lines, __ATOMIC_SEQ_CST);
    size_t at;
    alarm(120);
    FAILS(KAFFIC_FORKED, "forked", kaffic_topic_create(client, "x", NULL, 0, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_client_metrics(client, &json, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_producer_send(producer, &record, sizeof record, 1, 0, 0, NULL, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_producer_flush(producer, -1, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_producer_close(producer, -1, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_consumer_poll(consumer, 1, -1, &polled, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_consumer_close(consumer, -1, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_queue_poll(queue, -1, &event, &error));
    FAILS(KAFFIC_FORKED, "forked", kaffic_producer_new(client, topic, NULL, NULL, -1, &sends, &error));
    CHECK(kaffic_queue_fd(queue) == -1 && kaffic_producer_partitions(producer) == -1);
    CHECK(kaffic_consumer_finished(consumer));
    kaffic_consumer_wakeup(consumer);
    /* What is plain data works. */
    for (at = 0; at < kaffic_records_len(records); at++) {
        CHECK(kaffic_records_get(records, at)->value.len > 0);
    }
    OK(kaffic_config_set(config, "until", "latest", &error));
    if (round % 2 == 0) {
        kaffic_producer_free(producer);
        kaffic_consumer_free(consumer);
        kaffic_queue_free(queue);
        kaffic_client_free(client);
        kaffic_records_free(records);
        kaffic_config_free(config);
    }
    own = test_client(name);
    OK(kaffic_producer_new(own, "of-children", NULL, NULL, LONG_MS, &sends, &error));
    OK(kaffic_producer_send_and_wait(sends, &record, sizeof record, LONG_MS, NULL, 0, &error));
    /* A batch that fails is told in the log: the parent has said where, and that can be changed. */
    FAILS(KAFFIC_CONDITION_FAILED, "of-children",
          kaffic_producer_append(sends, 0, &record, sizeof record, 1, INT32_MAX, LONG_MS, NULL, 0, &error));
    CHECK(__atomic_load_n(&lines, __ATOMIC_SEQ_CST) > before);
    OK(kaffic_set_log(NULL, KAFFIC_LOG_ERROR, NULL, NULL, &error));
    OK(kaffic_producer_close(sends, LONG_MS, &error));
    OK(kaffic_consumer_new(own, NULL, NULL, 0, &reads, &error));
    topic = "of-children";
    OK(kaffic_consumer_subscribe(reads, &topic, 1, LONG_MS, &error));
    OK(kaffic_consumer_poll(reads, 1, LONG_MS, &polled, &error));
    CHECK(kaffic_records_len(polled) == 1);
    kaffic_records_free(polled);
    kaffic_producer_free(sends);
    kaffic_consumer_free(reads);
    kaffic_client_free(own);
    if (round % 2 != 0) {
        kaffic_client_free(client);
        kaffic_producer_free(producer);
        kaffic_consumer_free(consumer);
        kaffic_queue_free(queue);
    }
    OK(kaffic_shutdown(LONG_MS, &error));
    return 0;
}

int main(int argc, char **argv) {
    int times = argc > 1 ? atoi(argv[1]) : 20, round, status;
    const char *topic = "forked";
    const char *const latest[] = {"until", "latest", NULL}, *const group[] = {"group", "g", NULL};
    kaffic_config_t *config = settings(latest), *member = settings(group);
    kaffic_client_t *client;
    kaffic_producer_t *producer = NULL;
    kaffic_consumer_t *consumer = NULL, *reads = NULL;
    kaffic_queue_t *queue = NULL;
    kaffic_records_t *records = NULL;
    long seen = 0;
    int *counts;
    char name[64], *json = NULL;
    snprintf(name, sizeof name, "fork-%s", getenv("KAFFIC_TEST_RUN") ? getenv("KAFFIC_TEST_RUN") : "0");
    OK(kaffic_set_log(line, KAFFIC_LOG_TRACE, &lines, NULL, &error));
    client = test_client(name);
    OK(kaffic_topic_create(client, "forked", NULL, LONG_MS, &error));
    OK(kaffic_topic_create(client, "of-children", NULL, LONG_MS, &error));
    OK(kaffic_queue_new(&queue, &error));
    OK(kaffic_producer_new(client, topic, NULL, queue, LONG_MS, &producer, &error));
    OK(kaffic_consumer_new(client, member, queue, 1, &consumer, &error));
    OK(kaffic_consumer_subscribe(consumer, &topic, 1, LONG_MS, &error));
    for (round = 0; round < times; round++) {
        pid_t pid;
        send_thousand(producer, round);
        if (round == 1) OK(kaffic_consumer_poll(consumer, 5, LONG_MS, &records, &error));
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(child(name, client, producer, consumer, queue, records, config, round));
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    OK(kaffic_producer_flush(producer, LONG_MS, &error));
    kaffic_records_free(records);
    /* Every record is there, once. */
    counts = (int *)calloc((size_t)times * RECORDS, sizeof *counts);
    OK(kaffic_consumer_new(client, config, NULL, 0, &reads, &error));
    OK(kaffic_consumer_subscribe(reads, &topic, 1, LONG_MS, &error));
    while (!kaffic_consumer_finished(reads)) {
        size_t at;
        OK(kaffic_consumer_poll(reads, 10000, LONG_MS, &records, &error));
        for (at = 0; at < kaffic_records_len(records); at++) {
            kaffic_bytes_t value = kaffic_records_get(records, at)->value;
            char text[32];
            int of, number;
            snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
            CHECK(sscanf(text, "%d:%d", &of, &number) == 2);
            CHECK(counts[of * RECORDS + number]++ == 0);
            seen++;
        }
        kaffic_records_free(records);
    }
    CHECK(seen == (long)times * RECORDS);
    OK(kaffic_topic_verify(client, topic, LONG_MS, &json, &error));
    CHECK(strstr(json, "\"issues\":[]") != NULL);
    kaffic_string_free(json);
    free(counts);
    OK(kaffic_consumer_close(consumer, LONG_MS, &error));
    kaffic_consumer_free(consumer);
    kaffic_consumer_free(reads);
    kaffic_producer_free(producer);
    kaffic_queue_free(queue);
    kaffic_client_free(client);
    kaffic_config_free(config);
    kaffic_config_free(member);
    OK(kaffic_set_log(NULL, KAFFIC_LOG_ERROR, NULL, NULL, &error));
    OK(kaffic_shutdown(LONG_MS, &error));
    printf("%d forks with %d records under way each\n", times, RECORDS);
    return 0;
}
