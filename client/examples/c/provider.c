/* A provider of calls in C, to read from top to bottom: it registers, reports an incoming call, does what the arbiter
 * asks (here: says so and agrees) and prints when its audio may run. It has no network and no sound of its own.
 *
 *     provider --app-id org.example.Phone --bus session --incoming sip:rabbit@example.org
 *
 * GDBus with code that gdbus-codegen makes from the project's XML; see the Makefile. */

#include <stdio.h>

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

static gboolean fulfil_with(GDBusMethodInvocation *asked, const char *request, const char *word, GVariant *results)
{
	g_autoptr(GVariant) sunk = g_variant_ref_sink(results);

	if (from_arbiter(asked)) {
		say(word);
		calls_provider_call_fulfil(provider, request, sunk, NULL, NULL, NULL);
	}
	return TRUE;
}

static gboolean fulfil(GDBusMethodInvocation *asked, const char *request, const char *word)
{
	return fulfil_with(asked, request, word, g_variant_new("a{sv}", NULL));
}

static gboolean perform_start(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			      const char *request, const char *call, const char *handle G_GNUC_UNUSED)
{
	if (from_arbiter(asked)) {
		say("start"); /* dial here; and then report how it goes on */
		calls_provider_call_fulfil(provider, request, g_variant_new("a{sv}", NULL), NULL, NULL, NULL);
		calls_provider_call_report_state(provider, call, "active", g_variant_new("a{sv}", NULL), NULL, NULL,
						 NULL);
	}
	return TRUE;
}

static gboolean perform_answer(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			       const char *request)
{
	return fulfil(asked, request, "answer"); /* without sound: AudioActivated will come */
}

static gboolean perform_end(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			    const char *request)
{
	return fulfil(asked, request, "end");
}

static gboolean perform_set_held(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				 const char *request, const char *call G_GNUC_UNUSED, gboolean held)
{
	return fulfil(asked, request, held ? "hold" : "unhold");
}

static gboolean perform_set_muted(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				  const char *request, const char *call G_GNUC_UNUSED, gboolean muted)
{
	return fulfil(asked, request, muted ? "mute" : "unmute");
}

static gboolean perform_play_dtmf(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
				  const char *request, const char *call G_GNUC_UNUSED, const char *digits)
{
	/* A log must not tell which digits: it may be a PIN. */
	g_autofree char *word = g_strdup_printf("dtmf of %zu", strlen(digits));

	return fulfil(asked, request, word);
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

/* The arbiter was restarted, or we were: which of these calls are still there, and in what state? A real provider
 * answers from what it knows, and reports by ReportCall what the arbiter does not list. */
static gboolean reconcile(CallsProviderDelegate *self G_GNUC_UNUSED, GDBusMethodInvocation *asked,
			  const char *request, GVariant *calls)
{
	GVariantDict results;

	g_variant_dict_init(&results, NULL);
	g_variant_dict_insert_value(&results, "calls", calls); /* all of them, as they were */
	return fulfil_with(asked, request, "reconcile", g_variant_dict_end(&results));
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
	from_arbiter(asked); /* ActionTimedOut, AuthorizationSet, Reset: a real provider acts on them */
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
		{ "handle-reset", G_CALLBACK(note) },
	};
	CallsProviderDelegate *delegate = calls_provider_delegate_skeleton_new();
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++)
		g_signal_connect(delegate, handlers[i].signal, handlers[i].handler, NULL);
	if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(delegate), connection, DELEGATE, &error))
		g_error("exporting the delegate: %s", error->message);
}

/* Whenever the arbiter comes: now, later, and again when it was restarted. */

static void report_incoming(void)
{
	g_autofree char *call = g_uuid_string_random();
	g_autofree char *said = g_strdup_printf("incoming: %s", call);
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	GVariantDict update;

	g_variant_dict_init(&update, NULL);
	g_variant_dict_insert(&update, "remote-handle", "s", incoming);
	if (!calls_provider_call_report_incoming_call_sync(provider, call, g_variant_dict_end(&update), &path, NULL,
							   &error)) {
		g_warning("reporting a call: %s", error->message);
		return;
	}
	say(said);
	incoming = NULL;
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
	GVariantDict configuration;

	g_free(arbiter);
	arbiter = g_strdup(owner);
	g_variant_dict_init(&configuration, NULL);
	g_variant_dict_insert(&configuration, "display-name", "s", "C example");
	g_variant_dict_insert(&configuration, "supported-schemes", "^as", schemes);
	if (!calls_manager_call_register_provider_sync(manager, app_id, DELEGATE, g_variant_dict_end(&configuration),
						       &path, &state, NULL, &error)) {
		g_warning("registering: %s", error->message); /* gone again? then it will come again */
		return;
	}
	g_clear_object(&provider);
	provider = calls_provider_proxy_new_sync(on, flags, NAME, path, NULL, &error);
	say("registered");
	if (incoming)
		report_incoming();
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
	publish_delegate();
	g_bus_watch_name_on_connection(connection, NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, arbiter_came, NULL, NULL, NULL);
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
	return 0;
}
