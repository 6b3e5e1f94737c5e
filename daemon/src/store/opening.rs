//! What is left of the state when the daemon starts: read, judged, and kept apart if it cannot be used.
//!
//! Owns which files count. The newest that needs no older one is where reading begins; what came before it
//! is a leftover. Nothing that is found here keeps the daemon from starting.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use tracing::{info, warn};

use super::{
    directory::{Directory, DirectoryError},
    frame::{End, Frames, Header, Unreadable, VERSION},
};
use crate::log::ids;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// All records, by key.
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Nothing is known to be missing. Otherwise the records are of an earlier time, or there are none.
    pub intact: bool,
}

impl Found {
    fn nothing(intact: bool) -> Found {
        Found { records: BTreeMap::new(), intact }
    }
}

/// Where writing goes on.
#[derive(Debug, Default)]
pub struct Tail {
    /// The number of the newest file, the file, and its length; none: everything must be written anew.
    pub newest: Option<(u64, File, u64)>,
    /// The highest number that any file has.
    pub generation: u64,
    /// Files that are needed beside it.
    pub older: Vec<u64>,
    /// Bytes of those files.
    pub older_bytes: u64,
}

struct Read {
    generation: u64,
    bytes: io::Result<Vec<u8>>,
}

/// How one file can be used.
enum Standing {
    Good(Judged),
    Empty,
    Newer(u32),
    Bad(String),
}

struct Judged {
    header: Header,
    whole: bool,
    end: End,
    good: usize,
}

impl Read {
    fn judge(&self) -> Standing {
        let bytes = match &self.bytes {
            Ok(bytes) => bytes,
            Err(error) => return Standing::Bad(format!("cannot be read ({error})")),
        };
        let header = match Header::read(bytes) {
            Ok(header) if header.generation == self.generation => header,
            Ok(_) => return Standing::Bad("was another file once".to_owned()),
            Err(Unreadable::Empty) => return Standing::Empty,
            Err(Unreadable::Newer(version)) => return Standing::Newer(version),
            Err(Unreadable::Damaged) => return Standing::Bad("is no state file".to_owned()),
        };
        let mut frames = Frames::of(bytes, header);
        let mut whole = header.whole;
        let end = loop {
            match frames.next() {
                Ok(frame) => whole |= frame.whole,
                Err(end) => break end,
            }
        };
        Standing::Good(Judged { header, whole, end, good: frames.read() })
    }

    fn apply(&self, header: Header, records: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        let Ok(bytes) = &self.bytes else { return };
        let mut frames = Frames::of(bytes, header);
        while let Ok(frame) = frames.next() {
            for (key, value) in frame.records {
                match value {
                    Some(value) => records.insert(key.to_vec(), value.to_vec()),
                    None => records.remove(key),
                };
            }
        }
    }

    /// Without the zeros that are reserved at its end.
    fn len(&self) -> u64 {
        let last = |bytes: &Vec<u8>| bytes.iter().rposition(|byte| *byte != 0);
        self.bytes.as_ref().ok().and_then(last).map_or(0, |last| last as u64 + 1)
    }
}

/// Reads what there is.
pub fn load(directory: &Directory) -> Result<(Found, Tail), DirectoryError> {
    let listed = directory.generations();
    let listed = listed
        .map_err(|source| DirectoryError::Io { path: directory.path().to_owned(), source })?;
    let generation = listed.last().copied().unwrap_or(0);
    let files: Vec<(Read, Standing)> = listed
        .into_iter()
        .map(|generation| Read { generation, bytes: directory.read(generation) })
        .map(|read| {
            let standing = read.judge();
            (read, standing)
        })
        .collect();
    let tail = Tail { generation, ..Tail::default() };

    let newer = files.iter().find_map(|(_, standing)| match standing {
        Standing::Newer(version) => Some(*version),
        _ => None,
    });
    if let Some(version) = newer {
        let what =
            format!("is of a later version of callarbiterd (format {version}, here {VERSION})");
        set_aside(directory, &files, "newer", &what, FORGOTTEN);
        return Ok((Found::nothing(false), tail));
    }
    let stands_alone = |(_, standing): &(Read, Standing)| matches!(standing, Standing::Good(judged) if judged.whole);
    let Some(base) = files.iter().rposition(stands_alone) else {
        let bad = files.iter().find_map(|(_, standing)| match standing {
            Standing::Bad(why) => Some(why.as_str()),
            Standing::Good(_) => Some("continues a file that is missing"),
            Standing::Empty | Standing::Newer(_) => None,
        });
        if let Some(why) = bad {
            set_aside(directory, &files, "damaged", why, FORGOTTEN);
            return Ok((Found::nothing(false), tail));
        }
        for (read, _) in &files {
            info!("{} holds nothing yet", directory.file(read.generation).display());
            clear(directory, read.generation);
        }
        return Ok((Found::nothing(true), tail));
    };
    let (leftover, files) = files.split_at(base);
    for (read, _) in leftover {
        clear(directory, read.generation);
    }
    Ok(follow(directory, files, tail))
}

/// What becomes of calls whose state is not there.
pub const FORGOTTEN: &str = "calls are forgotten, apps report those that they still have";
const EARLIER: &str =
    "calls are as they were before the damage, apps correct what has changed since";

/// From the file that stands alone to the newest.
fn follow(directory: &Directory, files: &[(Read, Standing)], mut tail: Tail) -> (Found, Tail) {
    let mut found = Found::nothing(true);
    let last = files.iter().rposition(|(_, standing)| !matches!(standing, Standing::Empty));
    let mut newest = None;
    for (index, (read, standing)) in files.iter().enumerate() {
        let why = match standing {
            Standing::Empty | Standing::Newer(_) => {
                clear(directory, read.generation);
                continue;
            }
            Standing::Bad(why) => Some(why.clone()),
            Standing::Good(judged) => {
                read.apply(judged.header, &mut found.records);
                newest = Some((read, judged));
                let torn = judged.end == End::Torn && Some(index) == last;
                (judged.end != End::Clean && !torn)
                    .then(|| format!("is damaged after {} of {} bytes", judged.good, read.len()))
            }
        };
        if let Some(why) = why {
            set_aside(directory, files, "damaged", &why, EARLIER);
            return (Found { intact: false, ..found }, tail);
        }
    }
    let Some((read, judged)) = newest else { return (found, tail) };
    let good = judged.good as u64;
    if judged.end == End::Torn {
        info!(
            "the last {} bytes of {} were not written completely and are dropped",
            read.len().saturating_sub(good),
            directory.file(read.generation).display()
        );
    }
    let needed = files.iter().map(|(read, _)| (read.generation, read.len()));
    let (older, bytes): (Vec<u64>, Vec<u64>) =
        needed.filter(|(generation, _)| *generation < read.generation).unzip();
    (tail.older, tail.older_bytes) = (older, bytes.iter().sum());
    tail.newest = match directory.resume(read.generation, good) {
        // Of an older version: all of it is written anew in this one.
        _ if judged.header.version < VERSION => None,
        Ok(file) => Some((read.generation, file, good)),
        Err(error) => {
            warn!(%error, "{} cannot be continued", directory.file(read.generation).display());
            None
        }
    };
    if tail.newest.is_none() {
        tail.older.push(read.generation);
    }
    (found, tail)
}

/// One warning for all of them; what becomes of the calls is in it.
fn set_aside(
    directory: &Directory,
    files: &[(Read, Standing)],
    kind: &str,
    why: &str,
    consequence: &str,
) {
    let mut names = Vec::new();
    for (read, standing) in files {
        if matches!(standing, Standing::Empty) {
            clear(directory, read.generation);
            continue;
        }
        let name = directory.set_aside(read.generation, kind);
        if name.is_err() {
            clear(directory, read.generation);
        }
        names.push(named(name));
    }
    let first =
        files.iter().find(|(_, standing)| !matches!(standing, Standing::Empty | Standing::Good(_)));
    let of = first.or(files.first()).map_or(0, |(read, _)| read.generation);
    tell(&directory.file(of), why, &names, consequence);
}

/// Where a file is now that was set aside.
pub fn named(name: io::Result<PathBuf>) -> String {
    match name {
        Ok(name) => name.display().to_string(),
        Err(error) => format!("nothing ({error})"),
    }
}

/// The one warning.
pub fn tell(file: &Path, why: &str, names: &[String], consequence: &str) {
    warn!(
        message_id = ids::STATE_UNUSABLE,
        "the state file {} {why}; it was set aside as {}: {consequence}",
        file.display(),
        names.join(", ")
    );
}

/// A file of no use; one that cannot be removed is seen again at the next start.
fn clear(directory: &Directory, generation: u64) {
    if let Err(error) = directory.remove(generation) {
        warn!(%error, "{} cannot be removed", directory.file(generation).display());
    }
}
