//! Starting and stopping the stand-in.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::options::{DEFAULT_PORT, Options, RuntimeChoice};
use super::registry::elsewhere::Elsewhere;
use super::runtime::{self, Adopted, Kind, Runtime};
use super::shared::Shared;
use super::state::State;
use super::store::{Running, Store};
use super::wire::caller::Keys;
use super::{clock, schedule, script, seed, wire};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// A running stand-in. Call `stop`: it saves the state and leaves the tasks running.
pub(crate) struct StandIn {
    shared: Arc<Shared>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    scheduler: JoinHandle<()>,
}

/// What the stand-in expects requests to be signed with.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
}

impl StandIn {
    /// # Errors
    /// `Exit::Usage` when the state directory or the port is taken, or the script cannot be read.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let store = Store::open(&options.state_dir)?;
        let mut state = store.load()?;
        let script = match &options.runtime {
            RuntimeChoice::Script(path) => {
                let read_at = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
                Some((path.clone(), read_at, read_script(path)?))
            }
            RuntimeChoice::Containers(_) => None,
        };
        let elsewhere = match &options.registry {
            Some(registry) => Some(Elsewhere::open(registry).await?),
            None => None,
        };
        keep_to_one_registry(&mut state, elsewhere.as_ref(), &options)?;
        let listener = listen(options.port).await?;
        let address = local_address(&listener)?.to_string();
        state.move_to(elsewhere.as_ref().map_or(&address, Elsewhere::host));
        seed::sow(&mut state, &options, clock::now()).map_err(|fault| {
            Error::new(Exit::Usage, "deploy.yaml names something that AWS does not allow").cause(fault.message)
        })?;
        let keys =
            Keys { account: options.account.clone(), access_key: state.access_key.clone(), sessions: HashMap::new() };
        let kind = match &options.runtime {
            RuntimeChoice::Containers(docker) => Kind::Containers(docker.clone()),
            RuntimeChoice::Script(_) => Kind::Script,
        };
        let survivors = survivors(&state);
        let endpoint = format!("http://{address}");
        let place = (address, elsewhere);
        let (sightings, seen) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(store, state, keys, Runtime::new(kind), sightings, place));
        let mut watched = None;
        if let Some((path, read_at, script)) = script {
            seed::apply_script(&shared, script);
            watched = Some((path, read_at));
        }
        for survivor in survivors {
            runtime::adopt(&shared, survivor);
        }
        let running = Running { pid: std::process::id(), endpoint };
        shared.save().and_then(|()| shared.store.announce(&running)).map_err(|error| {
            Error::new(Exit::Usage, format!("the state directory {} cannot be written to", options.state_dir.display()))
                .because(&error)
        })?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(wire::serve(listener, Arc::clone(&shared), stop.clone()));
        let scheduler = tokio::spawn(schedule::run(Arc::clone(&shared), seen, watched, stop.clone()));
        Ok(Self { shared, stop, server, scheduler })
    }

    /// `http://127.0.0.1:PORT`, for `AWS_ENDPOINT_URL`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.shared.read(|state| Credentials {
            access_key_id: state.access_key.clone(),
            secret_access_key: Secret::new(&state.secret_key),
        })
    }

    /// Stops answering and saves the state. Containers stay as they are, and are found again by the next start.
    ///
    /// # Errors
    /// `Exit::Fault` when the state cannot be saved.
    pub(crate) async fn stop(self) -> Result<()> {
        self.shared.runtime.let_go();
        self.stop.cancel();
        let _ = self.server.await;
        let _ = self.scheduler.await;
        let saved = self.shared.save();
        self.shared.store.withdraw();
        saved.map_err(|error| Error::new(Exit::Fault, "the state of the stand-in cannot be saved").because(&error))
    }
}

/// Images stay where they are: a state that knows those of one registry is of no use with another.
fn keep_to_one_registry(state: &mut State, elsewhere: Option<&Elsewhere>, options: &Options) -> Result<()> {
    let now = elsewhere.map(|elsewhere| elsewhere.host().to_owned());
    if state.elsewhere == now || state.holdings.is_empty() {
        state.elsewhere = now;
        return Ok(());
    }
    let theirs = |of: &Option<String>| {
        of.as_ref().map_or_else(|| "its own registry".to_owned(), |host| format!("the registry at {host}"))
    };
    let text = format!(
        "the state in {} is about images of {}, not of {}",
        options.state_dir.display(),
        theirs(&state.elsewhere),
        theirs(&now)
    );
    Err(Error::new(Exit::Usage, text)
        .hint("name another folder with `--state`, or start over with `shipit local reset`"))
}

fn read_script(path: &std::path::Path) -> Result<script::Script> {
    let unreadable = || Error::new(Exit::Usage, format!("the script {} cannot be read", path.display()));
    let bytes = std::fs::read(path).map_err(|error| unreadable().because(&error))?;
    script::parse(&bytes).map_err(|error| unreadable().cause(error))
}

async fn listen(port: u16) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut bound = bind(port).await;
    if bound.is_err() && port == DEFAULT_PORT {
        bound = bind(0).await;
    }
    bound.map_err(|error| {
        Error::new(Exit::Usage, format!("the stand-in cannot listen on 127.0.0.1:{port}"))
            .because(&error)
            .hint("name another port with `--port`; 0 takes a free one")
    })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr> {
    listener
        .local_addr()
        .map_err(|error| Error::new(Exit::Fault, "the stand-in does not know its own address").because(&error))
}

/// The tasks that an earlier run left behind.
fn survivors(state: &State) -> Vec<Adopted> {
    let tasks = state.holdings.values().flat_map(|holdings| {
        let services = holdings.clusters.values().flat_map(|cluster| cluster.services.values());
        let one_offs = holdings.clusters.values().flat_map(|cluster| &cluster.one_offs);
        let tasks = services.flat_map(|service| &service.tasks).chain(one_offs.map(|one_off| &one_off.task));
        tasks.filter(|task| task.exists()).map(move |task| (holdings, task))
    });
    let mut survivors = Vec::new();
    for (holdings, task) in tasks {
        let definition = super::ecs::task_definition::find(holdings, &task.definition);
        let definitions = definition.map(super::state::TaskDefinition::containers).unwrap_or_default();
        let essential = |name: &str| {
            definitions.iter().find(|container| container.name == name).is_none_or(|container| container.essential)
        };
        survivors.push(Adopted {
            task: task.id.clone(),
            containers: task.containers.iter().map(|each| (each.name.clone(), essential(&each.name))).collect(),
        });
    }
    survivors
}
