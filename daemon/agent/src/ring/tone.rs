//! Tones that are always there: made, not read.
//!
//! Owns how they sound.

use std::{f32::consts::TAU, time::Duration};

/// Samples in a second.
pub const RATE: u32 = 48_000;

/// Over this long a beep swells and fades, or it would click.
const SWELL: f32 = 0.01;

/// A pattern of beeps that repeats.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    /// Hz, sounding together.
    frequencies: [f32; 2],
    /// Of each frequency, of 1.
    loudness: f32,
    /// When a beep begins and ends, in seconds.
    beeps: &'static [(f32, f32)],
    /// After which it begins again, in seconds.
    period: f32,
    /// Samples made so far in this period.
    at: u32,
}

impl Tone {
    /// An incoming call: two short rings and a pause.
    pub const RINGING: Tone = Tone {
        frequencies: [523.25, 659.25],
        loudness: 0.22,
        beeps: &[(0.0, 0.4), (0.6, 1.0)],
        period: 3.0,
        at: 0,
    };

    /// A call that waits: a short beep now and then, quiet enough to talk over.
    pub const WAITING: Tone = Tone {
        frequencies: [440.0, 440.0],
        loudness: 0.04,
        beeps: &[(0.0, 0.15), (0.25, 0.4)],
        period: 4.0,
        at: 0,
    };

    /// Adds what comes next.
    pub fn more(&mut self, lasting: Duration, samples: &mut Vec<f32>) {
        let count = (lasting.as_secs_f32() * RATE as f32) as u32;
        for _ in 0..count {
            let now = self.at as f32 / RATE as f32;
            samples.push(self.sample(now));
            self.at += 1;
            if now >= self.period {
                self.at = 0;
            }
        }
    }

    fn sample(&self, now: f32) -> f32 {
        let beep = self.beeps.iter().find(|(start, end)| (start..end).contains(&&now));
        let Some((start, end)) = beep else { return 0.0 };
        let swell = ((now - start).min(end - now) / SWELL).min(1.0);
        let waves = self.frequencies.iter().map(|frequency| (TAU * frequency * now).sin());
        waves.sum::<f32>() * self.loudness * swell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beeps_and_pauses_come_again_and_never_clip() {
        let mut samples = vec![];
        let mut tone = Tone::RINGING;
        for _ in 0..12 {
            tone.more(Duration::from_millis(500), &mut samples);
        }
        let loud = |from: f32| {
            let from = (from * RATE as f32) as usize;
            samples.iter().skip(from).take(4_800).any(|sample| sample.abs() > 0.2)
        };
        assert!(loud(0.1) && loud(0.7) && !loud(1.1) && !loud(2.5) && loud(3.1) && loud(3.7));
        assert!(samples.iter().all(|sample| sample.abs() < 0.5));
        assert_eq!(samples.first(), Some(&0.0));
    }
}
