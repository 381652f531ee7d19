/*
 * libkaffic: a message log with no broker.
 *
 * This header is the whole interface. docs/c.md is its guide, docs/configuration.md lists the settings,
 * and docs/stores.md the options of stores. The rules below hold for every function.
 *
 * STATUS AND ERROR. A function that can fail returns a kaffic_status_t, which is KAFFIC_OK (0) or says
 * what is wrong. Its last argument is where an error goes: null, if the status is enough, or the address
 * of a kaffic_error_t pointer. That is written to only on failure; free the error with kaffic_error_free.
 * Every error says what happened, to which topic or object, and what to do (kaffic_error_message), if
 * trying again can help (kaffic_error_retriable), and if it is unknown whether records were written
 * (kaffic_error_outcome_unknown; where that is false they were not, and won't be). Besides what is said of
 * a function, any may return KAFFIC_NULL_ARGUMENT, KAFFIC_INVALID_UTF8, KAFFIC_FORKED, KAFFIC_CLOSED of
 * what was closed, KAFFIC_INTERNAL and KAFFIC_PANIC; one that waits also KAFFIC_TIMED_OUT and
 * KAFFIC_IN_CALLBACK. Results are written only on success, unless said otherwise.
 *
 * OWNERSHIP. "Gives": the caller frees the result with the function that is named. "Borrows": an argument
 * is used for the call only. "Copies": so too, and what it says is kept. No argument is ever consumed. What
 * is said to live for ever, or as long as something else, is not freed. A null handle is an error, and
 * freeing null does nothing. Handles may be freed in any order: what was made from a client keeps it alive.
 * No handle may be used after it was freed, nor freed while another thread uses it.
 *
 * TEXT AND BYTES. Names, URLs, settings and messages are UTF-8 and end with a zero. Keys, values and
 * headers are kaffic_bytes_t: a null pointer is a null value, a length of 0 with a pointer an empty one.
 * JSON documents are given as text; free them with kaffic_string_free.
 *
 * TIME. A timeout_ms of 0 does not wait, a negative one waits as long as it takes. Timestamps are
 * milliseconds since the Unix epoch.
 *
 * THREADS. Functions of clients, producers, consumers and queues are thread-safe: calls on a consumer take
 * turns, and one that comes while another thread polls does not wait for the poll. Lists, records, events
 * and errors are plain data: one thread at a time, or many that only read. The library has its own threads,
 * which begin with the first client.
 *
 * SIGNALS are the program's. The library's threads block all but those of a fault of their own (SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS) and SIGPROF, so that handlers run on the program's threads.
 * A connection that the other side closes raises no SIGPIPE: a call that may wait has it blocked on its
 * thread meanwhile, also in callbacks from within it. The library sets no handlers.
 *
 * CALLBACKS come on any thread, where said so, and must return soon. In one, functions that may wait return
 * KAFFIC_IN_CALLBACK; "callback-safe" ones, and those that free, work. A client, producer or consumer may be
 * freed in a callback also where the callback comes from within a call of its own, which goes on to its end.
 * A callback must not throw or longjmp out of itself.
 *
 * FORK. In a child of fork every use of a client, producer, consumer or queue that the parent made returns
 * KAFFIC_FORKED (or what is said of a function that returns no status), and freeing it there does nothing.
 * A new client in the child works. Configs, lists, records, events and errors work in the child, and may be
 * freed there. So does the log callback. What the parent sent is the parent's and is not sent twice.
 *
 * ABI. Statuses, constants and functions are only ever added. Structs grow at their end only: the library
 * takes the size of yours with each call (record_size, delivery_size), and gives arrays with the bytes from
 * one to the next (stride). kaffic_bytes_t and kaffic_header_t never grow. While the version is 0.x this holds
 * within a minor version; each has a soname of its own.
 */

#ifndef KAFFIC_H
#define KAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of this header: major, minor and patch, as in 0x000100.
 */
#define KAFFIC_VERSION 256

/**
 * No offset: where one may be absent.
 */
#define KAFFIC_NO_OFFSET -1

/**
 * In the flags of a delivery: the record's sequence was written before; it was not written again.
 */
#define KAFFIC_DELIVERY_DUPLICATE 1

/**
 * In the flags of a delivery that failed: it can't be known whether the record was written.
 */
#define KAFFIC_DELIVERY_OUTCOME_UNKNOWN 2

/**
 * In the flags of a delivery that failed: sending it again can help.
 */
#define KAFFIC_DELIVERY_RETRIABLE 4

/**
 * In the flags of a record: `timestamp_ms` is set. Without it the record gets the time of sending.
 */
#define KAFFIC_RECORD_TIMESTAMP 1

/**
 * In the flags of a record: `partition` is set. Without it the key decides, or the producer.
 */
#define KAFFIC_RECORD_PARTITION 2

/**
 * In the flags of a record: `sequence` is set. Only for producers with a name.
 */
#define KAFFIC_RECORD_SEQUENCE 4

/**
 * A client of one store. What is made from it keeps working when it is freed.
 */
typedef struct kaffic_client_t kaffic_client_t;

/**
 * Settings by name, which may be used any number of times. docs/configuration.md lists them.
 */
typedef struct kaffic_config_t kaffic_config_t;

/**
 * A consumer. Any number of threads may use it; they take turns.
 */
typedef struct kaffic_consumer_t kaffic_consumer_t;

/**
 * An error: what happened, and what is known of it.
 */
typedef struct kaffic_error_t kaffic_error_t;

/**
 * An event.
 */
typedef struct kaffic_event_t kaffic_event_t;

/**
 * A list of partitions.
 */
typedef struct kaffic_partitions_t kaffic_partitions_t;

/**
 * A producer for one topic. Any number of threads may use it.
 */
typedef struct kaffic_producer_t kaffic_producer_t;

/**
 * A queue of events, which any number of producers and consumers may share.
 */
typedef struct kaffic_queue_t kaffic_queue_t;

/**
 * Records that were polled, with every byte that they point to.
 */
typedef struct kaffic_records_t kaffic_records_t;

/**
 * What came of a call: `KAFFIC_OK`, or one of the other `KAFFIC_…` statuses. Numbers are only ever
 * added.
 */
typedef int32_t kaffic_status_t;

/**
 * A partition of a list.
 */
typedef struct {
  /**
   * The topic; it lives as long as the list is not changed.
   */
  const char *topic;
  /**
   * What is kept with a committed offset, or null.
   */
  const char *metadata;
  /**
   * The offset, or KAFFIC_NO_OFFSET.
   */
  int64_t offset;
  /**
   * The partition.
   */
  int32_t partition;
} kaffic_partition_t;

/**
 * What kind of event it is. A `KAFFIC_EVENT_…` number.
 */
typedef int32_t kaffic_event_kind_t;

/**
 * What became of a record.
 */
typedef struct {
  /**
   * The tag that was given with the record.
   */
  uint64_t tag;
  /**
   * The offset, or KAFFIC_NO_OFFSET for a record that failed or was there before.
   */
  int64_t offset;
  /**
   * The timestamp in Unix milliseconds.
   */
  int64_t timestamp_ms;
  /**
   * The partition.
   */
  int32_t partition;
  /**
   * KAFFIC_OK, or why it failed.
   */
  kaffic_status_t status;
  /**
   * KAFFIC_DELIVERY_… flags.
   */
  uint32_t flags;
  /**
   * Nothing.
   */
  uint32_t reserved;
} kaffic_delivery_t;

/**
 * Bytes. No data is null, which is not the same as empty.
 */
typedef struct {
  /**
   * The first byte, or null.
   */
  const uint8_t *data;
  /**
   * How many there are.
   */
  size_t len;
} kaffic_bytes_t;

/**
 * A header: a name in UTF-8, and a value, which may be null.
 */
typedef struct {
  /**
   * The name.
   */
  kaffic_bytes_t name;
  /**
   * The value.
   */
  kaffic_bytes_t value;
} kaffic_header_t;

/**
 * A record to be sent. One in which everything is zero is a record without key, value and headers.
 */
typedef struct {
  /**
   * Decides the partition, unless one is set, and so the order.
   */
  kaffic_bytes_t key;
  /**
   * The payload.
   */
  kaffic_bytes_t value;
  /**
   * The headers, in order.
   */
  const kaffic_header_t *headers;
  /**
   * How many headers there are.
   */
  size_t headers_len;
  /**
   * Unix milliseconds.
   */
  int64_t timestamp_ms;
  /**
   * A number that grows with each record: one that is not above the last that the producer's name has
   * written to the partition is not written again.
   */
  int64_t sequence;
  /**
   * The partition.
   */
  int32_t partition;
  /**
   * KAFFIC_RECORD_… flags: what of the above is set.
   */
  uint32_t flags;
} kaffic_record_t;

/**
 * A record that was polled.
 */
typedef struct {
  /**
   * The key.
   */
  kaffic_bytes_t key;
  /**
   * The value.
   */
  kaffic_bytes_t value;
  /**
   * The headers, in order.
   */
  const kaffic_header_t *headers;
  /**
   * How many headers there are.
   */
  size_t headers_len;
  /**
   * The topic, which ends with a zero.
   */
  const char *topic;
  /**
   * Its position in the partition.
   */
  int64_t offset;
  /**
   * Unix milliseconds, as its producer gave it.
   */
  int64_t timestamp_ms;
  /**
   * The partition.
   */
  int32_t partition;
  /**
   * Nothing.
   */
  uint32_t reserved;
} kaffic_consumer_record_t;

/**
 * Hears what becomes of a consumer's partitions: `kind` is KAFFIC_EVENT_ASSIGNED, _REVOKED or _LOST, and
 * `partitions` lives for the call. What is added to `commits` when partitions are revoked is committed
 * before they go, in place of what automatic commits would say (without an offset it is left out); it is
 * null otherwise.
 */
typedef void (*kaffic_rebalance_fn)(void *userdata,
                                    kaffic_event_kind_t kind,
                                    const kaffic_partitions_t *partitions,
                                    kaffic_partitions_t *commits);

/**
 * Frees what a callback was given as its `userdata`, when it is called no more.
 */
typedef void (*kaffic_userdata_free_fn)(void *userdata);

/**
 * How much a line matters: syslog's numbers, as far as there are such. A `KAFFIC_LOG_…` number.
 */
typedef int32_t kaffic_log_level_t;

/**
 * Takes a log line: `target` is the module that it comes from, and both texts live for the call.
 */
typedef void (*kaffic_log_fn)(void *userdata,
                              kaffic_log_level_t level,
                              const char *target,
                              const char *message);

/**
 * Done.
 */
#define KAFFIC_OK 0

/**
 * An argument is null that must not be.
 */
#define KAFFIC_NULL_ARGUMENT 1

/**
 * A text is not UTF-8.
 */
#define KAFFIC_INVALID_UTF8 2

/**
 * A name, number, URL or value is not acceptable. Correct the call.
 */
#define KAFFIC_INVALID_ARGUMENT 3

/**
 * There is no setting of that name. Correct the name.
 */
#define KAFFIC_UNKNOWN_SETTING 4

/**
 * The client, producer or consumer was closed. Make a new one.
 */
#define KAFFIC_CLOSED 5

/**
 * The process was forked since the handle was made. Make a new one in the child.
 */
#define KAFFIC_FORKED 6

/**
 * The call would wait, and was made from within a callback. Make it after the callback.
 */
#define KAFFIC_IN_CALLBACK 7

/**
 * The time allowed for the call has run out. It may be tried again.
 */
#define KAFFIC_TIMED_OUT 20

/**
 * The producer's buffer is full, or too many deliveries wait to be polled. Try again later.
 */
#define KAFFIC_QUEUE_FULL 21

/**
 * The wait was ended by a wake-up from elsewhere.
 */
#define KAFFIC_INTERRUPTED 22

/**
 * The topic does not exist, or was deleted. Create it, or correct its name.
 */
#define KAFFIC_TOPIC_NOT_FOUND 40

/**
 * A topic of that name exists already. Use it, or delete it first.
 */
#define KAFFIC_TOPIC_EXISTS 41

/**
 * The offset has expired or does not exist yet; the failure has what remains. Seek into that.
 */
#define KAFFIC_OFFSET_OUT_OF_RANGE 42

/**
 * An append with an expected offset met another tail; the failure has it. Decide anew.
 */
#define KAFFIC_CONDITION_FAILED 43

/**
 * Another has taken over: a newer producer of the name, or the partition's present owner.
 */
#define KAFFIC_FENCED 44

/**
 * The group does not exist, or was deleted. Correct its name, or join it.
 */
#define KAFFIC_GROUP_NOT_FOUND 45

/**
 * The group has members, and only they may change its offsets. Stop them first.
 */
#define KAFFIC_GROUP_NOT_EMPTY 46

/**
 * The storage did not answer, or not usefully. Trying again can help.
 */
#define KAFFIC_UNAVAILABLE 60

/**
 * The storage refused: credentials or permissions. Mend them.
 */
#define KAFFIC_DENIED 61

/**
 * The storage does not keep the contract that kaffic rests on, so it must not be used.
 */
#define KAFFIC_UNSAFE_STORE 62

/**
 * This machine's clock and the storage's stamps disagree too far. Set the clock.
 */
#define KAFFIC_CLOCK_SKEW 63

/**
 * Stored bytes are damaged, foreign or altered; the message names the object.
 */
#define KAFFIC_CORRUPT 80

/**
 * Stored data was written by a newer version in a way that this one can't read. Upgrade.
 */
#define KAFFIC_UNSUPPORTED 81

/**
 * A record is larger than the limit. Make it smaller or raise the limit.
 */
#define KAFFIC_RECORD_TOO_LARGE 82

/**
 * A defect in kaffic. Please report it with the message.
 */
#define KAFFIC_INTERNAL 90

/**
 * A defect in kaffic, caught at the border. Please report it with the message.
 */
#define KAFFIC_PANIC 91

/**
 * No event.
 */
#define KAFFIC_EVENT_NONE 0

/**
 * Records were acknowledged, or failed.
 */
#define KAFFIC_EVENT_DELIVERIES 1

/**
 * A consumer in a group got partitions.
 */
#define KAFFIC_EVENT_ASSIGNED 2

/**
 * A consumer in a group gave partitions up.
 */
#define KAFFIC_EVENT_REVOKED 3

/**
 * A consumer in a group lost partitions: it was silent for too long.
 */
#define KAFFIC_EVENT_LOST 4

/**
 * Something failed for good.
 */
#define KAFFIC_LOG_ERROR 3

/**
 * Something is not as it should be; kaffic goes on.
 */
#define KAFFIC_LOG_WARNING 4

/**
 * What one might like to know.
 */
#define KAFFIC_LOG_INFO 6

/**
 * What a developer might.
 */
#define KAFFIC_LOG_DEBUG 7

/**
 * Everything.
 */
#define KAFFIC_LOG_TRACE 8

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is linked, as `KAFFIC_VERSION` is written. While the major is 0,
 * programs have to be built anew for another minor. Thread-safe.
 */
uint32_t kaffic_version(void);

/**
 * The version of the library as text, such as "0.1.0". It lives for ever. Thread-safe.
 */
const char *kaffic_version_string(void);

/**
 * Whether the library was built with a feature: "s3", "gs" and "az" are the stores by those URLs,
 * "file" and "memory" are always there. False for null and whatever is not known. Thread-safe.
 */
bool kaffic_has_feature(const char *name);

/**
 * Ends the library's threads, waiting up to `timeout_ms` until everything that kaffic_producer_send took
 * is written or has failed, and then for the threads. Not needed: a program may just end once it has
 * closed its producers. It is for checkers of leaks; the library can be used again after it. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT while there are clients, queues, producers or consumers, or another call of
 * this; KAFFIC_TIMED_OUT while there are records under way, which go on: call it again.
 */
kaffic_status_t kaffic_shutdown(int64_t timeout_ms, kaffic_error_t **error);

/**
 * The error's status; KAFFIC_OK for null. Callback-safe, as all functions of errors.
 */
kaffic_status_t kaffic_error_status(const kaffic_error_t *error);

/**
 * What happened, to which topic or object, and what to do, in UTF-8. It lives as long as the error;
 * it is empty for null, and never null.
 */
const char *kaffic_error_message(const kaffic_error_t *error);

/**
 * Whether the same call may succeed later without anything being changed.
 */
bool kaffic_error_retriable(const kaffic_error_t *error);

/**
 * Whether it can't be known if the records of the call were written. Where this is false they were
 * not, and won't be.
 */
bool kaffic_error_outcome_unknown(const kaffic_error_t *error);

/**
 * Of KAFFIC_OFFSET_OUT_OF_RANGE: the first offset that is there behind the wanted one. Otherwise
 * KAFFIC_NO_OFFSET.
 */
int64_t kaffic_error_earliest(const kaffic_error_t *error);

/**
 * Of KAFFIC_OFFSET_OUT_OF_RANGE and KAFFIC_CONDITION_FAILED: the offset that the next record will get.
 * Otherwise KAFFIC_NO_OFFSET.
 */
int64_t kaffic_error_tail(const kaffic_error_t *error);

/**
 * Frees an error. Null is nothing.
 */
void kaffic_error_free(kaffic_error_t *error);

/**
 * Frees a text that was given, such as a JSON document. Null is nothing. Callback-safe.
 */
void kaffic_string_free(char *text);

/**
 * The name of a status, such as "FENCED"; null for a number that is none. It lives for ever.
 * Callback-safe.
 */
const char *kaffic_status_name(kaffic_status_t status);

/**
 * What a status means and what to do about it, in a sentence or two; null for a number that is none.
 * It lives for ever. Callback-safe.
 */
const char *kaffic_status_meaning(kaffic_status_t status);

/**
 * All statuses in the order of their numbers, for libraries that make exceptions of them. Writes how
 * many there are to `len`, unless that is null. It lives for ever. Callback-safe.
 */
const kaffic_status_t *kaffic_status_list(size_t *len);

/**
 * Gives settings in which nothing is set; free them with kaffic_config_free. Thread-safe.
 */
kaffic_config_t *kaffic_config_new(void);

/**
 * Sets one, in place of an earlier value of the same name. Borrows `name` and `value`. What they mean
 * is checked where the settings are used. Thread-safe.
 *
 * KAFFIC_NULL_ARGUMENT, KAFFIC_INVALID_UTF8.
 */
kaffic_status_t kaffic_config_set(kaffic_config_t *config,
                                  const char *name,
                                  const char *value,
                                  kaffic_error_t **error);

/**
 * Frees settings. Null is nothing.
 */
void kaffic_config_free(kaffic_config_t *config);

/**
 * Gives a client of the store at `url`: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix,
 * file:///path (made if it is not there) or memory:// (which lives as long as the client and what is
 * made from it). `config` has options of the store (docs/stores.md), or is null. Borrows both. Asks
 * nothing of the store yet. Free the client with kaffic_client_free. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT for a URL or an option; KAFFIC_DENIED or KAFFIC_UNAVAILABLE for a directory
 * that can't be made or opened.
 */
kaffic_status_t kaffic_client_new(const char *url,
                                  const kaffic_config_t *config,
                                  kaffic_client_t **client,
                                  kaffic_error_t **error);

/**
 * Gives what the client and everything made from it has done so far, as JSON:
 * {"storage":{"put":O,"get":O,"list":O,"delete":O,"throttled":N},
 *  "producer":{"append":O,"records":N,"conflicts":N},
 *  "consumer":{"records":N,"bytes":N,"commit":O,"lag":[{"group":…,"topic":…,"partition":N,"lag":N,
 * "age_ms":N}, …]}}
 * where O is {"count":N,"failed":N,"bytes":N,"duration_ms":{"sum":…,"mean":…,"p50":…,"p90":…,"p99":…,
 * "max":…,"buckets":[{"le":…,"count":N}, …]}}. Counts only grow; a bucket has all that took no longer
 * than its "le"; lag is that which was last asked for. docs/operations.md says what each means. Free
 * it with kaffic_string_free. Does not wait. Thread-safe.
 */
kaffic_status_t kaffic_client_metrics(const kaffic_client_t *client,
                                      char **json,
                                      kaffic_error_t **error);

/**
 * Tries on the store what kaffic rests on, in some 600 requests, and gives what it found as JSON:
 * {"usable":…,"checks":[{"name":…,"result":"passed" or "failed","detail":…}],…}. Free it with
 * kaffic_string_free. Waits. Thread-safe.
 */
kaffic_status_t kaffic_client_examine(const kaffic_client_t *client,
                                      int64_t timeout_ms,
                                      char **json,
                                      kaffic_error_t **error);

/**
 * Frees a client. Null is nothing. Does not wait.
 */
void kaffic_client_free(kaffic_client_t *client);

/**
 * Creates a topic with the settings of `config`, which may be null. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_EXISTS, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
 */
kaffic_status_t kaffic_topic_create(const kaffic_client_t *client,
                                    const char *topic,
                                    const kaffic_config_t *config,
                                    int64_t timeout_ms,
                                    kaffic_error_t **error);

/**
 * Creates a topic with the settings of `config`, which may be null, if it does not exist. Borrows.
 * Waits. Thread-safe.
 *
 * KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
 */
kaffic_status_t kaffic_topic_ensure(const kaffic_client_t *client,
                                    const char *topic,
                                    const kaffic_config_t *config,
                                    int64_t timeout_ms,
                                    kaffic_error_t **error);

/**
 * Changes the settings of a topic that `config` names; the others stay. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, and what the storage says.
 */
kaffic_status_t kaffic_topic_alter(const kaffic_client_t *client,
                                   const char *topic,
                                   const kaffic_config_t *config,
                                   int64_t timeout_ms,
                                   kaffic_error_t **error);

/**
 * Deletes a topic and its records. It is gone at once; its youngest objects stay for some hours. Gives
 * JSON, {"removed":…,"remaining":…,"removable_at_ms":…}; free it with kaffic_string_free. Borrows.
 * Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_topic_delete(const kaffic_client_t *client,
                                    const char *topic,
                                    int64_t timeout_ms,
                                    char **json,
                                    kaffic_error_t **error);

/**
 * Gives the description of a topic as JSON: {"name":…,"partitions":…,"incarnation":…,
 * "min_expiry_ms":…,"retention_ms":…,"retention_bytes":…,"compression":…,"max_record_bytes":…,
 * "created_ms":…}, null for what is not set. Free it with kaffic_string_free. Borrows. Waits.
 * Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_topic_describe(const kaffic_client_t *client,
                                      const char *topic,
                                      int64_t timeout_ms,
                                      char **json,
                                      kaffic_error_t **error);

/**
 * Gives the descriptions of all topics by name, as a JSON array of what kaffic_topic_describe gives.
 * Free it with kaffic_string_free. Waits. Thread-safe.
 */
kaffic_status_t kaffic_topic_list(const kaffic_client_t *client,
                                  int64_t timeout_ms,
                                  char **json,
                                  kaffic_error_t **error);

/**
 * Writes an offset of a partition: `place` is "earliest" (the first record that is still there),
 * "latest" (the tail, which the next record will get), "timestamp:MS" or "time:RFC3339" (the first
 * record with a timestamp at or after that; the tail if none). Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and what the storage says.
 */
kaffic_status_t kaffic_topic_offset(const kaffic_client_t *client,
                                    const char *topic,
                                    int32_t partition,
                                    const char *place,
                                    int64_t timeout_ms,
                                    int64_t *offset,
                                    kaffic_error_t **error);

/**
 * Reads everything in a topic and gives what is wrong as JSON: {"records":…,"batches":…,"bytes":…,
 * "gaps":…,"issues":[{"partition":…,"object":…,"problem":…}]}. Free it with kaffic_string_free.
 * Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_topic_verify(const kaffic_client_t *client,
                                    const char *topic,
                                    int64_t timeout_ms,
                                    char **json,
                                    kaffic_error_t **error);

/**
 * Joins the batches of a topic's ended blocks into few large objects, and gives what it did as JSON:
 * {"compacted":…,"already":…,"left":…,"segments":…,"segment_bytes":…,"removed":…,"remaining":…,
 * "removable_at_ms":…}. It may be stopped and begun again at any time. Free the JSON with
 * kaffic_string_free. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_topic_compact(const kaffic_client_t *client,
                                     const char *topic,
                                     int64_t timeout_ms,
                                     char **json,
                                     kaffic_error_t **error);

/**
 * Removes a topic's oldest records, as the settings of `config` say or, where it is null, by the
 * topic's retention; gives what it did as JSON: {"removed":…,"removed_bytes":…,"remaining":…,
 * "removable_at_ms":…}. Free it with kaffic_string_free. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, KAFFIC_UNKNOWN_SETTING, and what the storage says.
 */
kaffic_status_t kaffic_topic_trim(const kaffic_client_t *client,
                                  const char *topic,
                                  const kaffic_config_t *config,
                                  int64_t timeout_ms,
                                  char **json,
                                  kaffic_error_t **error);

/**
 * Makes a copied or restored topic usable, or with `dry_run` only says what it would do; gives JSON:
 * {"ended":[{"partition":…,"block":…,"slots":…,"missing":…,"next_offset":…}],"left_alone":…}. Nothing
 * may write to the copy meanwhile. Free the JSON with kaffic_string_free. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_CORRUPT, and what the storage says.
 */
kaffic_status_t kaffic_topic_adopt(const kaffic_client_t *client,
                                   const char *topic,
                                   bool dry_run,
                                   int64_t timeout_ms,
                                   char **json,
                                   kaffic_error_t **error);

/**
 * Gives an empty list; free it with kaffic_partitions_free. A list is used by one thread at a time.
 */
kaffic_partitions_t *kaffic_partitions_new(void);

/**
 * Adds a partition, with an offset or KAFFIC_NO_OFFSET, and with `metadata` to be kept with a committed
 * offset or null. Borrows. Callback-safe.
 *
 * KAFFIC_NULL_ARGUMENT, KAFFIC_INVALID_UTF8, KAFFIC_INVALID_ARGUMENT for a negative number.
 */
kaffic_status_t kaffic_partitions_add(kaffic_partitions_t *partitions,
                                      const char *topic,
                                      int32_t partition,
                                      int64_t offset,
                                      const char *metadata,
                                      kaffic_error_t **error);

/**
 * How many there are; 0 for null. Callback-safe.
 */
size_t kaffic_partitions_len(const kaffic_partitions_t *partitions);

/**
 * The one at an index, which lives as long as the list is not changed; null beyond the end.
 * Callback-safe.
 */
const kaffic_partition_t *kaffic_partitions_get(const kaffic_partitions_t *partitions, size_t index);

/**
 * Frees a list. Null is nothing.
 */
void kaffic_partitions_free(kaffic_partitions_t *partitions);

/**
 * Gives all groups by name as JSON: [{"name":…,"members":…,"generation":…}]. Free it with
 * kaffic_string_free. Waits. Thread-safe.
 */
kaffic_status_t kaffic_group_list(const kaffic_client_t *client,
                                  int64_t timeout_ms,
                                  char **json,
                                  kaffic_error_t **error);

/**
 * Gives a group as JSON: {"name":…,"generation":…,"assignor":…,"members":[{"name":…,"static":…,
 * "topics":[…],"partitions":…,"session_timeout_ms":…,"joined_ms":…}],"partitions":[{"topic":…,
 * "partition":…,"owner":…,"committed":…,"metadata":…,"end":…,"lag":…}]}. Free it with
 * kaffic_string_free. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_GROUP_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_group_describe(const kaffic_client_t *client,
                                      const char *group,
                                      int64_t timeout_ms,
                                      char **json,
                                      kaffic_error_t **error);

/**
 * Gives what a group has committed, to be freed with kaffic_partitions_free. Borrows. Waits.
 * Thread-safe.
 *
 * KAFFIC_GROUP_NOT_FOUND, and what the storage says.
 */
kaffic_status_t kaffic_group_committed(const kaffic_client_t *client,
                                       const char *group,
                                       int64_t timeout_ms,
                                       kaffic_partitions_t **offsets,
                                       kaffic_error_t **error);

/**
 * Commits these offsets for a group that has no members; it is created if it does not exist. Borrows.
 * Waits. Thread-safe.
 *
 * KAFFIC_GROUP_NOT_EMPTY, KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and what the storage says.
 */
kaffic_status_t kaffic_group_commit(const kaffic_client_t *client,
                                    const char *group,
                                    const kaffic_partitions_t *offsets,
                                    int64_t timeout_ms,
                                    kaffic_error_t **error);

/**
 * Sets the committed offsets of a group without members in these partitions of a topic, whose offsets
 * don't matter, or with null in all of them: `place` is
 * "earliest", "latest", "offset:N", "timestamp:MS", "time:RFC3339" or "shift:N" (so many offsets on, or
 * back if it is negative). With `dry_run` it only says what it would do. Gives JSON: [{"topic":…,
 * "partition":…,"offset":…}]; free it with kaffic_string_free. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_GROUP_NOT_FOUND, KAFFIC_GROUP_NOT_EMPTY, KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, and
 * what the storage says.
 */
kaffic_status_t kaffic_group_reset(const kaffic_client_t *client,
                                   const char *group,
                                   const char *topic,
                                   const kaffic_partitions_t *partitions,
                                   const char *place,
                                   bool dry_run,
                                   int64_t timeout_ms,
                                   char **json,
                                   kaffic_error_t **error);

/**
 * Deletes a group without members: its offsets count no more. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_GROUP_NOT_FOUND, KAFFIC_GROUP_NOT_EMPTY, and what the storage says.
 */
kaffic_status_t kaffic_group_delete(const kaffic_client_t *client,
                                    const char *group,
                                    int64_t timeout_ms,
                                    kaffic_error_t **error);

/**
 * Gives a queue; free it with kaffic_queue_free. Thread-safe.
 *
 * KAFFIC_INTERNAL when the system has no file descriptors left.
 */
kaffic_status_t kaffic_queue_new(kaffic_queue_t **queue, kaffic_error_t **error);

/**
 * A file descriptor that can be read from while there are events, for select, poll, epoll and the like.
 * It must not be read from nor closed. -1 for null and in a child. Callback-safe.
 */
int32_t kaffic_queue_fd(const kaffic_queue_t *queue);

/**
 * Gives the next event, waiting for it up to `timeout_ms`; null if none came. Free it with
 * kaffic_event_free. Thread-safe.
 */
kaffic_status_t kaffic_queue_poll(const kaffic_queue_t *queue,
                                  int64_t timeout_ms,
                                  kaffic_event_t **event,
                                  kaffic_error_t **error);

/**
 * Frees a queue and what is in it. Producers and consumers that have it go on without. Null is nothing.
 */
void kaffic_queue_free(kaffic_queue_t *queue);

/**
 * What kind of event it is; KAFFIC_EVENT_NONE for null. Callback-safe, as all functions of events.
 */
kaffic_event_kind_t kaffic_event_kind(const kaffic_event_t *event);

/**
 * The tag of the consumer that a rebalance is of; 0 otherwise.
 */
uint64_t kaffic_event_tag(const kaffic_event_t *event);

/**
 * The deliveries of an event, as an array that lives as long as the event. Writes how many there are to
 * `len`, and to `stride` the bytes from one to the next, which may grow with versions of the library.
 * Null, and 0 of them, for other events.
 */
const kaffic_delivery_t *kaffic_event_deliveries(const kaffic_event_t *event, size_t *len, size_t *stride);

/**
 * The error of the delivery at an index, which lives as long as the event; null if it did not fail.
 */
const kaffic_error_t *kaffic_event_error(const kaffic_event_t *event, size_t index);

/**
 * The partitions of a rebalance, with the offset up to which each was read or from which it will be;
 * they live as long as the event. Null for other events.
 */
const kaffic_partitions_t *kaffic_event_partitions(const kaffic_event_t *event);

/**
 * Frees an event. Null is nothing.
 */
void kaffic_event_free(kaffic_event_t *event);

/**
 * Gives a producer for a topic, with the settings of `config`, which may be null. What becomes of its
 * records is told to `deliveries`, a queue; where that is null, kaffic_producer_flush tells the first
 * failure. Borrows, and keeps the queue alive. Free the producer with kaffic_producer_free. Waits.
 * Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT, KAFFIC_UNSAFE_STORE, and what
 * the storage says.
 */
kaffic_status_t kaffic_producer_new(const kaffic_client_t *client,
                                    const char *topic,
                                    const kaffic_config_t *config,
                                    const kaffic_queue_t *deliveries,
                                    int64_t timeout_ms,
                                    kaffic_producer_t **producer,
                                    kaffic_error_t **error);

/**
 * Sends records: puts them into the producer's buffer in their order, waiting for room up to
 * `timeout_ms`, and returns; they are written in the background. Copies the records. `record_size` is
 * sizeof(kaffic_record_t). The delivery of record i has the tag `tag` + i. Thread-safe; records of one
 * call stay in order.
 *
 * `accepted`, which may be null, gets how many records are in the buffer, also when the call fails: the
 * one at that index is what failed, and it and those after it were not sent.
 *
 * KAFFIC_QUEUE_FULL when there was no room in time. A queue holds 1,048,576 deliveries, those of records
 * under way included; where all have come and none is polled, a call that would wait as long as it takes
 * ends with KAFFIC_QUEUE_FULL too, since only kaffic_queue_poll makes room then.
 * KAFFIC_RECORD_TOO_LARGE, KAFFIC_INVALID_ARGUMENT, KAFFIC_INVALID_UTF8 for a header's name,
 * KAFFIC_CLOSED.
 */
kaffic_status_t kaffic_producer_send(const kaffic_producer_t *producer,
                                     const kaffic_record_t *records,
                                     size_t record_size,
                                     size_t count,
                                     uint64_t tag,
                                     int64_t timeout_ms,
                                     size_t *accepted,
                                     kaffic_error_t **error);

/**
 * Sends one record and waits until it is written. Borrows it. `delivery`, which may be null, gets where
 * it is; `delivery_size` is sizeof(kaffic_delivery_t). Nothing is told to the producer's queue.
 * Thread-safe.
 *
 * As kaffic_producer_send, and whatever became of the record. KAFFIC_TIMED_OUT is of unknown outcome.
 */
kaffic_status_t kaffic_producer_send_and_wait(const kaffic_producer_t *producer,
                                              const kaffic_record_t *record,
                                              size_t record_size,
                                              int64_t timeout_ms,
                                              kaffic_delivery_t *delivery,
                                              size_t delivery_size,
                                              kaffic_error_t **error);

/**
 * Appends records to a partition as one batch, all or none, and waits until they are written; with
 * `expected_offset` (otherwise KAFFIC_NO_OFFSET) only if the first of them gets just that offset. Borrows
 * them. `delivery`, which may be null, gets where the first is; `delivery_size` is
 * sizeof(kaffic_delivery_t). Thread-safe.
 *
 * KAFFIC_CONDITION_FAILED, of which kaffic_error_tail has the actual tail; otherwise as
 * kaffic_producer_send_and_wait.
 */
kaffic_status_t kaffic_producer_append(const kaffic_producer_t *producer,
                                       int32_t partition,
                                       const kaffic_record_t *records,
                                       size_t record_size,
                                       size_t count,
                                       int64_t expected_offset,
                                       int64_t timeout_ms,
                                       kaffic_delivery_t *delivery,
                                       size_t delivery_size,
                                       kaffic_error_t **error);

/**
 * Waits until everything sent before is written or has failed, and has been told to the producer's
 * queue. Thread-safe.
 *
 * The first failure since the last flush; KAFFIC_TIMED_OUT, of unknown outcome: what was sent goes on.
 */
kaffic_status_t kaffic_producer_flush(const kaffic_producer_t *producer,
                                      int64_t timeout_ms,
                                      kaffic_error_t **error);

/**
 * Flushes, ends the blocks that were written to, and refuses records from now on. Closing again does
 * nothing. Thread-safe.
 *
 * As kaffic_producer_flush.
 */
kaffic_status_t kaffic_producer_close(const kaffic_producer_t *producer,
                                      int64_t timeout_ms,
                                      kaffic_error_t **error);

/**
 * How many partitions the topic has; -1 for null and in a child. Thread-safe.
 */
int32_t kaffic_producer_partitions(const kaffic_producer_t *producer);

/**
 * The partition, of so many, to which a record goes that has this key and names none: as Kafka's clients
 * choose it. -1 for a null key, and where there are no partitions. Thread-safe, callback-safe.
 */
int32_t kaffic_partition_for_key(const uint8_t *key, size_t key_len, int32_t partitions);

/**
 * The epoch of the producer's name: 0 for its first instance, and one more for each after it; -1
 * without a name, for null and in a child. Thread-safe.
 */
int64_t kaffic_producer_epoch(const kaffic_producer_t *producer);

/**
 * Writes the last sequence that the producer's name has written to a partition, or -1; fences older
 * instances off the partition first. Waits. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT without a name; KAFFIC_FENCED, and what the storage says.
 */
kaffic_status_t kaffic_producer_last_sequence(const kaffic_producer_t *producer,
                                              int32_t partition,
                                              int64_t timeout_ms,
                                              int64_t *sequence,
                                              kaffic_error_t **error);

/**
 * Fences older instances of the producer's name off all partitions, now. Waits. Thread-safe.
 *
 * As kaffic_producer_last_sequence.
 */
kaffic_status_t kaffic_producer_fence_all(const kaffic_producer_t *producer,
                                          int64_t timeout_ms,
                                          kaffic_error_t **error);

/**
 * Frees a producer, and does not wait: what is in its buffer is still written as long as the process
 * lives, and kaffic_shutdown waits for it. Close it before to know. Null is nothing.
 */
void kaffic_producer_free(kaffic_producer_t *producer);

/**
 * How many records there are; 0 for null. Callback-safe, as all functions of records.
 */
size_t kaffic_records_len(const kaffic_records_t *records);

/**
 * The record at an index, which lives as long as the records; null beyond the end.
 */
const kaffic_consumer_record_t *kaffic_records_get(const kaffic_records_t *records, size_t index);

/**
 * All records as one array, which lives as long as they do, for languages to which each call is dear.
 * Writes the bytes from one to the next to `stride`, which may grow with versions of the library. Null if
 * there are none.
 */
const kaffic_consumer_record_t *kaffic_records_data(const kaffic_records_t *records, size_t *stride);

/**
 * Frees records, and every byte that they point to. Null is nothing.
 */
void kaffic_records_free(kaffic_records_t *records);

/**
 * Gives a consumer with the settings of `config`, which may be null. It reads nothing until
 * kaffic_consumer_subscribe, _subscribe_pattern or _assign says what. Rebalances are told to `events`, a
 * queue, with `tag`; it may be null. Of rebalances that nobody polls a queue keeps the newest 1,000.
 * Borrows, and keeps the queue alive. Free the consumer with kaffic_consumer_free. Does not wait.
 * Thread-safe.
 *
 * KAFFIC_UNKNOWN_SETTING, KAFFIC_INVALID_ARGUMENT.
 */
kaffic_status_t kaffic_consumer_new(const kaffic_client_t *client,
                                    const kaffic_config_t *config,
                                    const kaffic_queue_t *events,
                                    uint64_t tag,
                                    kaffic_consumer_t **consumer,
                                    kaffic_error_t **error);

/**
 * Has `callback` told of rebalances, from within kaffic_consumer_poll and kaffic_consumer_close (and
 * whatever else ends what is read before), on the thread that called that. Null tells nobody. When it is
 * called no more, `userdata_free` (unless that is null) is called once with `userdata`, on any thread.
 * Does not wait. Thread-safe.
 */
kaffic_status_t kaffic_consumer_on_rebalance(const kaffic_consumer_t *consumer,
                                             kaffic_rebalance_fn callback,
                                             void *userdata,
                                             kaffic_userdata_free_fn userdata_free,
                                             kaffic_error_t **error);

/**
 * Reads topics: in a group this consumer's share of their partitions, otherwise all of them. What was
 * read before is given up. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_TOPIC_NOT_FOUND, KAFFIC_INVALID_ARGUMENT, KAFFIC_OFFSET_OUT_OF_RANGE with the setting
 * reset=error, and what the storage says.
 */
kaffic_status_t kaffic_consumer_subscribe(const kaffic_consumer_t *consumer,
                                          const char *const *topics,
                                          size_t topics_len,
                                          int64_t timeout_ms,
                                          kaffic_error_t **error);

/**
 * Reads this consumer's share of all topics, also those to come, whose whole name fits a regular
 * expression. Only in a group. What was read before is given up. Borrows. Waits. Thread-safe.
 *
 * As kaffic_consumer_subscribe.
 */
kaffic_status_t kaffic_consumer_subscribe_pattern(const kaffic_consumer_t *consumer,
                                                  const char *pattern,
                                                  int64_t timeout_ms,
                                                  kaffic_error_t **error);

/**
 * Reads these partitions, each from its offset, or without one from where the group has committed or the
 * setting `start` says. What was read before is given up. Borrows. Waits. Thread-safe.
 *
 * As kaffic_consumer_subscribe.
 */
kaffic_status_t kaffic_consumer_assign(const kaffic_consumer_t *consumer,
                                       const kaffic_partitions_t *partitions,
                                       int64_t timeout_ms,
                                       kaffic_error_t **error);

/**
 * Gives up to `max` records, waiting up to `timeout_ms` for the first. Null if none came in time, or if
 * the consumer is finished. What was given before counts as processed from now on. Free them with
 * kaffic_records_free. Thread-safe.
 *
 * KAFFIC_INTERRUPTED after kaffic_consumer_wakeup; KAFFIC_CORRUPT, KAFFIC_OFFSET_OUT_OF_RANGE,
 * KAFFIC_TOPIC_NOT_FOUND when it was deleted, KAFFIC_FENCED when another has joined with this one's
 * member_name, and what the storage says. Polling again tries again; seek goes past.
 */
kaffic_status_t kaffic_consumer_poll(const kaffic_consumer_t *consumer,
                                     size_t max,
                                     int64_t timeout_ms,
                                     kaffic_records_t **records,
                                     kaffic_error_t **error);

/**
 * Ends the poll that waits, or the next one if none does, with KAFFIC_INTERRUPTED, also where records are
 * there, which come with the poll after it. Does nothing for null and in a child. Thread-safe,
 * callback-safe; not for signal handlers.
 */
void kaffic_consumer_wakeup(const kaffic_consumer_t *consumer);

/**
 * Goes on elsewhere in a partition: `place` is as the setting `start`. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT for a partition that is not assigned; KAFFIC_OFFSET_OUT_OF_RANGE with the
 * setting reset=error; and what the storage says.
 */
kaffic_status_t kaffic_consumer_seek(const kaffic_consumer_t *consumer,
                                     const char *topic,
                                     int32_t partition,
                                     const char *place,
                                     int64_t timeout_ms,
                                     kaffic_error_t **error);

/**
 * Stops delivering a partition, or with `paused` false goes on with it. Borrows. Waits only for other
 * calls on the consumer. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT for a partition that is not assigned.
 */
kaffic_status_t kaffic_consumer_pause(const kaffic_consumer_t *consumer,
                                      const char *topic,
                                      int32_t partition,
                                      bool paused,
                                      kaffic_error_t **error);

/**
 * Gives the partitions that the consumer has, each with the offset of the next record to be polled. Free
 * them with kaffic_partitions_free. Waits only for other calls on the consumer. Thread-safe.
 */
kaffic_status_t kaffic_consumer_positions(const kaffic_consumer_t *consumer,
                                          kaffic_partitions_t **partitions,
                                          kaffic_error_t **error);

/**
 * Gives the partitions that the consumer has, each with its tail: the offset that the next record to be
 * written will get. Free them with kaffic_partitions_free. Waits. Thread-safe.
 */
kaffic_status_t kaffic_consumer_end_offsets(const kaffic_consumer_t *consumer,
                                            int64_t timeout_ms,
                                            kaffic_partitions_t **partitions,
                                            kaffic_error_t **error);

/**
 * Gives the partitions that the consumer has, each with how far it is behind its tail. Free them with
 * kaffic_partitions_free. Waits. Thread-safe.
 */
kaffic_status_t kaffic_consumer_lag(const kaffic_consumer_t *consumer,
                                    int64_t timeout_ms,
                                    kaffic_partitions_t **partitions,
                                    kaffic_error_t **error);

/**
 * Gives what is committed in the partitions that the consumer has. Free it with kaffic_partitions_free.
 * Waits only for other calls on the consumer. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT without a group.
 */
kaffic_status_t kaffic_consumer_committed(const kaffic_consumer_t *consumer,
                                          kaffic_partitions_t **offsets,
                                          kaffic_error_t **error);

/**
 * Commits these offsets, or with null everything that was polled so far. Borrows. Waits. Thread-safe.
 *
 * KAFFIC_FENCED when a partition went to another meanwhile; KAFFIC_INVALID_ARGUMENT without a group; and
 * what the storage says.
 */
kaffic_status_t kaffic_consumer_commit(const kaffic_consumer_t *consumer,
                                       const kaffic_partitions_t *offsets,
                                       int64_t timeout_ms,
                                       kaffic_error_t **error);

/**
 * Begins to commit everything that was polled so far, and does not wait for it. What goes wrong is
 * logged. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT without a group.
 */
kaffic_status_t kaffic_consumer_commit_async(const kaffic_consumer_t *consumer, kaffic_error_t **error);

/**
 * Gives the name under which the consumer is a member of its group; null where it is none. Free it with
 * kaffic_string_free. Waits only for other calls on the consumer. Thread-safe.
 */
kaffic_status_t kaffic_consumer_member_name(const kaffic_consumer_t *consumer,
                                            char **name,
                                            kaffic_error_t **error);

/**
 * Whether everything that was asked for has been given: never without one of the settings `until`,
 * `max_records` and `max_bytes`. True too once it is closed, for null and in a child. False in a callback.
 * Waits only for other calls on the consumer. Thread-safe.
 */
bool kaffic_consumer_finished(const kaffic_consumer_t *consumer);

/**
 * Ends what the consumer reads: commits what was polled if it does that by itself, gives its partitions
 * up and leaves its group. A poll that waits on another thread fails with KAFFIC_CLOSED. Closing again
 * does nothing. Thread-safe.
 */
kaffic_status_t kaffic_consumer_close(const kaffic_consumer_t *consumer,
                                      int64_t timeout_ms,
                                      kaffic_error_t **error);

/**
 * Frees a consumer, and does not wait. One that was not closed is missed by its group after its session
 * timeout, and what it polled last is not committed. Null is nothing.
 */
void kaffic_consumer_free(kaffic_consumer_t *consumer);

/**
 * Has `callback` told of log lines up to `level`, on any thread, many at once; null tells nobody, as at
 * the beginning. When it is called no more, `userdata_free` (unless that is null) is called once with
 * `userdata`, on any thread. It is the process's. Thread-safe.
 *
 * KAFFIC_INVALID_ARGUMENT for a level that is none; then `userdata_free` was called.
 */
kaffic_status_t kaffic_set_log(kaffic_log_fn callback,
                               kaffic_log_level_t level,
                               void *userdata,
                               kaffic_userdata_free_fn userdata_free,
                               kaffic_error_t **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KAFFIC_H */
