//! Older never over newer: whether the commit that is deployed comes after what runs.

use super::Judge;
use crate::error::Result;
use crate::git::past::{Ancestry, is_full_hash};
use crate::revision::short;

/// How the commit stands to what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is the same or a later one, or on another line of history; or nothing is known of what runs.
    Onward,
    /// It is proven to be an ancestor of this revision, which runs.
    Older(String),
    /// Why nobody can tell, as a sentence.
    Unknown(String),
}

impl Judge<'_> {
    /// `running` is what is recorded or labelled as the revision that runs.
    ///
    /// # Errors
    /// git cannot be run.
    pub(crate) async fn order(&self, running: Option<&str>) -> Result<Order> {
        let Some(running) = running.map(|running| running.strip_suffix("-dirty").unwrap_or(running)) else {
            return Ok(Order::Onward);
        };
        if !is_full_hash(running) || running == self.head {
            return Ok(Order::Onward);
        }
        let say = |text| self.events.note(text);
        if !self.repository.bring(running, say).await? {
            let running = short(running);
            return Ok(Order::Unknown(format!(
                "git does not have {running}, which runs, so which is older is not known"
            )));
        }
        let mut order = self.compared(running).await?;
        if matches!(order, Order::Unknown(_)) {
            self.repository.bring_history(self.head, running, say).await?;
            order = self.compared(running).await?;
        }
        Ok(order)
    }

    async fn compared(&self, running: &str) -> Result<Order> {
        let (onward, back) = tokio::try_join!(
            self.repository.ancestry(running, self.head),
            self.repository.ancestry(self.head, running)
        )?;
        Ok(match (onward, back) {
            (Ancestry::Yes, _) | (Ancestry::No, Ancestry::No) => Order::Onward,
            (_, Ancestry::Yes) => Order::Older(running.to_owned()),
            _ => Order::Unknown(format!(
                "this clone is too shallow to tell whether {} or {}, which runs, is older",
                short(self.head),
                short(running)
            )),
        })
    }
}
