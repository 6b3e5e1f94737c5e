//! Whom one calls often, as the session's agent keeps it: shown, changed, called.
//!
//! Owns which favourite is meant. A call to one goes the way of every call again.

use callarbiter_dbus::{Dict, Fields, proxies::HistoryProxy};
use serde::Serialize;

use super::{agent, dial};
use crate::{
    agent::{failure, put},
    args::{Favourite, Global},
    failure::Failure,
    output::Output,
    paint::{Line, Style, Table},
};

pub async fn run(what: Option<Favourite>, global: &Global, output: &Output) -> Result<(), Failure> {
    let agent = agent(global).await?;
    match what {
        None => {
            let all = liked(&agent).await?;
            output.show(&all, || liked_lines(&all));
            Ok(())
        }
        Some(Favourite::Add { handle, name, provider }) => {
            let mut options = Dict::new();
            name.into_iter().for_each(|name| put(&mut options, "display-name", name));
            provider.into_iter().for_each(|app| put(&mut options, "provider", app));
            agent.add_favourite(&handle, &options).await.map_err(failure)?;
            output.note(Style::Good, &format!("✓ {handle} is a favourite now"));
            Ok(())
        }
        Some(Favourite::Remove { handle }) => {
            agent.remove_favourite(&handle).await.map_err(failure)?;
            output.note(Style::Good, &format!("✓ {handle} is no favourite any more"));
            Ok(())
        }
        Some(Favourite::Call { who, video }) => {
            let all = liked(&agent).await?;
            let wanted = who.to_lowercase();
            let meant = |it: &&LikedView| {
                it.handle == who || it.display_name.to_lowercase().starts_with(&wanted)
            };
            let found: Vec<&LikedView> = all.iter().filter(meant).collect();
            let [one] = found.as_slice() else {
                let count = found.len();
                return Err(Failure::refused(format!(
                    "{count} favourites are called so; `callctl favourites` lists them"
                )));
            };
            dial(&global.bus, output, &one.handle, Some(one.provider.clone()), video).await
        }
    }
}

async fn liked(agent: &HistoryProxy<'_>) -> Result<Vec<LikedView>, Failure> {
    let all = agent.favourites().await.map_err(failure)?;
    let view = |dict: &Dict| {
        let fields = Fields::trusted(dict);
        let text = |key| fields.any_text(key).ok().flatten().unwrap_or_default().to_owned();
        LikedView {
            handle: text("handle"),
            display_name: text("display-name"),
            provider: text("provider"),
        }
    };
    Ok(all.iter().map(view).collect())
}

#[derive(Serialize)]
struct LikedView {
    handle: String,
    display_name: String,
    /// The application to call with; empty where none is known.
    provider: String,
}

fn liked_lines(all: &[LikedView]) -> Vec<Line> {
    if all.is_empty() {
        return vec![Line::new().with(Style::Faint, "No favourites.")];
    }
    let mut table = Table::new(&["NAME", "ADDRESS", "APP"]);
    for one in all {
        let cells = [&one.display_name, &one.handle, &one.provider];
        table.row(cells.into_iter().map(|text| Line::new().with(Style::Plain, text)).collect());
    }
    table.lines()
}
