use std::collections::BTreeSet;

use super::read;
use crate::ci::file::{Call, Step, Surroundings, Verb};

#[expect(clippy::unnecessary_wraps, reason = "it stands for a parser that may refuse")]
fn words(words: &[String]) -> Result<Call, String> {
    let text = words.join(" ");
    let verb = if text.starts_with("deploy") { Verb::Deploy } else { Verb::Other };
    Ok(Call { approve: text.contains("--approve"), environment: Some(text), verb, ..Call::default() })
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
        "cat <(shipit deploy --env prod)",
        "shipit deploy > log --env prod 2>&1",
        ">log shipit deploy --env prod",
        "shipit>log deploy --env prod",
        "echo \\\\\nshipit deploy --env prod",
        "# a note \\\nshipit deploy --env prod",
        "echo '\n'; shipit deploy --env prod; echo '\n'",
        "cat <<EOF\ndon't\nEOF\necho '\n'; shipit deploy --env prod; echo '\n'",
        "echo ${X:-(}; shipit deploy --env prod",
        "echo \"${X:-{}\"; shipit deploy --env prod",
        "echo $(echo '('); shipit deploy --env prod",
        "echo $(echo ')'; shipit deploy --env prod)",
        "ship\"\"it deploy --env prod",
        "$'shipit' deploy --env prod",
        "bash <<< 'shipit deploy --env prod'",
        "bash -o pipefail -c 'shipit deploy --env prod'",
        "env -i PATH=/bin shipit deploy --env prod",
        "nice -n 5 setsid shipit deploy --env prod",
        "trap 'shipit deploy --env prod' EXIT",
        "case $X in main) shipit deploy --env prod;; esac",
        "git bisect run shipit deploy --env prod",
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
        "chmod +x deploy.sh",
        "install -m 755 shipit /usr/local/bin/shipit",
        "mv shipit /usr/local/bin",
        "echo shipit is done > log",
        "curl -fsSL https://example.com/install | bash",
        "\"$TOOLS/run\" x",
        "case $X in main*) npm test;; esac",
        "[ -f deploy.sh ] && [[ $X == a* ]]",
        "echo \"$PASSWORD\" | docker login --password-stdin",
        "git commit -m 'shipit deploy --approve'",
        "ls | xargs -n 1 eslint",
        "python3 tool.py \"$X\"",
        "awk '\n/x/ { print }\n' file",
        "trap 'rm -f x' EXIT",
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
        "cp shipit s",
        "cp s2 s; ./s deploy --env prod --approve",
        "ln -s $(which shipit) s",
        "alias s=shipit",
        "python3 -c 'run([\"shipit\", \"deploy\", \"--approve\"])'",
        "os.system('shipit deploy --approve')",
        "bash <(echo \"$X\")",
        "bash <<< \"$X\"",
        "echo \"$X\" | bash",
        "base64 -d x | sh",
        "bash -e -c \"$X\"",
        "bash -o pipefail \"$X\"",
        "bash -c 'eval \"$X\"'",
        "bash < deploy.sh",
        "bash<deploy.sh",
        "bash ops/../deploy.sh",
        "bash ./deploy*.sh",
        "./dep*.sh",
        "nice ./deploy.sh",
        "su -c \"$X\" me",
        "find . -name x -exec $X {} +",
        "ship*t deploy $F",
        "{shipit,} deploy $F",
        "$'\\x73hipit' deploy $F",
        "${X:-/bin/true}",
        "$TOOLS/run",
        ">log $X",
        "git -c alias.d='!shipit deploy --approve' d",
        "echo 'shipit deploy $F' > x.sh",
        "php deploy.sh",
        "pnpm --dir x exec bash ./deploy.sh",
        "echo '\n'; $X; echo '\n'",
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
        ("shipit deploy --env dev \"--$F\"", true),
        ("shipit deploy --env dev > $LOG", false),
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
