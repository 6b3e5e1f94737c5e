/* What is measured: latencies, and the CPU time and waits of the processes that are watched. */
#pragma once
#include <stdint.h>
#include <stddef.h>

/* A process to watch, as `label=pid`. */
void watch(const char *label_and_pid);
uint64_t now(void);

/* CPU time counts between these two; an operation is one pair. */
void start_counting(void);
void stop_counting(void);

/* Latencies by name, in the order of their first use. */
void record(const char *what, uint64_t nanoseconds);

/* What happened so often. */
void count(const char *what, uint64_t times);

/* Each latency is printed as well. */
void print_each(void);
/* Everything, as one JSON object on stdout. `operations` is what CPU time and rate are divided by. */
void print_results(const char *command, uint64_t operations);
