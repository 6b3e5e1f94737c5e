//! Rules: an ordered list, each with conditions and effects; the administrator's first, the user's own behind them.
//!
//! Owns when a rule matches and how several add up: of each effect, the first matching rule that says something
//! about it decides. What an effect does to a call is [`crate::treatment`]'s, what users may decide
//! [`crate::preferences`]'; reading rules from a file is the shell's work.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AfterRemoteEnd, Allowance, Decider, Direction, Millis, Private, Time, handle};

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// By what name a decision tells where it comes from.
    pub name: Arc<str>,
    /// For which calls, and when.
    pub when: When,
    /// What it decides of them.
    pub then: Then,
}

/// Conditions; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// The app is one of these; none: any.
    pub apps: Vec<Pattern>,
    /// The far end is one of these; none: anybody.
    pub contacts: Vec<Contacts>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// The hours of the day.
    pub time: Option<Hours>,
    /// The days of the week.
    pub days: Option<Days>,
    /// The user's session is locked.
    pub locked: Option<bool>,
    /// Do-not-disturb is on.
    pub do_not_disturb: Option<bool>,
    /// The user has the seat.
    pub foreground: Option<bool>,
}

/// People, as a rule knows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Contacts {
    /// In the user's address book, as far as it has answered.
    Known,
    /// Not in it, or it has not answered yet.
    Unknown,
    /// Who does not say who they are.
    Anonymous,
    /// With a handle like this.
    Handle(Handles),
}

/// A text in which each `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern(Arc<str>);

/// Handles, exactly or with `*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handles(#[serde(with = "crate::private::stored")] Private);

/// From one minute of the day up to another; over midnight where that is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The first minute.
    pub from: u16,
    /// The first minute that is no longer part of it.
    pub to: u16,
}

/// A set of days, Monday first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days(u8);

/// What local time is: how many seconds ahead of UTC, at first and from each of these seconds on. The core has
/// no clock and no table of zones; summer time is data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Before the first change.
    pub ahead: i32,
    /// In order: since when (seconds since the epoch), how far ahead.
    pub changes: Arc<[(i64, i32)]>,
}

/// A minute of a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// 0 is Monday.
    pub day: u8,
    /// Since midnight.
    pub minute: u16,
}

/// How an incoming call rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ring {
    /// It is shown, without sound.
    Silence,
    /// Its app is told that it was filtered.
    Reject,
    /// It rings through do-not-disturb.
    Aloud,
}

/// A call answers itself: an intercom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoAnswer {
    /// So long it rings before.
    pub after: Millis,
    /// Also while another call is there, which is held then.
    pub beside: bool,
}

/// What a call does that finds the user busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Busy {
    /// It waits; answering it is refused while the other cannot be held.
    Refuse,
    /// It waits; answering it ends another that cannot be held.
    End,
    /// It is not let through: its app is told `busy`.
    Reject,
}

/// What happens when the call that must give way cannot be held after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldFailed {
    /// It goes on, and the other is not answered.
    Keep,
    /// It is ended.
    End,
}

/// Which rule decided an effect, by the effect's number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Decided {
    effect: u8,
    rule: Arc<str>,
    /// Whose rule it is.
    #[serde(default)]
    by: Decider,
}

/// What rules decided of one call when it began. It is the call's own: new rules do not change it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Treatment {
    /// What.
    pub then: Then,
    by: Vec<Decided>,
    /// Until when its call would ring without a rule about that, where there is one.
    #[serde(default)]
    pub(crate) usual: Option<Time>,
}

macro_rules! effects {
    ($($(#[$about:meta])* $word:literal $field:ident: $kind:ty,)*) => {
        /// Effects; what is not given is left to later rules, and in the end to the settings.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Then {
            $($(#[$about])* pub $field: Option<$kind>,)*
        }

        /// The effects by their names, in the order of their numbers.
        pub(crate) const WORDS: &[&str] = &[$($word,)*];

        impl Then {
            /// The names of those that are given.
            pub fn given(&self) -> impl Iterator<Item = &'static str> {
                let given = [$(self.$field.is_some(),)*];
                WORDS.iter().copied().zip(given).filter_map(|(word, given)| given.then_some(word))
            }

            /// Only those that are wanted.
            pub(crate) fn only(self, wanted: impl Fn(&str) -> bool) -> Then {
                Then { $($field: self.$field.filter(|_| wanted($word)),)* }
            }
        }

        impl Treatment {
            fn add(&mut self, name: &Arc<str>, then: &Then, by: Decider) {
                let mut effect = 0;
                $(if self.then.$field.is_none() && then.$field.is_some() {
                    self.then.$field = then.$field;
                    self.by.push(Decided { effect, rule: name.clone(), by });
                }
                effect += 1;)*
                debug_assert_eq!(usize::from(effect), WORDS.len());
            }
        }
    };
}

// Their order is saved: new ones come last.
effects! {
    /// How it rings.
    "ring" ring: Ring,
    /// How long it rings, whatever its app says.
    "ring-ms" ring_time: Millis,
    /// It answers itself.
    "answer-after-ms" answer: AutoAnswer,
    /// Its class: no call ends one of a higher class, and only one of a lower class is told `busy` because of it.
    "priority" priority: u8,
    /// When it finds the user busy.
    "when-busy" when_busy: Busy,
    /// What becomes of calls that are held for it when its far end ends it.
    "after-remote-end" after_end: AfterRemoteEnd,
    /// When the call that gives way to it cannot be held after all.
    "when-hold-fails" hold_failed: HoldFailed,
    /// So many calls of its app may ring, itself included.
    "ringing" ringing: u32,
    /// So many calls of its app may be there, itself included.
    #[serde(default)]
    "calls" calls: u32,
    /// So many groups its app may have connected, active or held, its own included; a call by itself is one.
    #[serde(default)]
    "groups" groups: u32,
}

impl Treatment {
    /// Whether rules decide the same by it.
    pub(crate) fn is_like(&self, other: &Treatment) -> bool {
        self.then == other.then && self.by == other.by
    }

    /// Which effects it has, by which rules, and whose those are.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, &str, Decider)> {
        let word = |by: &Decided| WORDS.get(usize::from(by.effect)).copied().unwrap_or_default();
        self.by.iter().map(move |by| (word(by), &*by.rule, by.by))
    }

    /// The names of the rules, each once, with whose it is.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Arc<str>, Decider)> {
        let mut names: Vec<(&Arc<str>, Decider)> = Vec::new();
        for Decided { rule, by, .. } in &self.by {
            if !names.contains(&(rule, *by)) {
                names.push((rule, *by));
            }
        }
        names.into_iter()
    }

    /// The rule that decided this effect, and whose it is.
    pub(crate) fn rule(&self, effect: &str) -> (&str, Decider) {
        let found = self.rules().find(|(word, ..)| *word == effect);
        found.map_or_else(Default::default, |(_, rule, by)| (rule, by))
    }
}

/// The class of a call about which no rule says anything.
pub const USUAL: u8 = 5;

/// What rules ask about a call.
pub(crate) struct Facts<'a> {
    pub app: &'a str,
    pub handle: &'a Private,
    pub known: bool,
    pub direction: Direction,
    pub moment: Moment,
    pub locked: bool,
    pub do_not_disturb: bool,
    pub foreground: bool,
}

/// What these rules decide of such a call, and the user's own behind them; none: nothing.
pub(crate) fn decide(
    rules: &[Rule],
    own: &[Rule],
    allowance: &Allowance,
    facts: &Facts,
) -> Option<Box<Treatment>> {
    let key = handle::key(facts.handle);
    let mut treatment: Option<Box<Treatment>> = None;
    let rules = rules.iter().map(|rule| (rule, Decider::Administrator));
    for (rule, by) in rules.chain(own.iter().map(|rule| (rule, Decider::User))) {
        if !rule.when.holds(facts, &key) {
            continue;
        }
        let then = match by {
            Decider::Administrator | Decider::Packaged | Decider::Polkit => rule.then,
            Decider::User => allowance.within(rule.then),
        };
        if then != Then::default() {
            treatment.get_or_insert_default().add(&rule.name, &then, by);
        }
    }
    treatment
}

impl When {
    fn holds(&self, facts: &Facts, key: &Private) -> bool {
        let is = |wanted: Option<bool>, given| wanted.is_none_or(|wanted| wanted == given);
        is(self.locked, facts.locked)
            && is(self.do_not_disturb, facts.do_not_disturb)
            && is(self.foreground, facts.foreground)
            && self.direction.is_none_or(|direction| direction == facts.direction)
            && (self.apps.is_empty() || self.apps.iter().any(|app| app.matches(facts.app)))
            && (self.contacts.is_empty() || self.contacts.iter().any(|who| who.are(facts, key)))
            && self.is_time(facts.moment)
    }

    /// A time over midnight belongs to the day on which it began.
    fn is_time(&self, Moment { day, minute }: Moment) -> bool {
        let on = |day| self.days.is_none_or(|days| days.has(day));
        match self.time {
            None => on(day),
            Some(Hours { from, to }) if from < to => on(day) && (from..to).contains(&minute),
            Some(Hours { from, to }) => {
                on(day) && minute >= from || on((day + 6) % 7) && minute < to
            }
        }
    }

    /// It may be another one once the address book has answered.
    pub fn depends_on_contacts(&self) -> bool {
        self.contacts.iter().any(|who| matches!(who, Contacts::Known | Contacts::Unknown))
    }
}

impl Contacts {
    fn are(&self, facts: &Facts, key: &Private) -> bool {
        match self {
            Contacts::Known => facts.known,
            Contacts::Unknown => !facts.known,
            Contacts::Anonymous => handle::is_anonymous(key),
            Contacts::Handle(handles) => handles.have(key),
        }
    }
}

impl Handles {
    /// A handle, or a part of one with `*`; each spelling of it is the same.
    pub fn like(pattern: &str) -> Handles {
        Handles(handle::key(&pattern.into()))
    }

    /// What they are like.
    pub fn pattern(&self) -> &Private {
        &self.0
    }

    /// Whether a handle, as [`handle_key`](crate::handle_key) has it, is one of them.
    pub fn have(&self, key: &Private) -> bool {
        glob(self.0.reveal(), key.reveal())
    }
}

impl Pattern {
    /// A text with `*`.
    pub fn of(text: &str) -> Pattern {
        Pattern(text.into())
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn matches(&self, text: &str) -> bool {
        glob(&self.0, text)
    }
}

/// Whether a text is like a pattern: each part between two `*` is taken where it first is.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else {
        return false;
    };
    for part in middle.split('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    true
}

impl Days {
    /// With this one too.
    #[must_use]
    pub fn with(self, day: u8) -> Days {
        Days(self.0 | 1 << (day % 7))
    }

    fn has(self, day: u8) -> bool {
        self.0 & 1 << (day % 7) != 0
    }
}

impl Zone {
    /// What clocks on the wall say, at these µs since the epoch.
    pub fn moment(&self, wall: u64) -> Moment {
        let seconds = i64::try_from(wall / 1_000_000).unwrap_or(i64::MAX / 2);
        let passed = self.changes.partition_point(|(since, _)| *since <= seconds);
        let change = passed.checked_sub(1).and_then(|last| self.changes.get(last));
        let local = seconds + i64::from(change.map_or(self.ahead, |(_, ahead)| *ahead));
        let (days, seconds) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // The epoch was a Thursday.
        let day = u8::try_from((days + 3).rem_euclid(7)).unwrap_or_default();
        Moment { day, minute: u16::try_from(seconds / 60).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, like) in [
            ("org.example.Phone", "org.example.Phone", true),
            ("org.example.Phone", "org.example.Phone2", false),
            ("org.example.*", "org.example.Phone", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*c*", "abc", true),
            ("*b*c", "abcbc", true),
            ("*c*b*", "abc", false),
        ] {
            assert_eq!(glob(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn the_epoch_was_a_thursday() {
        let utc = Zone::default();
        assert_eq!(utc.moment(0), Moment { day: 3, minute: 0 });
        let west = Zone { ahead: -3600, ..Zone::default() };
        assert_eq!(west.moment(0), Moment { day: 2, minute: 23 * 60 });
    }
}
