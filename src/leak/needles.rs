//! Looks for all forms of all secrets at once, in a text or in a stream of any length with bounded memory.

use std::collections::BTreeSet;
use std::io::{self, Read};

use aho_corasick::{AhoCorasick, MatchKind};

use super::forms::{Form, forms};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Read at a time.
const CHUNK: usize = 64 << 10;

/// What was found: the secret by its place in the list, and the form it was in.
pub(super) type Hit = (usize, Form);

pub(super) struct Needles {
    automaton: AhoCorasick,
    /// By pattern.
    hits: Vec<Hit>,
    /// Bytes.
    longest: usize,
}

impl Needles {
    /// `values` by their number in the caller's list.
    pub(super) fn new<'v>(values: impl IntoIterator<Item = (usize, &'v str)>) -> Result<Self> {
        let (mut patterns, mut hits) = (Vec::new(), Vec::new());
        for (number, value) in values {
            for (form, kind) in forms(value) {
                patterns.push(form);
                hits.push((number, kind));
            }
        }
        // Only leftmost matching has the fast search for a few patterns; that a match hides one that overlaps it does
        // not matter, because either is a find.
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&patterns).map_err(|error| {
                Error::new(Exit::Fault, "the secrets cannot be looked for in the image").because(&error)
            })?;
        let longest = patterns.iter().map(String::len).max().unwrap_or_default();
        Ok(Self { automaton, hits, longest })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Everything in the text, each find once.
    pub(super) fn find(&self, text: &[u8]) -> BTreeSet<Hit> {
        self.automaton.find_iter(text).map(|found| self.hits[found.pattern().as_usize()]).collect()
    }

    /// Everything in what is read, each find once, and how many bytes that was. A value across two chunks is found: the
    /// end of each chunk is looked at again in front of the next.
    pub(super) fn find_in(&self, mut reader: impl Read, buffer: &mut Vec<u8>) -> io::Result<(BTreeSet<Hit>, u64)> {
        let overlap = self.longest.saturating_sub(1);
        buffer.resize(overlap + CHUNK, 0);
        let (mut found, mut bytes, mut kept) = (BTreeSet::new(), 0, 0);
        loop {
            let read = match reader.read(&mut buffer[kept..kept + CHUNK]) {
                Ok(0) => return Ok((found, bytes)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes += read as u64;
            let end = kept + read;
            found.extend(self.find(&buffer[..end]));
            kept = end.min(overlap);
            buffer.copy_within(end - kept..end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{CHUNK, Needles};
    use crate::leak::forms::Form;

    /// Gives its bytes a few at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let take = self.1.min(self.0.len()).min(buffer.len());
            buffer[..take].copy_from_slice(&self.0[..take]);
            self.0 = &self.0[take..];
            Ok(take)
        }
    }

    #[test]
    fn a_value_across_two_chunks_is_found_wherever_it_is_cut() {
        let needles = Needles::new([(7, "s3cr3t-value/é")]).unwrap();
        let mut buffer = Vec::new();
        for at in CHUNK - 16..=CHUNK + 1 {
            let mut text = vec![b'.'; at];
            text.extend_from_slice("s3cr3t-value/é".as_bytes());
            text.extend_from_slice(&[b'.'; 100]);
            let (found, bytes) = needles.find_in(text.as_slice(), &mut buffer).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), [(7, Form::Plain)], "{at}");
            assert_eq!(bytes, text.len() as u64);
        }
        for step in 1..40 {
            let text = b"before s3cr3t-value%2F%C3%A9 after";
            let (found, _) = needles.find_in(Slow(text, step), &mut buffer).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), [(7, Form::UrlEncoded)], "{step}");
        }
    }

    #[test]
    fn what_a_buffer_held_before_is_not_found_again() {
        let needles = Needles::new([(0, "s3cr3t-value")]).unwrap();
        let mut buffer = Vec::new();
        assert_eq!(needles.find_in(&b"s3cr3t-value"[..], &mut buffer).unwrap().0.len(), 1);
        assert!(needles.find_in(&b"nothing"[..], &mut buffer).unwrap().0.is_empty());
        assert!(needles.find_in(&b""[..], &mut buffer).unwrap().0.is_empty());
    }
}
