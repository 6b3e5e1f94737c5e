/* Floods of the arbiter: what a program can ask that has a user's rights. */
#include "flood.h"

#include <string.h>
#include <unistd.h>

#define NAME "org.callarbiter.Calls1"
#define ROOT "/org/callarbiter/Calls1"

static const Target MANAGER = { NAME, ROOT, NAME ".Manager" };
static char provider[128];
static int reported;

static void call_id(char *text) { sprintf(text, "%08x-ca11-4000-8000-%012x", getpid(), reported); }

static void write_registration(Connection *c, const char *app) {
    begin(c, MANAGER, "RegisterProvider", "soa{sv}", 0);
    put_string(c, app);
    put_object_path(c, "/bench");
    put_no_options(c);
}

static void write_subscription(Connection *c) {
    begin(c, MANAGER, "Subscribe", "a{sv}", 0);
    put_no_options(c);
}

/* Until it is not refused: reports beyond so many a second are, and this is the next cycle of a flood of them. */
static void insist(Connection *c, void (*write)(Connection *c), Message *m) {
    do {
        write(c);
        uint32_t serial = c->serial;
        send_message(c);
        do receive(c, m); while (m->reply_serial != serial);
    } while (m->type == ERROR);
}

static void write_own_registration(Connection *c) { write_registration(c, "org.example.Flood"); }

static void write_call(Connection *c) {
    char id[64];
    call_id(id);
    begin(c, (Target){ NAME, provider, NAME ".Provider" }, "ReportCall", "sssa{sv}", 0);
    put_string(c, id);
    put_string(c, "incoming");
    put_string(c, "held");
    put_no_options(c);
}

static void enter_with(int calls, Connection *c) {
    Message m;
    size_t at = 0;
    insist(c, write_own_registration, &m);
    snprintf(provider, sizeof provider, "%s", string_at(&m, &at));
    for (reported = 0; reported < calls; reported++) insist(c, write_call, &m);
    reported = 0;
}

static Connection *enter_with_deaf(Connection *c, const Run *run) {
    Message m;
    Connection *deaf = connect_to(run->address);
    enter_with(1, c);
    insist(deaf, write_subscription, &m);
    return deaf;
}

static Connection *enter_with_calls(Connection *c, const Run *run) { return enter_with(CALLS, c), NULL; }

static void ping(Connection *c, const Run *run) { write_ping(c, MANAGER); }

static void call(Connection *c, const Run *run, int number) { ping(c, run); }

static void report(Connection *c, const Run *run, int number) {
    char id[64], name[64];
    call_id(id);
    sprintf(name, "Ada Lovelace %d", number);
    begin(c, (Target){ NAME, provider, NAME ".Provider" }, "UpdateCall", "sa{sv}", 0);
    put_string(c, id);
    size_t entries = open_array(c, 8);
    put_entry_string(c, "display-name", name);
    close_array(c, entries, 8);
}

static void register_app(Connection *c, const Run *run, int number) {
    char app[64];
    sprintf(app, "org.example.App%d", number);
    write_registration(c, app);
}

static void subscribe(Connection *c, const Run *run, int number) { write_subscription(c); }

static void refused(Connection *c, const Run *run, int number) { write_refused(c, MANAGER, "RequestTransaction", number); }

void arbiter_flood_calls(const Run *run) { flood(run, &(Flood){ NULL, call, ping }); }
void arbiter_flood_reports(const Run *run) { flood(run, &(Flood){ enter_with_deaf, report, ping }); }
void arbiter_flood_registrations(const Run *run) { flood(run, &(Flood){ NULL, register_app, ping }); }
void arbiter_flood_subscriptions(const Run *run) { flood(run, &(Flood){ NULL, subscribe, ping }); }
void arbiter_flood_refused(const Run *run) { flood(run, &(Flood){ NULL, refused, ping }); }
void arbiter_flood_snapshots(const Run *run) { flood(run, &(Flood){ enter_with_calls, subscribe, ping }); }
