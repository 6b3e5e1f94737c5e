//! The calls that are over, as the session's agent keeps them: shown, explained, erased, called again.
//!
//! Owns what is asked of the agent, and which call is meant by the beginning of its id. A call is named by its id,
//! never by its place in a list: that changes with the next call.

mod favourites;
mod view;

use callarbiter::{Cause, StartOptions};
use callarbiter_dbus::{
    Dict, Fields, Record,
    proxies::{self, HistoryProxy},
};
use serde::Serialize;

pub use self::favourites::run as favourites;
use self::view::{PastView, RecordView, WholeView};
use crate::{
    agent::{Agent, failure, put, refused},
    args::{Global, Past, Which},
    commands,
    failure::Failure,
    names,
    open::Way,
    output::Output,
    paint::{Line, Style},
    session::{Session, now},
};

/// The least of an id that names a call.
const BEGINNING: usize = 4;

pub async fn run(
    which: Which,
    limit: u32,
    what: Option<Past>,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let agent = agent(global).await?;
    match what {
        None => list(&agent, which, limit, output).await,
        Some(Past::Show { call }) => {
            let record = one(&agent, &call).await?;
            let causes = causes(&agent, &record.id).await?;
            let whole = WholeView::of(record, &causes);
            output.show(&whole, || whole.lines(now(), &causes));
            Ok(())
        }
        Some(Past::Call { call, video }) => {
            let record = one(&agent, &call).await?;
            if record.handle.is_empty() {
                let why =
                    "it is not known with whom that call was: its application keeps that to itself";
                return Err(Failure::refused(why));
            }
            dial(&global.bus, output, &record.handle, Some(record.app_id), video).await
        }
        Some(Past::Erase { all, which, call, older_than }) => {
            let mut what = filter(which);
            if all {
                put(&mut what, "all", true);
            }
            if let Some(call) = call {
                put(&mut what, "id", one(&agent, &call).await?.id);
            }
            if let Some(days) = older_than {
                put(&mut what, "before", now().saturating_sub(u64::from(days) * 86_400_000_000));
            }
            let erased = agent.erase(&what).await.map_err(failure)?;
            output.show(&Erased { erased }, || {
                let calls = if erased == 1 { "call is" } else { "calls are" };
                vec![
                    Line::new()
                        .with(Style::Good, "✓ ")
                        .with(Style::Plain, format!("{erased} {calls} erased")),
                ]
            });
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Erased {
    erased: u32,
}

async fn list(
    agent: &HistoryProxy<'_>,
    which: Which,
    limit: u32,
    output: &Output,
) -> Result<(), Failure> {
    let mut wanted = filter(which);
    put(&mut wanted, "limit", limit);
    let (records, about) = agent.query(&wanted).await.map_err(failure)?;
    let records = records.iter().map(|dict| Record::from_dict(dict).map(RecordView::of));
    let records = records.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
    let about = Fields::trusted(&about);
    let past = PastView {
        more: about.flag("more").ok().flatten().unwrap_or_default(),
        damaged_at: about.time("damaged-at").ok().flatten(),
        calls: records,
    };
    output.show(&past, || past.lines(now()));
    Ok(())
}

/// The app through which somebody was talked to last, as one that does not run; none where nobody knows.
pub async fn last_way(handle: &str, global: &Global) -> Option<Way> {
    let agent = agent(global).await.ok()?;
    let app = agent.last_provider(handle).await.ok().filter(|app| !app.is_empty())?;
    let mut wanted = Dict::new();
    put(&mut wanted, "app-id", app.clone());
    let name = find(&agent, wanted, 1).await.ok()?.pop()?.provider_name;
    let name = if name.is_empty() { app.clone() } else { name };
    Some(Way { app, name, stopped: true })
}

/// Why a call was what it was that the arbiter does not remember any more; without a name the newest.
pub async fn explain(beginning: Option<&str>, global: &Global) -> Result<Vec<Cause>, Failure> {
    let agent = agent(global).await?;
    let record = match beginning {
        Some(beginning) => one(&agent, beginning).await?,
        None => {
            let newest = find(&agent, Dict::new(), 1).await?.pop();
            newest.ok_or_else(|| Failure::refused("there is no call at all"))?
        }
    };
    causes(&agent, &record.id).await
}

async fn causes(agent: &HistoryProxy<'_>, id: &str) -> Result<Vec<Cause>, Failure> {
    let causes = agent.explain(id).await.map_err(failure)?;
    Ok(causes.into_iter().map(Cause::from_dict).collect())
}

/// The call whose id begins so.
async fn one(agent: &HistoryProxy<'_>, beginning: &str) -> Result<Record, Failure> {
    let mut found = Vec::new();
    if beginning.len() >= BEGINNING {
        let mut wanted = Dict::new();
        put(&mut wanted, "call", names::hyphenated(&beginning.to_lowercase()));
        found = find(agent, wanted, 2).await?;
    }
    match (found.pop(), found.pop()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(Failure::refused(
            "the ids of several calls begin so; give more of it, as `callctl --json history` prints it",
        )),
        (None, _) => Err(Failure::refused(
            "no call's id begins so, with four letters at least; `callctl history` lists them",
        )),
    }
}

async fn find(
    agent: &HistoryProxy<'_>,
    mut wanted: Dict,
    most: u32,
) -> Result<Vec<Record>, Failure> {
    put(&mut wanted, "limit", most);
    let (records, _) = agent.query(&wanted).await.map_err(failure)?;
    let records = records.iter().map(Record::from_dict);
    records.collect::<Result<_, _>>().map_err(|error| refused(&error))
}

async fn dial(
    bus: &str,
    output: &Output,
    handle: &str,
    provider: Option<String>,
    video: bool,
) -> Result<(), Failure> {
    let session = Session::open(bus).await?;
    let provider = provider.filter(|app| !app.is_empty());
    let options =
        StartOptions { provider, has_video: video, wait: true, ..StartOptions::default() };
    commands::start(&session, output, handle, options).await
}

async fn agent(global: &Global) -> Result<HistoryProxy<'static>, Failure> {
    let agent = Agent::open(global.session_bus.as_deref()).await?;
    proxies::history(agent.connection()).await.map_err(failure)
}

fn filter(Which { missed, with, app }: Which) -> Dict {
    let mut wanted = Dict::new();
    if missed {
        put(&mut wanted, "missed", true);
    }
    with.into_iter().for_each(|handle| put(&mut wanted, "handle", handle));
    app.into_iter().for_each(|app| put(&mut wanted, "app-id", app));
    wanted
}
