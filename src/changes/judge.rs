//! Asks git, and judges: base by base what differs, service by service whether that concerns it.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt as _, stream};

use super::scope::Scope;
use super::settings::Settings;
use super::subject::Subject;
use super::touched::{Touched, touched};
use super::{Base, Change, NAMED, Work};
use crate::config::{self, Manifest, ResolveInput, SecretsMode};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::git::Repository;
use crate::git::diff::Changed;
use crate::git::past::is_full_hash;
use crate::revision::short;
use crate::vars::Vars;

/// Comparisons at once: each service may have a base of its own.
const AT_ONCE: usize = 4;

/// What is deployed, and where it stands.
#[derive(Clone)]
pub(crate) struct Judge<'a> {
    pub(crate) repository: &'a Repository,
    /// The file that was read: the path of `--config`.
    pub(crate) config: &'a Path,
    pub(crate) manifest: &'a Manifest,
    pub(crate) environment: &'a str,
    pub(crate) branch: Option<&'a str>,
    /// The commit that is deployed: a full hash.
    pub(crate) head: &'a str,
    /// What the working tree has on top of it.
    pub(crate) uncommitted: Vec<Changed>,
    /// Name every file, not only the first.
    pub(crate) every_file: bool,
    pub(crate) vars: &'a Vars,
    pub(crate) events: &'a Events,
}

/// One service that is asked about.
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) base: Base,
}

/// What one base has to say.
struct Difference {
    files: Vec<Changed>,
    /// deploy.yaml as it was there, where it is not the same text.
    manifest: Earlier,
}

enum Earlier {
    Same,
    /// Why it cannot be compared.
    Unreadable(&'static str),
    Read(Box<Manifest>),
}

/// Where a service stands before its files are looked at.
enum Compared {
    Decided(Change),
    Files { scopes: Vec<Scope>, runtime: Vec<&'static str> },
}

impl Judge<'_> {
    /// The answers, in the order of the questions.
    ///
    /// # Errors
    /// git cannot be run at all.
    pub(crate) async fn changes(&self, asked: &[Asked<'_>]) -> Result<Vec<Change>> {
        let mut by_base: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut answers: Vec<Option<Change>> = vec![None; asked.len()];
        for (at, one) in asked.iter().enumerate() {
            match &one.base {
                Base::Known { revision, .. } => by_base.entry(revision).or_default().push(at),
                Base::Unknown(why) => answers[at] = Some(Change::build(why)),
            }
        }
        let bases: Vec<&str> = by_base.keys().copied().collect();
        let differences = self.differences(&bases).await?;
        for ((base, services), difference) in by_base.into_iter().zip(differences) {
            let names: Vec<&str> = services.iter().map(|at| asked[*at].name).collect();
            let changes = match difference {
                Ok(difference) => self.compare(base, &difference, &names),
                Err(why) => names.iter().map(|_| Change::build(why.clone())).collect(),
            };
            for (at, mut change) in services.into_iter().zip(changes) {
                if let Base::Known { revision, origin } = &asked[at].base {
                    change.base = Some(revision.clone());
                    change.base_from = Some(*origin);
                }
                answers[at] = Some(change);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The commit of this name, brought here where this clone does not have it.
    ///
    /// # Errors
    /// There is none ([`Exit::Usage`]).
    pub(crate) async fn named(&self, name: &str) -> Result<String> {
        let say = |text| self.events.note(text);
        if let Some(commit) = self.repository.commit_named(name).await? {
            return Ok(commit);
        }
        let there = match is_full_hash(name) {
            true => Some(name.to_owned()),
            false => self.repository.branch_there(name).await?,
        };
        if let Some(commit) = there
            && self.repository.bring(&commit, say).await?
        {
            return Ok(commit);
        }
        Err(Error::new(Exit::Usage, format!("there is no commit `{name}` here, and none could be fetched"))
            .hint("name a commit, a tag or a branch of this clone, as in `--base origin/main`"))
    }

    /// Where the history of what is deployed parted from that of `name`: the beginning of a pull request.
    ///
    /// # Errors
    /// There is no such commit, or the two have no common one ([`Exit::Usage`]).
    pub(crate) async fn parted_from(&self, name: &str) -> Result<String> {
        let other = self.named(name).await?;
        let found = self.repository.merge_base(&other, self.head, |text| self.events.note(text)).await?;
        found.ok_or_else(|| {
            Error::new(Exit::Usage, format!("cannot tell where this branch parted from `{name}`"))
                .cause("git knows no commit that both have")
                .hint("fetch more of the history (Bitbucket: `clone: depth: full`), or name the commit with --base")
        })
    }

    /// What differs between each base and what is deployed; or why that cannot be told, in words. git compares side by
    /// side; what it lacks is fetched one after the other, because two fetches would be in each other's way.
    async fn differences(&self, bases: &[&str]) -> Result<Vec<std::result::Result<Difference, String>>> {
        let found = stream::iter(bases).map(|base| self.difference(base)).buffered(AT_ONCE);
        let found: Vec<Result<Difference>> = found.collect().await;
        let mut differences = Vec::new();
        for (base, found) in bases.iter().zip(found) {
            differences.push(match found {
                Ok(difference) => Ok(difference),
                Err(_) => self.brought(base).await?,
            });
        }
        Ok(differences)
    }

    /// The same for a base that git could not compare with as it is.
    async fn brought(&self, base: &str) -> Result<std::result::Result<Difference, String>> {
        if !self.repository.bring(base, |text| self.events.note(text)).await? {
            return Ok(Err(format!("the base {} cannot be had from git, so nobody can tell", short(base))));
        }
        Ok(self.difference(base).await.map_err(|error| error.line()))
    }

    async fn difference(&self, base: &str) -> Result<Difference> {
        let committed = async {
            match base == self.head {
                true => Ok(Vec::new()),
                false => self.repository.diff(base, self.head).await,
            }
        };
        let (mut files, manifest) = tokio::try_join!(committed, self.earlier(base))?;
        files.extend(self.uncommitted.iter().cloned());
        files.sort();
        files.dedup();
        Ok(Difference { files, manifest })
    }

    /// By its text, and not by what git says of the file: it may be one that git does not know.
    async fn earlier(&self, base: &str) -> Result<Earlier> {
        let Some(path) = self.repository.relative(self.config) else {
            return Ok(Earlier::Unreadable("deploy.yaml is not in this repository, so git cannot tell what it was"));
        };
        if std::path::absolute(self.config).is_ok_and(|config| config.is_symlink()) {
            // The link itself may have been another one.
            return Ok(Earlier::Unreadable("deploy.yaml is a symbolic link, so git cannot tell what it was"));
        }
        Ok(match self.repository.show(base, Path::new(&path)).await? {
            None => Earlier::Unreadable("there was no deploy.yaml at the base"),
            Some(bytes) if bytes == self.manifest.text.as_bytes() => Earlier::Same,
            Some(bytes) => match config::earlier(&bytes, &self.manifest.root) {
                Some(manifest) => Earlier::Read(Box::new(manifest)),
                None => Earlier::Unreadable("this version of shipit cannot read deploy.yaml as it was at the base"),
            },
        })
    }

    fn compare(&self, base: &str, difference: &Difference, names: &[&str]) -> Vec<Change> {
        let compared: Vec<Compared> = names.iter().map(|name| self.settings(difference, name)).collect();
        let scopes: Vec<Vec<&Scope>> = compared
            .iter()
            .map(|compared| match compared {
                Compared::Files { scopes, .. } => scopes.iter().collect(),
                Compared::Decided(_) => Vec::new(),
            })
            .collect();
        let manifest = self.repository.relative(self.config);
        let keep = if self.every_file { usize::MAX } else { NAMED };
        let Ok(touched) = touched(&scopes, &difference.files, manifest.as_deref(), keep) else {
            let why = "the patterns of deploy.yaml are too many to be compared";
            return names.iter().map(|_| Change::build(why)).collect();
        };
        let answers = compared.into_iter().zip(touched);
        answers
            .map(|(compared, touched)| match compared {
                Compared::Decided(change) => change,
                Compared::Files { runtime, .. } => verdict(base, &runtime, touched),
            })
            .collect()
    }

    /// What deploy.yaml says of this service, then and now.
    fn settings(&self, difference: &Difference, name: &str) -> Compared {
        let decided = |why: String| Compared::Decided(Change::build(why));
        let Some(now) = self.resolved(self.manifest, name) else {
            return decided("its settings in deploy.yaml cannot be resolved".to_owned());
        };
        let scope = |subject: &Subject| subject.scope(self.repository, &self.manifest.root);
        let mut scopes = match scope(&now) {
            Ok(scope) => vec![scope],
            Err(why) => return decided(why),
        };
        let earlier = match &difference.manifest {
            Earlier::Same => return Compared::Files { scopes, runtime: Vec::new() },
            Earlier::Unreadable(why) => return decided((*why).to_owned()),
            Earlier::Read(manifest) => manifest,
        };
        let Some(before) = self.resolved(earlier, name) else {
            return decided("deploy.yaml at the base does not have it in this environment".to_owned());
        };
        let runtime = match before.compare(&now) {
            Settings::Same => Vec::new(),
            Settings::Runtime(keys) => keys,
            Settings::Build(keys) => return decided(differ(&keys)),
        };
        // A filter that was narrowed must not hide the change that came with it.
        if !before.filters_alike(&now) {
            match scope(&before) {
                Ok(scope) => scopes.push(scope),
                Err(why) => return decided(why),
            }
        }
        Compared::Files { scopes, runtime }
    }

    /// With the names of the variables in place of secret values, so that none has to be known.
    fn resolved(&self, manifest: &Manifest, name: &str) -> Option<Subject> {
        let specification = manifest.resolve(&ResolveInput {
            environment: self.environment,
            branch: self.branch,
            commit: Some(self.head),
            services: &[name.to_owned()],
            vars: self.vars,
            secrets: SecretsMode::Names,
        });
        Subject::only(specification.ok()?)
    }
}

fn differ(keys: &[&str]) -> String {
    match keys {
        [] => "deploy.yaml says something else of it".to_owned(),
        keys => format!("deploy.yaml says something else of its {}", keys.join(", ")),
    }
}

fn verdict(base: &str, runtime: &[&str], touched: Touched) -> Change {
    let Touched { count, files } = touched;
    let (files, patterns): (Vec<String>, Vec<String>) = files.into_iter().unzip();
    let base = short(base);
    let (work, reason) = match (count, runtime) {
        (0, []) => (Work::Nothing, format!("nothing that concerns it has changed since {base}")),
        (0, keys) => (Work::Deploy, differ(keys)),
        (_, _) => (Work::Build, files_changed(base, count, &files)),
    };
    Change { work, count, files, patterns, ..Change::build(reason) }
}

fn files_changed(base: &str, count: usize, files: &[String]) -> String {
    let named = &files[..files.len().min(NAMED)];
    let more = match count - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more} changed since {base}", named.join(", "))
}
