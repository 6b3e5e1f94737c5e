//! Where the sound of a name lies: the rules of the freedesktop sound theme specification.
//!
//! Owns those rules. Names come from apps: none leads out of the themes' directories.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::PathBuf,
};

use crate::places;

/// The theme that every other one inherits.
pub const FALLBACK: &str = "freedesktop";

/// In the order in which they are tried; one with `disabled` means that the theme wants no sound.
const EXTENSIONS: [&str; 4] = ["disabled", "oga", "ogg", "wav"];

/// So many themes inherit one another at most.
const THEMES: usize = 16;

/// Where sounds lie, the user's own first.
pub fn bases() -> Vec<PathBuf> {
    let all = places::data().into_iter().chain(places::everybodys_data());
    all.map(|data| data.join("sounds")).collect()
}

/// The file for this name in this theme, in those that it inherits, or beside the themes.
pub fn find(bases: &[PathBuf], theme: &str, name: &str) -> Option<PathBuf> {
    if !is_plain(name) {
        return None;
    }
    let mut themes = VecDeque::from([theme.to_owned()]);
    let mut seen = vec![];
    while let Some(theme) = themes.pop_front().or_else(|| fallback(&seen)) {
        if !is_plain(&theme) || seen.contains(&theme) || seen.len() > THEMES {
            continue;
        }
        let index = bases.iter().map(|base| base.join(&theme).join("index.theme"));
        let index = index.filter_map(|file| fs::read_to_string(file).ok()).next();
        let index = Index::read(&index.unwrap_or_default());
        for directory in index.directories() {
            let places = bases.iter().map(|base| base.join(&theme).join(directory));
            match in_places(&places.collect::<Vec<_>>(), name) {
                Found::Sound(file) => return Some(file),
                Found::Silence => return None,
                Found::Nothing => {}
            }
        }
        themes.extend(index.inherits());
        seen.push(theme);
    }
    match in_places(bases, name) {
        Found::Sound(file) => Some(file),
        Found::Silence | Found::Nothing => None,
    }
}

fn fallback(seen: &[String]) -> Option<String> {
    let tried = seen.iter().any(|theme| theme == FALLBACK) || seen.len() > THEMES;
    (!tried).then(|| FALLBACK.to_owned())
}

enum Found {
    Sound(PathBuf),
    Silence,
    Nothing,
}

/// `phone-incoming-call`, else `phone-incoming`, else `phone`.
fn in_places(places: &[PathBuf], name: &str) -> Found {
    let mut name = Some(name);
    while let Some(shorter) = name {
        for place in places {
            for extension in EXTENSIONS {
                let file = place.join(format!("{shorter}.{extension}"));
                if file.is_file() {
                    let silence = extension == "disabled";
                    return if silence { Found::Silence } else { Found::Sound(file) };
                }
            }
        }
        name = shorter.rsplit_once('-').map(|(shorter, _)| shorter);
    }
    Found::Nothing
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// `index.theme`: section, key, value.
#[derive(Default)]
struct Index(BTreeMap<String, BTreeMap<String, String>>);

impl Index {
    fn read(text: &str) -> Index {
        let (mut index, mut section) = (Index::default(), String::new());
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name.to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let section = index.0.entry(section.clone()).or_default();
                section.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
        index
    }

    fn value(&self, section: &str, key: &str) -> &str {
        let value = self.0.get(section).and_then(|section| section.get(key));
        value.map(String::as_str).unwrap_or_default()
    }

    /// Those for two loudspeakers, and those for any.
    fn directories(&self) -> impl Iterator<Item = &str> {
        let named = self.value("Sound Theme", "Directories").split(',').map(str::trim);
        let plain = |name: &&str| name.split('/').all(is_plain);
        named.filter(plain).filter(|name| {
            let profile = self.value(name, "OutputProfile");
            profile.is_empty() || profile == "stereo"
        })
    }

    fn inherits(&self) -> impl Iterator<Item = String> {
        let named = self.value("Sound Theme", "Inherits").split(',').map(str::trim);
        named.filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lay(files: &[(&str, &str)]) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = top.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        top
    }

    #[test]
    fn a_theme_then_what_it_inherits_then_freedesktop_then_no_theme() {
        let index = |inherits| {
            format!(
                "[Sound Theme]\nDirectories=stereo, loud\nInherits={inherits}\n[loud]\nOutputProfile=5.1\n"
            )
        };
        let (sea, lake, none) = (index("lake"), index("sea,lake"), index(""));
        let top = lay(&[
            ("home/sea/index.theme", &sea),
            ("home/sea/stereo/bell.oga", ""),
            ("home/sea/stereo/phone.wav", ""),
            ("home/sea/stereo/hush.disabled", ""),
            ("home/sea/loud/boom.oga", ""),
            ("usr/sea/stereo/bell.ogg", ""),
            ("usr/sea/stereo/horn.ogg", ""),
            ("usr/lake/index.theme", &lake),
            ("usr/lake/stereo/wave.oga", ""),
            ("usr/lake/stereo/hush.oga", ""),
            ("usr/freedesktop/index.theme", &none),
            ("usr/freedesktop/stereo/drip.oga", ""),
            ("home/own.wav", ""),
            ("secret.wav", ""),
        ]);
        let bases = ["home", "usr"].map(|base| top.path().join(base));
        let find = |theme: &str, name: &str| {
            let file = find(&bases, theme, name)?;
            Some(file.strip_prefix(top.path()).unwrap().to_str().unwrap().to_owned())
        };
        for (theme, name, file) in [
            ("sea", "bell", Some("home/sea/stereo/bell.oga")),
            ("sea", "horn", Some("usr/sea/stereo/horn.ogg")),
            ("sea", "phone-incoming-call", Some("home/sea/stereo/phone.wav")),
            ("sea", "wave", Some("usr/lake/stereo/wave.oga")),
            ("sea", "drip", Some("usr/freedesktop/stereo/drip.oga")),
            ("desert", "drip", Some("usr/freedesktop/stereo/drip.oga")),
            ("sea", "own", Some("home/own.wav")),
            ("sea", "hush", None),
            ("sea", "boom", None),
            ("sea", "../../../secret", None),
            ("../home/sea", "bell", None),
            ("sea", "", None),
        ] {
            assert_eq!(find(theme, name).as_deref(), file, "{name} in {theme}");
        }
    }
}
