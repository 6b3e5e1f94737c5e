/* The floor: what a call arbiter costs if it is written in C with sd-bus and does next to nothing.
 *
 * It has the hops of the real one and none of its work: a report becomes a signal to each subscriber; a request is
 * passed to the provider, whose `Fulfil` becomes a signal and the requester's reply. One user, one provider, no views,
 * no limits, no timers, no state besides the requests under way.
 *
 *   floor NAME      (on the bus at $DBUS_SESSION_BUS_ADDRESS) */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PATH "/org/callarbiter/Floor"
#define INTERFACE "org.callarbiter.Floor"
#define SLOTS 1024

static sd_bus *bus;
static char provider[64], (*subscribers)[64];
static size_t subscribed;
static struct Request { uint32_t number; sd_bus_message *from; struct Request *next; } *requests[SLOTS];

static int append_report(sd_bus_message *signal, sd_bus_message *report) {
    const char *key, *name = "", *app = "";
    int video = 0;
    int64_t since = 0;
    sd_bus_message_rewind(report, true);
    sd_bus_message_skip(report, "us");
    sd_bus_message_enter_container(report, 'a', "{sv}");
    while (sd_bus_message_enter_container(report, 'e', "sv") > 0) {
        sd_bus_message_read(report, "s", &key);
        if (!strcmp(key, "DisplayName")) sd_bus_message_read(report, "v", "s", &name);
        else if (!strcmp(key, "Provider")) sd_bus_message_read(report, "v", "s", &app);
        else if (!strcmp(key, "HasVideo")) sd_bus_message_read(report, "v", "b", &video);
        else if (!strcmp(key, "Since")) sd_bus_message_read(report, "v", "x", &since);
        else sd_bus_message_skip(report, "v");
        sd_bus_message_exit_container(report);
    }
    sd_bus_message_exit_container(report);
    return sd_bus_message_append(signal, "{sv}{sv}{sv}{sv}", "DisplayName", "s", name, "Provider", "s", app, "HasVideo", "b", video,
                                 "Since", "x", since);
}

static int publish(uint32_t number, const char *state, sd_bus_message *report) {
    for (size_t i = 0; i < subscribed; i++) {
        sd_bus_message *signal = NULL;
        int r = sd_bus_message_new_signal(bus, &signal, PATH, INTERFACE, "StateChanged");
        if (r < 0) return r;
        sd_bus_message_set_destination(signal, subscribers[i]);
        sd_bus_message_append(signal, "us", number, state);
        sd_bus_message_open_container(signal, 'a', "{sv}");
        if (report) append_report(signal, report);
        else sd_bus_message_append(signal, "{sv}", "Since", "x", (int64_t)number);
        sd_bus_message_close_container(signal);
        r = sd_bus_send(bus, signal, NULL);
        sd_bus_message_unref(signal);
        if (r < 0) return r;
    }
    return 0;
}

static int ping(sd_bus_message *m, void *data, sd_bus_error *error) { return sd_bus_reply_method_return(m, NULL); }

static int subscribe(sd_bus_message *m, void *data, sd_bus_error *error) {
    subscribers = realloc(subscribers, (subscribed + 1) * sizeof *subscribers);
    if (!subscribers) return -ENOMEM;
    snprintf(subscribers[subscribed++], sizeof *subscribers, "%s", sd_bus_message_get_sender(m));
    return sd_bus_reply_method_return(m, NULL);
}

static int unsubscribe_all(sd_bus_message *m, void *data, sd_bus_error *error) {
    subscribed = 0;
    return sd_bus_reply_method_return(m, NULL);
}

static int register_provider(sd_bus_message *m, void *data, sd_bus_error *error) {
    snprintf(provider, sizeof provider, "%s", sd_bus_message_get_sender(m));
    return sd_bus_reply_method_return(m, NULL);
}

static int report(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    const char *handle;
    sd_bus_message_read(m, "us", &number, &handle);
    publish(number, "incoming", m);
    return sd_bus_reply_method_return(m, NULL);
}

static int request(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    const char *action;
    sd_bus_message *perform = NULL;
    sd_bus_message_read(m, "us", &number, &action);
    struct Request *waiting = malloc(sizeof *waiting);
    if (!waiting) return -ENOMEM;
    *waiting = (struct Request){ number, sd_bus_message_ref(m), requests[number % SLOTS] };
    requests[number % SLOTS] = waiting;
    sd_bus_message_new_method_call(bus, &perform, provider, "/bench", INTERFACE ".Delegate", "Perform");
    sd_bus_message_set_expect_reply(perform, false);
    sd_bus_message_append(perform, "us", number, action);
    sd_bus_send(bus, perform, NULL);
    sd_bus_message_unref(perform);
    return 1;
}

static int fulfil(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    sd_bus_message_read(m, "u", &number);
    for (struct Request **at = &requests[number % SLOTS], *r; (r = *at); at = &r->next) {
        if (r->number != number) continue;
        *at = r->next;
        publish(number, "active", NULL);
        sd_bus_reply_method_return(r->from, NULL);
        sd_bus_message_unref(r->from);
        free(r);
        break;
    }
    return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable members[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Ping", "", "", ping, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UnsubscribeAll", "", "", unsubscribe_all, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RegisterProvider", "", "", register_provider, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Report", "usa{sv}", "", report, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Request", "us", "", request, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Fulfil", "u", "", fulfil, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL("StateChanged", "usa{sv}", 0),
    SD_BUS_VTABLE_END,
};

static int fail(const char *what, int error) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(-error));
    return 1;
}

int main(int argc, char **argv) {
    int r;
    if (argc != 2) return fail("floor NAME", -EINVAL);
    if ((r = sd_bus_open_user(&bus)) < 0) return fail("the bus", r);
    if ((r = sd_bus_add_object_vtable(bus, NULL, PATH, INTERFACE, members, NULL)) < 0) return fail("the object", r);
    if ((r = sd_bus_request_name(bus, argv[1], 0)) < 0) return fail("the name", r);
    for (;;) {
        r = sd_bus_process(bus, NULL);
        if (r == 0) r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0 && r != -EINTR) return fail("the bus", r);
    }
}
