//! A stream to the audio server, in the PulseAudio protocol: PipeWire and PulseAudio both speak it.
//!
//! Owns the connection: it is opened to ring and closed when it is enough, and with it all that was still
//! to be heard goes. Nothing is left of it in the server, whatever ends this process.

use std::{convert::Infallible, ffi::CString, io::Cursor, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use pulseaudio::protocol::{
    AuthParams, AuthReply, ChannelMap, Command, CommandReply, CreatePlaybackStreamReply,
    DESCRIPTOR_SIZE, Descriptor, DescriptorFlags, MAX_VERSION, PlaybackStreamParams, Prop, Props,
    Request, SampleFormat, SampleSpec, SetClientNameReply, encode_command_message,
    encode_descriptor, read_descriptor, stream::BufferAttr, stream::StreamFlags,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::sound::{Format, Sound};

/// How streams of this agent are told from those of others.
const APPLICATION: &str = "org.callarbiter.Agent";

/// A server that takes longer is as good as none.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// So much lies ready in the server: it bridges what else this process has to do.
const READY: Duration = Duration::from_millis(250);

/// It starts to play when it has this much.
const START: Duration = Duration::from_millis(20);

/// No message of a server is longer.
const LONGEST: u32 = 1 << 20;

/// What the desktop takes the sound for.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// It announces something.
    Event,
    /// It belongs to the call that goes on.
    Phone,
}

/// A stream that plays.
pub struct Stream {
    socket: UnixStream,
    version: u16,
    /// Of the stream, on this connection.
    channel: u32,
    /// Bytes that the server wants.
    wanted: usize,
}

impl Stream {
    /// One at the default output of the session's audio server.
    pub async fn open(format: Format, role: Role) -> Result<Stream> {
        let opening = timeout(OPEN_WITHIN, Stream::set_up(format, role)).await;
        opening.context("the audio server does not answer")?
    }

    /// Plays until the server is gone or has had enough.
    pub async fn play(&mut self, sound: &mut Sound) -> Result<Infallible> {
        let mut samples = vec![];
        loop {
            while self.wanted > 0 {
                sound.more(&mut samples)?;
                let bytes: Vec<u8> = samples.drain(..).flat_map(f32::to_le_bytes).collect();
                let mut header = [0; DESCRIPTOR_SIZE];
                let length = u32::try_from(bytes.len())?;
                let flags = DescriptorFlags::empty();
                let channel = self.channel;
                encode_descriptor(&mut header, &Descriptor { length, channel, offset: 0, flags });
                self.socket.write_all(&header).await?;
                self.socket.write_all(&bytes).await?;
                self.wanted = self.wanted.saturating_sub(bytes.len());
            }
            let message = self.receive().await?;
            match Command::read_tag_prefixed(&mut Cursor::new(&message), self.version) {
                Ok((_, Command::Request(Request { channel, length })))
                    if channel == self.channel =>
                {
                    self.wanted += length as usize;
                }
                Ok((_, Command::PlaybackStreamKilled(_))) => bail!("the stream was ended"),
                // News that change nothing here, known to this program or not.
                _ => {}
            }
        }
    }

    async fn set_up(format: Format, role: Role) -> Result<Stream> {
        let path = pulseaudio::socket_path_from_env().context("there is no audio server")?;
        let socket = UnixStream::connect(path).await?;
        let mut stream = Stream { socket, version: MAX_VERSION, channel: 0, wanted: 0 };
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
        let cookie = cookie.unwrap_or_default();
        let (supports_shm, supports_memfd) = (false, false);
        let who = AuthParams { version: MAX_VERSION, supports_shm, supports_memfd, cookie };
        let server: AuthReply = stream.ask(Command::Auth(who)).await?;
        stream.version = server.version.min(MAX_VERSION);
        let _: SetClientNameReply = stream.ask(Command::SetClientName(about_us())).await?;
        let opened: CreatePlaybackStreamReply =
            stream.ask(Command::CreatePlaybackStream(playback(format, role))).await?;
        (stream.channel, stream.wanted) = (opened.channel, opened.requested_bytes as usize);
        Ok(stream)
    }

    async fn ask<R: CommandReply>(&mut self, command: Command) -> Result<R> {
        let mut message = vec![];
        encode_command_message(&mut message, 0, &command, self.version)?;
        self.socket.write_all(&message).await?;
        loop {
            let message = self.receive().await?;
            let mut message = Cursor::new(message);
            match Command::read_tag_prefixed(&mut message, self.version) {
                Ok((_, Command::Reply)) => {
                    let rest = &mut message;
                    let mut fields = pulseaudio::protocol::TagStructReader::new(rest, self.version);
                    return Ok(fields.read()?);
                }
                Ok((_, Command::Error(error))) => bail!("the audio server refuses: {error}"),
                _ => {}
            }
        }
    }

    /// The next message of the server.
    async fn receive(&mut self) -> Result<Vec<u8>> {
        let mut header = [0; DESCRIPTOR_SIZE];
        self.socket.read_exact(&mut header).await?;
        let header = read_descriptor(&mut Cursor::new(header))?;
        ensure!(header.length <= LONGEST, "the audio server's words cannot be understood");
        let mut message = vec![0; header.length as usize];
        self.socket.read_exact(&mut message).await?;
        Ok(message)
    }
}

fn about_us() -> Props {
    let mut about = Props::new();
    let pid = CString::new(std::process::id().to_string()).unwrap_or_default();
    about.set(Prop::ApplicationName, c"Callarbiter");
    about.set(Prop::ApplicationId, CString::new(APPLICATION).unwrap_or_default());
    about.set(Prop::ApplicationIconName, c"call-start");
    about.set(Prop::ApplicationProcessId, pid);
    about.set(Prop::ApplicationProcessBinary, c"callarbiter-agent");
    about
}

fn playback(format: Format, role: Role) -> PlaybackStreamParams {
    let bytes = |time: Duration| {
        let frames = (time.as_secs_f32() * format.rate as f32) as u32;
        frames * u32::from(format.channels) * 4
    };
    let mut props = about_us();
    let (role, name) = match role {
        Role::Event => (c"event", c"Incoming call"),
        Role::Phone => (c"phone", c"Call waiting"),
    };
    props.set(Prop::MediaRole, role);
    props.set(Prop::MediaName, name);
    PlaybackStreamParams {
        sample_spec: SampleSpec {
            format: SampleFormat::Float32Le,
            channels: format.channels,
            sample_rate: format.rate,
        },
        channel_map: if format.channels == 2 { ChannelMap::stereo() } else { ChannelMap::mono() },
        buffer_attr: BufferAttr {
            target_length: bytes(READY),
            pre_buffering: bytes(START),
            minimum_request_length: bytes(READY / 4),
            ..BufferAttr::default()
        },
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        props,
        ..PlaybackStreamParams::default()
    }
}
