//! `callctl apps`: which applications may provide calls, and the user's word about one.
//!
//! Owns the table and its JSON. Who decided what, the agent knows.

use callarbiter_dbus::{proxies, words::AppSource};
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
    control: bool,
    control_source: String,
    place_call: bool,
    place_call_source: String,
    registered: bool,
    display_name: String,
}

pub async fn run(
    decision: Option<AppDecision>,
    agent: &Agent,
    output: &Output,
) -> Result<(), Failure> {
    let apps = proxies::agent_apps(agent.connection()).await.map_err(agent::failure)?;
    let Some(decision) = decision else {
        let listed = apps.list().await.map_err(agent::failure)?;
        let listed = listed.iter().map(|app| callarbiter_dbus::App::from_dict(app).map(App::of));
        let listed =
            listed.collect::<Result<Vec<_>, _>>().map_err(|error| agent::refused(&error))?;
        output.show(&listed, || lines(&listed));
        return Ok(());
    };
    let (app, what, word, may) = match decision {
        AppDecision::Allow { app_id, what } => (app_id, what, "authorized", "may"),
        AppDecision::Deny { app_id, what } => (app_id, what, "denied", "may not"),
        AppDecision::Forget { app_id, what } => {
            (app_id, what, "not-determined", "is not decided: to")
        }
    };
    let permissions = [
        ("control", what.control, "see and control other apps' calls"),
        ("place-call", what.place_call, "place calls through other apps"),
    ];
    let given: Vec<_> = permissions.into_iter().filter(|(_, given, _)| *given).collect();
    let mut done = vec![];
    for (permission, _, sentence) in &given {
        apps.set_permission(&app, permission, word).await.map_err(agent::failure)?;
        done.push((*permission, format!("{app} {may} {sentence}")));
    }
    if given.is_empty() {
        apps.set_authorization(&app, word).await.map_err(agent::failure)?;
        let forgotten = format!("{app} is asked about when it registers");
        let sentence = format!("{app} {may} provide calls");
        done.push(("calls", if word == "not-determined" { forgotten } else { sentence }));
    }
    let decided: Vec<Decided<'_>> = done
        .iter()
        .map(|(permission, _)| Decided { app_id: &app, permission, authorization: word })
        .collect();
    output.show(&decided, || {
        let line = |text: &String| Line::new().with(Style::Good, "✓ ").with(Style::Plain, text);
        done.iter().map(|(_, text)| line(text)).collect()
    });
    Ok(())
}

#[derive(Serialize)]
struct Decided<'a> {
    app_id: &'a str,
    permission: &'a str,
    authorization: &'a str,
}

impl App {
    fn of(app: callarbiter_dbus::App) -> App {
        let source =
            |source: Option<AppSource>| source.map_or_else(String::new, |by| by.to_string());
        App {
            app_id: app.app_id,
            authorization: app.authorization.to_string(),
            source: source(app.source),
            control: app.control.0,
            control_source: source(app.control.1),
            place_call: app.place_call.0,
            place_call_source: source(app.place_call.1),
            registered: app.registered,
            display_name: app.display_name,
        }
    }
}

fn lines(apps: &[App]) -> Vec<Line> {
    if apps.is_empty() {
        return vec![Line::new().with(Style::Faint, "No application has asked to provide calls.")];
    }
    let mut table = Table::new(&["APP", "NAME", "MAY CALL", "DECIDED BY", "ALSO MAY", ""]);
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
            Line::new().with(Style::Plain, also(app)),
            Line::new().with(Style::Faint, if app.registered { "running" } else { "" }),
        ]);
    }
    table.lines()
}

/// What a sandbox does not keep it from, and who says so.
fn also(app: &App) -> String {
    let permissions = [
        ("control", app.control, &app.control_source),
        ("place-call", app.place_call, &app.place_call_source),
    ];
    let told = |(name, allowed, source): (&str, bool, &String)| {
        let not = if allowed { "" } else { "not " };
        (!source.is_empty()).then(|| format!("{not}{name} ({source})"))
    };
    permissions.into_iter().filter_map(told).collect::<Vec<_>>().join(", ")
}
