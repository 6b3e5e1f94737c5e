//! `watch` on a terminal: its keys do what its last line says, to the calls of the demo.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

/// A key is answered in milliseconds; a loaded machine may need longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A program on a terminal of its own; asked to end as a person would.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn start(arguments: &str) -> Terminal {
        let program = env!("CARGO_BIN_EXE_callctl");
        let line = format!("stty rows 30 cols 120; exec '{program}' --color never {arguments}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        script.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("package bsdutils: script");
        let (keys, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = stdout.read(&mut bytes) {
                if count == 0 || sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keys, output, shown: String::new() }
    }

    /// Waits until this was shown after what was waited for before.
    fn wait(&mut self, words: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.shown.find(words) {
                let rest = self.shown.split_off(at);
                return std::mem::replace(&mut self.shown, rest[words.len()..].to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{words:?} was not shown ({error}): {}", self.shown),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keys.write_all(b"\x03");
        let _ = self.child.wait();
    }
}

#[test]
fn every_key_does_what_the_last_line_says() {
    let mut demo = Terminal::start("demo --speed 50");
    demo.wait("--bus ");
    let bus = demo.wait(" watch");
    demo.wait("Enter: Bob");
    let mut watch = Terminal::start(&format!("--bus {bus} watch"));
    watch.wait("a answer  d decline  x silence  e end  h hold/resume  m mute  s swap");
    for (key, answer) in [
        ("m", "✓ mute "),
        ("m", "✓ unmute "),
        ("5", "✓ send tones to "),
        ("h", "✓ hold "),
        ("h", "✓ resume "),
        ("a", "✗ no call is ringing; ↑ and ↓ select"),
    ] {
        watch.press(key);
        watch.wait(answer);
    }

    demo.press("\n");
    watch.wait("waiting, answering holds");
    watch.press("x");
    watch.wait("✓ silence ");
    watch.press("d");
    watch.wait("✓ decline ");
    demo.press("\n");
    watch.wait("waiting, answering holds");
    watch.press("a");
    watch.wait("✓ answer ");
    watch.press("s");
    watch.wait("✓ hold ");
    // The second of two, as it is pointed at.
    watch.press("kk");
    watch.press("e");
    watch.wait("✓ end ");
    watch.press("q");
    assert!(watch.child.wait().unwrap().success());
}
