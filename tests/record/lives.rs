//! What changes the rules in the middle of a recording, and the end of the arbiter itself: it is decided again as it was.

use super::*;

const RULES: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
const STRICTER: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n\
                        [[rule]]\nname = \"no spam\"\ncontacts = [\"tel:+49900*\"]\nring = \"reject\"\n";

/// A call at which a screener looks, and what it says.
async fn screened(
    phone: &FakeProvider,
    screener: &FakeAgent,
    nth: usize,
    verdict: &'static str,
) -> Result<Result<String, String>> {
    let looks = async {
        let asked = screener.asked("Screen", nth).await?;
        let words = [("verdict", verdict.into()), ("reason", "screening".into())];
        anyhow::Ok(screener.answer(&asked, words).await?)
    };
    let handle = format!("sip:dormouse{nth}@wonderland.example");
    let (reported, looked) = tokio::join!(phone.report_incoming(&handle), looks);
    looked?;
    Ok(reported.map(|call| call.path).map_err(|refused| refused.to_string()))
}

async fn prefer(agent: &FakeAgent, rules: Vec<Options>) -> Result<(), Refused> {
    agent
        .peer
        .call(ROOT, "Manager", "SetPreferences", &(Options::new(), rules, Options::new()))
        .await
}

/// All of it is decided as it was; the sentences about it.
fn as_it_was(file: &Path) -> Result<String> {
    let played = replay(file, &[])?;
    let (closing, inputs) = played.split_last().unwrap();
    assert_eq!(closing["played"]["unlike"], 0, "{closing}");
    assert!(inputs.iter().all(|input| input["as_recorded"] == true));
    let people = callctl(&["--color", "never", "replay", file.to_str().unwrap()])?;
    Ok(String::from_utf8(people.stdout)?)
}

#[tokio::test]
async fn screeners_preferences_a_reload_and_a_crash_are_played_again() -> Result<()> {
    let mut arbiter = Arbiter::on(Bus::session().await?, RULES).await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let alice = arbiter.bus.connect().await?;
    let mut recorder = Recorder::start(&arbiter, "first.jsonl").await?;
    let screener = FakeAgent::with(&arbiter.bus, &["screening", "preferences"]).await?;
    let allowed = screened(&phone, &screener, 1, "allow").await?.unwrap();
    screened(&phone, &screener, 2, "reject").await?.unwrap_err();
    // The user's own rule, in front of the screener.
    let quiet = options([
        ("name", "my aunt".into()),
        ("contacts", vec!["sip:dormouse3@wonderland.example"].into()),
        ("ring", "silence".into()),
    ]);
    prefer(&screener, vec![quiet]).await?;
    let hushed = screened(&phone, &screener, 3, "allow").await?.unwrap();
    let silenced = alice.property(&hushed, "Call", "Silenced").await?;
    assert_eq!(String::try_from(silenced)?, "rule");
    // The administrator's, by a reload.
    phone.report_ended(&uuid_of(&hushed), "remote-ended").await?;
    fs::write(&arbiter.daemon.config, STRICTER)?;
    arbiter.daemon.process.signal("HUP")?;
    let log = || arbiter.daemon.process.log();
    eventually("a reload", async || log().contains("read again").then_some(())).await?;
    let refused = phone.report_incoming("tel:+49-900-555123").await.unwrap_err().to_string();
    assert!(refused.contains("no spam"), "{refused}");
    alice.answer(&allowed).await?;
    alice.wait_state(&allowed, "active").await?;

    // The arbiter goes in the middle of it, and what was recorded until then counts.
    phone.script("Reconcile", Reply::Never);
    arbiter.crash_and_restart().await?;
    let mut again = Recorder::start(&arbiter, "second.jsonl").await?;
    let status = recorder.process.end().await?;
    let said = recorder.process.log();
    assert!(!status.success() && said.contains("the arbiter has gone"), "{said}");
    let first = as_it_was(&recorder.file)?;
    for sentence in [
        "the screening says allow",
        "the rule #",
        "configuration was read",
        "the rule no spam applies",
    ] {
        assert!(first.contains(sentence), "{sentence}\n{first}");
    }

    // It begins while the app has not said what is left of its calls.
    let asked = phone.wait_asked("Reconcile", 1).await?;
    let kept = HashMap::from([(uuid_of(&allowed), options([("state", "active".into())]))]);
    let calls = options([("calls", kept.into())]);
    let () = phone.tell("Fulfil", &(asked.request.as_str(), calls)).await?;
    alice.wait_state(&allowed, "active").await?;
    alice.end(&allowed).await?;
    let text = again.stop().await?;
    for secret in ["wonderland", "my aunt", "555123"] {
        assert!(!text.contains(secret) && !first.contains(secret), "{secret}");
    }
    let second = as_it_was(&again.file)?;
    assert!(second.contains("active → ending"), "{second}");
    Ok(())
}
