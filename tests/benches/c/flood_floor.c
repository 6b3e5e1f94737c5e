/* Floods of the floor, which keeps its flooder's subscribers and apps on an object of their own. */
#include "flood.h"

static Target at(const Run *run) { return (Target){ run->name, "/org/callarbiter/Floor/flood", "org.callarbiter.Floor" }; }

static void simply(Connection *c, const Run *run, const char *member) {
    Message m;
    uint32_t serial = begin(c, at(run), member, NULL, 0);
    send_message(c);
    receive_reply(c, serial, &m);
}

static Connection *forget_all(Connection *c, const Run *run) {
    simply(c, run, "UnsubscribeAll");
    return NULL;
}

static Connection *enter_with_deaf(Connection *c, const Run *run) {
    forget_all(c, run);
    Connection *deaf = connect_to(run->address);
    simply(deaf, run, "Subscribe");
    return deaf;
}

static Connection *enter_with_calls(Connection *c, const Run *run) {
    Message m;
    forget_all(c, run);
    for (int i = 0; i < CALLS; i++) {
        begin(c, at(run), "ReportInFull", "usa{sv}", 0);
        put_u32(c, i);
        put_string(c, "tel:+15551234567");
        put_no_options(c);
        send_message(c);
        receive_reply(c, c->serial, &m);
    }
    return NULL;
}

static void ping(Connection *c, const Run *run) { write_ping(c, at(run)); }

static void call(Connection *c, const Run *run, int number) { ping(c, run); }

static void report(Connection *c, const Run *run, int number) {
    begin(c, at(run), "Report", "usa{sv}", 0);
    put_u32(c, number);
    put_string(c, "tel:+15551234567");
    size_t entries = open_array(c, 8);
    put_entry_string(c, "DisplayName", "Ada Lovelace");
    close_array(c, entries, 8);
}

static void register_app(Connection *c, const Run *run, int number) {
    begin(c, at(run), "RegisterInFull", "soa{sv}", 0);
    char app[64];
    sprintf(app, "org.example.App%d", number);
    put_string(c, app);
    put_object_path(c, "/bench");
    put_no_options(c);
}

static void subscribe(Connection *c, const Run *run, int number) {
    begin(c, at(run), "SubscribeInFull", "a{sv}", 0);
    put_no_options(c);
}

static void refused(Connection *c, const Run *run, int number) { write_refused(c, at(run), "Refuse", number); }

void floor_flood_calls(const Run *run) { flood(run, &(Flood){ NULL, call, ping }); }
void floor_flood_reports(const Run *run) { flood(run, &(Flood){ enter_with_deaf, report, ping }); }
void floor_flood_registrations(const Run *run) { flood(run, &(Flood){ forget_all, register_app, ping }); }
void floor_flood_subscriptions(const Run *run) { flood(run, &(Flood){ forget_all, subscribe, ping }); }
void floor_flood_refused(const Run *run) { flood(run, &(Flood){ NULL, refused, ping }); }
void floor_flood_snapshots(const Run *run) { flood(run, &(Flood){ enter_with_calls, subscribe, ping }); }
