/* Peers of the floor (floor.c): one provider, controllers, subscribers. */
#include "measure.h"
#include "peers.h"

#include <string.h>

#define INTERFACE "org.callarbiter.Floor"

static Target at(const Run *run) { return (Target){ run->name, "/org/callarbiter/Floor", INTERFACE }; }

static void simply(Connection *c, const Run *run, const char *member) {
    Message m;
    uint32_t serial = begin(c, at(run), member, NULL, 0);
    send_message(c);
    receive_reply(c, serial, &m);
}

static Connection *subscriber(const Run *run) {
    Connection *c = connect_to(run->address);
    simply(c, run, "Subscribe");
    return c;
}

/* As the observers of the arbiter are: of everything, of its call, or none. */
static Connection *observer_in_full(const Run *run) {
    if (observes_all(run)) return subscriber(run);
    Connection *c = connect_to(run->address);
    if (!observes_nothing(run)) simply(c, run, "SubscribeToCalls");
    return c;
}

static Connection *provider(const Run *run) {
    Connection *c = connect_to(run->address);
    simply(c, run, "UnsubscribeAll");
    simply(c, run, "RegisterProvider");
    return c;
}

static uint32_t report(Connection *c, const Run *run, const char *member, uint32_t number) {
    uint32_t serial = begin(c, at(run), member, "usa{sv}", 0);
    put_u32(c, number);
    put_string(c, "tel:+15551234567");
    size_t entries = open_array(c, 8);
    put_entry_string(c, "DisplayName", "Ada Lovelace");
    put_entry_string(c, "Provider", "org.example.Phone");
    put_entry_bool(c, "HasVideo", true);
    put_entry_i64(c, "Since", 1234567890123);
    close_array(c, entries, 8);
    send_message(c);
    return serial;
}

static void begin_request(Connection *c, const Run *run, const char *member, const char *action, uint32_t number) {
    begin(c, at(run), member, "us", 0);
    put_u32(c, number);
    put_string(c, action);
}

static void begin_fulfil(Connection *c, const Run *run, const Message *perform) {
    size_t offset = 0;
    uint32_t number = u32_at(perform, &offset);
    begin(c, at(run), "Fulfil", "u", 0);
    put_u32(c, number);
}

static uint32_t tell(Connection *p, const Run *run, const char *member, uint32_t number) {
    uint32_t serial = begin(p, at(run), member, "u", 0);
    put_u32(p, number);
    send_message(p);
    return serial;
}

void floor_ping(const Run *run) {
    Connection *c = connect_to(run->address);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = begin(c, at(run), "Ping", NULL, 0);
        send_message(c);
        receive_reply(c, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("reply", now() - sent);
    }
}

static void measure_reports(const Run *run, const char *member, const char *signal) {
    Connection *p = provider(run), *o = subscriber(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = report(p, run, member, k);
        await(o, SIGNAL, signal, &m);
        uint64_t seen = now();
        receive_reply(p, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("observer", seen - sent);
    }
}

void floor_report(const Run *run) { measure_reports(run, "Report", "StateChanged"); }
void floor_report_in_full(const Run *run) { measure_reports(run, "ReportInFull", "InterfacesAdded"); }

void floor_answer(const Run *run) {
    Connection *p = provider(run), *c = connect_to(run->address);
    Connection *o = observes_nothing(run) ? NULL : subscriber(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        begin_request(c, run, "Request", "answer", k);
        uint32_t serial = c->serial;
        send_message(c);
        await(p, CALL, "Perform", &m);
        uint64_t asked = now();
        begin_fulfil(p, run, &m);
        uint32_t fulfil = p->serial;
        send_message(p);
        receive_reply(c, serial, &m);
        uint64_t answered = now();
        if (o) await(o, SIGNAL, "StateChanged", &m);
        uint64_t seen = now();
        receive_reply(p, fulfil, &m);
        if (k < 0) continue;
        stop_counting();
        record("provider", asked - sent);
        record("controller", answered - sent);
        if (o) record("observer", seen - sent);
    }
}

/* An answer that nobody observes. */
void floor_neighbour(const Run *run) {
    Run unobserved = *run;
    unobserved.observe = "nothing";
    floor_answer(&unobserved);
}

/* With all that the contract says on the way: what is counted and where is as in arbiter_answer. */
void floor_answer_in_full(const Run *run) {
    Connection *p = provider(run), *c = connect_to(run->address), *o = observer_in_full(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        uint32_t number = k + run->count;
        if (k >= 0) start_counting();
        uint64_t sent = now();
        begin_request(c, run, "RequestInFull", "answer", number);
        uint32_t serial = c->serial;
        send_message(c);
        await(p, CALL, "PerformAnswer", &m);
        uint64_t asked = now();
        uint32_t fulfilled = tell(p, run, "Fulfil", number);
        receive_reply(c, serial, &m);
        uint64_t answered = now();
        for (int i = 0; i < 2 && !observes_nothing(run); i++) await(o, SIGNAL, "Transition", &m);
        uint64_t seen = now();
        receive_reply(p, fulfilled, &m);
        if (k >= 0) {
            stop_counting();
            record("provider", asked - sent);
            record("controller", answered - sent);
            if (!observes_nothing(run)) record("observer", seen - sent);
        }
        await(p, CALL, "AudioActivated", &m);
        receive_reply(p, tell(p, run, "FulfilAudio", number), &m);
        simply(o, run, "Ping");
    }
}

static void begin_any_request(Connection *c, const Run *run, int controller, int number) {
    begin_request(c, run, "Request", "answer", controller * 100000 + number);
}

static void begin_any_mute(Connection *c, const Run *run, int controller, int number) {
    begin_request(c, run, "RequestInFull", "mute", controller * 100000 + number);
}

static bool begin_answer(Connection *p, const Run *run, const Message *m) {
    if (!is(m, CALL, "Perform")) return false;
    begin_fulfil(p, run, m);
    return true;
}

static bool begin_muted(Connection *p, const Run *run, const Message *m) {
    size_t offset = 0;
    if (!is(m, CALL, "PerformSetMuted")) return false;
    uint32_t number = strtoul(strchr(string_at(m, &offset), '-') + 1, NULL, 10);
    begin(p, at(run), "Fulfil", "u", 0);
    put_u32(p, number);
    return true;
}

static void greet(Connection *c, const Run *run) { simply(c, run, "Ping"); }

void floor_pipe(const Run *run) {
    Pipe pipe = { provider(run), subscriber(run), "StateChanged", greet, NULL, begin_any_request, begin_answer };
    pipe_through(run, &pipe);
}

void floor_pipe_in_full(const Run *run) {
    const char *signal = observes_all(run) ? "Finished" : "PropertiesChanged";
    Pipe pipe = { provider(run), observer_in_full(run), signal, greet, NULL, begin_any_mute, begin_muted };
    pipe_through(run, &pipe);
}

/* COUNT reports, each to FIRST subscribers. */
void floor_fanout(const Run *run) {
    Connection *p = provider(run), **o = calloc(run->first, sizeof *o);
    Message m;
    for (int i = 0; i < run->first; i++) o[i] = subscriber(run);
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = report(p, run, "Report", k);
        await_each(o, run->first, "StateChanged");
        uint64_t seen = now();
        receive_reply(p, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("last observer", seen - sent);
    }
    simply(p, run, "UnsubscribeAll");
}
