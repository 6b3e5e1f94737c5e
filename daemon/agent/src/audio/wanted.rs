//! What the arbiter wants of the session's sound, and what that means for one stream.
//!
//! Owns the rule, nothing else: how a stream is made quiet is a server's matter, whose it is [`super::whose`]'s.

use callarbiter_dbus::{AudioApp, Dict, Error};
use zbus::OwnedObjectPath;

use super::whose::{Origin, Process};
use crate::orders::ApplyAudio;

/// The whole wanted state; a newer one replaces an older.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The grant that it belongs to.
    pub generation: u64,
    /// The providers that have live calls.
    pub apps: Vec<App>,
}

/// A provider with live calls.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its object path.
    pub provider: OwnedObjectPath,
    /// Its app id, as the arbiter knows it.
    pub app_id: String,
    /// The process that is on the bus, where the arbiter knows it.
    pub process: Option<Process>,
    /// Its calls have the session.
    pub audio: bool,
    /// Its only call is muted.
    pub silence: bool,
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Playback,
    Capture,
}

impl Way {
    /// As the arbiter says it.
    pub fn word(self) -> &'static str {
        match self {
            Way::Playback => "playback",
            Way::Capture => "capture",
        }
    }
}

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// As it was before.
    Leave,
    /// It plays quietly.
    Duck,
    /// It hears nothing.
    Silence,
}

impl Wanted {
    /// As the arbiter said it; an entry that cannot be read is an error and changes nothing.
    pub fn read(order: &ApplyAudio) -> Result<Wanted, Error> {
        let apps = order.apps.iter().map(App::read).collect::<Result<_, _>>()?;
        Ok(Wanted { generation: order.generation, apps })
    }

    /// Whether a call has the session.
    pub fn held(&self) -> bool {
        self.apps.iter().any(|app| app.audio)
    }

    /// What becomes of a stream of this origin. The granularity is the app: of one that has several
    /// providers, the one with the session counts.
    pub fn treatment(&self, way: Way, origin: &Origin) -> Treatment {
        if origin.is_own() {
            return Treatment::Leave;
        }
        let mut of_app = self.apps.iter().filter(|app| app.owns(origin)).peekable();
        let calls = of_app.peek().is_some();
        let (mut audio, mut muted) = (false, true);
        for app in of_app {
            audio |= app.audio;
            muted &= app.silence;
        }
        let loses = self.held() && !audio;
        match way {
            Way::Playback if loses => Treatment::Duck,
            Way::Capture if calls && (loses || muted) => Treatment::Silence,
            Way::Playback | Way::Capture => Treatment::Leave,
        }
    }

    /// Whether the call that has the session is this one's.
    pub fn has_audio(&self, origin: &Origin) -> bool {
        self.apps.iter().any(|app| app.audio && app.owns(origin)) && !origin.is_own()
    }

    /// The providers that a stream of this origin plays or captures for while another has the session.
    pub fn without_session(&self, origin: &Origin) -> impl Iterator<Item = &App> {
        let loses = self.held() && !self.has_audio(origin) && !origin.is_own();
        self.apps.iter().filter(move |app| loses && app.owns(origin))
    }
}

impl App {
    fn read(entry: &Dict) -> Result<App, Error> {
        let AudioApp { provider, app_id, pid, audio, silence } = AudioApp::from_dict(entry)?;
        Ok(App { provider, app_id, process: pid.map(Process::of), audio, silence })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn app(pid: u32, audio: bool, silence: bool) -> App {
        let process = Some(Process::numbered(pid));
        let provider = OwnedObjectPath::try_from(format!("/p/{pid}")).unwrap();
        let app_id = format!("org.example.App{pid}");
        App { provider, app_id, process, audio, silence }
    }

    fn of(pid: u32) -> Origin {
        Origin { app_id: None, process: Some(Process::numbered(pid)) }
    }

    #[test]
    fn who_has_the_session_is_left_alone_and_the_rest_is_quiet() {
        let wanted =
            Wanted { generation: 1, apps: vec![app(10, true, false), app(20, false, false)] };
        for (pid, playback, capture) in [
            (10, Treatment::Leave, Treatment::Leave),
            (20, Treatment::Duck, Treatment::Silence),
            // Somebody who records, and does not call, goes on recording.
            (30, Treatment::Duck, Treatment::Leave),
        ] {
            assert_eq!(wanted.treatment(Way::Playback, &of(pid)), playback, "{pid}");
            assert_eq!(wanted.treatment(Way::Capture, &of(pid)), capture, "{pid}");
        }
        let late: Vec<&str> =
            wanted.without_session(&of(20)).map(|app| app.provider.as_str()).collect();
        assert_eq!(late, ["/p/20"]);
        assert_eq!(wanted.without_session(&of(10)).count(), 0);
    }

    #[test]
    fn without_a_session_only_a_muted_microphone_is_silent() {
        let wanted =
            Wanted { generation: 1, apps: vec![app(10, false, true), app(20, false, false)] };
        assert!(!wanted.held());
        assert_eq!(wanted.treatment(Way::Capture, &of(10)), Treatment::Silence);
        assert_eq!(wanted.treatment(Way::Playback, &of(10)), Treatment::Leave);
        assert_eq!(wanted.treatment(Way::Capture, &of(20)), Treatment::Leave);
        assert_eq!(wanted.treatment(Way::Playback, &of(30)), Treatment::Leave);
    }

    #[test]
    fn muted_with_the_session_it_speaks_into_silence_and_hears() {
        let wanted = Wanted { generation: 1, apps: vec![app(10, true, true)] };
        assert_eq!(wanted.treatment(Way::Capture, &of(10)), Treatment::Silence);
        assert_eq!(wanted.treatment(Way::Playback, &of(10)), Treatment::Leave);
    }

    #[test]
    fn the_agents_own_sounds_are_never_quiet() {
        let wanted = Wanted { generation: 1, apps: vec![app(10, true, false)] };
        assert_eq!(wanted.treatment(Way::Playback, &of(std::process::id())), Treatment::Leave);
    }
}
