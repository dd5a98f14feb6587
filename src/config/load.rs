//! Reads deploy.yaml and answers with the manifest, or with every fault of the file at once.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::config::check::check;
use crate::config::decode::decode;
use crate::config::describe::{describe, sweep};
use crate::config::diagnostic::{self, Diagnostic};
use crate::config::manifest::Manifest;
use crate::config::parse::parse;
use crate::config::tree::Value;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// In bytes. A deploy.yaml of a hundred services is a tenth of it.
const MAX_SIZE: u64 = 1 << 20;
/// More faults than this are not looked for.
const MAX_FAULTS: usize = 50;

/// Reads and checks the file. Every error has `Exit::Usage`.
pub(crate) fn load(path: &Path) -> Result<Manifest> {
    let shown = path.display().to_string();
    let bytes = read(path, &shown)?;
    let text = decode_utf8(&bytes, &shown)?;
    let mut manifest = judged(text, &shown)?;
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::new(Exit::Usage, format!("cannot tell where {shown} is")).because(&error))?;
    absolute.parent().unwrap_or(&absolute).clone_into(&mut manifest.root);
    text.clone_into(&mut manifest.text);
    Ok(manifest)
}

/// The file as it was in another commit, for a comparison; `None` where this version of shipit cannot read it.
pub(crate) fn earlier(bytes: &[u8], root: &Path) -> Option<Manifest> {
    let text = decode_utf8(bytes, "deploy.yaml").ok()?;
    let mut manifest = from_text(text).ok()?;
    root.clone_into(&mut manifest.root);
    Some(manifest)
}

/// The same for a text that is not a file yet: the deploy.yaml of that folder. Every error has `Exit::Usage`.
pub(crate) fn load_text(text: &str, folder: &Path) -> Result<Manifest> {
    let mut manifest = judged(text, super::FILE_NAME)?;
    folder.clone_into(&mut manifest.root);
    Ok(manifest)
}

fn judged(text: &str, shown: &str) -> Result<Manifest> {
    from_text(text).map_err(|faults| {
        let count = faults.len();
        let places = diagnostic::places(text, &faults);
        let mut rendered = diagnostic::render(shown, text, faults);
        if count >= MAX_FAULTS {
            rendered.push_str("\n\nerror: there may be more; these are the first that were found");
        }
        Error::rendered(Exit::Usage, rendered).places(places)
    })
}

fn read(path: &Path, shown: &str) -> Result<Vec<u8>> {
    let cannot = |error: &std::io::Error| {
        let fault = Error::new(Exit::Usage, format!("cannot read {shown}")).because(error);
        match error.kind() {
            ErrorKind::NotFound => Error::new(Exit::Usage, format!("there is no {shown}"))
                .hint("run shipit in the folder that holds deploy.yaml, or say where it is with `--config PATH`"),
            ErrorKind::IsADirectory => fault.hint("name the file itself: `--config PATH/deploy.yaml`"),
            _ => fault,
        }
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| cannot(&error))?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::new(Exit::Usage, format!("{shown} is larger than {} KiB", MAX_SIZE >> 10))
            .hint("is this the right file? no deploy.yaml needs as much"));
    }
    Ok(bytes)
}

/// UTF-8 without its byte order mark.
fn decode_utf8<'b>(bytes: &'b [u8], shown: &str) -> Result<&'b str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        let byte = bytes[error.valid_up_to()];
        Error::new(Exit::Usage, format!("{shown}:{line}:{column}: the byte 0x{byte:02x} is not UTF-8"))
            .hint("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The manifest, without its root; or all that is wrong with it.
pub(super) fn from_text(text: &str) -> Result<Manifest, Vec<Diagnostic>> {
    let mut tree = parse(text).map_err(|fault| vec![fault])?;
    if matches!(tree.value, Value::Null) {
        return Err(vec![
            Diagnostic::new(0..0, "the file is empty").help("`shipit schema` describes what belongs in it"),
        ]);
    }
    let mut faults = Vec::new();
    sweep(&mut tree, text, &mut faults);
    faults.truncate(MAX_FAULTS);
    let limit = MAX_FAULTS - faults.len();
    let manifest: Option<Manifest> = decode(&mut tree, limit, |tree, fault| faults.push(describe(fault, tree, text)));
    if let Some(manifest) = &manifest {
        let limit = MAX_FAULTS.saturating_sub(faults.len());
        faults.extend(check(manifest, &tree, text, limit));
    }
    match manifest {
        Some(manifest) if faults.is_empty() => Ok(manifest),
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_FAULTS, from_text, load};
    use crate::config::diagnostic;
    use crate::exit::Exit;

    const EXAMPLE: &str = include_str!("testdata/example.yaml");

    /// What is printed for this text.
    fn shown(text: &str) -> String {
        match from_text(text) {
            Ok(manifest) => panic!("nothing was refused: {manifest:?}"),
            Err(faults) => diagnostic::render("deploy.yaml", text, faults),
        }
    }

    /// `MESSAGE @ LINE:COLUMN` of every fault.
    fn faults(text: &str) -> Vec<String> {
        let shown = shown(text);
        let mut lines = shown.lines();
        let mut faults = Vec::new();
        while let Some(line) = lines.next() {
            if let Some(message) = line.strip_prefix("error: ") {
                let place = lines.next().and_then(|line| line.split_once("deploy.yaml:")).unwrap().1;
                faults.push(format!("{message} @ {place}"));
            }
        }
        faults
    }

    #[test]
    fn the_example_of_the_design_is_taken() {
        for text in [EXAMPLE.to_owned(), EXAMPLE.replace('\n', "\r\n")] {
            let manifest = from_text(&text).unwrap_or_else(|f| panic!("{}", diagnostic::render("f", &text, f)));
            assert_eq!(manifest.environments.keys().collect::<Vec<_>>(), ["dev", "beta", "sandbox", "prod"]);
        }
    }

    #[test]
    fn every_fault_is_reported_at_once_with_line_and_caret() {
        let text = "\
version: 2
nmae: shop
environments:
  dev: { branch: develop, brunch: x }
  prod:
    branch: main
    after: sandbx
    approval: requird
    aws: { account: 123456789012 }
  dev: { branch: other }
  sandbox: {}
services:
  api:
    secrets: [DB_HOST, 5]
    build_args: { HOST: \"x ${DB_HOTS}\", PORT: 8080 }
    build_secrets: [TOKEN]
    platform: linux/amd46
    repository:
    environments: { prdo: { repository: api } }
";
        assert_eq!(
            faults(text),
            [
                "version 2 of deploy.yaml is not known to this shipit @ 1:10",
                "unknown key `nmae` @ 2:1",
                "unknown key `brunch` @ 4:27",
                "there is no environment `sandbx` @ 7:12",
                "`requird` cannot stand here @ 8:15",
                "expected text, found the number 123456789012 @ 9:21",
                "the key `dev` is there twice @ 10:3",
                "`branch` is missing here @ 11:3",
                "expected text, found the number 5 @ 14:24",
                "`${DB_HOTS}`: `DB_HOTS` is neither built in nor one of this service's `secrets` @ 15:28",
                "expected text, found the number 8080 @ 15:47",
                "`TOKEN` is not one of this service's `secrets` @ 16:21",
                "`linux/amd46` cannot stand here @ 17:15",
                "`repository` has no value @ 18:5",
                "there is no environment `prdo` @ 19:21",
            ]
        );
        let shown = shown(text);
        assert!(
            shown.contains(
                "error: unknown key `nmae`\n --> deploy.yaml:2:1\n  |\n2 | nmae: shop\n  | ^^^^\n  |\n  = help: did you mean \
                 `name`?"
            ),
            "{shown}"
        );
        for help in [
            "= help: did you mean `branch`?",
            "= help: did you mean `sandbox`?",
            "= help: did you mean `required`?",
            "= help: did you mean `linux/amd64`?",
            "= help: did you mean `DB_HOST`?",
            "= help: did you mean `prod`?",
            "= help: put it in quotes, so that it stays as it is: \"123456789012\"",
            "= help: the first is on line 4: keep one of them",
            "= help: if it is a secret, add `TOKEN` to `secrets`",
        ] {
            assert!(shown.contains(help), "{help}\n{shown}");
        }
    }

    /// One fault each, in a file that is right otherwise.
    #[test]
    fn faults_one_by_one() {
        let good = "version: 1\nenvironments:\n  dev: { branch: develop }\nservices:\n  api:\n    repository: api\n";
        assert!(from_text(good).is_ok());
        let env = |dev: &str| good.replace("{ branch: develop }", dev);
        let api = |line: &str| format!("{good}    {line}\n");
        for (text, expected) in [
            (String::new(), "the file is empty @ 1:1"),
            ("# nothing\n".to_owned(), "the file is empty @ 1:1"),
            ("just text".to_owned(), "expected a map with `version`, `environments` and `services`, found text @ 1:1"),
            ("- 1\n".to_owned(), "expected a map with `version`, `environments` and `services`, found a list @ 1:1"),
            (good.replace("version: 1\n", ""), "`version` is missing here @ 1:1"),
            (good.replace("version: 1", "version: \"1\""), "expected a whole number, found text @ 1:10"),
            (good.replace("version: 1", "version: 1.0"), "expected a whole number, found the number 1.0 @ 1:10"),
            (env("{}"), "`branch` is missing here @ 3:3"),
            (env(""), "`dev` has no value @ 3:3"),
            (env("develop"), "expected a map with `branch`, found text @ 3:8"),
            (env("{ branch: '' }"), "`` names no branch @ 3:18"),
            (
                env("{ branch: 'feature/*' }"),
                "`feature/*` is no branch: there are neither patterns nor `${…}` here, one branch leads to one environment @ 3:18",
            ),
            (env("{ branch: 1.0 }"), "expected text, found the number 1.0 @ 3:18"),
            (env("{ branch: d, after: dev }"), "`dev` cannot come after itself @ 3:28"),
            (env("{ branch: d, sequel: 1 }"), "unknown key `sequel` @ 3:21"),
            (env("{ branch: d, soak: 15m }"), "this environment has no `after` to wait for @ 3:21"),
            (
                env("{ branch: d, image: promote }"),
                "there is nothing to promote from: this environment has no `after` @ 3:28",
            ),
            (env("{ branch: d, image: copy }"), "`copy` cannot stand here @ 3:28"),
            (
                env("{ branch: d }\n  prod: { branch: d, after: dev, soak: soon }"),
                "`soon` is no span of time: write a number with a unit, such as 90s, 10m or 1h30m @ 4:40",
            ),
            (
                env("{ branch: d, aws: { role: deploy } }"),
                "`deploy` is not the ARN of an IAM role: they look like `arn:aws:iam::123456789012:role/deploy` @ 3:34",
            ),
            (env("{ branch: d, aws: { account: '1' } }"), "`1` is no AWS account: it has 12 digits @ 3:37"),
            (
                env("{ branch: d, aws: { account: '210987654321', role: 'arn:aws:iam::123456789012:role/deploy' } }"),
                "this role is in account 123456789012, but `dev` has account 210987654321 @ 3:73",
            ),
            (env("{ branch: d, restore_latest: 'no' }"), "expected `true` or `false`, found text @ 3:37"),
            (env("{ branch: d, secret_prefix: 'a-' }"), "`a-` is no prefix: use letters, digits and `_` @ 3:36"),
            (
                env("{ branch: d }\n  Dev: { branch: e }"),
                "`Dev` would read the secrets of `dev`: the variables of both begin with DEV_ @ 4:3",
            ),
            (api("kinds: zip"), "unknown key `kinds` @ 7:5"),
            (api("secrets: DB_HOST"), "expected a list, found text @ 7:14"),
            (api("secrets: [A, B, A]"), "`A` is there twice @ 7:21"),
            (api("secrets: [a-b, a_b]"), "`a_b` and `a-b` would be the same variable @ 7:20"),
            (api("secrets: [env]"), "`env` means something else in `${…}`: give the secret another name @ 7:15"),
            (
                api("secrets: [A, ]\n    target: ${A}"),
                "`${A}` is a secret, and this value is shown to everybody @ 8:13",
            ),
            (api("build_args: { A: '${B' }"), "`${` is not closed @ 7:23"),
            (api("build_args: { A: '${B:-c}' }"), "only a name may stand between `${` and `}` @ 7:23"),
            (api("build_args: { A-B: x }"), "`A-B` is no name of a build argument: use letters, digits and `_` @ 7:19"),
            (api("build_args: { A: ~ }"), "`A` has no value @ 7:19"),
            (api("build_args: [A=b]"), "expected a map, found a list @ 7:5"),
            (api("cluster: a b"), "`a b` is no ECS name: use letters, digits, `_` and `-` @ 7:14"),
            (api("context: ''"), "this value is empty @ 7:14"),
            (api("context: \"a\\0b\""), "this text holds a control character @ 7:14"),
            (api("paths: []"), "an empty list would match no file at all @ 7:5"),
            (api("paths: ['${env}/**']"), "`${…}` is not read in patterns @ 7:14"),
            (api("before_deploy: { timeout: 5m }"), "`command` is missing here @ 7:5"),
            (api("before_deploy: { command: [] }"), "there is no program to run @ 7:22"),
            (api("before_deploy: { command: [x], timeout: 5 }"), "expected text, found the number 5 @ 7:45"),
            (
                api("before_deploy: { command: [x], timeout: soon }"),
                "`soon` is no span of time: write a number with a unit, such as 90s, 10m or 1h30m @ 7:45",
            ),
            (
                api("before_deploy: { command: [x], container: a b }"),
                "`a b` is no ECS name: use letters, digits, `_` and `-` @ 7:47",
            ),
            (api("scan: { fail_on: hihg }"), "`hihg` cannot stand here @ 7:22"),
            (api("scan: { timeout: 5m }"), "`fail_on` is missing here @ 7:5"),
            (
                api("scan: { fail_on: critical, timeout: soon }"),
                "`soon` is no span of time: write a number with a unit, such as 90s, 10m or 1h30m @ 7:41",
            ),
            (
                api("scan: { fail_on: off, ignore: [{ id: CVE-1, until: 2027-01-31 }] }"),
                "`reason` is missing here @ 7:38",
            ),
            (
                api("scan: { fail_on: off, ignore: [{ id: CVE-1, until: soon, reason: x }] }"),
                "`soon` is no date @ 7:56",
            ),
            (
                api("scan: { fail_on: off, ignore: [{ id: '', until: 2027-01-31, reason: x }] }"),
                "`` names no vulnerability @ 7:42",
            ),
            (
                api("scan: { fail_on: off, ignore: [{ id: C, until: 2027-01-31, reason: ' ' }] }"),
                "there is no reason @ 7:72",
            ),
            (
                api("environments: { dev: { scan: { fail_on: low, timeout: x } } }"),
                "`x` is no span of time: write a number with a unit, such as 90s, 10m or 1h30m @ 7:59",
            ),
            (api("before_deploy: { run: x, command: [x] }"), "unknown key `run` @ 7:22"),
            (api("environments: { dev: { paths: [x] } }"), "unknown key `paths` @ 7:28"),
            (api("<<: { target: x }"), "unknown key `<<` @ 7:5"),
            (
                good.replace("repository: api", "repository: Api-${env}"),
                "`Api-dev` is no ECR repository: use lower-case letters and digits, joined by single `.`, `_`, `-` or `/` @ 6:17",
            ),
            (good.replace("repository: api", "cluster: api"), "`repository` is missing here @ 5:3"),
            (good.replace("  api:\n    repository: api\n", "  {}\n"), "there is no service @ 4:1"),
            (
                good.replace("environments:\n  dev: { branch: develop }", "environments: {}"),
                "there is no environment @ 2:1",
            ),
        ] {
            assert_eq!(faults(&text), [expected], "{text}");
        }
    }

    #[test]
    fn a_circle_of_after_is_shown_from_each_of_its_members() {
        let text = "version: 1\nenvironments:\n  a: { branch: a, after: c }\n  b: { branch: b, after: a }\n  c: { branch: c, \
                    after: b }\n  d: { branch: d, after: a }\nservices: { api: { repository: api } }\n";
        assert_eq!(
            faults(text),
            [
                "these come after each other in a circle: `a` → `c` → `b` → `a` @ 3:26",
                "these come after each other in a circle: `b` → `a` → `c` → `b` @ 4:26",
                "these come after each other in a circle: `c` → `b` → `a` → `c` @ 5:26",
            ]
        );
    }

    #[test]
    fn many_faults_end_somewhere() {
        let lines = |line: fn(usize) -> String| (0..4_000).map(line).collect::<Vec<_>>().concat();
        let many = lines(|n| format!("k{n}: ~\nj{n}: 1\n"));
        assert_eq!(from_text(&many).unwrap_err().len(), MAX_FAULTS);
        let many = lines(|n| format!("  e{n}: {{}}\n"));
        assert_eq!(
            from_text(&format!("version: 1\nenvironments:\n{many}services: {{}}\n")).unwrap_err().len(),
            MAX_FAULTS
        );
        let many = lines(|n| format!("  e{n}: {{ branch: b, after: e{} }}\n", n + 1));
        assert!(!from_text(&format!("version: 1\nenvironments:\n{many}services: {{}}\n")).unwrap_err().is_empty());
    }

    /// The example with pieces of itself and of YAML's signs strewn over it: all of it is answered, and can be shown.
    #[test]
    fn damaged_files_are_answered() {
        let pieces = [
            "${",
            "}",
            "\"",
            "'",
            ": ",
            "- ",
            "\n",
            "\n\n  ",
            "[",
            "{",
            "&a ",
            "*a",
            "~",
            "é\u{2028}",
            "|\n",
            "0x1",
            "\t",
            "#",
        ];
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut refused = 0;
        for _ in 0..1_500 {
            let mut text = EXAMPLE.to_owned();
            for _ in 0..=below(3) {
                let at = text.floor_char_boundary(below(text.len()));
                let end = text.floor_char_boundary((at + below(12)).min(text.len())).max(at);
                text.replace_range(at..end, pieces[below(pieces.len())]);
            }
            if let Err(faults) = from_text(&text) {
                assert!(diagnostic::render("f", &text, faults).starts_with("error: "), "{text}");
                refused += 1;
            }
        }
        assert!((100..1_500).contains(&refused), "{refused}");
    }

    #[test]
    fn files_that_are_no_files_are_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for (path, words) in [
            (dir.path().join("missing.yaml"), "there is no "),
            (dir.path().to_owned(), "cannot read "),
            (write("latin.yaml", b"version: 1\nname: caf\xe9\n"), "latin.yaml:2:10: the byte 0xe9 is not UTF-8"),
            (write("wide.yaml", b"\xff\xfev\0e\0"), "wide.yaml:1:1: the byte 0xff is not UTF-8"),
            (write("huge.yaml", &vec![b'#'; (1 << 20) + 1]), "is larger than 1024 KiB"),
        ] {
            let error = load(&path).unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
            assert!(!error.hints().is_empty(), "{error}");
        }
        let mut marked = b"\xef\xbb\xbf".to_vec();
        marked.extend_from_slice(EXAMPLE.as_bytes());
        assert_eq!(load(&write("deploy.yaml", &marked)).unwrap().root, dir.path());
        let error = load(&write("bad.yaml", b"\xef\xbb\xbfversion: 1\nx: 2\n")).unwrap_err();
        assert!(error.is_rendered() && error.message().contains("bad.yaml:2:1"), "{error}");
    }
}
