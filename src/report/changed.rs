//! How `changed` is printed: a table for people, or what the next step of a pipeline reads.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::table::{Align, Table};
use super::words;
use crate::changes::{Change, Work};

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    /// A table, and every file below it.
    Explained,
    /// One object a line, as every command has it with `--output json`.
    Events,
    Lines,
    List,
    Bitbucket,
    Github,
    GithubMatrix,
}

#[derive(Serialize)]
struct Row<'a> {
    event: &'static str,
    environment: &'a str,
    service: &'a str,
    changed: bool,
    #[serde(flatten)]
    change: &'a Change,
    at: Timestamp,
}

pub(crate) fn print(out: &Out, form: Form, environment: &str, services: &[(String, Change)], now: Timestamp) {
    if form == Form::Events {
        for (service, change) in services {
            let changed = !change.is_nothing();
            let row = Row { event: "changed", environment, service, changed, change, at: now };
            // No map in it has keys that are not strings, the only thing that serde_json refuses.
            if let Ok(line) = serde_json::to_string(&row) {
                out.json(&line);
            }
        }
        return;
    }
    match form {
        Form::Table | Form::Explained => {
            out.table(To::Data, &table(services));
            for (service, change) in services.iter().filter(|_| form == Form::Explained) {
                for line in explained(service, change) {
                    out.line(To::Data, &line);
                }
            }
        }
        _ => {
            for line in machine(form, services) {
                out.line(To::Data, &Line::new().plain(line));
            }
        }
    }
}

fn table(services: &[(String, Change)]) -> Table {
    let mut table = Table::new()
        .column("SERVICE", Align::Left, 0)
        .column("CHANGED", Align::Left, 0)
        .column("SINCE", Align::Left, 1)
        .column("REASON", Align::Left, 2);
    for (service, change) in services {
        let (tone, word) = match change.work {
            Work::Nothing => (Tone::Dim, "no"),
            Work::Deploy => (Tone::Accent, "deploy"),
            Work::Build => (Tone::Accent, "build"),
        };
        let since = change.base.as_deref().map_or_else(|| "?".to_owned(), words::short_revision);
        table.row(vec![
            (Tone::Strong, service.clone()),
            (tone, word.to_owned()),
            (Tone::Plain, since),
            (Tone::Plain, change.reason.clone()),
        ]);
    }
    table
}

fn explained(service: &str, change: &Change) -> Vec<Line> {
    let mut lines = vec![Line::new(), Line::new().strong(service).plain(": ").plain(&change.reason).hanging(4)];
    if let (Some(base), Some(from)) = (&change.base, change.base_from) {
        lines.push(Line::new().dim("  since  ").plain(base).dim(format!("  ({})", from.in_words())).hanging(9));
    }
    let files = change.files.iter().zip(&change.patterns);
    lines.extend(files.map(|(file, pattern)| Line::new().plain("  ").plain(file).dim("  by ").dim(pattern).hanging(4)));
    lines
}

fn machine(form: Form, services: &[(String, Change)]) -> Vec<String> {
    let changed: Vec<&str> =
        services.iter().filter(|(_, change)| !change.is_nothing()).map(|(name, _)| name.as_str()).collect();
    let any = !changed.is_empty();
    let each = |prefix: &str, name: &dyn Fn(&str) -> String| -> Vec<String> {
        services.iter().map(|(service, change)| format!("{prefix}{}={}", name(service), !change.is_nothing())).collect()
    };
    match form {
        Form::Lines => changed.into_iter().map(str::to_owned).collect(),
        Form::List => vec![json!(changed).to_string()],
        Form::Bitbucket => {
            [vec![format!("CHANGED={any}")], each("CHANGED_", &|name| variable(name).to_uppercase())].concat()
        }
        Form::Github => {
            let all = vec![format!("changed={any}"), format!("services={}", json!(changed))];
            [all, each("changed_", &variable)].concat()
        }
        Form::GithubMatrix => {
            let include: Vec<_> = changed.iter().map(|service| json!({ "service": service })).collect();
            vec![json!({ "include": include }).to_string()]
        }
        Form::Table | Form::Explained | Form::Events => Vec::new(),
    }
}

/// A service's name where only letters, digits and `_` may stand.
fn variable(service: &str) -> String {
    service.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Form, machine};
    use crate::changes::{Change, Work};

    #[test]
    fn the_next_step_reads_what_its_pipeline_understands() {
        let unchanged = Change { work: Work::Nothing, ..Change::build("nothing") };
        let services = [("api.v2".to_owned(), Change::build("a file")), ("web-app".to_owned(), unchanged.clone())];
        let cases: [(Form, &[&str]); 5] = [
            (Form::Lines, &["api.v2"]),
            (Form::List, &[r#"["api.v2"]"#]),
            (Form::Bitbucket, &["CHANGED=true", "CHANGED_API_V2=true", "CHANGED_WEB_APP=false"]),
            (Form::Github, &["changed=true", r#"services=["api.v2"]"#, "changed_api_v2=true", "changed_web_app=false"]),
            (Form::GithubMatrix, &[r#"{"include":[{"service":"api.v2"}]}"#]),
        ];
        for (form, expected) in cases {
            assert_eq!(machine(form, &services), expected, "{form:?}");
        }
        let none = [("web".to_owned(), unchanged)];
        assert_eq!(machine(Form::Github, &none), ["changed=false", "services=[]", "changed_web=false"]);
        assert_eq!(machine(Form::Lines, &none), Vec::<String>::new());
    }
}
