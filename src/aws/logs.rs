//! The last lines that a container wrote, where its task definition sends them to CloudWatch Logs.
//!
//! Never an error: a log is told as an extra, and when it cannot be read the reason is told in its place. The lines are
//! as the application wrote them; secrets and control sequences are taken out where lines are printed.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsOutput;

use super::Clients;
use super::ecs::LogConfiguration;
use super::error::aws;
use crate::error::Error;

/// How many lines from the end.
pub(crate) const LINES: usize = 20;

/// The last lines may reach CloudWatch some seconds after the container has ended.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// What is known of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// The last lines, in the order of writing; never empty.
    Lines(Vec<String>),
    /// It is known that there is none.
    Silent,
    /// Why it was not read, in words.
    Unread(String),
}

/// Whose log to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    /// Task id.
    pub(crate) task: &'a str,
    pub(crate) container: &'a str,
    pub(crate) runtime_id: Option<&'a str>,
}

pub(crate) async fn tail(clients: &Clients, configuration: Option<&LogConfiguration>, writer: Writer<'_>) -> Tail {
    let place = match place(configuration, writer) {
        Ok(place) => place,
        Err(elsewhere) => return Tail::Unread(elsewhere),
    };
    let logs = clients.logs(place.region.as_deref());
    for look in 1..=LOOKS {
        match read(&logs, &place).await {
            Ok(lines) if !lines.is_empty() => return Tail::Lines(lines),
            Ok(_) => {}
            Err(error) => return Tail::Unread(format!("{} cannot be read: {}", place.stream, error.line())),
        }
        if look < LOOKS {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
    Tail::Silent
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: String,
    pub(super) stream: String,
    pub(super) region: Option<String>,
}

/// Where ECS's awslogs driver writes: `PREFIX/CONTAINER/TASK`, or, without a prefix (EC2 only), the container's id.
pub(super) fn place(configuration: Option<&LogConfiguration>, writer: Writer<'_>) -> Result<Place, String> {
    let Some(configuration) = configuration else {
        return Err(format!("the task definition names no log for container `{}`", writer.container));
    };
    let option = |name: &str| configuration.options.get(name).filter(|value| !value.is_empty());
    match configuration.driver.as_str() {
        "awslogs" => {}
        "awsfirelens" => {
            let output = option("Name").map_or_else(String::new, |name| format!(" (output `{name}`)"));
            return Err(format!("its log goes through FireLens{output}: read it there"));
        }
        driver => return Err(format!("its log goes to the driver `{driver}`: read it there")),
    }
    let group = option("awslogs-group").ok_or("the task definition names no awslogs-group")?;
    let stream = match (option("awslogs-stream-prefix"), writer.runtime_id) {
        (Some(prefix), _) => format!("{prefix}/{}/{}", writer.container, writer.task),
        (None, Some(id)) => id.to_owned(),
        (None, None) => return Err(format!("its log is in group {group}, in a stream that ECS does not name")),
    };
    Ok(Place { group: group.clone(), stream, region: option("awslogs-region").cloned() })
}

/// The last lines; empty when there is no such stream (yet).
async fn read(logs: &aws_sdk_cloudwatchlogs::Client, place: &Place) -> Result<Vec<String>, Error> {
    let mut token = None;
    // The newest page may be empty although there are events: the one before it has them.
    for _ in 0..3 {
        let asked = logs
            .get_log_events()
            .log_group_name(&place.group)
            .log_stream_name(&place.stream)
            .start_from_head(false)
            .limit(i32::try_from(LINES).unwrap_or(i32::MAX))
            .set_next_token(token.clone())
            .send()
            .await;
        let page = match asked {
            Ok(page) => page,
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(Vec::new()),
            Err(error) => return Err(aws("logs:GetLogEvents", &error)),
        };
        let lines = lines(&page);
        let next = page.next_backward_token().map(str::to_owned);
        if !lines.is_empty() || next.is_none() || next == token {
            return Ok(lines);
        }
        token = next;
    }
    Ok(Vec::new())
}

fn lines(page: &GetLogEventsOutput) -> Vec<String> {
    let text = page.events().iter().filter_map(|event| event.message());
    let all: Vec<&str> = text.flat_map(str::lines).filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{LINES, Place, Writer, lines, place};
    use crate::aws::ecs::LogConfiguration;
    use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsOutput;
    use aws_sdk_cloudwatchlogs::types::OutputLogEvent;

    fn configured(driver: &str, options: &[(&str, &str)]) -> LogConfiguration {
        LogConfiguration {
            driver: driver.to_owned(),
            options: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn the_stream_is_named_as_the_driver_names_it() {
        let writer = Writer { task: "t1", container: "api", runtime_id: Some("abc-1") };
        let with = [("awslogs-group", "/ecs/api"), ("awslogs-stream-prefix", "ecs"), ("awslogs-region", "eu-west-1")];
        let found = Place { group: "/ecs/api".into(), stream: "ecs/api/t1".into(), region: Some("eu-west-1".into()) };
        assert_eq!(place(Some(&configured("awslogs", &with)), writer), Ok(found));
        let without = Place { group: "/ecs/api".into(), stream: "abc-1".into(), region: None };
        assert_eq!(place(Some(&configured("awslogs", &with[..1])), writer), Ok(without));
    }

    #[test]
    fn a_log_that_is_elsewhere_is_said_to_be_there() {
        let writer = Writer { task: "t1", container: "api", runtime_id: None };
        let cases = [
            (None, "names no log for container `api`"),
            (Some(configured("splunk", &[])), "driver `splunk`"),
            (Some(configured("awsfirelens", &[("Name", "datadog")])), "FireLens (output `datadog`)"),
            (Some(configured("awslogs", &[])), "no awslogs-group"),
            (Some(configured("awslogs", &[("awslogs-group", "g")])), "in group g"),
        ];
        for (configuration, expected) in cases {
            let said = place(configuration.as_ref(), writer).expect_err("it is elsewhere");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let event = |text: String| OutputLogEvent::builder().message(text).build();
        let page = GetLogEventsOutput::builder()
            .set_events(Some((0..LINES).map(|n| event(format!("line {n}\n\nmore {n}\n"))).collect()))
            .build();
        let kept = lines(&page);
        assert_eq!(kept.len(), LINES);
        assert_eq!(kept.first().map(String::as_str), Some("line 10"));
        assert_eq!(kept.last().map(String::as_str), Some("more 19"));
        assert!(lines(&GetLogEventsOutput::builder().build()).is_empty());
    }
}
