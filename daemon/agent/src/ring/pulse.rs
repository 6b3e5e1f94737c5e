//! A stream to the audio server, in the PulseAudio protocol: PipeWire and PulseAudio both speak it.
//!
//! Owns the connection: it is opened to ring and closed when it is enough, and with it all that was still
//! to be heard goes. Nothing is left of it in the server, whatever ends this process.

use std::{convert::Infallible, ffi::CString, time::Duration};

use anyhow::{Context, Result, bail};
use pulseaudio::protocol::{
    ChannelMap, Command, CreatePlaybackStreamReply, PlaybackStreamParams, Prop, Request,
    SampleFormat, SampleSpec, stream::BufferAttr, stream::StreamFlags,
};
use thiserror::Error;
use tokio::time::timeout;

use super::sound::{Format, Sound};
use crate::pulse::{Server, about_us};

/// A server that takes longer is as good as none.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// So much lies ready in the server: it bridges what else this process has to do.
const READY: Duration = Duration::from_millis(250);

/// It starts to play when it has this much.
const START: Duration = Duration::from_millis(20);

/// What the desktop takes the sound for.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// It announces something.
    Event,
    /// It belongs to the call that goes on.
    Phone,
}

/// It is the sound, and not the server.
#[derive(Debug, Error)]
#[error("the sound is broken: {0:#}")]
pub struct Broken(anyhow::Error);

/// A stream that plays.
pub struct Stream {
    server: Server,
    /// Of the stream, on this connection.
    channel: u32,
    /// Bytes that the server wants.
    wanted: usize,
}

impl Stream {
    /// One at this output of the session's audio server; at the default one, if it is not there.
    pub async fn open(format: Format, role: Role, output: Option<&str>) -> Result<Stream> {
        let opening = timeout(OPEN_WITHIN, Stream::set_up(format, role, output)).await;
        opening.context("the audio server does not answer")?
    }

    /// Plays until the server is gone or has had enough.
    pub async fn play(&mut self, sound: &mut Sound) -> Result<Infallible> {
        let mut samples = vec![];
        loop {
            while self.wanted > 0 {
                sound.more(&mut samples).map_err(Broken)?;
                let bytes: Vec<u8> = samples.drain(..).flat_map(f32::to_le_bytes).collect();
                self.server.send(self.channel, &bytes).await?;
                self.wanted = self.wanted.saturating_sub(bytes.len());
            }
            match self.server.next().await? {
                Command::Request(Request { channel, length }) if channel == self.channel => {
                    self.wanted += length as usize;
                }
                Command::PlaybackStreamKilled(_) => bail!("the stream was ended"),
                // News that change nothing here.
                _ => {}
            }
        }
    }

    async fn set_up(format: Format, role: Role, output: Option<&str>) -> Result<Stream> {
        let mut server = Server::open().await?;
        let at = |output: Option<&str>| {
            let sink_name = output.and_then(|name| CString::new(name).ok());
            Command::CreatePlaybackStream(PlaybackStreamParams {
                sink_name,
                ..playback(format, role)
            })
        };
        let opened: Result<CreatePlaybackStreamReply> = server.ask(at(output)).await;
        let opened = match opened {
            Err(_) if output.is_some() => server.ask(at(None)).await?,
            opened => opened?,
        };
        let (channel, wanted) = (opened.channel, opened.requested_bytes as usize);
        Ok(Stream { server, channel, wanted })
    }
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
