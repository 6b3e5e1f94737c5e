//! `Manager` and `AudioSession`: the root object.

use callarbiter_config::preferences;
use callarbiter_core::{
    Action, DoNotDisturb, Effect, Input, Peer, Private, ProviderId, RecordId, Registration, Reply,
    Requested, Role, TransactionId,
};
use callarbiter_dbus::{
    AgentAnswer, Configuration, Dict, DoNotDisturbOptions, Entries, Error, ErrorKind, Fields,
    RoleOptions, RoleState, StartOptions, TransactionOptions, limits, names, words,
};
use uuid::Uuid;
use zbus::{Fd, OwnedObjectPath};

use crate::bus::{
    agents, described,
    dispatch::{Answer, arguments},
    explain, fault, parse,
    peers::Client,
    presets::Preset,
    request::Request,
    router::Router,
    turn::Turn,
    waits::{self, Awaited, On},
};

impl Router {
    pub(in crate::bus) fn manager(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        member: &str,
    ) -> Answer {
        let caller = request.client.caller;
        match member {
            "Subscribe" => {
                let (options,): (Dict,) = arguments(request, member)?;
                Fields::bounded(&options)?;
                self.subscribers.subscribe(caller.uid, caller.peer)?;
                let view = self.view(caller.uid);
                let mut body = request.body();
                body.u64(view.revision());
                described::snapshot(&mut body, &view, &request.client, true);
                Ok(request.reply_with("ta{oa{sa{sv}}}", &body))
            }
            "Unsubscribe" => {
                self.subscribers.unsubscribe(caller.uid, caller.peer);
                Ok(request.done())
            }
            "RegisterProvider" => self.register_provider(turn, request, member),
            "RegisterAgent" => {
                let (agent, roles, options): (OwnedObjectPath, Vec<String>, Dict) =
                    arguments(request, member)?;
                let RoleOptions { only_free } = RoleOptions::from_dict(&options)?;
                if roles.is_empty() {
                    return Err(Error::invalid_argument("no role is named; which should it be?"));
                }
                let mut roles =
                    roles.iter().map(|role| known_role(role)).collect::<Result<Vec<_>, _>>()?;
                if only_free && let Some(domain) = self.view(caller.uid).domain {
                    roles = domain.free_for(caller, roles);
                }
                let taken = roles.iter().map(|role| words::Role::from(role.name())).collect();
                self.input(turn, Input::TakeRoles { caller, roles })?;
                self.agents.insert(caller.peer, agent);
                Ok(request.reply(&RoleState { roles: taken }.to_dict()))
            }
            "RequestTransaction" => {
                let (actions, options): (Entries, Dict) = arguments(request, member)?;
                let options = TransactionOptions::from_dict(&options)?;
                self.bounded(&actions)?;
                let actions = parse::actions(&self.view(caller.uid), &actions)?;
                self.request(turn, request, actions, options.token, options.wait, |_, id, _| {
                    Awaited::Transaction(names::transaction_path(id.0))
                })
            }
            "PlanTransaction" => {
                let (actions, options): (Entries, Dict) = arguments(request, member)?;
                TransactionOptions::from_dict(&options)?;
                self.bounded(&actions)?;
                let view = self.view(caller.uid);
                let actions = parse::actions(&view, &actions)?;
                let steps = self.arbiter.plan(caller, &actions);
                let steps = steps.map_err(|refusal| fault::refused(&refusal))?;
                let open = request.client.sees_all();
                Ok(request.reply(&parse::plan(view.domain, &steps, open)))
            }
            "Explain" => {
                let (name, options): (String, Dict) = arguments(request, member)?;
                Fields::bounded(&options)?;
                let view = self.view(caller.uid);
                let call = explain::named(&view, turn.now.mono, &name)?;
                let open = explain::reveals(&view, &request.client, call);
                let mut body = request.body();
                explain::causes(&mut body, view.domain, call, open);
                Ok(request.reply_with("aa{sv}", &body))
            }
            "OpenRingtone" => {
                let (path, options): (OwnedObjectPath, Dict) = arguments(request, member)?;
                Fields::bounded(&options)?;
                let id = agents::provider(&path)?;
                self.open_ringtone(request, id)
            }
            "Record" => self.record(turn, request, member),
            "StartCall" => self.start_call(turn, request, member),
            "SetDoNotDisturb" => {
                let (on, options): (bool, Dict) = arguments(request, member)?;
                let options = DoNotDisturbOptions::from_dict(&options)?;
                let mode = match (on, options.quiet) {
                    (false, _) => DoNotDisturb::Off,
                    (true, true) => DoNotDisturb::Quiet,
                    (true, false) => DoNotDisturb::Refuse,
                };
                let allow = options.allow.iter().map(|handle| Private::from(handle.as_str()));
                let allow = allow.collect();
                self.input(turn, Input::SetDoNotDisturb { caller, mode, allow })?;
                Ok(request.done())
            }
            "SetPreferences" => {
                let (choices, rules, options): (Dict, Vec<Dict>, Dict) =
                    arguments(request, member)?;
                Fields::bounded(&options)?;
                let (_, preferences) = preferences::from_wire(&choices, &rules)?;
                self.input(turn, Input::SetPreferences { caller, preferences })?;
                Ok(request.done())
            }
            "SetAuthorization" => {
                let (app, word): (String, String) = arguments(request, member)?;
                if !limits::is_app_id(&app) {
                    return Err(no_app_id());
                }
                let authorization = agents::authorization(word.as_str().into())?;
                let app = app.into();
                self.input(turn, Input::SetAuthorization { caller, app, authorization })?;
                Ok(request.done())
            }
            "ListApps" => self.list_apps(request, member),
            "SetApps" => self.set_apps(turn, request, member),
            "SetEndpoints" => {
                let (given, current): (Vec<Dict>, String) = arguments(request, member)?;
                if given.len() > limits::ENDPOINTS {
                    return Err(fault::limit(format!(
                        "at most {} endpoints are listed; leave out those that nobody uses",
                        limits::ENDPOINTS
                    )));
                }
                let endpoints = given.iter().map(agents::endpoint).collect::<Result<_, _>>()?;
                let current = current.into();
                self.input(turn, Input::SetEndpoints { caller, endpoints, current })?;
                Ok(request.done())
            }
            "ReportViolation" => {
                let (provider, kind): (OwnedObjectPath, String) = arguments(request, member)?;
                if !["playback", "capture"].contains(&kind.as_str()) {
                    return Err(Error::invalid_argument("the kind is playback or capture"));
                }
                let provider = agents::provider(&provider)?;
                self.input(turn, Input::ReportViolation { caller, provider })?;
                Ok(request.done())
            }
            "ForgetCalls" => {
                let (ids, options): (Vec<String>, Dict) = arguments(request, member)?;
                Fields::bounded(&options)?;
                if ids.len() > limits::FORGOTTEN_CALLS {
                    return Err(fault::limit(format!(
                        "at most {} calls are forgotten at once; name the others in another call",
                        limits::FORGOTTEN_CALLS
                    )));
                }
                let records = ids.iter().map(|id| RecordId::parse(id)).collect();
                let records = Option::ok_or_else(records, || {
                    Error::invalid_argument("give the ids of calls as Agent.Record told them")
                })?;
                self.input(turn, Input::ForgetCalls { caller, records })?;
                Ok(request.done())
            }
            "AgentReply" => {
                let (text, given): (String, Dict) = arguments(request, member)?;
                let given = AgentAnswer::from_dict(&given)?;
                if let Some(identified) = self.identity_answered(request, &text, &given) {
                    identified?;
                    return Ok(request.done());
                }
                let answer = agents::answer(given)?;
                let id = self.requests.parse(&text)?;
                self.input(turn, Input::AgentReply { caller, request: id, answer })?;
                Ok(request.done())
            }
            _ => Err(fault::unknown_method(names::MANAGER, member)),
        }
    }

    pub(in crate::bus) fn audio_session(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        member: &str,
    ) -> Answer {
        match member {
            "SelectEndpoint" => {
                let (endpoint,): (String,) = arguments(request, member)?;
                let (caller, endpoint) = (request.client.caller, endpoint.into());
                self.waits.admit(request)?;
                let Reply::Asked(asked) =
                    self.input(turn, Input::SelectEndpoint { caller, endpoint })?
                else {
                    return Err(fault::internal());
                };
                self.waits.add(turn.now, request.clone(), On::Agent(asked), Awaited::Done);
                Ok(None)
            }
            _ => Err(fault::unknown_method(names::AUDIO_SESSION, member)),
        }
    }

    fn register_provider(&mut self, turn: &mut Turn, request: &Request, member: &str) -> Answer {
        let (app, delegate, given): (String, OwnedObjectPath, Dict) = arguments(request, member)?;
        let mut given = Configuration::from_dict(&given)?;
        if self.waits_for_identity(turn, request, &app)? {
            return Ok(None);
        }
        let instance = given.instance.take().unwrap_or_default();
        let (app, source) = app_id(&request.client, &app)?;
        let Preset::Known(preset) = self.preset(turn, request, &app)? else { return Ok(None) };
        let caller = request.client.caller;
        let ringtone = self.ringtones.offered(caller.uid, None, &given)?;
        let configuration = parse::configuration(given, Default::default());
        let own_ringtone = configuration.own_ringtone;
        let instance = instance.into();
        let registration = Registration { app, source, instance, configuration, preset };
        self.charge_report(turn, caller.uid)?;
        let Reply::Provider(id) = self.input(turn, Input::Register { caller, registration })?
        else {
            return Err(fault::internal());
        };
        self.delegates.insert((caller.uid, id), delegate);
        self.ringtones.keep((caller.uid, id), own_ringtone, ringtone);
        let view = self.view(caller.uid);
        let provider = view.domain.and_then(|domain| domain.provider(id));
        let authorization = provider.map(|provider| provider.authorization).unwrap_or_default();
        let mut body = request.body();
        body.shown(names::Object::Provider(id.0));
        body.array(8, |body| {
            body.key("authorization");
            body.a_str(authorization.name());
            body.key("epoch");
            body.a_str(&self.epoch);
        });
        Ok(request.reply_with("oa{sv}", &body))
    }

    /// For whoever rings: the file itself, so that nothing of it is copied.
    fn open_ringtone(&self, request: &Request, id: ProviderId) -> Answer {
        let caller = request.client.caller;
        let domain = self.arbiter.domain(caller.uid);
        if !domain.is_some_and(|domain| domain.holds(caller, Role::Ui)) {
            return Err(Error::new(
                ErrorKind::AccessDenied,
                "only who holds the role ui rings; take it with RegisterAgent",
            ));
        }
        if domain.and_then(|domain| domain.provider(id)).is_none() {
            return Err(Error::new(ErrorKind::UnknownProvider, "there is no such provider"));
        }
        let ringtone = self.ringtones.get((caller.uid, id)).ok_or_else(|| {
            let message =
                "this app has no ringtone of its own; see own-ringtone of its Configuration";
            Error::new(ErrorKind::InvalidState, message)
        })?;
        Ok(request.reply_with_file(Fd::from(ringtone)))
    }

    fn start_call(&mut self, turn: &mut Turn, request: &Request, member: &str) -> Answer {
        let (handle, options): (String, Dict) = arguments(request, member)?;
        let options = StartOptions::from_dict(&options)?;
        let handle = parse::text("handle", &handle, limits::HANDLE_BYTES)?;
        if handle.is_empty() {
            return Err(Error::invalid_argument("the handle is empty; whom should be called?"));
        }
        let uuid = options.call.unwrap_or_else(Uuid::new_v4);
        let provider = options.provider.map(Into::into);
        let action = Action::Start { uuid, handle, provider, video: options.has_video };
        let actions = vec![Requested { action, expected: None }];
        self.request(turn, request, actions, options.token, options.wait, |router, _, started| {
            let view = router.view(request.client.caller.uid);
            // A repeated token whose call is over gives the path that the call had.
            let uuid = started.map_or(uuid, |(_, uuid)| uuid);
            let live = started.and_then(|(call, _)| view.domain?.call(call));
            let call = match live {
                Some(call) => view.path_of_call(call.id),
                None => names::call_object_path(uuid, None),
            };
            Awaited::Call(call)
        })
    }

    /// A transaction, replied to when it is accepted or, if it waits, when it is finished.
    pub(in crate::bus) fn request(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        actions: Vec<Requested>,
        token: Option<Uuid>,
        wait: bool,
        awaited: impl FnOnce(
            &Router,
            TransactionId,
            Option<(callarbiter_core::CallId, Uuid)>,
        ) -> Awaited,
    ) -> Answer {
        let caller = request.client.caller;
        if wait {
            self.waits.admit(request)?;
        }
        let Reply::Transaction(id, call) =
            self.input(turn, Input::Request { caller, actions, token })?
        else {
            return Err(fault::internal());
        };
        let awaited = awaited(self, id, call);
        // Whoever asks by a verb hears how it ended by its reply.
        if matches!(awaited, Awaited::Transaction(_)) {
            self.remember_requester(request, id);
        }
        if !wait {
            return Ok(waits::reply(request, &awaited, None));
        }
        let transaction = self.arbiter.domain(caller.uid).and_then(|domain| domain.transaction(id));
        let now = |effect: &Effect| matches!(effect, Effect::Finished { transaction, .. } if *transaction == id);
        let before = !turn.effects.iter().any(now);
        if before && transaction.is_none_or(|transaction| transaction.finished) {
            return Ok(waits::reply(request, &awaited, transaction));
        }
        self.waits.add(turn.now, request.clone(), On::Transaction(id), awaited);
        Ok(None)
    }

    fn remember_requester(&mut self, request: &Request, id: TransactionId) {
        let caller = request.client.caller;
        let known = self.arbiter.domain(caller.uid).is_some_and(|d| d.transaction(id).is_some());
        if known {
            let first: Peer = caller.peer;
            self.requesters.insert_first((caller.uid, id), first);
        }
    }

    fn bounded(&self, actions: &Entries) -> Result<(), Error> {
        let most = self.arbiter.settings().limits.actions as usize;
        if actions.len() <= most {
            return Ok(());
        }
        Err(fault::limit(format!(
            "a transaction has at most {most} actions, this one has {}",
            actions.len()
        )))
    }
}

/// The app id and where it comes from. What a sandbox proves cannot be gainsaid; a unit's name is
/// inherited by whatever is started in a terminal or an editor, so it confirms and never refuses.
fn app_id(
    client: &Client,
    declared: &str,
) -> Result<(std::sync::Arc<str>, callarbiter_core::AppIdSource), Error> {
    use callarbiter_core::AppIdSource;
    match &client.app {
        Some((app, source)) if declared == app.as_ref() => Ok((app.clone(), *source)),
        Some((app, AppIdSource::Sandbox)) => Err(Error::new(
            ErrorKind::AccessDenied,
            format!("this app runs in the sandbox of {app} and can register under that id only"),
        )),
        _ if !limits::is_app_id(declared) => Err(no_app_id()),
        _ => Ok((declared.into(), AppIdSource::Declared)),
    }
}

pub(super) fn no_app_id() -> Error {
    Error::invalid_argument(format!("an app id has {}", limits::APP_ID))
}

fn known_role(role: &str) -> Result<Role, Error> {
    match words::Role::from(role) {
        words::Role::UserInterface => Ok(Role::Ui),
        words::Role::Headset => Ok(Role::Headset),
        words::Role::DoNotDisturb => Ok(Role::Dnd),
        words::Role::Consent => Ok(Role::Consent),
        words::Role::Launch => Ok(Role::Launch),
        words::Role::Identity => Ok(Role::Identity),
        words::Role::Contacts => Ok(Role::Contacts),
        words::Role::Audio => Ok(Role::Audio),
        words::Role::History => Ok(Role::History),
        words::Role::Screening => Ok(Role::Screening),
        words::Role::Preferences => Ok(Role::Preferences),
        words::Role::Other(_) => Err(Error::new(
            ErrorKind::NotSupported,
            format!("this version knows the roles {}", words::Role::KNOWN.join(", ")),
        )),
    }
}
