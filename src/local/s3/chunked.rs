//! `aws-chunked`: a body in pieces with their lengths, and headers after it, as SDKs send what they sum up on the way.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::local::wire::fault::{Answered, Fault};

/// The longest line between the pieces; a signature and a checksum are some hundred bytes.
const LONGEST_LINE: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
    state: State,
    /// In small letters.
    pub(super) trailers: Vec<(String, String)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Length,
    Piece(usize),
    EndOfPiece,
    Trailers,
}

impl Decoder {
    /// Takes what came in, and gives what of it is content.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Answered<Vec<Bytes>> {
        self.buffer.extend_from_slice(bytes);
        let mut content = Vec::new();
        loop {
            match self.state {
                State::Length => {
                    let Some(line) = self.line()? else { break };
                    let length = line.split(';').next().unwrap_or_default().trim();
                    let length = usize::from_str_radix(length, 16).map_err(|_| malformed("a length is no number"))?;
                    self.state = if length == 0 { State::Trailers } else { State::Piece(length) };
                }
                State::Piece(left) => {
                    let piece = self.buffer.split_to(left.min(self.buffer.len())).freeze();
                    if piece.is_empty() {
                        break;
                    }
                    let left = left - piece.len();
                    self.state = if left == 0 { State::EndOfPiece } else { State::Piece(left) };
                    content.push(piece);
                }
                State::EndOfPiece => {
                    if self.buffer.len() < 2 {
                        break;
                    }
                    if &self.buffer[..2] != b"\r\n" {
                        return Err(malformed("a piece is longer than it says"));
                    }
                    self.buffer.advance(2);
                    self.state = State::Length;
                }
                State::Trailers => {
                    let Some(line) = self.line()? else { break };
                    if let Some((name, value)) = line.split_once(':') {
                        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                    }
                }
            }
        }
        Ok(content)
    }

    /// Whether the end was seen.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Trailers
    }

    fn line(&mut self) -> Answered<Option<String>> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return if self.buffer.len() > LONGEST_LINE { Err(malformed("a line has no end")) } else { Ok(None) };
        };
        let line = self.buffer.split_to(end + 1);
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

fn malformed(what: &str) -> Fault {
    Fault::client("InvalidChunkSizeError", format!("the aws-chunked body cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::Decoder;

    #[test]
    fn however_it_is_cut_the_content_is_the_same() {
        let body =
            b"5;chunk-signature=ab\r\nhello\r\n1\r\n \r\nb\r\nwide\r\nworld\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for cut in 1..body.len() {
            let mut decoder = Decoder::default();
            let mut content = Vec::new();
            for piece in body.chunks(cut) {
                content.extend(decoder.push(piece).unwrap().concat());
            }
            assert_eq!(content, b"hello wide\r\nworld", "{cut}");
            assert!(decoder.is_complete());
            assert_eq!(decoder.trailers, [("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned())]);
        }
        assert!(Decoder::default().push(b"xyz\r\n").is_err());
        let mut half = Decoder::default();
        half.push(b"5\r\nhel").unwrap();
        assert!(!half.is_complete());
    }
}
