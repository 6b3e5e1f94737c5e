//! A desktop shell that takes every role over, with what the client crate has for it: it is asked everything that the
//! agent was, over a restart of the arbiter, and what it answers counts.

use anyhow::{Context, Result, bail, ensure};
use callarbiter::{
    Agent, AgentEvent, Asked, Authorization, CallState, Connection, DoNotDisturbOptions, Endpoint,
    Errand, ErrorKind, Events, Private, Screened, StartOptions, Uuid,
    words::{AppIdSource, EndpointKind, Ground, Role},
};
use harness::{FakeProvider, ROOT, eventually, options};

use crate::desk::{APP, Desk};
use crate::identity::{boxed, known};

const LAUNCHED: &str = "org.example.Launched";
const BOXED: &str = "org.example.Boxed";

#[tokio::test]
async fn a_shell_gets_everything_that_the_agent_used() -> Result<()> {
    let mut desk = Desk::asking().await?;
    let parts = "notifications,do-not-disturb,consent,launch,identity,contacts";
    let agent = desk.agent(parts).await?;
    let mut shell = Shell::take_over(&desk).await?;
    for role in ["dnd", "consent", "launch", "identity", "contacts"] {
        let words = format!("another agent took the role {role}");
        eventually(&words, async || agent.log().contains(&words).then_some(())).await?;
    }

    // Consent: of the app that was there before, and of one that is not there.
    let errand = shell.errand(|asked| matches!(asked, Asked::RequestConsent { .. })).await?;
    let Asked::RequestConsent { app_id, .. } = errand.what() else { bail!("{errand:?}") };
    assert_eq!(app_id, APP);
    errand.decided(Authorization::Authorized);
    desk.phone.wait_asked("AuthorizationSet", 1).await?;
    shell.agent.set_authorization(LAUNCHED, &Authorization::Authorized).await?;

    // Contacts; the arbiter dies before the answer, asks the same again, and it is handed out once.
    let (call, errand) = tokio::join!(desk.phone.report_incoming("sip:ada@example.org"), async {
        let errand = shell.errand(|asked| matches!(asked, Asked::LookUp { .. })).await?;
        shell.screens(Screened::allow()).await?;
        anyhow::Ok(errand)
    });
    let (call, errand) = (call?, errand?);
    let Asked::LookUp { handle } = errand.what() else { bail!("{errand:?}") };
    assert_eq!(handle.reveal(), "sip:ada@example.org");
    assert!(!format!("{errand:?}").contains("ada"), "{errand:?}");
    desk.arbiter.crash_and_restart().await?;
    errand.found("Ada", "book/1");
    let name = async || {
        let name = desk.phone.peer.property(&call.path, "Call", "DisplayName").await.ok()?;
        (String::try_from(name).ok()? == "Ada").then_some(())
    };
    eventually("the answer counts for the next arbiter", name).await?;

    // The user interface: what is shown, and whose wish it is.
    let mut events = Events::subscribe(shell.agent.connection()).await?;
    let uuid = Uuid::parse_str(&call.uuid)?;
    let seen = events.snapshot().calls.values().find(|call| call.object.uuid == uuid);
    assert_eq!(seen.context("the call is shown")?.state, CallState::Ringing);
    let controller = shell.agent.controller();
    let (answered, asked) = tokio::join!(controller.answer(uuid), async {
        let asked = desk.phone.wait_asked("PerformAnswer", 1).await?;
        // The sound is made quiet before the call has it.
        let errand = shell.errand(|asked| matches!(asked, Asked::ApplyAudio { .. })).await?;
        errand.enforced(true, vec![]);
        anyhow::Ok(asked)
    });
    answered?;
    let how = format!("{:?}", asked?.argument(2));
    assert!(how.contains("user-interface"), "{how}");
    let mut active = async || loop {
        if events.next().await.is_none() {
            bail!("the arbiter is gone");
        }
        if events.snapshot().calls.values().any(|call| call.state == CallState::Active) {
            return Ok(());
        }
    };
    tokio::time::timeout(harness::PATIENCE, active()).await??;

    // The sound: enforced by its word, and where it goes.
    let enforced = async || {
        let enforced = desk.phone.peer.property(ROOT, "AudioSession", "Enforced").await.ok()?;
        bool::try_from(enforced).ok()?.then_some(())
    };
    tokio::select! {
        quiet = eventually("others are quiet", enforced) => quiet?,
        broken = shell.passes() => broken?,
    }
    let place = |id: &str, kind| Endpoint { id: id.into(), name: id.into(), kind };
    let places = [place("one", EndpointKind::Speaker), place("two", EndpointKind::Headset)];
    shell.agent.set_endpoints(&places, "one").await?;
    let user = desk.bus().connect().await?;
    let (chosen, selected) = tokio::join!(
        user.call::<_, ()>(ROOT, "AudioSession", "SelectEndpoint", &("two",)),
        async {
            let errand = shell.errand(|a| matches!(a, Asked::SelectEndpoint { .. })).await?;
            shell.agent.set_endpoints(&places, "two").await?;
            errand.done();
            anyhow::Ok(())
        }
    );
    selected?;
    chosen?;

    // Identity: an app behind a wall is what the shell says.
    let info = format!("[Application]\nname={BOXED}\n");
    let app = boxed(&desk, BOXED, Some(&info))?;
    let errand = shell.errand(|asked| matches!(asked, Asked::Identify { .. })).await?;
    errand.identified(BOXED, AppIdSource::Sandbox);
    known(&desk, &app, BOXED, "sandbox").await?;

    // Launching: the app comes, and the call goes on.
    let how = StartOptions { provider: Some(LAUNCHED.into()), ..StartOptions::default() };
    shell.agent.controller().start_call("sip:grace@example.org", how).await?;
    let errand = shell.errand(|asked| matches!(asked, Asked::LaunchProvider { .. })).await?;
    let Asked::LaunchProvider { app_id, .. } = errand.what() else { bail!("{errand:?}") };
    assert_eq!(app_id, LAUNCHED);
    errand.done();
    let whole = options([("records", "full".into())]);
    let launched = FakeProvider::on(desk.bus().connect().await?, LAUNCHED, &whole).await?;
    let placed = launched.wait_asked("PerformStart", 1).await?.uuid().context("a call")?;

    // History: what is left of it.
    shell.agent.controller().end(Uuid::parse_str(&placed)?).await?;
    let errand = shell.errand(|asked| matches!(asked, Asked::Record(_))).await?;
    let Asked::Record(record) = errand.what() else { bail!("{errand:?}") };
    assert_eq!((record.call.as_str(), record.app_id.as_str()), (&*placed, LAUNCHED));
    errand.done();

    // Do-not-disturb, and whose calls reach the user.
    let how = DoNotDisturbOptions { quiet: false, allow: vec![] };
    shell.agent.set_do_not_disturb(true, &how).await?;
    let (refused, screened) = tokio::join!(
        desk.phone.report_incoming("sip:eve@example.org"),
        shell.screens(Screened::allow()),
    );
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("FilteredByDoNotDisturb"), "{refused}");
    assert_eq!(screened?.reveal(), "sip:eve@example.org");
    let (urgent, screened) = tokio::join!(
        desk.phone.report_incoming("sip:mum@example.org"),
        shell.screens(Screened::urgent())
    );
    assert_eq!(desk.phone.peer.state(&urgent?.path).await?, "ringing");
    screened?;
    let (blocked, screened) = tokio::join!(
        desk.phone.report_incoming("sip:spam@example.org"),
        shell.screens(Screened::reject().about(Ground::List).because("sip:spam@*")),
    );
    let blocked = blocked.unwrap_err();
    assert!(blocked.to_string().contains("FilteredByBlockList"), "{blocked}");
    screened?;

    // It keeps its roles until somebody else wants them.
    let second = desk.bus().connect().await?;
    let path = zbus::ObjectPath::try_from("/")?;
    let _: std::collections::HashMap<String, zbus::OwnedVariant> =
        second.call(ROOT, "Manager", "RegisterAgent", &(path, vec!["dnd"], options([]))).await?;
    shell.loses(&Role::DoNotDisturb).await?;
    ensure!(!agent.log().contains("was not told"), "{}", agent.log());
    Ok(())
}

struct Shell {
    agent: Agent,
}

impl Shell {
    async fn take_over(desk: &Desk) -> Result<Shell> {
        use Role::*;
        let connection = Connection::open(&desk.bus().address()).await?;
        let roles = [
            UserInterface,
            Headset,
            DoNotDisturb,
            Consent,
            Launch,
            Identity,
            Contacts,
            Audio,
            History,
            Screening,
        ];
        Ok(Shell { agent: Agent::register(&connection, roles).await? })
    }

    /// The next errand of this kind; others are answered as if they were done.
    async fn errand(&mut self, is: impl Fn(&Asked) -> bool) -> Result<Errand> {
        let wanted = async {
            loop {
                match self.agent.next().await.context("the connection is closed")? {
                    AgentEvent::Asked(errand) if is(errand.what()) => return Ok(errand),
                    AgentEvent::Asked(errand) => pass(errand),
                    event => bail!("{event:?}"),
                }
            }
        };
        tokio::time::timeout(harness::PATIENCE, wanted).await.context("it is not asked")?
    }

    /// Says this of the next call at which it is to look; who calls.
    async fn screens(&mut self, verdict: Screened) -> Result<Private> {
        let errand = self.errand(|asked| matches!(asked, Asked::Screen { .. })).await?;
        let Asked::Screen { handle, .. } = errand.what() else { bail!("{errand:?}") };
        let handle = handle.clone();
        errand.screened(verdict);
        Ok(handle)
    }

    /// Answers whatever comes, as long as it is let.
    async fn passes(&mut self) -> Result<()> {
        loop {
            match self.agent.next().await.context("the connection is closed")? {
                AgentEvent::Asked(errand) => pass(errand),
                event => bail!("{event:?}"),
            }
        }
    }

    async fn loses(&mut self, role: &Role) -> Result<()> {
        loop {
            match tokio::time::timeout(harness::PATIENCE, self.agent.next()).await? {
                Some(AgentEvent::RoleLost(lost)) if lost == *role => break,
                Some(AgentEvent::Asked(errand)) => pass(errand),
                event => bail!("{event:?}"),
            }
        }
        ensure!(!self.agent.roles().contains(role), "{:?}", self.agent);
        Ok(())
    }
}

fn pass(errand: Errand) {
    match errand.what() {
        Asked::ApplyAudio { .. } => errand.enforced(true, vec![]),
        Asked::RequestConsent { .. } => errand.decided(Authorization::Authorized),
        Asked::LookUp { .. } => errand.failed(ErrorKind::ActionFailed, "nobody of that address"),
        _ => errand.done(),
    }
}
