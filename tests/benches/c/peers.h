/* The two services that are measured, as their peers see them. */
#pragma once
#include "wire.h"

/* What a run is given on the command line. */
typedef struct {
    const char *address, *name;
    const char *observe;            /* what an observer subscribes to: `call`, `all`, or `nothing` */
    int count, first, second;       /* how often, and two numbers that depend on the command */
} Run;

void floor_ping(const Run *run);
void floor_report(const Run *run);
void floor_report_in_full(const Run *run);
void floor_answer(const Run *run);
void floor_answer_in_full(const Run *run);
void floor_neighbour(const Run *run);
void floor_flood_calls(const Run *run);
void floor_flood_reports(const Run *run);
void floor_flood_registrations(const Run *run);
void floor_flood_subscriptions(const Run *run);
void floor_flood_refused(const Run *run);
void floor_flood_snapshots(const Run *run);
void floor_pipe(const Run *run);
void floor_pipe_in_full(const Run *run);
void floor_fanout(const Run *run);

void arbiter_ping(const Run *run);
void arbiter_report(const Run *run);
void arbiter_answer(const Run *run);
void arbiter_neighbour(const Run *run);
void arbiter_mute(const Run *run);
void arbiter_flood_calls(const Run *run);
void arbiter_flood_reports(const Run *run);
void arbiter_flood_registrations(const Run *run);
void arbiter_flood_subscriptions(const Run *run);
void arbiter_flood_refused(const Run *run);
void arbiter_flood_snapshots(const Run *run);
void arbiter_pipe(const Run *run);
void arbiter_fanout(const Run *run);
void arbiter_hold(const Run *run);
void arbiter_snapshot(const Run *run);

bool observes_all(const Run *run);
bool observes_nothing(const Run *run);

/* Before the first operation that counts, a tenth of them. */
static inline int warm_up(const Run *run) { return -(run->count / 10) - 1; }

/* Reads until this comes. */
void await(Connection *c, uint8_t type, const char *member, Message *m);
/* Reads until this signal has come on each of them once. The connections must be the same in every call. */
void await_each(Connection **c, int n, const char *signal);

/* Many requests under way: COUNT from FIRST controllers, SECOND of each at a time. */
typedef struct {
    Connection *provider, *observer;
    const char *signal;             /* which the observer sees once for each request */
    void (*greet)(Connection *controller, const Run *run);   /* before anything counts: the service knows it then */
    void (*subscribe)(Connection *observer, const Run *run); /* again, when it was told that it missed something */
    void (*request)(Connection *controller, const Run *run, int k, int number);
    bool (*answer)(Connection *provider, const Run *run, const Message *m); /* if it is to be answered */
} Pipe;
void pipe_through(const Run *run, const Pipe *pipe);
