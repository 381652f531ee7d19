/* The program's signals are the program's. A server in this program, which speaks as much of S3 as is needed, closes
 * connections in the midst of large uploads: that is an error of the call, and no SIGPIPE, which would end the
 * program. And the library's threads leave signals to the program's. */
#include "test.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4
#define LONG_MS 60000
#define LARGE (8 << 20)
#define MOST_OBJECTS 1000

typedef struct {
    char name[512], tag[32];
    char *bytes;
    size_t len;
} object_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static object_t objects[MOST_OBJECTS];
static int stored, cut;

/* The value of a header in a request's head, or null. */
static const char *header(const char *head, const char *name) {
    const char *line;
    for (line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            line += strlen(name) + 1;
            return line + strspn(line, " ");
        }
    }
    return NULL;
}

static object_t *object_at(const char *name) {
    int at;
    for (at = 0; at < stored; at++) {
        if (strcmp(objects[at].name, name) == 0) return &objects[at];
    }
    return NULL;
}

static void answer(int connection, const char *status, const object_t *object, const char *body, size_t len,
                   int with_body) {
    char head[1024], date[64];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nDate: %s\r\nLast-Modified: %s\r\nETag: \"%s\"\r\nContent-Length: %zu\r\n\r\n", status, date,
             date, object == NULL ? "none" : object->tag, len);
    /* A client that has gone is no concern of a server's. */
    (void)!send(connection, head, strlen(head), MSG_NOSIGNAL);
    if (with_body && len > 0) (void)!send(connection, body, len, MSG_NOSIGNAL);
}

/* Reads until there are `wanted` bytes; false at the connection's end. */
static int fill_up(int connection, char *bytes, size_t *len, size_t wanted) {
    while (*len < wanted) {
        ssize_t came = recv(connection, bytes + *len, wanted - *len, 0);
        if (came <= 0) return 0;
        *len += (size_t)came;
    }
    return 1;
}

/* A parameter of a query, without its escapes; empty if it is not there. */
static void parameter(const char *query, const char *name, char *value, size_t most) {
    const char *at;
    size_t len = 0;
    for (at = query; at != NULL; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, strlen(name)) == 0 && at[strlen(name)] == '=') {
            for (at += strlen(name) + 1; *at != '\0' && *at != '&' && len + 1 < most; at++) {
                unsigned code = 0;
                if (*at == '%' && sscanf(at + 1, "%2x", &code) == 1) at += 2;
                value[len++] = code == 0 ? *at : (char)code;
            }
            break;
        }
    }
    value[len] = '\0';
}

/* What is directly below a prefix. */
static char *list(const char *query) {
    char prefix[512] = "/b/", after[512], *listing = (char *)malloc(MOST_OBJECTS * 1200);
    size_t len;
    int at, before;
    parameter(query, "prefix", prefix + 3, sizeof prefix - 3);
    parameter(query, "start-after", after, sizeof after);
    len = (size_t)sprintf(listing, "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name>"
                                   "<IsTruncated>false</IsTruncated>");
    for (at = 0; at < stored; at++) {
        const object_t *object = &objects[at];
        const char *rest = object->name + strlen(prefix), *slash;
        if (strncmp(object->name, prefix, strlen(prefix)) != 0 || strcmp(object->name + 3, after) <= 0) continue;
        slash = strchr(rest, '/');
        if (slash == NULL) {
            len += (size_t)sprintf(listing + len,
                                   "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                                   "<ETag>\"%s\"</ETag><Size>%zu</Size></Contents>",
                                   object->name + 3, object->tag, object->len);
            continue;
        }
        for (before = 0; before < at; before++) {
            if (strncmp(objects[before].name, object->name, (size_t)(slash + 1 - object->name)) == 0) break;
        }
        if (before < at) continue;
        len += (size_t)sprintf(listing + len, "<CommonPrefixes><Prefix>%.*s</Prefix></CommonPrefixes>",
                               (int)(slash + 1 - object->name - 3), object->name + 3);
    }
    strcpy(listing + len, "</ListBucketResult>");
    return listing;
}

static void *serve(void *argument) {
    static const char deleted[] = "<?xml version=\"1.0\"?><DeleteResult></DeleteResult>";
    int connection = (int)(intptr_t)argument;
    for (;;) {
        char head[16384], method[16], name[512], *body = NULL, *query;
        const char *value;
        size_t len = 0, body_len = 0;
        object_t *object;
        do {
            if (len + 1 == sizeof head || !fill_up(connection, head, &len, len + 1)) {
                close(connection);
                return NULL;
            }
            head[len] = '\0';
        } while (len < 4 || strcmp(head + len - 4, "\r\n\r\n") != 0);
        CHECK(sscanf(head, "%15s %511s", method, name) == 2);
        query = strchr(name, '?');
        if (query != NULL) *query++ = '\0';
        value = header(head, "content-length");
        if (value != NULL) body_len = strtoull(value, NULL, 10);
        body = (char *)malloc(body_len + 1);
        len = 0;
        if (body_len >= LARGE) {
            /* Some of it is read, the rest is not. */
            struct linger at_once = {1, 0};
            fill_up(connection, body, &len, 100000);
            free(body);
            if (__atomic_fetch_add(&cut, 1, __ATOMIC_SEQ_CST) % 2) {
                setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            } else {
                shutdown(connection, SHUT_WR);
            }
            close(connection);
            return NULL;
        }
        if (!fill_up(connection, body, &len, body_len)) {
            free(body);
            close(connection);
            return NULL;
        }
        pthread_mutex_lock(&lock);
        object = object_at(name);
        if (strcmp(method, "PUT") == 0) {
            if (object != NULL && header(head, "if-none-match") != NULL) {
                answer(connection, "412 Precondition Failed", NULL, NULL, 0, 0);
            } else {
                if (object == NULL) {
                    CHECK(stored < MOST_OBJECTS);
                    object = &objects[stored++];
                    snprintf(object->name, sizeof object->name, "%s", name);
                }
                free(object->bytes);
                object->bytes = body;
                object->len = len;
                body = NULL;
                snprintf(object->tag, sizeof object->tag, "%p-%zu", (void *)object->bytes, len);
                answer(connection, "200 OK", object, NULL, 0, 0);
            }
        } else if (strcmp(method, "DELETE") == 0) {
            answer(connection, "204 No Content", NULL, NULL, 0, 0);
        } else if (strcmp(method, "POST") == 0) {
            answer(connection, "200 OK", NULL, deleted, strlen(deleted), 1);
        } else if (query != NULL && strstr(query, "list-type") != NULL) {
            char *listing = list(query);
            answer(connection, "200 OK", NULL, listing, strlen(listing), 1);
            free(listing);
        } else if (object == NULL) {
            answer(connection, "404 Not Found", NULL, NULL, 0, 0);
        } else {
            answer(connection, "200 OK", object, object->bytes, object->len, strcmp(method, "GET") == 0);
        }
        pthread_mutex_unlock(&lock);
        free(body);
    }
}

static void *accept_all(void *argument) {
    int listener = (int)(intptr_t)argument;
    for (;;) {
        pthread_t thread;
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) return NULL;
        CHECK(pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection) == 0);
        pthread_detach(thread);
    }
}

/* Which signals a thread of the library's blocks, and how many threads it has. */
static int library_threads(uint64_t *blocked) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int threads = 0;
    CHECK(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[256];
        int ours = 0;
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL) continue;
        while (fgets(line, sizeof line, file) != NULL) {
            if (strncmp(line, "Name:\tkaffic", 12) == 0) ours = 1;
            if (ours && strncmp(line, "SigBlk:", 7) == 0) {
                *blocked &= strtoull(line + 7, NULL, 16);
                threads++;
            }
        }
        fclose(file);
    }
    closedir(tasks);
    return threads;
}

static int has(uint64_t signals, int number) { return (int)(signals >> (number - 1) & 1); }

int main(void) {
    const char *options[] = {"endpoint",          NULL,     "access_key_id",  "a",   "secret_access_key", "b",
                             "unsigned_payload", "true", "request_timeout", "10s", NULL};
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    char endpoint[64];
    const char *const sending[] = {"delivery_timeout", "1s", NULL};
    kaffic_config_t *config, *soon = settings(sending);
    kaffic_client_t *client = NULL;
    kaffic_producer_t *producer = NULL;
    kaffic_record_t record = record_of("k", "small");
    kaffic_delivery_t delivery;
    sigset_t pending;
    uint64_t blocked = UINT64_MAX;
    pthread_t thread;
    char *large;
    int listener = socket(AF_INET, SOCK_STREAM, 0), round;

    /* Whoever started this may have it ignored. */
    signal(SIGPIPE, SIG_DFL);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 100) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    CHECK(pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)listener) == 0);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", ntohs(address.sin_port));
    options[1] = endpoint;
    config = settings(options);
    OK(kaffic_client_new("s3://b/p", config, &client, &error));
    OK(kaffic_topic_create(client, "t", NULL, LONG_MS, &error));
    OK(kaffic_producer_new(client, "t", soon, NULL, LONG_MS, &producer, &error));
    OK(kaffic_producer_append(producer, 0, &record, sizeof record, 1, 0, LONG_MS, NULL, 0, &error));

    CHECK(library_threads(&blocked) > 0);
    CHECK(has(blocked, SIGTERM) && has(blocked, SIGINT) && has(blocked, SIGCHLD) && has(blocked, SIGPIPE));
    CHECK(!has(blocked, SIGSEGV) && !has(blocked, SIGABRT) && !has(blocked, SIGPROF));

    large = (char *)calloc(1, LARGE);
    record.value.data = (const uint8_t *)large;
    record.value.len = LARGE;
    for (round = 0; round < ROUNDS; round++) {
        kaffic_error_t *error = NULL;
        kaffic_status_t status =
            kaffic_producer_append(producer, 0, &record, sizeof record, 1, KAFFIC_NO_OFFSET, LONG_MS, NULL, 0,
                                   &error);
        CHECK(status == KAFFIC_TIMED_OUT || status == KAFFIC_UNAVAILABLE);
        CHECK(kaffic_error_retriable(error));
        kaffic_error_free(error);
    }
    CHECK(__atomic_load_n(&cut, __ATOMIC_SEQ_CST) >= ROUNDS);
    /* Nothing of it is left on this thread either, and the producer works. */
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &pending) == 0 && !sigismember(&pending, SIGPIPE));
    record = record_of("k", "small");
    OK(kaffic_producer_append(producer, 0, &record, sizeof record, 1, KAFFIC_NO_OFFSET, LONG_MS, &delivery,
                              sizeof delivery, &error));
    CHECK(delivery.offset >= 1);
    kaffic_producer_free(producer);
    kaffic_client_free(client);
    kaffic_config_free(config);
    kaffic_config_free(soon);
    free(large);
    OK(kaffic_shutdown(LONG_MS, &error));
    printf("%d uploads were cut off\n", cut);
    return 0;
}
