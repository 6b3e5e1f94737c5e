//! Desktop entries: where an app's lies, and what of it matters for starting the app.
//!
//! Owns the file format and the search. What its `Exec` line becomes is `exec`'s; nothing is started here.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use callarbiter_dbus::limits::is_app_id;
use thiserror::Error;

use crate::places;

/// An entry of type Application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub file: PathBuf,
    pub name: String,
    pub icon: String,
    pub exec: Option<String>,
    pub try_exec: Option<String>,
    /// The directory in which it wants to run.
    pub path: Option<PathBuf>,
    pub terminal: bool,
    pub bus_activatable: bool,
    /// It says that it opens URIs of these schemes.
    pub schemes: Vec<String>,
}

/// Why there is no entry.
#[derive(Debug, Error)]
pub enum EntryError {
    #[error("{0:?} is no app id")]
    NoAppId(String),
    #[error("no {id}.desktop lies in {searched}; is the app installed for this user?")]
    NotFound { id: String, searched: String },
    #[error("{0} says Hidden: the app was removed by this user")]
    Hidden(PathBuf),
    #[error("{file}: {source}")]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{0} is longer than {LONGEST} bytes")]
    TooLong(PathBuf),
    #[error("{file} is no entry of an app: {what}")]
    NoApplication { file: PathBuf, what: &'static str },
}

/// Entries of office suites with all their translations are a tenth of it.
const LONGEST: u64 = 1024 * 1024;

/// Where entries lie, the user's own first.
pub fn folders() -> Vec<PathBuf> {
    let all = places::data().into_iter().chain(places::everybodys_data());
    all.map(|folder| folder.join("applications")).collect()
}

/// The entry of this app: the first that is found counts, also where it says that there is none.
pub fn find(folders: &[PathBuf], app_id: &str) -> Result<Entry, EntryError> {
    if !is_app_id(app_id) {
        return Err(EntryError::NoAppId(app_id.chars().take(64).collect()));
    }
    let names = names(app_id);
    let paths = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    for file in paths {
        match read(&file) {
            Ok(text) => return parse(&text, &file),
            Err(EntryError::Unreadable { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(error),
        }
    }
    let searched: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(EntryError::NotFound { id: app_id.to_owned(), searched: searched.join(", ") })
}

/// A `-` in the id of an entry may stand for a folder: `kde-phone` is `kde/phone.desktop`, too.
fn names(app_id: &str) -> Vec<String> {
    let mut names = vec![format!("{app_id}.desktop")];
    let dashes = app_id.match_indices('-').map(|(at, _)| at);
    names.extend(dashes.filter_map(|at| {
        let (folders, file) = (app_id.get(..at)?.replace('-', "/"), app_id.get(at + 1..)?);
        // Not out of the folder of entries, and not into one that is none of theirs.
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.');
        let good = folders.split('/').all(plain) && plain(file);
        good.then(|| format!("{folders}/{file}.desktop"))
    }));
    names
}

fn read(file: &Path) -> Result<String, EntryError> {
    let unreadable = |source| EntryError::Unreadable { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(EntryError::TooLong(file.to_owned())),
        false => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn parse(text: &str, file: &Path) -> Result<Entry, EntryError> {
    let none = |what| EntryError::NoApplication { file: file.to_owned(), what };
    let mut entry = Entry { file: file.to_owned(), ..Entry::default() };
    let (mut in_group, mut kind, mut hidden) = (false, None, false);
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[') {
            in_group = group == "Desktop Entry]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| in_group) else { continue };
        let value = value.trim_start();
        match key.trim_end() {
            "Type" => kind = Some(value),
            "Hidden" => hidden = value == "true",
            "Name" => entry.name = unescaped(value),
            "Icon" => entry.icon = unescaped(value),
            "Exec" => entry.exec = Some(unescaped(value)),
            "TryExec" => entry.try_exec = Some(unescaped(value)),
            "Path" => {
                entry.path =
                    Some(unescaped(value).into()).filter(|path: &PathBuf| path.is_absolute())
            }
            "Terminal" => entry.terminal = value == "true",
            "DBusActivatable" => entry.bus_activatable = value == "true",
            "MimeType" => {
                let types = value.split(';').map(str::trim);
                let schemes = types.filter_map(|mime| mime.strip_prefix("x-scheme-handler/"));
                entry.schemes = schemes.map(str::to_ascii_lowercase).collect();
            }
            _ => {}
        }
    }
    match kind {
        _ if hidden => Err(EntryError::Hidden(file.to_owned())),
        Some("Application") => Ok(entry),
        Some(_) => Err(none("its Type is not Application")),
        None => Err(none("it has no Type in a group [Desktop Entry]")),
    }
}

/// The escapes of values: `\s`, `\n`, `\t`, `\r`, `\\`; what else follows a `\` stays with it, as quoting needs it.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('s') => text.push(' '),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\\') => text.push('\\'),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PHONE: &str = "# made by hand\n[Desktop Entry]\nType = Application\nName=Phone\nName[de]=Telefon\n\
        Icon=org.x.Phone\nExec=phone --call %u\nMimeType=x-scheme-handler/TEL;text/vcard;x-scheme-handler/sip;\n\
        [Desktop Action New]\nName=New call\nExec=phone --new\n";

    fn entry(text: &str) -> Result<Entry, EntryError> {
        parse(text, Path::new("/x.desktop"))
    }

    #[test]
    fn what_matters_is_read_from_its_group_alone() {
        let phone = entry(PHONE).unwrap();
        assert_eq!(
            (phone.name.as_str(), phone.exec.as_deref()),
            ("Phone", Some("phone --call %u"))
        );
        assert_eq!(phone.schemes, ["tel", "sip"]);
        assert!(!phone.terminal && !phone.bus_activatable && phone.path.is_none());
        let other = entry(
            "[Desktop Entry]\nType=Application\nDBusActivatable=true\nTerminal=true\nPath=/srv\n",
        );
        let other = other.unwrap();
        assert!(
            other.bus_activatable && other.terminal && other.path.is_some() && other.exec.is_none()
        );
    }

    #[test]
    fn what_is_no_app_is_named() {
        for (text, words) in [
            ("", "no Type"),
            ("Type=Application\n", "no Type"),
            ("[Desktop Entry]\nType=Link\nURL=x\n", "not Application"),
            ("[Desktop Entry]\nType=Application\nHidden=true\n", "removed by this user"),
            ("[Desktop Entry]\nHidden=true\n", "removed by this user"),
        ] {
            let refused = entry(text).unwrap_err().to_string();
            assert!(refused.contains(words) && refused.contains("/x.desktop"), "{text}: {refused}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(r#"a\sb\tc\\d \"e\" \$x\"#), "a b\tc\\d \\\"e\\\" \\$x\\");
    }

    #[test]
    fn the_users_own_entry_counts_and_a_dash_may_be_a_folder() {
        let top = tempfile::tempdir().unwrap();
        let folders = [top.path().join("home"), top.path().join("system")];
        let write = |place: &str, text: &str| {
            let file = top.path().join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("system/org.x.Phone.desktop", PHONE);
        write("system/kde/old/phone.desktop", PHONE);
        assert_eq!(find(&folders, "org.x.Phone").unwrap().name, "Phone");
        assert_eq!(find(&folders, "kde-old-phone").unwrap().name, "Phone");
        write("home/org.x.Phone.desktop", "[Desktop Entry]\nHidden=true\n");
        let removed = find(&folders, "org.x.Phone").unwrap_err();
        assert!(matches!(removed, EntryError::Hidden(_)), "{removed}");
        let missing = find(&folders, "org.x.Other").unwrap_err().to_string();
        assert!(missing.contains("home") && missing.contains("system"), "{missing}");
    }

    #[test]
    fn no_id_leads_out_of_the_folders() {
        assert_eq!(names("a-..-b"), ["a-..-b.desktop"]);
        assert_eq!(names("-a"), ["-a.desktop"]);
        let refused = find(&[], "../etc/passwd").unwrap_err();
        assert!(matches!(refused, EntryError::NoAppId(_)), "{refused}");
    }
}
