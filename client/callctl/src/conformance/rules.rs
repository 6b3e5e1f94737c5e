//! The rules of the contract that an app's provider is tried against.
//!
//! Owns their names, what the contract says, where it says it, what an author is to change, and which rules
//! must have been kept before one can be tried. Must not know how a rule is tried.

use serde::Serialize;

#[derive(Debug, PartialEq, Serialize)]
pub struct Rule {
    pub name: &'static str,
    pub contract: &'static str,
    pub place: &'static str,
    pub change: &'static str,
    /// Where one of these failed, it is not tried.
    #[serde(skip)]
    pub needs: &'static [&'static str],
}

macro_rules! rules {
    ($($constant:ident $name:literal $place:literal needs [$($need:literal),*]
       $contract:literal change $change:literal)*) => {
        $(pub const $constant: Rule = Rule {
            name: $name,
            contract: $contract,
            place: $place,
            change: $change,
            needs: &[$($need),*],
        };)*
        /// In the order in which they are told.
        pub const ALL: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
REGISTERS "registers" "Manager.RegisterProvider" needs []
    "An app registers with its app id and a name for people."
    change "call RegisterProvider when the arbiter is on the bus, with a display-name; the bus is in \
            DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS and {bus}"
STARTS "starts" "ProviderDelegate.PerformStart" needs ["registers"]
    "A start is fulfilled when the network took the call, within 20 s."
    change "place the call, Fulfil the request, then report how it goes on"
OPENS "opens-audio" "ProviderDelegate.AudioActivated" needs ["registers"]
    "The grant of the audio is acknowledged within 2 s."
    change "open the microphone and the loudspeaker, then Fulfil the request"
MUTES "mutes" "ProviderDelegate.PerformSetMuted" needs ["registers"]
    "Mute and unmute are fulfilled within 5 s."
    change "mute the microphone for this call, then Fulfil the request"
STRANGERS "ignores-strangers" "ProviderDelegate" needs ["mutes"]
    "Only the owner of org.callarbiter.Calls1 may ask; what anybody else says is not done and not answered."
    change "compare the sender of each call of the delegate with the owner of org.callarbiter.Calls1 \
            (GetNameOwner), and drop what comes from others"
ANSWERS_IN_ORDER "answers-in-order" "ProviderDelegate" needs ["mutes"]
    "Requests for one call are performed and answered in the order in which they come."
    change "perform the next request for a call when the one before is answered (a PerformEnd overtakes \
            them all); else the last wish of the user is not the one that counts"
TONES "plays-tones" "ProviderDelegate.PerformPlayDtmf" needs ["registers"]
    "Tones are fulfilled when they were played, within 5 s and their playing time."
    change "play the tones, then Fulfil the request; where the call has none, report can-dtmf false"
PAUSES "plays-pauses" "ProviderDelegate.PerformPlayDtmf" needs ["plays-tones"]
    "A comma among the tones is a pause of 2 s; they are fulfilled when all of it was played."
    change "wait for 2 s at each comma, then play the tones behind it, and Fulfil the request after the last: \
            who calls a conference by number and PIN needs the time between them"
VIDEO "turns-video" "ProviderDelegate.PerformSetVideo" needs ["registers"]
    "Video is turned on and off within 5 s, where the app says supports-video."
    change "turn the camera of this call on or off, then Fulfil the request; where the app has no \
            video, leave supports-video out of its configuration"
REMOTE_HOLDS "reports-remote-hold" "Provider.ReportState" needs ["registers"]
    "A hold by the far end is reported, and the call stays active."
    change "call ReportState with an empty state and remote-held true; held is for a hold at this \
            end, and takes the audio from the call"
REMOTE_RESUMES "reports-remote-resume" "Provider.ReportState" needs ["reports-remote-hold"]
    "That the far end no longer holds the call is reported."
    change "call ReportState with an empty state and remote-held false"
HOLDS "holds" "ProviderDelegate.PerformSetHeld" needs ["registers"]
    "A hold is fulfilled when the call is held, within 5 s."
    change "hold the call in the network, then Fulfil the request; where the call cannot be held, \
            report can-hold false"
CLOSES "closes-audio" "ProviderDelegate.AudioDeactivated" needs ["opens-audio", "holds"]
    "The loss of the audio is acknowledged within 2 s."
    change "close the microphone and the loudspeaker at once, then Fulfil the request"
RESUMES "resumes" "ProviderDelegate.PerformSetHeld" needs ["holds"]
    "A resume is fulfilled when the call is active again, within 5 s."
    change "resume the call in the network, then Fulfil the request"
REOPENS "reopens-audio" "ProviderDelegate.AudioActivated" needs ["opens-audio", "closes-audio", "resumes"]
    "A new grant, with a new generation, is acknowledged like the first."
    change "do not compare the generation with one that is over; open the microphone and the \
            loudspeaker again, then Fulfil the request"
SAME_STATE "same-state" "ProviderDelegate" needs ["holds", "resumes", "mutes"]
    "A state that the call has already is success."
    change "Fulfil a request for the state that the call is in, without doing anything"
REPEATS "repeats" "ProviderDelegate" needs []
    "The same request may come again after the arbiter was restarted; it is answered again, with success."
    change "remember what was answered to each request id, and say it again"
ONCE "performs-once" "ProviderDelegate" needs ["repeats"]
    "A request that comes again is not performed again."
    change "remember the request ids that were answered, and only answer when one comes again"
TIME_OUT "takes-time-out" "ProviderDelegate.ActionTimedOut" needs ["holds", "resumes", "reopens-audio"]
    "A hold whose time is over is undone: the app is told and asked to resume, and resumes."
    change "ActionTimedOut wants no answer and is no reason to change the call by itself; the \
            PerformSetHeld that follows is performed and fulfilled"
WHOLE "performs-whole" "ProviderDelegate.PerformTransaction" needs ["starts", "resumes", "takes-time-out"]
    "An app with hold-model provider-wide and transactions is asked for the steps of a plan at once, and \
     answers once for all."
    change "do the steps in their order, as the network does them in one, then Fulfil the request once; \
            where the app does not do that, leave transactions out of its configuration"
TWO_CALLS "two-calls" "Manager.StartCall" needs ["starts", "resumes", "takes-time-out", "performs-whole"]
    "A second call holds the first; when it has ended, the first is resumed."
    change "keep calls apart by their UUIDs; an app that carries one call only says \
            maximum-call-groups 1 in its configuration"
SWAPS "swaps" "Manager.RequestTransaction" needs ["two-calls"]
    "Two calls are swapped: the active one is held, the held one resumed."
    change "fulfil the hold when the call is held, and resume the other although there is a call that \
            is held; nothing else is to be done for a swap"
JOINS "joins" "ProviderDelegate.PerformSetGroup" needs ["two-calls", "swaps"]
    "A call that says that it can be grouped is joined with another within 5 s."
    change "make a conference of both, then Fulfil the request; where the app has none, say \
            maximum-calls-per-group 1 in its configuration or can-group false for the call"
HOLDS_GROUP "holds-group" "ProviderDelegate.PerformSetHeld" needs ["joins"]
    "The calls of a group are held and resumed together: each is asked for, and fulfilled within 5 s."
    change "hold or resume the whole conference at the first of these requests, and Fulfil those for \
            the other calls as well"
LEAVES "leaves" "ProviderDelegate.PerformSetGroup" needs ["joins", "holds-group"]
    "A call leaves its group within 5 s."
    change "split the call off when the other call is empty, then Fulfil the request"
ENDS "ends" "ProviderDelegate.PerformEnd" needs ["registers"]
    "An end is carried out within 5 s; it cannot be refused."
    change "hang up, then Fulfil the request or ReportEnded; Fail keeps no call alive"
ENDS_ENDED "ends-ended" "ProviderDelegate.PerformEnd" needs ["ends"]
    "An end of a call that is over already is success."
    change "Fulfil an end of a call that the app does not have any more"
CANCELS "cancels" "ProviderDelegate.PerformEnd" needs ["starts", "ends"]
    "A call that was only just begun is cancelled within 5 s: an end overtakes what is under way."
    change "stop placing the call, Fulfil the end, and drop what the network still says about the call"
ENDS_HELD "ends-held" "ProviderDelegate.PerformEnd" needs ["starts", "holds", "cancels"]
    "A call that is held is ended within 5 s, like one that is active."
    change "hang up whatever state the call is in, without resuming it first, then Fulfil the request"
STARTS_VIDEO "starts-video" "ProviderDelegate.PerformStart" needs ["starts", "turns-video", "cancels"]
    "A start with video is fulfilled like one without, where the app says supports-video."
    change "look for has-video among the options of PerformStart and place the call with the camera on; \
            where the app has no video, leave supports-video out of its configuration"
FAILS_START "fails-start" "ProviderDelegate.PerformStart" needs ["starts", "ends"]
    "A call that cannot be placed is over: its start fails, or its end is reported."
    change "Fail the request with ActionFailed and the network's words, or ReportEnded with failed, busy or \
            unanswered where it was fulfilled already, and forget the call"
TELLS_WHY "tells-why" "Provider.ReportEnded" needs ["fails-start"]
    "A call that could not be placed has an end that says why: failed, busy, unanswered or declined, or a \
     message."
    change "Fail with the network's words as the message, or ReportEnded with the reason that the network \
            gave: local-ended would mean that the user hung up, remote-ended that they had talked"
TELLS_BUSY "tells-busy" "Provider.ReportEnded" needs ["starts", "ends"]
    "A far end that is busy is told: the call has ended as busy."
    change "ReportEnded with busy when the network says so (486, 600), or Fail the start with Busy"
REPORTS_OWN "reports-own" "Provider.ReportCall" needs ["starts", "ends"]
    "A call that the user dialled in the app itself is reported, with whom it calls, and can be ended like any."
    change "call ReportCall with outgoing, the state and remote-handle as soon as the app dials by itself, and \
            carry out what is asked of the call"
KEEPS_REVOKED "keeps-revoked" "ProviderDelegate.AuthorizationSet" needs ["starts", "mutes", "cancels"]
    "Live calls go on when the authorization is taken back; only new ones are refused."
    change "do not hang up and do not stop answering when AuthorizationSet says denied or restricted: tell \
            the user that no new calls are possible"
LATE_START "late-start" "ProviderDelegate.PerformStart" needs ["starts", "cancels"]
    "A start whose answer came too late is undone: the app is asked to end the call, and ends it."
    change "expect Fulfil to be refused: go on, carry out the PerformEnd that comes after ActionTimedOut, \
            and forget the call, or it goes on with nobody seeing it"
REPORTS "reports-incoming" "Provider.ReportIncomingCall" needs ["registers"]
    "An incoming call is reported before the app rings."
    change "report the call as soon as the network announces it"
NAMES_CALLER "names-caller" "Provider.ReportIncomingCall" needs ["reports-incoming"]
    "An incoming call is reported with the address of its caller."
    change "put remote-handle into the update: sip:…, tel:+… or another URI; leave it out only for \
            callers that hide it"
REPORTS_ONCE "reports-once" "Provider.ReportIncomingCall" needs ["reports-incoming"]
    "A call is reported under one UUID, however often."
    change "make the UUID once, when the call is first announced, and keep it for every report"
ANSWERS "answers" "ProviderDelegate.PerformAnswer" needs ["reports-incoming"]
    "An answer is fulfilled when the call is connected, within 10 s."
    change "answer the call in the network, then Fulfil the request"
REMOTE_ENDS "reports-remote-end" "Provider.ReportEnded" needs ["answers"]
    "An end at the far end is reported."
    change "call ReportEnded as soon as the network says that the call is over"
END_REASON "end-reason" "Provider.ReportEnded" needs ["reports-remote-end"]
    "A call that the far end hung up has ended as remote-ended."
    change "say remote-ended when the far end hung up a connected call"
CALLER_GONE "reports-caller-gone" "Provider.ReportEnded" needs ["reports-incoming", "reports-remote-end"]
    "A caller who gives up before the answer is reported: the call has ended as unanswered or remote-ended."
    change "call ReportEnded with unanswered when the network cancels a ringing call; with local-ended \
            or declined it would not count as missed"
DECLINES "declines" "ProviderDelegate.PerformEnd" needs ["reports-incoming", "ends"]
    "A ringing call is declined within 5 s."
    change "PerformEnd comes for ringing calls, too: decline in the network, then Fulfil the request"
LATE_ANSWER "late-answer" "ProviderDelegate.PerformAnswer" needs ["answers", "declines", "reports-once", "new-uuid"]
    "An answer that came too late is undone: the app is asked to end the call, and ends it."
    change "expect Fulfil to be refused: go on, carry out the PerformEnd that comes after ActionTimedOut, \
            and forget the call, or the caller hears a room whose user sees no call"
NEW_UUID "new-uuid" "Provider.ReportIncomingCall" needs ["reports-incoming"]
    "Each call has a new UUID."
    change "make a random UUID for each call; one that was used is refused with AlreadyEnded"
DROPS "drops-refused" "Provider.ReportIncomingCall" needs ["reports-incoming", "reports-once", "new-uuid"]
    "A call whose report is refused (Busy, Filtered…) is over: it does not ring and is not kept."
    change "tell the network (486 for Busy, else a decline), forget the call, and report nothing more \
            about it"
RECONCILES "reconciles" "ProviderDelegate.Reconcile" needs ["registers"]
    "An arbiter that was restarted is told within 5 s which calls are still there."
    change "stay on the bus while the arbiter is away, and Fulfil Reconcile with calls: each UUID \
            with its state"
KEEPS "keeps-calls" "ProviderDelegate.Reconcile" needs ["reconciles"]
    "Calls go on while the arbiter is restarted, in the state in which they were."
    change "leave calls alone while the arbiter is away, and list in Reconcile all that are there, \
            each with the state in which it is"
KEEPS_HELD "keeps-held" "ProviderDelegate.Reconcile" needs ["keeps-calls", "holds", "resumes"]
    "A call that was held is still held after the arbiter was restarted, and Reconcile says so."
    change "list each call with the state in which it is: one that is told as active gets the audio, and \
            the far end hears the room"
CLAIMS "claims-own" "ProviderDelegate.Reconcile" needs ["reconciles"]
    "Only calls that are there are claimed: one that the app does not have is over."
    change "list in the answer to Reconcile what the app has, not what it is asked about"
AGAIN "registers-again" "Manager.RegisterProvider" needs ["registers"]
    "An app registers again with an arbiter that has lost its state."
    change "call RegisterProvider whenever org.callarbiter.Calls1 has a new owner"
REPORTS_AGAIN "reports-again" "Provider.ReportCall" needs ["registers-again", "keeps-calls"]
    "Live calls that the arbiter does not know are reported to it."
    change "when RegisterProvider returns another epoch than before, call ReportCall for each live \
            call, with the same UUID"
RESETS "resets" "ProviderDelegate.Reset" needs ["reconciles", "claims-own"]
    "Reset ends all calls, without further reports."
    change "hang up and forget all calls when Reset comes, and report nothing about them"
UNREGISTERS "unregisters" "Provider.Unregister" needs ["registers"]
    "An app that is asked to end (SIGTERM) takes leave and ends."
    change "on SIGTERM end the calls, call Unregister and exit"
BUS "notices-bus" "Manager.RegisterProvider" needs ["registers", "unregisters"]
    "An app whose bus is gone connects and registers again and has its calls still, or ends: it does not go on \
     with a microphone that nobody can close."
    change "connect again when the connection closes, register, and answer Reconcile with the calls or \
            ReportCall them; or hang up and exit, so that whoever started the app starts it again"
IN_ORDER "reports-in-order" "Provider.ReportState" needs ["registers"]
    "What is reported of a call is what can follow: no report is refused as invalid."
    change "report the states of a call in the order in which they come, of calls that were reported, \
            and in the words of the contract"
SILENT "silent-after-end" "Provider" needs ["registers"]
    "Nothing is reported of a call that has ended."
    change "forget a call when its end was reported or fulfilled; a late word of the network about it \
            is dropped"
TIME "asks-for-time" "Provider.Progress" needs []
    "A request is extended at most three times, and before its time is over."
    change "call Progress before the deadline of the request, at most three times; answer with Fail \
            when it takes longer"
}

/// What only a call that is connected can show.
pub const LIVE: [&Rule; 15] = [
    &OPENS,
    &MUTES,
    &STRANGERS,
    &ANSWERS_IN_ORDER,
    &TONES,
    &PAUSES,
    &VIDEO,
    &REMOTE_HOLDS,
    &REMOTE_RESUMES,
    &HOLDS,
    &CLOSES,
    &RESUMES,
    &REOPENS,
    &SAME_STATE,
    &TIME_OUT,
];
/// What only two calls at once can show.
pub const PAIR: [&Rule; 6] = [&WHOLE, &TWO_CALLS, &SWAPS, &JOINS, &HOLDS_GROUP, &LEAVES];
/// What only an incoming call can show.
pub const INCOMING: [&Rule; 11] = [
    &REPORTS,
    &NAMES_CALLER,
    &REPORTS_ONCE,
    &ANSWERS,
    &REMOTE_ENDS,
    &END_REASON,
    &CALLER_GONE,
    &DECLINES,
    &LATE_ANSWER,
    &NEW_UUID,
    &DROPS,
];
