//! Lists as tables (CSV, RFC 4180): what people exchange, and spreadsheets open.
//!
//! Owns the columns. The first line names them, in any order: `list` (`block` or `allow`; without it, whoever reads says
//! which), `address` (an address or a pattern; no entry is without), `app` (for calls through this app alone), `reason`
//! and `expires` (UTC, `2026-12-31` or `2026-12-31T18:30:00Z`); other columns are left alone. A line that is wrong is named,
//! and says what would be right; what it said is not repeated.

use std::{io, iter};

use thiserror::Error;

use crate::{
    date,
    entry::{APP, Entry, List, REASON, Rule},
    pattern::{self, Pattern},
    region::Region,
};

/// A line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {wrong}")]
pub struct WrongLine {
    pub line: u64,
    pub wrong: Wrong,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    #[error(
        "no column is named `address`; the first line names the columns, as `list,address,app,reason,expires`"
    )]
    Columns,
    #[error("a column is named twice: `{0}`")]
    Twice(&'static str),
    #[error(
        "there are more fields than columns; a field with a comma in it stands in quotes: \"a, b\""
    )]
    Fields,
    #[error("it is not UTF-8; save the list as UTF-8")]
    Letters,
    #[error("a field begins with a quote, and nothing closes it before the end of the table")]
    Unclosed,
    #[error("which list is it? write `block` or `allow`, or name the list when it is imported")]
    List,
    #[error("the address: {0}")]
    Pattern(#[from] pattern::Wrong),
    #[error("the app is an id as `org.example.Phone`, as `callctl providers` lists them")]
    App,
    #[error("the reason has more than {REASON} bytes, or control characters")]
    Reason,
    #[error(
        "`expires` is a day as `2026-12-31`, a time as `2026-12-31T18:30:00Z`, or empty for never"
    )]
    Expires,
}

/// The entries of a table, one after another; nothing is good unless all are. `list` is meant where none is said.
pub fn read<'a>(
    bytes: &'a [u8],
    list: Option<List>,
    region: Option<Region>,
) -> Result<impl Iterator<Item = Result<Entry, WrongLine>> + 'a, WrongLine> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Where the comma divides euros and cents, spreadsheets divide fields by semicolons.
    let semicolon = first.contains(&b';') && !first.contains(&b',');
    let mut reader = csv::ReaderBuilder::new();
    let delimiter = if semicolon { b';' } else { b',' };
    reader.delimiter(delimiter).flexible(true).trim(csv::Trim::All);
    let mut reader = reader.from_reader(bytes);
    let columns = match reader.headers() {
        Ok(names) => Columns::named(names).map_err(|wrong| WrongLine { line: 1, wrong })?,
        Err(error) => return Err(unreadable(bytes, &error)),
    };
    let mut record = csv::StringRecord::new();
    Ok(iter::from_fn(move || {
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(unreadable(bytes, &error))),
            }
            let wrong = |wrong| WrongLine { line: line(bytes, record.position()), wrong };
            // A quote that nothing closes takes all that follows it into one field.
            if reader.position().byte() >= bytes.len() as u64
                && is_unclosed(from(bytes, record.position()), delimiter)
            {
                return Some(Err(wrong(Wrong::Unclosed)));
            }
            // Spreadsheets write them after the last line.
            if !record.iter().all(str::is_empty) {
                return Some(columns.entry(&record, list, region).map_err(wrong));
            }
        }
    }))
}

/// As [`read`] reads it.
pub fn write<W: io::Write>(entries: impl IntoIterator<Item = Entry>, out: W) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    writer.write_record(NAMES)?;
    for Entry { rule, reason } in entries {
        let expires = match rule.expires {
            0 => String::new(),
            at => date::written(at),
        };
        let address = rule.pattern.to_string();
        writer.write_record([rule.list.name(), &address, &rule.app, &reason, &expires])?;
    }
    writer.flush()
}

const NAMES: [&str; 5] = ["list", "address", "app", "reason", "expires"];

/// Where each stands.
struct Columns {
    list: Option<usize>,
    address: usize,
    app: Option<usize>,
    reason: Option<usize>,
    expires: Option<usize>,
    all: usize,
}

impl Columns {
    fn named(names: &csv::StringRecord) -> Result<Columns, Wrong> {
        let named = |wanted: &'static str| {
            let is = |name: &str| name.eq_ignore_ascii_case(wanted);
            let mut at = names.iter().enumerate().filter(|(_, name)| is(name)).map(|(at, _)| at);
            let first = at.next();
            if at.next().is_some() { Err(Wrong::Twice(wanted)) } else { Ok(first) }
        };
        let [list, address, app, reason, expires] = NAMES;
        Ok(Columns {
            list: named(list)?,
            address: named(address)?.ok_or(Wrong::Columns)?,
            app: named(app)?,
            reason: named(reason)?,
            expires: named(expires)?,
            all: names.len(),
        })
    }

    fn entry(
        &self,
        record: &csv::StringRecord,
        list: Option<List>,
        region: Option<Region>,
    ) -> Result<Entry, Wrong> {
        if record.len() > self.all {
            return Err(Wrong::Fields);
        }
        let field = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default();
        let list = match field(self.list) {
            "" => list.ok_or(Wrong::List)?,
            name => List::of_name(name).ok_or(Wrong::List)?,
        };
        let app = field(self.app);
        if !is_app(app) {
            return Err(Wrong::App);
        }
        let reason = field(self.reason);
        if !is_reason(reason) {
            return Err(Wrong::Reason);
        }
        let expires = match field(self.expires) {
            "" => 0,
            text => date::seconds(text).ok_or(Wrong::Expires)?,
        };
        let pattern = Pattern::parse(field(Some(self.address)), region)?;
        let rule = Rule { list, pattern, app: app.to_owned(), expires };
        Ok(Entry { rule, reason: reason.to_owned() })
    }
}

/// Whether this may be the app of an entry: its id, or none.
fn is_app(app: &str) -> bool {
    app.len() <= APP
        && app.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Whether this may be the reason of an entry.
pub fn is_reason(reason: &str) -> bool {
    reason.len() <= REASON && !reason.chars().any(char::is_control)
}

/// Bytes that are in memory cannot fail otherwise.
fn unreadable(bytes: &[u8], error: &csv::Error) -> WrongLine {
    WrongLine { line: line(bytes, error.position()), wrong: Wrong::Letters }
}

/// Whether the text ends within quotes.
fn is_unclosed(text: &[u8], delimiter: u8) -> bool {
    let (mut quoted, mut may_open) = (false, true);
    for byte in text {
        let is_quote = *byte == b'"';
        // One that follows a closing quote stands for itself.
        (quoted, may_open) = match quoted {
            true => (!is_quote, is_quote),
            false => (is_quote && may_open, *byte == delimiter || matches!(byte, b'\r' | b'\n')),
        };
    }
    quoted
}

fn from<'a>(bytes: &'a [u8], at: Option<&csv::Position>) -> &'a [u8] {
    let at = at.and_then(|at| usize::try_from(at.byte()).ok()).unwrap_or_default();
    bytes.get(at..).unwrap_or_default()
}

/// The reader's own count leaves out empty lines before a record, and the second half of a CRLF.
fn line(bytes: &[u8], at: Option<&csv::Position>) -> u64 {
    let at = at.and_then(|at| usize::try_from(at.byte()).ok()).unwrap_or_default();
    let (before, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let ends = before.iter().chain(empty).filter(|byte| **byte == b'\n').count();
    ends as u64 + 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::region::of_country;

    fn all(text: &str, list: Option<List>) -> Result<Vec<Entry>, WrongLine> {
        read(text.as_bytes(), list, of_country("DE"))?.collect()
    }

    fn wrong(text: &str) -> (u64, Wrong) {
        let WrongLine { line, wrong } = all(text, None).unwrap_err();
        (line, wrong)
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "list,address,app,reason,expires\r\n\
            block,tel:+4930*,,\"Sells \"\"wine\"\", cheap\",\r\n\
            allow,sip:ada@example.org,org.example.Phone,,2026-12-31T18:30:00Z\r\n\
            block,anonymous,,,\r\n";
        let entries = all(text, None).unwrap();
        assert_eq!(entries.len(), 3);
        let mut out = vec![];
        write(entries, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn what_spreadsheets_and_people_make_of_it() {
        let text = "\u{feff}Reason;ADDRESS;colour\r\nSpam; 030 123456 ;red\r\n;;\r\n\"two\nlines are wrong\";1;\r\n";
        let mut entries = read(text.as_bytes(), Some(List::Block), of_country("DE")).unwrap();
        let first = entries.next().unwrap().unwrap();
        assert_eq!(
            (first.rule.pattern.to_string().as_str(), first.reason.as_str()),
            ("tel:+4930123456", "Spam")
        );
        assert_eq!(
            entries.next().unwrap().unwrap_err(),
            WrongLine { line: 4, wrong: Wrong::Reason }
        );
        assert!(all("address\n", None).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let pattern = Wrong::Pattern(pattern::Wrong::National);
        for (text, line, what) in [
            ("", 1, Wrong::Columns),
            ("tel:+491\n", 1, Wrong::Columns),
            ("address,Address\n", 1, Wrong::Twice("address")),
            ("list,address\nblock,1,2\n", 2, Wrong::Fields),
            ("list,address\nblock,1\n\n\"grey\",2\n", 4, Wrong::List),
            ("address\n1\n", 2, Wrong::List),
            ("list,address\nblock,tel:030*\n", 2, pattern),
            ("list,address\nblock,\n", 2, Wrong::Pattern(pattern::Wrong::Empty)),
            ("list,address,app\nblock,1,Not/An/App\n", 2, Wrong::App),
            ("list,address,expires\nblock,1,soon\n", 2, Wrong::Expires),
            ("list,address,reason\nblock,1,\nblock,\"2,x\nblock,3,\n", 3, Wrong::Unclosed),
            ("list,address,reason\nblock,1,\"a \"\"b\"\"\n", 2, Wrong::Unclosed),
        ] {
            assert_eq!(wrong(text), (line, what), "{text:?}");
        }
        for closed in ["\"a \"\"b\"\"\"", "5\" pipes", "\"a\"b\"", "\"\"", "a"] {
            let text = format!("list,address,reason\nblock,1,{closed}");
            assert_eq!(all(&text, None).map(|all| all.len()), Ok(1), "{closed}");
        }
        let latin = read(b"list,address\nblock,sip:m\xfcller@x\n", None, None).unwrap().next();
        assert_eq!(latin.unwrap().unwrap_err(), WrongLine { line: 2, wrong: Wrong::Letters });
    }
}
