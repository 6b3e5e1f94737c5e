//! `callctl preferences`: what the user chose for every call, and what counts where they chose nothing.
//!
//! Owns how it is shown. The user's choices are the agent's to tell and to change; the administrator's word stands in the
//! files that the daemon reads, which are read by the daemon's own reader. Whose word counts, that reader knows.

use std::path::PathBuf;

use callarbiter_config::{
    Config, Sources,
    preferences::{Counts, Source, counts},
};
use callarbiter_core::Allowance;
use callarbiter_dbus::{
    Fields,
    proxies::{self, AgentPreferencesProxy},
};
use serde::Serialize;
use zbus::Variant;

use crate::{
    agent::{self, Agent, failure},
    args::{Global, Preference, Preferences},
    failure::Failure,
    output::Output,
    paint::{Line, Style, Table},
};

pub async fn run(
    Preferences { config, what }: Preferences,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let agent = Agent::open(global.session_bus.as_deref()).await?;
    let preferences = proxies::agent_preferences(agent.connection()).await.map_err(failure)?;
    let (key, value) = match what {
        None => return show(&preferences, config, output).await,
        Some(Preference::Set { key, value }) => {
            let number = value.parse::<u32>().map(Variant::from);
            let given = number.unwrap_or_else(|_| value.as_str().into());
            preferences.set(&key, &given).await.map_err(failure)?;
            (key, Some(value))
        }
        Some(Preference::Unset { key }) => {
            preferences.unset(&key).await.map_err(failure)?;
            (key, None)
        }
    };
    let chosen = Chosen { key, value };
    output.show(&chosen, || {
        let Chosen { key, value } = &chosen;
        let said = match value {
            Some(value) => format!("you chose {key} {value} for every call that begins now"),
            None => format!("you choose no {key} any more"),
        };
        vec![Line::new().with(Style::Good, "✓ ").with(Style::Plain, said)]
    });
    Ok(())
}

#[derive(Serialize)]
struct Chosen {
    key: String,
    /// None: not any more.
    value: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    file: String,
    /// Whether the arbiter took this from the agent; else what it was told before counts.
    told: bool,
    /// Why the file does not count as it is.
    problem: Option<String>,
    choices: Vec<Choice>,
    /// The user's own, by their names.
    rules: Vec<String>,
    bounds: Bounds,
}

#[derive(Serialize)]
struct Choice {
    key: &'static str,
    /// What counts; none: as the desktop says.
    value: Option<String>,
    /// Who says so: `user`, `administrator` or `default`.
    source: &'static str,
    /// What the user chose, whether it counts or not.
    chosen: Option<String>,
    /// Whether the administrator leaves it to users.
    allowed: bool,
    may_be: String,
}

/// What the administrator leaves to the rules of users.
#[derive(Serialize)]
struct Bounds {
    allow: Vec<&'static str>,
    rules: u32,
    answer_after_ms_min: u32,
    priority_max: u32,
    /// The administrator's own rules, which stand before the user's.
    rules_before: usize,
}

async fn show(
    preferences: &AgentPreferencesProxy<'_>,
    config: Option<PathBuf>,
    output: &Output,
) -> Result<(), Failure> {
    let sources = config.map_or_else(Sources::installed, Sources::only);
    let Config { settings, .. } =
        sources.load().map_err(|error| Failure::refused(error.to_string()))?;
    let (choices, rules, about) = preferences.read().await.map_err(failure)?;
    let choices = counts(&choices, &settings).map_err(|error| agent::refused(&error))?;
    let about = Fields::trusted(&about);
    let text = |key: &str| about.any_text(key).ok().flatten().map(str::to_owned);
    let name = |rule| Fields::trusted(rule).any_text("name").ok().flatten().map(str::to_owned);
    let Allowance { choices: allow, rules: most, answer_least, priority_most, .. } =
        settings.allowance;
    let shown = Shown {
        file: text("file").unwrap_or_default(),
        told: about.flag("told").ok().flatten().unwrap_or_default(),
        problem: text("problem"),
        choices: choices.into_iter().map(Choice::of).collect(),
        rules: rules.iter().filter_map(name).collect(),
        bounds: Bounds {
            allow,
            rules: most,
            answer_after_ms_min: answer_least.0,
            priority_max: priority_most,
            rules_before: settings.policy.rules.len(),
        },
    };
    output.show(&shown, || lines(&shown));
    Ok(())
}

impl Choice {
    fn of(Counts { key, value, source, chosen, allowed, may_be }: Counts) -> Choice {
        let source = match source {
            Source::User => "user",
            Source::Administrator => "administrator",
            Source::Usual => "default",
        };
        Choice { key, value, source, chosen, allowed, may_be }
    }
}

fn lines(shown: &Shown) -> Vec<Line> {
    let mut table = Table::new(&["FOR EVERY CALL", "COUNTS", "FROM", "YOU MAY CHOOSE", ""]);
    for Choice { key, value, source, chosen, allowed, may_be } in &shown.choices {
        let other = chosen.as_ref().filter(|_| chosen != value);
        let other = other.map(|chosen| format!("you chose {chosen}")).unwrap_or_default();
        let may_be = if *allowed { may_be } else { "nothing: it is the administrator's" };
        table.row(vec![
            Line::new().with(Style::Plain, *key),
            Line::new().with(Style::Plain, value.as_deref().unwrap_or("as the desktop says")),
            Line::new().with(Style::Plain, *source),
            Line::new().with(Style::Plain, may_be),
            Line::new().with(Style::Attention, other),
        ]);
    }
    let mut lines = table.lines();
    let plain = |text: String| Line::new().with(Style::Plain, text);
    let Bounds { allow, rules, answer_after_ms_min, priority_max, rules_before } = &shown.bounds;
    lines.push(Line::new());
    lines.push(plain(match shown.rules.as_slice() {
        [] => format!("You have no rules; there may be {rules}."),
        own => format!("Your rules ({} of {rules}): {}", own.len(), own.join(", ")),
    }));
    lines.push(plain(match allow.as_slice() {
        [] => "The administrator leaves nothing to you.".to_owned(),
        allow => format!(
            "Left to you and your rules: {} (answer-after-ms {answer_after_ms_min} or more, priority {priority_max} or less)",
            allow.join(", ")
        ),
    }));
    if *rules_before > 0 {
        let says =
            format!("Rules of the administrator's, which decide before yours: {rules_before}");
        lines.push(plain(says));
    }
    lines.push(Line::new().with(Style::Faint, &shown.file));
    if let Some(problem) = &shown.problem {
        let says = format!("The file does not count as it is: {problem}");
        lines.push(Line::new().with(Style::Bad, says));
    }
    if !shown.told {
        let says = "The arbiter took nothing from this agent yet; what it was told before counts.";
        lines.push(Line::new().with(Style::Attention, says));
    }
    lines
}
