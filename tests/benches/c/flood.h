/* One user who floods a service, and its neighbour, another user, who wants to work meanwhile. */
#pragma once
#include "peers.h"

typedef struct {
    /* Before the flood, on its first connection; one more connection that belongs to it, or none. Nobody reads from it. */
    Connection *(*enter)(Connection *c, const Run *run);
    void (*write)(Connection *c, const Run *run, int number);
    void (*ping)(Connection *c, const Run *run);
} Flood;

/* Of a user who asks for snapshots: nearly as many as a user may have. */
enum { CALLS = 250 };

/* COUNT messages over FIRST connections, each with SECOND unanswered at a time; then the same from new connections,
 * until stdin is closed. Says `flooding` when it has begun, and at the end what it was.
 *
 * If SECOND is negative, they never read: what is answered they learn from a `Ping` on a connection beside each. Without
 * it a bus takes messages faster than a service does, and everybody waits for what it has piled up. */
void flood(const Run *run, const Flood *what);

/* What both services are asked alike. */
void write_ping(Connection *c, Target to);
/* In turn: an object, a method, arguments and a value that there are not. `refusing` takes a list of actions. */
void write_refused(Connection *c, Target to, const char *refusing, int number);
