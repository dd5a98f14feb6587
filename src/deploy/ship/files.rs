//! The files of an image that this run did not build, out of a registry, looked through for this run's secrets. What is
//! looked for is `leak`'s.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use super::Ship;
use crate::aws::ecr;
use crate::error::Result;
use crate::event::Kind;
use crate::exit::Exit;
use crate::leak;
use crate::registry::{Image, Part, Registry, contents};
use crate::rollout::Stop;
use crate::source::Reuse;
use crate::verdict::Verdict;

/// Layers that are looked through at a time.
const AT_ONCE: usize = 4;

impl Ship<'_> {
    /// Those of an image that is in the repository already, unless its build looked for these very secrets: it may have been
    /// for another environment, or have been before deploy.yaml named them.
    pub(super) async fn files_of(&self, reuse: &Reuse) -> Result<(), Stop> {
        let (specification, repository) = (self.deploy.specification, &self.service.repository);
        let looked = async {
            let Some(secrets) = leak::Layers::of(&[(self.service, &specification.secrets)])? else { return Ok(()) };
            if secrets.were_looked_for(&reuse.image, &specification.environment.name) {
                return Ok(());
            }
            let login = ecr::login(self.deploy.clients).await?;
            let proxies = &self.deploy.options.proxies;
            let registry = Arc::new(Registry::at(&login.host, &login.username, &login.password, proxies)?);
            let image = Image::read(&registry, repository, &reuse.digest).await?;
            let layers: Vec<_> = (1..).zip(image.layers()).collect();
            let count = layers.len();
            let looked = self.look_through(&secrets, layers, count, |part| contents(&registry, repository, part)).await;
            looked.map_err(|error| if error.exit() == Exit::Gate { error.hint(leak::BUILD_TELLS) } else { error })
        };
        self.unless_cancelled(looked).await.map_err(|error| {
            let verdict = if error.exit() == Exit::Gate { Verdict::Refused } else { Verdict::PushFailed };
            Stop::new(verdict, error)
        })
    }

    /// Looks through layers, each with its number of so many.
    ///
    /// # Errors
    /// A secret is in one of them ([`Exit::Gate`]); one of them cannot be read ([`Exit::Registry`]).
    pub(super) async fn look_through<S: Stream<Item = Result<Bytes>> + Unpin>(
        &self,
        secrets: &leak::Layers<'_>,
        layers: Vec<(usize, &Part)>,
        of: usize,
        read: impl Fn(&Part) -> S,
    ) -> Result<()> {
        let began = Instant::now();
        if !layers.is_empty() {
            let (these, many) = (layers.len(), if of == 1 { "layer" } else { "layers" });
            self.events.note(format!("looking through {these} of {of} {many} for the secrets of this environment"));
        }
        let looked = stream::iter(layers).map(async |(number, part)| {
            let looked = secrets.look(read(part)).await?;
            if let Some(why) = &looked.unread {
                let text = format!("the files of layer {number} were not looked through for secrets: {why}");
                self.events.warn(text, None);
            }
            Ok((number, looked))
        });
        let looked: Vec<(usize, leak::Looked)> = looked.buffered(AT_ONCE).try_collect().await?;
        if looked.is_empty() {
            return Ok(());
        }
        self.events.emit(Kind::ImageSearched {
            secrets: secrets.names(),
            layers: looked.len(),
            bytes: looked.iter().map(|(_, looked)| looked.bytes).sum(),
            seconds: began.elapsed().as_secs_f64(),
        });
        secrets.refusal(&looked, of).map_or(Ok(()), Err)
    }
}
