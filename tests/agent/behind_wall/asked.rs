//! Everything that an app behind a wall can ask, with what it is told: one row a method of the contract, or several
//! where it matters what is asked about.

use anyhow::{Result, bail, ensure};
use harness::{ERROR, Options, ROOT, action, interface, options};
use zbus::{ObjectPath, Variant};

use super::{Answer, BOXED, Scene};
use crate::history::OBJECT;

/// A question.
pub struct Row {
    of: &'static str,
    pub member: &'static str,
    /// What it is asked about, where there is more than one row.
    pub about: &'static str,
    /// The error that it gets without the permission `control`; empty for none.
    pub without: &'static str,
    /// With it, the answer has words about people in it.
    pub reveals: bool,
}

impl Row {
    /// Its full name.
    pub fn interface(&self) -> String {
        match self.of {
            standard if standard.starts_with("org.") => standard.to_owned(),
            short => interface(short).replace("Calls1.Agent1", "Agent1"),
        }
    }

    pub fn what(&self) -> String {
        format!("{}.{} {}", self.of, self.member, self.about)
    }
}

const fn row(
    of: &'static str,
    member: &'static str,
    about: &'static str,
    without: &'static str,
) -> Row {
    Row { of, member, about, without, reveals: false }
}

const fn open(of: &'static str, member: &'static str, about: &'static str) -> Row {
    Row { of, member, about, without: "", reveals: true }
}

/// By the connection of the app's own provider.
pub const OWN: &str = "of its own call";

const DENIED: &str = "AccessDenied";

/// What the arbiter asks of others; the bus lets nobody else.
pub const ASKED_OF_APPS: [&str; 2] = ["Agent", "ProviderDelegate"];

pub const STANDARD: &[Row] = &[
    open("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""),
    open("org.freedesktop.DBus.Properties", "GetAll", "calls"),
    open("org.freedesktop.DBus.Properties", "GetAll", "audio"),
    open("org.freedesktop.DBus.Properties", "GetAll", "transaction"),
    row("org.freedesktop.DBus.Properties", "GetAll", "the rest", ""),
    open("org.freedesktop.DBus.Properties", "Get", "RemoteHandle"),
    open("org.freedesktop.DBus.Properties", "Get", "DisplayName"),
    row("org.freedesktop.DBus.Introspectable", "Introspect", "", ""),
];

pub const TABLE: &[Row] = &[
    open("Manager", "Subscribe", ""),
    row("Manager", "Unsubscribe", "", ""),
    row("Manager", "RegisterProvider", "as another app", DENIED),
    row("Manager", "RegisterAgent", "", DENIED),
    row("Manager", "RequestTransaction", "", DENIED),
    row("Manager", "PlanTransaction", "of another app's call", DENIED),
    row("Manager", "PlanTransaction", OWN, ""),
    open("Manager", "Explain", "a call that lives"),
    open("Manager", "Explain", "a call that is over"),
    row("Manager", "OpenRingtone", "", DENIED),
    row("Manager", "Record", "", DENIED),
    row("Manager", "StartCall", "through another app", DENIED),
    row("Manager", "SetDoNotDisturb", "", DENIED),
    row("Manager", "SetPreferences", "", DENIED),
    row("Manager", "SetAuthorization", "", DENIED),
    row("Manager", "ListApps", "", DENIED),
    row("Manager", "SetApps", "", DENIED),
    row("Manager", "SetEndpoints", "", DENIED),
    row("Manager", "ReportViolation", "", DENIED),
    row("Manager", "ForgetCalls", "", DENIED),
    row("Manager", "AgentReply", "", "InvalidArgument"),
    row("AudioSession", "SelectEndpoint", "", DENIED),
    row("Call", "Answer", "", DENIED),
    row("Call", "End", "", DENIED),
    row("Call", "Hold", "", DENIED),
    row("Call", "Unhold", "", DENIED),
    row("Call", "SetMuted", "", DENIED),
    row("Call", "SendDtmf", "", DENIED),
    row("Call", "SetVideo", "", DENIED),
    row("Call", "Join", "", DENIED),
    row("Call", "Leave", "", DENIED),
    row("Call", "Silence", "", DENIED),
    row("Provider", "ReportIncomingCall", "", DENIED),
    row("Provider", "ReportCall", "", DENIED),
    row("Provider", "UpdateCall", "", DENIED),
    row("Provider", "ReportState", "", DENIED),
    row("Provider", "ReportEnded", "", DENIED),
    row("Provider", "Fulfil", "", DENIED),
    row("Provider", "Fail", "", DENIED),
    row("Provider", "Progress", "", DENIED),
    row("Provider", "UpdateConfiguration", "", DENIED),
    row("Provider", "RequestAuthorization", "", DENIED),
    row("Provider", "Unregister", "", DENIED),
    row("Transaction", "Cancel", "", DENIED),
    row("Agent1.Apps", "List", "", DENIED),
    row("Agent1.Apps", "SetAuthorization", "", DENIED),
    row("Agent1.Apps", "SetPermission", "", DENIED),
    row("Agent1.History", "Query", "", DENIED),
    row("Agent1.History", "Explain", "", DENIED),
    // Only its own calls are meant, whatever it says.
    row("Agent1.History", "Erase", "all", ""),
    row("Agent1.History", "Erase", "of another app", ""),
    row("Agent1.History", "Favourites", "", DENIED),
    row("Agent1.History", "AddFavourite", "", DENIED),
    row("Agent1.History", "RemoveFavourite", "", DENIED),
    row("Agent1.History", "LastProvider", "", DENIED),
    row("Agent1.Lists", "Entries", "", DENIED),
    row("Agent1.Lists", "Add", "", DENIED),
    row("Agent1.Lists", "Remove", "", DENIED),
    row("Agent1.Lists", "Clear", "", DENIED),
    row("Agent1.Lists", "Import", "", DENIED),
    row("Agent1.Lists", "Export", "", DENIED),
    row("Agent1.Lists", "LookUp", "", DENIED),
    row("Agent1.Preferences", "Read", "", DENIED),
    row("Agent1.Preferences", "Set", "", DENIED),
    row("Agent1.Preferences", "Unset", "", DENIED),
];

/// Asks it, wherever there is something of the other app's to be asked about.
pub async fn ask(scene: &Scene, row: &Row) -> Result<Vec<Answer>> {
    let places = match row.of {
        "Manager" | "AudioSession" => vec![ROOT.to_owned()],
        "Call" => vec![scene.ringing.path.clone(), scene.active.path.clone()],
        "Provider" => vec![scene.phone().path.clone()],
        "Transaction" => vec![scene.transaction.clone()],
        agent if agent.starts_with("Agent1.") => vec![OBJECT.to_owned()],
        _ => return standard(scene, row).await,
    };
    let mut answers = Vec::new();
    for place in places {
        answers.push(at(scene, row, &place).await?);
    }
    Ok(answers)
}

async fn at(scene: &Scene, row: &Row, at: &str) -> Result<Answer> {
    let none = Options::new();
    let stranger = "sip:stranger@example.org";
    let nobody = uuid::Uuid::new_v4().to_string();
    let other = &scene.active.uuid;
    let end = |call: &str| vec![action("End", [("call", call.to_owned().into())])];
    match (row.of, row.member) {
        ("Manager", "Subscribe") => scene.call(row, at, &(none,)).await,
        ("Manager", "RegisterProvider") => {
            let named = options([("display-name", "Panel".into())]);
            scene.call(row, at, &(crate::desk::APP, path("/delegate")?, named)).await
        }
        ("Manager", "RegisterAgent") => {
            scene.call(row, at, &(path("/agent")?, vec!["ui"], none)).await
        }
        ("Manager", "PlanTransaction") if row.about == OWN => {
            let answer = action("Answer", [("call", scene.own_call.uuid.clone().into())]);
            scene.call(row, at, &(vec![answer], none)).await
        }
        ("Manager", "RequestTransaction" | "PlanTransaction") => {
            scene.call(row, at, &(end(other), none)).await
        }
        ("Manager", "Explain") => {
            let lives = row.about == "a call that lives";
            let of = if lives { &scene.active.uuid } else { &scene.over.uuid };
            scene.call(row, at, &(of, none)).await
        }
        ("Manager", "OpenRingtone") => {
            scene.call(row, at, &(path(&scene.phone().path)?, none)).await
        }
        ("Manager", "Record" | "ListApps") => scene.call(row, at, &(none,)).await,
        ("Manager", "StartCall") => {
            let through = options([("provider", crate::desk::APP.into())]);
            scene.call(row, at, &(stranger, through)).await
        }
        ("Manager", "SetDoNotDisturb") => scene.call(row, at, &(true, none)).await,
        ("Manager", "SetPreferences") => {
            scene.call(row, at, &(none, Vec::<Options>::new(), Options::new())).await
        }
        ("Manager" | "Agent1.Apps", "SetAuthorization") => {
            scene.call(row, at, &(BOXED, "authorized")).await
        }
        ("Manager", "SetApps") => scene.call(row, at, &(Vec::<Options>::new(), none)).await,
        ("Manager", "SetEndpoints") => scene.call(row, at, &(Vec::<Options>::new(), "")).await,
        ("Manager", "ReportViolation") => {
            scene.call(row, at, &(path(&scene.phone().path)?, "capture")).await
        }
        ("Manager", "ForgetCalls") => {
            let over = format!("{}.1.1", scene.over.uuid);
            scene.call(row, at, &(vec![over], none)).await
        }
        ("Manager", "AgentReply") => scene.call(row, at, &("1", none)).await,
        ("AudioSession", "SelectEndpoint") => scene.call(row, at, &("headset",)).await,
        ("Call", "Answer" | "End") => scene.call(row, at, &(none,)).await,
        ("Call", "SetMuted" | "SetVideo") => scene.call(row, at, &(true,)).await,
        ("Call", "SendDtmf") => scene.call(row, at, &("1",)).await,
        ("Call", "Join") => scene.call(row, at, &(path(&scene.own_call.path)?,)).await,
        ("Provider", "ReportIncomingCall") => scene.call(row, at, &(nobody, none)).await,
        ("Provider", "ReportCall") => {
            scene.call(row, at, &(nobody, "incoming", "active", none)).await
        }
        ("Provider", "UpdateCall") => scene.call(row, at, &(other, none)).await,
        ("Provider", "ReportState") => scene.call(row, at, &(other, "held", none)).await,
        ("Provider", "ReportEnded") => scene.call(row, at, &(other, "remote-ended", none)).await,
        ("Provider", "Fulfil") => scene.call(row, at, &(&scene.request, none)).await,
        ("Provider", "Fail") => scene.call(row, at, &(&scene.request, "Failed", "no")).await,
        ("Provider", "Progress") => scene.call(row, at, &(&scene.request, 1000u32)).await,
        ("Provider", "UpdateConfiguration") => scene.call(row, at, &(none,)).await,
        ("Agent1.Apps", "SetPermission") => {
            scene.call(row, at, &(BOXED, "control", "authorized")).await
        }
        ("Agent1.History", "Erase") if row.about == "of another app" => {
            let of = options([("app-id", "org.example.Open".into())]);
            scene.call(row, at, &(of,)).await
        }
        ("Agent1.History", "Erase") => {
            scene.call(row, at, &(options([("all", true.into())]),)).await
        }
        ("Agent1.History", "Query") | ("Agent1.Lists", "Entries" | "Export") => {
            scene.call(row, at, &(none,)).await
        }
        ("Agent1.History", "Explain") => scene.call(row, at, &("1",)).await,
        ("Agent1.History", "RemoveFavourite" | "LastProvider") => {
            scene.call(row, at, &(stranger,)).await
        }
        ("Agent1.History", "AddFavourite") | ("Agent1.Lists", "LookUp") => {
            scene.call(row, at, &(stranger, none)).await
        }
        ("Agent1.Lists", "Add" | "Remove") => scene.call(row, at, &("block", stranger, none)).await,
        ("Agent1.Lists", "Clear") => scene.call(row, at, &("block",)).await,
        ("Agent1.Preferences", "Set") => {
            scene.call(row, at, &("ringing", Variant::from(1u32))).await
        }
        ("Agent1.Preferences", "Unset") => scene.call(row, at, &("ringing",)).await,
        ("Agent1.Lists", "Import") => imports(scene, row).await,
        ("Manager", "Unsubscribe")
        | ("Call", "Hold" | "Unhold" | "Leave" | "Silence")
        | ("Provider", "RequestAuthorization" | "Unregister")
        | ("Transaction", "Cancel")
        | ("Agent1.Apps", "List")
        | ("Agent1.History", "Favourites")
        | ("Agent1.Preferences", "Read") => scene.call(row, at, &()).await,
        _ => bail!("nobody wrote here what to ask it"),
    }
}

/// A file does not go through the harness's relay, so another process behind the same wall hands it over.
async fn imports(scene: &Scene, row: &Row) -> Result<Answer> {
    const IMPORT: &str = "
import sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags
flags = flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
files = Gio.UnixFDList.new()
arguments = GLib.Variant('(ha{sv})', (files.append(0), {}))
to = ('org.callarbiter.Agent1', '/org/callarbiter/Agent1', 'org.callarbiter.Agent1.Lists', 'Import')
try:
    bus.call_with_unix_fd_list_sync(*to, arguments, None, 0, 5000, files, None)
except GLib.Error as error:
    print(error.message)
";
    let launch = scene.wall()?.arg("/usr/bin/python3").arg("-c").arg(IMPORT);
    let mut asking = launch.arg(scene.desk.bus().address()).start(scene.desk.bus().directory())?;
    ensure!(asking.end().await?.success(), "{}", asking.log());
    let said = asking.output();
    let error = said.split(ERROR).nth(1).and_then(|rest| rest.split(':').next());
    Ok(Answer {
        what: row.what(),
        expected: row.without.to_owned(),
        error: error.unwrap_or_default().to_owned(),
        bytes: said.into_bytes(),
    })
}

async fn standard(scene: &Scene, row: &Row) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    match (row.member, row.about) {
        ("GetManagedObjects", _) => answers.push(scene.call(row, ROOT, &()).await?),
        ("Get", property) => {
            let body = (interface("Call"), property);
            answers.push(scene.call(row, &scene.ringing.path, &body).await?);
        }
        ("GetAll", "calls") => {
            for call in [&scene.ringing.path, &scene.active.path] {
                answers.push(scene.call(row, call, &(interface("Call"),)).await?);
            }
        }
        ("GetAll", "audio") => {
            answers.push(scene.call(row, ROOT, &(interface("AudioSession"),)).await?);
        }
        ("GetAll", "transaction") => {
            answers.push(scene.call(row, &scene.transaction, &("",)).await?);
        }
        _ => {
            let objects = scene.user.view().await?.objects;
            let folders =
                ["call", "group", "provider", "transaction"].map(|of| format!("{ROOT}/{of}"));
            let introspects = row.member == "Introspect";
            let folders = folders.into_iter().filter(|_| introspects);
            for path in objects.into_keys().chain(folders) {
                let answer = match introspects {
                    true => scene.call(row, &path, &()).await?,
                    false => scene.call(row, &path, &("",)).await?,
                };
                answers.push(answer);
            }
        }
    }
    Ok(answers)
}

fn path(text: &str) -> Result<ObjectPath<'_>> {
    Ok(ObjectPath::try_from(text)?)
}
