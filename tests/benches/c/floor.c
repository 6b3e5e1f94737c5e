/* The floor: what a call arbiter costs if it is written in C with sd-bus and does next to nothing.
 *
 * It has the hops of the real one and none of its work: a report becomes a signal to each subscriber; a request is
 * passed to the provider, whose `Fulfil` becomes a signal and the requester's reply. No views, no limits, no timers, no
 * state besides the requests under way. Two users: each has its object, its provider and its subscribers.
 *
 * The methods with `InFull` do the same and say all that the contract says then (contract.h), still without its work.
 *
 *   floor NAME      (on the bus at $DBUS_SESSION_BUS_ADDRESS) */
#include "contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/org/callarbiter/Floor"
#define INTERFACE "org.callarbiter.Floor"
#define SLOTS 1024

typedef struct {
    const char *path;
    char provider[64];
    Observer *subscribers;
    size_t subscribed, registered;
    uint32_t ringing;               /* reported in full */
    struct Registration { char app[256], from[64]; } *registrations;
} Domain;

static sd_bus *bus;
static Domain domains[] = { { .path = PATH }, { .path = PATH "/flood" } };
/* `say`: what the contract says when it is fulfilled; none where one signal does. */
static struct Request { uint32_t number; void (*say)(const Audience *to, uint32_t call); sd_bus_message *from; struct Request *next; } *requests[SLOTS];

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

static int publish(const Domain *d, uint32_t number, const char *state, sd_bus_message *report) {
    for (size_t i = 0; i < d->subscribed; i++) {
        sd_bus_message *signal = NULL;
        int r = sd_bus_message_new_signal(bus, &signal, d->path, INTERFACE, "StateChanged");
        if (r < 0) return r;
        sd_bus_message_set_destination(signal, d->subscribers[i].name);
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

static Audience audience(const Domain *d) {
    return (Audience){ bus, d->provider, d->subscribers, d->subscribed };
}

static int ping(sd_bus_message *m, void *data, sd_bus_error *error) { return sd_bus_reply_method_return(m, NULL); }

static int add_subscriber(Domain *d, const char *name, bool everything) {
    for (size_t i = 0; i < d->subscribed; i++)
        if (!strcmp(d->subscribers[i].name, name)) return 0;
    Observer *more = realloc(d->subscribers, (d->subscribed + 1) * sizeof *more);
    if (!more) return -ENOMEM;
    d->subscribers = more;
    Observer *added = &d->subscribers[d->subscribed++];
    added->everything = everything;
    snprintf(added->name, sizeof added->name, "%s", name);
    return 0;
}

static int subscribe(sd_bus_message *m, void *data, sd_bus_error *error) {
    int r = add_subscriber(data, sd_bus_message_get_sender(m), true);
    return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int subscribe_to_calls(sd_bus_message *m, void *data, sd_bus_error *error) {
    int r = add_subscriber(data, sd_bus_message_get_sender(m), false);
    return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int subscribe_in_full(sd_bus_message *m, void *data, sd_bus_error *error) {
    Domain *d = data;
    int r = add_subscriber(d, sd_bus_message_get_sender(m), true);
    return r < 0 ? r : reply_snapshot(m, d->ringing);
}

static int unsubscribe_all(sd_bus_message *m, void *data, sd_bus_error *error) {
    Domain *d = data;
    d->subscribed = d->registered = d->ringing = 0;
    return sd_bus_reply_method_return(m, NULL);
}

static int register_provider(sd_bus_message *m, void *data, sd_bus_error *error) {
    Domain *d = data;
    snprintf(d->provider, sizeof d->provider, "%s", sd_bus_message_get_sender(m));
    return sd_bus_reply_method_return(m, NULL);
}

/* Any number of apps: they are remembered, and that is all. */
static int register_in_full(sd_bus_message *m, void *data, sd_bus_error *error) {
    Domain *d = data;
    const char *app, *delegate;
    char path[64];
    sd_bus_message_read(m, "so", &app, &delegate);
    struct Registration *more = realloc(d->registrations, (d->registered + 1) * sizeof *more);
    if (!more) return -ENOMEM;
    d->registrations = more;
    struct Registration *added = &d->registrations[d->registered++];
    snprintf(added->app, sizeof added->app, "%s", app);
    snprintf(added->from, sizeof added->from, "%s", sd_bus_message_get_sender(m));
    snprintf(path, sizeof path, PATH "/provider/%zu", d->registered);
    return reply_registered(m, path);
}

static int report(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    const char *handle;
    sd_bus_message_read(m, "us", &number, &handle);
    publish(data, number, "incoming", m);
    return sd_bus_reply_method_return(m, NULL);
}

static int report_in_full(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    const char *handle;
    Domain *d = data;
    Audience to = audience(d);
    d->ringing++;
    sd_bus_message_read(m, "us", &number, &handle);
    say_ringing(&to, number);
    return sd_bus_reply_method_return(m, NULL);
}

static int remember(uint32_t number, void (*say)(const Audience *to, uint32_t call), sd_bus_message *m) {
    struct Request *waiting = malloc(sizeof *waiting);
    if (!waiting) return -ENOMEM;
    *waiting = (struct Request){ number, say, sd_bus_message_ref(m), requests[number % SLOTS] };
    requests[number % SLOTS] = waiting;
    return 0;
}

static int request(sd_bus_message *m, void *data, sd_bus_error *error) {
    const Domain *d = data;
    uint32_t number;
    const char *action;
    sd_bus_message *perform = NULL;
    sd_bus_message_read(m, "us", &number, &action);
    if (remember(number, NULL, m) < 0) return -ENOMEM;
    sd_bus_message_new_method_call(bus, &perform, d->provider, "/bench", INTERFACE ".Delegate", "Perform");
    sd_bus_message_set_expect_reply(perform, false);
    sd_bus_message_append(perform, "us", number, action);
    sd_bus_send(bus, perform, NULL);
    sd_bus_message_unref(perform);
    return 1;
}

static int request_in_full(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    const char *action;
    Audience to = audience(data);
    sd_bus_message_read(m, "us", &number, &action);
    bool mute = !strcmp(action, "mute");
    if (remember(number, mute ? say_muted : say_active, m) < 0) return -ENOMEM;
    if (mute) say_muting(&to, number);
    else say_answering(&to, number);
    return 1;
}

static struct Request *take(uint32_t number) {
    for (struct Request **at = &requests[number % SLOTS], *r; (r = *at); at = &r->next) {
        if (r->number != number) continue;
        *at = r->next;
        return r;
    }
    return NULL;
}

static int fulfil(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    sd_bus_message_read(m, "u", &number);
    struct Request *r = take(number);
    if (!r) return sd_bus_reply_method_return(m, NULL);
    if (r->say) {
        Audience to = audience(data);
        sd_bus_reply_method_return(m, NULL);
        r->say(&to, number);
        sd_bus_reply_method_return(r->from, NULL);
    } else {
        publish(data, number, "active", NULL);
        sd_bus_reply_method_return(r->from, NULL);
        sd_bus_reply_method_return(m, NULL);
    }
    sd_bus_message_unref(r->from);
    free(r);
    return 1;
}

/* What was asked without a request of anybody: that the audio be taken. */
static int fulfil_audio(sd_bus_message *m, void *data, sd_bus_error *error) {
    uint32_t number;
    Audience to = audience(data);
    sd_bus_message_read(m, "u", &number);
    sd_bus_reply_method_return(m, NULL);
    say_granted(&to, number);
    return 1;
}

static int refuse(sd_bus_message *m, void *data, sd_bus_error *error) {
    return sd_bus_error_set(error, INTERFACE ".Error.InvalidArgument", "`call` is not a UUID");
}

static const sd_bus_vtable members[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Ping", "", "", ping, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SubscribeToCalls", "", "", subscribe_to_calls, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SubscribeInFull", "a{sv}", "ta{oa{sa{sv}}}", subscribe_in_full, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UnsubscribeAll", "", "", unsubscribe_all, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RegisterProvider", "", "", register_provider, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RegisterInFull", "soa{sv}", "oa{sv}", register_in_full, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Report", "usa{sv}", "", report, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("ReportInFull", "usa{sv}", "", report_in_full, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Request", "us", "", request, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestInFull", "us", "", request_in_full, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Fulfil", "u", "", fulfil, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("FulfilAudio", "u", "", fulfil_audio, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Refuse", "a(sa{sv})a{sv}", "", refuse, SD_BUS_VTABLE_UNPRIVILEGED),
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
    for (Domain *d = domains; d < domains + 2; d++)
        if ((r = sd_bus_add_object_vtable(bus, NULL, d->path, INTERFACE, members, d)) < 0) return fail("the object", r);
    if ((r = sd_bus_request_name(bus, argv[1], 0)) < 0) return fail("the name", r);
    for (;;) {
        r = sd_bus_process(bus, NULL);
        if (r == 0) r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0 && r != -EINTR) return fail("the bus", r);
    }
}
