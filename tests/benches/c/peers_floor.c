/* Peers of the floor (floor.c): one provider, controllers, subscribers. */
#include "measure.h"
#include "peers.h"

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

static Connection *provider(const Run *run) {
    Connection *c = connect_to(run->address);
    simply(c, run, "UnsubscribeAll");
    simply(c, run, "RegisterProvider");
    return c;
}

static uint32_t report(Connection *c, const Run *run, uint32_t number) {
    uint32_t serial = begin(c, at(run), "Report", "usa{sv}", 0);
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

static void begin_request(Connection *c, const Run *run, uint32_t number) {
    begin(c, at(run), "Request", "us", 0);
    put_u32(c, number);
    put_string(c, "answer");
}

static void begin_fulfil(Connection *c, const Run *run, const Message *perform) {
    size_t offset = 0;
    uint32_t number = u32_at(perform, &offset);
    begin(c, at(run), "Fulfil", "u", 0);
    put_u32(c, number);
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

void floor_report(const Run *run) {
    Connection *p = provider(run), *o = subscriber(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = report(p, run, k);
        await(o, SIGNAL, "StateChanged", &m);
        uint64_t seen = now();
        receive_reply(p, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("observer", seen - sent);
    }
}

void floor_answer(const Run *run) {
    Connection *p = provider(run), *c = connect_to(run->address), *o = subscriber(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        begin_request(c, run, k);
        uint32_t serial = c->serial;
        send_message(c);
        await(p, CALL, "Perform", &m);
        uint64_t asked = now();
        begin_fulfil(p, run, &m);
        uint32_t fulfil = p->serial;
        send_message(p);
        receive_reply(c, serial, &m);
        uint64_t answered = now();
        await(o, SIGNAL, "StateChanged", &m);
        uint64_t seen = now();
        receive_reply(p, fulfil, &m);
        if (k < 0) continue;
        stop_counting();
        record("provider", asked - sent);
        record("controller", answered - sent);
        record("observer", seen - sent);
    }
}

static void begin_any_request(Connection *c, const Run *run, int controller, int number) {
    begin_request(c, run, controller * 100000 + number);
}

static bool begin_answer(Connection *p, const Run *run, const Message *m) {
    if (!is(m, CALL, "Perform")) return false;
    begin_fulfil(p, run, m);
    return true;
}

void floor_pipe(const Run *run) {
    Pipe pipe = { provider(run), subscriber(run), "StateChanged", begin_any_request, begin_answer };
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
        uint32_t serial = report(p, run, k);
        await_each(o, run->first, "StateChanged");
        uint64_t seen = now();
        receive_reply(p, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("last observer", seen - sent);
    }
    simply(p, run, "UnsubscribeAll");
}
