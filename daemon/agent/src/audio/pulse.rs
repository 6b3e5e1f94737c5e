//! Audio priority on PulseAudio, which has nothing that ends with a connection: volume and mute of streams.
//!
//! Owns what is undone and when. PulseAudio keeps both, and where a stream was moved, for the app's next stream, so what was so before is
//! written down first, set back for streams that are there, and put into its memory for those that left.

mod memory;
mod moves;

use std::{collections::BTreeMap, ffi::CStr};

use anyhow::{Result, bail};
use pulseaudio::protocol::{
    ChannelVolume, ClientInfoList, Command, Props, ServerInfo, SetStreamMuteParams,
    SetStreamVolumeParams, SinkInputInfoList, SourceOutputInfoList, SubscriptionMask, Volume,
};
use tracing::{debug, info};

use self::moves::Moved;
use super::{
    Answer, QUIET, SPECIAL_ROLES, Turn,
    wanted::{App, Treatment, Wanted, Way},
    whose::{Origin, Process},
};
use crate::{pulse::Server, trace::Trace};

/// No stream has more.
const CHANNELS: usize = 32;

/// A connection to PulseAudio itself.
pub struct Pulse {
    server: Server,
    /// Tells this server from the one that was there before a restart.
    cookie: u32,
    trace: Trace,
    quiet: BTreeMap<(Way, u32), Quiet>,
    /// Streams of calls that were moved to another output.
    moved: BTreeMap<u32, Moved>,
    /// Names of outputs.
    sinks: BTreeMap<u32, String>,
}

/// A stream that was made quiet.
#[derive(Clone, Debug, PartialEq)]
struct Quiet {
    /// How loud it was and how loud it was made; a capture was muted instead.
    volumes: Vec<(u32, u32)>,
    remembered_as: String,
}

/// A stream as the server tells of it.
struct Stream {
    way: Way,
    index: u32,
    origin: Origin,
    special: bool,
    volume: ChannelVolume,
    muted: bool,
    corked: bool,
    /// Of a playback: where it is heard.
    sink: u32,
    remembered_as: String,
}

impl Pulse {
    /// To a PulseAudio; what else speaks its protocol is refused.
    pub async fn connect(trace: Trace) -> Result<Pulse> {
        let mut server = Server::open().await?;
        let about: ServerInfo = server.ask(Command::GetServerInfo).await?;
        let name = about.server_name.unwrap_or_default();
        if name.to_string_lossy().contains("PipeWire") {
            bail!("this agent was built without the feature for PipeWire");
        }
        let streams = SubscriptionMask::SINK_INPUT | SubscriptionMask::SOURCE_OUTPUT;
        let outputs = SubscriptionMask::SINK | SubscriptionMask::SERVER;
        server.tell(Command::Subscribe(streams | outputs)).await?;
        let cookie = about.cookie;
        let (quiet, moved, sinks) = Default::default();
        let mut pulse = Pulse { server, cookie, trace, quiet, moved, sinks };
        pulse.find_left_behind().await?;
        Ok(pulse)
    }

    /// Waits until streams are not what they were.
    pub async fn changed(&mut self) -> Result<()> {
        self.server.next().await.map(drop)
    }

    /// Makes it so; the answer is what is so.
    pub async fn enforce(&mut self, wanted: &Wanted, route: Option<&str>) -> Result<Turn> {
        let mut streams = self.streams().await?;
        self.forget_those_that_left(&streams).await?;
        let mut changed = false;
        for stream in &streams {
            match (treatment(wanted, stream), self.quiet.contains_key(&stream.key())) {
                (Treatment::Leave, true) => self.restore(stream).await?,
                (Treatment::Duck | Treatment::Silence, false) => self.silence(stream).await?,
                _ => continue,
            }
            changed = true;
        }
        changed |= self.route(&streams, wanted, route).await?;
        self.keep();
        if changed {
            streams = self.streams().await?;
        }
        let late = streams.iter().filter(|stream| !stream.corked).flat_map(|stream| {
            let without = wanted.without_session(&stream.origin);
            without.map(|app| (app.provider.clone(), stream.way))
        });
        let late = late.collect();
        let loud =
            |stream: &Stream| treatment(wanted, stream) != Treatment::Leave && self.is_loud(stream);
        let enforced = !streams.iter().any(loud);
        let hears = |app: &App| {
            let mut captures = streams.iter().filter(|stream| stream.way == Way::Capture);
            captures.any(|stream| app.owns(&stream.origin) && !stream.muted)
        };
        let muted = wanted.apps.iter().filter(|app| app.silence && !hears(app));
        let answer = Answer { enforced, muted: muted.map(|app| app.provider.clone()).collect() };
        let routed = self.is_routed(&streams, wanted, route);
        Ok(Turn { answer, routed, left: true, astray: false, late })
    }

    /// It is not as it was made. Where the user turned a quiet stream up or down again, that is no failure.
    fn is_loud(&self, stream: &Stream) -> bool {
        match stream.way {
            Way::Capture => !stream.muted,
            Way::Playback => self.quiet.get(&stream.key()).is_none_or(|quiet| {
                let now = stream.volume.channels().iter().map(Volume::as_u32);
                let silent = quiet.volumes.iter().all(|(was, made)| was == made);
                !silent && now.eq(quiet.volumes.iter().map(|(was, _)| *was))
            }),
        }
    }

    async fn forget_those_that_left(&mut self, streams: &[Stream]) -> Result<()> {
        let there = |key: &(Way, u32)| streams.iter().any(|stream| stream.key() == *key);
        let left: Vec<(Way, u32)> = self.quiet.keys().filter(|key| !there(key)).copied().collect();
        for key in left {
            if let Some(quiet) = self.quiet.remove(&key) {
                self.remember(key.0, &quiet).await?;
            }
        }
        Ok(())
    }

    async fn silence(&mut self, stream: &Stream) -> Result<()> {
        let quieter = |volume: &Volume| {
            (volume.as_u32(), Volume::from_linear(volume.to_linear() * QUIET).as_u32())
        };
        let volumes = match stream.way {
            // Who muted it before keeps it so.
            Way::Capture if stream.muted => return Ok(()),
            Way::Capture => Vec::new(),
            Way::Playback => stream.volume.channels().iter().map(quieter).collect(),
        };
        let quiet = Quiet { volumes, remembered_as: stream.remembered_as.clone() };
        let command = command(stream.key(), &quiet, true);
        self.quiet.insert(stream.key(), quiet);
        self.keep();
        self.perform(command).await
    }

    async fn restore(&mut self, stream: &Stream) -> Result<()> {
        let Some(quiet) = self.quiet.remove(&stream.key()) else { return Ok(()) };
        let now = stream.volume.channels().iter().map(Volume::as_u32);
        let untouched = match stream.way {
            Way::Playback => now.eq(quiet.volumes.iter().map(|(_, made)| *made)),
            Way::Capture => stream.muted,
        };
        // What the user set meanwhile is the user's.
        if untouched { self.perform(command(stream.key(), &quiet, false)).await } else { Ok(()) }
    }

    /// A stream that has gone meanwhile is nobody's trouble.
    async fn perform(&mut self, command: Command) -> Result<()> {
        match self.server.tell(command).await {
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => Err(error),
            Err(error) => {
                debug!(%error, "a stream cannot be changed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Sets back what the server keeps for the next stream of an app whose stream left while it was quiet.
    async fn remember(&mut self, way: Way, quiet: &Quiet) -> Result<()> {
        let extension = memory::extension();
        // Without the module, nothing is kept.
        let Ok(kept) = self.server.converse(&extension, memory::READ).await else { return Ok(()) };
        match memory::corrected(&kept, way, quiet) {
            Some(entry) => self.server.converse(&extension, &entry).await.map(drop),
            None => Ok(()),
        }
    }

    /// Takes over what an agent before this one made quiet.
    async fn find_left_behind(&mut self) -> Result<()> {
        let left = self.trace.found();
        if !left.is_empty() {
            info!(streams = left.len(), "an agent before this one left streams quiet");
        }
        self.find_moves_left_behind(&left).await?;
        let streams = self.streams().await?;
        for (cookie, key, quiet) in left.iter().filter_map(|line| parse(line)) {
            if cookie == self.cookie {
                self.quiet.insert(key, quiet);
                continue;
            }
            // The server that was killed kept it, for the same app's next stream.
            let began = |stream: &&Stream| stream.way == key.0 && quiet.is_of(stream);
            for stream in streams.iter().filter(began) {
                self.quiet.insert(stream.key(), quiet.clone());
            }
            self.remember(key.0, &quiet).await?;
        }
        self.keep();
        Ok(())
    }

    fn keep(&self) {
        let line = |((way, index), quiet): (&(Way, u32), &Quiet)| {
            let way = way.word();
            let volumes = quiet.volumes.iter().map(|(was, made)| format!("{was}:{made}"));
            let volumes: Vec<String> = volumes.collect();
            let volumes = if volumes.is_empty() { "-".into() } else { volumes.join(",") };
            format!("{} {way} {index} {volumes} {}", self.cookie, quiet.remembered_as)
        };
        let lines = self.quiet.iter().map(line);
        let lines: Vec<String> = lines.chain(self.moves_to_keep()).collect();
        self.trace.keep(lines.iter().map(String::as_str));
    }

    async fn streams(&mut self) -> Result<Vec<Stream>> {
        let clients: ClientInfoList = self.server.ask(Command::GetClientInfoList).await?;
        let inputs: SinkInputInfoList = self.server.ask(Command::GetSinkInputInfoList).await?;
        let outputs: SourceOutputInfoList =
            self.server.ask(Command::GetSourceOutputInfoList).await?;
        let origins: BTreeMap<u32, Origin> =
            clients.into_iter().map(|client| (client.index, origin(&client.props))).collect();
        // What a module plays has no client, and is somebody else's already.
        let of = |client: Option<u32>| origins.get(&client?).cloned();
        let playing =
            inputs.into_iter().filter(|input| input.volume_writable).filter_map(|input| {
                Some(Stream {
                    way: Way::Playback,
                    index: input.index,
                    origin: of(input.client_index)?,
                    special: text(&input.props, c"media.role")
                        .is_some_and(|role| SPECIAL_ROLES.iter().any(|special| *special == role)),
                    volume: input.cvolume,
                    muted: input.muted,
                    corked: input.corked,
                    sink: input.sink_index,
                    remembered_as: text(&input.props, memory::KEY).unwrap_or_default(),
                })
            });
        let recording = outputs.into_iter().filter_map(|output| {
            Some(Stream {
                way: Way::Capture,
                index: output.index,
                origin: of(output.client_index)?,
                special: false,
                volume: output.cvolume,
                muted: output.muted,
                corked: output.corked,
                sink: 0,
                remembered_as: text(&output.props, memory::KEY).unwrap_or_default(),
            })
        });
        Ok(playing.chain(recording).collect())
    }
}

impl Quiet {
    /// A stream that began as quiet as this one was made.
    fn is_of(&self, stream: &Stream) -> bool {
        let now = stream.volume.channels().iter().map(Volume::as_u32);
        stream.remembered_as == self.remembered_as
            && match stream.way {
                Way::Playback => now.eq(self.volumes.iter().map(|(_, made)| *made)),
                Way::Capture => stream.muted,
            }
    }
}

fn treatment(wanted: &Wanted, stream: &Stream) -> Treatment {
    let calls = wanted.apps.iter().any(|app| app.owns(&stream.origin));
    match stream.special && !calls {
        true => Treatment::Leave,
        false => wanted.treatment(stream.way, &stream.origin),
    }
}

impl Stream {
    fn key(&self) -> (Way, u32) {
        (self.way, self.index)
    }
}

fn command((way, index): (Way, u32), quiet: &Quiet, on: bool) -> Command {
    let volumes = quiet.volumes.iter().map(|(was, made)| if on { *made } else { *was });
    match way {
        Way::Playback => {
            Command::SetSinkInputVolume(SetStreamVolumeParams { index, volume: volume_of(volumes) })
        }
        Way::Capture => Command::SetSourceOutputMute(SetStreamMuteParams { index, mute: on }),
    }
}

fn volume_of(volumes: impl Iterator<Item = u32>) -> ChannelVolume {
    let mut all = ChannelVolume::empty();
    volumes.take(CHANNELS).for_each(|volume| all.push(Volume::from_u32_clamped(volume)));
    all
}

fn origin(props: &Props) -> Origin {
    let app_id = text(props, c"pipewire.access.portal.app_id");
    let pid = text(props, c"application.process.id").and_then(|pid| pid.parse().ok());
    Origin { app_id, process: pid.map(Process::of) }
}

fn text(props: &Props, key: &CStr) -> Option<String> {
    let value = CStr::from_bytes_until_nul(props.get_bytes(key)?).ok()?;
    // A line of the trace is one line.
    Some(value.to_string_lossy().into_owned()).filter(|value| !value.contains('\n'))
}

/// A line as [`Pulse::keep`] writes them.
fn parse(line: &str) -> Option<(u32, (Way, u32), Quiet)> {
    let mut words = line.splitn(5, ' ');
    let cookie = words.next()?.parse().ok()?;
    let word = words.next()?;
    let way = [Way::Playback, Way::Capture].into_iter().find(|way| way.word() == word)?;
    let index = words.next()?.parse().ok()?;
    let volumes = match words.next()? {
        "-" => Vec::new(),
        volumes => {
            let pair = |pair: &str| {
                let (was, made) = pair.split_once(':')?;
                Some((was.parse().ok()?, made.parse().ok()?))
            };
            volumes.split(',').map(pair).collect::<Option<Vec<_>>>()?
        }
    };
    let remembered_as = words.next()?.to_owned();
    Some((cookie, (way, index), Quiet { volumes, remembered_as }))
}
