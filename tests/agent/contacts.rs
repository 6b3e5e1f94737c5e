//! Contacts: callers have the names of the user's address books, vCard files and a real Evolution Data Server.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use harness::{Peer, eventually, options};

use crate::desk::Desk;

const ADA: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:uid-ada\r\nFN:Ada Lovelace\r\nTEL;TYPE=CELL:(020) 7946-0000\r\n\
    X-SIP:ada@sip.example.org\r\nEND:VCARD\r\n";

#[tokio::test]
async fn a_caller_has_the_users_name_for_them_and_a_new_one_when_the_card_changes() -> Result<()> {
    let desk = Desk::new().await?;
    let folder = desk.home().join(".local/share/contacts/family");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("ada.vcf"), ADA)?;
    fs::write(folder.join("broken.vcf"), "BEGIN:VCARD\nFN:Charles Babbage\nTEL:1\n")?;
    let agent = desk.agent_in("contacts", &[("LC_ALL", PathBuf::from("en_GB.UTF-8"))]).await?;
    let call = claimed(&desk, "tel:+442079460000", "Your Bank").await?;
    named(&desk, &call, "Ada Lovelace", "contacts").await?;
    let id = desk.phone.peer.property(&call, "Call", "ContactId").await?;
    assert_eq!(String::try_from(id)?, "uid-ada");
    desk.phone.peer.end(&call).await?;

    fs::write(folder.join("ada.new"), ADA.replace("Ada Lovelace", "Countess of Lovelace"))?;
    fs::rename(folder.join("ada.new"), folder.join("ada.vcf"))?;
    let call = claimed(&desk, "sip:ada@sip.example.org;transport=tcp", "").await?;
    named(&desk, &call, "Countess of Lovelace", "contacts").await?;
    desk.phone.peer.end(&call).await?;

    let call = claimed(&desk, "tel:+442079461111", "Somebody").await?;
    named(&desk, &call, "Somebody", "claimed").await?;
    let log = agent.log();
    assert!(log.contains("does not end") && log.contains("bytes=37"), "{log}");
    assert!(!log.contains("broken.vcf"), "the name of a file may be somebody's: {log}");
    // Longer than what a time in the log can happen to have.
    for word in ["Lovelace", "Babbage", "2079460000", "2079461111", "Somebody"] {
        assert!(!log.contains(word), "{word} is in the log: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn folders_and_region_are_the_users_choice() -> Result<()> {
    let desk = Desk::new().await?;
    let (home, _) = (desk.home(), desk.launch("true")?);
    fs::create_dir_all(home.join(".config/callarbiter"))?;
    fs::write(
        home.join(".config/callarbiter/agent.toml"),
        "[contacts]\nfolders = [\"~/.contacts\"]\nregion = \"DE\"\n",
    )?;
    let _agent = desk.agent("contacts").await?;
    // The folder comes later than the agent.
    fs::create_dir_all(home.join(".contacts"))?;
    fs::write(
        home.join(".contacts/all.vcf"),
        "BEGIN:VCARD\nVERSION:2.1\nN:Noether;Emmy\nTEL;WORK:09131/85-123\nEND:VCARD\n",
    )?;
    let call = claimed(&desk, "tel:+49913185123", "").await?;
    named(&desk, &call, "Emmy Noether", "contacts").await
}

#[tokio::test]
async fn evolution_data_server_is_asked() -> Result<()> {
    let desk = Desk::new().await?;
    let book = Evolution::start(&desk).await?;
    book.add(ADA).await?;
    book.add("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Grace Hopper\r\nIMPP:sip:grace@navy.example\r\nEMAIL:grace@example.org\r\nEND:VCARD").await?;
    let agent = desk.agent_in("contacts", &[("LC_ALL", PathBuf::from("en_GB.UTF-8"))]).await?;
    for (handle, name) in [
        ("tel:+442079460000", "Ada Lovelace"),
        ("sip:ada@sip.example.org:5060", "Ada Lovelace"),
        ("sip:grace@navy.example", "Grace Hopper"),
        ("sip:grace@example.org", "Grace Hopper"),
    ] {
        let call = claimed(&desk, handle, "").await?;
        named(&desk, &call, name, "contacts").await?;
        desk.phone.peer.end(&call).await?;
    }
    // Nobody, and nothing of it is a query.
    let call = claimed(&desk, "sip:\") (exists \"full_name\") (\"@example.org", "Nobody").await?;
    named(&desk, &call, "Nobody", "claimed").await?;
    assert!(!agent.log().contains("Hopper"), "{}", agent.log());
    Ok(())
}

async fn claimed(desk: &Desk, handle: &str, name: &str) -> Result<String> {
    let (handle, name) = (handle.to_owned(), name.to_owned());
    let update = options([("remote-handle", handle.into()), ("display-name", name.into())]);
    Ok(desk.phone.report_incoming_call(&uuid::Uuid::new_v4().to_string(), &update).await?)
}

async fn named(desk: &Desk, call: &str, name: &str, source: &str) -> Result<()> {
    let what = format!("the call has the name {name}, from {source}");
    eventually(&what, async || {
        let text = async |of| -> Option<String> {
            String::try_from(desk.phone.peer.property(call, "Call", of).await.ok()?).ok()
        };
        (text("DisplayName").await? == name && text("NameSource").await? == source).then_some(())
    })
    .await
}

/// The real server with its own address book, in the desk's home.
struct Evolution {
    peer: Peer,
    name: String,
    path: String,
}

const BOOK: &str = "org.gnome.evolution.dataserver.AddressBook";

impl Evolution {
    async fn start(desk: &Desk) -> Result<Evolution> {
        let installed = fs::read_dir("/usr/share/dbus-1/services")?.flatten();
        let names = installed.filter_map(|file| {
            let name = file.file_name().to_string_lossy().strip_suffix(".service")?.to_owned();
            name.starts_with("org.gnome.evolution.dataserver.").then_some(name)
        });
        let mut factory = None;
        for name in names {
            let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let program = match kind.rsplit('.').next() {
                Some("Sources") => "evolution-source-registry",
                Some("AddressBook") => "evolution-addressbook-factory",
                _ => continue,
            };
            if program.ends_with("factory") {
                factory = Some(name.clone());
            }
            let command = format!("GSETTINGS_BACKEND=memory /usr/libexec/{program}");
            desk.activatable(&name, &command).await?;
        }
        let factory = factory.ok_or(anyhow::anyhow!("evolution-data-server is missing"))?;
        let peer = desk.bus().connect().await?;
        let at = "/org/gnome/evolution/dataserver/AddressBookFactory";
        let interface = "org.gnome.evolution.dataserver.AddressBookFactory";
        let opened =
            peer.call_at(&factory, at, interface, "OpenAddressBook", &"system-address-book");
        let (path, name): (String, String) = opened.await?;
        let _properties: Vec<String> = peer.call_at(&name, &path, BOOK, "Open", &()).await?;
        Ok(Evolution { peer, name, path })
    }

    async fn add(&self, card: &str) -> Result<()> {
        let body = (vec![card], 0u32);
        let _ids: Vec<String> =
            self.peer.call_at(&self.name, &self.path, BOOK, "CreateContacts", &body).await?;
        Ok(())
    }
}
