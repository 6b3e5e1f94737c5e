//! Screening agents: what they are asked, and what an app hears of its report.

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, Witness, eventually, is, options};
use tokio::join;

const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";

#[tokio::test]
async fn a_report_is_answered_when_a_screener_has_looked() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let agent = FakeAgent::with(&arbiter.bus, &["screening"]).await?;
    let mut observer = Witness::subscribe(&arbiter.bus).await?;
    observer.agrees(&phone.peer).await?;
    let from =
        options([("remote-handle", "sip:ada@example.org".into()), ("display-name", "Ada".into())]);

    let looks = async {
        let asked = agent.asked("Screen", 1).await?;
        let call = asked.option("call").unwrap_or_default();
        assert_eq!(asked.text(1), "sip:ada@example.org");
        assert_eq!(asked.option("app-id").as_deref(), Some("org.example.Phone"));
        assert_eq!(asked.option("display-name").as_deref(), Some("Ada"));
        assert_eq!(phone.peer.state(&call).await?, "screening");
        // Its app is heard meanwhile.
        let update = (FIRST, options([("display-name", "Ada L.".into())]));
        phone.tell::<_, ()>("UpdateCall", &update).await?;
        let wrong = agent.answer(&asked, [("verdict", "maybe".into())]).await.unwrap_err();
        assert_eq!(wrong.short(), "InvalidArgument", "{wrong}");
        agent.answer(&asked, [("verdict", "allow".into())]).await?;
        anyhow::Ok(call)
    };
    let (reported, call) = join!(phone.report_incoming_call(FIRST, &from), looks);
    let (reported, call) = (reported?, call?);
    assert_eq!(reported.as_str(), call);
    assert_eq!(phone.peer.state(&call).await?, "ringing");
    phone.report_ended(FIRST, "remote-ended").await?;

    let rejects = async {
        let asked = agent.asked("Screen", 2).await?;
        let reason = [
            ("verdict", "reject".into()),
            ("reason", "block-list".into()),
            ("detail", "sip:*@example.org".into()),
        ];
        agent.answer(&asked, reason).await?;
        anyhow::Ok(())
    };
    let (reported, rejected) = join!(phone.report_incoming_call(SECOND, &from), rejects);
    rejected?;
    let why = reported.unwrap_err();
    assert_eq!(why.short(), "FilteredByBlockList", "{why}");
    observer.agrees(&phone.peer).await?;
    let filtered = |m: &zbus::Message| {
        let Ok((old, new, reason, _)) = m.body().deserialize::<(String, String, String, u64)>()
        else {
            return false;
        };
        is(m, "Call", "Transition") && [old, new, reason] == ["screening", "ended", "filtered"]
    };
    observer.peer.expect("its end", filtered).await?;
    arbiter.assert_no_personal_data(&["ada@", "Ada", "*@example.org"]);
    Ok(())
}

#[tokio::test]
async fn a_screener_that_dies_or_says_nothing_costs_no_call() -> Result<()> {
    let mut arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let agent = FakeAgent::with(&arbiter.bus, &["screening"]).await?;
    let from = options([("remote-handle", "sip:ada@example.org".into())]);
    let dies = async {
        let asked = agent.asked("Screen", 1).await?;
        drop(agent);
        anyhow::Ok(asked)
    };
    let (reported, asked) = join!(phone.report_incoming_call(FIRST, &from), dies);
    assert_eq!(phone.peer.state(&reported?).await?, "ringing");
    asked?;

    // The arbiter dies in the middle: the call is there, and the same question comes again.
    let agent = FakeAgent::with(&arbiter.bus, &["screening"]).await?;
    let crashes = async {
        let asked = agent.asked("Screen", 1).await?;
        arbiter.crash_and_restart().await?;
        anyhow::Ok(asked)
    };
    let (reported, asked) = join!(phone.report_incoming_call(SECOND, &from), crashes);
    let asked = asked?;
    assert!(reported.unwrap_err().is_interruption());
    let again = agent.asked("Screen", 2).await?;
    assert_eq!(again.request, asked.request);
    let call = again.option("call").unwrap_or_default();
    assert_eq!(phone.peer.state(&call).await?, "screening");
    let nothing = async || (phone.peer.state(&call).await.ok()? == "ringing").then_some(());
    eventually("it rings all the same", nothing).await
}
