/* Peers of the arbiter: one provider and its calls, controllers, observers; the same hops as with the floor. */
#include "measure.h"
#include "peers.h"

#include <unistd.h>

#define NAME "org.callarbiter.Calls1"
#define ROOT "/org/callarbiter/Calls1"

static const Target MANAGER = { NAME, ROOT, NAME ".Manager" };
static const Target PEER = { NAME, ROOT, "org.freedesktop.DBus.Peer" };

typedef struct {
    Connection *c;
    char path[128];
} Provider;

static Target of(const Provider *p) { return (Target){ NAME, p->path, NAME ".Provider" }; }

/* Of this process alone: the arbiter remembers the ids of calls that have ended. */
static void call_id(char *text, int number) { sprintf(text, "%08x-ca11-4000-8000-%012x", getpid(), number); }

static void call_path(char *text, int number) {
    sprintf(text, ROOT "/call/%08x_ca11_4000_8000_%012x", getpid(), number);
}

/* When the reply comes, everything that the arbiter sent before has been read. */
static void catch_up(Connection *c) {
    Message m;
    uint32_t serial = begin(c, PEER, "Ping", NULL, 0);
    send_message(c);
    receive_reply(c, serial, &m);
}

static Provider provider(Connection *c, const char *app) {
    Provider p = { .c = c };
    Message m;
    size_t at = 0;
    uint32_t serial = begin(c, MANAGER, "RegisterProvider", "soa{sv}", 0);
    put_string(c, app);
    put_object_path(c, "/bench");
    put_no_options(c);
    send_message(c);
    receive_reply(c, serial, &m);
    snprintf(p.path, sizeof p.path, "%s", string_at(&m, &at));
    return p;
}

/* Its calls end with it. */
static void unregister(const Provider *p) {
    Message m;
    uint32_t serial = begin(p->c, of(p), "Unregister", NULL, 0);
    send_message(p->c);
    receive_reply(p->c, serial, &m);
}

static void begin_subscribe(Connection *c, const Run *run) {
    begin(c, MANAGER, "Subscribe", "a{sv}", 0);
    put_no_options(c);
}

static void subscribe(Connection *c, const Run *run) {
    Message m;
    begin_subscribe(c, run);
    uint32_t serial = c->serial;
    send_message(c);
    receive_reply(c, serial, &m);
}

static Connection *observer_of_all(const Run *run) {
    Connection *c = connect_to(run->address);
    subscribe(c, run);
    return c;
}

static void observe_call(Connection *c, int number) {
    char path[128];
    Message m;
    call_path(path, number);
    uint32_t serial = begin(c, (Target){ NAME, path, "org.freedesktop.DBus.Properties" }, "GetAll", "s", 0);
    put_string(c, NAME ".Call");
    send_message(c);
    receive_reply(c, serial, &m);
}

static uint32_t report_incoming(const Provider *p, int number) {
    char id[64];
    call_id(id, number);
    uint32_t serial = begin(p->c, of(p), "ReportIncomingCall", "sa{sv}", 0);
    put_string(p->c, id);
    size_t entries = open_array(p->c, 8);
    put_entry_string(p->c, "remote-handle", "tel:+15551234567");
    put_entry_string(p->c, "display-name", "Ada Lovelace");
    put_entry_bool(p->c, "has-video", true);
    close_array(p->c, entries, 8);
    send_message(p->c);
    return serial;
}

static void report_held(const Provider *p, int number) {
    char id[64];
    Message m;
    call_id(id, number);
    uint32_t serial = begin(p->c, of(p), "ReportCall", "sssa{sv}", 0);
    put_string(p->c, id);
    put_string(p->c, "incoming");
    put_string(p->c, "held");
    size_t entries = open_array(p->c, 8);
    put_entry_string(p->c, "remote-handle", "tel:+15551234567");
    put_entry_string(p->c, "display-name", "Ada Lovelace");
    close_array(p->c, entries, 8);
    send_message(p->c);
    receive_reply(p->c, serial, &m);
}

static void begin_fulfil(const Provider *p, const Message *request) {
    size_t at = 0;
    char text[64];
    snprintf(text, sizeof text, "%s", string_at(request, &at));
    begin(p->c, of(p), "Fulfil", "sa{sv}", 0);
    put_string(p->c, text);
    put_no_options(p->c);
}

/* Reads until this request comes, and fulfils it; the serial of the word. */
static uint32_t fulfil(const Provider *p, const char *member) {
    Message m;
    await(p->c, CALL, member, &m);
    begin_fulfil(p, &m);
    send_message(p->c);
    return p->c->serial;
}

static void report_ended(const Provider *p, int number, bool had_audio) {
    char id[64];
    Message m;
    call_id(id, number);
    uint32_t serial = begin(p->c, of(p), "ReportEnded", "ssa{sv}", 0);
    put_string(p->c, id);
    put_string(p->c, "remote-ended");
    put_no_options(p->c);
    send_message(p->c);
    receive_reply(p->c, serial, &m);
    if (had_audio) receive_reply(p->c, fulfil(p, "AudioDeactivated"), &m);
    catch_up(p->c);
}

void arbiter_ping(const Run *run) {
    Connection *c = connect_to(run->address);
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        catch_up(c);
        if (k < 0) continue;
        stop_counting();
        record("reply", now() - sent);
    }
}

void arbiter_report(const Run *run) {
    Provider p = provider(connect_to(run->address), "org.example.Bench");
    Connection *o = observer_of_all(run);
    Message m;
    for (int k = warm_up(run); k < run->count; k++) {
        int number = k + run->count;
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = report_incoming(&p, number);
        await(o, SIGNAL, "InterfacesAdded", &m);
        uint64_t seen = now();
        receive_reply(p.c, serial, &m);
        if (k >= 0) {
            stop_counting();
            record("observer", seen - sent);
        }
        report_ended(&p, number, false);
        catch_up(o);
    }
    unregister(&p);
}

/* Of a call that rings; with all that follows from it, until its app has taken the audio. */
void arbiter_answer(const Run *run) {
    Provider p = provider(connect_to(run->address), "org.example.Bench");
    Connection *c = connect_to(run->address), *o = observes_all(run) ? observer_of_all(run) : connect_to(run->address);
    Message m;
    catch_up(c);
    for (int k = warm_up(run); k < run->count; k++) {
        int number = k + run->count;
        char path[128];
        call_path(path, number);
        receive_reply(p.c, report_incoming(&p, number), &m);
        if (!observes_all(run) && !observes_nothing(run)) observe_call(o, number);
        catch_up(o);
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t answer = begin(c, (Target){ NAME, path, NAME ".Call" }, "Answer", "a{sv}", 0);
        put_no_options(c);
        send_message(c);
        uint32_t fulfilled = fulfil(&p, "PerformAnswer");
        uint64_t asked = now();
        receive_reply(c, answer, &m);
        uint64_t answered = now();
        // To `answering`, and to `active`.
        for (int i = 0; i < 2 && !observes_nothing(run); i++) await(o, SIGNAL, "Transition", &m);
        uint64_t seen = now();
        receive_reply(p.c, fulfilled, &m);
        if (k >= 0) {
            stop_counting();
            record("provider", asked - sent);
            record("controller", answered - sent);
            if (!observes_nothing(run)) record("observer", seen - sent);
        }
        receive_reply(p.c, fulfil(&p, "AudioActivated"), &m);
        report_ended(&p, number, true);
        catch_up(o);
    }
    unregister(&p);
}

static Provider piped;

/* Mutes and unmutes: what a provider is asked for each call by itself, so that nothing waits for anything else. */
static void begin_mute(Connection *c, const Run *run, int k, int number) {
    char path[128];
    call_path(path, k * run->second + number % run->second);
    begin(c, (Target){ NAME, path, NAME ".Call" }, "SetMuted", "b", 0);
    put_u32(c, number / run->second % 2 == 0);
}

static bool begin_answer(Connection *c, const Run *run, const Message *m) {
    (void)c, (void)run;
    if (!is(m, CALL, "PerformSetMuted")) return false;
    begin_fulfil(&piped, m);
    return true;
}

static void greet(Connection *c, const Run *run) { catch_up(c); }

void arbiter_pipe(const Run *run) {
    piped = provider(connect_to(run->address), "org.example.Bench");
    for (int i = 0; i < run->first * run->second; i++) report_held(&piped, i);
    Connection *o = observes_all(run) ? observer_of_all(run) : connect_to(run->address);
    for (int i = 0; !observes_all(run) && i < run->first * run->second; i++) observe_call(o, i);
    Pipe pipe = { piped.c, o, observes_all(run) ? "Finished" : "PropertiesChanged", greet, begin_subscribe, begin_mute, begin_answer };
    pipe_through(run, &pipe);
    unregister(&piped);
}

/* Mutes and unmutes one call: the hops of an answer, and neither a report nor an end between two of them. */
static void mute_in_turn(const Run *run, Connection *observer) {
    Provider p = provider(connect_to(run->address), "org.example.Neighbour");
    Connection *c = connect_to(run->address);
    Message m;
    char path[128];
    bool muted = false;
    report_held(&p, 0);
    call_path(path, 0);
    if (observer) observe_call(observer, 0);
    catch_up(c);
    for (int k = warm_up(run); k < run->count; k++) {
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t mute = begin(c, (Target){ NAME, path, NAME ".Call" }, "SetMuted", "b", 0);
        put_u32(c, muted = !muted);
        send_message(c);
        uint32_t fulfilled = fulfil(&p, "PerformSetMuted");
        receive_reply(c, mute, &m);
        uint64_t answered = now();
        if (observer) await(observer, SIGNAL, "PropertiesChanged", &m);
        receive_reply(p.c, fulfilled, &m);
        if (k < 0) continue;
        stop_counting();
        record("controller", answered - sent);
    }
    unregister(&p);
}

void arbiter_neighbour(const Run *run) { mute_in_turn(run, NULL); }

/* With one observer of the call: the same messages as the floor's answer. */
void arbiter_mute(const Run *run) { mute_in_turn(run, connect_to(run->address)); }

/* COUNT changes of one call's name, each to FIRST subscribers. */
void arbiter_fanout(const Run *run) {
    Provider p = provider(connect_to(run->address), "org.example.Bench");
    Connection **o = calloc(run->first, sizeof *o);
    Message m;
    report_held(&p, 0);
    for (int i = 0; i < run->first; i++) catch_up(o[i] = observer_of_all(run));
    for (int k = warm_up(run); k < run->count; k++) {
        char id[64], name[64];
        call_id(id, 0);
        sprintf(name, "Ada Lovelace %d", k + run->count);
        if (k >= 0) start_counting();
        uint64_t sent = now();
        uint32_t serial = begin(p.c, of(&p), "UpdateCall", "sa{sv}", 0);
        put_string(p.c, id);
        size_t entries = open_array(p.c, 8);
        put_entry_string(p.c, "display-name", name);
        close_array(p.c, entries, 8);
        send_message(p.c);
        await_each(o, run->first, "PropertiesChanged");
        uint64_t seen = now();
        receive_reply(p.c, serial, &m);
        if (k < 0) continue;
        stop_counting();
        record("last observer", seen - sent);
    }
    unregister(&p);
}

/* COUNT held calls in each of FIRST users' domains, until stdin is closed. The first domain is our own. */
void arbiter_hold(const Run *run) {
    for (int d = 0; d < run->first; d++) {
        Provider p = provider(connect_as(run->address, d ? 20000u + d : getuid()), "org.example.Holds");
        for (int i = 0; i < run->count; i++) report_held(&p, 0x100000 + i);
    }
    printf("held\n");
    fflush(stdout);
    char byte;
    if (read(0, &byte, 1)) return;
}

/* How long a snapshot holds up somebody else, with what is live now: a ping alone, and one right behind it. */
void arbiter_snapshot(const Run *run) {
    Connection *c = connect_to(run->address), *other = connect_to(run->address);
    Message m;
    catch_up(c);
    catch_up(other);
    for (int k = warm_up(run); k < run->count; k++) {
        uint64_t before = now();
        catch_up(other);
        uint64_t alone = now() - before;
        if (k >= 0) start_counting();
        before = now();
        begin_subscribe(c, run);
        uint32_t serial = c->serial;
        send_message(c);
        uint64_t sent = now();
        catch_up(other);
        uint64_t behind = now() - sent;
        receive_reply(c, serial, &m);
        uint64_t took = now() - before;
        if (k < 0) continue;
        stop_counting();
        record("ping alone", alone);
        record("ping behind", behind);
        record("snapshot", took);
    }
}
