//! Names from the user's address book, and who may see them.

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, Options, Peer, Witness, eventually, options};

const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
const UUID: &str = "11111111-1111-4111-8111-111111111111";

#[tokio::test]
async fn the_users_own_word_stands_before_what_an_app_claims() -> Result<()> {
    let mut arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let agent = FakeAgent::with(&arbiter.bus, &["contacts"]).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let mut witness = Witness::subscribe(&arbiter.bus).await?;
    let call = phone.report_incoming_call(UUID, &claims("Your bank")).await?;
    assert_eq!(phone.peer.state(&call).await?, "ringing", "before anybody was asked");
    assert_eq!(shown(&phone.peer, &call).await?, ["Your bank", "claimed", ""]);
    let asked = agent.asked("LookUp", 1).await?;
    assert_eq!(asked.text(1), "sip:ada@example.org");

    let long = "x".repeat(300);
    let refused = agent.answer(&asked, [("name", long.into())]).await.unwrap_err();
    assert_eq!(refused.short(), "InvalidArgument", "{refused}");
    let stranger = FakeAgent { peer: arbiter.bus.connect().await? };
    let refused = stranger.answer(&asked, [("name", "Eve".into())]).await.unwrap_err();
    assert_eq!(refused.short(), "InvalidArgument", "{refused}");
    assert_eq!(shown(&phone.peer, &call).await?, ["Your bank", "claimed", ""]);

    let answer = [("name", "Ada Lovelace".into()), ("contact-id", "book/1".into())];
    agent.answer(&asked, answer.clone()).await?;
    assert_eq!(shown(&phone.peer, &call).await?, ["Ada Lovelace", "contacts", "book/1"]);
    let late = agent.answer(&asked, answer).await.unwrap_err();
    assert_eq!(late.short(), "TimedOut", "{late}");
    let update = (UUID, claims("Your other bank"));
    phone.tell::<_, ()>("UpdateCall", &update).await?;
    witness.agrees(&phone.peer).await?;
    arbiter.crash_and_restart().await?;
    let known = async || {
        let shown = shown(&phone.peer, &call).await.ok()?;
        (shown == ["Ada Lovelace", "contacts", "book/1"]).then_some(())
    };
    eventually("the name survives", known).await?;
    arbiter.assert_no_personal_data(&["Ada", "ada@", "bank", "book/1"]);
    Ok(())
}

/// Name, source and contact, as anybody of the user reads them.
async fn shown(reader: &Peer, call: &str) -> Result<[String; 3]> {
    let mut shown = [const { String::new() }; 3];
    for (text, name) in shown.iter_mut().zip(["DisplayName", "NameSource", "ContactId"]) {
        *text = String::try_from(reader.property(call, "Call", name).await?)?;
    }
    Ok(shown)
}

fn claims(name: &'static str) -> Options {
    options([("remote-handle", "sip:ada@example.org".into()), ("display-name", name.into())])
}
