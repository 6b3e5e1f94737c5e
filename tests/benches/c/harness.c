/* The measuring client: one process, one thread, all roles but the service's. One run, one JSON object on stdout.
 *
 *   harness [--user UID] [--watch LABEL=PID]… [--observe call|all|nothing] [--print each] ADDRESS NAME COMMAND [COUNT [FIRST [SECOND]]]
 *   harness ADDRESS NAME startup COUNT PROGRAM [ARGUMENT]…
 *
 * What each command does stands at its function in peers*.c and flood*.c. */
#define _GNU_SOURCE
#include "measure.h"
#include "peers.h"

#include <grp.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const struct { const char *name; void (*run)(const Run *); } COMMANDS[] = {
    { "floor-ping", floor_ping },         { "arbiter-ping", arbiter_ping },
    { "floor-report", floor_report },     { "arbiter-report", arbiter_report },
    { "floor-answer", floor_answer },     { "arbiter-answer", arbiter_answer },
    { "floor-pipe", floor_pipe },         { "arbiter-pipe", arbiter_pipe },
    { "floor-report-in-full", floor_report_in_full }, { "floor-answer-in-full", floor_answer_in_full },
    { "floor-pipe-in-full", floor_pipe_in_full },
    { "floor-fanout", floor_fanout },     { "arbiter-fanout", arbiter_fanout },
    { "floor-neighbour", floor_neighbour }, { "arbiter-neighbour", arbiter_neighbour },
    { "floor-mute", floor_answer }, { "arbiter-mute", arbiter_mute },
    { "floor-flood-calls", floor_flood_calls }, { "arbiter-flood-calls", arbiter_flood_calls },
    { "floor-flood-reports", floor_flood_reports }, { "arbiter-flood-reports", arbiter_flood_reports },
    { "floor-flood-registrations", floor_flood_registrations },
    { "arbiter-flood-registrations", arbiter_flood_registrations },
    { "floor-flood-subscriptions", floor_flood_subscriptions },
    { "arbiter-flood-subscriptions", arbiter_flood_subscriptions },
    { "floor-flood-snapshots", floor_flood_snapshots }, { "arbiter-flood-snapshots", arbiter_flood_snapshots },
    { "floor-flood-refused", floor_flood_refused }, { "arbiter-flood-refused", arbiter_flood_refused },
    { "arbiter-hold", arbiter_hold },     { "arbiter-snapshot", arbiter_snapshot },
};

static void await_owner(Connection *c, bool wanted) {
    for (;;) {
        Message m;
        size_t at = 0;
        await(c, SIGNAL, "NameOwnerChanged", &m);
        string_at(&m, &at);
        string_at(&m, &at);
        if ((*string_at(&m, &at) != 0) == wanted) return;
    }
}

/* From exec to the name on the bus. */
static void startup(const Run *run, char **program) {
    char rule[256];
    Connection *c = connect_to(run->address);
    snprintf(rule, sizeof rule, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", run->name);
    add_match(c, rule);
    for (int k = 0; k < run->count; k++) {
        pid_t child;
        start_counting();
        uint64_t began = now();
        if (posix_spawnp(&child, program[0], NULL, NULL, program, environ)) DIE("%s does not start", program[0]);
        await_owner(c, true);
        record("serving", now() - began);
        stop_counting();
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        await_owner(c, false);
    }
}

static void become(uid_t user) {
    if (setgroups(0, NULL) || setgid(user) || setuid(user)) DIE("user %u: this needs root", user);
}

int main(int argc, char **argv) {
    Run run = { .observe = "call", .count = 1000, .first = 1, .second = 1 };
    char **argument = argv + 1;
    for (; *argument && !strncmp(*argument, "--", 2); argument += 2) {
        if (!argument[1]) DIE("%s needs a value", *argument);
        if (!strcmp(*argument, "--watch")) watch(argument[1]);
        else if (!strcmp(*argument, "--user")) become(atoi(argument[1]));
        else if (!strcmp(*argument, "--print") && !strcmp(argument[1], "each")) print_each();
        else if (!strcmp(*argument, "--observe")) run.observe = argument[1];
        else DIE("no option %s", *argument);
    }
    int left = argc - (argument - argv);
    if (left < 3) DIE("harness ADDRESS NAME COMMAND [COUNT [FIRST [SECOND]]]");
    run.address = argument[0];
    run.name = argument[1];
    const char *command = argument[2];
    if (left > 3) run.count = atoi(argument[3]);
    if (!strcmp(command, "startup")) {
        if (left < 5) DIE("startup COUNT PROGRAM");
        startup(&run, argument + 4);
        print_results(command, run.count);
        return 0;
    }
    if (left > 4) run.first = atoi(argument[4]);
    if (left > 5) run.second = atoi(argument[5]);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strcmp(command, COMMANDS[i].name)) continue;
        COMMANDS[i].run(&run);
        print_results(command, run.count);
        return 0;
    }
    DIE("no command %s", command);
}
