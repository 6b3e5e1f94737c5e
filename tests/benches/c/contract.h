/* What the contract has an arbiter say when a call is reported, answered or muted: the same messages, from the floor.
 *
 * As many, to the same receivers, with the same arguments and of the same size as org.callarbiter.Calls1 has them; what
 * is in them is made up. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* Somebody who is told: of everything, or of its call alone. */
typedef struct {
    char name[64];
    bool everything;
} Observer;

typedef struct {
    sd_bus *bus;
    const char *provider;
    const Observer *observers;
    size_t count;
} Audience;

/* A call rings. */
void say_ringing(const Audience *to, uint32_t call);
/* It is to be answered: its app is asked. */
void say_answering(const Audience *to, uint32_t call);
/* Its app has answered it, and is given the audio. The reply to whoever asked comes after it. */
void say_active(const Audience *to, uint32_t call);
/* It is to be muted, and was. */
void say_muting(const Audience *to, uint32_t call);
void say_muted(const Audience *to, uint32_t call);
/* Its app has taken the audio. */
void say_granted(const Audience *to, uint32_t call);

/* The replies to a subscriber, with so many calls, and to an app that registers. */
int reply_snapshot(sd_bus_message *subscribe, uint32_t calls);
int reply_registered(sd_bus_message *registration, const char *provider);
