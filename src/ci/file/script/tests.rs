use std::collections::BTreeSet;

use super::read;
use crate::ci::file::{Call, Step, Surroundings};

#[expect(clippy::unnecessary_wraps, reason = "it stands for a parser that may refuse")]
fn words(words: &[String]) -> Result<Call, String> {
    let text = words.join(" ");
    Ok(Call { approve: text.contains("--approve"), environment: Some(text), ..Call::default() })
}

fn step(script: &str) -> Step {
    let mentions = BTreeSet::from(["deploy.sh".to_owned(), "Makefile".to_owned()]);
    let lines: Vec<(usize, &str)> = script.lines().enumerate().map(|(at, line)| (at + 1, line)).collect();
    let mut step = Step::default();
    read(&lines, Surroundings { read: words, mentions: &mentions }, &mut step);
    step
}

#[test]
fn the_word_is_found_behind_what_wraps_it() {
    for line in [
        "shipit deploy --env prod",
        "./shipit deploy --env prod",
        "DEBUG=1 /usr/bin/shipit deploy --env prod",
        "sudo -E env -u X A=b shipit deploy --env prod 2>&1 > log",
        "docker run --rm -e DOCKER_HOST registry/shipit:1 deploy --env prod",
        "docker run --rm image shipit deploy --env prod",
        "bash -c 'shipit deploy --env prod'",
        "timeout 600 shipit deploy --env prod",
        "OUT=$(shipit deploy --env prod)",
        "echo \"done: $(cd api && shipit deploy --env prod)\"",
        "export OUT=`shipit deploy --env prod`",
        "if shipit deploy --env prod",
        "cd api && shipit deploy \\\n  --env prod",
    ] {
        let step = step(line);
        assert_eq!(step.calls.len(), 1, "{line}: {step:?}");
        assert_eq!(step.calls[0].environment.as_deref(), Some("deploy --env prod"), "{line}");
        assert!(step.unclear.is_empty(), "{line}: {step:?}");
    }
}

#[test]
fn what_only_names_it_is_no_call() {
    for line in [
        "curl -fsSLo shipit https://example.com/shipit",
        "chmod +x shipit",
        "echo 'now shipit deploy --env prod'",
        "npm test",
        "cat deploy.sh",
        "pip install \"$WHEEL\"",
        "$HOME/.local/bin/eslint .",
        "gh pr review --approve \"$URL\"",
        "echo 'shipit deploy --approve'",
        "cat deploy.sh | grep shipit",
    ] {
        let step = step(line);
        assert!(step.calls.is_empty() && step.unclear.is_empty(), "{line}: {step:?}");
    }
}

#[test]
fn what_nobody_can_tell_is_said() {
    for line in [
        "$CMD",
        "eval \"$X\"",
        "bash -c \"$X\"",
        "bash $SCRIPT",
        "./deploy.sh prod",
        "bash deploy.sh",
        "\"$BITBUCKET_CLONE_DIR/deploy.sh\"",
        "make deploy",
        "echo deploy | xargs shipit",
        "echo 'shipit deploy' | sh",
        "cat deploy.sh | bash",
        "cd ops; ../deploy.sh",
        "/builds/team/shop/deploy.sh",
        "make -C ops deploy",
        "cp shipit s; ./s deploy --env prod --approve",
        "python3 -c 'run([\"shipit\", \"deploy\", \"--approve\"])'",
        "os.system('shipit deploy --approve')",
        "cat <(shipit deploy --approve)",
        "echo 'shipit deploy --approve' > x.sh",
        "alias s='shipit deploy --approve'",
    ] {
        let step = step(line);
        assert_eq!((step.calls.len(), step.unclear.len()), (0, 1), "{line}: {step:?}");
    }
}

#[test]
fn a_variable_that_may_become_a_flag_leaves_a_call_open() {
    for (line, open) in [
        ("shipit deploy --env \"$ENV\"", false),
        ("shipit deploy --env=\"$ENV\"", false),
        ("shipit deploy --env $ENV", true),
        ("shipit deploy $FLAGS", true),
        ("shipit deploy \"$SERVICE\"", true),
        ("shipit $VERB --env dev", true),
        ("shipit run --env dev api -- echo $X", false),
        ("shipit deploy --env dev --timeout \"$T\" --jobs=\"$N\"", false),
    ] {
        assert_eq!(step(line).calls[0].open, open, "{line}");
    }
}

#[test]
fn a_failure_may_be_swallowed() {
    for (script, by) in [
        ("shipit deploy", None),
        ("npm test && shipit deploy", None),
        ("shipit deploy || true", Some("||")),
        ("shipit deploy | tee log", Some("a pipe")),
        ("shipit deploy && echo done", Some("&&")),
        ("shipit deploy &", Some("&")),
        ("set +e\nshipit deploy", Some("set +e")),
        ("set -euo pipefail\nshipit deploy | tee log", None),
        ("set +e\nset -e\nshipit deploy", None),
        ("if shipit deploy; then echo; fi", Some("if")),
    ] {
        assert_eq!(step(script).calls[0].swallowed.as_deref(), by, "{script}");
    }
}
