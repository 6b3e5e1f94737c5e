//! Lists that come from others and go to them, as files.
//!
//! Owns what a file may be and how large, and that nothing of one is there unless all is. How it is written, the crate
//! `callarbiter-lists` knows.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    os::fd::OwnedFd,
};

use callarbiter_dbus::{Error, ErrorKind};
use callarbiter_lists::{
    csv,
    entry::{Entry, List, REASON, Rule},
    pattern::Pattern,
    region::Region,
    vcard::{self, Address},
};
use rusqlite::Transaction;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::{
    Lists, StoreError, entries,
    served::{broken, refused},
};

/// Two million long lines.
const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Vcard,
}

impl Format {
    pub fn of_name(name: &str) -> Option<Format> {
        match name {
            "csv" => Some(Format::Csv),
            "vcard" => Some(Format::Vcard),
            _ => None,
        }
    }

    fn of_bytes(bytes: &[u8]) -> Format {
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start();
        let card = text.get(..BEGIN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN));
        if card { Format::Vcard } else { Format::Csv }
    }
}

const BEGIN: &[u8] = b"BEGIN:VCARD";

/// What was done with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub entries: u32,
    pub left_out: u32,
}

impl Lists {
    /// Adds all entries of a file, or none.
    pub fn import(
        &self,
        file: OwnedFd,
        format: Option<Format>,
        list: Option<List>,
    ) -> Result<Counts, Error> {
        let bytes = read(File::from(file))?;
        let (cards, left_out) = match format.unwrap_or(Format::of_bytes(&bytes)) {
            Format::Csv => (None, 0),
            Format::Vcard => {
                let (entries, left_out) = of_cards(&bytes, self.region)?;
                (Some(entries), left_out)
            }
        };
        // All lines are looked at before the first is taken: a million of them need not be in memory.
        let lines = || csv::read(&bytes, list, self.region);
        let count = match &cards {
            Some(cards) => cards.len(),
            None => {
                let wrong = |wrong: csv::WrongLine| Error::invalid_argument(wrong.to_string());
                let lines = lines().map_err(wrong)?;
                lines
                    .into_iter()
                    .try_fold(0, |count, line| line.map(|_| count + 1))
                    .map_err(wrong)?
            }
        };
        if count > self.most {
            return Err(broken(StoreError::TooMany));
        }
        let put = |file: &Transaction<'_>| {
            // What is sorted in memory is not written again and again; it is given back with the file.
            file.execute_batch("PRAGMA cache_size = -65536")?;
            match &cards {
                Some(cards) => entries::put_all(file, cards)?,
                None => entries::put_all(file, lines().into_iter().flatten().flatten())?,
            }
            // Those that were there before may have been among them.
            let table = entries::table(file)?;
            match table.len() > self.most {
                true => Err(StoreError::TooMany),
                false => Ok(((), table)),
            }
        };
        self.change(put, |table, new| *table = new).map_err(broken)?;
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Counts { entries: number(count), left_out: number(left_out) })
    }

    /// All entries of a list, or of both, in memory that nobody changes any more.
    pub fn export(&self, format: Format, list: Option<List>) -> Result<(OwnedFd, Counts), Error> {
        let write = |entries: &mut dyn Iterator<Item = Entry>| -> io::Result<(File, Counts)> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut memory = BufWriter::new(File::from(memfd_create("lists", flags)?));
            let mut counts = Counts::default();
            match format {
                Format::Csv => {
                    let counted = entries.inspect(|_| counts.entries += 1);
                    csv::write(counted, &mut memory)?;
                }
                Format::Vcard => {
                    for entry in entries {
                        match vcard::written(&entry) {
                            Some(card) => {
                                counts.entries += 1;
                                memory.write_all(card.as_bytes())?;
                            }
                            None => counts.left_out += 1,
                        }
                    }
                }
            }
            let mut memory = memory.into_inner().map_err(io::IntoInnerError::into_error)?;
            memory.rewind()?;
            fcntl_add_seals(
                &memory,
                SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
            )?;
            Ok((memory, counts))
        };
        let written = match self.store.is_there() {
            true => self.store.change(|file| entries::each(file, list, write)).map_err(broken)?,
            false => write(&mut std::iter::empty()),
        };
        let (memory, counts) = written.map_err(|error| {
            Error::new(ErrorKind::ActionFailed, format!("there is no memory for the list: {error}"))
        })?;
        Ok((memory.into(), counts))
    }
}

/// Whatever could be without an end is not read.
fn read(mut file: File) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| {
        Error::new(ErrorKind::ActionFailed, format!("the file cannot be read: {error}"))
    };
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        let why = "only a regular file or memory is read; copy what it is into one first";
        return Err(Error::invalid_argument(why));
    }
    let too_long = || {
        let why = format!("the file has more than {FILE_BYTES} bytes; divide it");
        Error::new(ErrorKind::LimitExceeded, why)
    };
    // Most of a file may be holes, which cost memory only here.
    if about.len() > FILE_BYTES {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.rewind().map_err(failed)?;
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > FILE_BYTES {
        true => Err(too_long()),
        false => Ok(bytes),
    }
}

/// Of the cards with one of both categories all addresses; and how many cards have none.
fn of_cards(bytes: &[u8], region: Option<Region>) -> Result<(Vec<Entry>, usize), Error> {
    let (cards, wrong) = vcard::read(bytes);
    if let Some(wrong) = wrong {
        return Err(Error::invalid_argument(wrong.to_string()));
    }
    let (mut entries, mut left_out, total) = (vec![], 0, cards.len());
    for (at, card) in cards.into_iter().enumerate() {
        let Some(list) = card.list else {
            left_out += 1;
            continue;
        };
        let mut reason = card.name;
        while reason.len() > REASON {
            reason.pop();
        }
        for address in card.addresses {
            let address = match address {
                Address::Phone(number) => format!("tel:{number}"),
                Address::Uri(uri) => uri,
            };
            let pattern = Pattern::exact(&address, region);
            let whose = || format!("an address of card {} of {total}", at + 1);
            let pattern = pattern.map_err(|wrong| refused(&whose(), wrong))?;
            let rule = Rule { list, pattern, app: String::new(), expires: 0 };
            entries.push(Entry { rule, reason: reason.clone() });
        }
    }
    if entries.is_empty() {
        let why = "no card of it has the category `blocked` or `allowed`, as CATEGORIES:blocked";
        return Err(Error::invalid_argument(why));
    }
    Ok((entries, left_out))
}
