//! The rules of the contract that an app's provider is tried against.
//!
//! Owns their names, what the contract says, where it says it, and what an author is to change. Must not
//! know how a rule is tried.

use serde::Serialize;

#[derive(Debug, PartialEq, Serialize)]
pub struct Rule {
    pub name: &'static str,
    pub contract: &'static str,
    pub place: &'static str,
    pub change: &'static str,
}

pub const REGISTERS: Rule = Rule {
    name: "registers",
    contract: "An app registers with its app id and a name for people.",
    place: "Manager.RegisterProvider",
    change: "call RegisterProvider when the arbiter is on the bus, with a display-name; the bus is \
             in DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS and {bus}",
};
pub const REPORTS: Rule = Rule {
    name: "reports-incoming",
    contract: "An incoming call is reported before the app rings.",
    place: "Provider.ReportIncomingCall",
    change: "report the call as soon as the network announces it",
};
pub const ANSWERS: Rule = Rule {
    name: "answers",
    contract: "An answer is fulfilled when the call is connected, within 10 s.",
    place: "ProviderDelegate.PerformAnswer",
    change: "answer the call in the network, then Fulfil the request",
};
pub const STARTS: Rule = Rule {
    name: "starts",
    contract: "A start is fulfilled when the network took the call, within 20 s.",
    place: "ProviderDelegate.PerformStart",
    change: "place the call, Fulfil the request, then report how it goes on",
};
pub const OPENS: Rule = Rule {
    name: "opens-audio",
    contract: "The grant of the audio is acknowledged within 2 s.",
    place: "ProviderDelegate.AudioActivated",
    change: "open the microphone and the loudspeaker, then Fulfil the request",
};
pub const MUTES: Rule = Rule {
    name: "mutes",
    contract: "Mute and unmute are fulfilled within 5 s.",
    place: "ProviderDelegate.PerformSetMuted",
    change: "mute the microphone for this call, then Fulfil the request",
};
pub const TONES: Rule = Rule {
    name: "plays-tones",
    contract: "Tones are fulfilled when they were played, within 5 s and their playing time.",
    place: "ProviderDelegate.PerformPlayDtmf",
    change: "play the tones, then Fulfil the request; where the call has none, leave dtmf out of \
             its capabilities",
};
pub const HOLDS: Rule = Rule {
    name: "holds",
    contract: "A hold is fulfilled when the call is held, within 5 s.",
    place: "ProviderDelegate.PerformSetHeld",
    change: "hold the call in the network, then Fulfil the request; where the call cannot be held, \
             leave hold out of its capabilities",
};
pub const CLOSES: Rule = Rule {
    name: "closes-audio",
    contract: "The loss of the audio is acknowledged within 2 s.",
    place: "ProviderDelegate.AudioDeactivated",
    change: "close the microphone and the loudspeaker at once, then Fulfil the request",
};
pub const RESUMES: Rule = Rule {
    name: "resumes",
    contract: "A resume is fulfilled when the call is active again, within 5 s.",
    place: "ProviderDelegate.PerformSetHeld",
    change: "resume the call in the network, then Fulfil the request",
};
pub const ENDS: Rule = Rule {
    name: "ends",
    contract: "An end is carried out within 5 s; it cannot be refused.",
    place: "ProviderDelegate.PerformEnd",
    change: "hang up, then Fulfil the request or ReportEnded; Fail keeps no call alive",
};

/// In the order in which they are told.
pub const ALL: [&Rule; 11] = [
    &REGISTERS, &REPORTS, &ANSWERS, &STARTS, &OPENS, &MUTES, &TONES, &HOLDS, &CLOSES, &RESUMES,
    &ENDS,
];

/// What only a call that is connected can show.
pub const LIVE: [&Rule; 5] = [&MUTES, &TONES, &HOLDS, &CLOSES, &RESUMES];
