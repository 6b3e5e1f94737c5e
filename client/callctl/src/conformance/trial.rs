//! One trial: the app, the arbiter, what was seen, and the ways to ask and to wait that all rules share.
//!
//! Must not hold a rule of its own.

use std::{collections::HashMap, time::Duration};

use callarbiter::{Connection, Events};
use tokio::time::{Instant, timeout, timeout_at};
use zbus::{OwnedVariant, Variant};

use super::{
    Conformance,
    app::App,
    relay::Relay,
    report::Report,
    rules::{self, Rule},
    said::Word as Said,
    stage::Stage,
};
use crate::{
    board::board,
    failure::Failure,
    session::Session,
    view::{Board, ProviderView},
    words::Word,
};

/// For what the app does by itself: to start and register, to have its far end call or answer. However slow the
/// machine is, no app that keeps the rules needs as long; the deadlines of the contract the arbiter counts.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Trial<'a> {
    pub options: &'a Conformance,
    pub app: App,
    pub relay: Relay,
    pub session: Session,
    pub events: Events,
    pub stage: Stage,
    pub report: Report,
    /// The app that registered.
    pub app_id: Option<String>,
    /// Which requests came again, and what became of it.
    pub repeated: Vec<Repeated>,
    /// Whether a live call was tried already.
    pub lived: bool,
    /// Where the record was when the far end was made to call.
    pub rings: Vec<usize>,
    /// The calls that were refused, and since when.
    pub refused: Vec<(String, usize)>,
    /// The calls of which the app's word came too late.
    pub late: Vec<String>,
}

pub struct Repeated {
    pub member: &'static str,
    pub call: String,
    pub since: usize,
    pub answered: Result<(), String>,
}

/// Waits for an arbiter.
pub async fn present(connection: &Connection) -> Result<(), Failure> {
    match timeout(PATIENCE, connection.arbiter()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Failure::refused("callarbiterd ended, or is not on its bus; its words are above")),
    }
}

impl<'a> Trial<'a> {
    pub fn new(
        options: &'a Conformance,
        stage: Stage,
        session: Session,
        events: Events,
        relay: Relay,
        app: App,
    ) -> Self {
        Trial {
            options,
            app,
            relay,
            session,
            events,
            stage,
            report: Report::default(),
            app_id: None,
            repeated: Vec::new(),
            lived: false,
            rings: Vec::new(),
            refused: Vec::new(),
            late: Vec::new(),
        }
    }

    pub async fn registers(&mut self) -> bool {
        let registered = self.until("a provider", |board| board.providers.first().cloned()).await;
        self.app_id = registered.as_ref().ok().map(|provider| provider.app_id.clone());
        self.report.note(&rules::REGISTERS, registered.and_then(|provider| named(&provider)))
    }

    /// Actions as one transaction, and that the app fulfilled them.
    pub async fn ask(&mut self, words: &str) -> Result<(), String> {
        let words: Vec<Word> = words.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let board = self.board();
        let done = self.session.perform(&board, &words).await.map_err(|error| error.to_string())?;
        match done.iter().find(|step| !step.fulfilled()) {
            None => Ok(()),
            Some(step) => Err(format!("{} {}: {}", step.action, step.outcome, step.message)),
        }
    }

    /// What there is once the arbiter has told all that happened before.
    pub fn board(&self) -> Board {
        board(self.events.snapshot())
    }

    /// What the app said about itself, last.
    pub fn configured<T: TryFrom<OwnedVariant>>(&self, key: &str) -> Option<T> {
        let words = self.relay.said.all();
        let told = words.iter().filter(|word| word.from_app);
        let value = told.fold(None, |known, word| match word.name.as_str() {
            "RegisterProvider" => word.entry(2, key),
            "UpdateConfiguration" => word.entry(0, key).or(known),
            _ => known,
        });
        T::try_from(value?).ok()
    }

    /// None of these can be tried.
    pub fn skip_all<'r>(&mut self, rules: impl IntoIterator<Item = &'r &'static Rule>, why: &str) {
        for rule in rules {
            if !self.report.has(rule) {
                self.report.skip(rule, why);
            }
        }
    }

    pub fn can(&self, call: &str, what: &str) -> bool {
        let board = self.board();
        board.call_with_id(call).is_some_and(|call| call.capabilities.iter().any(|can| can == what))
    }

    /// Says the last request of this name again, and waits for the answer.
    pub async fn repeat(&mut self, member: &'static str, call: &str) {
        let asked = |word: &Said| !word.from_app && word.name == member;
        let Some(word) = self.relay.said.last(asked) else { return };
        let since = self.relay.said.mark();
        let answered = match self.relay.repeat(&word).await {
            Ok(()) => self.answer_to(word.text(0), since).await,
            failed => failed,
        };
        let answered = answered.map_err(|why| format!("{member}, said once more, {why}"));
        self.repeated.push(Repeated { member, call: call.to_owned(), since, answered });
    }

    /// Asks, as the arbiter would, for a state that the call has.
    pub async fn ask_again(
        &mut self,
        member: &'static str,
        call: &str,
        wanted: Option<bool>,
    ) -> Result<(), String> {
        let since = self.relay.said.mark();
        let options = by_policy();
        let asked = match wanted {
            Some(wanted) => {
                self.relay.ask(member, |request| (request, call, wanted, options)).await
            }
            None => self.relay.ask(member, |request| (request, call, options)).await,
        };
        self.answer_to(&asked?, since).await
    }

    /// That the app fulfils it.
    pub async fn answer_to(&mut self, request: &str, since: usize) -> Result<(), String> {
        let answer = self.word(since, |word| word.is_answer_to(request)).await;
        match answer.map_err(|why| format!("was not answered {why}"))? {
            word if word.name == "Fulfil" => Ok(()),
            word => Err(format!("was answered with Fail: {}", word.text(2))),
        }
    }

    /// Notes whether something was there, and gives it.
    pub fn found<T>(&mut self, rule: &'static Rule, found: Result<T, String>) -> Option<T> {
        let (seen, found) = match found {
            Ok(found) => (Ok(()), Some(found)),
            Err(missing) => (Err(missing), None),
        };
        self.report.note(rule, seen);
        found
    }

    /// The first word of this kind from there on.
    pub async fn word(
        &mut self,
        since: usize,
        wanted: impl Fn(&Said) -> bool,
    ) -> Result<Said, String> {
        let mut grown = self.relay.said.grown();
        let deadline = Instant::now() + PATIENCE;
        loop {
            grown.borrow_and_update();
            if let Some(word) = self.relay.said.find(since, &wanted) {
                return Ok(word);
            }
            let next = async {
                tokio::select! {
                    // The sender lives as long as the relay.
                    _ = grown.changed() => Ok(()),
                    _ = self.app.ended() => Err("before the app ended by itself".to_owned()),
                }
            };
            timeout_at(deadline, next).await.map_err(|_| late())??;
        }
    }

    pub async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Board) -> Option<T>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.events.is_current()
                && let Some(found) = look(&board(self.events.snapshot()))
            {
                return Ok(found);
            }
            let next = async {
                tokio::select! {
                    change = self.events.next() => match change {
                        Some(_) => Ok(()),
                        None => Err("the arbiter's bus was closed".to_owned()),
                    },
                    status = self.app.ended() => Err(match status {
                        Some(status) => format!("the app ended by itself ({status})"),
                        None => "the app ended by itself".to_owned(),
                    }),
                }
            };
            match timeout_at(deadline, next).await {
                Ok(followed) => followed?,
                Err(_) => return Err(format!("{what} was not there {}", late())),
            }
        }
    }

    /// The call in this state.
    pub async fn in_state(&mut self, call: &str, state: &str) -> Result<(), String> {
        let wanted =
            |board: &Board| board.call_with_id(call).filter(|c| c.state == state).map(drop);
        self.until(&format!("the call as {state}"), wanted).await
    }
}

/// The options of a request.
pub fn by_policy() -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("deadline", Variant::from(5000_u32)), ("origin", Variant::from("policy"))])
}

fn late() -> String {
    format!("within {} s", PATIENCE.as_secs())
}

fn named(provider: &ProviderView) -> Result<(), String> {
    match (provider.display_name.is_empty(), provider.authorization.as_str()) {
        (true, _) => Err("its configuration has no display-name".to_owned()),
        (_, "authorized") => Ok(()),
        (_, other) => Err(format!("its authorization is {other}")),
    }
}
