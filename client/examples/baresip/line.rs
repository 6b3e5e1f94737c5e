//! One call as baresip has it, and how to name it in a command. Owns reading what baresip prints about calls;
//! it must not talk to baresip.

use std::time::Instant;

/// A call of this phone.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The SIP Call-ID; empty for a call just dialled, until baresip tells it.
    pub id: String,
    /// Its line, for as long as it has no id.
    pub number: u32,
    /// When we dialled, if we did.
    pub dialled: Option<Instant>,
    /// The other side's address.
    pub peer: String,
    /// Whether the other side called.
    pub incoming: bool,
    /// Both sides have agreed: it is connected.
    pub connected: bool,
    /// Somebody asked us to answer it: the answer is reported where it was asked, not as news.
    pub answering: bool,
    /// We put it on hold.
    pub held: bool,
    /// A hold or resume of ours is under way.
    pub changing: bool,
    /// The other side put it on hold.
    pub remote_held: bool,
    /// The user's mute.
    pub muted: bool,
    /// The arbiter has given it the audio.
    pub audio: bool,
    /// What baresip's own mute is set to.
    pub silent: bool,
    /// We hung up: its end is no news.
    pub ending: bool,
}

impl Line {
    /// The command that makes it baresip's current call, the one that all other commands act on.
    pub fn select(&self) -> String {
        if self.id.is_empty() {
            format!("line {}", self.number)
        } else {
            format!("callfind {}", self.id)
        }
    }

    /// It rings and nobody has answered.
    pub fn rings(&self) -> bool {
        self.incoming && !self.connected && !self.answering
    }

    /// It may have media, so that its mute and its devices matter.
    pub fn has_media(&self) -> bool {
        self.connected || self.answering || !self.incoming
    }

    /// The mute that baresip should have: a call without the audio session sends nothing.
    pub fn must_be_silent(&self) -> bool {
        self.muted || !self.audio
    }
}

/// The line number of the current call in what `listcalls` prints:
/// `> [line 2]  0:00:05  ESTABLISHED  (on hold)  sip:rabbit@example.org`.
pub fn current_line(listing: &str) -> Option<u32> {
    let (_, rest) = current(listing)?.split_once("[line ")?;
    rest.split_once(']')?.0.parse().ok()
}

/// Whether `listcalls` shows the current call as held by us.
pub fn is_on_hold(listing: &str) -> bool {
    current(listing).is_some_and(|line| line.contains("(on hold)"))
}

/// Whether the direction in `audio_debug` (`audio dir=recvonly`) says that the other side listens no more.
pub fn is_remote_held(debug: &str) -> bool {
    let direction = debug.split_once("audio dir=").map(|(_, rest)| rest);
    direction.is_some_and(|rest| rest.starts_with("recvonly") || rest.starts_with("inactive"))
}

/// Why a call ended, in the arbiter's words, from what baresip says (`486 Busy Here`).
pub fn end_reason(line: &Line, detail: &str) -> &'static str {
    let status: Option<u16> = detail.split(' ').next().and_then(|word| word.parse().ok());
    match status {
        Some(486 | 600) => "busy",
        Some(603) => "declined",
        Some(408 | 480 | 487) => "unanswered",
        Some(_) => "failed",
        None if detail == "Connection reset by user" && line.rings() => "declined",
        None if detail == "Connection reset by user" => "local-ended",
        None if detail != "Connection reset by peer" => "failed",
        None if line.rings() => "unanswered",
        None => "remote-ended",
    }
}

fn current(listing: &str) -> Option<&str> {
    listing.lines().find(|line| line.starts_with('>'))
}
