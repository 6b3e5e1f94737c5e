//! What each subcommand does: ask, act, print.
//!
//! Owns the order of things in a command. Which call a name means is `names`', the words for people
//! are `table`'s and `steps`'.

use callarbiter::StartOptions;
use serde::Serialize;

use crate::{
    args::{Command, OneCall},
    failure::Failure,
    names::{Name, Unit},
    output::Output,
    paint::{Line, Style, Table},
    session::{self, Session, now},
    steps::{self, StepView},
    table::{self, Selection},
    view::LimitsView,
    watch,
    words::{Verb, Word},
};

/// Every command that talks to an arbiter which is there already.
pub async fn run(command: Command, session: Session, output: &Output) -> Result<(), Failure> {
    let one = |verb: Verb| vec![Word { verb, expected: None }];
    let words = match command {
        Command::List => return list(&session, output).await,
        Command::Watch => return watch::run(session, output).await,
        Command::Show(OneCall { call }) => return show(&session, output, &call).await,
        Command::Providers => return providers(&session, output).await,
        Command::Audio => return audio(&session, output).await,
        Command::Endpoints => return endpoints(&session, output).await,
        Command::Endpoint { id } => return select(&session, output, &id).await,
        Command::Limits => return limits(&session, output).await,
        Command::Start { handle, provider, video } => {
            let options =
                StartOptions { provider, has_video: video, wait: true, ..StartOptions::default() };
            return start(&session, output, &handle, options).await;
        }
        Command::Plan { actions } => return plan(&session, output, &actions).await,
        Command::Transaction { actions } => actions,
        Command::Answer { call } => one(Verb::Answer(call)),
        Command::End { call, reason, message } => one(Verb::End { call, reason, message }),
        Command::Decline { call, message } => vec![Word::decline(call, message)],
        Command::Hold { call } => one(Verb::SetHeld(call, true)),
        Command::Unhold { call } => one(Verb::SetHeld(call, false)),
        Command::Swap { hold, resume } => vec![
            Word { verb: Verb::SetHeld(hold, true), expected: None },
            Word { verb: Verb::SetHeld(resume, false), expected: None },
        ],
        Command::Mute { call, off } => one(Verb::SetMuted(call, !off)),
        Command::Unmute { call } => one(Verb::SetMuted(call, false)),
        Command::Dtmf { digits, call } => one(Verb::Dtmf { call, digits }),
        Command::Merge { call, with } => one(Verb::Join { call, with }),
        Command::Split(OneCall { call }) => one(Verb::Leave(call)),
        Command::Silence { call } => one(Verb::Silence(call)),
        Command::Apps { .. }
        | Command::Demo { .. }
        | Command::Conformance(_)
        | Command::History { .. }
        | Command::Favourites { .. }
        | Command::Block(_)
        | Command::Allow(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Open(_)
        | Command::Policy { .. }
        | Command::Preferences(_)
        | Command::Record(_)
        | Command::Replay(_)
        | Command::Why { .. } => {
            return Err(Failure::usage("this command is not for an arbiter that is there already"));
        }
    };
    perform(&session, output, &words).await
}

async fn list(session: &Session, output: &Output) -> Result<(), Failure> {
    let board = session.board().await?;
    output.show(&board, || {
        let mut lines = table::calls(&board, now(), Selection::Absent);
        if !board.calls.is_empty() {
            lines.push(table::audio(&board, now()));
        }
        lines
    });
    Ok(())
}

async fn show(session: &Session, output: &Output, name: &Name) -> Result<(), Failure> {
    let board = session.board().await?;
    let call = name.resolve(&board, Unit::Call)?;
    output.show(call, || table::show(&board, call, now()));
    Ok(())
}

async fn providers(session: &Session, output: &Output) -> Result<(), Failure> {
    let board = session.board().await?;
    output.show(&board.providers, || table::providers(&board));
    Ok(())
}

async fn audio(session: &Session, output: &Output) -> Result<(), Failure> {
    let board = session.board().await?;
    output.show(&board.audio, || vec![table::audio(&board, now())]);
    Ok(())
}

async fn endpoints(session: &Session, output: &Output) -> Result<(), Failure> {
    let endpoints = session.endpoints().await?;
    output.show(&endpoints, || table::endpoints(&endpoints));
    Ok(())
}

async fn select(session: &Session, output: &Output, id: &str) -> Result<(), Failure> {
    session.select_endpoint(id).await?;
    endpoints(session, output).await
}

async fn limits(session: &Session, output: &Output) -> Result<(), Failure> {
    let limits = session.limits().await?;
    output.show(&limits, || limit_lines(&limits));
    Ok(())
}

fn limit_lines(view: &LimitsView) -> Vec<Line> {
    let mut table = Table::new(&["LIMIT", "MOST", "USED"]);
    for (name, most) in &view.limits {
        let used = view.usage.get(name).map(ToString::to_string).unwrap_or_default();
        let near = view.usage.get(name).is_some_and(|used| used >= most);
        table.row(vec![
            Line::new().with(Style::Plain, name),
            Line::new().with(Style::Plain, most.to_string()),
            Line::new().with(if near { Style::Bad } else { Style::Plain }, used),
        ]);
    }
    table.lines()
}

pub async fn start(
    session: &Session,
    output: &Output,
    handle: &str,
    options: StartOptions,
) -> Result<(), Failure> {
    let id = session.start(handle, options).await?;
    output.show(&Started { call: &id }, || {
        vec![
            Line::new()
                .with(Style::Good, "✓ ")
                .with(Style::Plain, format!("calling; the call is {id}")),
        ]
    });
    Ok(())
}

#[derive(Serialize)]
struct Started<'a> {
    call: &'a str,
}

async fn plan(session: &Session, output: &Output, words: &[Word]) -> Result<(), Failure> {
    let board = session.board().await?;
    let steps = session.plan(&board, words).await?;
    output.show(&Steps { steps: &steps }, || steps::plan(&board, &steps));
    Ok(())
}

#[derive(Serialize)]
struct Steps<'a> {
    steps: &'a [StepView],
}

async fn perform(session: &Session, output: &Output, words: &[Word]) -> Result<(), Failure> {
    let board = session.board().await?;
    let outcomes = session.perform(&board, words).await?;
    let failure = session::first_failure(&outcomes);
    // One action that failed is told once, as the failure.
    if output.json || failure.is_none() || outcomes.len() > 1 {
        output.show(&Outcomes { fulfilled: failure.is_none(), actions: &outcomes }, || {
            steps::outcomes(&board, &outcomes)
        });
    }
    failure.map_or(Ok(()), Err)
}

#[derive(Serialize)]
struct Outcomes<'a> {
    fulfilled: bool,
    actions: &'a [StepView],
}
