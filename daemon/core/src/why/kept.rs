//! The chains of a user's calls, and for an hour those of calls that are over, or until their records are taken.
//!
//! Owns what is kept, its bounds, and its records: a chain is written in pieces of a few steps, so that one more
//! step never writes the whole chain again.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::{Cause, FIRST, STEPS, Why};
use crate::{
    CallId, Caller, Direction, Domain, EndReason, Error, Millis, Private, ProviderId, RecordId,
    Refusal, Reply, Role, Time, gathered, kept::Kept, record::WAITING, row::Row,
};

/// Calls that are over and can still be explained.
pub(crate) const OVER: usize = 64;
/// For so long.
const MEMORY: Millis = Millis::secs(3600);
/// Steps in one record.
const PIECE: u32 = 8;

/// What is known of a call that is over, beside its chain: nothing about people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// Its name, chosen by the provider.
    pub uuid: Uuid,
    /// Who carried it.
    pub provider: ProviderId,
    /// The app of that.
    pub app: Arc<str>,
    /// Who called whom.
    pub direction: Direction,
    /// Why it ended.
    pub reason: EndReason,
    /// When it began, µs since the epoch.
    pub created_at: u64,
    /// When it ended, µs since the epoch.
    pub ended_at: u64,
    /// Until when it is remembered; a user to whom nothing happens forgets later.
    pub until: Time,
}

/// All chains of a domain.
#[derive(Debug, Default)]
pub(crate) struct Whys {
    chains: Row<CallId, Why>,
    pub over: Kept<CallId, Over>,
    /// Pieces that differ from what was written.
    changed: Vec<u64>,
    /// Pieces that were read and are not put together yet.
    pieces: BTreeMap<u64, Chunk>,
}

/// A piece of a chain as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    first: u32,
    steps: Vec<Written>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    after: u32,
    cause: Cause,
    #[serde(with = "crate::private::stored")]
    text: Private,
}

/// The same from references.
#[derive(Serialize)]
pub(crate) struct Piece<'a> {
    first: u32,
    steps: Steps<'a>,
}

struct Steps<'a> {
    why: &'a Why,
    places: Range<usize>,
}

#[derive(Serialize)]
struct WriteStep<'a> {
    after: u32,
    cause: Cause,
    #[serde(with = "crate::private::stored")]
    text: &'a Private,
}

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Steps { why, places } = self;
        let steps = why.steps.get(places.clone()).unwrap_or_default();
        to.collect_seq(steps.iter().zip(places.start..).map(|(step, at)| WriteStep {
            after: step.after,
            cause: step.cause,
            text: why.text(at),
        }))
    }
}

impl Domain {
    /// Why a call is what it is: one that lives, that ended within the hour, or whose record nobody has taken yet.
    pub fn why(&self, call: CallId) -> Option<&Why> {
        let known = || self.calls.contains_key(&call) || self.over(call).is_some();
        let waits = || self.records.values().any(|record| record.call == call);
        self.whys.chains.get(&call).filter(|_| known() || waits())
    }

    /// Calls that ended within the hour, as many as are remembered.
    pub fn all_over(&self) -> impl Iterator<Item = (CallId, &Over)> {
        let now = self.now.mono;
        self.whys.over.iter().filter(move |(_, o)| o.until > now).map(|(id, over)| (*id, over))
    }

    /// One of those.
    pub fn over(&self, call: CallId) -> Option<&Over> {
        self.whys.over.get(&call).filter(|over| over.until > self.now.mono)
    }

    /// `ForgetCalls`: the user erased what was left of these, so nothing tells of them any more. One that lives, or
    /// another that has the same name, is explained as before.
    pub(crate) fn forget_calls(
        &mut self,
        caller: Caller,
        erased: &[RecordId],
    ) -> crate::Result<Reply> {
        if !self.holds(caller, Role::History) {
            let why = "only the holder of role `history` says which calls were erased";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        for id in erased {
            let it = |over: &Over| over.uuid == id.uuid && over.created_at == id.created_at;
            if self.whys.over.get(&id.call).is_some_and(it) {
                self.whys.forget(id.call);
            }
        }
        Ok(Reply::Done)
    }

    /// This is why, of what happens to a call just now.
    pub(crate) fn because(&mut self, call: CallId, cause: Cause) {
        self.because_of(call, cause, Private::default());
    }

    /// The same with a name, a message, an entry: what the cause says in somebody's words.
    pub(crate) fn because_of(&mut self, call: CallId, cause: Cause, text: Private) {
        self.whys.add(call, self.now.wall, cause, text);
    }

    /// A new call has a chain of its own.
    pub(crate) fn begin_why(&mut self, call: CallId) {
        let why = Why { since: self.now.wall, ..Why::default() };
        self.whys.chains.insert(call, why);
    }

    /// A call that is over is remembered for a while; the oldest, and those whose time is over, go. Not before the
    /// history has its record.
    pub(crate) fn remember_why(&mut self, call: CallId, reason: EndReason) {
        let Some(known) = self.calls.get(&call) else { return };
        let (uuid, provider, direction) = (known.uuid, known.provider, known.direction);
        let (created_at, ended_at) = (known.created_at, known.ended_at);
        let app = self.app_of(call);
        let until = self.now.mono + MEMORY;
        let over = Over { uuid, provider, app, direction, reason, created_at, ended_at, until };
        let whys = &mut self.whys;
        whys.seal(call);
        whys.over.insert(call, over);
        // Their chains go with their records.
        let mut waiting: Vec<CallId> = self.records.values().map(|record| record.call).collect();
        waiting.sort_unstable();
        loop {
            let (mut known, mut oldest) = (0, None::<(Time, CallId)>);
            for (id, over) in whys.over.iter().filter(|(id, _)| waiting.binary_search(id).is_err())
            {
                known += 1;
                if oldest.is_none_or(|(until, _)| over.until < until) {
                    oldest = Some((over.until, *id));
                }
            }
            let Some((until, id)) = oldest else { return };
            if until > self.now.mono && known <= OVER {
                return;
            }
            whys.forget(id);
        }
    }
}

impl Domain {
    /// Puts together what was saved: of live calls, and of those that are over.
    pub(crate) fn restore_whys(&mut self) -> Result<(), &'static str> {
        let Domain { calls, whys, .. } = self;
        let over: BTreeMap<CallId, u64> =
            gathered(whys.over.iter().map(|(id, over)| (*id, over.created_at)));
        let began = |id| {
            let live = calls.get(&id).map(|c| c.created_at);
            live.or_else(|| over.get(&id).copied())
        };
        whys.assemble(began)?;
        calls.values().for_each(|c| whys.ensure(c.id, c.created_at));
        over.into_keys().for_each(|id| whys.seal(id));
        Ok(())
    }

    /// The chains agree with the calls.
    pub(crate) fn sound_whys(&self) -> Result<(), &'static str> {
        let all = self.calls.keys().all(|id| self.whys.chains.contains_key(id));
        if !all {
            return Err("a call without causes");
        }
        self.whys.sound(|id| self.calls.contains_key(&id))
    }
}

impl Whys {
    fn add(&mut self, call: CallId, now: u64, cause: Cause, text: Private) {
        let Some(why) = self.chains.get_mut(&call).filter(|why| !why.over) else { return };
        if why.says_already(cause) {
            return;
        }
        let dropped = why.add(now, cause, text);
        let added = why.total.saturating_sub(1);
        for number in dropped.into_iter().chain([added]) {
            let key = key(call, number / PIECE);
            if self.changed.last() != Some(&key) {
                self.changed.push(key);
            }
        }
    }

    fn forget(&mut self, call: CallId) {
        self.over.remove(&call);
        if let Some(why) = self.chains.remove(&call) {
            self.changed.extend(pieces(call, &why));
        }
    }

    /// Pieces that differ from what was written since this was last emptied; one may be there more than once.
    pub fn changed(&mut self) -> &mut Vec<u64> {
        &mut self.changed
    }

    /// One piece, if it has steps.
    pub fn piece(&self, key: u64) -> Option<Piece<'_>> {
        let (call, piece) = parts(key)?;
        let why = self.chains.get(&call)?;
        let from = piece.checked_mul(PIECE)?;
        let places = why.place(from)..why.place(from.saturating_add(PIECE));
        let first = why.number(places.start);
        (!places.is_empty()).then_some(Piece { first, steps: Steps { why, places } })
    }

    /// The numbers of all pieces behind one, in order.
    pub fn pieces_after(&self, after: Option<u64>) -> impl Iterator<Item = u64> + '_ {
        let from = after.and_then(parts).map_or(CallId(0), |(call, _)| call);
        let all = self.chains.range(from..).flat_map(|(call, why)| pieces(*call, why));
        all.filter(move |key| after.is_none_or(|after| *key > after))
    }

    /// One that was saved. False if it is there twice.
    pub fn restore(&mut self, key: u64, chunk: Chunk) -> bool {
        self.pieces.insert(key, chunk).is_none()
    }

    /// Puts together what was read; `began`: when the call began, none for one that is not known.
    fn assemble(&mut self, began: impl Fn(CallId) -> Option<u64>) -> Result<(), &'static str> {
        for (key, chunk) in std::mem::take(&mut self.pieces) {
            let (call, piece) = parts(key).ok_or("causes of no call")?;
            let since = began(call).ok_or("causes of no call")?;
            self.ensure(call, since);
            let why = self.chains.get_mut(&call);
            why.map_or(Ok(()), |why| why.take(piece, chunk))?;
        }
        Ok(())
    }

    /// The call has a chain, one that nothing is known of an empty one.
    fn ensure(&mut self, call: CallId, since: u64) {
        if !self.chains.contains_key(&call) {
            self.chains.insert(call, Why { since, ..Why::default() });
        }
    }

    /// A call that is over explains nothing new.
    fn seal(&mut self, call: CallId) {
        if let Some(why) = self.chains.get_mut(&call) {
            why.over = true;
        }
    }

    /// As many chains as there are calls that live or are remembered.
    fn sound(&self, live: impl Fn(CallId) -> bool) -> Result<(), &'static str> {
        let known = |id: &CallId| live(*id) || self.over.contains_key(id);
        if !self.chains.keys().all(known) || self.over.keys().any(|id| live(*id)) {
            return Err("causes of no call, or of one that is over and lives");
        }
        match self.over.len() <= OVER + WAITING {
            true => Ok(()),
            false => Err("more calls that are over than are remembered"),
        }
    }
}

impl Why {
    /// Where the step with this number is, or the next that was not dropped.
    fn place(&self, number: u32) -> usize {
        let place = number.saturating_sub(self.dropped()) as usize;
        let place = if (number as usize) < FIRST { number as usize } else { place.max(FIRST) };
        place.min(self.steps.len())
    }

    /// The next piece of one that was saved.
    fn take(&mut self, piece: u32, chunk: Chunk) -> Result<(), &'static str> {
        let here = self.steps.len();
        let joins = chunk.first == self.total || here == FIRST && chunk.first > self.total;
        let last = chunk.first.saturating_add(u32::try_from(chunk.steps.len()).unwrap_or(u32::MAX));
        let within = chunk.first / PIECE == piece
            && last <= piece.saturating_mul(PIECE).saturating_add(PIECE);
        if !joins || !within || chunk.steps.is_empty() || here + chunk.steps.len() > STEPS {
            return Err("causes that do not follow each other");
        }
        self.total = chunk.first;
        for Written { after, cause, text } in chunk.steps {
            self.push(after, cause, text);
        }
        Ok(())
    }
}

/// Which pieces a chain has.
fn pieces(call: CallId, why: &Why) -> Vec<u64> {
    let mut all: Vec<u64> =
        (0..why.steps.len()).map(|at| key(call, why.number(at) / PIECE)).collect();
    all.dedup();
    all
}

fn key(call: CallId, piece: u32) -> u64 {
    u64::from(call.0) << 32 | u64::from(piece)
}

fn parts(key: u64) -> Option<(CallId, u32)> {
    let call = u32::try_from(key >> 32).ok()?;
    let piece = u32::try_from(key & u64::from(u32::MAX)).ok()?;
    Some((CallId(call), piece))
}
