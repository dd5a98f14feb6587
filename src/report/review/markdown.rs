//! A review as Markdown that GitHub, GitLab and Bitbucket show alike: headings, one table, lists, fenced blocks. Names and
//! texts come from outside (commit messages, AWS, file names), so none of them may become markup.

use super::{Level, Remark, Review, Row, What};
use crate::report::words;

pub(crate) fn markdown(review: &Review) -> String {
    let mut text = format!("## shipit: {}\n\n**{}**\n", escaped(&review.title()), escaped(&review.sentence()));
    if !review.facts.is_empty() {
        text.push('\n');
        for (name, value) in &review.facts {
            text.push_str(&format!("- {name}: {}\n", escaped(value)));
        }
    }
    text.push_str(&table(review));
    for row in &review.rows {
        if let Some(why) = &row.why {
            text.push_str(&format!("\n{}: {}\n", escaped(&row.service), escaped(why)));
        }
        if let Some(url) = &row.url {
            text.push_str(&format!("\n{} answers at {}\n", escaped(&row.service), escaped(url)));
        }
    }
    let (found, known, unchecked) = match review.what {
        What::Check => ("Wrong", "To know", "Not checked"),
        What::Plan => ("In the way", "To know", "Not checked"),
        What::Deploy => ("What went wrong", "To know", "Not checked"),
    };
    for (level, heading) in [(Level::Error, found), (Level::Warning, known), (Level::Unchecked, unchecked)] {
        text.push_str(&remarks(review, level, heading));
    }
    if review.what == What::Plan && review.rows.iter().any(|row| !row.steps.is_empty()) {
        text.push_str("\n### What would be done\n");
        for row in review.rows.iter().filter(|row| !row.steps.is_empty()) {
            text.push_str(&format!("\n{}\n\n", escaped(&row.service)));
            for (at, step) in row.steps.iter().enumerate() {
                text.push_str(&format!("{}. {}\n", at + 1, marked(step)));
            }
        }
    }
    text
}

fn table(review: &Review) -> String {
    if review.rows.is_empty() {
        return String::new();
    }
    let dash = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), |text| escaped(text));
    let verdict = |row: &Row| row.verdict.map_or("-", |verdict| verdict.as_str());
    let (head, rows): (&[&str], Vec<Vec<String>>) = if review.what == What::Deploy {
        let row = |row: &Row| {
            let took = words::seconds(row.seconds);
            vec![dash(row.before.as_ref()), dash(row.after.as_ref()), dash(row.digest.as_ref()), took]
        };
        (&["ran before", "revision", "digest", "time"], review.rows.iter().map(row).collect())
    } else {
        let row = |row: &Row| vec![dash(row.before.as_ref()), dash(row.after.as_ref()), dash(row.image.as_ref())];
        (&["runs now", "would run", "image"], review.rows.iter().map(row).collect())
    };
    let mut text = format!("\n| service | verdict | {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len() + 2));
    for (row, cells) in review.rows.iter().zip(rows) {
        text.push_str(&format!("| {} | {} | {} |\n", escaped(&row.service), verdict(row), cells.join(" | ")));
    }
    text
}

fn remarks(review: &Review, level: Level, heading: &str) -> String {
    let mut remarks = review.remarks.iter().filter(|remark| remark.level == level).peekable();
    if remarks.peek().is_none() {
        return String::new();
    }
    remarks.fold(format!("\n### {heading}\n\n"), |text, remark| text + &item(remark))
}

/// One item of a list. What stands on further lines is a log or a list of ECS, and keeps its lines.
fn item(remark: &Remark) -> String {
    let (first, rest) = remark.text.split_once('\n').unwrap_or((&remark.text, ""));
    let about = remark.service.as_ref().map(|service| format!("**{}**: ", escaped(service))).unwrap_or_default();
    let place = remark.place.as_ref().map(|(path, line)| format!(" ({}:{line})", escaped(path))).unwrap_or_default();
    let mut text = format!("- {about}{}{place}\n", marked(first));
    if !rest.trim().is_empty() {
        let fence = fence(rest);
        text.push_str(&format!("\n  {fence}text\n"));
        text.extend(rest.lines().map(|line| format!("  {line}\n")));
        text.push_str(&format!("  {fence}\n"));
    }
    if let Some(hint) = &remark.hint {
        text.push_str(&format!("\n  What to do: {}\n", marked(hint)));
    }
    text
}

/// Longer than every run of backticks inside.
fn fence(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(3.max(longest + 1))
}

/// As [`escaped`], with what stands between two backticks set as code, where nothing else is markup. Not for cells.
fn marked(text: &str) -> String {
    let text = one_line(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) || parts.iter().skip(1).step_by(2).any(|code| code.trim().is_empty()) {
        return escaped(&text);
    }
    let set = |(at, part): (usize, &&str)| match at % 2 {
        1 => format!("`{part}`"),
        _ => escaped_part(part, at == 0),
    };
    parts.iter().enumerate().map(set).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text as one line that is shown as it is: no markup, no HTML, no cell's end, nobody mentioned.
fn escaped(text: &str) -> String {
    escaped_part(&one_line(text), true)
}

/// `begins`: whether it stands at the start of its line.
fn escaped_part(text: &str, begins: bool) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    for (at, character) in text.char_indices() {
        // At the start of an item these would open a list or a heading of their own.
        let opens = at == 0 && matches!(character, '-' | '+' | '=')
            || begins && at > 0 && at == digits && matches!(character, '.' | ')');
        if opens
            || matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '!' | '$')
        {
            safe.push('\\');
        }
        safe.push(character);
        // A mention is looked for after the markup was read, where a backslash no longer helps.
        if character == '@' && !before.is_alphanumeric() {
            safe.push('\u{200b}');
        }
        before = character;
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{escaped, markdown, marked};
    use crate::report::review::testdata;

    #[test]
    fn the_plan_of_a_pull_request() {
        assert_eq!(markdown(&testdata::plan()), include_str!("testdata/plan.md"));
    }

    #[test]
    fn a_deploy_that_failed() {
        assert_eq!(markdown(&testdata::failed()), include_str!("testdata/failed.md"));
    }

    #[test]
    fn what_comes_from_outside_stays_text() {
        for (given, wanted) in [
            ("plain-text, v1.2 (x)", "plain-text, v1.2 (x)"),
            ("a|b\n| c", "a\\|b \\| c"),
            ("<img src=x onerror=y>", "\\<img src=x onerror=y\\>"),
            ("[x](http://e.example) ![y](z)", "\\[x\\](http://e.example) \\!\\[y\\](z)"),
            ("`code` **bold** a_b ~~c~~ &lt; \\", "\\`code\\` \\*\\*bold\\*\\* a\\_b \\~\\~c\\~\\~ \\&lt; \\\\"),
            ("# head", "\\# head"),
            ("- item", "\\- item"),
            ("12. item", "12\\. item"),
            ("2) item 3)", "2\\) item 3)"),
            ("ask @team, me@corp.example", "ask @\u{200b}team, me@corp.example"),
        ] {
            assert_eq!(escaped(given), wanted);
        }
    }

    #[test]
    fn code_is_what_stands_between_two_backticks() {
        for (given, wanted) in [
            ("give `ecs:TagResource` to <it>", "give `ecs:TagResource` to \\<it\\>"),
            ("`a_b` is *not* `c|d`", "`a_b` is \\*not\\* `c|d`"),
            ("an odd ` one_", "an odd \\` one\\_"),
            ("``` fence", "\\`\\`\\` fence"),
            ("`` x ``", "\\`\\` x \\`\\`"),
        ] {
            assert_eq!(marked(given), wanted);
        }
    }

    #[test]
    fn a_log_cannot_end_its_block() {
        let mut review = testdata::failed();
        let text = "build-failed: it\n```\n## forged\n````\n";
        review.remarks_mut()[0].text = text.to_owned();
        let text = markdown(&review);
        assert!(text.contains("  `````text\n  ```\n  ## forged\n  ````\n  `````\n"), "{text}");
    }
}
