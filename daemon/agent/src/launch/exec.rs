//! `Exec` lines: what the specification makes of them, word by word, without a shell.
//!
//! Owns quoting and field codes. Pure.

use thiserror::Error;

use super::entry::Entry;

/// Why a line cannot be run.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    #[error("it says nothing to run")]
    Empty,
    #[error("a \" is not closed")]
    Unclosed,
    #[error("%{0} is no field code; a % is written %%")]
    Code(char),
    #[error("it ends with %")]
    Cut,
}

/// The program and its arguments; `uri` where `%u` or `%U` says so.
pub fn words(line: &str, entry: &Entry, uri: Option<&str>) -> Result<Vec<String>, ExecError> {
    let mut all = Vec::new();
    for word in split(line)? {
        expand(&word, entry, uri, &mut all)?;
    }
    match all.first().is_some_and(|program| !program.is_empty()) {
        true => Ok(all),
        false => Err(ExecError::Empty),
    }
}

/// A word as it stands in the line, without its quotes.
struct Word {
    text: String,
    quoted: bool,
}

fn split(line: &str) -> Result<Vec<Word>, ExecError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut inside = false;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' if !inside => words.extend(word.take()),
            '"' => {
                inside = !inside;
                word.get_or_insert(Word { text: String::new(), quoted: true }).quoted = true;
            }
            _ => {
                let word = word.get_or_insert(Word { text: String::new(), quoted: false });
                // Within quotes `\` keeps the next letter from meaning anything; without, it is one as any.
                match letter {
                    '\\' if inside => word.text.extend(letters.next()),
                    _ => word.text.push(letter),
                }
            }
        }
    }
    if inside {
        return Err(ExecError::Unclosed);
    }
    words.extend(word);
    Ok(words)
}

fn expand(
    word: &Word,
    entry: &Entry,
    uri: Option<&str>,
    all: &mut Vec<String>,
) -> Result<(), ExecError> {
    // As a word of their own they may be none, or two.
    match word.text.as_str() {
        "%i" if !word.quoted => {
            if !entry.icon.is_empty() {
                all.extend(["--icon".to_owned(), entry.icon.clone()]);
            }
            return Ok(());
        }
        "%u" | "%U" if !word.quoted => {
            all.extend(uri.map(str::to_owned));
            return Ok(());
        }
        "%f" | "%F" | "%d" | "%D" | "%n" | "%N" | "%v" | "%m" if !word.quoted => return Ok(()),
        _ => {}
    }
    let mut text = String::with_capacity(word.text.len());
    let mut letters = word.text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next().ok_or(ExecError::Cut)? {
            '%' => text.push('%'),
            'u' | 'U' => text.push_str(uri.unwrap_or_default()),
            'c' => text.push_str(&entry.name),
            'k' => text.push_str(&entry.file.to_string_lossy()),
            // There are no files; the others are deprecated and mean nothing.
            'f' | 'F' | 'i' | 'd' | 'D' | 'n' | 'N' | 'v' | 'm' => {}
            other => return Err(ExecError::Code(other)),
        }
    }
    all.push(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(line: &str, uri: Option<&str>) -> Result<Vec<String>, ExecError> {
        let entry = Entry {
            file: "/share/x.desktop".into(),
            name: "My Phone".into(),
            icon: "phone".into(),
            ..Entry::default()
        };
        words(line, &entry, uri)
    }

    #[test]
    fn words_and_codes() {
        let uri = Some("sip:a%20b@x;$(reboot)");
        for (line, expected) in [
            ("phone", &["phone"][..]),
            ("  phone  -x ", &["phone", "-x"]),
            ("phone %u", &["phone", "sip:a%20b@x;$(reboot)"]),
            ("phone --uri=%U --", &["phone", "--uri=sip:a%20b@x;$(reboot)", "--"]),
            ("phone %F %f %m", &["phone"]),
            ("phone %i %c %k", &["phone", "--icon", "phone", "My Phone", "/share/x.desktop"]),
            ("phone 100%%", &["phone", "100%"]),
            (
                r#""/opt/My Phone/run" "a \"b\" \$c \`d\` \\e" """#,
                &["/opt/My Phone/run", "a \"b\" $c `d` \\e", ""],
            ),
            ("env A=1 phone", &["env", "A=1", "phone"]),
            (r"C:\phone", &[r"C:\phone"]),
            // A desktop writes the field code of Flatpak's exports between its own marks.
            (
                "flatpak run --file-forwarding org.x @@u %u @@",
                &[
                    "flatpak",
                    "run",
                    "--file-forwarding",
                    "org.x",
                    "@@u",
                    "sip:a%20b@x;$(reboot)",
                    "@@",
                ],
            ),
        ] {
            assert_eq!(run(line, uri).unwrap(), expected, "{line}");
        }
        assert_eq!(run("phone %u", None).unwrap(), ["phone"]);
        assert_eq!(run("phone --uri=%u", None).unwrap(), ["phone", "--uri="]);
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        assert_eq!(run("", None), Err(ExecError::Empty));
        assert_eq!(run("%u", None), Err(ExecError::Empty));
        assert_eq!(run("\"\"", None), Err(ExecError::Empty));
        assert_eq!(run("phone \"a", None), Err(ExecError::Unclosed));
        assert_eq!(run("phone %y", None), Err(ExecError::Code('y')));
        assert_eq!(run("phone 5%", None), Err(ExecError::Cut));
    }
}
