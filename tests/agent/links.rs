//! Links that were clicked: `callctl open` without a terminal asks on a real notification server, and nothing
//! is dialled before its button was pressed.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context, Result};
use harness::{FakeProvider, Launch, Process, ROOT, built, eventually, options, source};

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::launch::{desktop_file, stop};
use crate::plain::PlainServer;
use crate::recalled::{install, was_there};

#[tokio::test]
async fn a_clicked_link_calls_once_its_button_is_pressed() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let mut open = clicked(&desk, "tel:+49-30-123456;ext=7")?;
    dunst
        .shows(&[
            "Call tel:+4930123456 with Phone?",
            "\"Call\"",
            "\"Cancel\"",
            "org.callarbiter.callctl",
        ])
        .await?;
    assert_eq!(desk.phone.asked().len(), 0, "nobody said yes yet");
    dunst.press("Call").await?;
    assert_eq!(dialled(&desk.phone, 1).await?, "tel:+4930123456");
    assert!(open.end().await?.success(), "{}", open.log());
    assert!(open.output().contains("callctl dtmf 7"), "{}", open.output());
    dunst.shows(&["The number has an extension", "7"]).await
}

#[tokio::test]
async fn of_several_apps_the_button_says_which() -> Result<()> {
    let desk = Desk::new().await?;
    let other = provider(&desk, "Other", &["sip"]).await?;
    let dunst = Dunst::start(&desk).await?;
    let mut open = clicked(&desk, "sip:ada@example.org?subject=hello")?;
    dunst
        .shows(&["Call sip:ada@example.org?", "with:org.example.Other", "with:org.example.Phone"])
        .await?;
    dunst.press("Call with Other").await?;
    assert_eq!(dialled(&other, 1).await?, "sip:ada@example.org");
    assert!(open.end().await?.success(), "{}", open.log());
    assert_eq!(desk.phone.asked().len(), 0);
    Ok(())
}

/// Before the others, also where others registered first.
#[tokio::test]
async fn at_a_terminal_the_app_of_last_time_stands_first() -> Result<()> {
    let desk = Desk::new().await?;
    let _agent = desk.agent("history").await?;
    let other = provider(&desk, "Other", &["tel", "sip"]).await?;
    let call = other.report_incoming("sip:ada@example.org").await?;
    other.peer.answer(&call.path).await?;
    other.report_ended(&call.uuid, "remote-ended").await?;
    crate::history::has(&desk, &[call.uuid]).await?;
    let (sip, tel) = ("sip:ada@EXAMPLE.org;maddr=10.0.0.1", "callto:030-1");
    for (link, first, app, handle) in [
        (sip, "1  Other (org.example.Other)", &other, "sip:ada@example.org"),
        (tel, "1  Phone (org.example.Phone)", &desk.phone, "tel:0301"),
    ] {
        let said = typed(&desk, link, "1\n").await?;
        assert!(said.contains(first) && said.contains("which one?"), "{link}: {said}");
        assert_eq!(dialled(app, 1).await?, handle);
    }
    for (link, why) in [
        ("callto:030/1", "no telephone number"),
        ("sips:ada@example.org", "no registered app places calls to `sips:`"),
    ] {
        let said = typed(&desk, link, "1\n").await?;
        assert!(said.contains(why) && !said.contains("Call "), "{link}: {said}");
    }
    let said = typed(&desk, "tel:1", "\n").await?;
    assert!(said.contains("nobody was called"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_put_away_or_denied_calls_nobody() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    for denies in [true, false] {
        let mut open = clicked(&desk, "tel:+4930123456")?;
        dunst.shows(&["Call tel:+4930123456 with"]).await?;
        match denies {
            true => dunst.press("Cancel").await?,
            false => dunst.put_away().await?,
        }
        assert_eq!(open.end().await?.code(), Some(1));
        assert!(open.log().contains("nobody was called"), "{}", open.log());
        dunst.shows(&["The call was not started"]).await?;
        dunst.put_away().await?;
        dunst.wait_count(0).await?;
    }
    assert_eq!(desk.phone.asked().len(), 0);
    Ok(())
}

/// A page may hold such a link; no page dials.
#[tokio::test]
async fn an_emergency_number_is_dialled_when_a_person_says_so() -> Result<()> {
    let desk = Desk::with(
        "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n[emergency]\nhandles = [\"112\"]\n\
         providers = [\"org.example.Phone\"]\n",
    )
    .await?;
    let dunst = Dunst::start(&desk).await?;
    let mut open = clicked(&desk, "tel:112;phone-context=+49")?;
    dunst.shows(&["Call tel:112 with Phone?", "\"Cancel\""]).await?;
    assert_eq!(desk.phone.asked().len(), 0);
    dunst.press("Call").await?;
    let asked = desk.phone.wait_asked("PerformStart", 1).await?;
    assert!(open.end().await?.success(), "{}", open.log());
    let uuid = asked.uuid().context("a call")?;
    let path = format!("{ROOT}/call/{}", uuid.replace('-', "_"));
    let emergency = desk.phone.peer.property(&path, "Call", "Emergency").await?;
    assert!(bool::try_from(emergency)?);
    assert_eq!(dialled(&desk.phone, 1).await?, "tel:112");
    Ok(())
}

#[tokio::test]
async fn a_link_that_no_page_should_hold_is_told_and_not_dialled() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let long = format!("tel:{}", "1".repeat(5000));
    for (link, why) in [
        ("tel:*%2306%23", "service code"),
        ("tel:**21*%2B49301%23", "service code"),
        ("tel:+4930;ext=*21#", "service code"),
        ("tel:+49%1b[2J30", "no telephone number"),
        ("tel:+49\u{202e}30", "no telephone number"),
        ("tel:+49%0a30", "no telephone number"),
        ("tel:%00", "no telephone number"),
        ("tel:%ff", "no text"),
        ("tel:", "no telephone number"),
        ("callto:ada", "ada@example.org"),
        ("sip:a%0d%0aRoute@", "no host"),
        ("sip:ada:secret@example.org", "password"),
        ("https://example.org", "only tel:"),
        (&long, "at most 256"),
        // It is one, and nobody can place it.
        ("sips:ada@example.org", "no registered app places calls to `sips:`"),
    ] {
        let mut open = clicked(&desk, link)?;
        dunst.shows(&["The call was not started", why]).await?;
        assert_eq!(open.end().await?.code(), Some(1), "{link}");
        let said = open.log();
        assert!(said.contains(why) && !said.contains("secret"), "{link}: {said}");
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'),
            "{said:?}"
        );
        dunst.put_away().await?;
        dunst.wait_count(0).await?;
    }
    assert_eq!(desk.phone.asked().len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_app_that_does_not_run_is_offered_and_started() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("history,launch").await?;
    was_there(&desk).await?;
    install(&desk).await?;
    let mut open = clicked(&desk, "sip:rabbit@example.org")?;
    dunst
        .shows(&[
            "Call sip:rabbit@example.org?",
            "with:org.example.Launched",
            "with:org.example.Phone",
        ])
        .await?;
    dunst.press("Call with Phone (org.example.Launched)").await?;
    assert!(open.end().await?.success(), "{}", open.log());
    let uuid = open.output().trim().rsplit(' ').next().context("it says the call")?.to_owned();
    let path = format!("{ROOT}/call/{}", uuid.replace('-', "_"));
    let user = desk.bus().connect().await?;
    user.wait_state(&path, "active").await?;
    user.end(&path).await?;
    stop(&desk).await?;
    dunst.wait_count(0).await?;

    // It is not there any more.
    fs::remove_file(desktop_file(&desk))?;
    let mut open = clicked(&desk, "sip:rabbit@example.org")?;
    // It is the same question.
    dunst.wait_count(1).await?;
    dunst.press("Call with Phone (org.example.Launched)").await?;
    dunst.shows(&["The call was not started", "no org.example.Launched.desktop lies in"]).await?;
    assert_eq!(open.end().await?.code(), Some(1));
    assert_eq!(desk.phone.asked().len(), 0);
    Ok(())
}

#[tokio::test]
async fn without_anybody_to_ask_nothing_is_dialled_unless_it_is_said() -> Result<()> {
    let desk = Desk::new().await?;
    let secure = provider(&desk, "Secure", &["sips"]).await?;
    let mut open = clicked(&desk, "tel:+4930123456")?;
    assert_eq!(open.end().await?.code(), Some(1));
    assert!(open.log().contains("--yes"), "{}", open.log());
    let mute = PlainServer::start(desk.bus()).await?;
    let mut open = clicked(&desk, "tel:+4930123456")?;
    assert_eq!(open.end().await?.code(), Some(1));
    assert!(open.log().contains("callctl start tel:+4930123456"), "{}", open.log());
    assert_eq!(mute.wait_shown(1).await?.summary, "The call was not started");
    assert_eq!(desk.phone.asked().len(), 0);
    for (nth, (link, app, handle)) in [
        ("tel:+4930123456", &desk.phone, "tel:+4930123456"),
        ("SIP:Ada@Example.org", &desk.phone, "sip:Ada@example.org"),
        ("callto:+49%2030%20123", &desk.phone, "tel:+4930123"),
        ("sips:ada@example.org", &secure, "sips:ada@example.org"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut open = opening(&desk)?.arg("--yes").arg(link).start(desk.bus().directory())?;
        assert!(open.end().await?.success(), "{link}: {}", open.log());
        let nth = if handle.starts_with("sips") { 1 } else { nth + 1 };
        assert_eq!(dialled(app, nth).await?, handle);
    }
    Ok(())
}

/// As browsers do it: by the desktop file, through GIO and through xdg-utils.
#[tokio::test]
async fn the_desktop_finds_the_program_for_each_kind_of_link() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    let _secure = provider(&desk, "Secure", &["sips"]).await?;
    let entries = desk.home().join(".local/share/applications");
    fs::create_dir_all(&entries)?;
    let entry = "org.callarbiter.callctl.desktop";
    fs::copy(source("systemd").join(entry), entries.join(entry))?;
    let updated = Command::new("update-desktop-database").arg(&entries).status();
    assert!(updated.context("update-desktop-database (package desktop-file-utils)")?.success());
    for (nth, (program, link, question)) in [
        (&["gio", "open"][..], "tel:+49-30-1", "Call tel:+49301 with Phone?"),
        (&["gio", "open"], "sip:ada@example.org", "Call sip:ada@example.org with Phone?"),
        (&["gio", "open"], "sips:ada@example.org", "Call sips:ada@example.org with Secure?"),
        (&["gio", "open"], "callto:030-1", "Call tel:0301 with Phone?"),
        (&["xdg-open"], "tel:+49-30-2", "Call tel:+49302 with Phone?"),
    ]
    .into_iter()
    .enumerate()
    {
        let callctl = built("callctl", "-p callctl")?;
        let programs = callctl.parent().context("it has a folder")?.display();
        let path = format!("{programs}:{}", std::env::var("PATH")?);
        let launch = desk
            .launch(program[0])?
            .env("PATH", path)
            .env("CALLARBITER_BUS", "session")
            .env("DISPLAY", ":99");
        let launch = program[1..].iter().fold(launch, |launch, word| launch.arg(*word));
        let _open = launch.arg(link).start(desk.bus().directory())?;
        dunst.shows(&[question]).await?;
        // What it started is nobody's child, and ends with its question.
        dunst.press("Cancel").await?;
        dunst.shows(&["The call was not started"]).await?;
        dunst.put_away().await?;
        dunst.wait_count(0).await.with_context(|| format!("link {nth}"))?;
    }
    assert_eq!(desk.phone.asked().len(), 0);
    Ok(())
}

/// An app whose calls the history may keep, for addresses of these schemes.
async fn provider(desk: &Desk, name: &str, schemes: &[&str]) -> Result<FakeProvider> {
    let schemes: Vec<String> = schemes.iter().map(|scheme| (*scheme).to_owned()).collect();
    let configuration = options([
        ("display-name", name.to_owned().into()),
        ("records", "full".into()),
        ("supported-schemes", schemes.into()),
    ]);
    FakeProvider::on(desk.bus().connect().await?, &format!("org.example.{name}"), &configuration)
        .await
}

/// Whom an app was asked to call; the call is over then.
async fn dialled(app: &FakeProvider, nth: usize) -> Result<String> {
    let asked = app.wait_asked("PerformStart", nth).await?;
    app.report_ended(&asked.uuid().context("a call")?, "remote-ended").await?;
    Ok(String::try_from(asked.argument(2).context("it says whom")?)?)
}

fn opening(desk: &Desk) -> Result<Launch> {
    let callctl = desk.launch(built("callctl", "-p callctl")?)?;
    Ok(callctl.env("CALLARBITER_BUS", "session").arg("open"))
}

/// What the desktop file starts: no terminal, nobody reads what it prints.
fn clicked(desk: &Desk, link: &str) -> Result<Process> {
    opening(desk)?.arg(link).start(desk.bus().directory())
}

/// What it says on a terminal to somebody who types this.
async fn typed(desk: &Desk, link: &str, line: &str) -> Result<String> {
    let keys = desk.bus().directory().join("keys");
    fs::write(&keys, line)?;
    let callctl = built("callctl", "-p callctl")?;
    let command = format!("'{}' open '{link}'", callctl.display());
    let mut script = desk
        .launch("script")?
        .env("CALLARBITER_BUS", "session")
        .env("TERM", "xterm")
        .arg("-qec")
        .arg(command)
        .arg("/dev/null")
        .stdin(File::open(keys)?)
        .start(desk.bus().directory())?;
    eventually("it ends", async || script.ended()).await?;
    Ok(script.output())
}
