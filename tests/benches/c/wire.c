/* wire.h: D-Bus by hand. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const Target BUS = { "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus" };

/* Writing */

static void put(Connection *c, const void *bytes, size_t length) {
    if (c->out_end + length > sizeof c->out) DIE("a message is longer than %zu bytes", sizeof c->out);
    memcpy(c->out + c->out_end, bytes, length);
    c->out_end += length;
}

static void align(Connection *c, size_t to) {
    static const uint8_t zeros[8];
    put(c, zeros, (to - c->out_end % to) % to);
}

static void put_u8(Connection *c, uint8_t value) { put(c, &value, 1); }

void put_u32(Connection *c, uint32_t value) { align(c, 4); put(c, &value, 4); }

void put_i64(Connection *c, int64_t value) { align(c, 8); put(c, &value, 8); }

void put_string(Connection *c, const char *text) {
    put_u32(c, strlen(text));
    put(c, text, strlen(text) + 1);
}

void put_object_path(Connection *c, const char *path) { put_string(c, path); }

static void put_signature(Connection *c, const char *signature) {
    put_u8(c, strlen(signature));
    put(c, signature, strlen(signature) + 1);
}

static void put_field(Connection *c, uint8_t code, const char *type, const char *value) {
    if (!value) return;
    align(c, 8);
    put_u8(c, code);
    put_signature(c, type);
    if (*type == 'g') put_signature(c, value);
    else put_string(c, value);
}

size_t open_array(Connection *c, size_t alignment) {
    put_u32(c, 0);
    size_t opened = c->out_end;
    align(c, alignment);
    return opened;
}

void close_array(Connection *c, size_t opened, size_t alignment) {
    size_t first = (opened + alignment - 1) / alignment * alignment;
    uint32_t length = c->out_end - first;
    memcpy(c->out + opened - 4, &length, 4);
}

static void put_key(Connection *c, const char *key, const char *type) {
    align(c, 8);
    put_string(c, key);
    put_signature(c, type);
}

void put_entry_string(Connection *c, const char *key, const char *value) { put_key(c, key, "s"); put_string(c, value); }
void put_entry_bool(Connection *c, const char *key, bool value) { put_key(c, key, "b"); put_u32(c, value); }
void put_entry_i64(Connection *c, const char *key, int64_t value) { put_key(c, key, "x"); put_i64(c, value); }
void put_no_options(Connection *c) { close_array(c, open_array(c, 8), 8); }

static void begin_header(Connection *c, uint8_t type, uint8_t flags) {
    uint8_t fixed[16] = { 'l', type, flags, 1 };
    c->serial++;
    memcpy(fixed + 8, &c->serial, 4);
    c->out_end = 0;
    put(c, fixed, sizeof fixed);
}

static void end_header(Connection *c) {
    uint32_t fields = c->out_end - 16;
    memcpy(c->out + 12, &fields, 4);
    align(c, 8);
    c->body_at = c->out_end;
}

uint32_t begin(Connection *c, Target to, const char *member, const char *signature, uint8_t flags) {
    begin_header(c, CALL, flags);
    put_field(c, 1, "o", to.path);
    put_field(c, 2, "s", to.interface);
    put_field(c, 3, "s", member);
    put_field(c, 6, "s", to.name);
    put_field(c, 8, "g", signature);
    end_header(c);
    return c->serial;
}

static void finish(Connection *c) {
    uint32_t length = c->out_end - c->body_at;
    memcpy(c->out + 4, &length, 4);
}

void send_bytes(Connection *c, const uint8_t *bytes, size_t length) {
    while (length) {
        ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) DIE("send: %s", strerror(errno));
        bytes += sent;
        length -= sent;
    }
}

ssize_t send_now(Connection *c, const uint8_t *bytes, size_t length) {
    ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void send_message(Connection *c) {
    finish(c);
    send_bytes(c, c->out, c->out_end);
}

size_t add_to(Connection *c, uint8_t *batch, size_t length) {
    finish(c);
    memcpy(batch + length, c->out, c->out_end);
    return length + c->out_end;
}

/* Reading */

static uint32_t u32(const uint8_t *bytes) { uint32_t value; memcpy(&value, bytes, 4); return value; }

static int read_with(Connection *c, int flags) {
    if (c->in_at == c->in_end) c->in_at = c->in_end = 0;
    if (c->in_room - c->in_end < 65536) {
        memmove(c->in, c->in + c->in_at, c->in_end - c->in_at);
        c->in_end -= c->in_at;
        c->in_at = 0;
        if (c->in_room - c->in_end < 65536) c->in = realloc(c->in, c->in_room = c->in_room * 2 + 131072);
    }
    for (;;) {
        ssize_t got = recv(c->fd, c->in + c->in_end, c->in_room - c->in_end, flags);
        if (got > 0) { c->in_end += got; return 1; }
        if (got == 0) return -1;
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return -1;
    }
}

int read_now(Connection *c) { return read_with(c, MSG_DONTWAIT); }

bool read_some(Connection *c, bool wait) {
    int got = read_with(c, wait ? 0 : MSG_DONTWAIT);
    if (got < 0) DIE("the bus closed %s", c->unique);
    return got > 0;
}

static void take_field(Message *m, uint8_t code, const char *text) {
    switch (code) {
    case 1: m->path = text; break;
    case 2: m->interface = text; break;
    case 3: m->member = text; break;
    case 4: m->error = text; break;
    case 7: m->sender = text; break;
    }
}

static bool take_message(Connection *c, Message *m) {
    const uint8_t *p = c->in + c->in_at;
    size_t there = c->in_end - c->in_at;
    if (there < 16) return false;
    uint32_t body = u32(p + 4), fields = u32(p + 12);
    size_t header = 16 + ((fields + 7) & ~7u);
    if (there < header + body) return false;
    *m = (Message){ .type = p[1], .serial = u32(p + 8), .body = p + header, .body_length = body };
    for (size_t at = 16; at < 16 + fields;) {
        at = (at + 7) & ~7ul;
        uint8_t code = p[at], type = p[at + 2];
        at += 4;
        if (type == 'u') {
            if (code == 5) m->reply_serial = u32(p + at);
            at += 4;
        } else if (type == 'g') {
            at += 2 + p[at];
        } else {
            take_field(m, code, (const char *)p + at + 4);
            at += 5 + u32(p + at);
        }
    }
    c->in_at += header + body;
    return true;
}

/* That we have read everything: the arbiter asks its subscribers now and then. */
static void answer_ping(Connection *c, const Message *ping) {
    begin_header(c, RETURN, NO_REPLY_EXPECTED);
    align(c, 8);
    put_u8(c, 5);
    put_signature(c, "u");
    put_u32(c, ping->serial);
    put_field(c, 6, "s", ping->sender);
    end_header(c);
    send_message(c);
}

bool next_message(Connection *c, Message *m) {
    while (take_message(c, m)) {
        if (!is(m, CALL, "Ping")) return true;
        answer_ping(c, m);
    }
    return false;
}

void receive(Connection *c, Message *m) {
    while (!next_message(c, m)) read_some(c, true);
}

void receive_reply(Connection *c, uint32_t serial, Message *m) {
    do receive(c, m); while ((m->type != RETURN && m->type != ERROR) || m->reply_serial != serial);
    if (m->type == ERROR) DIE("refused: %s: %s", m->error, m->body_length > 4 ? (const char *)m->body + 4 : "");
}

bool is(const Message *m, uint8_t type, const char *member) {
    return m->type == type && m->member && !strcmp(m->member, member);
}

uint32_t u32_at(const Message *m, size_t *offset) {
    size_t at = (*offset + 3) & ~3ul;
    if (at + 4 > m->body_length) DIE("a body of %s is too short", m->member ? m->member : "a reply");
    *offset = at + 4;
    return u32(m->body + at);
}

const char *string_at(const Message *m, size_t *offset) {
    uint32_t length = u32_at(m, offset);
    const char *text = (const char *)m->body + *offset;
    *offset += length + 1;
    if (*offset > m->body_length) DIE("a body of %s is too short", m->member ? m->member : "a reply");
    return text;
}

/* Connecting */

void ask_bus(Connection *c, const char *member, const char *argument, Message *m) {
    uint32_t serial = begin(c, BUS, member, argument ? "s" : NULL, 0);
    if (argument) put_string(c, argument);
    send_message(c);
    receive_reply(c, serial, m);
}

void add_match(Connection *c, const char *rule) { Message m; ask_bus(c, "AddMatch", rule, &m); }

static int open_socket(const char *address) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = strstr(address, "unix:path=");
    if (!path) DIE("%s is no address of the kind unix:path=", address);
    size_t length = strcspn(path + 10, ",;");
    if (length >= sizeof to.sun_path) DIE("%s is too long", address);
    memcpy(to.sun_path, path + 10, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (void *)&to, sizeof to)) DIE("%s: %s", address, strerror(errno));
    return fd;
}

static void read_line(int fd, char *line, size_t room) {
    size_t length = 0;
    while (length + 1 < room) {
        if (read(fd, line + length, 1) != 1) DIE("the bus closed the connection while authenticating");
        if (line[length++] == '\n') break;
    }
    line[length] = 0;
}

static Connection *greet(int fd, uid_t uid) {
    Connection *c = calloc(1, sizeof *c);
    char digits[16], line[256];
    Message m;
    c->fd = fd;
    c->in = malloc(c->in_room = 131072);
    snprintf(digits, sizeof digits, "%u", uid);
    send_bytes(c, (const uint8_t *)"", 1);
    int length = snprintf(line, sizeof line, "AUTH EXTERNAL ");
    for (char *d = digits; *d; d++) length += sprintf(line + length, "%02x", *d);
    length += sprintf(line + length, "\r\n");
    send_bytes(c, (uint8_t *)line, length);
    read_line(fd, line, sizeof line);
    if (strncmp(line, "OK", 2)) DIE("authentication: %s", line);
    send_bytes(c, (const uint8_t *)"BEGIN\r\n", 7);
    ask_bus(c, "Hello", NULL, &m);
    size_t at = 0;
    snprintf(c->unique, sizeof c->unique, "%s", string_at(&m, &at));
    return c;
}

Connection *connect_to(const char *address) { return greet(open_socket(address), getuid()); }

void disconnect(Connection *c) {
    close(c->fd);
    free(c->in);
    free(c);
}

static void pass(int over, int fd) {
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control = { 0 };
    struct iovec one = { "x", 1 };
    struct msghdr m = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&m);
    *rights = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    if (sendmsg(over, &m, 0) != 1) DIE("sendmsg: %s", strerror(errno));
}

static int taken(int over) {
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control;
    char byte;
    struct iovec one = { &byte, 1 };
    struct msghdr m = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    int fd;
    if (recvmsg(over, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m)) DIE("no socket of another user");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

Connection *connect_as(const char *address, uid_t uid) {
    if (uid == getuid()) return connect_to(address);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) DIE("socketpair: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) DIE("fork: %s", strerror(errno));
    if (child == 0) {
        if (setgid(uid) || setuid(uid)) DIE("user %u: %s", uid, strerror(errno));
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_DUMPABLE, 1);
        pass(pair[1], open_socket(address));
        for (;;) pause();
    }
    int fd = taken(pair[0]);
    close(pair[0]);
    close(pair[1]);
    return greet(fd, uid);
}
