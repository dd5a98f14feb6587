//! A container's log as it is written: each look returns what has come since the one before.

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;

use super::Clients;
use super::ecs::LogConfiguration;
use super::error::aws;
use super::logs::{Place, Writer, place};
use crate::error::Result;

/// Pages that one look reads at most: a container that writes without end must not hold up the look at its task.
const PAGES: usize = 20;

pub(crate) struct LogStream {
    logs: aws_sdk_cloudwatchlogs::Client,
    place: Place,
    /// Where the last look ended.
    token: Option<String>,
}

impl LogStream {
    /// # Errors
    /// Why there is nothing to read, in words.
    pub(crate) fn of(
        clients: &Clients,
        configuration: Option<&LogConfiguration>,
        writer: Writer<'_>,
    ) -> Result<Self, String> {
        let place = place(configuration, writer)?;
        Ok(Self { logs: clients.logs(place.region.as_deref()), place, token: None })
    }

    /// The lines since the last look; none as long as there is no such stream.
    pub(crate) async fn more(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for _ in 0..PAGES {
            let asked = self
                .logs
                .get_log_events()
                .log_group_name(&self.place.group)
                .log_stream_name(&self.place.stream)
                .start_from_head(true)
                .set_next_token(self.token.clone())
                .send()
                .await;
            let page = match asked {
                Ok(page) => page,
                Err(error) if error.code() == Some("ResourceNotFoundException") => break,
                Err(error) => return Err(aws("logs:GetLogEvents", &error)),
            };
            let text = page.events().iter().filter_map(|event| event.message());
            lines.extend(text.flat_map(str::lines).map(str::to_owned));
            // CloudWatch answers with the same token when there is nothing more yet.
            let next = page.next_forward_token().map(str::to_owned);
            if next.is_none() || next == self.token {
                break;
            }
            self.token = next;
        }
        Ok(lines)
    }
}
