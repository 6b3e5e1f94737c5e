/* contract.h: an arbiter's messages without an arbiter. */
#include "contract.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOT "/org/callarbiter/Calls1"
#define NAME "org.callarbiter.Calls1"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define WHEN ((uint64_t)1795383099195198)

typedef struct { const char *path, *interface, *member; } Signal;
typedef struct { char id[64], path[128], transaction[64], group[64], request[32]; uint64_t revision; } Names;

static Names names_of(uint32_t call) {
    Names names = { .revision = call };
    snprintf(names.id, sizeof names.id, "00006387-ca11-4000-8000-%012x", call);
    snprintf(names.path, sizeof names.path, ROOT "/call/00006387_ca11_4000_8000_%012x", call);
    snprintf(names.transaction, sizeof names.transaction, ROOT "/transaction/%u", call);
    snprintf(names.group, sizeof names.group, ROOT "/group/%u", call);
    snprintf(names.request, sizeof names.request, "de2c23f24255-%u", call);
    return names;
}

static void fail(const char *member, int error) {
    fprintf(stderr, "floor: %s cannot be said: %d\n", member, error);
    exit(1);
}

static void tell(const Audience *to, const char *receiver, Signal what, const char *types, va_list arguments) {
    sd_bus_message *m = NULL;
    int r = sd_bus_message_new_signal(to->bus, &m, what.path, what.interface, what.member);
    if (r >= 0) r = sd_bus_message_set_destination(m, receiver);
    if (r >= 0) r = sd_bus_message_appendv(m, types, arguments);
    if (r >= 0) r = sd_bus_send(to->bus, m, NULL);
    sd_bus_message_unref(m);
    if (r < 0) fail(what.member, r);
}

static void tell_observers(const Audience *to, bool of_call, Signal what, const char *types, ...) {
    for (size_t i = 0; i < to->count; i++) {
        if (!of_call && !to->observers[i].everything) continue;
        va_list arguments;
        va_start(arguments, types);
        tell(to, to->observers[i].name, what, types, arguments);
        va_end(arguments);
    }
}

static void ask_provider(const Audience *to, const char *member, const char *types, ...) {
    sd_bus_message *m = NULL;
    va_list arguments;
    va_start(arguments, types);
    int r = sd_bus_message_new_method_call(to->bus, &m, to->provider, "/bench", NAME ".ProviderDelegate", member);
    if (r >= 0) r = sd_bus_message_set_expect_reply(m, false);
    if (r >= 0) r = sd_bus_message_appendv(m, types, arguments);
    if (r >= 0) r = sd_bus_send(to->bus, m, NULL);
    va_end(arguments);
    sd_bus_message_unref(m);
    if (r < 0) fail(member, r);
}

/* The properties of a call that rings. */
#define RINGING(n) \
    "AnswerPlan", "a{sv}", 2, "ends", "ao", 0, "holds", "ao", 0, "AppId", "s", "org.example.Bench", \
    "Capabilities", "as", 3, "hold", "group", "dtmf", "ConnectedAt", "t", (uint64_t)0, "CreatedAt", "t", WHEN, \
    "Direction", "s", "incoming", "DisplayName", "s", "Ada Lovelace", "Emergency", "b", 0, "Encrypted", "b", 0, \
    "EndDetail", "s", "", "EndReason", "s", "", "EndedAt", "t", (uint64_t)0, "Group", "o", "/", "HasVideo", "b", 1, \
    "HeldBy", "ao", 0, "Id", "s", n.id, "MuteEnforced", "b", 0, "Muted", "b", 0, "Orphaned", "b", 0, \
    "Provider", "o", ROOT "/provider/1", "Reason", "s", "reported", "RemoteHandle", "s", "tel:+15551234567", \
    "RemoteHeld", "b", 0, "Revision", "t", n.revision, "RingDeadline", "t", WHEN, "Silenced", "s", "", "State", "s", "ringing", \
    "Waiting", "b", 0

void say_ringing(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal added = { ROOT, OBJECT_MANAGER, "InterfacesAdded" };
    tell_observers(to, false, added, "oa{sa{sv}}", n.path, 1, NAME ".Call", 28,
        RINGING(n));
}

void say_answering(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal added = { ROOT, OBJECT_MANAGER, "InterfacesAdded" }, changed = { n.path, PROPERTIES, "PropertiesChanged" };
    Signal transition = { n.path, NAME ".Call", "Transition" };
    ask_provider(to, "PerformAnswer", "ssa{sv}", n.request, n.id, 2, "deadline", "u", 10000u, "origin", "s", "controller");
    tell_observers(to, false, added, "oa{sa{sv}}", n.transaction, 1, NAME ".Transaction", 5,
        "Actions", "a(sa{sv})", 1, "Answer", 2, "call", "s", n.id, "outcome", "s", "",
        "CreatedAt", "t", WHEN, "Origin", "s", "controller", "Revision", "t", n.revision, "State", "s", "running");
    tell_observers(to, true, changed, "sa{sv}as", NAME ".Call", 4, "Reason", "s", "answered here", "Revision", "t", n.revision,
        "RingDeadline", "t", (uint64_t)0, "State", "s", "answering", 0);
    tell_observers(to, true, transition, "ssst", "ringing", "answering", "answered here", n.revision);
}

void say_active(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal added = { ROOT, OBJECT_MANAGER, "InterfacesAdded" }, changed = { n.path, PROPERTIES, "PropertiesChanged" };
    Signal transaction_changed = { n.transaction, PROPERTIES, "PropertiesChanged" };
    Signal audio_changed = { ROOT, PROPERTIES, "PropertiesChanged" }, transition = { n.path, NAME ".Call", "Transition" };
    Signal finished = { n.transaction, NAME ".Transaction", "Finished" };
    ask_provider(to, "AudioActivated", "sasta{sv}", n.request, 1, n.id, n.revision, 2, "origin", "s", "policy", "deadline", "u", 2000u);
    tell_observers(to, false, added, "oa{sa{sv}}", n.group, 1, NAME ".Group", 5, "Audio", "b", 1, "Calls", "ao", 1, n.path,
        "Provider", "o", ROOT "/provider/1", "Revision", "t", n.revision, "State", "s", "active");
    tell_observers(to, true, changed, "sa{sv}as", NAME ".Call", 5, "ConnectedAt", "t", WHEN, "Group", "o", n.group,
        "Reason", "s", "answered", "Revision", "t", n.revision, "State", "s", "active", 0);
    tell_observers(to, false, transaction_changed, "sa{sv}as", NAME ".Transaction", 3,
        "Actions", "a(sa{sv})", 1, "Answer", 2, "call", "s", n.id, "outcome", "s", "fulfilled",
        "Revision", "t", n.revision, "State", "s", "finished", 0);
    tell_observers(to, false, audio_changed, "sa{sv}as", NAME ".AudioSession", 5, "Generation", "t", n.revision,
        "Holder", "o", n.group, "Phase", "s", "granting", "Revision", "t", n.revision, "Since", "t", WHEN, 0);
    tell_observers(to, true, transition, "ssst", "answering", "active", "answered", n.revision);
    tell_observers(to, false, finished, "a(sa{sv})t", 1, "Answer", 2, "call", "s", n.id, "outcome", "s", "fulfilled", n.revision);
}

void say_muting(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal added = { ROOT, OBJECT_MANAGER, "InterfacesAdded" };
    ask_provider(to, "PerformSetMuted", "ssba{sv}", n.request, n.id, 1, 2, "deadline", "u", 5000u, "origin", "s", "controller");
    tell_observers(to, false, added, "oa{sa{sv}}", n.transaction, 1, NAME ".Transaction", 5,
        "Actions", "a(sa{sv})", 1, "SetMuted", 3, "call", "s", n.id, "muted", "b", 1, "outcome", "s", "",
        "CreatedAt", "t", WHEN, "Origin", "s", "controller", "Revision", "t", n.revision, "State", "s", "running");
}

void say_muted(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal changed = { n.path, PROPERTIES, "PropertiesChanged" }, transaction_changed = { n.transaction, PROPERTIES, "PropertiesChanged" };
    Signal finished = { n.transaction, NAME ".Transaction", "Finished" };
    tell_observers(to, true, changed, "sa{sv}as", NAME ".Call", 2, "Muted", "b", 1, "Revision", "t", n.revision, 0);
    tell_observers(to, false, transaction_changed, "sa{sv}as", NAME ".Transaction", 3,
        "Actions", "a(sa{sv})", 1, "SetMuted", 3, "call", "s", n.id, "muted", "b", 1, "outcome", "s", "fulfilled",
        "Revision", "t", n.revision, "State", "s", "finished", 0);
    tell_observers(to, false, finished, "a(sa{sv})t", 1, "SetMuted", 3, "call", "s", n.id, "muted", "b", 1,
        "outcome", "s", "fulfilled", n.revision);
}

void say_granted(const Audience *to, uint32_t call) {
    Names n = names_of(call);
    Signal changed = { ROOT, PROPERTIES, "PropertiesChanged" };
    tell_observers(to, false, changed, "sa{sv}as", NAME ".AudioSession", 3, "Phase", "s", "granted", "Revision", "t", n.revision,
        "Since", "t", WHEN, 0);
}

static void append_root(sd_bus_message *snapshot) {
    sd_bus_message_append(snapshot, "{oa{sa{sv}}}", ROOT, 2,
        NAME ".Manager", 6, "Version", "s", "0.1.0", "Epoch", "s", "f2170834-f925-43fc-9b90-ca0f3a1857ca",
        "Features", "as", 12, "action:Start", "action:Answer", "action:End", "action:SetHeld", "action:SetMuted", "action:SetGroup",
        "action:PlayDtmf", "action:SetVideo", "action:Silence", "role:ui", "role:headset", "role:dnd",
        "Limits", "a{su}", 29, "actions", 32, "app-id-bytes", 255, "body-bytes", 262144, "calls", 256, "calls-per-group", 5,
        "dict-keys", 64, "digits-bytes", 128, "display-name-bytes", 256, "groups-per-provider", 2, "handle-bytes", 256,
        "instance-bytes", 64, "message-bytes", 512, "opaque-id-bytes", 128, "providers", 64, "reply-within-ms", 20000,
        "reports-per-second", 200, "requests-per-call", 16, "ring-timeout-max-ms", 600000, "ring-timeout-min-ms", 1000,
        "ringing-per-provider", 8, "scheme-bytes", 32, "schemes", 16, "subscriptions", 512, "theme-name-bytes", 255,
        "tokens", 1024, "tombstones", 4096, "transactions", 128, "unread-bytes", 8388608, "usage-description-bytes", 512,
        "Usage", "a{su}", 1, "subscriptions", 1, "Revision", "t", (uint64_t)0,
        NAME ".AudioSession", 8, "Holder", "o", "/", "Phase", "s", "idle", "Generation", "t", (uint64_t)0, "Since", "t", (uint64_t)0,
        "Enforced", "b", 0, "Endpoints", "aa{sv}", 0, "Endpoint", "s", "", "Revision", "t", (uint64_t)0);
}

int reply_snapshot(sd_bus_message *subscribe, uint32_t calls) {
    sd_bus_message *snapshot = NULL;
    int r = sd_bus_message_new_method_return(subscribe, &snapshot);
    if (r >= 0) r = sd_bus_message_append(snapshot, "t", (uint64_t)0);
    if (r >= 0) r = sd_bus_message_open_container(snapshot, 'a', "{oa{sa{sv}}}");
    if (r < 0) return r;
    append_root(snapshot);
    for (uint32_t call = 0; call < calls; call++) {
        Names n = names_of(call);
        sd_bus_message_append(snapshot, "{oa{sa{sv}}}", n.path, 1, NAME ".Call", 28, RINGING(n));
    }
    r = sd_bus_message_close_container(snapshot);
    if (r >= 0) r = sd_bus_send(sd_bus_message_get_bus(snapshot), snapshot, NULL);
    sd_bus_message_unref(snapshot);
    return r < 0 ? r : 1;
}

int reply_registered(sd_bus_message *registration, const char *provider) {
    return sd_bus_reply_method_return(registration, "oa{sv}", provider, 2, "authorization", "s", "authorized",
        "epoch", "s", "f2170834-f925-43fc-9b90-ca0f3a1857ca");
}
