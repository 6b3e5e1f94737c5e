//! One conversation with the arbiter: what there is, what would happen, what is to be done.
//!
//! Owns the way from typed words to requests and from their results to views. Must not print.

use std::time::{SystemTime, UNIX_EPOCH};

use callarbiter::{
    Action, ActionResult, Authorization, CallRef, CallState, Cause, Connection, Controller,
    EndReason, Endpoint, Error, Events, PlanStep, ProviderInfo, StartOptions, TransactionHandle,
    TransactionOptions, Verb as Wanted,
};

use crate::{
    board::{self, parameters},
    failure::Failure,
    names::{Name, Unit},
    open::Way,
    steps::StepView,
    view::{Board, EndpointView, LimitsView},
    words::{Verb, Word},
};

#[derive(Clone)]
pub struct Session {
    connection: Connection,
    bus: String,
}

impl Session {
    pub async fn open(bus: &str) -> Result<Self, Failure> {
        match Connection::open(bus).await {
            Ok(connection) => Ok(Session { connection, bus: bus.to_owned() }),
            Err(error) => {
                let why = match error {
                    Error::Bus(error) => error.to_string(),
                    error => error.to_string(),
                };
                let message = format!("cannot connect to {}: {why}", bus_name(bus));
                Err(Failure::Unreachable { bus: bus.to_owned(), message })
            }
        }
    }

    /// A connection of its own for what must not share this one.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub async fn events(&self) -> Result<Events, Failure> {
        Events::subscribe(&self.connection).await.map_err(|error| self.failure(error))
    }

    /// What there is now.
    pub async fn board(&self) -> Result<Board, Failure> {
        Ok(board::board(self.events().await?.snapshot()))
    }

    /// The arbiter's own words about its bounds, and what of them is used.
    pub async fn limits(&self) -> Result<LimitsView, Failure> {
        Ok(board::limits(self.events().await?.snapshot()))
    }

    /// The apps that are there and place calls to addresses of this scheme; before them the one that was used last,
    /// also if it does not run.
    pub async fn ways(&self, scheme: &str, last: Option<Way>) -> Result<Vec<Way>, Failure> {
        let events = self.events().await?;
        let providers = || events.snapshot().providers.values();
        let fits = |provider: &&ProviderInfo| {
            let schemes = provider.configuration.supported_schemes.as_deref().unwrap_or_default();
            provider.attached
                && provider.authorization == Authorization::Authorized
                && (schemes.is_empty() || schemes.iter().any(|known| known == scheme))
        };
        let way = |provider: &ProviderInfo| Way {
            app: provider.app_id.clone(),
            name: match provider.display_name.as_str() {
                "" => provider.app_id.clone(),
                name => name.to_owned(),
            },
            stopped: false,
        };
        let mut ways: Vec<Way> = providers().filter(fits).map(way).collect();
        ways.dedup_by(|a, b| a.app == b.app);
        if let Some(last) = last {
            let is_it = |way: &Way| way.app == last.app;
            let runs = providers().any(|p| p.app_id == last.app && p.attached);
            ways.sort_by_key(|way| !is_it(way));
            if !runs {
                ways.insert(0, last);
            }
        }
        Ok(ways)
    }

    /// Where calls can be heard.
    pub async fn endpoints(&self) -> Result<Vec<EndpointView>, Failure> {
        let endpoints = Controller::new(&self.connection).endpoints().await;
        let (listed, current) = endpoints.map_err(|error| self.failure(error))?;
        let view = |Endpoint { id, name, kind }: Endpoint| EndpointView {
            current: id == current,
            id,
            name,
            kind: kind.as_str().to_owned(),
        };
        Ok(listed.into_iter().map(view).collect())
    }

    pub async fn select_endpoint(&self, id: &str) -> Result<(), Failure> {
        let selected = Controller::new(&self.connection).select_endpoint(id).await;
        selected.map_err(|error| self.failure(error))
    }

    pub async fn start(&self, handle: &str, options: StartOptions) -> Result<String, Failure> {
        let started = Controller::new(&self.connection).start_call(handle, options).await;
        Ok(started.map_err(|error| self.failure(error))?.uuid.to_string())
    }

    /// Why a call is what it is; without a name the one that began last.
    pub async fn explain(&self, name: &str) -> Result<Vec<Cause>, Failure> {
        let causes = Controller::new(&self.connection).explain(name).await;
        causes.map_err(|error| self.failure(error))
    }

    /// What the words would do, with what nobody asked for.
    pub async fn plan(&self, board: &Board, words: &[Word]) -> Result<Vec<StepView>, Failure> {
        let actions = actions(board, words)?;
        let steps = Controller::new(&self.connection).plan(actions).await;
        Ok(steps.map_err(|error| self.failure(error))?.into_iter().map(planned).collect())
    }

    /// What the words say, as one transaction that was accepted.
    pub async fn begin(&self, board: &Board, words: &[Word]) -> Result<TransactionHandle, Failure> {
        let actions = actions(board, words)?;
        let options = TransactionOptions::default();
        let controller = Controller::new(&self.connection);
        controller.transaction(actions, options).await.map_err(|error| self.failure(error))
    }

    /// Does what the words say, as one transaction, and waits for every outcome.
    pub async fn perform(&self, board: &Board, words: &[Word]) -> Result<Vec<StepView>, Failure> {
        let transaction = self.begin(board, words).await?;
        let results = transaction.finished().await.map_err(|error| self.failure(error))?;
        Ok(results.into_iter().map(outcome).collect())
    }

    pub fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Refused(error) => Failure::Refused {
                error: Some(error.name.as_str().to_owned()),
                message: error.message,
            },
            Error::ArbiterGone => Failure::Unreachable {
                bus: self.bus.clone(),
                message: format!(
                    "the arbiter is not running: nobody owns org.callarbiter.Calls1 on {}",
                    bus_name(&self.bus)
                ),
            },
            Error::NoAnswer | Error::Closed | Error::Bus(_) => {
                Failure::Unreachable { bus: self.bus.clone(), message: error.to_string() }
            }
            other => Failure::refused(other.to_string()),
        }
    }
}

/// µs since the epoch, as the arbiter counts.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The first outcome that is a failure of its own, not only the consequence of another.
pub fn first_failure(steps: &[StepView]) -> Option<Failure> {
    let unfulfilled = || steps.iter().filter(|step| !step.fulfilled());
    let step =
        unfulfilled().find(|step| step.outcome != "cancelled").or_else(|| unfulfilled().next())?;
    let message = match step.message.as_str() {
        "" => format!("{} was not done: {}", step.action, step.outcome),
        message => message.to_owned(),
    };
    Some(Failure::Refused { error: Some(step.error.clone()).filter(|e| !e.is_empty()), message })
}

fn bus_name(bus: &str) -> String {
    match bus {
        "system" | "session" => format!("the {bus} bus"),
        address => format!("the bus at {address}"),
    }
}

fn actions(board: &Board, words: &[Word]) -> Result<Vec<Action>, Failure> {
    words.iter().map(|word| action(board, word)).collect()
}

fn action(board: &Board, word: &Word) -> Result<Action, Failure> {
    let call = |name: &Name, unit| -> Result<CallRef, Failure> {
        let path = &name.resolve(board, unit)?.path;
        CallRef::parse(path).ok_or_else(|| Failure::refused(format!("{path} is no call's path")))
    };
    let one = |name: &Name| call(name, Unit::Call);
    let verb = match &word.verb {
        Verb::Start { handle, provider, video } => Wanted::Start {
            handle: handle.clone(),
            provider: provider.clone(),
            call: None,
            has_video: *video,
        },
        Verb::Answer(name) => Wanted::Answer { call: one(name)? },
        Verb::End { call: name, reason, message } => Wanted::End {
            call: one(name)?,
            reason: reason.as_deref().map(EndReason::from),
            message: message.clone(),
        },
        Verb::SetHeld(name, held) => {
            Wanted::SetHeld { call: call(name, Unit::Group)?, held: *held }
        }
        Verb::SetMuted(name, muted) => Wanted::SetMuted { call: one(name)?, muted: *muted },
        Verb::Join { call: name, with } => {
            Wanted::SetGroup { call: one(name)?, with: Some(call(with, Unit::Group)?) }
        }
        Verb::Leave(name) => Wanted::SetGroup { call: one(name)?, with: None },
        Verb::Dtmf { call: name, digits } => {
            Wanted::PlayDtmf { call: one(name)?, digits: digits.clone() }
        }
        Verb::SetVideo(name, video) => Wanted::SetVideo { call: one(name)?, video: *video },
        Verb::Silence(name) => Wanted::Silence { call: one(name)? },
    };
    let expected_state = word.expected.as_deref().map(CallState::from);
    Ok(Action { verb, expected_state })
}

fn planned(step: PlanStep) -> StepView {
    StepView {
        parameters: parameters(&step.parameters),
        implicit: step.implicit,
        error: step.error.as_ref().map(|error| error.name.to_string()).unwrap_or_default(),
        message: step.error.map(|error| error.message).unwrap_or_default(),
        action: step.action,
        ..StepView::default()
    }
}

fn outcome(result: ActionResult) -> StepView {
    StepView {
        parameters: parameters(&result.parameters),
        outcome: result.outcome.to_string(),
        error: result.error.as_ref().map(|error| error.name.to_string()).unwrap_or_default(),
        message: result.error.map(|error| error.message).unwrap_or_default(),
        action: result.action,
        ..StepView::default()
    }
}
