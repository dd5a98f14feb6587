//! `shipit init`: writes deploy.yaml and the CI file, and overwrites nothing that nobody gave up.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::Context;
use crate::cli::InitArgs;
use crate::config;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::init::{self, Proposed, Survey};
use crate::report::{Fate, print_difference, print_file, print_notes, print_to_do};

pub(super) async fn run(args: InitArgs, context: &Context) -> Result<Exit> {
    let (folder, name) = target(&args.config.config)?;
    let survey = Survey::of(&folder).await;
    let live = match &args.from_ecs {
        Some(cluster) => {
            Some(init::read_live(cluster, init::region(&survey, &args.config.config).as_deref(), &context.vars).await?)
        }
        None => None,
    };
    let live = live.as_ref().map(|live| (live, args.env.as_deref()));
    let proposal = init::propose(&survey, live, &name, args.ci.map(Into::into))?;
    let (out, format) = (context.console.out(), context.console.format());
    print_notes(out, format, &proposal.notes);
    let mut refused = Vec::new();
    for file in &proposal.files {
        let fate = settle(file, &folder, &args, context).await?;
        print_file(out, format, &file.path, fate.0, &file.text);
        if args.dry_run && context.console.format() == crate::report::Format::Text {
            context.console.data(&format!("# {}\n{}", file.path, file.text))?;
        }
        if fate == (Fate::Kept, Because::NobodyToAsk) && file.asked_for {
            refused.push(file.path.as_str());
        }
    }
    print_to_do(out, format, &proposal.to_do);
    if refused.is_empty() {
        return Ok(Exit::Success);
    }
    Err(Error::new(Exit::Usage, format!("{} is there already and says something else", refused.join(" and ")))
        .hint("take over by hand what you want of it, or overwrite it with `--force`"))
}

/// The folder of the project, and the name of deploy.yaml in it.
fn target(config: &Path) -> Result<(PathBuf, String)> {
    let shown = config.display();
    let wrong = |what: &str| Error::new(Exit::Usage, format!("`--config {shown}` {what}"));
    let absolute = std::path::absolute(config).map_err(|error| wrong("is no path").because(&error))?;
    let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or(config::FILE_NAME).to_owned();
    let folder = absolute.parent().unwrap_or(&absolute).to_owned();
    if !folder.is_dir() {
        return Err(wrong("is in a folder that is not there").hint("make the folder first"));
    }
    Ok((folder, name))
}

/// Why a file has its fate, as far as the exit code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    Settled,
    NobodyToAsk,
}

async fn settle(file: &Proposed, folder: &Path, args: &InitArgs, context: &Context) -> Result<(Fate, Because)> {
    let path = folder.join(&file.path);
    let there = match std::fs::read(&path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Error::new(Exit::Usage, format!("cannot read {}", file.path)).because(&error)),
    };
    let Some(there) = there else {
        if args.dry_run {
            return Ok((Fate::WouldBeWritten, Because::Settled));
        }
        write(&path, &file.text, false)?;
        return Ok((Fate::Written, Because::Settled));
    };
    let changes = init::diff(&there, &file.text);
    if changes.is_empty() {
        return Ok((Fate::Unchanged, Because::Settled));
    }
    let (out, format) = (context.console.out(), context.console.format());
    print_difference(out, format, &file.path, &changes);
    let force = args.force && file.asked_for;
    if args.dry_run {
        return Ok((if force { Fate::WouldBeWritten } else { Fate::Kept }, Because::Settled));
    }
    if !force {
        if !context.console.can_ask() {
            return Ok((Fate::Kept, Because::NobodyToAsk));
        }
        let answer = context.console.ask(&format!("Overwrite {}? [y/N] ", file.path)).await?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok((Fate::Kept, Because::Settled));
        }
    }
    write(&path, &file.text, true)?;
    Ok((Fate::Written, Because::Settled))
}

/// Whole or not at all. A file that came to be meanwhile is not overwritten unless that was agreed to.
fn write(path: &Path, text: &str, over: bool) -> Result<()> {
    let cannot = |error: &std::io::Error| {
        Error::new(Exit::Usage, format!("cannot write {}", path.display()))
            .because(error)
            .hint("make the folder writable, or print it with `--dry-run`")
    };
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    let mut file = tempfile::Builder::new();
    // As an editor would make it: the umask of the process takes its part.
    #[cfg(unix)]
    file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = file.prefix(".shipit-init-").tempfile_in(folder).map_err(|error| cannot(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| cannot(&error))?;
    let kept = if over { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| cannot(&error.error))
}
