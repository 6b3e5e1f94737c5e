/* measure.h: latencies, CPU time, waits. */
#define _GNU_SOURCE
#include "measure.h"
#include "wire.h"

#include <string.h>
#include <time.h>

typedef struct { char label[32]; pid_t pid; clockid_t clock; uint64_t began, spent; long waits_began, waits; } Watched;
typedef struct { const char *what; uint64_t *values; size_t length, room; } Series;

static Watched watched[8];
static int watching;
static Series series[8];
static struct { const char *what; uint64_t times; } counts[8];
static int measured, counted;
static bool each;
static uint64_t began, elapsed;

static uint64_t read_clock(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t now(void) { return read_clock(CLOCK_MONOTONIC); }

void watch(const char *label_and_pid) {
    const char *equals = strchr(label_and_pid, '=');
    if (!equals || watching == 8) DIE("--watch LABEL=PID, at most 8 times");
    Watched *w = &watched[watching++];
    snprintf(w->label, sizeof w->label, "%.*s", (int)(equals - label_and_pid), label_and_pid);
    w->pid = atoi(equals + 1);
    if (clock_getcpuclockid(w->pid, &w->clock)) DIE("no process %s", equals + 1);
}

static long waits_of(pid_t pid) {
    char name[64], line[128];
    long waits = 0;
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    FILE *status = fopen(name, "r");
    if (!status) return 0;
    while (fgets(line, sizeof line, status)) sscanf(line, "voluntary_ctxt_switches: %ld", &waits);
    fclose(status);
    return waits;
}

void start_counting(void) {
    for (int i = 0; i < watching; i++) {
        watched[i].began = read_clock(watched[i].clock);
        watched[i].waits_began = waits_of(watched[i].pid);
    }
    began = now();
}

void stop_counting(void) {
    elapsed += now() - began;
    for (int i = 0; i < watching; i++) {
        watched[i].spent += read_clock(watched[i].clock) - watched[i].began;
        watched[i].waits += waits_of(watched[i].pid) - watched[i].waits_began;
    }
}

void record(const char *what, uint64_t nanoseconds) {
    int i = 0;
    while (i < measured && strcmp(series[i].what, what)) i++;
    if (i == 8) DIE("too many series");
    if (i == measured) series[measured++].what = what;
    Series *s = &series[i];
    if (s->length == s->room) s->values = realloc(s->values, (s->room = s->room * 2 + 1024) * sizeof *s->values);
    s->values[s->length++] = nanoseconds;
}

void count(const char *what, uint64_t times) {
    int i = 0;
    while (i < counted && strcmp(counts[i].what, what)) i++;
    if (i == 8) DIE("too many counts");
    if (i == counted) counts[counted++].what = what;
    counts[i].times += times;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void print_each(void) { each = true; }

static void print_series(const Series *s) {
    printf("\"%s\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"max\":%.2f", s->what, s->values[s->length / 2] / 1e3,
           s->values[s->length * 9 / 10] / 1e3, s->values[s->length * 99 / 100] / 1e3, s->values[s->length - 1] / 1e3);
    for (size_t i = 0; each && i < s->length; i++) printf("%s%.2f", i ? "," : ",\"each\":[", s->values[i] / 1e3);
    printf("%s}", each ? "]" : "");
}

void print_results(const char *command, uint64_t operations) {
    printf("{\"command\":\"%s\",\"operations\":%lu,\"rate\":%.1f", command, operations, operations * 1e9 / elapsed);
    printf(",\"cpu_us\":{");
    for (int i = 0; i < watching; i++) printf("%s\"%s\":%.3f", i ? "," : "", watched[i].label, watched[i].spent / 1e3 / operations);
    printf("},\"waits\":{");
    for (int i = 0; i < watching; i++) printf("%s\"%s\":%.3f", i ? "," : "", watched[i].label, (double)watched[i].waits / operations);
    printf("},\"counts\":{");
    for (int i = 0; i < counted; i++) printf("%s\"%s\":%lu", i ? "," : "", counts[i].what, counts[i].times);
    printf("},\"us\":{");
    for (int i = 0; i < measured; i++) {
        Series *s = &series[i];
        qsort(s->values, s->length, sizeof *s->values, ascending);
        if (i) putchar(',');
        print_series(s);
    }
    printf("}}\n");
}
