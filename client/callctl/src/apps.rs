//! `callctl apps`: which applications may provide calls, and the user's word about one.
//!
//! Owns the table and its JSON. Who decided what, the agent knows.

use callarbiter_dbus::{Dict, Fields, proxies};
use serde::Serialize;

use crate::{
    agent::{self, Agent},
    args::AppDecision,
    failure::Failure,
    output::Output,
    paint::{Line, Style, Table},
};

#[derive(Serialize)]
struct App {
    app_id: String,
    authorization: String,
    source: String,
    registered: bool,
    display_name: String,
}

pub async fn run(
    decision: Option<AppDecision>,
    agent: &Agent,
    output: &Output,
) -> Result<(), Failure> {
    let apps = proxies::agent_apps(agent.connection()).await.map_err(agent::failure)?;
    let (app, word, done) = match decision {
        None => {
            let listed = apps.list().await.map_err(agent::failure)?;
            let listed: Vec<App> = listed.iter().map(App::read).collect();
            output.show(&listed, || lines(&listed));
            return Ok(());
        }
        Some(AppDecision::Allow { app_id }) => (app_id, "authorized", "may provide calls"),
        Some(AppDecision::Deny { app_id }) => (app_id, "denied", "may not provide calls"),
        Some(AppDecision::Forget { app_id }) => {
            (app_id, "not-determined", "is asked about when it registers")
        }
    };
    apps.set_authorization(&app, word).await.map_err(agent::failure)?;
    let decided = Decided { app_id: &app, authorization: word };
    output.show(&decided, || {
        vec![Line::new().with(Style::Good, "✓ ").with(Style::Plain, format!("{app} {done}"))]
    });
    Ok(())
}

#[derive(Serialize)]
struct Decided<'a> {
    app_id: &'a str,
    authorization: &'a str,
}

impl App {
    fn read(given: &Dict) -> App {
        let fields = Fields::trusted(given);
        let text = |key| fields.any_text(key).ok().flatten().unwrap_or_default().to_owned();
        App {
            app_id: text("app-id"),
            authorization: text("authorization"),
            source: text("source"),
            registered: fields.flag("registered").ok().flatten().unwrap_or_default(),
            display_name: text("display-name"),
        }
    }
}

fn lines(apps: &[App]) -> Vec<Line> {
    if apps.is_empty() {
        return vec![Line::new().with(Style::Faint, "No application has asked to provide calls.")];
    }
    let mut table = Table::new(&["APP", "NAME", "MAY CALL", "DECIDED BY", ""]);
    for app in apps {
        let (style, word) = match app.authorization.as_str() {
            "authorized" => (Style::Good, "yes"),
            "not-determined" => (Style::Plain, "to be asked"),
            _ => (Style::Bad, "no"),
        };
        table.row(vec![
            Line::new().with(Style::Plain, &app.app_id),
            Line::new().with(Style::Plain, &app.display_name),
            Line::new().with(style, word),
            Line::new().with(Style::Plain, &app.source),
            Line::new().with(Style::Faint, if app.registered { "running" } else { "" }),
        ]);
    }
    table.lines()
}
