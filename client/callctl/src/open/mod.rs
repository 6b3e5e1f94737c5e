//! `callctl open`: a link becomes a call, once a person said so.
//!
//! Owns the way from a link to a call, and through which app it goes. A link may come from a web page, so
//! nothing is ever dialled by a link alone, an emergency number least of all: who sits at the terminal is asked
//! there, who clicked somewhere else by a notification (`note`). What a link means is `link`'s.

mod link;
mod note;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use callarbiter::StartOptions;
use clap::Args;
use tokio::time::timeout;

use crate::{
    args::Global,
    commands,
    failure::Failure,
    history,
    output::Output,
    paint,
    paint::Style,
    session::Session,
    words::{Verb, Word},
};

pub use self::link::Link;

/// Call whom a tel:, sip:, sips: or callto: link names, after asking
///
/// This is what the desktop runs when such a link is clicked. A link may come from a web page, so it never
/// dials by itself: the question is asked on the terminal, or else by a notification. Service codes (* and #),
/// passwords, headers and parameters of a link are never dialled. Where several applications could place the
/// call, the question is which one; the one through which you talked to them last stands first, and is started
/// if it does not run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callctl open tel:+49-30-123456
  callctl open 'tel:7042;phone-context=+1-914-784'
  callctl open --yes sip:bob@example.org --provider org.example.Phone")]
pub struct Open {
    /// The link
    pub link: String,
    /// The application to call with, by its id; else it is asked, or the arbiter chooses
    #[arg(long, value_name = "APP-ID")]
    pub provider: Option<String>,
    /// Do not ask: for scripts that know where the link comes from
    #[arg(long)]
    pub yes: bool,
}

/// An app that could place the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub app: String,
    pub name: String,
    /// It does not run: it is started for the call.
    pub stopped: bool,
}

/// The history is a convenience; nobody waits long for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nobody,
    Terminal,
    Notification,
}

pub async fn run(open: Open, global: &Global, output: &Output) -> Result<(), Failure> {
    let asked = match (open.yes, io::stdin().is_terminal() && io::stderr().is_terminal()) {
        (true, _) => Asked::Nobody,
        (false, true) => Asked::Terminal,
        (false, false) => Asked::Notification,
    };
    let done = place(&open, global, asked, output).await;
    if let (Err(failure), Asked::Notification) = (&done, asked) {
        // Nobody reads the standard error of what a browser started; no server, no note.
        let _ = note::tell("The call was not started", &failure.to_string()).await;
    }
    done
}

async fn place(open: &Open, global: &Global, asked: Asked, output: &Output) -> Result<(), Failure> {
    let link: Link = open.link.parse().map_err(Failure::refused)?;
    let session = Session::open(&global.bus).await?;
    let ways = match &open.provider {
        Some(app) => vec![Way { app: app.clone(), name: app.clone(), stopped: false }],
        None => ways(&session, &link, global).await?,
    };
    let provider = match asked {
        Asked::Nobody => chosen(open, &ways),
        Asked::Terminal => asked_here(&link, &ways)?,
        Asked::Notification => note::ask(&link, &ways).await?,
    };
    let options = StartOptions { provider, wait: true, ..StartOptions::default() };
    commands::start(&session, output, &link.handle, options).await?;
    if let Some(digits) = &link.extension {
        // A shell has its own ideas of # and *.
        let plain = digits.chars().all(|c| c.is_ascii_digit());
        let word = if plain { digits.to_owned() } else { format!("'{digits}'") };
        let hint = format!("  extension {digits}: once it is answered, callctl dtmf {word}");
        output.note(Style::Faint, &hint);
        if asked == Asked::Notification {
            let _ = note::tell("The number has an extension", digits).await;
        }
    }
    Ok(())
}

/// Who could place the call, whoever was used for them last before all others.
async fn ways(session: &Session, link: &Link, global: &Global) -> Result<Vec<Way>, Failure> {
    let last = timeout(PATIENCE, history::last_way(&link.handle, global)).await;
    let ways = session.ways(link.scheme(), last.ok().flatten()).await?;
    if ways.is_empty() {
        // Nobody is asked about a call that nobody can place.
        let verb = Verb::Start { handle: link.handle.clone(), provider: None, video: false };
        session.plan(&session.board().await?, &[Word { verb, expected: None }]).await?;
    }
    Ok(ways)
}

/// Without a question the arbiter chooses among the apps that are there, as for every call.
fn chosen(open: &Open, ways: &[Way]) -> Option<String> {
    let alone = match ways {
        [way] if way.stopped => Some(way.app.clone()),
        _ => None,
    };
    open.provider.clone().or(alone)
}

impl Way {
    /// For people.
    pub fn title(&self) -> String {
        match self.stopped {
            true => format!("{}, which is started for it", self.name),
            false => self.name.clone(),
        }
    }
}

/// Asks on the terminal; the answer is the app to call with, or none where the arbiter chooses.
fn asked_here(link: &Link, ways: &[Way]) -> Result<Option<String>, Failure> {
    let who = paint::harmless(&link.handle);
    let question = match ways {
        [] => format!("Call {who}? [y/N] "),
        [way] => format!("Call {who} with {}? [y/N] ", paint::harmless(&way.title())),
        several => {
            let mut text = format!("Call {who} with\n");
            for (position, way) in several.iter().enumerate() {
                let (name, app) = (paint::harmless(&way.title()), paint::harmless(&way.app));
                text.push_str(&format!("  {}  {name} ({app})\n", position + 1));
            }
            text + &format!("which one? [1-{}, Enter for none] ", several.len())
        }
    };
    let unasked = |error| Failure::refused(format!("the terminal cannot be asked: {error}"));
    let mut line = String::new();
    io::stderr().write_all(question.as_bytes()).map_err(unasked)?;
    io::stdin().lock().read_line(&mut line).map_err(unasked)?;
    answered(&line, ways).ok_or_else(|| Failure::refused("nobody was called"))
}

fn answered(line: &str, ways: &[Way]) -> Option<Option<String>> {
    let line = line.trim();
    if ways.len() < 2 {
        let yes = line.eq_ignore_ascii_case("y") || line.eq_ignore_ascii_case("yes");
        return yes.then(|| ways.first().map(|way| way.app.clone()));
    }
    let chosen = line.parse::<usize>().ok()?.checked_sub(1)?;
    ways.get(chosen).map(|way| Some(way.app.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_starts_a_call() {
        let way = |app: &str| Way { app: app.into(), name: app.into(), stopped: false };
        let (one, two) = ([way("a")], [way("a"), way("b")]);
        for line in ["", "\n", "n\n", "no\n", "maybe\n", "0\n", "1\n"] {
            assert_eq!(answered(line, &one), None, "{line:?}");
        }
        for line in ["", "\n", "y\n", "0\n", "3\n", "-1\n"] {
            assert_eq!(answered(line, &two), None, "{line:?}");
        }
        assert_eq!(answered("y\n", &[]), Some(None));
        assert_eq!(answered("Yes\n", &one), Some(Some("a".into())));
        assert_eq!(answered("2\n", &two), Some(Some("b".into())));
    }
}
