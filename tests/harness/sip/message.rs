//! SIP messages as text: enough to talk to one well-behaved peer over UDP on loopback. It must not keep state.

use std::fmt::Write;

/// A message as it came.
#[derive(Clone, Debug)]
pub struct SipMessage {
    first: String,
    headers: Vec<(String, String)>,
    /// The SDP, or nothing.
    pub body: String,
}

impl SipMessage {
    /// Reads a datagram; keep-alives and the like are none.
    pub fn read(datagram: &[u8]) -> Option<SipMessage> {
        let text = std::str::from_utf8(datagram).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let first = lines.next()?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(SipMessage { first, headers, body: body.to_owned() })
    }

    /// The method, if it is a request.
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.first.split_once(' ')?;
        rest.ends_with("SIP/2.0").then_some(method)
    }

    /// Status and phrase such as `486 Rejected`, if it is a response.
    pub fn status(&self) -> Option<&str> {
        self.first.strip_prefix("SIP/2.0 ")
    }

    /// A header's value, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map_or("", |(_, value)| value.as_str())
    }

    /// The address in angle brackets of a header.
    pub fn address(&self, name: &str) -> String {
        let value = self.header(name);
        let inner = value.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        inner.map_or(value, |(address, _)| address).to_owned()
    }

    /// Which direction of media its SDP wants; `sendrecv` is what silence means.
    pub fn direction(&self) -> &str {
        let words = ["sendonly", "recvonly", "inactive"];
        let attributes = self.body.lines().filter_map(|line| line.trim().strip_prefix("a="));
        attributes.into_iter().find(|attribute| words.contains(attribute)).unwrap_or("sendrecv")
    }

    /// The response to this request; `tag` is our side's of the dialogue.
    pub fn response(&self, status: &str, tag: &str, contact: &str, sdp: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &self.headers {
            if ["via", "from", "call-id", "cseq"].contains(&name.to_lowercase().as_str()) {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let to = self.header("To");
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag={tag}") };
        let _ = write!(text, "To: {to}\r\nContact: <{contact}>\r\n");
        finish(text, sdp)
    }
}

/// Ends the headers and appends the body.
pub fn finish(mut text: String, sdp: &str) -> String {
    if !sdp.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    text
}

/// An offer or answer of plain telephone sound and tones.
pub fn sdp(rtp_port: u16, version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {rtp_port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na={direction}\r\n"
    )
}

/// The answer to an offered direction.
pub fn mirrored(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}
