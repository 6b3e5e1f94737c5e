//! A real sound server in a desk's session, what plays and records on it, and how loud its loudspeaker is.

use std::fs;
use std::mem;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use harness::{Launch, Process, eventually, source};

use crate::desk::Desk;

/// What the loudspeaker is called.
const SPEAKERS: &str = "speakers";

/// How much of the newest sound is looked at: longer than what any server buffers.
const LOOK: usize = RATE / 5;
const RATE: usize = 48_000;

/// Samples begin within so many bytes of a file.
const HEADER: usize = 256;

/// How loud a tone is here: a sine of half the greatest amplitude.
pub const LOUD: f32 = 0.3535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PipeWire 1.4 with WirePlumber 0.5, from the small Debian.
    New,
    /// PipeWire 0.3.65 with WirePlumber 0.4, this machine's if it is a Debian 12.
    Old,
    /// PulseAudio, this machine's.
    Pulse,
}

/// A running server with a loudspeaker, and a microphone that hears a tone on both channels.
pub struct Sound {
    pub kind: Kind,
    meter: Option<Recording>,
    /// Speaks into the microphone.
    voice: Option<Process>,
    manager: Option<Process>,
    /// What stands for the headset.
    headset: String,
    home: PathBuf,
    server: Process,
}

impl Sound {
    pub async fn start(desk: &Desk, kind: Kind) -> Result<Sound> {
        match kind {
            Kind::New | Kind::Old => Sound::start_pipewire(desk, kind).await,
            Kind::Pulse => Sound::start_pulse(desk).await,
        }
    }

    async fn start_pipewire(desk: &Desk, kind: Kind) -> Result<Sound> {
        let config = desk.home().join(".config/pipewire/pipewire.conf.d");
        fs::create_dir_all(&config)?;
        fs::write(config.join("devices.conf"), DEVICES)?;
        let server = inside(desk, kind, "pipewire")?.start(desk.bus().directory())?;
        listens(&desk.home().join("pipewire-0")).await?;
        let (headset, home) = (String::new(), desk.home());
        let mut sound =
            Sound { kind, meter: None, voice: None, manager: None, headset, home, server };
        sound.start_manager(desk).await?;
        Ok(sound)
    }

    async fn start_pulse(desk: &Desk) -> Result<Sound> {
        let arguments = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"];
        let modules = [
            "native-protocol-unix auth-anonymous=1",
            "stream-restore",
            "null-sink sink_name=speakers",
            "null-sink sink_name=mic",
        ];
        let mut server = arguments.iter().fold(desk.launch("pulseaudio")?, |l, word| l.arg(*word));
        for module in modules {
            server = server.arg("-L").arg(format!("module-{module}"));
        }
        let server = server.start(desk.bus().directory())?;
        let home = desk.home();
        listens(&home.join("pulse/native")).await?;
        for defaults in [["set-default-sink", SPEAKERS], ["set-default-source", "mic.monitor"]] {
            let set = async || run(&home, "pactl", &defaults).ok();
            eventually("PulseAudio has its devices", set).await?;
        }
        let (mut meter, file) = record_command(desk, Kind::Pulse, "meter")?;
        meter.push(format!("--device={SPEAKERS}.monitor"));
        let meter = Some(Recording { file, process: Some(start(desk, &meter)?) });
        let mut voice = play_command(desk, Kind::Pulse, &[], Side::Both)?;
        voice.push("--device=mic".to_owned());
        // What is played into the microphone is no stream of somebody's: it is never quiet.
        voice.push("--property=media.role=production".to_owned());
        let voice = Some(start(desk, &voice)?);
        let headset = String::new();
        Ok(Sound { kind: Kind::Pulse, meter, voice, manager: None, headset, home, server })
    }

    /// The session manager; with it come defaults and links.
    pub async fn start_manager(&mut self, desk: &Desk) -> Result<()> {
        self.listen_and_speak(desk).await?;
        self.manager = Some(inside(desk, self.kind, "wireplumber")?.start(desk.bus().directory())?);
        eventually("WirePlumber knows the loudspeaker", async || {
            let said = run(&self.home, "pw-metadata", &["0", "default.audio.sink"]).ok()?;
            said.contains(SPEAKERS).then_some(())
        })
        .await?;
        eventually("meter and microphone are linked", async || self.link_by_hand()).await
    }

    /// Meter and voice, which the session manager does not link. It sets their formats when it comes, and one that
    /// is linked by then may be in error for good: each session manager finds new ones.
    async fn listen_and_speak(&mut self, desk: &Desk) -> Result<()> {
        for process in [self.meter.take().and_then(|meter| meter.process), self.voice.take()] {
            let Some(mut process) = process else { continue };
            process.signal("KILL")?;
            process.end().await?;
        }
        let (meter, file) = record_command(desk, self.kind, "meter")?;
        // Nobody takes what the one before has heard for news.
        fs::write(&file, [])?;
        self.meter = Some(Recording { file, process: Some(start(desk, &unlinked(meter))?) });
        let voice = play_command(desk, self.kind, &[("node.name", "voice")], Side::Both)?;
        self.voice = Some(start(desk, &unlinked(voice))?);
        Ok(())
    }

    /// What the session manager leaves alone. It makes ports anew when it comes, before or after this.
    fn link_by_hand(&self) -> Option<()> {
        for (from, to) in [("speakers:monitor", "meter:input"), ("voice:output", "mic:input")] {
            for channel in ["FL", "FR"] {
                let ends = [format!("{from}_{channel}"), format!("{to}_{channel}")];
                match run(&self.home, "pw-link", &[&ends[0], &ends[1]]) {
                    Err(error) if !error.to_string().contains("File exists") => return None,
                    _ => {}
                }
            }
        }
        Some(())
    }

    pub async fn kill_manager(&mut self) -> Result<()> {
        let mut manager = self.manager.take().context("WirePlumber runs")?;
        manager.signal("KILL")?;
        manager.end().await.map(drop)
    }

    /// As a crash would: with everything that hangs on it.
    pub async fn kill(&mut self) -> Result<()> {
        if self.server.ended().is_none() {
            self.server.signal("KILL")?;
            self.server.end().await?;
        }
        (self.manager, self.meter, self.voice) = (None, None, None);
        Ok(())
    }

    /// Links a stream to the loudspeaker by hand, or no longer.
    pub async fn link(&self, stream: &str, on: bool) -> Result<()> {
        for channel in ["FL", "FR"] {
            let ends =
                [format!("{stream}:output_{channel}"), format!("{SPEAKERS}:playback_{channel}")];
            let words = [ends[0].as_str(), ends[1].as_str(), "--disconnect"];
            let words = if on { &words[..2] } else { &words[..] };
            let linked = async || run(&self.home, "pw-link", words).ok();
            eventually(&format!("{stream} has ports"), linked).await?;
        }
        Ok(())
    }

    /// What speaks PulseAudio's protocol for PipeWire.
    pub async fn speak_pulse(&self, desk: &Desk) -> Result<Process> {
        let process = desk.launch("pipewire-pulse")?.start(desk.bus().directory())?;
        listens(&desk.home().join("pulse/native")).await?;
        Ok(process)
    }

    /// A headset is plugged in, and what is heard in it.
    pub async fn plug(&mut self, desk: &Desk) -> Result<Recording> {
        match self.kind {
            Kind::Pulse => {
                let words = "load-module module-null-sink sink_name=headset \
                    sink_properties=device.form_factor=headset";
                let words: Vec<&str> = words.split(' ').collect();
                self.headset = run(&self.home, "pactl", &words)?.trim().to_owned();
            }
            Kind::New | Kind::Old => {
                run(&self.home, "pw-cli", &["create-node", "adapter", HEADSET])?;
                self.headset = "headset".to_owned();
            }
        }
        let (mut words, file) = record_command(desk, self.kind, "ear")?;
        match self.kind {
            Kind::Pulse => words.push("--device=headset.monitor".to_owned()),
            Kind::New | Kind::Old => words = unlinked(words),
        }
        let ear = Recording { file, process: Some(start(desk, &words)?) };
        if self.kind != Kind::Pulse {
            for channel in ["FL", "FR"] {
                let ends = [format!("headset:monitor_{channel}"), format!("ear:input_{channel}")];
                let linked = async || run(&self.home, "pw-link", &[&ends[0], &ends[1]]).ok();
                eventually("the headset is heard", linked).await?;
            }
        }
        Ok(ear)
    }

    /// It is pulled out.
    pub fn unplug(&self) -> Result<()> {
        match self.kind {
            Kind::Pulse => run(&self.home, "pactl", &["unload-module", &self.headset]),
            Kind::New | Kind::Old => run(&self.home, "pw-cli", &["destroy", &self.headset]),
        }
        .map(drop)
    }

    /// PulseAudio: mutes all that records, or no longer, as the user may.
    pub fn mute_recordings(&self, muted: bool) -> Result<()> {
        let streams = run(&self.home, "pactl", &["list", "short", "source-outputs"])?;
        let word = if muted { "1" } else { "0" };
        for index in streams.lines().filter_map(|line| line.split('\t').next()) {
            run(&self.home, "pactl", &["set-source-output-mute", index, word])?;
        }
        Ok(())
    }

    /// How loud the loudspeaker is, left and right.
    pub fn level(&self) -> Result<[f32; 2]> {
        self.meter.as_ref().context("there is a meter")?.level()
    }

    /// Waits until the newest hundredth of a second on the left is no louder than this, in parts of [`LOUD`].
    pub async fn wait_quiet(&self, left: f32) -> Result<()> {
        let meter = self.meter.as_ref().context("there is a meter")?;
        eventually("the loudspeaker is quiet", async || {
            let [now, _] = meter.newest(RATE / 100).ok()?;
            (now / LOUD < left + 0.05).then_some(())
        })
        .await
    }

    /// Waits until the loudspeaker is as loud as this on the left and right, in parts of [`LOUD`].
    pub async fn wait_level(&self, what: &str, left: f32, right: f32) -> Result<()> {
        let mut last = [f32::NAN; 2];
        let heard = eventually(what, async || {
            let before = mem::replace(&mut last, self.level().ok()?);
            let stands_still = near(last, [0.0; 2]) || last == before;
            if self.manager.is_some() && stands_still {
                self.link_by_hand();
            }
            near(last, [left, right]).then_some(())
        })
        .await;
        let at = last.map(|level| level / LOUD);
        heard.with_context(|| format!("the loudspeaker is at {at:?}; {}", self.links()))
    }

    /// PipeWire: what is linked with what.
    pub fn links(&self) -> String {
        run(&self.home, "pw-link", &["-l"]).unwrap_or_default()
    }
}

async fn listens(socket: &Path) -> Result<()> {
    let what = format!("somebody listens at {}", socket.display());
    eventually(&what, async || UnixStream::connect(socket).ok()).await.map(drop)
}

/// Which side of the loudspeaker a tone is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
    Both,
}

/// Plays a tone, as a stream with these properties.
pub fn play(desk: &Desk, kind: Kind, props: &[(&str, &str)], side: Side) -> Result<Process> {
    start(desk, &play_command(desk, kind, props, side)?)
}

/// The same as words of a command line.
pub fn play_command(
    desk: &Desk,
    kind: Kind,
    props: &[(&str, &str)],
    side: Side,
) -> Result<Vec<String>> {
    let file = desk.home().join(format!("tone-{side:?}.wav"));
    if !file.exists() {
        fs::write(&file, tone(side))?;
    }
    let mut words = match kind {
        Kind::Pulse => vec!["paplay".to_owned(), "--latency-msec=20".to_owned()],
        Kind::New | Kind::Old => {
            let words = ["pw-cat", "--playback", "--latency", "20ms", "-P", &props_of(props)];
            words.map(str::to_owned).to_vec()
        }
    };
    if kind == Kind::Pulse {
        words.extend(props.iter().map(|(key, value)| format!("--property={key}={value}")));
    }
    words.push(file.display().to_string());
    Ok(words)
}

fn start(desk: &Desk, words: &[String]) -> Result<Process> {
    let (program, arguments) = words.split_first().context("a program")?;
    let launch = arguments.iter().fold(desk.launch(program)?, |launch, word| launch.arg(word));
    launch.start(desk.bus().directory())
}

/// Of `pw-cat`: the session manager leaves it alone.
pub fn unlinked(mut words: Vec<String>) -> Vec<String> {
    words.splice(1..1, ["--target".to_owned(), "0".to_owned()]);
    words
}

/// What a stream recorded.
pub struct Recording {
    file: PathBuf,
    /// It records as long as somebody listens.
    process: Option<Process>,
}

impl Recording {
    /// Of somebody else's process.
    pub fn of(file: PathBuf) -> Recording {
        Recording { file, process: None }
    }

    /// How loud the newest of it is, left and right.
    pub fn level(&self) -> Result<[f32; 2]> {
        self.newest(LOOK)
    }

    fn newest(&self, look: usize) -> Result<[f32; 2]> {
        let bytes = fs::read(&self.file)?;
        let data = bytes.windows(4).take(HEADER).position(|word| word == b"data");
        let data = data.context("no samples yet")?;
        let samples: Vec<f32> = bytes[data + 8..]
            .chunks_exact(2)
            .map(|sample| f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32768.0)
            .collect();
        let frames = samples.len() / 2;
        if frames < look {
            bail!("{frames} frames are too few");
        }
        let newest = &samples[(frames - look) * 2..frames * 2];
        let rms = |side: usize| {
            let squares: f32 =
                newest.iter().skip(side).step_by(2).map(|sample| sample * sample).sum();
            (squares / look as f32).sqrt()
        };
        Ok([rms(0), rms(1)])
    }

    /// Waits until it is as loud as this on both sides, in parts of [`LOUD`].
    pub async fn wait_level(&self, what: &str, level: f32) -> Result<()> {
        self.wait_levels(what, level, level).await
    }

    /// The same of the left and the right.
    pub async fn wait_levels(&self, what: &str, left: f32, right: f32) -> Result<()> {
        let mut last = [f32::NAN; 2];
        let heard = eventually(what, async || {
            last = self.level().ok()?;
            near(last, [left, right]).then_some(())
        })
        .await;
        heard.with_context(|| format!("it is at {:?}", last.map(|level| level / LOUD)))
    }
}

/// Records from the microphone, as words of a command line, and into which file.
pub fn record_command(desk: &Desk, kind: Kind, name: &str) -> Result<(Vec<String>, PathBuf)> {
    let file = desk.home().join(format!("{name}.wav"));
    let path = file.display().to_string();
    let words: Vec<&str> = match kind {
        Kind::Pulse => vec![
            "parec",
            "--file-format=wav",
            "--latency-msec=20",
            "--rate=48000",
            "--channels=2",
            "--format=s16le",
            &path,
        ],
        Kind::New | Kind::Old => {
            let words = "pw-cat --record --latency 20ms --rate 48000 --channels 2 --format s16 -P";
            words.split(' ').collect()
        }
    };
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if kind != Kind::Pulse {
        words.extend([props_of(&[("node.name", name)]), path]);
    }
    Ok((words, file))
}

fn props_of(props: &[(&str, &str)]) -> String {
    let props = props.iter().map(|(key, value)| format!(" {key} = \"{value}\""));
    format!("{{{} }}", props.collect::<String>())
}

/// Within a twentieth of a tone.
fn near(levels: [f32; 2], parts: [f32; 2]) -> bool {
    levels.iter().zip(parts).all(|(level, part)| (level / LOUD - part).abs() < 0.05)
}

/// A minute of a tone: stereo, 48 kHz, 16 bits.
fn tone(side: Side) -> Vec<u8> {
    let frames = RATE * 60;
    let size = u32::try_from(frames * 4).unwrap();
    let mut wav = b"RIFF".to_vec();
    wav.extend((size + 36).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x10\0data");
    wav.extend(size.to_le_bytes());
    for frame in 0..frames {
        // A whole number of frames in a period: no beats with the meter's window.
        let phase = (frame % 120) as f32 / 120.0 * std::f32::consts::TAU;
        let sample = (phase.sin() * 16384.0) as i16;
        let on = |silent: Side| if side == silent { 0 } else { sample };
        wav.extend(on(Side::Right).to_le_bytes());
        wav.extend(on(Side::Left).to_le_bytes());
    }
    wav
}

/// A program of the server's own release.
fn inside(desk: &Desk, kind: Kind, program: &str) -> Result<Launch> {
    match kind {
        Kind::Old | Kind::Pulse => desk.launch(program),
        Kind::New => {
            let shared = desk.bus().directory().parent().context("a directory for scratch")?;
            let launch = desk.launch("unshare")?.arg("--mount").arg("sh").arg("-ec").arg(INSIDE);
            Ok(launch.arg(root()?).arg(shared).arg(program))
        }
    }
}

/// Only the files are the small Debian's: processes, users, and where the test has its files are this machine's.
const INSIDE: &str = r#"
mount --bind /proc "$0/proc"
mount --rbind /dev "$0/dev"
mkdir -p "$0$1"
mount --bind "$1" "$0$1"
root=$0
shift
exec chroot "$root" "$@"
"#;

fn root() -> Result<&'static Path> {
    static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = ROOT.get_or_init(|| {
        let made = Command::new(source("tests/audio/root")).output().map_err(|e| e.to_string())?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
    });
    made.as_deref().map_err(|error| anyhow::anyhow!("tests/audio/root: {error}"))
}

/// Runs a program of this machine to its end.
fn run(home: &Path, program: &str, args: &[&str]) -> Result<String> {
    let ran = Command::new(program)
        .args(args)
        .env("XDG_RUNTIME_DIR", home)
        .output()
        .with_context(|| format!("{program} (packages pipewire-bin, pulseaudio-utils)"))?;
    if !ran.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(String::from_utf8(ran.stdout)?)
}

const DEVICES: &str = r#"
context.objects = [
    { factory = adapter
      args = { factory.name = support.null-audio-sink, node.name = speakers, media.class = Audio/Sink
               audio.position = [ FL FR ], priority.session = 1000, monitor.channel-volumes = true } }
    { factory = adapter
      args = { factory.name = support.null-audio-sink, node.name = mic, media.class = Audio/Source/Virtual
               audio.position = [ FL FR ], priority.session = 1500 } }
]
"#;

const HEADSET: &str = "{ factory.name=support.null-audio-sink node.name=headset node.description=Headset \
    device.form-factor=headset media.class=Audio/Sink audio.position=[FL,FR] monitor.channel-volumes=true \
    priority.session=10 object.linger=true }";
