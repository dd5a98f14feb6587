//! An engine that was there and is not any more: how that is told from a build that failed, and what usually helps.

use std::time::Duration;

use http::Method;

use super::endpoint::Address;
use super::engine::Engine;
use super::http::empty;
use crate::error::Error;
use crate::exit::Exit;
use crate::vars::Vars;

/// How long an engine may take to say that it is still there.
const STILL_THERE: Duration = Duration::from_secs(10);
/// How often an engine on another machine is asked while it builds: a machine that is cut off closes no connection.
const BETWEEN: Duration = Duration::from_secs(10);
/// Unanswered questions in a row that make an engine lost.
const QUESTIONS: u32 = 3;

/// What helps where Bitbucket's Docker has too little memory. "Container 'docker' exceeded memory limit" is all that
/// Bitbucket says of it, elsewhere in its log; the connection just ends.
const PIPELINES_MEMORY: &str = "Bitbucket stops its Docker when that needs more memory than it was given: raise \
     `definitions.services.docker.memory` in bitbucket-pipelines.yml (1024 MB by default; up to 3072, or 7128 with `size: 2x`)";

/// Whether it is the Docker of a Bitbucket pipeline's step, which is reached on loopback.
fn is_of_pipelines(vars: &Vars, address: &Address) -> bool {
    matches!(address, Address::Tcp { .. }) && address.is_loopback() && vars.has("BITBUCKET_BUILD_NUMBER")
}

/// What gives the engine more memory.
pub(super) fn more_memory(vars: &Vars, address: &Address) -> &'static str {
    if is_of_pipelines(vars, address) { PIPELINES_MEMORY } else { "give the engine more" }
}

/// What helps where this engine does not answer.
pub(super) fn hint(vars: &Vars, address: &Address) -> &'static str {
    match address {
        _ if is_of_pipelines(vars, address) => PIPELINES_MEMORY,
        Address::Unix(_) | Address::Tcp { .. } if address.is_loopback() => {
            "check that the engine still runs and has memory left: `docker version`"
        }
        _ => "check that the engine still runs, has memory left, and can be reached from here",
    }
}

impl Engine {
    /// The error of an engine that went away while it was at work.
    pub(super) fn lost(&self, what: impl Into<String>, causes: Vec<String>) -> Error {
        let error = causes.into_iter().fold(Error::new(Exit::Build, what), Error::cause);
        error.hint(self.client.if_gone()).engine_lost()
    }

    /// Whether it answers at all.
    pub(crate) async fn is_there(&self) -> bool {
        let ping = self.client.ask(self.client.request(Method::GET, "/_ping", "").body(empty()));
        matches!(tokio::time::timeout(STILL_THERE, ping).await, Ok(Ok(_)))
    }

    /// Does a step unless the engine vanishes meanwhile, which an open connection to another machine would not tell.
    pub(crate) async fn while_there<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.client.connector().address().is_loopback() {
            return step.await;
        }
        tokio::select! {
            done = step => done,
            () = vanished(BETWEEN, async || self.is_there().await) => {
                let waited = (STILL_THERE + BETWEEN).as_secs() * u64::from(QUESTIONS);
                Err(self.lost("the Docker Engine has gone silent", vec![format!("no answer for {waited} s")]))
            }
        }
    }
}

/// Returns once nobody has answered so many times in a row.
async fn vanished(between: Duration, is_there: impl AsyncFn() -> bool) {
    let mut silent = 0;
    while silent < QUESTIONS {
        tokio::time::sleep(between).await;
        silent = if is_there().await { 0 } else { silent + 1 };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{QUESTIONS, hint, vanished};
    use crate::docker::endpoint::parse;
    use crate::vars::Vars;

    #[test]
    fn in_a_pipeline_the_hint_is_about_its_memory() {
        let pipeline: Vars = [("BITBUCKET_BUILD_NUMBER", "7")].into_iter().collect();
        for (vars, host, expected) in [
            (&pipeline, "tcp://localhost:2375", "definitions.services.docker.memory"),
            (&pipeline, "tcp://build-1:2376", "reached from here"),
            (&Vars::default(), "tcp://127.0.0.1:2375", "`docker version`"),
            (&Vars::default(), "unix:///var/run/docker.sock", "`docker version`"),
            (&Vars::default(), "ssh://me@h", "reached from here"),
        ] {
            let hint = hint(vars, &parse(host, None).unwrap());
            assert!(hint.contains(expected), "{host}: {hint}");
        }
    }

    #[tokio::test]
    async fn one_answer_in_time_keeps_an_engine() {
        let asked = Cell::new(0);
        // Silent twice, there once, then silent for good.
        vanished(Duration::ZERO, async || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        })
        .await;
        assert_eq!(asked.get(), 3 + QUESTIONS);
    }
}
