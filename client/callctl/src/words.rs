//! Actions as words: `answer:ringing`, `decline:7be2,message='in a meeting'`, `join:1f0c+7be2`.
//!
//! Owns the grammar of `callctl plan` and `callctl transaction`. Which call a name stands for is
//! found later (`names`), what an action does is the arbiter's to say.

use std::str::FromStr;

use crate::names::Name;

/// One action as typed: what, and on which condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub verb: Verb,
    /// `if=STATE`: refuse when the call is in another state.
    pub expected: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Start { handle: String, provider: Option<String>, video: bool },
    Answer(Name),
    End { call: Name, reason: Option<String>, message: Option<String> },
    SetHeld(Name, bool),
    SetMuted(Name, bool),
    Join { call: Name, with: Name },
    Leave(Name),
    Dtmf { call: Name, digits: String },
    SetVideo(Name, bool),
    Silence(Name),
}

/// The words that take a call and nothing else.
const VERBS: &str = "start answer end decline silence hold unhold mute unmute join leave dtmf \
                     video novideo";

impl Word {
    /// Ends a call that still rings: one that was answered meanwhile is left alone.
    pub fn decline(call: Name, message: Option<String>) -> Self {
        let verb = Verb::End { call, reason: Some("declined".to_owned()), message };
        Word { verb, expected: Some("ringing".to_owned()) }
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (verb, rest) = text.split_once(':').ok_or_else(|| {
            format!("an action is written VERB:CALL, as answer:ringing; the verbs are {VERBS}")
        })?;
        let (target, mut options) = Options::split_from(rest)?;
        let expected = options.take("if");
        if verb == "decline" && expected.is_none() {
            let word = Word::decline(target.parse()?, options.take("message"));
            options.nothing_left(text)?;
            return Ok(word);
        }
        let verb = parse_verb(verb, &target, &mut options)?;
        options.nothing_left(text)?;
        if matches!(verb, Verb::Start { .. }) && expected.is_some() {
            return Err("if= needs a call that exists; start makes a new one".to_owned());
        }
        Ok(Word { verb, expected })
    }
}

fn parse_verb(verb: &str, target: &str, options: &mut Options) -> Result<Verb, String> {
    Ok(match verb {
        "start" if target.is_empty() => return Err("start needs whom to call".to_owned()),
        "start" => Verb::Start {
            handle: target.to_owned(),
            provider: options.take("provider"),
            video: options.take("video").is_some(),
        },
        "answer" => Verb::Answer(target.parse()?),
        "end" => Verb::End {
            call: target.parse()?,
            reason: options.take("reason"),
            message: options.take("message"),
        },
        "decline" => Verb::End {
            call: target.parse()?,
            reason: Some("declined".to_owned()),
            message: options.take("message"),
        },
        "hold" => Verb::SetHeld(target.parse()?, true),
        "unhold" => Verb::SetHeld(target.parse()?, false),
        "mute" => Verb::SetMuted(target.parse()?, true),
        "unmute" => Verb::SetMuted(target.parse()?, false),
        "join" | "merge" => {
            let (call, with) =
                target.split_once('+').ok_or("join needs two calls: join:CALL+CALL")?;
            Verb::Join { call: call.parse()?, with: with.parse()? }
        }
        "leave" | "split" => Verb::Leave(target.parse()?),
        "dtmf" => {
            let (call, digits) =
                target.split_once(':').ok_or("dtmf needs a call and tones: dtmf:CALL:123#")?;
            Verb::Dtmf { call: call.parse()?, digits: digits.to_owned() }
        }
        "video" => Verb::SetVideo(target.parse()?, true),
        "novideo" => Verb::SetVideo(target.parse()?, false),
        "silence" => Verb::Silence(target.parse()?),
        other => return Err(format!("`{other}` is no action; the verbs are {VERBS}")),
    })
}

/// The options after an action's target. A comma that no option follows belongs to the text before
/// it, so that a message or a pause in tones may hold commas.
struct Options(Vec<(&'static str, String)>);

const KEYS: [&str; 5] = ["if", "reason", "message", "provider", "video"];

impl Options {
    fn split_from(text: &str) -> Result<(String, Options), String> {
        let mut pieces = text.split(',');
        let mut target = pieces.next().unwrap_or_default().to_owned();
        let mut options: Vec<(&'static str, String)> = Vec::new();
        for piece in pieces {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let known = KEYS.into_iter().find(|known| *known == key);
            match known {
                Some(key) if options.iter().any(|(other, _)| *other == key) => {
                    return Err(format!("{key}= is given twice"));
                }
                Some(key) if key != "video" && value.is_empty() => {
                    return Err(format!("{key}= needs a value"));
                }
                Some(key) => options.push((key, value.to_owned())),
                None => {
                    let last = options.last_mut().map_or(&mut target, |(_, value)| value);
                    last.push(',');
                    last.push_str(piece);
                }
            }
        }
        Ok((target, Options(options)))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.remove(at).1)
    }

    fn nothing_left(&self, text: &str) -> Result<(), String> {
        match self.0.first() {
            Some((key, _)) => Err(format!("`{text}`: {key}= means nothing for this action")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn verb(text: &str) -> Verb {
        text.parse::<Word>().unwrap().verb
    }

    fn prefix(text: &str) -> Name {
        Name::Prefix(text.to_owned())
    }

    #[test]
    fn every_verb_is_understood() {
        assert_eq!(verb("answer:ringing"), Verb::Answer(Name::Ringing));
        assert_eq!(
            verb("end:7be2"),
            Verb::End { call: prefix("7be2"), reason: None, message: None }
        );
        assert_eq!(verb("hold:active"), Verb::SetHeld(Name::Active, true));
        assert_eq!(verb("unhold:held"), Verb::SetHeld(Name::Held, false));
        assert_eq!(verb("mute:1f"), Verb::SetMuted(prefix("1f"), true));
        assert_eq!(verb("unmute:1f"), Verb::SetMuted(prefix("1f"), false));
        assert_eq!(verb("join:1f+7b"), Verb::Join { call: prefix("1f"), with: prefix("7b") });
        assert_eq!(verb("leave:1f"), Verb::Leave(prefix("1f")));
        assert_eq!(verb("video:1f"), Verb::SetVideo(prefix("1f"), true));
        assert_eq!(verb("novideo:1f"), Verb::SetVideo(prefix("1f"), false));
        assert_eq!(verb("silence:ringing"), Verb::Silence(Name::Ringing));
    }

    #[test]
    fn handles_messages_and_tones_keep_their_own_punctuation() {
        assert_eq!(
            verb("start:sip:bob@example.org;transport=tcp,provider=org.example.Phone,video"),
            Verb::Start {
                handle: "sip:bob@example.org;transport=tcp".to_owned(),
                provider: Some("org.example.Phone".to_owned()),
                video: true
            }
        );
        assert_eq!(
            verb("decline:ringing,message=sorry, later"),
            Verb::End {
                call: Name::Ringing,
                reason: Some("declined".to_owned()),
                message: Some("sorry, later".to_owned())
            }
        );
        assert_eq!(
            verb("dtmf:active:12,,3#"),
            Verb::Dtmf { call: Name::Active, digits: "12,,3#".to_owned() }
        );
    }

    #[test]
    fn any_action_on_a_call_may_be_conditional() {
        let word: Word = "answer:7be2,if=ringing".parse().unwrap();
        assert_eq!(word.expected.as_deref(), Some("ringing"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_does() {
        for (text, hint) in [
            ("answer", "VERB:CALL"),
            ("dance:active", "the verbs are"),
            ("answer:bob", "named by its UUID"),
            ("join:1f", "join:CALL+CALL"),
            ("dtmf:active", "dtmf:CALL:123#"),
            ("start:", "whom to call"),
            ("start:tel:1,if=ringing", "start makes a new one"),
            ("hold:active,message=x", "message= means nothing"),
            ("end:active,reason=", "needs a value"),
            ("end:active,reason=busy,reason=busy", "twice"),
        ] {
            let error = text.parse::<Word>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
