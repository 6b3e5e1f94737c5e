/* flood.h: the flooder. It never waits for anything but room and replies, and survives being thrown out. */
#include "flood.h"
#include "measure.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 65536, ROOM_OF_ONE = 2048 };

typedef struct {
    Connection *c, *beside;         /* beside one that never reads, one that does */
    int left, unanswered, unmarked; /* of the unanswered, those that no `Ping` is behind */
    size_t at, length;              /* of the batch that is on its way */
    uint8_t batch[BATCH];
} Flooder;

static struct { uint64_t began, sent, replies, errors, thrown_out; } total;

static int window(const Run *run) { return run->second < 0 ? -run->second : run->second; }

/* A `Ping` beside answers for half of the window. */
static int answered_by_one(const Run *run) { return run->second < 0 ? window(run) / 2 : 1; }

static Connection *reads(const Flooder *f) { return f->beside ? f->beside : f->c; }

static bool writes(const Flooder *f, const Run *run) {
    return f->at < f->length || (f->left > 0 && f->unanswered + answered_by_one(run) <= window(run));
}

static bool take_replies(Flooder *f, const Run *run) {
    Message m;
    if (read_now(reads(f)) < 0) return total.thrown_out++, false;
    while (next_message(reads(f), &m)) {
        if (m.type != RETURN && m.type != ERROR) continue;
        f->unanswered -= answered_by_one(run);
        if (m.type == RETURN) total.replies++;
        else total.errors++;
    }
    return true;
}

static void fill(Flooder *f, const Run *run, const Flood *what) {
    f->at = f->length = 0;
    while (f->left > 0 && f->length + ROOM_OF_ONE < BATCH && f->unanswered < window(run)) {
        what->write(f->c, run, run->count - f->left);
        f->length = add_to(f->c, f->batch, f->length);
        f->left--, f->unanswered++, total.sent++;
        if (f->beside && ++f->unmarked == answered_by_one(run)) break;
    }
}

static bool write_some(Flooder *f, const Run *run, const Flood *what) {
    if (f->at == f->length) fill(f, run, what);
    ssize_t sent = send_now(f->c, f->batch + f->at, f->length - f->at);
    if (sent < 0) return total.thrown_out++, false;
    f->at += sent;
    if (f->unmarked < answered_by_one(run) || f->at < f->length || !f->beside) return true;
    what->ping(f->beside, run);
    send_message(f->beside);
    f->unmarked = 0;
    return true;
}

/* False if it is over for this connection. */
static bool go_on(Flooder *f, const Run *run, const Flood *what) {
    return take_replies(f, run) && (!writes(f, run) || write_some(f, run, what)) && (writes(f, run) || f->unanswered > f->unmarked);
}

static void leave(Flooder *f) {
    if (f->c) disconnect(f->c);
    if (f->beside) disconnect(f->beside);
    f->c = f->beside = NULL;
}

static void enter(Flooder *f, const Run *run) {
    *f = (Flooder){ .c = connect_to(run->address), .left = run->count / run->first };
    if (run->second < 0) f->beside = connect_to(run->address);
}

/* Of each connection what it reads, and what it writes to; at the end, stdin. */
static void watch_for(const Flooder *all, const Run *run, struct pollfd *ready) {
    for (int k = 0; k < run->first; k++, ready += 2) {
        ready[0] = (struct pollfd){ all[k].c ? reads(&all[k])->fd : -1, POLLIN, 0 };
        ready[1] = (struct pollfd){ all[k].c && writes(&all[k], run) ? all[k].c->fd : -1, POLLOUT, 0 };
    }
    *ready = (struct pollfd){ 0, POLLIN, 0 };
}

/* False if the flood is to end. */
static bool once(const Run *run, const Flood *what, Flooder *all) {
    struct pollfd ready[2 * run->first + 1], *stdin_ready = &ready[2 * run->first];
    int open = run->first;
    for (int k = 0; k < run->first; k++) enter(&all[k], run);
    Connection *another = what->enter ? what->enter(all[0].c, run) : NULL;
    if (!total.began) {
        total.began = now();
        start_counting();
        puts("flooding");
        fflush(stdout);
    }
    stdin_ready->revents = 0;
    while (open && !stdin_ready->revents) {
        watch_for(all, run, ready);
        poll(ready, 2 * run->first + 1, -1);
        for (int k = 0; k < run->first; k++) {
            if (!(ready[2 * k].revents || ready[2 * k + 1].revents) || go_on(&all[k], run, what)) continue;
            leave(&all[k]);
            open--;
        }
    }
    for (int k = 0; k < run->first; k++) leave(&all[k]);
    if (another) disconnect(another);
    return !stdin_ready->revents;
}

void flood(const Run *run, const Flood *what) {
    Flooder *all = calloc(run->first, sizeof *all);
    while (once(run, what, all)) {}
    stop_counting();
    double seconds = (now() - total.began) / 1e9;
    count("sent", total.sent);
    count("replies", total.replies);
    count("errors", total.errors);
    count("thrown out", total.thrown_out);
    count("a second", total.sent / seconds);
}

void write_ping(Connection *c, Target to) {
    begin(c, (Target){ to.name, to.path, "org.freedesktop.DBus.Peer" }, "Ping", NULL, 0);
}

void write_refused(Connection *c, Target to, const char *refusing, int number) {
    size_t actions, entries;
    switch (number % 4) {
    case 0:
        begin(c, (Target){ to.name, "/org/callarbiter/nothing", to.interface }, refusing, NULL, 0);
        break;
    case 1:
        begin(c, to, "Nothing", NULL, 0);
        break;
    case 2:
        begin(c, to, refusing, "s", 0);
        put_string(c, "nothing");
        break;
    case 3:
        begin(c, to, refusing, "a(sa{sv})a{sv}", 0);
        actions = open_array(c, 8);
        put_string(c, "End");
        entries = open_array(c, 8);
        put_entry_string(c, "call", "nothing");
        close_array(c, entries, 8);
        close_array(c, actions, 8);
        put_no_options(c);
        break;
    }
}
