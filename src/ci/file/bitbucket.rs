//! bitbucket-pipelines.yml. `trigger: manual` on a step or its stage is what keeps it for a person.

use super::{Docker, File, Manual, Note, Start, Step, Surroundings, script};
use crate::config::foreign::Value;

/// What the whole file says for every step.
struct Defaults<'d> {
    memory: Option<(u64, usize)>,
    docker: bool,
    bounded: bool,
    size: Option<&'d str>,
    clone: Option<Value<'d>>,
}

pub(super) fn read(root: Value<'_>, surroundings: Surroundings<'_>, file: &mut File) {
    let memory = root.find(&["definitions", "services", "docker", "memory"]);
    let defaults = Defaults {
        memory: memory.and_then(|value| Some((value.text()?.parse().ok()?, value.line))),
        docker: root.find(&["options", "docker"]).is_some_and(|value| value.is("true")),
        bounded: root.find(&["options", "max-time"]).is_some(),
        size: root.find(&["options", "size"]).and_then(Value::text),
        clone: root.get("clone"),
    };
    let Some(pipelines) = root.get("pipelines") else { return };
    for section in pipelines.pairs() {
        let starts: Vec<(Start, Value<'_>)> = match section.key {
            "default" => vec![(Start::Any, section.value)],
            "branches" => named(section.value, |name| Start::Branch(name.to_owned())),
            "pull-requests" => named(section.value, |_| Start::PullRequest),
            "tags" | "bookmarks" => named(section.value, |_| Start::Tag),
            "custom" => named(section.value, |_| Start::Custom),
            _ => continue,
        };
        for (start, pipeline) in starts {
            let mut reader = Reader { surroundings, defaults: &defaults, start, first: true, file };
            reader.pipeline(pipeline);
        }
    }
}

fn named(section: Value<'_>, start: fn(&str) -> Start) -> Vec<(Start, Value<'_>)> {
    section.pairs().into_iter().map(|pair| (start(pair.key), pair.value)).collect()
}

struct Reader<'r> {
    surroundings: Surroundings<'r>,
    defaults: &'r Defaults<'r>,
    start: Start,
    first: bool,
    file: &'r mut File,
}

impl Reader<'_> {
    fn pipeline(&mut self, pipeline: Value<'_>) {
        if let Some(import) = pipeline.get("import") {
            self.imported(import);
        }
        for item in pipeline.items() {
            self.item(item, None);
        }
    }

    fn imported(&mut self, import: Value<'_>) {
        let what = import.text().unwrap_or_default();
        self.file.elsewhere.push(Note::new(import.line, format!("the pipeline is imported from `{what}`")));
    }

    fn item(&mut self, item: Value<'_>, stage: Option<Value<'_>>) {
        for pair in item.pairs() {
            match pair.key {
                "import" => self.imported(pair.value),
                "step" => self.step(pair.value, stage),
                "stage" => {
                    for step in pair.value.get("steps").map(Value::items).unwrap_or_default() {
                        self.item(step, Some(pair.value));
                    }
                }
                "parallel" => {
                    let steps = pair.value.get("steps").unwrap_or(pair.value);
                    let first = self.first;
                    for step in steps.items() {
                        self.first = first;
                        self.item(step, stage);
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, value: Value<'_>, stage: Option<Value<'_>>) {
        // What the step says itself comes before what its stage says.
        let get = |key: &str| value.get(key).or_else(|| stage.and_then(|stage| stage.get(key)));
        let mut step = Step {
            name: value.get("name").and_then(Value::text).unwrap_or("step").to_owned(),
            line: value.line,
            starts: vec![self.start.clone()],
            manual: manual(value, stage),
            first: std::mem::replace(&mut self.first, false),
            environment: get("deployment").and_then(|value| Some(Note::new(value.line, value.text()?))),
            docker: Some(self.docker(value)),
            oidc: Some(value.get("oidc").is_some_and(|value| value.is("true"))),
            bounded: self.defaults.bounded || value.get("max-time").is_some(),
            changesets: get("condition").and_then(|value| value.get("changesets")).map(|value| value.line),
            ..Step::default()
        };
        self.clone(value, &mut step);
        let lines: Vec<_> = lines(value.get("script"));
        script::read(&lines, self.surroundings, &mut step);
        let before = step.calls.len();
        script::read(&self::lines(value.get("after-script")), self.surroundings, &mut step);
        for call in &mut step.calls[before..] {
            call.swallowed.get_or_insert_with(|| "after-script".to_owned());
        }
        for item in ["script", "after-script"].iter().filter_map(|key| value.get(key)).flat_map(Value::items) {
            if let Some(pipe) = item.get("pipe") {
                let name = pipe.text().unwrap_or_default();
                let given = item.scalars().into_iter().filter_map(Value::text);
                if name.contains('$')
                    || given.into_iter().any(|text| text.contains("shipit") || text.contains("--approve"))
                {
                    step.unclear.push(Note::new(pipe.line, format!("what the pipe `{name}` runs is not known")));
                }
            }
        }
        super::beside(value, &["script", "after-script"], &mut step);
        self.file.steps.push(step);
    }

    fn docker(&self, step: Value<'_>) -> Docker {
        let listed = step.get("services").is_some_and(|services| services.texts().contains(&"docker"));
        let size = step.get("size").and_then(Value::text).or(self.defaults.size);
        let size = size.and_then(|size| size.strip_suffix('x')?.parse().ok()).unwrap_or(1);
        Docker { service: listed || self.defaults.docker, memory: self.defaults.memory, size }
    }

    fn clone(&self, value: Value<'_>, step: &mut Step) {
        let own = value.get("clone");
        let get = |key: &str| {
            own.and_then(|clone| clone.get(key)).or_else(|| self.defaults.clone.and_then(|clone| clone.get(key)))
        };
        step.no_clone = get("enabled").filter(|value| value.is("false")).map(|value| value.line);
        step.depth_one = get("depth").filter(|value| value.is("1")).map(|value| value.line);
    }
}

fn manual(step: Value<'_>, stage: Option<Value<'_>>) -> Manual {
    let triggers = [step.get("trigger"), stage.and_then(|stage| stage.get("trigger"))];
    for trigger in triggers.into_iter().flatten() {
        if trigger.is("manual") {
            return Manual::Yes(trigger.line);
        }
    }
    Manual::No
}

fn lines(script: Option<Value<'_>>) -> Vec<(usize, &str)> {
    let Some(script) = script else { return Vec::new() };
    match script.is_list() {
        true => script.items().into_iter().flat_map(|item| lines(Some(item))).collect(),
        false => script.lines(),
    }
}
