//! A sound that goes on for ever: a file (Ogg Vorbis, WAV) again and again, or a tone.
//!
//! Owns decoding, a little at a time: a long ringtone is as quick and as small as a short one. Files come from apps,
//! too: one that is none, or a trap, is said to be broken.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::RangeInclusive,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use symphonia::core::{
    codecs::audio::AudioDecoder,
    errors::Error,
    formats::{FormatReader, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream},
};

use super::tone::{self, Tone};

/// A sound begins again no sooner than after this: themes have ringtones of a second.
const ROUND: Duration = Duration::from_secs(2);

/// So much of a tone or of a pause is made at a time.
const STEP: Duration = Duration::from_millis(50);

/// Samples in a second that audio servers take.
const RATES: RangeInclusive<u32> = 4_000..=192_000;

/// So many parts of a file in a row may have nothing to hear.
const SILENT_PARTS: usize = 1_000;

/// Where a file is.
#[derive(Clone, Debug)]
pub enum Source {
    Path(PathBuf),
    /// Nobody can change it any more.
    Sealed(Arc<File>),
}

/// Samples are interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub rate: u32,
    /// One or two.
    pub channels: u8,
}

/// What is played.
pub enum Sound {
    Tone(Tone),
    File(Box<Recording>),
}

impl From<Tone> for Sound {
    fn from(tone: Tone) -> Sound {
        Sound::Tone(tone)
    }
}

impl Sound {
    /// A file that has something to hear.
    pub fn open(source: Source) -> Result<Sound> {
        Ok(Sound::File(Box::new(Recording::open(source)?)))
    }

    pub fn format(&self) -> Format {
        match self {
            Sound::Tone(_) => Format { rate: tone::RATE, channels: 1 },
            Sound::File(recording) => recording.format,
        }
    }

    /// Adds what comes next.
    pub fn more(&mut self, samples: &mut Vec<f32>) -> Result<()> {
        match self {
            Sound::Tone(tone) => tone.more(STEP, samples),
            Sound::File(recording) => recording.more(samples)?,
        }
        Ok(())
    }
}

/// A file that is read.
pub struct Recording {
    source: Source,
    reader: Reader,
    format: Format,
    /// Decoded and not handed out yet.
    ready: Vec<f32>,
    /// Handed out in this round, of each channel.
    played: usize,
}

struct Reader {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
}

impl Recording {
    fn open(source: Source) -> Result<Recording> {
        let mut reader = Reader::open(&source)?;
        let mut ready = vec![];
        let format = reader.decode(&mut ready)?.context("there is nothing to hear in it")?;
        ensure!(
            RATES.contains(&format.rate),
            "no audio server takes {} samples a second",
            format.rate
        );
        Ok(Recording { source, reader, format, ready, played: 0 })
    }

    fn more(&mut self, samples: &mut Vec<f32>) -> Result<()> {
        let round = (ROUND.as_secs_f32() * self.format.rate as f32) as usize;
        let channels = usize::from(self.format.channels);
        if self.ready.is_empty() && self.reader.decode(&mut self.ready)?.is_none() {
            if self.played < round {
                let step = (STEP.as_secs_f32() * self.format.rate as f32) as usize;
                self.ready.resize(step.max(1) * channels, 0.0);
            } else {
                *self = Recording::open(self.source.clone())?;
            }
        }
        self.played += self.ready.len() / channels.max(1);
        samples.append(&mut self.ready);
        Ok(())
    }
}

impl Reader {
    fn open(source: &Source) -> Result<Reader> {
        let stream = MediaSourceStream::new(source.open()?, Default::default());
        let (options, tags) = (Default::default(), Default::default());
        let format = symphonia::default::get_probe().probe(&Hint::new(), stream, options, tags)?;
        let track = format.default_track(TrackType::Audio).context("it holds no sound")?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.context("it does not say how its sound is coded")?;
        let codecs = symphonia::default::get_codecs();
        let decoder = codecs.make_audio_decoder(parameters, &Default::default())?;
        let track = track.id;
        Ok(Reader { format, decoder, track })
    }

    /// Adds the next samples; none at the end.
    fn decode(&mut self, samples: &mut Vec<f32>) -> Result<Option<Format>> {
        for _ in 0..SILENT_PARTS {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                // A file that was cut off ends where it was cut.
                Err(Error::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(None);
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let sound = match self.decoder.decode(&packet) {
                Ok(sound) if sound.frames() > 0 => sound,
                Ok(_) | Err(Error::DecodeError(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let all = sound.samples_interleaved() / sound.frames();
            let rate = sound.spec().rate();
            let mut decoded: Vec<f32> = vec![];
            sound.copy_to_vec_interleaved(&mut decoded);
            // The first two of more are left and right.
            let channels = all.min(2);
            let frames = decoded.chunks(all.max(1));
            samples.extend(frames.flat_map(|frame| frame.iter().take(channels).copied()));
            return Ok(Some(Format { rate, channels: if channels == 2 { 2 } else { 1 } }));
        }
        bail!("there is nothing to hear in it")
    }
}

impl Source {
    fn open(&self) -> Result<Box<dyn MediaSource>> {
        Ok(match self {
            Source::Path(path) => {
                let file = File::open(path)?;
                ensure!(file.metadata()?.is_file(), "it is no file");
                Box::new(file)
            }
            Source::Sealed(file) => {
                let length = file.metadata()?.len();
                Box::new(Sealed { file: file.clone(), at: 0, length })
            }
        })
    }
}

/// Read by position: the place of a file is one for all who have it open, the app that brought it among them.
struct Sealed {
    file: Arc<File>,
    at: u64,
    length: u64,
}

impl Read for Sealed {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Sealed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl MediaSource for Sealed {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
