//! Real audio servers without a sound card, and an ear at what their loudspeakers really play.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Process, eventually};

use crate::desk::Desk;

/// Samples in a second that the ear takes.
const RATE: usize = 16_000;

/// Louder than this there is something to hear.
const SILENCE: f32 = 0.002;

/// What speaks to programs that play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Server {
    PipeWire,
    PulseAudio,
}

/// An audio server, with one output.
pub struct Speakers {
    /// In the order in which they were started.
    processes: Vec<Process>,
}

impl Speakers {
    pub async fn start(desk: &Desk, server: Server) -> Result<Speakers> {
        let mut speakers = Speakers { processes: vec![] };
        match server {
            Server::PipeWire => speakers.start_pipewire(desk).await?,
            Server::PulseAudio => speakers.start_pulseaudio(desk).await?,
        }
        Ok(speakers)
    }

    /// Takes the server down, as a crash would.
    pub async fn crash(mut self) -> Result<()> {
        for mut process in self.processes.drain(..).rev() {
            process.signal("KILL")?;
            process.end().await?;
        }
        Ok(())
    }

    /// What `pactl` says.
    pub async fn pactl(&self, desk: &Desk, words: &[&str]) -> Result<String> {
        let launch = words.iter().fold(desk.launch("pactl")?, |launch, word| launch.arg(word));
        let mut pactl = launch.env("LC_ALL", "C").start(desk.bus().directory())?;
        let ended = pactl.end().await?;
        ensure!(ended.success(), "pactl {words:?} (package pulseaudio-utils): {}", pactl.log());
        Ok(pactl.output())
    }

    async fn start_pipewire(&mut self, desk: &Desk) -> Result<()> {
        let home = desk.bus().directory().join("home");
        // There is no card: an output that is declared is there before anybody looks for one.
        let drop_in = home.join(".config/pipewire/pipewire.conf.d");
        fs::create_dir_all(&drop_in)?;
        fs::write(drop_in.join("speakers.conf"), SINK)?;
        for (program, socket) in [
            ("pipewire", Some("pipewire-0")),
            ("wireplumber", None),
            ("pipewire-pulse", Some("pulse/native")),
        ] {
            self.processes.push(desk.launch(program)?.start(desk.bus().directory())?);
            let listens = async || match socket {
                Some(socket) => UnixStream::connect(home.join(socket)).is_ok().then_some(()),
                None => Some(()),
            };
            let what =
                format!("{program} (packages pipewire, pipewire-pulse, wireplumber) listens");
            eventually(&what, listens).await?;
        }
        self.wait_sink(desk).await
    }

    async fn start_pulseaudio(&mut self, desk: &Desk) -> Result<()> {
        let mut launch = desk.launch("pulseaudio")?;
        for arg in ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"] {
            launch = launch.arg(arg);
        }
        for module in ["native-protocol-unix auth-anonymous=1", "null-sink sink_name=speakers"] {
            launch = launch.arg("-L").arg(format!("module-{module}"));
        }
        self.processes.push(launch.start(desk.bus().directory())?);
        self.wait_sink(desk).await
    }

    async fn wait_sink(&self, desk: &Desk) -> Result<()> {
        eventually("the audio server has an output", async || {
            let info = self.pactl(desk, &["info"]).await.ok()?;
            info.contains("Default Sink: speakers").then_some(())
        })
        .await
    }
}

impl Drop for Speakers {
    fn drop(&mut self) {
        while self.processes.pop().is_some() {}
    }
}

/// Hears all that the output plays.
pub struct Ear {
    /// Ends with it.
    _recorder: Process,
    file: PathBuf,
}

impl Ear {
    /// At the output's monitor.
    pub async fn new(desk: &Desk) -> Result<Ear> {
        let directory = desk.bus().directory();
        let file = directory.join(format!("ear-{}", uuid::Uuid::new_v4()));
        let recorder = desk
            .launch("parec")?
            .arg("--device=speakers.monitor")
            .arg("--raw")
            .arg("--format=float32le")
            .arg(format!("--rate={RATE}"))
            .arg("--channels=1")
            .arg("--latency-msec=10")
            .arg(&file)
            .start(directory)?;
        let ear = Ear { _recorder: recorder, file };
        eventually("the ear hears", async || (!ear.samples().is_empty()).then_some(())).await?;
        Ok(ear)
    }

    /// Waits until there is something to hear; says how loud.
    pub async fn wait_sound(&self) -> Result<f32> {
        let from = self.samples().len();
        self.wait_sound_after(from).await
    }

    /// How much was heard so far.
    pub fn heard(&self) -> usize {
        self.samples().len()
    }

    /// Waits until something was heard after this.
    pub async fn wait_sound_after(&self, from: usize) -> Result<f32> {
        let loud = async || {
            let samples = self.samples();
            let loudest = loudness(samples.get(from..)?);
            (loudest > SILENCE).then_some(loudest)
        };
        eventually("something is heard", loud).await
    }

    /// Waits until nothing was heard for so long: longer than the pauses of what rings.
    pub async fn wait_silence(&self, lasting: Duration) -> Result<()> {
        let from = self.samples().len();
        let quiet = async || {
            let samples = self.samples();
            let samples = samples.get(from..)?;
            let enough = (lasting.as_secs_f32() * RATE as f32) as usize;
            let last = samples.get(samples.len().checked_sub(enough)?..)?;
            (loudness(last) <= SILENCE).then_some(())
        };
        eventually("silence", quiet).await
    }

    /// The sounds of the next seconds: how long each was, and how loud.
    pub async fn listen(&self, lasting: Duration) -> Result<Vec<Sounded>> {
        let from = self.samples().len();
        let enough = from + (lasting.as_secs_f32() * RATE as f32) as usize;
        eventually("the ear heard enough", async || (self.samples().len() >= enough).then_some(()))
            .await?;
        Ok(sounds(self.samples().get(from..enough).context("the ear lost something")?))
    }

    /// Waits until a tone of this many Hz is heard.
    pub async fn wait_pitch(&self, pitch: f32) -> Result<()> {
        let from = self.heard();
        let heard = async || self.has_pitch(from, pitch).then_some(());
        eventually(&format!("{pitch} Hz are heard"), heard).await
    }

    /// Whether such a tone, and nothing else, was heard for a tenth of a second after this.
    pub fn has_pitch(&self, from: usize, pitch: f32) -> bool {
        let samples = self.samples();
        samples.get(from..).unwrap_or_default().chunks_exact(RATE / 10).any(|tenth| {
            let step = pitch * std::f32::consts::TAU / RATE as f32;
            let (mut sine, mut cosine) = (0.0, 0.0);
            for (at, sample) in tenth.iter().enumerate() {
                sine += sample * (at as f32 * step).sin();
                cosine += sample * (at as f32 * step).cos();
            }
            let of_tone = sine.hypot(cosine) * 2_f32.sqrt() / tenth.len() as f32;
            rms(tenth) > SILENCE && of_tone > rms(tenth) * 0.9
        })
    }

    fn samples(&self) -> Vec<f32> {
        let bytes = fs::read(&self.file).unwrap_or_default();
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// Something that was heard between two silences.
#[derive(Clone, Copy, Debug)]
pub struct Sounded {
    pub seconds: f32,
    /// RMS.
    pub loudness: f32,
    /// It neither sounded already when listening began, nor still when it ended.
    pub whole: bool,
}

/// Silences shorter than this are within a sound.
const BREATH: usize = RATE / 5;

fn sounds(samples: &[f32]) -> Vec<Sounded> {
    let mut found: Vec<(usize, usize)> = vec![];
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() > SILENCE {
            match found.last_mut() {
                Some((_, end)) if at - *end < BREATH => *end = at,
                _ => found.push((at, at)),
            }
        }
    }
    let edge = RATE / 100;
    let seconds = |count: usize| count as f32 / RATE as f32;
    found
        .iter()
        .map(|&(from, end)| Sounded {
            seconds: seconds(end - from),
            loudness: rms(&samples[from..=end]),
            whole: from > edge && end + edge < samples.len(),
        })
        .collect()
}

/// The loudest twentieth of a second.
fn loudness(samples: &[f32]) -> f32 {
    samples.chunks(RATE / 20).map(rms).fold(0.0, f32::max)
}

fn rms(samples: &[f32]) -> f32 {
    let squares: f32 = samples.iter().map(|sample| sample * sample).sum();
    (squares / samples.len().max(1) as f32).sqrt()
}

const SINK: &str = r#"context.objects = [
    { factory = adapter
      args = {
        factory.name = support.null-audio-sink
        node.name = speakers
        node.description = Speakers
        media.class = Audio/Sink
        audio.position = [ FL FR ]
        monitor.channel-volumes = true
      }
    }
]
"#;
