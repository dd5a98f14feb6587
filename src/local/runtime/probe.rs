//! Whether a container that runs is healthy: what its health check says, else whether its port answers, else whether
//! it stays up.

use std::time::Duration;

use bollard::Docker;
use bollard::models::HealthStatusEnum;
use bollard::query_parameters::InspectContainerOptions;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::local::ecs::model::Binding;
use crate::local::ecs::sightings::Seen;

/// How long a container without port and health check has to stay up.
const STAYS_UP: Duration = Duration::from_millis(1500);

/// How long a published port may stay silent before the task counts as healthy all the same: without a load balancer
/// ECS asks no more of it than to run.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_millis(100);

/// Watches the health of a task's containers for as long as it is polled, and reports every change.
pub(super) async fn watch(docker: &Docker, containers: &[String], bindings: &[Binding], report: impl Fn(Seen)) {
    let mut checked = Vec::new();
    for name in containers {
        if health(docker, name).await.is_some() {
            checked.push(name);
        }
    }
    if checked.is_empty() {
        match bindings.first() {
            Some(binding) => port_answers(binding.host_port).await,
            None => sleep(STAYS_UP).await,
        }
        report(Seen::Ready { checked: false });
        return std::future::pending().await;
    }
    let mut was = None;
    loop {
        let mut all_healthy = true;
        let mut any_unhealthy = false;
        for name in &checked {
            let status = health(docker, name).await;
            all_healthy &= status == Some(HealthStatusEnum::HEALTHY);
            any_unhealthy |= status == Some(HealthStatusEnum::UNHEALTHY);
        }
        if any_unhealthy {
            report(Seen::Unhealthy(None));
            return std::future::pending().await;
        }
        if was != Some(all_healthy) && all_healthy {
            report(Seen::Ready { checked: true });
        }
        was = Some(all_healthy);
        sleep(if all_healthy { 10 * INTERVAL } else { 2 * INTERVAL }).await;
    }
}

/// The state of a container's health check; `None` when it has none.
async fn health(docker: &Docker, name: &str) -> Option<HealthStatusEnum> {
    let inspected = docker.inspect_container(name, None::<InspectContainerOptions>).await.ok()?;
    inspected.state?.health?.status.filter(|status| !matches!(status, HealthStatusEnum::NONE | HealthStatusEnum::EMPTY))
}

async fn port_answers(port: u16) {
    let until = Instant::now() + PORT_PATIENCE;
    while Instant::now() < until {
        if is_open(port).await {
            return;
        }
        sleep(INTERVAL).await;
    }
}

/// Docker's own proxy accepts every connection, and closes those that nobody in the container takes: a port is open when
/// the connection stays.
async fn is_open(port: u16) -> bool {
    let Ok(Ok(mut stream)) = timeout(Duration::from_secs(1), TcpStream::connect(("127.0.0.1", port))).await else {
        return false;
    };
    match timeout(2 * INTERVAL, stream.read(&mut [0; 1])).await {
        Err(_silence) => true,
        Ok(read) => read.is_ok_and(|bytes| bytes > 0),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::is_open;

    #[tokio::test]
    async fn a_port_that_hangs_up_is_not_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accept = tokio::spawn(async move {
            drop(listener.accept().await);
            listener.accept().await.map(|(stream, _)| (stream, listener))
        });
        assert!(!is_open(port).await, "closed at once");
        assert!(is_open(port).await, "kept open");
        let kept = accept.await.unwrap().unwrap();
        drop(kept);
        assert!(!is_open(port).await, "nobody listens");
    }
}
