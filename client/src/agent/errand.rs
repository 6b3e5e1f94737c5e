//! What an agent is asked, and its answer.
//!
//! Owns the form of the arbiter's calls. One that cannot be read is left to its deadline; nothing is guessed.

use std::time::{Duration, Instant};

use callarbiter_dbus::{
    AgentAnswer, AudioApp, Dict, ErrorKind, ErrorName, Fields, Record,
    names::{CallPath, Object},
    words::{AppIdSource, Authorization, Ground, Verdict},
};
use tokio::sync::mpsc;
use zbus::{Message, OwnedObjectPath};

use crate::{Private, provider::sentence};

/// How long the arbiter waits where it says nothing of it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Something that an agent is asked to do. Exactly one answer ends it, and dropping it is none: then the arbiter
/// decides without it when its deadline passes.
#[derive(Debug)]
pub struct Errand {
    what: Asked,
    request: String,
    until: Instant,
    answers: mpsc::UnboundedSender<(String, Dict)>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Asked {
    /// The whole state of the sound that is wanted from now on. Answer with [`Errand::enforced`].
    ApplyAudio {
        /// The grant that it is about.
        generation: u64,
        /// While one has the audio: that one, and all others with calls. Without any, everything is as it was before.
        apps: Vec<AudioApp>,
    },
    /// The sound of calls is to go there. Answer with [`Errand::done`], after [`super::Agent::set_endpoints`].
    SelectEndpoint {
        /// One of those that were told.
        endpoint: String,
    },
    /// May this app provide calls? Answer with [`Errand::decided`].
    RequestConsent {
        /// The app.
        app_id: String,
        /// What says that it is that app.
        source: AppIdSource,
        /// What it says of itself; empty where it says nothing.
        display_name: String,
        /// Why it wants to provide calls, in its own words.
        usage_description: String,
        /// An icon of the icon theme.
        icon: String,
    },
    /// Start this app, so that it registers. Answer with [`Errand::done`].
    LaunchProvider {
        /// The app.
        app_id: String,
        /// Who is to be called.
        handle: Private,
    },
    /// Which app does this process belong to? Answer with [`Errand::identified`].
    Identify {
        /// The process.
        pid: u32,
        /// What it says itself.
        declared: String,
    },
    /// Who is that, by the user's address book? Answer with [`Errand::found`].
    LookUp {
        /// Their address.
        handle: Private,
    },
    /// A call is over: keep it. Answer with [`Errand::done`].
    Record(Box<Record>),
    /// May this incoming call reach the user? Answer with [`Errand::screened`], or let it pass with [`Errand::done`].
    /// Everybody who screens is asked, again if the app corrects the address, and nothing rings before.
    Screen {
        /// The call, in state `screening`.
        call: CallPath,
        /// Who calls; empty for somebody who does not say so.
        handle: Private,
        /// The app through which they call.
        app_id: String,
        /// The name that the app claims.
        display_name: Private,
    },
}

/// What a screening agent says of a call.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "only `Errand::screened` says it"]
pub struct Screened {
    verdict: Verdict,
    urgent: bool,
    about: Option<Ground>,
    detail: Private,
}

impl Screened {
    /// It may reach the user.
    pub fn allow() -> Screened {
        Screened::new(Verdict::Allow)
    }

    /// It may, and rings through do-not-disturb.
    pub fn urgent() -> Screened {
        Screened { urgent: true, ..Screened::allow() }
    }

    /// It is shown, and makes no sound.
    pub fn silence() -> Screened {
        Screened::new(Verdict::Silence)
    }

    /// It is turned away, whatever others say.
    pub fn reject() -> Screened {
        Screened::new(Verdict::Reject)
    }

    /// What the verdict is about; without it, the agent's own opinion.
    pub fn about(self, ground: Ground) -> Screened {
        Screened { about: Some(ground), ..self }
    }

    /// For the user who asks why: which entry of which list.
    pub fn because(self, detail: impl Into<Private>) -> Screened {
        Screened { detail: detail.into(), ..self }
    }

    fn new(verdict: Verdict) -> Screened {
        Screened { verdict, urgent: false, about: None, detail: Private::default() }
    }
}

impl Errand {
    /// What is to be done.
    pub fn what(&self) -> &Asked {
        &self.what
    }

    /// When the arbiter goes on without an answer.
    pub fn deadline(&self) -> Instant {
        self.until
    }

    /// It was done.
    pub fn done(self) {
        self.answer(AgentAnswer::default());
    }

    /// It could not be done; the sentence is for people.
    pub fn failed(self, error: ErrorKind, message: &str) {
        let error = ErrorName::from(error);
        self.answer(AgentAnswer::failed(error.as_str(), &sentence(message)));
    }

    /// What became of [`Asked::ApplyAudio`]: whether others are quiet, and whose microphones carry silence. Said again
    /// when it changes, as long as the errand is the newest of its kind.
    pub fn enforced(&self, enforced: bool, muted: Vec<OwnedObjectPath>) {
        self.send(AgentAnswer { enforced, muted, ..AgentAnswer::default() });
    }

    /// What the user decided: [`Asked::RequestConsent`].
    pub fn decided(self, authorization: Authorization) {
        let authorization = Some(authorization);
        self.answer(AgentAnswer { authorization, ..AgentAnswer::default() });
    }

    /// Which app it is, and what says so: [`Asked::Identify`].
    pub fn identified(self, app_id: impl Into<String>, source: AppIdSource) {
        let (app_id, source) = (Some(app_id.into()), Some(source));
        self.answer(AgentAnswer { app_id, source, ..AgentAnswer::default() });
    }

    /// Who it is, as the user wrote it, and the entry of the address book: [`Asked::LookUp`].
    pub fn found(self, name: impl Into<String>, contact_id: impl Into<String>) {
        let (name, contact_id) = (Some(name.into()), Some(contact_id.into()));
        self.answer(AgentAnswer { name, contact_id, ..AgentAnswer::default() });
    }

    /// Whether a call may reach the user, and why: [`Asked::Screen`].
    pub fn screened(self, verdict: Screened) {
        self.answer(AgentAnswer {
            verdict: Some(verdict.verdict),
            urgent: verdict.urgent,
            reason: verdict.about,
            detail: Some(sentence(verdict.detail.reveal())),
            ..AgentAnswer::default()
        });
    }

    /// With keys that this version has no method for.
    pub fn answer(self, answer: AgentAnswer) {
        self.send(answer);
    }

    fn send(&self, answer: AgentAnswer) {
        // Without the agent nobody has the roles that it was asked for.
        let _ = self.answers.send((self.request.clone(), answer.to_dict()));
    }

    pub(super) fn new(call: Call, answers: mpsc::UnboundedSender<(String, Dict)>) -> Errand {
        let Call { request, what, until } = call;
        Errand { what, request, until, answers }
    }
}

/// A call of the agent's object.
pub(super) struct Call {
    pub request: String,
    pub until: Instant,
    what: Asked,
}

impl Call {
    /// None: a later version asks it.
    pub fn read(message: &Message) -> Result<Option<Call>, callarbiter_dbus::Error> {
        let header = message.header();
        let body = message.body();
        let member = header.member().map_or("", |member| member.as_str());
        let unreadable = |error: zbus::Error| {
            callarbiter_dbus::Error::invalid_argument(format!("the arguments of {member}: {error}"))
        };
        let (request, what, options): (String, Asked, Dict) = match member {
            "ApplyAudio" => {
                let (request, generation, apps, options): (_, _, Vec<Dict>, _) =
                    body.deserialize().map_err(unreadable)?;
                let apps = apps.iter().map(AudioApp::from_dict).collect::<Result<_, _>>()?;
                (request, Asked::ApplyAudio { generation, apps }, options)
            }
            "SelectEndpoint" => {
                let (request, endpoint, options) = body.deserialize().map_err(unreadable)?;
                (request, Asked::SelectEndpoint { endpoint }, options)
            }
            "RequestConsent" => {
                let (request, app_id, options) = body.deserialize().map_err(unreadable)?;
                (request, consent(app_id, &options)?, options)
            }
            "LaunchProvider" => {
                let (request, app_id, handle, options): (_, _, String, _) =
                    body.deserialize().map_err(unreadable)?;
                (request, Asked::LaunchProvider { app_id, handle: handle.into() }, options)
            }
            "Identify" => {
                let (request, pid, options) = body.deserialize().map_err(unreadable)?;
                let declared = text(&Fields::trusted(&options), "declared")?;
                (request, Asked::Identify { pid, declared }, options)
            }
            "LookUp" => {
                let (request, handle, options): (_, String, _) =
                    body.deserialize().map_err(unreadable)?;
                (request, Asked::LookUp { handle: handle.into() }, options)
            }
            "Screen" => {
                let (request, handle, options): (_, String, _) =
                    body.deserialize().map_err(unreadable)?;
                (request, screen(handle, &options)?, options)
            }
            "Record" => {
                let (request, record, options): (_, Dict, _) =
                    body.deserialize().map_err(unreadable)?;
                (request, Asked::Record(Box::new(Record::from_dict(&record)?)), options)
            }
            _ => return Ok(None),
        };
        let deadline = Fields::trusted(&options).number("deadline")?;
        let deadline = deadline.map_or(DEADLINE, |ms| Duration::from_millis(ms.into()));
        Ok(Some(Call { request, what, until: Instant::now() + deadline }))
    }
}

fn consent(app_id: String, options: &Dict) -> Result<Asked, callarbiter_dbus::Error> {
    let fields = Fields::trusted(options);
    Ok(Asked::RequestConsent {
        app_id,
        source: AppIdSource::from(&*text(&fields, "app-id-source")?),
        display_name: text(&fields, "display-name")?,
        usage_description: text(&fields, "usage-description")?,
        icon: text(&fields, "icon")?,
    })
}

fn screen(handle: String, options: &Dict) -> Result<Asked, callarbiter_dbus::Error> {
    let fields = Fields::trusted(options);
    let call = fields.path("call")?;
    let Some(Object::Call(call)) = call.and_then(|path| Object::parse(path.as_str())) else {
        return Err(callarbiter_dbus::Error::invalid_argument("`call` is not the path of a call"));
    };
    Ok(Asked::Screen {
        call,
        handle: handle.into(),
        app_id: text(&fields, "app-id")?,
        display_name: text(&fields, "display-name")?.into(),
    })
}

fn text(fields: &Fields<'_>, key: &str) -> Result<String, callarbiter_dbus::Error> {
    Ok(fields.any_text(key)?.unwrap_or_default().to_owned())
}
