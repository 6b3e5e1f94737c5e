//! Actions of a plan or a transaction as text and JSON: what is done to whom, and how it ended.
//!
//! Must not ask for anything to be done (`commands`).

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    failure,
    paint::{Line, Style},
    table,
    view::Board,
};

/// One action, asked for or implied.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepView {
    /// `Answer`, `SetHeld`, …
    pub action: String,
    /// `call`, `held`, `digits`, …
    #[serde(flatten)]
    pub parameters: Map<String, Value>,
    /// In a plan: nobody asked for it, arbitration needs it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub implicit: bool,
    /// In a transaction: `fulfilled failed timed-out cancelled`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl StepView {
    pub fn fulfilled(&self) -> bool {
        self.outcome == "fulfilled"
    }

    fn text(&self, key: &str) -> &str {
        self.parameters.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn flag(&self, key: &str) -> bool {
        self.parameters.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// "hold 1f0c9a2e, Speakerbox from Alice Example sip:alice@example.org".
    pub fn describe(&self, board: &Board) -> String {
        let call = named(board, self.text("call"));
        match self.action.as_str() {
            "Start" => match self.text("provider") {
                "" => format!("call {}", self.text("handle")),
                app => format!("call {} with {app}", self.text("handle")),
            },
            "Answer" => format!("answer {call}"),
            "End" => match self.text("reason") {
                "declined" => format!("decline {call}"),
                "" => format!("end {call}"),
                reason => format!("end {call} ({reason})"),
            },
            "SetHeld" if self.flag("held") => format!("hold {call}"),
            "SetHeld" => format!("resume {call}"),
            "SetMuted" if self.flag("muted") => format!("mute {call}"),
            "SetMuted" => format!("unmute {call}"),
            "SetGroup" => match self.text("with") {
                "" => format!("take {call} out of its group"),
                with => format!("join {call} with {}", named(board, with)),
            },
            "PlayDtmf" => format!("send tones to {call}"),
            "SetVideo" if self.flag("video") => format!("turn on video in {call}"),
            "SetVideo" => format!("turn off video in {call}"),
            "Silence" => format!("silence {call}"),
            other => format!("{other} {call}"),
        }
    }
}

/// The call as a person knows it; the arbiter names it by UUID or path.
fn named(board: &Board, call: &str) -> String {
    match board.call_with_id(call).or_else(|| board.call_at(call)) {
        Some(view) => format!(
            "{} ({} {})",
            board.handle_for_typing(view),
            board.app_name(view),
            table::with_whom(view)
        ),
        None => call.to_owned(),
    }
}

/// The numbered steps of a plan.
pub fn plan(board: &Board, steps: &[StepView]) -> Vec<Line> {
    if steps.is_empty() {
        return vec![Line::new().with(Style::Faint, "Nothing would be done.")];
    }
    let line = |(position, step): (usize, &StepView)| {
        let line = Line::new()
            .with(Style::Plain, format!("{:>2}. ", position + 1))
            .with(Style::Emphasis, step.describe(board));
        match step.implicit {
            true => line.with(Style::Attention, "  (implied: so that only one call is active)"),
            false => line,
        }
    };
    steps.iter().enumerate().map(line).collect()
}

/// Each action with its outcome.
pub fn outcomes(board: &Board, steps: &[StepView]) -> Vec<Line> {
    steps.iter().map(|step| outcome(board, step)).collect()
}

fn outcome(board: &Board, step: &StepView) -> Line {
    let (mark, style) = match step.outcome.as_str() {
        "fulfilled" => ("✓", Style::Good),
        "failed" | "timed-out" => ("✗", Style::Bad),
        "" => ("…", Style::Attention),
        _ => ("–", Style::Attention),
    };
    let outcome = if step.outcome.is_empty() { "still running" } else { &step.outcome };
    let mut line = Line::new()
        .with(style, format!("{mark} "))
        .with(Style::Plain, step.describe(board))
        .with(Style::Plain, "  ")
        .with(style, outcome);
    if !step.message.is_empty() {
        line.push(Style::Plain, format!(": {}", step.message));
    }
    if !step.error.is_empty() {
        line.push(Style::Faint, format!(" [{}]", failure::kind(&step.error)));
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{paint::Paint, view::sample};

    fn step(action: &str, parameters: Value) -> StepView {
        let parameters = parameters.as_object().unwrap().clone();
        StepView { action: action.to_owned(), parameters, ..StepView::default() }
    }

    fn text(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.render(Paint { on: false }, 200)).collect()
    }

    #[test]
    fn a_plan_shows_what_nobody_asked_for() {
        let board = sample::two_calls();
        let steps = [
            StepView {
                implicit: true,
                ..step("SetHeld", serde_json::json!({"call": sample::ALICE, "held": true}))
            },
            step("Answer", serde_json::json!({"call": sample::BOB})),
        ];
        assert_eq!(
            text(&plan(&board, &steps)),
            [
                " 1. hold 1f0c9a2e (Speakerbox from Alice Example sip:alice@example.org)  \
                 (implied: so that only one call is active)",
                " 2. answer 7be2d410 (Chatter from tel:+4930123456)",
            ]
        );
    }

    #[test]
    fn outcomes_carry_the_reason() {
        let board = sample::two_calls();
        let steps = [
            StepView {
                outcome: "failed".into(),
                error: "org.callarbiter.Calls1.Error.ActionFailed".into(),
                message: "the far end refused".into(),
                ..step("SetHeld", serde_json::json!({"call": sample::ALICE, "held": true}))
            },
            StepView {
                outcome: "cancelled".into(),
                ..step("PlayDtmf", serde_json::json!({"call": "gone", "digits": "1234"}))
            },
            StepView {
                outcome: "fulfilled".into(),
                ..step("End", serde_json::json!({"call": sample::BOB, "reason": "declined"}))
            },
        ];
        assert_eq!(
            text(&outcomes(&board, &steps)),
            [
                "✗ hold 1f0c9a2e (Speakerbox from Alice Example sip:alice@example.org)  failed: \
                 the far end refused [ActionFailed]",
                "– send tones to gone  cancelled",
                "✓ decline 7be2d410 (Chatter from tel:+4930123456)  fulfilled",
            ]
        );
    }

    #[test]
    fn json_has_the_parameters_beside_the_outcome() {
        let step = StepView {
            outcome: "fulfilled".into(),
            ..step("Answer", serde_json::json!({"call": sample::BOB}))
        };
        assert_eq!(
            serde_json::to_value(step).unwrap(),
            serde_json::json!({"action": "Answer", "call": sample::BOB, "outcome": "fulfilled"})
        );
    }
}
