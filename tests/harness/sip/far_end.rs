//! A telephone at the far end of a call, in the test's own process: speaks SIP and RTP over UDP and keeps, in
//! order, what it heard. One call at a time.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::media::Packet;
use super::message::{SipMessage, finish, mirrored, sdp};
use crate::PATIENCE;

/// Sound comes every 20 ms.
const TEN_PACKETS: Duration = Duration::from_millis(200);

/// Something that the far end heard, and when.
#[derive(Clone, Debug)]
pub struct Heard {
    /// `180 Ringing`, `INVITE sendonly`, `asked again`, `BYE`, `tone 5`, `sound`, `silence` …; what goes on
    /// is told once.
    pub what: String,
    /// For comparing with another far end.
    pub when: Instant,
}

/// What it says when the softphone wants to hold or to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// 200 at once.
    AtOnce,
    /// Nothing, until the test calls `agree`.
    WhenTold,
    /// 488.
    Never,
}

/// A telephone.
pub struct FarEnd {
    inner: Arc<Inner>,
    tasks: [JoinHandle<()>; 2],
}

struct Inner {
    name: String,
    sip: UdpSocket,
    rtp: UdpSocket,
    state: Mutex<State>,
    heard: watch::Sender<Vec<Heard>>,
    /// How much sound and silence has come.
    packets: watch::Sender<usize>,
}

struct State {
    agreement: Agreement,
    call: Option<Call>,
    /// An offer that waits for its answer, with the one who made it.
    asked: Option<(SipMessage, SocketAddr)>,
}

/// The dialogue.
#[derive(Clone)]
struct Call {
    id: String,
    peer: SocketAddr,
    ours: String,
    theirs: String,
    target: String,
    sequence: u32,
    /// The branch of our first INVITE, for its CANCEL and for the ACK of a refusal.
    branch: String,
    caller: bool,
    established: bool,
}

impl FarEnd {
    /// A telephone with this name.
    pub async fn start(name: &str) -> Result<FarEnd> {
        let inner = Arc::new(Inner {
            name: name.into(),
            sip: UdpSocket::bind("127.0.0.1:0").await?,
            rtp: UdpSocket::bind("127.0.0.1:0").await?,
            state: Mutex::new(State { agreement: Agreement::AtOnce, call: None, asked: None }),
            heard: watch::Sender::new(Vec::new()),
            packets: watch::Sender::new(0),
        });
        let tasks = [tokio::spawn(inner.clone().listen()), tokio::spawn(inner.clone().hear())];
        Ok(FarEnd { inner, tasks })
    }

    /// Its address.
    pub fn uri(&self) -> String {
        self.inner.uri()
    }

    /// Calls somebody on loopback.
    pub async fn call(&self, uri: &str) -> Result<()> {
        let peer = uri.rsplit('@').next().context("an address has a host")?.parse()?;
        let call = Call {
            id: Uuid::new_v4().to_string(),
            peer,
            ours: format!("<{}>;tag={}", self.uri(), Uuid::new_v4().simple()),
            theirs: format!("<{uri}>"),
            target: uri.into(),
            sequence: 1,
            branch: format!("z9hG4bK{}", Uuid::new_v4().simple()),
            caller: true,
            established: false,
        };
        self.inner.locked().call = Some(call.clone());
        self.inner.invite(&call, "sendrecv").await
    }

    /// Accepts the call that rings here, or agrees to the hold or resume that it has let wait.
    pub async fn agree(&self) -> Result<()> {
        let (offer, peer) =
            self.inner.locked().asked.take().context("nobody asked the far end anything")?;
        self.inner.answer_offer(&offer, peer, "200 OK").await
    }

    /// Refuses the call that rings here: `486 Busy Here`.
    pub async fn refuse(&self, status: &str) -> Result<()> {
        let (offer, peer) =
            self.inner.locked().asked.take().context("nobody asked the far end anything")?;
        self.inner.answer_offer(&offer, peer, status).await
    }

    /// What it says to holds and resumes from now on.
    pub fn agrees(&self, agreement: Agreement) {
        self.inner.locked().agreement = agreement;
    }

    /// Holds (`sendonly`) or resumes (`sendrecv`) from this side.
    pub async fn offer(&self, direction: &str) -> Result<()> {
        let call = self.inner.next_request()?;
        self.inner.invite(&call, direction).await
    }

    /// Ends the call, or gives up calling.
    pub async fn hang_up(&self) -> Result<()> {
        let call = self.inner.next_request()?;
        let request = if call.established {
            self.inner.request(&call, "BYE", call.sequence, &Inner::branch(), "")
        } else {
            self.inner.request(&call, "CANCEL", call.sequence - 1, &call.branch, "")
        };
        self.inner.send(&request, call.peer).await
    }

    /// Makes sure that no sound and no silence is sent here: nothing comes but what was under way.
    pub async fn hears_no_media(&self) -> Result<()> {
        let mut packets = self.inner.packets.subscribe();
        let before = *packets.borrow();
        let coming = packets.wait_for(|count| *count > before + 1);
        if timeout(TEN_PACKETS, coming).await.is_ok() {
            bail!("media comes to {}, which heard {:?}", self.inner.name, words(&self.heard()));
        }
        Ok(())
    }

    /// All that it heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.inner.heard.borrow().clone()
    }

    /// How much it has heard, for `wait_since`.
    pub fn mark(&self) -> usize {
        self.inner.heard.borrow().len()
    }

    /// Waits until it has heard this, counted from the beginning.
    pub async fn wait(&self, what: &str) -> Result<Heard> {
        self.wait_since(0, what).await
    }

    /// Waits until it has heard this after a mark.
    pub async fn wait_since(&self, mark: usize, what: &str) -> Result<Heard> {
        let mut heard = self.inner.heard.subscribe();
        let find = |all: &Vec<Heard>| all.iter().skip(mark).any(|one| one.what.starts_with(what));
        let found = timeout(PATIENCE, heard.wait_for(find)).await.is_ok_and(|found| found.is_ok());
        let all = self.heard();
        let first = all.iter().skip(mark).find(|one| one.what.starts_with(what)).cloned();
        match first {
            Some(first) if found => Ok(first),
            _ => bail!(
                "{} never heard {what:?} after {mark}, only {:?}",
                self.inner.name,
                words(&all)
            ),
        }
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if std::thread::panicking() {
            eprintln!("--- {} heard {:?}", self.inner.name, words(&self.heard()));
        }
    }
}

impl Inner {
    async fn listen(self: Arc<Self>) {
        let mut buffer = vec![0; 65536];
        while let Ok((length, peer)) = self.sip.recv_from(&mut buffer).await {
            if let Some(message) = SipMessage::read(&buffer[..length]) {
                let handled = match message.method().map(str::to_owned) {
                    Some(method) => self.asked(&method, message, peer).await,
                    None => self.told(message).await,
                };
                if let Err(error) = handled {
                    self.hear_of(format!("trouble: {error:#}"));
                }
            }
        }
    }

    /// Listens to the sound: what goes on is told once, each tone is told.
    async fn hear(self: Arc<Self>) {
        let mut buffer = vec![0; 2048];
        let mut last = None;
        let mut tone = None;
        while let Ok((length, _)) = self.rtp.recv_from(&mut buffer).await {
            match Packet::read(&buffer[..length]) {
                Some(packet @ Packet::Tone(digit, _)) if tone != Some(packet) => {
                    tone = Some(packet);
                    self.hear_of(format!("tone {digit}"));
                }
                Some(Packet::Tone(..)) | None => {}
                Some(packet) => {
                    self.packets.send_modify(|count| *count += 1);
                    let goes_on = last.is_some_and(|(before, when): (Packet, Instant)| {
                        before == packet && when.elapsed() < TEN_PACKETS / 2
                    });
                    last = Some((packet, Instant::now()));
                    if !goes_on {
                        let sound = packet == Packet::Sound;
                        self.hear_of(if sound { "sound" } else { "silence" }.into());
                    }
                }
            }
        }
    }

    /// A request came.
    async fn asked(&self, method: &str, request: SipMessage, peer: SocketAddr) -> Result<()> {
        match method {
            "INVITE" => self.offered(request, peer).await,
            "ACK" => Ok(()),
            "BYE" | "CANCEL" => {
                self.hear_of(method.into());
                self.locked().call = None;
                let ringing = self.locked().asked.take();
                self.respond(&request, peer, "200 OK", "").await?;
                match ringing {
                    Some((invite, peer)) => {
                        self.respond(&invite, peer, "487 Request Terminated", "").await
                    }
                    None => Ok(()),
                }
            }
            _ => self.respond(&request, peer, "200 OK", "").await,
        }
    }

    /// A call, or a hold or resume within it; repeated over UDP, it is not offered again.
    async fn offered(&self, offer: SipMessage, peer: SocketAddr) -> Result<()> {
        let (known, agreement) = {
            let mut state = self.locked();
            let repeats =
                |(asked, _): &(SipMessage, _)| asked.header("CSeq") == offer.header("CSeq");
            if state.asked.as_ref().is_some_and(repeats) {
                drop(state);
                self.hear_of("asked again".into());
                return Ok(());
            }
            state.asked = Some((offer.clone(), peer));
            (
                state.call.as_ref().is_some_and(|call| call.id == offer.header("Call-ID")),
                state.agreement,
            )
        };
        self.hear_of(format!("INVITE {}", offer.direction()));
        match (known, agreement) {
            (false, _) => self.respond(&offer, peer, "180 Ringing", "").await,
            (true, Agreement::WhenTold) => Ok(()),
            (true, Agreement::AtOnce) => self.answer_taken("200 OK").await,
            (true, Agreement::Never) => self.answer_taken("488 Not Acceptable Here").await,
        }
    }

    async fn answer_taken(&self, status: &str) -> Result<()> {
        let Some((offer, peer)) = self.locked().asked.take() else { return Ok(()) };
        self.answer_offer(&offer, peer, status).await
    }

    async fn answer_offer(&self, offer: &SipMessage, peer: SocketAddr, status: &str) -> Result<()> {
        if !status.starts_with('2') {
            return self.respond(offer, peer, status, "").await;
        }
        {
            let mut state = self.locked();
            let call = state.call.get_or_insert_with(|| Call {
                id: offer.header("Call-ID").into(),
                peer,
                ours: format!("{};tag={}", offer.header("To"), self.tag()),
                theirs: offer.header("From").into(),
                target: offer.address("Contact"),
                sequence: 0,
                branch: String::new(),
                caller: false,
                established: true,
            });
            call.target = offer.address("Contact");
        }
        let sdp = sdp(self.rtp_port(), 2, mirrored(offer.direction()));
        self.respond(offer, peer, status, &sdp).await
    }

    /// A response came.
    async fn told(&self, response: SipMessage) -> Result<()> {
        let status = response.status().unwrap_or_default().to_owned();
        let sequence = response.header("CSeq").to_owned();
        let Some(number) = sequence.strip_suffix(" INVITE").and_then(|number| number.parse().ok())
        else {
            return Ok(());
        };
        let (call, news) = {
            let mut state = self.locked();
            let Some(call) =
                state.call.as_mut().filter(|call| call.id == response.header("Call-ID"))
            else {
                return Ok(());
            };
            call.theirs = response.header("To").into();
            let first = number == 1 && call.caller && !call.established;
            if status.starts_with('2') {
                call.target = response.address("Contact");
                call.established = true;
            }
            (call.clone(), first)
        };
        if status.starts_with('1') {
            self.hear_of(status);
        } else if status.starts_with('2') {
            self.hear_of(if news { status } else { format!("agreed {}", response.direction()) });
            let ack = self.request(&call, "ACK", number, &Inner::branch(), "");
            self.send(&ack, call.peer).await?;
        } else {
            self.hear_of(status);
            let ack = self.request(&call, "ACK", number, &call.branch, "");
            self.send(&ack, call.peer).await?;
            self.locked().call = None;
        }
        Ok(())
    }

    async fn invite(&self, call: &Call, direction: &str) -> Result<()> {
        let sdp = sdp(self.rtp_port(), call.sequence, direction);
        let branch = if call.established { Inner::branch() } else { call.branch.clone() };
        let request = self.request(call, "INVITE", call.sequence, &branch, &sdp);
        self.send(&request, call.peer).await
    }

    fn request(&self, call: &Call, method: &str, sequence: u32, branch: &str, sdp: &str) -> String {
        let (own, target) = (self.address(), &call.target);
        let mut text = format!("{method} {target} SIP/2.0\r\n");
        let _ =
            write!(text, "Via: SIP/2.0/UDP {own};branch={branch};rport\r\nMax-Forwards: 70\r\n");
        let _ =
            write!(text, "From: {}\r\nTo: {}\r\nCall-ID: {}\r\n", call.ours, call.theirs, call.id);
        let _ = write!(text, "CSeq: {sequence} {method}\r\nContact: <{}>\r\n", self.uri());
        finish(text, sdp)
    }

    async fn respond(
        &self,
        to: &SipMessage,
        peer: SocketAddr,
        status: &str,
        sdp: &str,
    ) -> Result<()> {
        self.send(&to.response(status, &self.tag(), &self.uri(), sdp), peer).await
    }

    async fn send(&self, text: &str, peer: SocketAddr) -> Result<()> {
        self.sip.send_to(text.as_bytes(), peer).await.map(drop).context("sending SIP")
    }

    fn next_request(&self) -> Result<Call> {
        let mut state = self.locked();
        let call = state.call.as_mut().context("the far end has no call")?;
        call.sequence += 1;
        Ok(call.clone())
    }

    fn hear_of(&self, what: String) {
        self.heard.send_modify(|heard| heard.push(Heard { what, when: Instant::now() }));
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn branch() -> String {
        format!("z9hG4bK{}", Uuid::new_v4().simple())
    }

    fn tag(&self) -> String {
        format!("tag-of-{}", self.name)
    }

    fn uri(&self) -> String {
        format!("sip:{}@{}", self.name, self.address())
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().expect("it is bound")
    }

    fn rtp_port(&self) -> u16 {
        self.rtp.local_addr().expect("it is bound").port()
    }
}

fn words(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|one| one.what.as_str()).collect()
}
