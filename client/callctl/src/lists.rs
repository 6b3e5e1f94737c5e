//! `callctl block` and `callctl allow`: the user's lists, as the session's agent keeps them.
//!
//! Owns what is asked of the agent, and the files that go to it and come back. Which entry decides, the agent knows.

mod view;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use callarbiter_dbus::{
    Dict, Fields,
    proxies::{self, ListsProxy},
};
use rustix::fs::{MemfdFlags, memfd_create};

use self::view::{Answer, Entry, Listed, Moved};
use crate::{
    agent::{Agent, failure, put},
    args::{Format, Global, Listing, OnList, Terms},
    failure::Failure,
    output::Output,
    paint::{Line, Style},
};

/// As much as the agent reads.
const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Which list, by its name on the bus.
pub type List = &'static str;

pub async fn run(
    list: List,
    Listing { address, terms, what }: Listing,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let agent = Agent::open(global.session_bus.as_deref()).await?;
    let lists = proxies::lists(agent.connection()).await.map_err(failure)?;
    let what = what.unwrap_or(match address {
        Some(address) => OnList::Add { address, terms },
        None => OnList::List { text: None, limit: 50, after: None },
    });
    match what {
        OnList::Add { address, terms } => add(&lists, list, &address, terms, output).await,
        OnList::List { text, limit, after } => {
            let mut filter = Dict::new();
            put(&mut filter, "list", list);
            put(&mut filter, "limit", limit);
            text.into_iter().for_each(|text| put(&mut filter, "contains", text));
            after.into_iter().for_each(|after| put(&mut filter, "after", after));
            let (entries, about) = lists.entries(&filter).await.map_err(failure)?;
            let listed = Listed::of(&entries, &about);
            output.show(&listed, || listed.lines(list));
            Ok(())
        }
        OnList::Remove { address, app } => {
            let options = of_app(app);
            lists.remove(list, &address, &options).await.map_err(failure)?;
            let moved = Moved { entries: 1, left_out: 0 };
            output.show(&moved, || vec![good(&format!("{address} is not on the list any more"))]);
            Ok(())
        }
        OnList::Clear => {
            let removed = lists.clear(list).await.map_err(failure)?;
            let moved = Moved { entries: removed, left_out: 0 };
            output.show(&moved, || vec![good(&format!("{} removed", moved.words()))]);
            Ok(())
        }
        OnList::Check { address, app } => {
            let answer = lists.look_up(&address, &of_app(app)).await.map_err(failure)?;
            let answer = Answer::of(&answer);
            output.show(&answer, || answer.lines(&address));
            Ok(())
        }
        OnList::Import { file, format } => import(&lists, list, &file, format, output).await,
        OnList::Export { file, format } => {
            let file = file.filter(|file| file.as_os_str() != "-");
            let format = format.unwrap_or_else(|| Format::of_name(file.as_deref()));
            export(&lists, list, file.as_deref(), format, output).await
        }
    }
}

async fn add(
    lists: &ListsProxy<'_>,
    list: List,
    address: &str,
    Terms { reason, expires, app }: Terms,
    output: &Output,
) -> Result<(), Failure> {
    let mut options = of_app(app);
    reason.into_iter().for_each(|reason| put(&mut options, "reason", reason));
    expires.into_iter().for_each(|at| put(&mut options, "expires-at", at));
    let entry = lists.add(list, address, &options).await.map_err(failure)?;
    let entry = Entry::of(&entry);
    output.show(&entry, || entry.said());
    Ok(())
}

async fn import(
    lists: &ListsProxy<'_>,
    list: List,
    path: &Path,
    format: Option<Format>,
    output: &Output,
) -> Result<(), Failure> {
    let memory = match path.to_str() {
        Some("-") => in_memory(io::stdin().lock()),
        _ => File::open(path).and_then(|file| match file.metadata()?.len() > FILE_BYTES {
            true => Err(too_long()),
            false => in_memory(file),
        }),
    };
    let memory = memory.map_err(|error| about_file(path, &error))?;
    let mut options = Dict::new();
    put(&mut options, "list", list);
    format.into_iter().for_each(|format| put(&mut options, "format", format.name()));
    let about = lists.import(memory.as_fd().into(), &options).await.map_err(failure)?;
    let moved = Moved::of(&about, "imported");
    output.show(&moved, || moved.lines("imported", "cards of neither category"));
    Ok(())
}

async fn export(
    lists: &ListsProxy<'_>,
    list: List,
    path: Option<&Path>,
    format: Format,
    output: &Output,
) -> Result<(), Failure> {
    let mut options = Dict::new();
    put(&mut options, "list", list);
    put(&mut options, "format", format.name());
    let (memory, about) = lists.export(&options).await.map_err(failure)?;
    let mut memory = File::from(OwnedFd::from(memory));
    let Some(path) = path else {
        // A reader that has left is no failure.
        return match io::copy(&mut memory, &mut io::stdout().lock()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::refused(format!("the list cannot be written: {error}")))
            }
            _ => Ok(()),
        };
    };
    written(path, &mut memory).map_err(|error| about_file(path, &error))?;
    let moved = Moved::of(&about, "exported");
    output.show(&moved, || {
        moved.lines(
            "exported",
            "patterns and what is for one app or for a time, which no card can say",
        )
    });
    Ok(())
}

/// Whole or not at all, and nobody else's to read.
fn written(path: &Path, memory: &mut File) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&name)?;
    io::copy(memory, &mut file)?;
    file.sync_all()?;
    fs::rename(name, path)
}

/// What is read from anywhere, as the agent takes it.
fn in_memory(from: impl Read) -> io::Result<File> {
    let mut memory = File::from(memfd_create("callctl-import", MemfdFlags::CLOEXEC)?);
    let copied = io::copy(&mut from.take(FILE_BYTES + 1), &mut memory)?;
    memory.flush()?;
    match copied <= FILE_BYTES {
        true => Ok(memory),
        false => Err(too_long()),
    }
}

fn too_long() -> io::Error {
    io::Error::other(format!("it has more than {FILE_BYTES} bytes; divide it"))
}

fn about_file(path: &Path, error: &io::Error) -> Failure {
    Failure::refused(format!("{}: {error}", path.display()))
}

fn of_app(app: Option<String>) -> Dict {
    let mut options = Dict::new();
    app.into_iter().for_each(|app| put(&mut options, "app-id", app));
    options
}

fn good(what: &str) -> Line {
    Line::new().with(Style::Good, "✓ ").with(Style::Plain, what)
}

/// What a dictionary of the agent says, where it says nothing else.
fn text(fields: Fields<'_>, key: &str) -> String {
    fields.any_text(key).ok().flatten().unwrap_or_default().to_owned()
}

fn time(fields: Fields<'_>, key: &str) -> Option<u64> {
    fields.time(key).ok().flatten()
}
