//! The answer to `/build`: a stream of JSON messages, one a line. BuildKit's progress is a protobuf message in base64
//! inside of one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use prost::Message as _;
use serde::Deserialize;
use serde_json::Value;

/// A line that grows beyond this has no end, and is dropped.
const LONGEST_LINE: usize = 64 << 20;

#[derive(Debug)]
pub(super) enum Message {
    Trace(Box<StatusResponse>),
    /// The image's id.
    Image(String),
    Failed(String),
    Other,
}

/// Cuts the stream into lines, wherever its pieces begin and end.
#[derive(Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.0.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            messages.push(read(&self.0));
            self.0.clear();
        }
        self.0.extend_from_slice(rest);
        if self.0.len() > LONGEST_LINE {
            self.0 = Vec::new();
        }
        messages
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    id: String,
    #[serde(default)]
    aux: Value,
    error: Option<String>,
    error_detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
}

/// What cannot be read is passed over: newer engines may say more than is known here.
fn read(line: &[u8]) -> Message {
    let Ok(raw) = serde_json::from_slice::<Raw>(line) else { return Message::Other };
    if let Some(detail) = raw.error_detail {
        return Message::Failed(if detail.message.is_empty() { raw.error.unwrap_or_default() } else { detail.message });
    }
    if let Some(error) = raw.error {
        return Message::Failed(error);
    }
    match raw.id.as_str() {
        "moby.buildkit.trace" => trace(&raw.aux).map_or(Message::Other, |status| Message::Trace(Box::new(status))),
        "moby.image.id" => raw.aux["ID"].as_str().map_or(Message::Other, |id| Message::Image(id.to_owned())),
        _ => Message::Other,
    }
}

fn trace(aux: &Value) -> Option<StatusResponse> {
    StatusResponse::decode(BASE64_STANDARD.decode(aux.as_str()?).ok()?.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Lines, Message};

    #[test]
    fn messages_are_read_across_pieces() {
        let mut lines = Lines::default();
        // A vertex whose name is `hi`.
        let text = b"{\"id\":\"moby.buildkit.trace\",\"aux\":\"CgQaAmhp\"}\r\n{\"id\":\"moby.image.id\",\"aux\":{\"ID\":\"sha256:1\"}}\r\nnonsense\n{\"errorDetail\":{\"message\":\"m\"},\"error\":\"e\"}\n";
        let messages: Vec<Message> = text.chunks(7).flat_map(|piece| lines.feed(piece)).collect();
        assert!(matches!(&messages[0], Message::Trace(status) if status.vertexes[0].name == "hi"));
        assert!(matches!(&messages[1], Message::Image(id) if id == "sha256:1"));
        assert!(matches!(&messages[2], Message::Other));
        assert!(matches!(&messages[3], Message::Failed(text) if text == "m"));
        assert_eq!(messages.len(), 4);
    }
}
