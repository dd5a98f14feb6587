//! One instruction after the other: which stages there are, and what each takes from outside.

use std::collections::{BTreeMap, HashSet};

use super::expand::{expand, split};
use super::lines::Instruction;
use super::{Image, Scope};
use crate::content_key::NoKey;

/// Instructions that take nothing from anywhere.
const HARMLESS: [&str; 13] = [
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
    "ARG",
];

/// The reader of Dockerfiles that BuildKit's own people publish, by any of its names.
const FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

pub(super) struct Reader<'r> {
    scope: &'r Scope<'r>,
    escape: char,
    /// Arguments declared before the first FROM; `None`: without a value.
    globals: BTreeMap<String, Option<String>>,
    /// Of the stages so far, in lower case; empty for one that has no name.
    stages: Vec<String>,
    /// Of all stages.
    names: HashSet<String>,
    images: Vec<Image>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(scope: &'r Scope<'r>, escape: char, instructions: &[Instruction]) -> Self {
        let froms = instructions.iter().filter(|instruction| instruction.word == "FROM");
        let names = froms.filter_map(|from| stage_name(&from.rest)).collect();
        Self { scope, escape, globals: BTreeMap::new(), stages: Vec::new(), names, images: Vec::new() }
    }

    pub(super) fn into_images(mut self) -> Vec<Image> {
        self.images.sort();
        self.images.dedup();
        self.images
    }

    /// The program that reads the Dockerfile decides what the image is, as a base image does.
    pub(super) fn frontend(&mut self, name: &str) -> Result<(), NoKey> {
        let plain = name.split('@').next().unwrap_or(name);
        let plain = plain.strip_prefix("docker.io/").unwrap_or(plain);
        let repository = plain.split(':').next().unwrap_or(plain);
        if !FRONTENDS.contains(&repository) {
            return Err(NoKey::new(format!("the Dockerfile is read by another program: `# syntax={name}`")));
        }
        // The engine runs it, on its own platform.
        self.images.push(Image { name: name.to_owned(), platform: self.scope.engine.map(str::to_owned) });
        Ok(())
    }

    pub(super) fn take(&mut self, instruction: &Instruction) -> Result<(), NoKey> {
        let rest = instruction.rest.as_str();
        match instruction.word.as_str() {
            "FROM" => self.from(rest),
            "ARG" if self.stages.is_empty() => self.declare(rest),
            _ if self.stages.is_empty() => {
                Err(NoKey::new(format!("the Dockerfile has {} before FROM", instruction.word)))
            }
            "RUN" => self.run(rest),
            "COPY" => self.copy(rest).map(drop),
            "ADD" => self.add(rest),
            "ONBUILD" => self.take(&Instruction::parse(rest)),
            word if HARMLESS.contains(&word) => Ok(()),
            word => Err(NoKey::new(format!("the Dockerfile has an instruction that is not known here: {word}"))),
        }
    }

    fn from(&mut self, rest: &str) -> Result<(), NoKey> {
        let (flags, rest) = flags(rest)?;
        let name = rest.split_whitespace().next().unwrap_or_default();
        let image = self.filled(name)?;
        let mut platform = None;
        for flag in flags {
            match flag.split_once('=') {
                Some(("platform", value)) => platform = Some(self.filled(value)?),
                _ => return Err(NoKey::new(format!("FROM has a flag that is not known here: --{flag}"))),
            }
        }
        if image.is_empty() {
            return Err(NoKey::new(format!("`FROM {name}` of the Dockerfile names no image")));
        }
        if image != "scratch" && !self.is_earlier_stage(&image) {
            self.images.push(Image { name: image, platform });
        }
        self.stages.push(stage_name(rest).unwrap_or_default());
        Ok(())
    }

    fn declare(&mut self, rest: &str) -> Result<(), NoKey> {
        let unsure = || NoKey::new(format!("`ARG {rest}` of the Dockerfile has quotes that do not close"));
        for word in split(rest, self.escape).ok_or_else(unsure)? {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(self.filled(default)?)),
                None => (word.as_str(), None),
            };
            let given = self.scope.args.get(name).map(|value| (*value).to_owned());
            self.globals.insert(name.to_owned(), given.or(default));
        }
        Ok(())
    }

    fn run(&mut self, rest: &str) -> Result<(), NoKey> {
        let (flags, _) = flags(rest)?;
        for mount in flags.iter().filter_map(|flag| flag.strip_prefix("mount=")) {
            let fields = mount.split(',').filter_map(|field| field.split_once('='));
            for (_, from) in fields.filter(|(key, _)| key.eq_ignore_ascii_case("from")) {
                self.taken_from(from)?;
            }
        }
        Ok(())
    }

    /// What is left behind the flags.
    fn copy<'t>(&mut self, rest: &'t str) -> Result<(Vec<&'t str>, &'t str), NoKey> {
        let (flags, rest) = flags(rest)?;
        for from in flags.iter().filter_map(|flag| flag.strip_prefix("from=")) {
            self.taken_from(from)?;
        }
        Ok((flags, rest))
    }

    fn add(&mut self, rest: &str) -> Result<(), NoKey> {
        let (flags, rest) = self.copy(rest)?;
        let pinned =
            flags.iter().any(|flag| flag.strip_prefix("checksum=sha256:").is_some_and(|digest| !digest.contains('$')));
        let mut sources: Vec<String> = match serde_json::from_str(rest) {
            Ok(sources) => sources,
            Err(_) => rest.split_whitespace().map(str::to_owned).collect(),
        };
        sources.pop();
        for source in sources {
            if source.contains('$') {
                return Err(NoKey::new(format!("ADD has a variable for a source, which may be an address: {source}"))
                    .hint("use COPY for files of the context"));
            }
            let is_plain = source.starts_with("https://") || source.starts_with("http://");
            let is_remote = source.contains("://") || source.starts_with("git@") || source.starts_with("github.com/");
            let is_git = source.split(['#', '?']).next().and_then(|address| address.strip_suffix(".git")).is_some();
            if is_remote && !(is_plain && pinned && !is_git) {
                let what = format!("ADD fetches {source}, whose content nobody knows before the build");
                return Err(NoKey::new(what).hint("say which it has to be: `ADD --checksum=sha256:…`"));
            }
        }
        Ok(())
    }

    /// `--from` and `from=`: a stage by its name or number, or else an image.
    fn taken_from(&mut self, from: &str) -> Result<(), NoKey> {
        if from.contains('$') {
            return Err(NoKey::new(format!("the Dockerfile takes files from `{from}`, a variable"))
                .hint("give that image a stage of its own, `FROM … AS name`"));
        }
        let is_number = from.parse::<usize>().is_ok_and(|number| number < self.stages.len());
        if is_number || self.is_earlier_stage(from) || from.is_empty() || from == "scratch" {
            return Ok(());
        }
        if self.names.contains(&from.to_lowercase()) {
            return Err(NoKey::new(format!("the Dockerfile takes files from the stage `{from}` before it is there")));
        }
        self.images.push(Image { name: from.to_owned(), platform: None });
        Ok(())
    }

    fn is_earlier_stage(&self, name: &str) -> bool {
        !name.is_empty() && self.stages.contains(&name.to_lowercase())
    }

    fn filled(&self, word: &str) -> Result<String, NoKey> {
        expand(word, self.escape, &|name| self.value(name))
    }

    /// What an argument is worth before the first stage.
    fn value(&self, name: &str) -> Result<Option<String>, NoKey> {
        if let Some(value) = self.globals.get(name) {
            return Ok(value.clone());
        }
        let Some((side, part)) = ["TARGET", "BUILD"].iter().find_map(|side| Some((*side, name.strip_prefix(side)?)))
        else {
            return Err(NoKey::new(format!("FROM uses the argument {name}, which no ARG before it declares")));
        };
        if let Some(given) = self.scope.args.get(name) {
            return Ok(Some((*given).to_owned()));
        }
        let platform = if side == "TARGET" { Some(self.scope.target) } else { self.scope.engine };
        let platform = platform
            .ok_or_else(|| NoKey::new(format!("FROM uses {name}, which the engine knows, and there is no engine")))?;
        let mut parts = platform.splitn(3, '/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match part {
            "PLATFORM" => Ok(Some(platform.to_owned())),
            "OS" => Ok(Some(os.to_owned())),
            "ARCH" => Ok(Some(architecture.to_owned())),
            "VARIANT" => Ok(Some(parts.next().unwrap_or_default().to_owned())),
            _ => Err(NoKey::new(format!("FROM uses the argument {name}, which no ARG before it declares"))),
        }
    }
}

/// The flags of an instruction without their dashes, and the rest of the line.
fn flags(rest: &str) -> Result<(Vec<&str>, &str), NoKey> {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while let Some(flag) = rest.strip_prefix("--") {
        let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
        let (flag, after) = flag.split_at(end);
        rest = after.trim_start();
        if flag.is_empty() {
            break;
        }
        if flag.contains(['"', '\'', '\\', '`']) {
            return Err(NoKey::new(format!("a flag of the Dockerfile has quotes: --{flag}")));
        }
        flags.push(flag);
    }
    Ok((flags, rest))
}

/// The name after AS, in lower case.
fn stage_name(rest: &str) -> Option<String> {
    let mut words = rest.split_whitespace().skip_while(|word| word.starts_with("--")).skip(1);
    words.next().filter(|word| word.eq_ignore_ascii_case("as"))?;
    words.next().map(str::to_lowercase)
}
