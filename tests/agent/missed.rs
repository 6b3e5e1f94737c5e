//! Why a call counts as missed: each reason reached by a call on a real bus, and read from the history.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::{FakeAgent, FakeProvider, Options, ROOT, Reply, action, options};
use serde_json::Value;
use uuid::Uuid;
use zbus::OwnedObjectPath;

use crate::desk::Desk;
use crate::history::{has, json};

const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n\
    [limits]\nringing-per-provider = 1\n[deadlines]\ngrace-ms = 200\n\
    [[rule]]\nname = \"nobody of these\"\napps = [\"org.example.Unwanted\"]\nring = \"reject\"\n";

const HANDLE: &str = "sip:ada@example.org";

/// Longer than what is called a short ring.
const RINGS_MS: u32 = 5_500;

#[tokio::test]
async fn each_reason_is_that_of_a_call() -> Result<()> {
    let desk = Desk::with(CONFIG).await?;
    let _agent = desk.agent("history").await?;
    // By UUID: why it was missed, and how it ended.
    let mut expected = BTreeMap::new();
    let mut expect = |uuid: String, missed, reason| expected.insert(uuid, (missed, reason));

    let patient = app(&desk, "Patient").await?;
    let uuid = Uuid::new_v4().to_string();
    let update = [("remote-handle", HANDLE.into()), ("ring-timeout", RINGS_MS.into())];
    patient.report_incoming_call(&uuid, &options(update)).await?;
    expect(uuid, "unanswered", "unanswered");
    let dying = app(&desk, "Dying").await?;
    expect(dying.report_incoming(HANDLE).await?.uuid, "provider-lost", "provider-lost");
    drop(dying);
    let unwanted = app(&desk, "Unwanted").await?;
    expect(refused(&unwanted, HANDLE, "FilteredByScreening").await?, "screened", "filtered");

    let phone = app(&desk, "Caller").await?;
    let first = phone.report_incoming(HANDLE).await?;
    expect(refused(&phone, HANDLE, "Busy").await?, "busy", "filtered");
    phone.report_ended(&first.uuid, "remote-ended").await?;
    expect(first.uuid, "short-ring", "remote-ended");
    for reason in ["answered-elsewhere", "declined-elsewhere"] {
        let call = phone.report_incoming(HANDLE).await?;
        phone.report_ended(&call.uuid, reason).await?;
        expect(call.uuid, reason, reason);
    }
    let call = phone.report_incoming(HANDLE).await?;
    let silence = action("Silence", [("call", call.uuid.clone().into())]);
    phone.peer.request(&[silence], &Options::new()).await?;
    phone.report_ended(&call.uuid, "remote-ended").await?;
    expect(call.uuid, "silenced", "remote-ended");

    // Of these nobody missed anything.
    let call = phone.report_incoming(HANDLE).await?;
    phone.peer.end(&call.path).await?;
    expect(call.uuid, "", "declined");
    let call = phone.report_incoming(HANDLE).await?;
    phone.peer.answer(&call.path).await?;
    phone.report_ended(&call.uuid, "remote-ended").await?;
    expect(call.uuid, "", "remote-ended");

    phone.script("PerformAnswer", Reply::Fail("org.callarbiter.Calls1.Error.ActionFailed", "no"));
    let call = phone.report_incoming(HANDLE).await?;
    phone.peer.answer(&call.path).await.unwrap_err();
    expect(call.uuid, "failed", "failed");

    has(&desk, &expected.keys().cloned().collect::<Vec<_>>()).await?;
    let told = json(&desk, &["history"]).await?;
    for record in told["calls"].as_array().context("a list")? {
        let (missed, reason) = expected[record["call"].as_str().context("a UUID")?];
        let so = record["missed"] == missed && record["reason"] == reason;
        ensure!(so && record["direction"] == "incoming", "{missed}, {reason}: {record}");
        ensure!(record["provider_name"] == "Phone" && record["handle"] == HANDLE, "{record}");
        times(record)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_outgoing_call_is_told_as_it_ended_and_is_never_missed() -> Result<()> {
    let desk = Desk::with(CONFIG).await?;
    let _agent = desk.agent("history").await?;
    let phone = app(&desk, "Caller").await?;
    let mut calls = Vec::new();
    for (nth, reason) in ["busy", "unanswered", "remote-ended"].into_iter().enumerate() {
        let uuid = Uuid::new_v4().to_string();
        let app = "org.example.Caller";
        let how = options([("provider", app.into()), ("call", uuid.clone().into())]);
        let _: OwnedObjectPath =
            phone.peer.call(ROOT, "Manager", "StartCall", &(HANDLE, how)).await?;
        phone.wait_asked("PerformStart", nth + 1).await?;
        phone.report_ended(&uuid, reason).await?;
        calls.push(uuid);
    }
    has(&desk, &calls).await?;
    let told = json(&desk, &["history"]).await?;
    let said: Vec<[&str; 3]> = told["calls"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|call| ["direction", "missed", "reason"].map(|key| call[key].as_str().unwrap()))
        .collect();
    let all = ["remote-ended", "unanswered", "busy"].map(|reason| ["outgoing", "", reason]);
    assert_eq!(said, all);
    assert_eq!(json(&desk, &["history", "--missed"]).await?["calls"], Value::Array(vec![]));
    Ok(())
}

/// By a program of the user's that is asked about each call.
#[tokio::test]
async fn what_a_screener_turned_away_is_told_by_its_ground() -> Result<()> {
    let desk = Desk::with(CONFIG).await?;
    let screener = FakeAgent::with(desk.bus(), &["screening"]).await?;
    let phone = app(&desk, "Caller").await?;
    let mut calls = Vec::new();
    for (nth, (ground, error)) in
        [("block-list", "FilteredByBlockList"), ("screening", "FilteredByScreening")]
            .into_iter()
            .enumerate()
    {
        let answer = async {
            let asked = screener.asked("Screen", nth + 1).await?;
            let answer = [
                ("verdict", "reject".into()),
                ("reason", ground.into()),
                ("detail", "+49301".into()),
            ];
            anyhow::Ok(screener.answer(&asked, answer).await?)
        };
        let (uuid, answered) = tokio::join!(refused(&phone, HANDLE, error), answer);
        answered?;
        calls.push(uuid?);
    }
    let _agent = desk.agent("history").await?;
    has(&desk, &calls).await?;
    let told = json(&desk, &["history"]).await?;
    let missed: Vec<_> =
        told["calls"].as_array().context("a list")?.iter().map(|c| &c["missed"]).collect();
    assert_eq!(missed, ["screened", "blocked"]);
    let why = json(&desk, &["why", &calls[0]]).await?;
    let entry =
        why["causes"].as_array().context("a list")?.iter().find(|cause| cause["cause"] == "listed");
    assert_eq!(entry.context("the list")?["said"], "+49301", "{why}");
    Ok(())
}

async fn app(desk: &Desk, name: &str) -> Result<FakeProvider> {
    let configuration = options([("display-name", "Phone".into()), ("records", "full".into())]);
    FakeProvider::on(desk.bus().connect().await?, &format!("org.example.{name}"), &configuration)
        .await
}

/// A call that is turned away with this error; its UUID.
pub async fn refused(app: &FakeProvider, handle: &str, error: &str) -> Result<String> {
    let uuid = Uuid::new_v4().to_string();
    let update = options([("remote-handle", handle.to_owned().into())]);
    let refused = app.report_incoming_call(&uuid, &update).await.unwrap_err();
    ensure!(refused.short() == error, "{refused}");
    Ok(uuid)
}

/// It began, was perhaps connected, and ended, in this order.
fn times(record: &Value) -> Result<()> {
    let at = |key: &str| record[key].as_u64().context("a time");
    let (began, connected, ended) = (at("created_at")?, at("connected_at")?, at("ended_at")?);
    let rang = record["missed"] == "unanswered";
    ensure!(0 < began && began <= ended, "{record}");
    ensure!(connected == 0 || began <= connected && connected <= ended, "{record}");
    ensure!(rang == (ended - began >= u64::from(RINGS_MS) * 1000), "{record}");
    Ok(())
}
