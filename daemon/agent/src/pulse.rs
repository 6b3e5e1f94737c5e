//! A connection to the session's audio server in the PulseAudio protocol, which PipeWire speaks as well.
//!
//! Owns the socket and what goes over it: questions with their answers, and news. What streams there are and
//! what becomes of them, the parts know.

use std::{ffi::CString, io::Cursor};

use anyhow::{Context, Result, bail, ensure};
use pulseaudio::protocol::{
    AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags,
    MAX_VERSION, Prop, Props, SetClientNameReply, TagStructReader, encode_descriptor,
    read_descriptor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// How streams of this agent are told from those of others.
const APPLICATION: &str = "org.callarbiter.Agent";

/// No message of a server is longer.
const LONGEST: usize = 1 << 20;

/// A server takes no other length, though it may need no cookie at all.
const COOKIE: usize = 256;

/// What is no stream's data goes here.
const CONTROL: u32 = u32::MAX;

/// The connection.
#[derive(Debug)]
pub struct Server {
    socket: UnixStream,
    version: u16,
    /// What came of the next message so far.
    buffer: Vec<u8>,
    /// News that came while an answer was waited for.
    news: Vec<Command>,
}

impl Server {
    /// To the server of this session.
    pub async fn open() -> Result<Server> {
        let path = pulseaudio::socket_path_from_env().context("there is no audio server")?;
        let socket = UnixStream::connect(path).await?;
        let (buffer, news) = (Vec::new(), Vec::new());
        let mut server = Server { socket, version: MAX_VERSION, buffer, news };
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
        let mut cookie = cookie.unwrap_or_default();
        cookie.resize(COOKIE, 0);
        let (supports_shm, supports_memfd) = (false, false);
        let who = AuthParams { version: MAX_VERSION, supports_shm, supports_memfd, cookie };
        let answer: AuthReply = server.ask(Command::Auth(who)).await?;
        server.version = answer.version.min(MAX_VERSION);
        let _: SetClientNameReply = server.ask(Command::SetClientName(about_us())).await?;
        Ok(server)
    }

    /// A question, and its answer.
    pub async fn ask<R: CommandReply>(&mut self, command: Command) -> Result<R> {
        let answer = self.converse(&command, &[]).await?;
        let version = self.version;
        Ok(TagStructReader::new(&mut Cursor::new(answer), version).read()?)
    }

    /// A wish, once it is carried out.
    pub async fn tell(&mut self, command: Command) -> Result<()> {
        self.converse(&command, &[]).await.map(drop)
    }

    /// A command that is followed by more, and what its answer holds.
    pub async fn converse(&mut self, command: &Command, more: &[u8]) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        command.write_tag_prefixed(0, &mut body, self.version)?;
        body.extend(more);
        self.send(CONTROL, &body).await?;
        loop {
            let message = self.receive().await?;
            let mut rest = Cursor::new(message.as_slice());
            match Command::read_tag_prefixed(&mut rest, self.version) {
                Ok((_, Command::Reply)) => {
                    let at = usize::try_from(rest.position())?;
                    return Ok(message.get(at..).unwrap_or_default().to_vec());
                }
                Ok((_, Command::Error(error))) => bail!("the audio server refuses: {error}"),
                Ok((_, news)) => self.news.push(news),
                // News of a kind that this program does not know.
                Err(_) => {}
            }
        }
    }

    /// The next news. Waiting for it may be given up.
    pub async fn next(&mut self) -> Result<Command> {
        loop {
            if !self.news.is_empty() {
                return Ok(self.news.remove(0));
            }
            let message = self.receive().await?;
            if let Ok((_, news)) =
                Command::read_tag_prefixed(&mut Cursor::new(message), self.version)
            {
                return Ok(news);
            }
        }
    }

    /// Data of a stream.
    pub async fn send(&mut self, channel: u32, bytes: &[u8]) -> Result<()> {
        let mut header = [0; DESCRIPTOR_SIZE];
        let length = u32::try_from(bytes.len())?;
        let flags = DescriptorFlags::empty();
        encode_descriptor(&mut header, &Descriptor { length, channel, offset: 0, flags });
        self.socket.write_all(&header).await?;
        Ok(self.socket.write_all(bytes).await?)
    }

    async fn receive(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((header, rest)) = self.buffer.split_at_checked(DESCRIPTOR_SIZE) {
                let length = read_descriptor(&mut Cursor::new(header))?.length as usize;
                ensure!(length <= LONGEST, "the audio server's words cannot be understood");
                if let Some(message) = rest.get(..length).map(<[u8]>::to_vec) {
                    self.buffer.drain(..DESCRIPTOR_SIZE + length);
                    return Ok(message);
                }
            }
            let read = self.socket.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the audio server is gone");
        }
    }
}

/// What this program says of itself and of its streams.
pub fn about_us() -> Props {
    let mut about = Props::new();
    let pid = CString::new(std::process::id().to_string()).unwrap_or_default();
    about.set(Prop::ApplicationName, c"Callarbiter");
    about.set(Prop::ApplicationId, CString::new(APPLICATION).unwrap_or_default());
    about.set(Prop::ApplicationIconName, c"call-start");
    about.set(Prop::ApplicationProcessId, pid);
    about.set(Prop::ApplicationProcessBinary, c"callarbiter-agent");
    about
}
