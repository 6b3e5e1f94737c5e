/* A D-Bus client written out by hand, on a Unix socket.
 *
 * It is the measuring client's, so that every service and every bus is measured at the same, small cost.
 * Little endian only, messages of up to 16 KiB, no file descriptors: not a D-Bus library. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define DIE(...) do { fprintf(stderr, __VA_ARGS__); fputc('\n', stderr); exit(1); } while (0)

enum { CALL = 1, RETURN = 2, ERROR = 3, SIGNAL = 4 };
enum { NO_REPLY_EXPECTED = 1 };

typedef struct {
    int fd;
    uint32_t serial;
    char unique[64];
    uint8_t *in;                    /* what was read and not yet taken */
    size_t in_end, in_at, in_room;
    uint8_t out[16384];             /* the message that is being written */
    size_t out_end, body_at;
} Connection;

typedef struct {
    uint8_t type;
    uint32_t serial, reply_serial, body_length;
    const char *path, *interface, *member, *sender, *error;
    const uint8_t *body;            /* valid until more is read */
} Message;

/* Where a call goes. */
typedef struct {
    const char *name, *path, *interface;
} Target;

Connection *connect_to(const char *address);
/* As another user: needs root. A child holds that identity until this process ends. */
Connection *connect_as(const char *address, uid_t uid);
void disconnect(Connection *c);

/* Writing: begin, put the arguments, then send or take the bytes. */
uint32_t begin(Connection *c, Target to, const char *member, const char *signature, uint8_t flags);
void put_u32(Connection *c, uint32_t value);
void put_i64(Connection *c, int64_t value);
void put_string(Connection *c, const char *text);
void put_object_path(Connection *c, const char *path);
size_t open_array(Connection *c, size_t alignment);
void close_array(Connection *c, size_t opened, size_t alignment);
void put_entry_string(Connection *c, const char *key, const char *value);
void put_entry_bool(Connection *c, const char *key, bool value);
void put_entry_i64(Connection *c, const char *key, int64_t value);
void put_no_options(Connection *c);
void send_message(Connection *c);
/* Appends the finished message to `batch`; the new length. */
size_t add_to(Connection *c, uint8_t *batch, size_t length);
void send_bytes(Connection *c, const uint8_t *bytes, size_t length);
/* What there is room for: how much that was, or -1 if the bus has closed the connection. */
ssize_t send_now(Connection *c, const uint8_t *bytes, size_t length);

/* Reading. A `Ping` is answered on the way; so nothing may be read while a message is being written. */
bool next_message(Connection *c, Message *m);
bool read_some(Connection *c, bool wait);
/* What there is: 1, nothing: 0, or -1 if the bus has closed the connection. */
int read_now(Connection *c);
void receive(Connection *c, Message *m);
void receive_reply(Connection *c, uint32_t serial, Message *m);
bool is(const Message *m, uint8_t type, const char *member);
/* A string at an offset of the body, and the offset behind it; ends the program on a bad one. */
const char *string_at(const Message *m, size_t *offset);
uint32_t u32_at(const Message *m, size_t *offset);
void add_match(Connection *c, const char *rule);
void ask_bus(Connection *c, const char *member, const char *argument, Message *m);
