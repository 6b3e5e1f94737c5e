//! Calls as a person sees them, on a real notification server, and what its buttons do.

use anyhow::Result;
use harness::{FakeProvider, Reply, Reported, options};

use crate::desk::{APP, Desk};
use crate::dunst::Dunst;
use crate::plain::PlainServer;
use crate::window::Window;

#[tokio::test]
async fn a_call_is_answered_muted_and_hung_up_by_its_buttons() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let agent = desk.agent("notifications").await?;
    let call = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    let words = ["Phone", "Ada Lovelace", "sip:ada@example.org", "Incoming call", "call.incoming"];
    dunst.shows(&words).await?;
    dunst.shows(&["CRITICAL", "\"answer\": \"Answer\"", "\"Decline\"", "\"Silence\"", APP]).await?;
    dunst.picture("incoming.png").await?;

    dunst.press("Answer").await?;
    let asked = desk.phone.wait_asked("PerformAnswer", 1).await?;
    let how = format!("{:?}", asked.argument(2));
    assert!(how.contains("user-interface"), "{how}");
    dunst.shows(&["Ada Lovelace", "In a call", "NORMAL", "\"Hang up\"", "\"Mute\""]).await?;
    dunst.wait_count(1).await?;
    dunst.picture("ongoing.png").await?;
    dunst.press("Mute").await?;
    dunst.shows(&["microphone muted", "\"Unmute\""]).await?;
    dunst.press("Hang up").await?;
    let ended = desk.phone.wait_asked("PerformEnd", 1).await?;
    assert_eq!(ended.uuid(), Some(call.uuid));
    dunst.wait_count(0).await?;
    let log = agent.log();
    assert!(!log.contains("Lovelace") && !log.contains("ada@"), "{log}");
    Ok(())
}

#[tokio::test]
async fn with_a_call_active_it_says_what_answering_does() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let first = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    desk.phone.peer.answer(&first.path).await?;
    dunst.shows(&["In a call"]).await?;
    let second = incoming(&desk.phone, "sip:grace@example.org", "Grace Hopper").await?;
    dunst.shows(&["Grace Hopper", "Answering holds the call with Ada Lovelace"]).await?;
    dunst.shows(&["\"Hold & Answer\"", "\"End & Answer\"", "\"Decline\""]).await?;
    dunst.wait_count(2).await?;
    dunst.picture("waiting.png").await?;
    dunst.press("Hold & Answer").await?;
    desk.phone.peer.wait_state(&second.path, "active").await?;
    desk.phone.peer.wait_state(&first.path, "held").await?;

    desk.phone.peer.end(&first.path).await?;
    let third = incoming(&desk.phone, "sip:edsger@example.org", "Edsger Dijkstra").await?;
    dunst.shows(&["Edsger Dijkstra", "\"End & Answer\""]).await?;
    dunst.press("End & Answer").await?;
    desk.phone.peer.wait_state(&third.path, "active").await?;
    let ended = desk.phone.wait_asked("PerformEnd", 2).await?;
    assert_eq!(ended.uuid(), Some(second.uuid));
    dunst.wait_count(1).await
}

#[tokio::test]
async fn declined_silenced_missed() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let declined = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    dunst.shows(&["Ada Lovelace", "\"Decline\""]).await?;
    dunst.press("Decline").await?;
    let ended = desk.phone.wait_asked("PerformEnd", 1).await?;
    assert_eq!(ended.uuid(), Some(declined.uuid));
    dunst.wait_count(0).await?;

    let missed = incoming(&desk.phone, "sip:grace@example.org", "Grace Hopper").await?;
    dunst.shows(&["Grace Hopper", "\"Silence\""]).await?;
    dunst.press("Silence").await?;
    dunst.wait_count(1).await?;
    desk.phone.report_ended(&missed.uuid, "unanswered").await?;
    dunst.shows(&["Grace Hopper", "Missed call", "call.unanswered"]).await?;
    dunst.picture("missed.png").await
}

#[tokio::test]
async fn what_callers_call_themselves_is_no_markup() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    incoming(&desk.phone, "sip:<u>x</u>&@example.org", "<b>Bank</b> & Co").await?;
    dunst
        .shows(&["body: 'Incoming call · Phone\nsip:&lt;u&gt;x&lt;/u&gt;&amp;@example.org"])
        .await?;
    // What is drawn, with the summary that the server escapes itself.
    dunst.shows(&["<b>&lt;b&gt;Bank&lt;/b&gt; &amp; Co</b>"]).await?;
    dunst.picture("markup.png").await
}

#[tokio::test]
async fn what_failed_is_shown_with_its_reason() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let failure = Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", "the line is dead");
    desk.phone.script("PerformSetMuted", failure.clone());
    let call = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    desk.phone.peer.answer(&call.path).await?;
    dunst.shows(&["In a call", "\"Mute\""]).await?;
    dunst.press("Mute").await?;
    dunst.shows(&["In a call", "That did not work", "the line is dead"]).await?;
    desk.phone.peer.end(&call.path).await?;
    dunst.wait_count(0).await?;

    // An answer that failed ends the call: the reason is all that is left.
    desk.phone.script("PerformAnswer", failure);
    incoming(&desk.phone, "sip:grace@example.org", "Grace Hopper").await?;
    dunst.shows(&["Grace Hopper", "\"Answer\""]).await?;
    dunst.press("Answer").await?;
    dunst.shows(&["Grace Hopper", "That did not work", "the line is dead"]).await
}

#[tokio::test]
async fn another_server_shows_it_again() -> Result<()> {
    let desk = Desk::new().await?;
    let mut dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    dunst.shows(&["Ada Lovelace"]).await?;
    dunst.restart(&desk).await?;
    dunst.shows(&["Ada Lovelace", "Incoming call"]).await?;
    dunst.wait_count(1).await
}

#[tokio::test]
async fn whatever_ends_the_agent_nothing_stays_on_the_screen() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let mut agent = desk.agent("notifications").await?;
    let call = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    dunst.wait_count(1).await?;
    agent.signal("TERM")?;
    assert!(agent.end().await?.success(), "{}", agent.log());
    dunst.wait_count(0).await?;

    let mut agent = desk.agent("notifications").await?;
    dunst.wait_count(1).await?;
    agent.signal("KILL")?;
    agent.end().await?;
    desk.phone.report_ended(&call.uuid, "answered-elsewhere").await?;
    let _next = desk.agent("notifications").await?;
    dunst.wait_count(0).await
}

#[tokio::test]
async fn a_server_without_buttons_and_markup_shows_it_all_the_same() -> Result<()> {
    let desk = Desk::new().await?;
    let server = PlainServer::start(desk.bus()).await?;
    let _agent = desk.agent("notifications").await?;
    let call = incoming(&desk.phone, "sip:ada@example.org", "Ada & Co").await?;
    let shown = server.wait_shown(1).await?;
    assert_eq!((shown.replaces, shown.summary.as_str()), (0, "Ada & Co"));
    assert_eq!(
        (shown.body.as_str(), shown.actions),
        ("Incoming call · Phone\nsip:ada@example.org · name from Phone", vec![])
    );
    desk.phone.peer.answer(&call.path).await?;
    let answered = server.wait_body("In a call").await?;
    assert_eq!(answered.replaces, 7, "in its place");
    Ok(())
}

#[tokio::test]
async fn what_callers_call_themselves_hides_and_reorders_nothing() -> Result<()> {
    let desk = Desk::new().await?;
    let server = PlainServer::start(desk.bus()).await?;
    let _agent = desk.agent("notifications").await?;
    incoming(&desk.phone, "sip:ada@example.org", "\u{202e}knaB\u{2066}\u{200b} ruoY").await?;
    assert_eq!(server.wait_shown(1).await?.summary, "knaB ruoY");
    incoming(&desk.phone, "sip:ada@example.org", "\u{202e}\u{200f}").await?;
    let shown = server.wait_shown(2).await?;
    let words = (shown.summary.as_str(), shown.body.as_str());
    assert_eq!(words, ("sip:ada@example.org", "Another call is coming in · Phone"));
    Ok(())
}

#[tokio::test]
async fn a_name_that_only_the_app_claims_is_marked_and_one_of_the_users_own_is_not() -> Result<()> {
    let desk = Desk::new().await?;
    let contacts = desk.bus().directory().join("home/.local/share/contacts");
    std::fs::create_dir_all(&contacts)?;
    let card = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:Countess of Lovelace\r\n\
        TEL;VALUE=uri:tel:+4930123456\r\nEND:VCARD\r\n";
    std::fs::write(contacts.join("ada.vcf"), card)?;
    let server = PlainServer::start(desk.bus()).await?;
    let _agent = desk.agent("notifications,contacts").await?;
    incoming(&desk.phone, "tel:+4930123456", "Your Bank").await?;
    let known = server.wait_summary("Countess of Lovelace").await?;
    assert_eq!(known.body, "Incoming call · Phone\ntel:+4930123456");
    incoming(&desk.phone, "tel:+4930999999", "Your Bank").await?;
    let claimed = server.wait_body("tel:+4930999999").await?;
    assert_eq!(claimed.summary, "Your Bank");
    assert!(claimed.body.ends_with("tel:+4930999999 · name from Phone"), "{claimed:?}");
    Ok(())
}

#[tokio::test]
async fn a_click_brings_the_app_to_the_front() -> Result<()> {
    let desk = Desk::new().await?;
    let server = PlainServer::able(desk.bus(), &["body", "actions"]).await?;
    let _agent = desk.agent("notifications").await?;
    // One that is not on the bus has nothing to click.
    let call = desk.phone.report_incoming("sip:grace@example.org").await?;
    let shown = server.wait_shown(1).await?;
    assert!(!shown.actions.contains(&"default".to_owned()), "{shown:?}");
    desk.phone.report_ended(&call.uuid, "remote-ended").await?;

    let app = Window::of(&desk, APP).await?;
    desk.talk("sip:ada@example.org").await?;
    let shown = server.wait_body("In a call").await?;
    assert_eq!(shown.actions, ["end", "Hang up", "mute", "Mute", "default", "Open"]);
    assert_eq!(shown.hints.get("suppress-sound"), Some(&true.into()));
    server.click("default", "a token").await?;
    app.wait_raised("activation-token: a token").await
}

#[tokio::test]
async fn what_the_user_should_know_of_a_call_is_noted() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let first = incoming(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    desk.phone.peer.answer(&first.path).await?;
    let second = incoming(&desk.phone, "sip:grace@example.org", "Grace Hopper").await?;
    let failure = Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", "the line is dead");
    desk.phone.script("PerformSetHeld", failure);
    // By a controller, which is told by itself; whoever looks at the screen is told as well.
    desk.phone.peer.answer(&second.path).await.unwrap_err();
    dunst.shows(&["Ada Lovelace", "could not be put on hold"]).await?;
    dunst.picture("notice.png").await
}

async fn incoming(phone: &FakeProvider, handle: &str, name: &str) -> Result<Reported> {
    let uuid = uuid::Uuid::new_v4().to_string();
    let (handle, name) = (handle.to_owned(), name.to_owned());
    let update = options([("remote-handle", handle.into()), ("display-name", name.into())]);
    let path = phone.report_incoming_call(&uuid, &update).await?;
    Ok(Reported { uuid, path })
}
