//! The address books of Evolution Data Server, which GNOME's programs share, asked over the session bus.
//!
//! Owns how it is spoken to. It searches itself, for the end of a number with anything between its digits
//! or for accounts that contain a word; whether what it finds is who calls, `reach` says.

use std::collections::HashMap;

use callarbiter_lists::{region::Region, vcard};
use futures_util::{StreamExt, stream};
use tracing::debug;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, fdo::DBusProxy};

use super::{
    Found, files,
    reach::{Likeness, Reach},
};

/// Names on the bus end with the number of an API that has been what is used here since version 3.12.
const SOURCES: &str = "org.gnome.evolution.dataserver.Sources";
const BOOKS: &str = "org.gnome.evolution.dataserver.AddressBook";
const SOURCE: &str = "org.gnome.evolution.dataserver.Source";
const FACTORY: &str = "org.gnome.evolution.dataserver.AddressBookFactory";

/// Books asked at the same time.
const AT_ONCE: usize = 8;
/// Cards looked at of one answer; an ending of seven digits is shared by few.
const ANSWERS: usize = 1_000;

/// The server, where there is one.
#[derive(Clone, Debug)]
pub struct Evolution {
    session: Connection,
    /// It is started only for a user who has used it.
    used: bool,
}

type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>>;

impl Evolution {
    /// In this session; `used`: it may be started.
    pub fn new(session: &Connection, used: bool) -> Evolution {
        Evolution { session: session.clone(), used }
    }

    /// Who is likest in all enabled books. A book that cannot be searched is as one in which nobody is.
    pub async fn look_up(
        &self,
        handle: &Reach,
        region: Option<Region>,
    ) -> Option<(Found, Likeness)> {
        let query = query(handle)?;
        let (sources, books) = self.names().await.ok().flatten()?;
        let enabled =
            self.enabled(&sources).await.inspect_err(|error| debug!(%error, "no sources")).ok()?;
        let answers = stream::iter(enabled).map(|source| {
            let (books, query) = (&books, &query);
            async move {
                let cards = self.search(books, &source, query).await;
                cards
                    .inspect_err(|error| debug!(%error, "an address book does not answer"))
                    .unwrap_or_default()
            }
        });
        let answers: Vec<Vec<String>> = answers.buffer_unordered(AT_ONCE).collect().await;
        let cards: Vec<_> = answers
            .iter()
            .flat_map(|cards| cards.iter().take(ANSWERS))
            .flat_map(|card| vcard::read(card.as_bytes()).0)
            .collect();
        files::likest(cards.iter(), handle, region)
    }

    /// The names of the two services, the newest of each, if they may be called.
    async fn names(&self) -> zbus::Result<Option<(String, String)>> {
        let bus = DBusProxy::new(&self.session).await?;
        let mut all: Vec<String> =
            bus.list_names().await?.iter().map(ToString::to_string).collect();
        if self.used || newest(&all, SOURCES).is_some() {
            all.extend(bus.list_activatable_names().await?.iter().map(ToString::to_string));
        }
        Ok(newest(&all, SOURCES).zip(newest(&all, BOOKS)))
    }

    /// The enabled address books.
    async fn enabled(&self, sources: &str) -> zbus::Result<Vec<String>> {
        let path = "/org/gnome/evolution/dataserver/SourceManager";
        let objects = self.call(
            sources,
            path,
            "org.freedesktop.DBus.ObjectManager",
            "GetManagedObjects",
            &(),
        );
        let objects: Objects = objects.await?.body().deserialize()?;
        let text = |source: &HashMap<String, OwnedVariant>, key| {
            source.get(key).and_then(|value| <&str>::try_from(value).ok()).map(str::to_owned)
        };
        let sources = objects.values().filter_map(|object| object.get(SOURCE));
        let books = sources
            .filter(|source| text(source, "Data").is_some_and(|data| is_enabled_book(&data)));
        Ok(books.filter_map(|source| text(source, "UID")).collect())
    }

    async fn search(&self, books: &str, source: &str, query: &str) -> zbus::Result<Vec<String>> {
        let factory = "/org/gnome/evolution/dataserver/AddressBookFactory";
        let opened = self.call(books, factory, FACTORY, "OpenAddressBook", &source).await?;
        let (path, name): (String, String) = opened.body().deserialize()?;
        let book = async |member: &str| self.call(&name, &path, BOOKS, member, &()).await;
        book("Open").await?;
        let found = self.call(&name, &path, BOOKS, "GetContactList", &query).await;
        // Its process ends when nobody has it open.
        book("Close").await?;
        found?.body().deserialize()
    }

    async fn call<B>(
        &self,
        name: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.session.call_method(Some(name), path, Some(interface), member, body).await
    }
}

fn newest(names: &[String], prefix: &str) -> Option<String> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u32>().ok();
    names.iter().filter(|name| number(name).is_some()).max_by_key(|name| number(name)).cloned()
}

/// Its description is a key file.
fn is_enabled_book(data: &str) -> bool {
    let has = |wanted: &str| data.lines().any(|line| line.trim() == wanted);
    has("[Address Book]") && !has("Enabled=false")
}

/// What to search for; none for an address that no book could have.
fn query(handle: &Reach) -> Option<String> {
    let mut any = String::new();
    if let Some(ending) = handle.ending() {
        let digits: Vec<String> = ending.chars().map(String::from).collect();
        any += &format!(" (regex_raw \"phone\" {})", quoted(&digits.join("[^0-9]*")));
    }
    if let Some(account) = handle.account() {
        let account = quoted(account);
        for field in ["impp", "email", "im_jabber"] {
            any += &format!(" (contains \"{field}\" {account})");
        }
        // Its search knows these as a field and fails on it.
        any += " (exists_vcard \"X-SIP\")";
    }
    (!any.is_empty()).then(|| format!("(or{any})"))
}

/// Callers write it, so nothing in it is a query.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_never_a_query() {
        let handle = Reach::of_uri("sip:a\\\") (exists \"full_name\"@x", None);
        let query = query(&handle).unwrap_or_default();
        assert!(query.contains(r#""a\\\") (exists \"full_name\"@x""#), "{query}");
    }

    #[test]
    fn books_and_their_names() {
        let names = [
            "a.b",
            "org.gnome.evolution.dataserver.Sources5",
            "org.gnome.evolution.dataserver.Sources10",
            "org.gnome.evolution.dataserver.SourcesX",
        ]
        .map(str::to_owned);
        assert_eq!(
            newest(&names, SOURCES).as_deref(),
            Some("org.gnome.evolution.dataserver.Sources10")
        );
        assert_eq!(newest(&names, BOOKS), None);
        assert!(is_enabled_book(
            "\n[Data Source]\nEnabled=true\n[Address Book]\nBackendName=local\n"
        ));
        assert!(!is_enabled_book("[Data Source]\nEnabled=false\n[Address Book]\n"));
        assert!(!is_enabled_book("[Data Source]\n[Calendar]\n"));
    }
}
