/* peers.h: what the peers of both services do alike. */
#include "peers.h"
#include "measure.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

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

void pipe_through(const Run *run, const Pipe *pipe) {
    int controllers = run->first, window = run->second, each = run->count / controllers, total = each * controllers;
    int done = 0, seen = 0, *sent = calloc(controllers, sizeof *sent);
    Connection **c = calloc(controllers + 2, sizeof *c);
    struct pollfd *ready = calloc(controllers + 2, sizeof *ready);
    uint8_t *batch = malloc(4u << 20);
    for (int k = 0; k < controllers; k++) c[k] = connect_to(run->address);
    c[controllers] = pipe->provider;
    c[controllers + 1] = pipe->observer;
    for (int k = 0; k < controllers + 2; k++) ready[k] = (struct pollfd){ c[k]->fd, POLLIN, 0 };
    start_counting();
    for (bool first = true; first || done < total || seen < total; first = false) {
        if (!first) poll(ready, controllers + 2, -1);
        for (int k = 0; k < controllers + 2; k++) {
            Message m;
            size_t length = 0;
            int more = first && k < controllers ? window : 0;
            if (ready[k].revents) read_some(c[k], false);
            while (next_message(c[k], &m)) {
                if (m.type == ERROR) DIE("refused: %s: %s", m.error, (const char *)m.body + 4);
                if (c[k] == pipe->observer) seen += is(&m, SIGNAL, pipe->signal);
                else if (c[k] == pipe->provider) {
                    if (pipe->answer(c[k], run, &m)) length = add_to(c[k], batch, length);
                } else if (m.type == RETURN) more++, done++;
            }
            for (; more > 0 && sent[k] < each; more--) {
                pipe->request(c[k], run, k, sent[k]++);
                length = add_to(c[k], batch, length);
            }
            if (length) send_bytes(c[k], batch, length);
        }
    }
    stop_counting();
}
