//! One front for every `DescribeServices` of a run: services that are asked for at the same time share a call.
//!
//! Whoever asks waits for its answer. While the pace makes a call wait, more questions come in and go along with it, so
//! that two hundred watches need few calls and none of them has to know of the others.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_ecs::types::ServiceField;
use tokio::sync::{mpsc, oneshot};

use super::snapshot::Service;
use super::{convert, tags};
use crate::aws::error::aws;
use crate::aws::pace::{Budget, Pace};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// `DescribeServices` takes this many names at most.
const LIMIT: usize = 10;

/// How long a question waits for company.
const GATHER: Duration = Duration::from_millis(30);

/// A service with its tags, where they were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    pub(crate) service: Service,
    /// An error where the service may be read, and its tags may not.
    pub(crate) tags: Result<BTreeMap<String, String>>,
}

type Answer = Result<Option<Tagged>>;

#[derive(Debug)]
struct Question {
    cluster: String,
    service: String,
    tags: bool,
    answer: oneshot::Sender<Answer>,
}

/// A cheap handle. The task behind it ends with the last one.
#[derive(Clone, Debug)]
pub(in crate::aws) struct Batch(mpsc::UnboundedSender<Question>);

impl Batch {
    pub(in crate::aws) fn start(ecs: aws_sdk_ecs::Client, pace: Pace) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(gather(ecs, pace, receiver));
        Self(sender)
    }

    /// `None` when ECS answers MISSING.
    pub(super) async fn describe(&self, cluster: &str, service: &str, tags: bool) -> Answer {
        let (answer, answered) = oneshot::channel();
        let question = Question { cluster: cluster.to_owned(), service: service.to_owned(), tags, answer };
        let lost = || Error::new(Exit::Fault, "the reader of ecs:DescribeServices has ended");
        self.0.send(question).map_err(|_| lost())?;
        answered.await.map_err(|_| lost())?
    }
}

async fn gather(ecs: aws_sdk_ecs::Client, pace: Pace, mut questions: mpsc::UnboundedReceiver<Question>) {
    while let Some(first) = questions.recv().await {
        pace.turn(Budget::ServiceRead).await;
        tokio::time::sleep(GATHER).await;
        let mut asked = vec![first];
        while let Ok(more) = questions.try_recv() {
            asked.push(more);
        }
        // Nobody waits for those that were cancelled meanwhile.
        asked.retain(|question| !question.answer.is_closed());
        for (nth, call) in calls(asked).into_iter().enumerate() {
            if nth > 0 {
                pace.turn(Budget::ServiceRead).await;
            }
            // A slow answer holds up nobody but those who share it.
            tokio::spawn(make(ecs.clone(), pace.clone(), call));
        }
    }
}

/// One `DescribeServices`: names of one cluster, each with all that asked for it.
#[derive(Debug)]
struct Call {
    cluster: String,
    tags: bool,
    services: Waiting,
}

/// All that asked, by the service's name.
type Waiting = BTreeMap<String, Vec<oneshot::Sender<Answer>>>;

/// The fewest calls that answer these questions.
fn calls(asked: Vec<Question>) -> Vec<Call> {
    let mut kinds: BTreeMap<(String, bool), Waiting> = BTreeMap::new();
    for Question { cluster, service, tags, answer } in asked {
        kinds.entry((cluster, tags)).or_default().entry(service).or_default().push(answer);
    }
    let mut calls = Vec::new();
    for ((cluster, tags), services) in kinds {
        let mut services = services.into_iter().peekable();
        while services.peek().is_some() {
            calls.push(Call { cluster: cluster.clone(), tags, services: services.by_ref().take(LIMIT).collect() });
        }
    }
    calls
}

async fn make(ecs: aws_sdk_ecs::Client, pace: Pace, call: Call) {
    let reader = Reader { ecs, pace, cluster: call.cluster };
    let names: Vec<String> = call.services.keys().cloned().collect();
    let mut answer = reader.describe(&names, call.tags).await;
    for (name, waiting) in call.services {
        let told = match &mut answer {
            Ok(found) => Ok(found.remove(&name)),
            // One service that may not be read makes ECS refuse the whole call: the others shall not suffer for it.
            Err(error) if names.len() > 1 && !error.is_transient() => {
                reader.pace.turn(Budget::ServiceRead).await;
                let alone = reader.describe(std::slice::from_ref(&name), call.tags).await;
                alone.map(|mut found| found.remove(&name))
            }
            Err(error) => Err(error.clone()),
        };
        for one in waiting {
            // Whoever has given up waiting needs no answer.
            let _ = one.send(told.clone());
        }
    }
}

/// By name; a service that is MISSING is not in it.
type Found = HashMap<String, Tagged>;

struct Reader {
    ecs: aws_sdk_ecs::Client,
    pace: Pace,
    cluster: String,
}

impl Reader {
    /// Where it is the tags of a service that ECS refuses to tell, it is read without them.
    async fn describe(&self, names: &[String], tags: bool) -> Result<Found> {
        let refused = match self.call(names, tags).await {
            Err(error) if tags && names.len() == 1 && !error.is_transient() => error,
            answer => return answer,
        };
        self.pace.turn(Budget::ServiceRead).await;
        let mut found = self.call(names, false).await?;
        for one in found.values_mut() {
            one.tags = Err(refused.clone());
        }
        Ok(found)
    }

    async fn call(&self, names: &[String], tags: bool) -> Result<Found> {
        let answer = self
            .ecs
            .describe_services()
            .cluster(&self.cluster)
            .set_services(Some(names.to_vec()))
            .set_include(tags.then(|| vec![ServiceField::Tags]))
            .send()
            .await
            .map_err(|error| aws("ecs:DescribeServices", &error))?;
        let is = |found: &aws_sdk_ecs::types::Service, name: &str| {
            found.service_name() == Some(name) || found.service_arn() == Some(name)
        };
        let by_name = names.iter().filter_map(|name| {
            let found = answer.services().iter().find(|found| is(found, name))?;
            let tagged = Tagged { service: convert::service(found), tags: Ok(tags::of(found)) };
            Some((name.clone(), tagged))
        });
        Ok(by_name.collect())
    }
}

#[cfg(test)]
mod tests;
