//! What is left of a call: a record for the user's history, kept here until the agent that keeps it says so.
//!
//! Owns what a record holds, why a call counts as missed, and when the holder of role `history` is given which
//! records. A record is offered until it is acknowledged, under the same id each time, so that whoever writes it
//! down can have it exactly once; nobody is asked, and nothing wakes, while nobody holds the role.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentAnswer, AgentAsk, Call, CallId, Direction, Domain, EndReason, Millis, Private, Records,
    Role, Silenced, Time, memory::next_of, timers::Due,
};

/// Records that wait: more calls than anybody misses in a night without a session. Beyond it the oldest is lost,
/// and the next one says so.
pub(crate) const WAITING: usize = 256;

/// Records that the agent is asked to keep at once: enough that its disk is never waited for in vain.
const AT_ONCE: usize = 4;

/// The agent's first rest after it could not keep a record; it doubles up to [`LONGEST_REST`], since a full disk
/// stays full for a while.
const REST: Millis = Millis::secs(5);
const LONGEST_REST: Millis = Millis::secs(600);

/// A call that its far end gave up before this was hardly to be answered.
const SHORT_RING: Millis = Millis::secs(5);

/// One call that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The call's number.
    pub call: CallId,
    /// Its name, chosen by the provider.
    pub uuid: Uuid,
    /// When it was reported or requested, µs since the epoch.
    pub created_at: u64,
    /// When it was first active, µs since the epoch; 0 for never.
    pub connected_at: u64,
    /// When it ended, µs since the epoch.
    pub ended_at: u64,
    /// The app that carried it.
    pub app: Arc<str>,
    /// Its name for people.
    pub provider_name: Arc<str>,
    /// Who called whom.
    pub direction: Direction,
    /// The far end's address.
    #[serde(with = "crate::private::stored")]
    pub handle: Private,
    /// The far end's name, the user's own word for it first.
    #[serde(with = "crate::private::stored")]
    pub name: Private,
    /// The entry of the user's address book.
    #[serde(with = "crate::private::stored")]
    pub contact: Private,
    /// Why it ended.
    pub reason: EndReason,
    /// Why in words; may be the provider's.
    #[serde(with = "crate::private::stored")]
    pub detail: Private,
    /// Why nobody answered it; none if somebody did, or said no, or it was outgoing.
    pub missed: Option<Missed>,
    /// Why it did not ring aloud.
    pub silenced: Silenced,
    /// An emergency call.
    pub emergency: bool,
    /// Whether it had video.
    pub video: bool,
    /// What its app lets the user keep.
    pub records: Records,
    /// So many records before this one were never taken down.
    pub lost: u32,
}

impl Record {
    /// Its name for ever: whoever has it already keeps it once. A provider may choose a UUID again after a while,
    /// and the numbers of calls begin again where the arbiter's state was lost, but never both in one microsecond.
    pub fn id(&self) -> RecordId {
        RecordId { uuid: self.uuid, created_at: self.created_at, call: self.call }
    }
}

/// The name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordId {
    pub(crate) uuid: Uuid,
    pub(crate) created_at: u64,
    pub(crate) call: CallId,
}

impl RecordId {
    /// From how it is written.
    pub fn parse(text: &str) -> Option<RecordId> {
        let mut parts = text.split('.');
        let uuid = parts.next()?.parse().ok()?;
        let created_at = parts.next()?.parse().ok()?;
        let call = CallId(parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(RecordId { uuid, created_at, call })
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.uuid, self.created_at, self.call.0)
    }
}

/// Why an incoming call was not answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missed {
    /// It rang, and nobody came.
    Unanswered,
    /// Do-not-disturb kept it quiet, or away.
    DoNotDisturb,
    /// A block list has its caller.
    Blocked,
    /// A screener turned it away.
    Screened,
    /// There was no room for one more.
    Busy,
    /// The far end gave up at once.
    ShortRing,
    /// Its app went away.
    ProviderLost,
    /// Another device or app of the user answered.
    AnsweredElsewhere,
    /// Another device or app of the user said no.
    DeclinedElsewhere,
    /// The user, a rule or a screener silenced it and let it ring.
    Silenced,
    /// It was answered, and could not be connected.
    Failed,
}

impl Missed {
    /// All of them.
    pub const ALL: [Missed; 11] = [
        Missed::Unanswered,
        Missed::DoNotDisturb,
        Missed::Blocked,
        Missed::Screened,
        Missed::Busy,
        Missed::ShortRing,
        Missed::ProviderLost,
        Missed::AnsweredElsewhere,
        Missed::DeclinedElsewhere,
        Missed::Silenced,
        Missed::Failed,
    ];

    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Missed::Unanswered => "unanswered",
            Missed::DoNotDisturb => "do-not-disturb",
            Missed::Blocked => "blocked",
            Missed::Screened => "screened",
            Missed::Busy => "busy",
            Missed::ShortRing => "short-ring",
            Missed::ProviderLost => "provider-lost",
            Missed::AnsweredElsewhere => "answered-elsewhere",
            Missed::DeclinedElsewhere => "declined-elsewhere",
            Missed::Silenced => "silenced",
            Missed::Failed => "failed",
        }
    }

    /// What became of a call that ended so. `silenced`: as it was while it rang.
    fn of(call: &Call, reason: EndReason, silenced: Silenced) -> Option<Missed> {
        if call.direction == Direction::Outgoing || call.connected_at != 0 {
            return None;
        }
        let rang = Time(call.ended_at).since(Time(call.created_at));
        Some(match reason {
            EndReason::LocalEnded | EndReason::Declined => return None,
            EndReason::AnsweredElsewhere => Missed::AnsweredElsewhere,
            EndReason::DeclinedElsewhere => Missed::DeclinedElsewhere,
            EndReason::ProviderLost => Missed::ProviderLost,
            EndReason::Failed | EndReason::TimedOut => Missed::Failed,
            EndReason::Busy => Missed::Busy,
            EndReason::Filtered => Missed::Screened,
            EndReason::RemoteEnded | EndReason::Unanswered => match silenced {
                Silenced::DoNotDisturb => Missed::DoNotDisturb,
                Silenced::User | Silenced::Rule | Silenced::Screening => Missed::Silenced,
                Silenced::No | Silenced::Background if rang < SHORT_RING => Missed::ShortRing,
                Silenced::No | Silenced::Background => Missed::Unanswered,
            },
        })
    }
}

/// How it goes with the agent that keeps the history.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// So many times in a row it could not, or did not answer.
    failures: u32,
}

impl Recording {
    /// If it goes badly.
    pub(crate) fn some(&self) -> Option<&Recording> {
        Some(self).filter(|recording| recording.failures > 0)
    }
}

impl Domain {
    /// Records that nobody has acknowledged, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// One of them, by the number in [`AgentAsk::Record`].
    pub fn record(&self, number: u64) -> Option<&Record> {
        self.records.get(&number)
    }

    /// A call has ended: its app lets the user keep all of it, or that it was, or nothing.
    pub(crate) fn take_down(&mut self, call: &Call, silenced: Silenced, missed: Option<Missed>) {
        let (Some(provider), Some(end)) = (self.providers.get(&call.provider), &call.end) else {
            return;
        };
        let records = provider.configuration.records;
        let open = |text: &Private| match records {
            Records::Full => text.clone(),
            Records::Opaque | Records::None => Private::default(),
        };
        if records == Records::None {
            return;
        }
        let record = Record {
            call: call.id,
            uuid: call.uuid,
            created_at: call.created_at,
            connected_at: call.connected_at,
            ended_at: call.ended_at,
            app: provider.app.clone(),
            provider_name: provider.configuration.display_name.clone(),
            direction: call.direction,
            handle: open(&call.handle),
            name: open(call.shown_name()),
            contact: call.known.as_ref().map(|known| open(&known.id)).unwrap_or_default(),
            reason: end.reason,
            detail: open(&end.detail),
            missed: missed.or_else(|| Missed::of(call, end.reason, silenced)),
            silenced,
            emergency: call.emergency,
            video: call.video,
            records,
            lost: 0,
        };
        self.records.insert(next_of(&self.records), record);
        if self.records.len() > WAITING {
            self.lose_oldest();
        }
        self.offer_records();
    }

    /// The oldest that the agent is not writing down just now; whoever comes after it tells of the loss.
    fn lose_oldest(&mut self) {
        let mut waiting = self.records.keys().copied().filter(|number| !self.is_offered(*number));
        let (oldest, next) = (waiting.next(), waiting.next());
        drop(waiting);
        let lost = oldest.and_then(|oldest| self.records.remove(&oldest));
        let next = next.and_then(|next| self.records.get_mut(&next));
        if let Some((lost, next)) = lost.zip(next) {
            next.lost = next.lost.saturating_add(lost.lost).saturating_add(1);
        }
    }

    fn is_offered(&self, number: u64) -> bool {
        self.is_asked_of_agents(|ask| *ask == AgentAsk::Record { number })
    }

    /// Gives the agent what it is not writing down already, the oldest first.
    pub(crate) fn offer_records(&mut self) {
        let rests = self.timers.at(Due::Records).is_some();
        if rests || self.holder(Role::History).is_none() {
            return;
        }
        let open = self.errands.values().filter(|e| matches!(e.ask, AgentAsk::Record { .. }));
        let room = AT_ONCE.saturating_sub(open.count());
        let waiting = self.records.keys().copied().filter(|number| !self.is_offered(*number));
        let next: Vec<u64> = waiting.take(room).collect();
        for number in next {
            self.ask_agent(AgentAsk::Record { number });
        }
    }

    /// The agent answered: it is written down, or it could not be.
    pub(crate) fn recorded(&mut self, number: u64, answer: &AgentAnswer) {
        if answer.error.is_some() {
            return self.not_recorded();
        }
        self.records.remove(&number);
        self.recording_starts();
    }

    /// It was not written down, or not in time: it is offered again, but not at once.
    pub(crate) fn not_recorded(&mut self) {
        if self.timers.at(Due::Records).is_some() {
            return;
        }
        let recording = self.recording.get_mut();
        let rest = REST.0.saturating_mul(1 << recording.failures.min(16)).min(LONGEST_REST.0);
        recording.failures = recording.failures.saturating_add(1);
        self.timers.arm(Due::Records, self.now.mono + Millis(rest));
    }

    /// The agent is new, or keeps records (again).
    pub(crate) fn recording_starts(&mut self) {
        self.nobody_records();
        self.offer_records();
    }

    /// Nothing waits for an agent that is not there.
    pub(crate) fn nobody_records(&mut self) {
        if self.recording.get().some().is_some() {
            self.recording.get_mut().failures = 0;
        }
        if self.timers.at(Due::Records).is_some() {
            self.timers.disarm(Due::Records);
        }
    }
}
