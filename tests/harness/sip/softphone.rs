//! A real softphone without a sound card: baresip, with a tone as its microphone.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tempfile::TempDir;

use super::control::Control;
use crate::{Launch, Process, eventually};

const MODULES: &str = "/usr/lib/baresip/modules";
/// Seconds of tone: longer than any test; baresip hangs up when the file ends.
const TONE: u32 = 120;

/// A running baresip.
pub struct Softphone {
    /// The program, with what it printed.
    pub process: Process,
    directory: TempDir,
    uri: String,
    control: String,
}

impl Softphone {
    /// Starts one with this name and waits until it listens.
    pub async fn start(name: &str) -> Result<Softphone> {
        Softphone::with_answers(name, "manual").await
    }

    /// One that answers every call at once.
    pub async fn answering(name: &str) -> Result<Softphone> {
        Softphone::with_answers(name, "auto").await
    }

    async fn with_answers(name: &str, mode: &str) -> Result<Softphone> {
        if !Path::new(MODULES).exists() {
            bail!("baresip is missing: install the Debian package baresip-core");
        }
        let directory = tempfile::Builder::new().prefix("callarbiter-sip-").tempdir()?;
        let (sip, control) = (free_sip_port()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let top = directory.path();
        let uri = format!("sip:{name}@127.0.0.1:{sip}");
        fs::write(top.join("config"), config(sip, &control.to_string(), &top.join("tone.wav")))?;
        fs::write(top.join("accounts"), format!("<{uri}>;regint=0;answermode={mode}\n"))?;
        fs::write(top.join("contacts"), "")?;
        fs::write(top.join("tone.wav"), tone())?;
        let process = Launch::new("baresip").arg("-f").arg(top).arg("-s").start(top)?;
        let mut phone = Softphone { process, directory, uri, control: control.to_string() };
        let ready = async || {
            let up = TcpStream::connect(control).is_ok();
            (up || phone.process.ended().is_some()).then_some(up)
        };
        if !eventually("baresip listens", ready).await? {
            bail!("baresip ended at once: {}{}", phone.process.output(), phone.process.log());
        }
        Ok(phone)
    }

    /// Its SIP address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Where it takes commands.
    pub fn control_address(&self) -> &str {
        &self.control
    }

    /// Takes its controls into the test's hands; a provider would do the same.
    pub async fn control(&self) -> Result<Control> {
        Control::connect(&self.control).await
    }

    /// The tone that is its microphone, as baresip names it.
    pub fn microphone(&self) -> String {
        format!("aufile,{}", self.tone_file().display())
    }

    fn tone_file(&self) -> PathBuf {
        self.directory.path().join("tone.wav")
    }
}

/// baresip listens on the port for UDP and TCP, and on the next for TLS.
fn free_sip_port() -> Result<u16> {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let port = udp.local_addr()?.port();
        let tcp = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if port < u16::MAX && tcp(port) && tcp(port + 1) {
            return Ok(port);
        }
    }
    bail!("no free port for SIP")
}

fn config(sip: u16, control: &str, tone: &Path) -> String {
    let modules = ["g711", "aubridge", "aufile"].map(|name| format!("module {name}.so\n")).concat();
    let apps =
        ["account", "ctrl_tcp", "menu"].map(|name| format!("module_app {name}.so\n")).concat();
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\n\
         audio_player aubridge,player\naudio_source aufile,{}\naudio_alert aubridge,alert\n\
         call_local_timeout 120\ncall_max_calls 4\nrtp_ports 20000-29998\nring_aufile none\n\
         module_path {MODULES}\n{modules}{apps}ctrl_tcp_listen {control}\n",
        tone.display()
    )
}

/// A square wave of 400 Hz as a WAV file of 8 kHz.
fn tone() -> Vec<u8> {
    let samples = TONE * 8000;
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + samples * 2).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    for field in [1u16, 1] {
        wav.extend_from_slice(&field.to_le_bytes());
    }
    for field in [8000u32, 16000] {
        wav.extend_from_slice(&field.to_le_bytes());
    }
    for field in [2u16, 16] {
        wav.extend_from_slice(&field.to_le_bytes());
    }
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&(samples * 2).to_le_bytes());
    for sample in 0..samples {
        let value: i16 = if sample / 10 % 2 == 0 { 8000 } else { -8000 };
        wav.extend_from_slice(&value.to_le_bytes());
    }
    wav
}
