//! What arrives as RTP: sound, silence, tones. It must not know SIP.

/// A packet of RTP, as far as a test cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// PCMU that a human would hear.
    Sound,
    /// PCMU of nothing but silence.
    Silence,
    /// A tone that begins, with the RTP time that tells it from the packets that repeat it.
    Tone(char, u32),
}

const TONES: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl Packet {
    /// Reads one without extensions, as baresip sends them.
    pub fn read(datagram: &[u8]) -> Option<Packet> {
        let header = datagram.get(..12)?;
        let payload = datagram.get(12..)?;
        let time = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        match header[1] & 0x7f {
            // In µ-law both zeros are silence, and so is what is next to them.
            0 if payload.iter().all(|sample| sample & 0x7f >= 0x7e) => Some(Packet::Silence),
            0 => Some(Packet::Sound),
            101 => Some(Packet::Tone(*TONES.get(usize::from(*payload.first()?))?, time)),
            _ => None,
        }
    }
}
