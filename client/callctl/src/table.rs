//! Calls, providers and audio as aligned text for people.
//!
//! Owns wording, columns and colours. Pure: the present is a parameter, the terminal is the caller's.

use crate::{
    paint::{Line, Style, Table},
    view::{AnswerPlanView, Board, CallView, EndpointView, ProviderView},
};

/// Whether a column marks the selected call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// Nothing can be selected here.
    Absent,
    /// This path, or nothing yet; the column is there all the same, so that the table never jumps.
    On(Option<&'a str>),
}

/// What stands below a call instead of beside it, where there is too little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    Nothing,
    Notes,
    /// Whom it is with, too.
    Most,
}

/// The calls as a table, or a sentence that there are none.
pub fn calls(board: &Board, now: u64, selection: Selection<'_>) -> Vec<Line> {
    narrowed(board, now, selection, Below::Nothing)
}

/// The same without what is to stand [`below`].
pub fn narrowed(board: &Board, now: u64, selection: Selection<'_>, to: Below) -> Vec<Line> {
    if board.calls.is_empty() {
        return vec![Line::new().with(Style::Faint, "No calls.")];
    }
    let mut table = Table::new(match to {
        Below::Nothing => &["", "CALL", "APP", "WITH", "STATE", "FOR", "NOTES"],
        Below::Notes => &["", "CALL", "APP", "WITH", "STATE", "FOR"],
        Below::Most => &["", "CALL", "APP", "STATE", "FOR"],
    });
    for call in &board.calls {
        let style = state_style(call);
        let marker = match selection {
            Selection::Absent => "",
            Selection::On(Some(path)) if path == call.path => "›",
            Selection::On(_) => " ",
        };
        let mut row = vec![
            Line::new().with(Style::Emphasis, marker),
            Line::new().with(Style::Plain, board.handle_for_typing(call)),
            Line::new().with(Style::Plain, board.app_name(call)),
            Line::new().with(style, &call.state),
            Line::new().with(Style::Plain, duration(now, call.since())),
        ];
        if to != Below::Most {
            row.insert(3, Line::new().with(Style::Plain, with_whom(call)));
        }
        if to == Below::Nothing {
            row.push(notes(board, call, now));
        }
        table.row(row);
    }
    table.lines()
}

/// What stands below a call: lines of any width.
pub fn below(board: &Board, call: &CallView, now: u64, to: Below) -> Vec<Line> {
    let with = Some(Line::new().with(Style::Plain, with_whom(call)));
    let with = with.filter(|_| to == Below::Most);
    let notes = Some(notes(board, call, now)).filter(|_| to != Below::Nothing);
    with.into_iter().chain(notes).filter(|line| line.width() > 0).collect()
}

/// One sentence on who has the audio.
pub fn audio(board: &Board, now: u64) -> Line {
    let audio = &board.audio;
    let line = Line::new().with(Style::Plain, "Audio: ");
    let Some(holder) = &audio.holder else {
        return line.with(Style::Faint, "nobody has it.");
    };
    let holders: Vec<&CallView> = board.audible().collect();
    let who = match holders.as_slice() {
        [] => holder.clone(),
        [call, ..] => {
            let ids: Vec<&str> = holders.iter().map(|call| board.handle_for_typing(call)).collect();
            format!("{}, {}", board.app_name(call), ids.join(" and "))
        }
    };
    let mut line = line.with(Style::Good, format!("♪ {who}"));
    line.push(Style::Plain, format!(", {}", audio.phase));
    if audio.since > 0 {
        line.push(Style::Plain, format!(" for {}", duration(now, audio.since)));
    }
    if !audio.enforced {
        line.push(Style::Faint, ", other sound plays on");
    }
    line
}

/// The one in use has a mark.
pub fn endpoints(endpoints: &[EndpointView]) -> Vec<Line> {
    if endpoints.is_empty() {
        let nothing =
            "Nothing here says where calls can be heard: the session's agent does not run.";
        return vec![Line::new().with(Style::Faint, nothing)];
    }
    let mut table = Table::new(&["", "ID", "KIND", "NAME"]);
    for endpoint in endpoints {
        let mark = if endpoint.current { "♪" } else { "" };
        let cell = |style, text: &str| Line::new().with(style, text);
        table.row(vec![
            cell(Style::Good, mark),
            cell(Style::Plain, &endpoint.id),
            cell(Style::Plain, &endpoint.kind),
            cell(Style::Plain, &endpoint.name),
        ]);
    }
    table.lines()
}

/// "from Alice Example (claimed) sip:alice@example.org": direction, name with who says so, and handle.
pub fn with_whom(call: &CallView) -> String {
    let preposition = if call.direction == "outgoing" { "to" } else { "from" };
    let name = match (call.display_name.as_str(), call.name_source.as_str()) {
        (name, "") | (name @ "", _) => name.to_owned(),
        (name, source) => format!("{name} ({source})"),
    };
    match (name.as_str(), call.remote_handle.as_str()) {
        ("", "") => format!("{preposition} somebody"),
        ("", who) | (who, "") => format!("{preposition} {who}"),
        (name, handle) => format!("{preposition} {name} {handle}"),
    }
}

/// What else a person should know about the call, most important first.
fn notes(board: &Board, call: &CallView, now: u64) -> Line {
    let mut notes: Vec<(Style, String)> = Vec::new();
    let mut note = |style, text: &str| notes.push((style, text.to_owned()));
    if call.emergency {
        note(Style::Bad, "emergency");
    }
    if call.audio {
        note(Style::Good, "♪ audio");
    }
    if call.orphaned {
        note(Style::Bad, "app gone");
    }
    if call.state == "launching" {
        note(Style::Attention, "its app is being started");
    }
    if call.muted {
        note(Style::Attention, "muted");
    }
    if !call.held_by.is_empty() {
        note(Style::Plain, &format!("held by {}", call.held_by.join(", ")));
    }
    if call.remote_held {
        note(Style::Plain, "far end holds");
    }
    if call.waiting {
        note(Style::Plain, "waiting");
    }
    if !call.silenced.is_empty() {
        note(Style::Plain, &format!("silenced: {}", call.silenced));
    }
    if call.has_video {
        note(Style::Plain, "video");
    }
    if let Some(number) = conference(board, call) {
        note(Style::Plain, &format!("group {number}"));
    }
    if call.state == "ringing" {
        if let Some(plan) = call.answer_plan.as_ref().and_then(|plan| answering(board, plan)) {
            notes.push(plan);
        }
        if call.ring_deadline > now {
            let left = (call.ring_deadline - now).div_ceil(1_000_000);
            notes.push((Style::Faint, format!("{left} s left")));
        }
    }
    let mut line = Line::new();
    for (position, (style, text)) in notes.into_iter().enumerate() {
        if position > 0 {
            line.push(Style::Plain, ", ");
        }
        line.push(style, text);
    }
    line
}

/// What answering would do besides answering.
pub fn answering(board: &Board, plan: &AnswerPlanView) -> Option<(Style, String)> {
    if let Some(error) = &plan.error {
        let why = plan.message.as_deref().filter(|message| !message.is_empty());
        let text = format!("cannot be answered: {}", why.unwrap_or(crate::failure::kind(error)));
        return Some((Style::Bad, text));
    }
    let named = |ids: &[String]| {
        let short = |id: &String| {
            board
                .call_with_id(id)
                .map_or(id.as_str(), |call| board.handle_for_typing(call))
                .to_owned()
        };
        ids.iter().map(short).collect::<Vec<_>>().join(" and ")
    };
    let mut does = Vec::new();
    if !plan.ends.is_empty() {
        does.push(format!("ends {}", named(&plan.ends)));
    }
    if !plan.holds.is_empty() {
        does.push(format!("holds {}", named(&plan.holds)));
    }
    (!does.is_empty()).then(|| (Style::Attention, format!("answering {}", does.join(" and "))))
}

/// The number of the call's group, where it is not alone in it.
fn conference<'a>(board: &Board, call: &'a CallView) -> Option<&'a str> {
    let path = call.group.as_deref()?;
    let together = board.calls.iter().filter(|other| other.group.as_deref() == Some(path)).count();
    (together > 1).then(|| path.rsplit('/').next()).flatten()
}

pub fn state_style(call: &CallView) -> Style {
    match call.state.as_str() {
        "active" => Style::Good,
        "held" => Style::Quiet,
        "ended" | "ending" => Style::Faint,
        _ => Style::Attention,
    }
}

/// `01:12`, `1:02:03`; nothing where it has not begun.
pub fn duration(now: u64, since: u64) -> String {
    if since == 0 {
        return String::new();
    }
    let seconds = now.saturating_sub(since) / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes:02}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `2027-01-15T08:00:00.250Z`.
pub fn timestamp(at: u64) -> String {
    let (days, micros) = (at / 86_400_000_000, at % 86_400_000_000);
    // Civil from days: years that begin in March put the leap day at the end (Hinnant).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let seconds = micros / 1_000_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micros / 1000 % 1000
    )
}

/// The applications that provide calls.
pub fn providers(board: &Board) -> Vec<Line> {
    if board.providers.is_empty() {
        return vec![Line::new().with(Style::Faint, "No application provides calls.")];
    }
    let mut table = Table::new(&["APP ID", "NAME", "INSTANCE", "STATE", "ALLOWED", "CALLS"]);
    for provider in &board.providers {
        let calls = board.calls.iter().filter(|call| call.provider == provider.path).count();
        let (style, state) = provider_state(provider);
        let allowed = match provider.authorization.as_str() {
            "authorized" => Style::Plain,
            _ => Style::Attention,
        };
        table.row(vec![
            Line::new().with(Style::Plain, &provider.app_id),
            Line::new().with(Style::Plain, &provider.display_name),
            Line::new().with(Style::Plain, &provider.instance),
            Line::new().with(style, state),
            Line::new().with(allowed, &provider.authorization),
            Line::new().with(Style::Plain, calls.to_string()),
        ]);
    }
    table.lines()
}

fn provider_state(provider: &ProviderView) -> (Style, &'static str) {
    match (provider.attached, provider.responsive) {
        (true, true) => (Style::Good, "running"),
        (true, false) => (Style::Bad, "does not respond"),
        (false, _) => (Style::Faint, "not running"),
    }
}

/// Everything about one call, one property a line.
pub fn show(board: &Board, call: &CallView, now: u64) -> Vec<Line> {
    let yes = |flag: bool| if flag { "yes".to_owned() } else { String::new() };
    let time = |at: u64| match at {
        0 => String::new(),
        at => format!("{} ({} ago)", timestamp(at), duration(now, at)),
    };
    let deadline = match call.ring_deadline {
        0 => String::new(),
        at => format!("{} ({} s left)", timestamp(at), at.saturating_sub(now).div_ceil(1_000_000)),
    };
    let plan = call.answer_plan.as_ref().and_then(|plan| answering(board, plan));
    let state = match call.reason.as_str() {
        "" => call.state.clone(),
        reason => format!("{} ({reason})", call.state),
    };
    let end = match call.end_detail.as_str() {
        "" => call.end_reason.clone(),
        detail => format!("{}: {detail}", call.end_reason),
    };
    let rows: [(&str, Style, String); 25] = [
        ("Call", Style::Emphasis, call.id.clone()),
        ("With", Style::Plain, with_whom(call)),
        ("Contact", Style::Plain, call.contact_id.clone()),
        ("Application", Style::Plain, format!("{} ({})", board.app_name(call), call.app_id)),
        ("State", state_style(call), state),
        ("Emergency", Style::Bad, yes(call.emergency)),
        ("Has the audio", Style::Good, yes(call.audio)),
        ("Muted", Style::Attention, yes(call.muted)),
        ("Microphone cut", Style::Plain, yes(call.mute_enforced)),
        ("Held by", Style::Plain, call.held_by.join(", ")),
        ("Held by far end", Style::Plain, yes(call.remote_held)),
        ("App gone", Style::Bad, yes(call.orphaned)),
        ("Waiting", Style::Plain, yes(call.waiting)),
        ("Silenced by", Style::Plain, call.silenced.clone()),
        ("Answer plan", Style::Attention, plan.map(|(_, text)| text).unwrap_or_default()),
        ("Rings until", Style::Plain, deadline),
        ("Video", Style::Plain, yes(call.has_video)),
        ("Encrypted", Style::Plain, yes(call.encrypted)),
        ("Can", Style::Plain, call.capabilities.join(", ")),
        ("Group", Style::Plain, call.group.clone().unwrap_or_default()),
        ("Created", Style::Plain, time(call.created_at)),
        ("Connected", Style::Plain, time(call.connected_at)),
        ("Ended", Style::Plain, time(call.ended_at)),
        ("End reason", Style::Plain, end),
        ("Object", Style::Faint, call.path.clone()),
    ];
    let rows = rows.into_iter().filter(|(_, _, value)| !value.is_empty());
    rows.map(|(name, style, value)| {
        let mut line = Line::new().with(Style::Faint, name);
        line.pad_to(17);
        line.with(style, value)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        paint::Paint,
        view::sample::{self, NOW},
    };

    fn text(lines: &[Line]) -> String {
        let lines: Vec<String> =
            lines.iter().map(|line| line.render(Paint { on: false }, 200)).collect();
        lines.join("\n")
    }

    #[test]
    fn who_gave_the_name_is_said_and_what_a_launching_call_waits_for() {
        let mut board = sample::two_calls();
        board.calls[0].name_source = "contacts".to_owned();
        board.calls[1].display_name = "Bank".to_owned();
        board.calls[1].name_source = "claimed".to_owned();
        board.calls[1].state = "launching".to_owned();
        let shown = text(&calls(&board, NOW, Selection::Absent));
        for words in [
            "from Alice Example (contacts) sip:alice@example.org",
            "from Bank (claimed) tel:+4930123456",
            "its app is being started",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
    }

    #[test]
    fn the_table_of_calls() {
        let board = sample::two_calls();
        let expected = "\
CALL      APP         WITH                                      STATE    FOR    NOTES
1f0c9a2e  Speakerbox  from Alice Example sip:alice@example.org  active   01:12  ♪ audio
7be2d410  Chatter     from tel:+4930123456                      ringing  01:24  waiting, answering holds 1f0c9a2e, 48 s left";
        assert_eq!(text(&calls(&board, NOW, Selection::Absent)), expected);
    }

    #[test]
    fn the_selected_call_is_marked_and_nothing_else_moves() {
        let board = sample::two_calls();
        let shown = text(&calls(&board, NOW, Selection::On(Some(&board.calls[1].path))));
        let rows: Vec<&str> = shown.lines().collect();
        assert!(rows[1].starts_with("   1f0c9a2e  Speakerbox"), "{shown}");
        assert!(rows[2].starts_with("›  7be2d410  Chatter"), "{shown}");
        let nothing = text(&calls(&board, NOW, Selection::On(None)));
        assert_eq!(nothing, shown.replace('›', " "));
    }

    #[test]
    fn notes_tell_what_is_unusual() {
        let mut board = sample::two_calls();
        let call = &mut board.calls[0];
        call.state = "held".into();
        call.audio = false;
        call.muted = true;
        call.held_by = vec!["user".into(), "seat".into()];
        call.remote_held = true;
        call.orphaned = true;
        board.calls[1].answer_plan = Some(AnswerPlanView {
            error: Some("org.callarbiter.Calls1.Error.CannotHold".into()),
            ..AnswerPlanView::default()
        });
        let shown = text(&calls(&board, NOW, Selection::Absent));
        assert!(shown.contains("app gone, muted, held by user, seat, far end holds\n"), "{shown}");
        assert!(shown.contains("cannot be answered: CannotHold"), "{shown}");
    }

    #[test]
    fn no_calls_is_a_sentence() {
        assert_eq!(text(&calls(&Board::default(), NOW, Selection::Absent)), "No calls.");
        assert_eq!(text(&providers(&Board::default())), "No application provides calls.");
        assert_eq!(text(&[audio(&Board::default(), NOW)]), "Audio: nobody has it.");
    }

    #[test]
    fn the_audio_holder_is_named() {
        let board = sample::two_calls();
        assert_eq!(text(&[audio(&board, NOW)]), "Audio: ♪ Speakerbox, 1f0c9a2e, granted for 01:12");
    }

    #[test]
    fn the_table_of_providers() {
        let mut board = sample::two_calls();
        board.providers[1].responsive = false;
        let expected = "\
APP ID                  NAME        STATE             ALLOWED     CALLS
org.example.Speakerbox  Speakerbox  running           authorized  1
org.example.Chatter     Chatter     does not respond  authorized  1";
        assert_eq!(text(&providers(&board)), expected);
    }

    #[test]
    fn one_call_in_full() {
        let board = sample::two_calls();
        let expected = "\
Call             7be2d410-93aa-4f0e-8d21-5c4b3a291807
With             from tel:+4930123456
Application      Chatter (org.example.Chatter)
State            ringing
Waiting          yes
Answer plan      answering holds 1f0c9a2e
Rings until      2027-01-15T08:02:00.500Z (48 s left)
Created          2027-01-15T07:59:48.000Z (01:24 ago)
Object           /org/callarbiter/Calls1/call/7be2d410_93aa_4f0e_8d21_5c4b3a291807";
        assert_eq!(text(&show(&board, &board.calls[1], NOW)), expected);
    }

    #[test]
    fn durations_and_times() {
        assert_eq!(duration(5_000_000, 0), "");
        assert_eq!(duration(3_723_000_001, 1), "1:02:03");
        assert_eq!(duration(1, 5), "00:00");
        assert_eq!(timestamp(951_782_400_123_456), "2000-02-29T00:00:00.123Z");
        assert_eq!(timestamp(1_800_000_000_000_000), "2027-01-15T08:00:00.000Z");
    }
}
