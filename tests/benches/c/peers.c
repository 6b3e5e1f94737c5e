/* peers.h: what the peers of both services do alike. */
#include "peers.h"
#include "measure.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

bool observes_all(const Run *run) { return !strcmp(run->observe, "all"); }
bool observes_nothing(const Run *run) { return !strcmp(run->observe, "nothing"); }

void await(Connection *c, uint8_t type, const char *member, Message *m) {
    do receive(c, m); while (!is(m, type, member));
}

void await_each(Connection **c, int n, const char *signal) {
    static int all = -1;
    struct epoll_event events[64];
    Message m;
    if (all < 0) {
        all = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < n; i++) {
            struct epoll_event event = { EPOLLIN, { .ptr = c[i] } };
            if (epoll_ctl(all, EPOLL_CTL_ADD, c[i]->fd, &event)) DIE("epoll");
        }
    }
    while (n > 0) {
        int ready = epoll_wait(all, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            Connection *one = events[i].data.ptr;
            read_some(one, false);
            while (next_message(one, &m)) n -= is(&m, SIGNAL, signal);
        }
    }
}

/* The observer is read first: beside the others it would be a process of its own. */
enum { OBSERVER, PROVIDER, CONTROLLERS };

void pipe_through(const Run *run, const Pipe *pipe) {
    int all = CONTROLLERS + run->first, window = run->second, each = run->count / run->first, total = each * run->first;
    int done = 0, seen = 0, *sent = calloc(all, sizeof *sent);
    bool missed = false;
    Connection **c = calloc(all, sizeof *c);
    struct pollfd *ready = calloc(all, sizeof *ready);
    uint8_t *batch = malloc(4u << 20);
    c[OBSERVER] = pipe->observer;
    c[PROVIDER] = pipe->provider;
    for (int k = CONTROLLERS; k < all; k++) pipe->greet(c[k] = connect_to(run->address), run);
    for (int k = 0; k < all; k++) ready[k] = (struct pollfd){ c[k]->fd, POLLIN, 0 };
    start_counting();
    for (bool first = true; first || done < total || (seen < total && !missed); first = false) {
        if (!first) poll(ready, all, -1);
        for (int k = 0; k < all; k++) {
            Message m;
            size_t length = 0;
            int more = first && k >= CONTROLLERS ? window : 0;
            if (ready[k].revents) read_some(c[k], false);
            while (next_message(c[k], &m)) {
                if (m.type == ERROR) DIE("refused: %s: %s", m.error, (const char *)m.body + 4);
                if (k == OBSERVER) {
                    seen += is(&m, SIGNAL, pipe->signal);
                    if (!is(&m, SIGNAL, "ResyncNeeded")) continue;
                    missed = true;
                    count("resynchronised", 1);
                    pipe->subscribe(c[k], run);
                    length = add_to(c[k], batch, length);
                } else if (k == PROVIDER) {
                    if (pipe->answer(c[k], run, &m)) length = add_to(c[k], batch, length);
                } else if (m.type == RETURN) more++, done++;
            }
            for (; more > 0 && sent[k] < each; more--) {
                pipe->request(c[k], run, k - CONTROLLERS, sent[k]++);
                length = add_to(c[k], batch, length);
            }
            if (length) send_bytes(c[k], batch, length);
        }
    }
    stop_counting();
}
