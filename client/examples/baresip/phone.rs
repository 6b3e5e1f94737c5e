//! baresip as a telephone with several calls: what the arbiter asks becomes commands, what happens becomes news.
//! Owns the picture of the phone's calls and the ways around what baresip 1.0.0 does by itself; it must not know
//! the arbiter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::{Mutex, broadcast};
use tokio::time::timeout;
use uuid::Uuid;

use crate::control::{Control, Event};
use crate::line::{Line, current_line, end_reason, is_on_hold, is_remote_held};

/// How long the other side of a SIP dialogue may take to agree; less than the arbiter's own deadlines.
const AGREEMENT: Duration = Duration::from_secs(4);

/// What is heard and spoken with: baresip's names, such as `alsa,default`.
pub struct Devices {
    /// The microphone.
    pub source: String,
    /// The speaker.
    pub player: String,
}

impl Devices {
    /// Bridges to nowhere: nothing is recorded, sent or played. Two names, or baresip would return an echo.
    fn none() -> Devices {
        Devices { source: "aubridge,no-source".into(), player: "aubridge,no-player".into() }
    }
}

/// What happened at the phone that nobody asked for.
pub enum News {
    /// Somebody calls.
    Ringing(Uuid, String),
    /// The other side's phone rings.
    Alerting(Uuid),
    /// Connected.
    Connected(Uuid),
    /// Put on hold at the phone itself.
    Held(Uuid),
    /// The other side has put us on hold, or resumed.
    RemoteHeld(Uuid, bool),
    /// Over, for a reason in the arbiter's words, with baresip's own.
    Ended(Uuid, &'static str, String),
}

/// A running baresip.
pub struct Phone {
    control: Control,
    devices: Devices,
    lines: Mutex<HashMap<Uuid, Line>>,
}

impl Phone {
    /// Takes charge of a running baresip and of its audio. A call that it still has, of a program before this
    /// one, is hung up: nobody could reach it, and its microphone would stay open.
    pub async fn connect(address: &str, devices: Devices) -> Result<Phone> {
        let control = Control::connect(address).await?;
        let phone = Phone { control, devices, lines: Mutex::default() };
        phone.settle(&mut *phone.lines.lock().await).await?;
        let look = ["listcalls".to_owned()];
        while phone.control.run(&look).await?.iter().any(|a| current_line(&a.text).is_some()) {
            phone.control.run(&["hangup".to_owned()]).await?;
        }
        Ok(phone)
    }

    /// All that happens from now on, for `follow`.
    pub fn events(&self) -> Result<broadcast::Receiver<Event>> {
        self.control.events()
    }

    /// Calls somebody.
    pub async fn dial(&self, uuid: Uuid, peer: &str) -> Result<()> {
        if !peer.starts_with("sip:") || peer.contains(char::is_whitespace) {
            bail!("baresip dials sip: addresses only");
        }
        let mut lines = self.lines.lock().await;
        let mut commands = switch_to(&Devices::none()).to_vec();
        commands.extend([format!("dial {peer}"), "mute".into(), "listcalls".into()]);
        let answers = self.control.run(&commands).await?;
        let [_, _, dial, _, listing] = answers.as_slice() else {
            bail!("baresip answered too little")
        };
        dial.accepted("dial")?;
        let number = current_line(&listing.text).context("baresip has no call after dialling")?;
        let dialled = Some(Instant::now());
        let line = Line { number, dialled, peer: peer.into(), silent: true, ..Line::default() };
        lines.insert(uuid, line);
        Ok(())
    }

    /// Answers, without any sound yet, and waits until the caller's side has confirmed.
    pub async fn answer(&self, uuid: Uuid) -> Result<()> {
        let mut events = self.control.events()?;
        let id = {
            let mut lines = self.lines.lock().await;
            let line = found(&mut lines, uuid)?;
            if line.connected {
                return Ok(());
            }
            line.answering = true;
            line.silent = true;
            let (id, select) = (line.id.clone(), line.select());
            // baresip holds the previous call first, and gives up without a word if that one still rings. A
            // ringing call that is marked as held already does not stop it; the mark is taken off afterwards.
            let others: Vec<String> =
                lines.values().filter(|l| l.rings()).map(Line::select).collect();
            let mut commands = Vec::new();
            commands.extend(others.iter().flat_map(|other| [other.clone(), "hold".into()]));
            commands.extend([select, "accept".into(), "mute".into()]);
            commands.extend(switch_to(&Devices::none()));
            commands.extend(others.into_iter().flat_map(|other| [other, "resume".into()]));
            self.control.run(&commands).await?;
            id
        };
        let confirmed = until(&mut events, &id, |event| event.kind == "CALL_ESTABLISHED").await;
        let mut lines = self.lines.lock().await;
        let line = found(&mut lines, uuid)?;
        line.answering = false;
        line.connected = confirmed.is_ok();
        confirmed.context("the call was not established")
    }

    /// Hangs up, or declines (baresip says 486).
    pub async fn end(&self, uuid: Uuid) -> Result<()> {
        let mut lines = self.lines.lock().await;
        let Some(line) = lines.get_mut(&uuid) else { return Ok(()) };
        line.ending = true;
        let mut commands = vec![line.select(), "hangup".into()];
        commands.extend(keep_held(&lines));
        self.control.run(&commands).await.map(drop)
    }

    /// Holds or resumes by a re-INVITE, and waits until the other side has agreed to it.
    pub async fn set_held(&self, uuid: Uuid, held: bool) -> Result<()> {
        let mut events = self.control.events()?;
        let (id, select) = {
            let mut lines = self.lines.lock().await;
            let line = found(&mut lines, uuid)?;
            if line.held == held {
                return Ok(());
            }
            line.held = held;
            line.changing = true;
            let select = line.select();
            let answers = self.control.run(&[select.clone(), hold(held).into()]).await?;
            answers.last().context("no answer")?.accepted(hold(held))?;
            (line.id.clone(), select)
        };
        let agreed = until(&mut events, &id, is_agreement).await;
        let mut lines = self.lines.lock().await;
        let line = found(&mut lines, uuid)?;
        line.changing = false;
        if agreed.is_err() {
            line.held = !held;
            self.control.run(&[select, hold(!held).into()]).await?;
        }
        agreed.with_context(|| format!("the other side did not agree to {}", hold(held)))
    }

    /// The user's mute.
    pub async fn set_muted(&self, uuid: Uuid, muted: bool) -> Result<()> {
        let mut lines = self.lines.lock().await;
        found(&mut lines, uuid)?.muted = muted;
        self.settle(&mut lines).await
    }

    /// Hangs up everything.
    pub async fn end_all(&self) {
        for (call, _) in self.states().await {
            // One that is over already is what is wanted.
            let _ = self.end(call).await;
        }
    }

    /// Sends tones as RTP events.
    pub async fn play(&self, uuid: Uuid, tones: &str) -> Result<()> {
        if tones.is_empty() {
            return Ok(());
        }
        let mut lines = self.lines.lock().await;
        let select = found(&mut lines, uuid)?.select();
        let answers = self.control.run(&[select, format!("sndcode {tones}")]).await?;
        answers.last().context("no answer")?.accepted("send the tones")
    }

    /// The arbiter gives these calls the audio, or takes it away.
    pub async fn set_audio(&self, uuids: &[Uuid], audio: bool) -> Result<()> {
        let mut lines = self.lines.lock().await;
        for uuid in uuids {
            // One that has ended in the meantime needs none.
            let _ = lines.get_mut(uuid).map(|line| line.audio = audio);
        }
        self.settle(&mut lines).await
    }

    /// The calls that the phone still has, each in the arbiter's word for its state.
    pub async fn states(&self) -> Vec<(Uuid, &'static str)> {
        let lines = self.lines.lock().await;
        let state = |line: &Line| match line {
            line if line.held => "held",
            line if line.connected => "active",
            line if line.incoming => "ringing",
            _ => "dialing",
        };
        lines
            .iter()
            .filter(|(_, line)| !line.ending)
            .map(|(uuid, line)| (*uuid, state(line)))
            .collect()
    }

    /// Keeps the picture of the calls, and tells what the arbiter has to know of an event.
    pub async fn follow(&self, event: &Event) -> Result<Option<News>> {
        let mut lines = self.lines.lock().await;
        if event.kind == "CALL_INCOMING" {
            let line = Line {
                id: event.id.clone(),
                peer: event.peer.clone(),
                incoming: true,
                ..Line::default()
            };
            let uuid = Uuid::new_v4();
            lines.insert(uuid, line);
            return Ok(Some(News::Ringing(uuid, event.peer.clone())));
        }
        let Some((uuid, line)) = of_event(&mut lines, event) else { return Ok(None) };
        if line.ending && event.kind != "CALL_CLOSED" {
            // It was hung up here: the arbiter wants to hear no more of it.
            return Ok(None);
        }
        match event.kind.as_str() {
            "CALL_RINGING" | "CALL_PROGRESS" => {
                self.settle(&mut lines).await?;
                Ok(Some(News::Alerting(uuid)))
            }
            "CALL_ESTABLISHED" => {
                let asked = std::mem::replace(&mut line.connected, true) || line.answering;
                self.settle(&mut lines).await?;
                Ok((!asked).then_some(News::Connected(uuid)))
            }
            "CALL_REMOTE_SDP" if line.connected => self.look(uuid, &mut lines).await,
            "CALL_CLOSED" => {
                let line = lines.remove(&uuid).unwrap_or_default();
                self.control.run(&keep_held(&lines)).await?;
                self.settle(&mut lines).await?;
                let reason = end_reason(&line, &event.detail);
                Ok((!line.ending).then(|| News::Ended(uuid, reason, event.detail.clone())))
            }
            _ => Ok(None),
        }
    }

    /// After an exchange of SDP: who holds now, and the devices again, for baresip has just reopened those that
    /// the call began with.
    async fn look(&self, uuid: Uuid, lines: &mut HashMap<Uuid, Line>) -> Result<Option<News>> {
        let line = found(lines, uuid)?;
        let commands = [line.select(), "listcalls".into(), "audio_debug".into()];
        let answers = self.control.run(&commands).await?;
        let [_, listing, debug] = answers.as_slice() else { bail!("baresip answered too little") };
        let (held, remote_held) = (is_on_hold(&listing.text), is_remote_held(&debug.text));
        let news = if remote_held != line.remote_held {
            line.remote_held = remote_held;
            Some(News::RemoteHeld(uuid, remote_held))
        } else if held && !line.held && !line.changing {
            line.held = true;
            Some(News::Held(uuid))
        } else {
            None
        };
        if !held {
            self.control.run(&keep_held(lines)).await?;
        }
        self.settle(lines).await?;
        Ok(news)
    }

    /// Makes baresip's mutes and devices what they have to be. The devices are the whole phone's; a call without
    /// the audio beside one with it is kept silent by its mute.
    async fn settle(&self, lines: &mut HashMap<Uuid, Line>) -> Result<()> {
        let audible = lines.values().find(|line| line.audio);
        let devices = if audible.is_some() { &self.devices } else { &Devices::none() };
        // baresip switches the current call first, and stops at one that cannot be switched as it still rings.
        let select =
            audible.or_else(|| lines.values().find(|line| line.has_media())).map(Line::select);
        let commands: Vec<_> = select.into_iter().chain(switch_to(devices)).collect();
        self.control.run(&commands).await?;
        for line in lines.values_mut().filter(|line| line.has_media()) {
            // baresip's mute is a toggle; somebody at the phone may have used it.
            for _ in 0..2 {
                if line.silent != line.must_be_silent() {
                    let answers = self.control.run(&[line.select(), "mute".into()]).await?;
                    line.silent =
                        !answers.last().is_some_and(|answer| answer.text.contains("un-muted"));
                }
            }
        }
        Ok(())
    }
}

fn switch_to(devices: &Devices) -> [String; 2] {
    [format!("ausrc {}", devices.source), format!("auplay {}", devices.player)]
}

/// When a call ends baresip resumes the one before it, which is not for the phone to decide: back on hold.
fn keep_held(lines: &HashMap<Uuid, Line>) -> Vec<String> {
    let held = lines.values().filter(|line| line.held && !line.ending && !line.changing);
    held.flat_map(|line| [line.select(), "hold".into()]).collect()
}

/// The call of an event. The first event of a call just dialled brings its id; where the same number was dialled
/// again before that, it is the earlier one's.
fn of_event<'a>(lines: &'a mut HashMap<Uuid, Line>, event: &Event) -> Option<(Uuid, &'a mut Line)> {
    if event.id.is_empty() {
        return None;
    }
    let known = lines.iter().find(|(_, line)| line.id == event.id).map(|(uuid, _)| *uuid);
    let may_be = |line: &Line| line.id.is_empty() && !event.incoming && line.peer == event.peer;
    let dialled = lines.iter().filter(|(_, line)| may_be(line));
    let first = dialled.min_by_key(|(_, line)| line.dialled).map(|(uuid, _)| *uuid);
    let uuid = known.or(first)?;
    let line = lines.get_mut(&uuid)?;
    line.id.clone_from(&event.id);
    Some((uuid, line))
}

fn found(lines: &mut HashMap<Uuid, Line>, uuid: Uuid) -> Result<&mut Line> {
    lines.get_mut(&uuid).context("the phone has no such call any more")
}

fn hold(held: bool) -> &'static str {
    if held { "hold" } else { "resume" }
}

fn is_agreement(event: &Event) -> bool {
    event.kind == "CALL_REMOTE_SDP" && event.detail == "answer"
}

/// Waits for an event of one call; its end, or too long a silence, is an error.
async fn until(
    events: &mut broadcast::Receiver<Event>,
    id: &str,
    wanted: impl Fn(&Event) -> bool,
) -> Result<()> {
    let happened = async {
        loop {
            let event = events.recv().await.context("baresip is gone")?;
            if event.id == id && event.kind == "CALL_CLOSED" {
                bail!("the call ended: {}", event.detail);
            }
            if event.id == id && wanted(&event) {
                return Ok(());
            }
        }
    };
    timeout(AGREEMENT, happened).await.context("no word from the other side")?
}
