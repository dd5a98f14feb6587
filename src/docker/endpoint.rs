//! Where an engine may be, in the docker CLI's order: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, and then
//! the usual sockets. Addresses are parsed here; nothing is connected to.

use std::path::{Path, PathBuf};

use super::config_file;
use super::context_store;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars::Vars;

/// An address that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Ssh(Ssh),
}

/// How to speak TLS to an engine: files as `docker` has them, any of which may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// The server's certificate is not checked, because a context says so.
    pub(crate) skip_verify: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ssh {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// A socket on the far side that is not the usual one.
    pub(crate) socket: Option<String>,
}

impl Address {
    /// Whether it is on this machine, as far as the address tells.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Self::Ssh(_) => false,
        }
    }
}

/// One address to try, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: Address,
    /// For people: `DOCKER_HOST`, ``context `colima` ``, `the usual socket`.
    pub(crate) origin: String,
}

/// The addresses to try, in order. What the user chose is the only one; without a choice, the usual sockets are tried.
pub(crate) fn candidates(vars: &Vars) -> Result<Vec<Candidate>> {
    if let Some(host) = vars.get("DOCKER_HOST") {
        let address = parse(host.trim(), tls_of_process(vars)).map_err(|why| {
            Error::new(Exit::Build, format!("DOCKER_HOST is `{}`: {why}", without_password(host))).hint(FORMS)
        })?;
        return Ok(vec![Candidate { address, origin: "DOCKER_HOST".to_owned() }]);
    }
    let (name, origin) = match vars.get("DOCKER_CONTEXT") {
        Some(name) => (name.to_owned(), "DOCKER_CONTEXT".to_owned()),
        None => (config_file::read(vars)?.current_context, "Docker's configuration".to_owned()),
    };
    if !name.is_empty() && name != "default" {
        let address = context_store::address(vars, &name, &origin)?;
        return Ok(vec![Candidate { address, origin: format!("context `{name}` of {origin}") }]);
    }
    let sockets = usual_sockets(vars).into_iter();
    Ok(sockets.map(|path| Candidate { address: Address::Unix(path), origin: "usual socket".to_owned() }).collect())
}

/// What keeps this text from being an engine's address.
pub(crate) fn check_address(host: &str) -> Result<(), String> {
    parse(host, None).map(|_| ())
}

/// The address that a builder of deploy.yaml names. `certs` is a folder as `DOCKER_CERT_PATH` is; without it, TCP speaks
/// what it speaks for `DOCKER_HOST`.
pub(super) fn builder(vars: &Vars, host: &str, certs: Option<&Path>) -> Result<Address> {
    let tls = certs.map_or_else(|| tls_of_process(vars), |folder| Some(tls_files(folder, false)));
    if let (Some(folder), Some(Tls { ca: None, certificate: None, key: None, .. })) = (certs, &tls) {
        let what = format!("there is no ca.pem, cert.pem or key.pem in {}", folder.display());
        return Err(Error::new(Exit::Build, what).hint("correct `certs` of the builder in deploy.yaml"));
    }
    parse(host, tls).map_err(|why| Error::new(Exit::Usage, format!("`{}`: {why}", without_password(host))).hint(FORMS))
}

const FORMS: &str =
    "use unix:///path/to.sock, tcp://host:port or ssh://user@host, or unset it to try the usual sockets";

/// Reads a `DOCKER_HOST`. `tls` is what TCP speaks, where it is not plain.
pub(super) fn parse(host: &str, tls: Option<Tls>) -> Result<Address, String> {
    let Some((scheme, rest)) = host.split_once("://") else {
        return Err("it has no scheme".to_owned());
    };
    match scheme {
        "unix" if rest.is_empty() => Err("it names no socket".to_owned()),
        "unix" => Ok(Address::Unix(PathBuf::from(rest))),
        "tcp" | "http" | "https" => {
            let tls = tls.or_else(|| (scheme == "https").then(Tls::default));
            let authority = rest.trim_end_matches('/');
            if authority.contains(['/', '?', '#', '@']) {
                return Err("it has more than a host and a port".to_owned());
            }
            let (name, port) = host_and_port(authority)?;
            let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
            let host = if name.is_empty() { "localhost".to_owned() } else { name };
            Ok(Address::Tcp { host, port, tls })
        }
        "ssh" => ssh(rest).map(Address::Ssh),
        "npipe" | "fd" => Err(format!("{scheme}:// cannot be used here")),
        other => Err(format!("`{other}` is not a scheme that an engine can have")),
    }
}

/// The user part and the host end up as arguments of `ssh`, so neither may be read as an option.
fn ssh(rest: &str) -> Result<Ssh, String> {
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Err("a password does not belong in it".to_owned()),
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err("it names no host that ssh could be given".to_owned());
    }
    if user
        .as_deref()
        .is_some_and(|user| user.is_empty() || user.starts_with('-') || user.contains(char::is_whitespace))
    {
        return Err("its user is not one that ssh could be given".to_owned());
    }
    let socket = match path.trim_end_matches('/') {
        "" => None,
        // It is a word of the command that the far side's shell reads.
        path if path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) => Some(path.to_owned()),
        _ => return Err("its path is not one that a socket usually has".to_owned()),
    };
    Ok(Ssh { user, host, port, socket })
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is not a port"));
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("its brackets do not close")?;
        return Ok((host.to_owned(), after.strip_prefix(':').map(number).transpose()?));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Ok((host.to_owned(), Some(number(port)?))),
        None => Ok((authority.to_owned(), None)),
    }
}

/// `DOCKER_TLS_VERIFY` set to anything means TLS, with the files of `DOCKER_CERT_PATH`.
fn tls_of_process(vars: &Vars) -> Option<Tls> {
    if !vars.has("DOCKER_TLS_VERIFY") {
        return None;
    }
    let folder = vars.get("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config_file::directory(vars));
    Some(folder.map_or_else(Tls::default, |folder| tls_files(&folder, false)))
}

pub(super) fn tls_files(folder: &Path, skip_verify: bool) -> Tls {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    Tls { ca: file("ca.pem"), certificate: file("cert.pem"), key: file("key.pem"), skip_verify }
}

/// Where engines of the usual kinds listen: dockerd, Docker Desktop, colima, Rancher Desktop, rootless, podman.
fn usual_sockets(vars: &Vars) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(home) = vars.home() {
        sockets.extend(
            [".docker/run/docker.sock", ".colima/default/docker.sock", ".rd/docker.sock"].map(|at| home.join(at)),
        );
    }
    if let Some(runtime) = vars.get("XDG_RUNTIME_DIR").map(PathBuf::from) {
        sockets.extend(["docker.sock", "podman/podman.sock"].map(|at| runtime.join(at)));
    }
    sockets
}

fn without_password(host: &str) -> String {
    match (host.find("://"), host.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &host[..scheme], &host[at..]),
        _ => host.to_owned(),
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(ssh) => {
                f.write_str("ssh://")?;
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&ssh.host)?;
                if let Some(port) = ssh.port {
                    write!(f, ":{port}")?;
                }
                f.write_str(ssh.socket.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, candidates, parse};
    use crate::vars::Vars;

    #[test]
    fn addresses_read_and_print_the_same() {
        for (text, shown) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://localhost", "tcp://localhost:2375"),
            ("tcp://:2375", "tcp://localhost:2375"),
            ("tcp://[::1]:99/", "tcp://[::1]:99"),
            ("https://h", "tcp://h:2376"),
            ("ssh://me@h:22/run/d.sock", "ssh://me@h:22/run/d.sock"),
            ("ssh://h", "ssh://h"),
        ] {
            assert_eq!(parse(text, None).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "/var/run/docker.sock",
            "unix://",
            "npipe:////./pipe/docker",
            "tcp://h:x",
            "tcp://h/v1",
            "ssh://-oProxyCommand=x",
            "ssh://-l@h",
            "ssh://me:pw@h",
            "ssh://",
            "ssh://h/run/$(x).sock",
            "gopher://h",
        ] {
            assert!(parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_docker_cli() {
        let vars: Vars = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")].into_iter().collect();
        let found: Vec<String> = candidates(&vars).unwrap().iter().map(|c| c.address.to_string()).collect();
        assert_eq!(
            found,
            [
                "unix:///var/run/docker.sock",
                "unix:///h/.docker/run/docker.sock",
                "unix:///h/.colima/default/docker.sock",
                "unix:///h/.rd/docker.sock",
                "unix:///r/docker.sock",
                "unix:///r/podman/podman.sock",
            ]
        );
        let vars: Vars = [("DOCKER_HOST", "tcp://h:1"), ("DOCKER_CONTEXT", "x")].into_iter().collect();
        assert_eq!(candidates(&vars).unwrap()[0].address, Address::Tcp { host: "h".into(), port: 1, tls: None });
    }

    #[test]
    fn a_password_in_docker_host_is_not_repeated() {
        let vars: Vars = [("DOCKER_HOST", "ssh://me:hunter2@h")].into_iter().collect();
        let error = candidates(&vars).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
