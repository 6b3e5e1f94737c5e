/* A provider of calls in C, to read from top to bottom: it registers, reports an incoming call, does what the arbiter
 * asks (here: says so and agrees) and prints when its audio may run. It has no network and no sound of its own: signal
 * USR1 plays a far end that calls, USR2 one that hangs up, HUP one that holds the call or takes that back, ALRM a user
 * who dials at its own keyboard. Its network does not know sip:nobody@…, and sip:busy@… is busy.
 *
 *     provider --app-id org.example.Phone --bus session --incoming sip:rabbit@example.org
 *
 * GDBus with code that gdbus-codegen makes from the project's XML; see the Makefile. */

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

#include "calls.h"

#define NAME "org.callarbiter.Calls1"
#define ROOT "/org/callarbiter/Calls1"
#define DELEGATE "/org/example/Provider"

static char *app_id = "org.example.CPhone";
static char *bus = "system";
static char *incoming = NULL;

static GDBusConnection *connection;
static CallsProvider *provider; /* our object in the arbiter */
static char *arbiter;           /* the unique name of who owns NAME */
static char *epoch;             /* of what it knows */
static GHashTable *calls;       /* the live calls: UUID to struct call */
static GHashTable *answered;    /* the requests, so that none is performed twice */
static GMainLoop *loop;

struct call {
	const char *direction, *state;
	gboolean remote_held;
};

static void set_state(const char *id, const char *direction, const char *state)
{
	struct call *call = g_hash_table_lookup(calls, id);

	if (!call) {
		if (!direction)
			return;
		call = g_new0(struct call, 1);
		call->direction = direction;
		g_hash_table_insert(calls, g_strdup(id), call);
	}
	call->state = state;
}

/* What the arbiter asks. These calls want no reply: Fulfil or Fail is the answer, now or later. */

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

/* Only the arbiter may ask: anybody else on the bus could otherwise answer your calls. */
static gboolean from_arbiter(GDBusMethodInvocation *asked)
{
	gboolean genuine = g_strcmp0(g_dbus_method_invocation_get_sender(asked), arbiter) == 0;

	g_dbus_method_invocation_return_value(asked, NULL); /* nothing is sent, the caller wants no reply */
	return genuine && provider;
}

/* A request that comes again is answered again, but not performed twice. */
static gboolean is_new(const char *request, const char *word)
{
	gboolean new;

	if (g_hash_table_size(answered) > 4096)
		g_hash_table_remove_all(answered); /* far older than what can come again */
	new = g_hash_table_add(answered, g_strdup(request));
	if (new)
		say(word);
	return new;
}

static void fulfil_with(const char *request, GVariant *results)
{
	calls_provider_call_fulfil(provider, request, results, NULL, NULL, NULL);
}

static gboolean fulfil(GDBusMethodInvocation *asked, const char *request, const char *word)
{
	if (from_arbiter(asked)) {
		is_new(request, word);
		fulfil_with(request, g_variant_new("a{sv}", NULL));
	}
	return TRUE;
}

static gboolean perform_start(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			      const char *request, const char *call, const char *handle)
{
	if (!from_arbiter(asked))
		return TRUE;
	if (g_str_has_prefix(handle, "sip:nobody@")) {
		calls_provider_call_fail(provider, request, NAME ".Error.ActionFailed",
					 "nobody is known by that name", NULL, NULL, NULL);
		return TRUE;
	}
	fulfil_with(request, g_variant_new("a{sv}", NULL));
	if (g_str_has_prefix(handle, "sip:busy@")) {
		if (is_new(request, "start"))
			calls_provider_call_report_ended(provider, call, "busy", g_variant_new("a{sv}", NULL), NULL, NULL,
							 NULL);
	} else if (is_new(request, "start")) { /* dial here; and then report how it goes on */
		set_state(call, "outgoing", "active");
		calls_provider_call_report_state(provider, call, "active", g_variant_new("a{sv}", NULL), NULL, NULL,
						 NULL);
	}
	return TRUE;
}

static gboolean perform_answer(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			       const char *request, const char *call)
{
	if (!from_arbiter(asked))
		return TRUE;
	if (is_new(request, "answer")) /* without sound: AudioActivated will come */
		set_state(call, NULL, "active");
	fulfil_with(request, g_variant_new("a{sv}", NULL));
	return TRUE;
}

static gboolean perform_end(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			    const char *request, const char *call)
{
	if (!from_arbiter(asked))
		return TRUE;
	is_new(request, "end");
	g_hash_table_remove(calls, call);
	fulfil_with(request, g_variant_new("a{sv}", NULL));
	return TRUE;
}

static gboolean perform_set_held(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				 const char *request, const char *call, gboolean held)
{
	if (!from_arbiter(asked))
		return TRUE;
	if (is_new(request, held ? "hold" : "unhold"))
		set_state(call, NULL, held ? "held" : "active");
	fulfil_with(request, g_variant_new("a{sv}", NULL));
	return TRUE;
}

static gboolean perform_set_muted(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				  const char *request, const char *call G_GNUC_UNUSED, gboolean muted)
{
	return fulfil(asked, request, muted ? "mute" : "unmute");
}

static gboolean played(gpointer request)
{
	if (provider)
		fulfil_with(request, g_variant_new("a{sv}", NULL));
	return G_SOURCE_REMOVE;
}

static gboolean perform_play_dtmf(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				  const char *request, const char *call G_GNUC_UNUSED, const char *digits)
{
	/* A log must not tell which digits: it may be a PIN. */
	g_autofree char *word = g_strdup_printf("dtmf of %zu", strlen(digits));
	guint pause = 0;

	if (!from_arbiter(asked))
		return TRUE;
	is_new(request, word);
	for (const char *digit = digits; *digit; digit++)
		pause += *digit == ',' ? 2000 : 0;
	/* Play them here; it is done when they were played. */
	g_timeout_add_full(G_PRIORITY_DEFAULT, pause, played, g_strdup(request), g_free);
	return TRUE;
}

static gboolean audio_activated(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				const char *request, const char *const *calls)
{
	g_autofree char *word = g_strdup_printf("audio on for %u", g_strv_length((char **)calls));

	return fulfil(asked, request, word); /* open microphone and speaker before you agree */
}

static gboolean audio_deactivated(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				  const char *request, const char *const *calls)
{
	g_autofree char *word = g_strdup_printf("audio off for %u", g_strv_length((char **)calls));

	return fulfil(asked, request, word); /* close them before you agree: the next call's audio waits for it */
}

/* The arbiter was restarted, or we were: which of these calls are still there, and in what state? */
static gboolean reconcile(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			  const char *request, GVariant *theirs)
{
	GVariantBuilder ours, results;
	GVariantIter iter;
	const char *id;

	if (!from_arbiter(asked))
		return TRUE;
	is_new(request, "reconcile");
	g_variant_builder_init(&ours, G_VARIANT_TYPE("a{sa{sv}}"));
	g_variant_iter_init(&iter, theirs);
	while (g_variant_iter_loop(&iter, "{&s@a{sv}}", &id, NULL)) {
		struct call *call = g_hash_table_lookup(calls, id);
		GVariantBuilder state;

		if (!call)
			continue;
		g_variant_builder_init(&state, G_VARIANT_TYPE("a{sv}"));
		g_variant_builder_add(&state, "{sv}", "state", g_variant_new_string(call->state));
		g_variant_builder_add(&ours, "{sa{sv}}", id, &state);
	}
	g_variant_builder_init(&results, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&results, "{sv}", "calls", g_variant_builder_end(&ours));
	fulfil_with(request, g_variant_builder_end(&results));
	return TRUE;
}

/* The arbiter leaves for good: hang up, and say nothing more about these calls. */
static gboolean reset(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked)
{
	if (from_arbiter(asked))
		g_hash_table_remove_all(calls);
	return TRUE;
}

static gboolean refuse(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked, const char *request)
{
	if (from_arbiter(asked))
		calls_provider_call_fail(provider, request, NAME ".Error.NotSupported",
					 "this example has neither conferences nor video", NULL, NULL, NULL);
	return TRUE;
}

static gboolean note(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked)
{
	from_arbiter(asked); /* ActionTimedOut, AuthorizationSet: a real provider acts on them */
	return TRUE;
}

static void publish_delegate(void)
{
	/* A handler may leave out the arguments at the end that it does not use. */
	const struct { const char *signal; GCallback handler; } handlers[] = {
		{ "handle-perform-start", G_CALLBACK(perform_start) },
		{ "handle-perform-answer", G_CALLBACK(perform_answer) },
		{ "handle-perform-end", G_CALLBACK(perform_end) },
		{ "handle-perform-set-held", G_CALLBACK(perform_set_held) },
		{ "handle-perform-set-muted", G_CALLBACK(perform_set_muted) },
		{ "handle-perform-play-dtmf", G_CALLBACK(perform_play_dtmf) },
		{ "handle-perform-set-group", G_CALLBACK(refuse) },
		{ "handle-perform-set-video", G_CALLBACK(refuse) },
		{ "handle-perform-transaction", G_CALLBACK(refuse) },
		{ "handle-audio-activated", G_CALLBACK(audio_activated) },
		{ "handle-audio-deactivated", G_CALLBACK(audio_deactivated) },
		{ "handle-reconcile", G_CALLBACK(reconcile) },
		{ "handle-action-timed-out", G_CALLBACK(note) },
		{ "handle-authorization-set", G_CALLBACK(note) },
		{ "handle-reset", G_CALLBACK(reset) },
	};
	CallsProviderDelegate *delegate = calls_provider_delegate_skeleton_new();
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++)
		g_signal_connect(delegate, handlers[i].signal, handlers[i].handler, NULL);
	if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(delegate), connection, DELEGATE, &error))
		g_error("exporting the delegate: %s", error->message);
}

/* Whenever the arbiter comes: now, later, and again when it was restarted. */

static gboolean report_incoming(gpointer from)
{
	g_autofree char *call = g_uuid_string_random();
	g_autofree char *said = g_strdup_printf("incoming: %s", call);
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	GVariantDict update;

	g_variant_dict_init(&update, NULL);
	g_variant_dict_insert(&update, "remote-handle", "s", (const char *)from);
	if (!provider || !calls_provider_call_report_incoming_call_sync(provider, call, g_variant_dict_end(&update),
									&path, NULL, &error)) {
		/* Tell the network, and forget the call. */
		g_warning("reporting a call: %s", error ? error->message : "not registered");
		return G_SOURCE_CONTINUE;
	}
	set_state(call, "incoming", "ringing");
	say(said);
	return G_SOURCE_CONTINUE;
}

/* Nobody asked for it: the arbiter hears of it as of a fact. */
static gboolean dial(gint signals, GIOCondition condition G_GNUC_UNUSED, gpointer to)
{
	g_autofree char *call = g_uuid_string_random();
	struct signalfd_siginfo info;
	GVariantDict update;

	if (read(signals, &info, sizeof(info)) != sizeof(info) || !provider)
		return G_SOURCE_CONTINUE;
	g_variant_dict_init(&update, NULL);
	g_variant_dict_insert(&update, "remote-handle", "s", (const char *)to);
	set_state(call, "outgoing", "active");
	calls_provider_call_report_call(provider, call, "outgoing", "active", g_variant_dict_end(&update), NULL, NULL,
					NULL);
	return G_SOURCE_CONTINUE;
}

static gboolean remote_end(gpointer data G_GNUC_UNUSED)
{
	GHashTableIter iter;
	gpointer id, value;

	g_hash_table_iter_init(&iter, calls);
	while (g_hash_table_iter_next(&iter, &id, &value)) {
		struct call *call = value;
		const char *reason = g_str_equal(call->state, "ringing") ? "unanswered" : "remote-ended";

		calls_provider_call_report_ended(provider, id, reason, g_variant_new("a{sv}", NULL), NULL, NULL, NULL);
		g_hash_table_iter_remove(&iter);
	}
	return G_SOURCE_CONTINUE;
}

/* Without a state: held would be a hold at this end. */
static gboolean remote_hold(gpointer data G_GNUC_UNUSED)
{
	GHashTableIter iter;
	gpointer id, value;

	g_hash_table_iter_init(&iter, calls);
	while (g_hash_table_iter_next(&iter, &id, &value)) {
		struct call *call = value;
		GVariantDict details;

		call->remote_held = !call->remote_held;
		g_variant_dict_init(&details, NULL);
		g_variant_dict_insert(&details, "remote-held", "b", call->remote_held);
		calls_provider_call_report_state(provider, id, "", g_variant_dict_end(&details), NULL, NULL, NULL);
	}
	return G_SOURCE_CONTINUE;
}

/* Hang up; to the arbiter the calls end with the registration. */
static gboolean leave(gpointer data G_GNUC_UNUSED)
{
	if (provider)
		calls_provider_call_unregister_sync(provider, NULL, NULL);
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/* It has lost what it knew, our calls too. */
static void report_all(void)
{
	GHashTableIter iter;
	gpointer id, value;

	g_hash_table_iter_init(&iter, calls);
	while (g_hash_table_iter_next(&iter, &id, &value)) {
		struct call *call = value;

		calls_provider_call_report_call(provider, id, call->direction, call->state,
						g_variant_new("a{sv}", NULL), NULL, NULL, NULL);
	}
}

static void arbiter_came(GDBusConnection *on, const char *name G_GNUC_UNUSED, const char *owner,
			 gpointer data G_GNUC_UNUSED)
{
	const char *schemes[] = { "sip", "tel", NULL };
	const GDBusProxyFlags flags = G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES;
	g_autoptr(CallsManager) manager = calls_manager_proxy_new_sync(on, flags, NAME, ROOT, NULL, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) state = NULL;
	g_autofree char *path = NULL;
	g_autofree char *before = g_steal_pointer(&epoch);
	GVariantDict configuration;

	g_free(arbiter);
	arbiter = g_strdup(owner);
	g_variant_dict_init(&configuration, NULL);
	g_variant_dict_insert(&configuration, "display-name", "s", "C example");
	g_variant_dict_insert(&configuration, "supported-schemes", "^as", schemes);
	g_variant_dict_insert(&configuration, "maximum-calls-per-group", "u", 1); /* it has no conferences */
	if (!calls_manager_call_register_provider_sync(manager, app_id, DELEGATE, g_variant_dict_end(&configuration),
						       &path, &state, NULL, &error)) {
		g_warning("registering: %s", error->message); /* gone again? then it will come again */
		return;
	}
	g_clear_object(&provider);
	provider = calls_provider_proxy_new_sync(on, flags, NAME, path, NULL, &error);
	say("registered");
	g_variant_lookup(state, "epoch", "s", &epoch);
	if (before && g_strcmp0(before, epoch) != 0)
		report_all();
	if (incoming)
		report_incoming(g_steal_pointer(&incoming));
}

int main(int argc, char **argv)
{
	GOptionEntry entries[] = {
		{ "app-id", 0, 0, G_OPTION_ARG_STRING, &app_id, "Who provides", "ID" },
		{ "bus", 0, 0, G_OPTION_ARG_STRING, &bus, "system, session or an address", "BUS" },
		{ "incoming", 0, 0, G_OPTION_ARG_STRING, &incoming, "Report a call from this address", "HANDLE" },
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GOptionContext) options = g_option_context_new("- a provider of calls");
	g_autoptr(GError) error = NULL;
	sigset_t alarm;

	/* One that GLib does not know; before there is another thread. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	g_option_context_add_main_entries(options, entries, NULL);
	if (!g_option_context_parse(options, &argc, &argv, &error))
		g_error("%s", error->message);
	if (g_str_equal(bus, "system") || g_str_equal(bus, "session"))
		connection = g_bus_get_sync(*bus == 's' && bus[1] == 'y' ? G_BUS_TYPE_SYSTEM : G_BUS_TYPE_SESSION,
					    NULL, &error);
	else
		connection = g_dbus_connection_new_for_address_sync(
			bus, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
			NULL, NULL, &error);
	if (!connection)
		g_error("connecting: %s", error->message);
	/* A bus that is restarted needs a new connection: whoever started us does that. */
	g_dbus_connection_set_exit_on_close(connection, TRUE);
	calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	answered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGUSR1, report_incoming, "sip:rabbit@example.org");
	g_unix_signal_add(SIGUSR2, remote_end, NULL);
	g_unix_signal_add(SIGHUP, remote_hold, NULL);
	g_unix_signal_add(SIGTERM, leave, NULL);
	g_unix_fd_add(signalfd(-1, &alarm, SFD_CLOEXEC), G_IO_IN, dial, "sip:rabbit@example.org");
	publish_delegate();
	g_bus_watch_name_on_connection(connection, NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, arbiter_came, NULL, NULL, NULL);
	g_main_loop_run(loop);
	return 0;
}
