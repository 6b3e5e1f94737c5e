//! Apps that are written with the client crate, and an arbiter that is killed while they use it: nothing is done
//! twice, everybody gets one answer, and afterwards everybody sees the same. The real daemon with its state on a
//! real bus; there is no line about restarts in these apps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod app;
mod observer;
mod stage;

use anyhow::{Context, Result};
use callarbiter::{CallState, CallUpdate, EndReason, ErrorKind, Events, StartOptions, Uuid};

use observer::Observer;
use stage::{Scene, in_time};

#[tokio::test]
async fn a_request_that_the_arbiter_never_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    let sent = scene.sent("RequestTransaction").await?;
    scene.daemon.signal("STOP")?;
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    in_time(sent).await???;
    scene.crash().await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn an_answer_that_its_app_is_performing() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    phone.goes_on();
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn an_answer_that_its_app_performed_meanwhile() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.goes_on();
    phone.has_done("answer").await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn an_answer_of_the_app_that_the_arbiter_never_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(call).await });
    phone.is_at_work().await?;
    let sent = scene.sent("Fulfil").await?;
    scene.daemon.signal("STOP")?;
    phone.goes_on();
    in_time(sent).await???;
    scene.crash().await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!(phone.done(), ["answer"]);
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn a_call_that_is_being_placed() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let starting = scene.controller.clone();
    let options = StartOptions { wait: true, ..StartOptions::default() };
    let starting = tokio::spawn(async move { starting.start_call("tel:+15550100", options).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    let placed = phone.provider.calls()[0].0;
    phone.provider.update_call(placed, named("Rabbit")).await?;
    observer
        .until("its name", |calls| calls.iter().all(|call| call.display_name.reveal() == "Rabbit"))
        .await?;
    observer.sees(&[(placed, "starting")]).await?;
    phone.goes_on();
    let call = in_time(starting).await???.uuid;
    assert_eq!(phone.done(), ["start"]);
    assert_eq!(phone.provider.calls(), [(call, CallState::Dialing)]);
    observer.sees(&[(call, "dialing")]).await?;
    phone.has_audio(call).await
}

#[tokio::test]
async fn a_call_that_nobody_had_begun_to_place() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let mut observer = Observer::start(&scene).await?;
    let sent = scene.sent("StartCall").await?;
    scene.daemon.signal("STOP")?;
    let starting = scene.controller.clone();
    let starting =
        tokio::spawn(
            async move { starting.start_call("tel:+15550100", StartOptions::default()).await },
        );
    in_time(sent).await???;
    scene.crash().await?;
    scene.restart().await?;
    let call = in_time(starting).await???.uuid;
    observer.sees(&[(call, "dialing")]).await?;
    assert_eq!(phone.done(), ["start"]);
    Ok(())
}

#[tokio::test]
async fn a_plan_while_it_holds_the_other_call() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (old, new) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(old).await?;
    let mut observer = Observer::start(&scene).await?;
    phone.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(new).await });
    phone.is_at_work().await?;
    scene.crash().await?;
    phone.is_detached().await?;
    scene.restart().await?;
    phone.is_attached().await?;
    phone.goes_on();
    in_time(answering).await???;
    assert_eq!((phone.done(), chat.done()), (words(["answer", "hold"]), words(["answer"])));
    observer.sees(&[(old, "held"), (new, "active")]).await?;
    chat.has_audio(new).await
}

#[tokio::test]
async fn a_plan_while_it_answers() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (old, new) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(old).await?;
    let mut observer = Observer::start(&scene).await?;
    chat.takes_its_time();
    let answering = scene.controller.clone();
    let answering = tokio::spawn(async move { answering.answer(new).await });
    chat.is_at_work().await?;
    scene.crash().await?;
    chat.goes_on();
    chat.has_done("answer").await?;
    scene.restart().await?;
    in_time(answering).await???;
    assert_eq!((phone.done(), chat.done()), (words(["answer", "hold"]), words(["answer"])));
    observer.sees(&[(old, "held"), (new, "active")]).await?;
    // The old call is resumed as if nothing had been: the arbiter knows who holds it.
    scene.controller.end(new).await?;
    observer.sees(&[(old, "active")]).await?;
    phone.has_audio(old).await
}

#[tokio::test]
async fn what_happened_at_the_far_ends_meanwhile() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let calls = [phone.ring().await?, chat.ring().await?];
    scene.controller.answer(calls[0]).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.crash().await?;
    phone.is_detached().await?;
    chat.is_detached().await?;
    phone.provider.report_state(calls[0], CallState::Held).await?;
    phone.provider.report_remote_held(calls[0], true).await?;
    phone.provider.update_call(calls[0], named("Rabbit")).await?;
    chat.provider.report_ended(calls[1], EndReason::Unanswered).await?;
    scene.restart().await?;
    observer.sees(&[(calls[0], "held")]).await?;
    observer.until("the far end holds", |calls| calls.iter().all(|call| call.remote_held)).await?;
    observer
        .until("its name", |calls| calls.iter().all(|call| call.display_name.reveal() == "Rabbit"))
        .await?;
    let late = chat.provider.report_incoming(calls[1], CallUpdate::default()).await.unwrap_err();
    assert_eq!(late.kind(), Some(ErrorKind::AlreadyEnded));
    observer.equals(&scene).await
}

#[tokio::test]
async fn a_report_that_the_arbiter_never_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let (one, two) = (phone.ring().await?, Uuid::new_v4());
    let mut observer = Observer::start(&scene).await?;
    let (ended, rang) = (scene.sent("ReportEnded").await?, scene.sent("ReportIncomingCall").await?);
    scene.daemon.signal("STOP")?;
    let provider = phone.provider.clone();
    let ending =
        tokio::spawn(async move { provider.report_ended(one, EndReason::RemoteEnded).await });
    in_time(ended).await???;
    let provider = phone.provider.clone();
    let ringing =
        tokio::spawn(async move { provider.report_incoming(two, CallUpdate::default()).await });
    in_time(rang).await???;
    scene.crash().await?;
    scene.restart().await?;
    in_time(ending).await???;
    in_time(ringing).await???;
    observer.sees(&[(two, "ringing")]).await?;
    observer.equals(&scene).await
}

#[tokio::test]
async fn an_arbiter_that_lost_its_state_is_told_everything() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let (active, ringing) = (phone.ring().await?, chat.ring().await?);
    scene.controller.answer(active).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.crash().await?;
    for app in [&phone, &chat] {
        app.is_detached().await?;
    }
    scene.forget()?;
    scene.restart().await?;
    for app in [&phone, &chat] {
        app.is_attached().await?;
    }
    observer.sees(&[(active, "active"), (ringing, "ringing")]).await?;
    phone.has_audio(active).await?;
    scene.controller.end(ringing).await?;
    observer.sees(&[(active, "active")]).await?;
    observer.equals(&scene).await
}

#[tokio::test]
async fn the_bus_and_the_arbiter_with_it() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    scene.controller.answer(call).await?;
    let mut observer = Observer::start(&scene).await?;
    scene.kill_bus().await?;
    phone.is_detached().await?;
    scene.restart_bus().await?;
    phone.is_attached().await?;
    observer.sees(&[(call, "active")]).await?;
    phone.has_audio(call).await?;
    scene.controller.hold(call).await?;
    observer.sees(&[(call, "held")]).await?;
    assert_eq!(phone.done(), ["answer", "hold"]);
    observer.equals(&scene).await
}

#[tokio::test]
async fn again_and_again() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let call = phone.ring().await?;
    let mut observer = Observer::start(&scene).await?;
    scene.controller.answer(call).await?;
    for turn in 0..5 {
        let controller = scene.controller.clone();
        let changing = tokio::spawn(async move {
            if turn % 2 == 0 { controller.hold(call).await } else { controller.unhold(call).await }
        });
        scene.crash().await?;
        scene.restart().await?;
        in_time(changing).await???;
    }
    assert_eq!(phone.done(), ["answer", "hold", "unhold", "hold", "unhold", "hold"]);
    observer.sees(&[(call, "held")]).await?;
    observer.equals(&scene).await
}

/// One call from its start to its end, the daemon killed after each change of each request.
#[tokio::test]
async fn whatever_a_call_is_asked() -> Result<()> {
    let mut scene = Scene::start().await?;
    let phone = scene.app("org.example.Phone").await?;
    let mut observer = Observer::start(&scene).await?;
    let mut points = 0;
    for asked in ["start", "hold", "unhold", "mute", "dtmf", "end"] {
        for changes in 1.. {
            let call = Uuid::new_v4();
            let controller = scene.controller.clone();
            let options = StartOptions { wait: true, call: Some(call), ..StartOptions::default() };
            if asked != "start" {
                controller.start_call("tel:+15550100", options.clone()).await?;
                phone.provider.report_state(call, CallState::Active).await?;
                phone.has_audio(call).await?;
            }
            if asked == "unhold" {
                controller.hold(call).await?;
            }
            phone.forgets();
            let mut witness = Events::subscribe(&scene.connection().await?).await?;
            let mut asking = tokio::spawn(async move {
                match asked {
                    "start" => controller.start_call("tel:+15550100", options).await.map(drop),
                    "hold" => controller.hold(call).await,
                    "unhold" => controller.unhold(call).await,
                    "mute" => controller.set_muted(call, true).await,
                    "dtmf" => controller.send_dtmf(call, "42#").await,
                    _ => controller.end(call).await,
                }
            });
            let mut done = None;
            for _ in 0..changes {
                tokio::select! {
                    biased;
                    change = witness.next() => drop(change.context("the stream has ended")?),
                    answer = &mut asking, if done.is_none() => done = Some(answer??),
                    () = std::future::ready(()), if done.is_some() => {}
                }
            }
            points += 1;
            let is_over = done.is_some();
            scene.crash().await?;
            scene.restart().await?;
            if !is_over {
                in_time(asking).await???;
            }
            let state = match asked {
                "start" => Some("dialing"),
                "hold" => Some("held"),
                "end" => None,
                _ => Some("active"),
            };
            observer
                .sees(&state.map(|state| (call, state)).into_iter().collect::<Vec<_>>())
                .await?;
            // Muting is asserted again with every grant; twice is once.
            let mut acts = phone.forgets();
            acts.dedup_by(|a, b| a == b && *a == "mute");
            assert_eq!(acts, [asked], "killed after {changes} changes");
            if state.is_some() {
                scene.controller.end(call).await?;
                observer.sees(&[]).await?;
            }
            if is_over {
                break;
            }
        }
    }
    assert!(points > 12, "it was killed at {points} points only");
    observer.equals(&scene).await
}

#[tokio::test]
async fn whatever_was_told_last() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (phone, chat) =
        (scene.app("org.example.Phone").await?, scene.app("org.example.Chat").await?);
    let mut observer = Observer::start(&scene).await?;
    let mut changes = 0;
    let mut is_over = false;
    while !is_over {
        changes += 1;
        let old = phone.ring().await?;
        scene.controller.answer(old).await?;
        let new = chat.ring().await?;
        observer.sees(&[(old, "active"), (new, "ringing")]).await?;
        phone.has_audio(old).await?;
        let mut witness = Events::subscribe(&scene.connection().await?).await?;
        let answering = scene.controller.clone();
        let answering = tokio::spawn(async move { answering.answer(new).await });
        for _ in 0..changes {
            tokio::select! {
                biased;
                change = witness.next() => drop(change.context("the stream has ended")?),
                heard = chat.has_audio(new) => is_over = heard.is_ok(),
            }
        }
        scene.crash().await?;
        scene.restart().await?;
        in_time(answering).await???;
        observer.sees(&[(old, "held"), (new, "active")]).await?;
        chat.has_audio(new).await?;
        scene.controller.end(new).await?;
        observer.sees(&[(old, "active")]).await?;
        phone.has_audio(old).await?;
        scene.controller.end(old).await?;
        observer.sees(&[]).await?;
        let (asked, answered) = (phone.forgets(), chat.forgets());
        assert_eq!(asked, ["answer", "hold", "unhold", "end"], "killed after {changes} changes");
        assert_eq!(answered, ["answer", "end"], "killed after {changes} changes");
    }
    assert!(changes > 8, "it was killed at {changes} points only");
    observer.equals(&scene).await
}

fn named(name: &str) -> CallUpdate {
    CallUpdate { display_name: Some(name.to_owned()), ..CallUpdate::default() }
}

fn words<const N: usize>(words: [&'static str; N]) -> Vec<&'static str> {
    words.to_vec()
}
