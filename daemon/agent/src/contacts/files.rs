//! vCard files in folders: one file a person or thousands in one, kept in memory as long as they are as they were.
//!
//! Owns the cache and its index. Reading takes what the disk takes, so it is done on a thread for it;
//! what is meant by a card is `vcard`'s, who is like whom `reach`'s.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use callarbiter_lists::{
    region::Region,
    vcard::{self, Card},
};
use tracing::{info, warn};

use super::{
    Found,
    reach::{Likeness, Reach},
};

/// How deep folders lie in one another: khard and vdirsyncer make one for each account and address book.
const DEPTH: u32 = 4;
/// Ten times what anybody has; more would fill the memory of a session.
const CARDS: usize = 1_000_000;
/// With pictures of everybody, an export of a large address book.
const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The cards of all files.
#[derive(Debug)]
pub struct Files {
    folders: Vec<PathBuf>,
    region: Option<Region>,
    files: HashMap<PathBuf, Kept>,
    /// Sorted by key.
    index: Vec<(u64, Arc<Card>)>,
}

#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    cards: Vec<Arc<Card>>,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Files {
    /// In these folders and those below.
    pub fn new(folders: Vec<PathBuf>, region: Option<Region>) -> Files {
        Files { folders, region, files: HashMap::new(), index: vec![] }
    }

    /// Whether a folder is missing, whose appearance nobody would tell.
    pub fn lacks_folders(&self) -> bool {
        !self.folders.iter().all(|folder| folder.is_dir())
    }

    /// Reads what is new; the folders, for somebody to watch.
    pub fn refresh(&mut self) -> Vec<PathBuf> {
        let mut walk = Walk::default();
        for folder in &self.folders {
            walk.descend(folder, DEPTH);
        }
        let before = self.files.len();
        self.files.retain(|file, kept| walk.files.get(file) == Some(&kept.stamp));
        let mut changed = self.files.len() != before;
        let mut cards: usize = self.files.values().map(|kept| kept.cards.len()).sum();
        for (file, stamp) in walk.files {
            if self.files.contains_key(&file) {
                continue;
            }
            if cards > CARDS {
                warn!("there are more than {CARDS} contacts; the rest is not looked at");
                break;
            }
            let read = read(&file);
            cards += read.len();
            self.files.insert(file, Kept { stamp, cards: read });
            changed = true;
        }
        if changed {
            self.make_index();
            info!(files = self.files.len(), contacts = cards, "contacts read");
        }
        walk.folders
    }

    fn make_index(&mut self) {
        let cards = self.files.values().flat_map(|kept| &kept.cards);
        let keys = cards.flat_map(|card| {
            let reaches = card.addresses.iter().map(|address| Reach::of(address, self.region));
            reaches
                .flat_map(|reach| reach.keys().collect::<Vec<_>>())
                .map(|key| (key, card.clone()))
        });
        self.index = keys.collect();
        self.index.sort_unstable_by(|one, other| {
            (one.0, &one.1.name, &one.1.id).cmp(&(other.0, &other.1.name, &other.1.id))
        });
        self.index.shrink_to_fit();
    }

    /// Who is likest.
    pub fn look_up(&self, handle: &Reach) -> Option<(Found, Likeness)> {
        let candidates = handle.keys().flat_map(|key| {
            let begin = self.index.partition_point(|(known, _)| *known < key);
            let from = self.index.get(begin..).unwrap_or_default();
            from.iter().take_while(move |(known, _)| *known == key).map(|(_, card)| &**card)
        });
        likest(candidates, handle, self.region)
    }
}

/// The likest of these cards; nobody where two different people are equally like by an ending only.
pub fn likest<'a>(
    cards: impl Iterator<Item = &'a Card>,
    handle: &Reach,
    region: Option<Region>,
) -> Option<(Found, Likeness)> {
    let mut best: Option<(&Card, Likeness)> = None;
    let mut doubtful = false;
    for card in cards {
        let reaches = card.addresses.iter().map(|address| Reach::of(address, region));
        let Some(likeness) = reaches.filter_map(|reach| handle.likeness(&reach, region)).max()
        else {
            continue;
        };
        match best {
            Some((_, known)) if known > likeness => {}
            Some((known, same)) if same == likeness => doubtful |= known.name != card.name,
            _ => (best, doubtful) = (Some((card, likeness)), false),
        }
    }
    let (card, likeness) = best?;
    if doubtful && likeness == Likeness::Ending {
        return None;
    }
    Some((Found::from(card), likeness))
}

/// What lies in the folders.
#[derive(Default)]
struct Walk {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Stamp>,
}

impl Walk {
    fn descend(&mut self, folder: &Path, depth: u32) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                return warn!(%error, folder = %folder.display(), "contacts cannot be read");
            }
        };
        self.folders.push(folder.to_owned());
        for entry in entries.flatten() {
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // A link counts as what it leads to.
            let Ok(found) = fs::metadata(&path) else { continue };
            let is_card = path.extension().is_some_and(|name| {
                name.eq_ignore_ascii_case("vcf") || name.eq_ignore_ascii_case("vcard")
            });
            if found.is_dir() && !hidden && depth > 1 {
                self.descend(&path, depth - 1);
            } else if found.is_file() && is_card && !hidden {
                self.files.insert(path, Stamp::from(&found));
            }
        }
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Stamp {
        let modified = (found.mtime(), found.mtime_nsec());
        Stamp { modified, inode: found.ino(), bytes: found.size() }
    }
}

/// What can be read of a file; what is wrong with it is said once, without its content, and without its name, which
/// may be somebody's.
fn read(file: &Path) -> Vec<Arc<Card>> {
    let broken = |what: &dyn std::fmt::Display| {
        let folder = file.parent().unwrap_or(Path::new("/")).display();
        let bytes = fs::metadata(file).map(|found| found.len()).unwrap_or_default();
        warn!(%folder, bytes, "a file of contacts is broken: {what}");
    };
    let bytes = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(file)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match bytes() {
        Ok(bytes) if bytes.len() as u64 > FILE_BYTES => {
            broken(&format_args!("it is longer than {FILE_BYTES} bytes"));
            return vec![];
        }
        Ok(bytes) => bytes,
        Err(error) => {
            broken(&error);
            return vec![];
        }
    };
    let (cards, mistake) = vcard::read(&bytes);
    if let Some(mistake) = mistake {
        broken(&mistake);
    }
    cards.into_iter().map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
