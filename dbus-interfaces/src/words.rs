//! The words of closed sets, as the contract spells them.
//!
//! Owns the spelling. Sets grow in later versions: every enum here has `Other`, and a reader that
//! meets it treats the thing as something it does not know, never as an error.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
            /// A word of a later version.
            Other(String),
        }

        impl $name {
            /// The words that this version knows.
            pub const KNOWN: &'static [&'static str] = &[$($text,)+];

            /// As the contract spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$word => $text,)+
                    $name::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($text => $name::$word,)+
                    other => $name::Other(other.to_owned()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Who called whom: `Call.Direction`.
    Direction {
        /// The far end called.
        Incoming = "incoming",
        /// This user called.
        Outgoing = "outgoing",
    }
}

words! {
    /// Where a call stands: `Call.State`.
    CallState {
        /// Incoming, being looked at by screeners.
        Screening = "screening",
        /// Incoming, waiting for the user.
        Ringing = "ringing",
        /// The user said yes; the provider has not yet.
        Answering = "answering",
        /// Outgoing, its app is being started.
        Launching = "launching",
        /// Outgoing, its provider is being asked.
        Starting = "starting",
        /// The provider has placed it.
        Dialing = "dialing",
        /// The far end rings.
        Alerting = "alerting",
        /// Answered, the media is being set up.
        Connecting = "connecting",
        /// The two talk.
        Active = "active",
        /// On hold at this end.
        Held = "held",
        /// The user hung up; the provider has not confirmed.
        Ending = "ending",
        /// Over, for ever.
        Ended = "ended",
    }
}

words! {
    /// Why a call ended: `Call.EndReason`, `Provider.ReportEnded`, action `End`.
    EndReason {
        /// This user hung up.
        LocalEnded = "local-ended",
        /// This user said no.
        Declined = "declined",
        /// The far end hung up.
        RemoteEnded = "remote-ended",
        /// Nobody answered in time.
        Unanswered = "unanswered",
        /// The far end was busy.
        Busy = "busy",
        /// It could not be carried out.
        Failed = "failed",
        /// Another device or app of the user answered.
        AnsweredElsewhere = "answered-elsewhere",
        /// Another device or app of the user declined.
        DeclinedElsewhere = "declined-elsewhere",
        /// A block list, a screener or do-not-disturb stopped it.
        Filtered = "filtered",
        /// Its app went away and did not come back for it.
        ProviderLost = "provider-lost",
        /// Its app did not say in time whether it could.
        TimedOut = "timed-out",
    }
}

words! {
    /// Who holds a call: `Call.HeldBy`.
    Holder {
        /// The user, or the app by itself; never resumed by the arbiter.
        User = "user",
        /// Arbitration made room for another call.
        Arbiter = "arbiter",
        /// The user's session left the foreground.
        Seat = "seat",
        /// The machine sleeps.
        Suspend = "suspend",
    }
}

words! {
    /// What a provider can do with a call: `Call.Capabilities`.
    Capability {
        /// Hold and resume it.
        Hold = "hold",
        /// Join it with others.
        Group = "group",
        /// Play tones.
        Dtmf = "dtmf",
    }
}

words! {
    /// Why a ringing call makes no sound: `Call.Silenced`.
    Silenced {
        /// It rings aloud, if it is not waiting.
        No = "",
        /// The user silenced it.
        User = "user",
        /// Do-not-disturb shows it quietly.
        DoNotDisturb = "dnd",
        /// Another user has the seat.
        Background = "background",
        /// A rule of the administrator, or of the user's own.
        Rule = "rule",
        /// A screening agent wants it so.
        Screening = "screening",
    }
}

words! {
    /// What a screening agent says of a call: `verdict` of its answer.
    Verdict {
        /// It may reach the user.
        Allow = "allow",
        /// It is turned away.
        Reject = "reject",
        /// It is shown, and makes no sound.
        Silence = "silence",
    }
}

words! {
    /// What the verdict of a screening agent is about: `reason` of its answer.
    Ground {
        /// The caller is on a list of the user's.
        List = "block-list",
        /// The caller does not say who it is.
        Anonymous = "anonymous",
        /// What the agent itself thinks.
        Screening = "screening",
    }
}

words! {
    /// Where a name comes from: `Call.NameSource`.
    NameSource {
        /// There is no name.
        None = "",
        /// The app says so.
        Claimed = "claimed",
        /// The user's own address book.
        Contacts = "contacts",
    }
}

words! {
    /// Whether an app may provide calls: `Provider.Authorization`.
    Authorization {
        /// The user has not been asked yet; calls are refused.
        NotDetermined = "not-determined",
        /// It may.
        Authorized = "authorized",
        /// The user said no.
        Denied = "denied",
        /// The administrator said no.
        Restricted = "restricted",
    }
}

words! {
    /// Where an app id comes from: `Provider.AppIdSource`.
    AppIdSource {
        /// The app said so.
        Declared = "declared",
        /// The name of its systemd unit.
        Unit = "unit",
        /// The metadata of its sandbox.
        Sandbox = "sandbox",
    }
}

words! {
    /// Who decided what an app may do: `Manager.ListApps`.
    AppSource {
        /// The user.
        User = "user",
        /// The administrator's configuration.
        Administrator = "administrator",
        /// The package that brought the app.
        Packaged = "packaged",
        /// A rule of polkit.
        Polkit = "polkit",
    }
}

words! {
    /// Where the hand-over of the audio stands: `AudioSession.Phase`.
    AudioPhase {
        /// Nobody has it.
        Idle = "idle",
        /// The holder is asked to stop.
        Releasing = "releasing",
        /// The holder is asked to begin.
        Granting = "granting",
        /// The holder has it.
        Granted = "granted",
    }
}

words! {
    /// `Transaction.State`.
    TransactionState {
        /// Not all outcomes are known.
        Running = "running",
        /// All outcomes are known.
        Finished = "finished",
    }
}

words! {
    /// Whose wish it is: `Transaction.Origin`, option `origin` of delegate calls.
    Origin {
        /// The desktop's own surface: a holder of role `ui`.
        UserInterface = "user-interface",
        /// A button of a headset.
        Headset = "headset",
        /// The app that carries the call.
        App = "app",
        /// Any other program of the user.
        Controller = "controller",
        /// Nobody's: a rule of the arbiter.
        Policy = "policy",
    }
}

words! {
    /// How an action ended.
    Outcome {
        /// It has not.
        Pending = "",
        /// It was done, or was so already.
        Fulfilled = "fulfilled",
        /// The provider could not, or room could not be made.
        Failed = "failed",
        /// The provider did not say in time.
        TimedOut = "timed-out",
        /// It was not begun, or it no longer made sense.
        Cancelled = "cancelled",
    }
}

words! {
    /// What an endpoint is: `AudioSession.Endpoints`.
    EndpointKind {
        /// Loudspeakers of the machine or of a screen.
        Speaker = "speaker",
        /// Headphones and microphone in one.
        Headset = "headset",
        /// Headphones without a microphone.
        Headphones = "headphones",
        /// Anything over Bluetooth.
        Bluetooth = "bluetooth",
        /// A screen or television.
        Hdmi = "hdmi",
    }
}

words! {
    /// What the user should hear of: `Manager.Notice`.
    NoticeKind {
        /// A call could not be held, so another was not answered or started.
        HoldFailed = "hold-failed",
        /// A call could not be resumed; it stays on hold.
        ResumeFailed = "resume-failed",
        /// A call that the arbiter held stays on hold until the user resumes it.
        StaysHeld = "stays-held",
        /// An app made a call active by itself while another has the audio.
        ActiveWithoutAudio = "active-without-audio",
        /// An app plays or records for its calls without having the audio.
        StreamingWithoutAudio = "streaming-without-audio",
        /// A call is about to be answered by a rule: an intercom.
        AnswersItself = "answers-itself",
    }
}

words! {
    /// Roles of agents: `Manager.RegisterAgent`.
    Role {
        /// Shows calls and acts for the user; any number of agents.
        UserInterface = "ui",
        /// Reads headset buttons; one.
        Headset = "headset",
        /// Reads do-not-disturb; one.
        DoNotDisturb = "dnd",
        /// Asks the user whether an app may provide calls; one.
        Consent = "consent",
        /// Starts apps for calls; one.
        Launch = "launch",
        /// Knows which app a process belongs to; one.
        Identity = "identity",
        /// Has the user's address book; one.
        Contacts = "contacts",
        /// Makes other sound keep quiet while a call has the audio; one.
        Audio = "audio",
        /// Keeps the user's history of calls; one.
        History = "history",
        /// Looks at incoming calls before the user is told; any number of agents.
        Screening = "screening",
        /// Has the user's own rules; one.
        Preferences = "preferences",
    }
}

words! {
    /// Why nobody here answered an incoming call: `missed` of `Agent.Record`.
    Missed {
        /// It rang, and nobody came.
        Unanswered = "unanswered",
        /// Do-not-disturb kept it quiet, or away.
        DoNotDisturb = "do-not-disturb",
        /// A block list has its caller.
        Blocked = "blocked",
        /// A screening agent turned it away.
        Screened = "screened",
        /// There was no room for one more.
        Busy = "busy",
        /// The caller gave up within seconds.
        ShortRing = "short-ring",
        /// Its app went away.
        ProviderLost = "provider-lost",
        /// Another device or app of the user answered.
        AnsweredElsewhere = "answered-elsewhere",
        /// Another device or app of the user said no.
        DeclinedElsewhere = "declined-elsewhere",
        /// The user, or a screening agent, silenced it and let it ring.
        Silenced = "silenced",
        /// It was answered, and could not be connected.
        Failed = "failed",
    }
}

words! {
    /// How a provider's network holds calls: configuration `hold-model`.
    HoldModel {
        /// Each call by itself.
        PerCall = "per-call",
        /// All of them as the network does it (GSM: answering holds the active one).
        ProviderWide = "provider-wide",
    }
}

words! {
    /// What may be recorded of a provider's calls: configuration `records`.
    Records {
        /// Nothing.
        None = "none",
        /// That there was a call, not with whom.
        Opaque = "opaque",
        /// All of it.
        Full = "full",
    }
}

words! {
    /// Who rings for a provider's calls: configuration `ringer`.
    Ringer {
        /// The desktop: one ringer for all.
        Arbiter = "arbiter",
        /// The app itself.
        Itself = "self",
    }
}

/// `Call.EndDetail` of a call that ended `filtered` because the user does not want to be disturbed.
pub const DISTURBS: &str = "do-not-disturb is on";

/// `Call.EndDetail` of a call that ended `filtered` because there was no room for it.
pub const NO_ROOM: &str = "too many calls at once";
